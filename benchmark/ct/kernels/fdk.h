// Where a column of voxels meets the detector of one view, for detectors whose rows are parallel to z.
#pragma once
#include "joseph.h"

struct FdkFoot {
    double depth;     // distance from the source along the central ray / source-to-detector distance
    double column;    // detector column, counted from the detector's centre
};

// Solves (x, y) - source = depth (centre - source + column u) in the xy plane. view[4][3] in index space.
SEED_FN FdkFoot fdk_foot(const double* view, double x, double y) {
    const double cx = view[3] - view[0], cy = view[4] - view[1], ux = view[6], uy = view[7];
    const double px = x - view[0], py = y - view[1], determinant = cx * uy - cy * ux;
    const double depth = (px * uy - py * ux) / determinant;
    return {depth, (cx * py - cy * px) / determinant / depth};
}

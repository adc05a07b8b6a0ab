// Detector positions of a column of voxels in one view, for detectors whose rows are parallel to z.
#pragma once
#include "joseph.h"

// A view for FDK, from benchmark/reconstruction/fdk.py: quantities linear in a voxel's index are given by their coefficients.
struct FdkView {
    double depth[3];    // of x, y and 1: distance from the source along the central ray / source-to-detector distance
    double across[3];   // of x, y and 1: detector column, counted from the detector's centre, times depth
    double rise;        // detector rows for one voxel along z at depth 1
    double source;      // z of the source in voxels
    double middle;      // detector row that is level with the source, counted from the detector's centre
};

struct FdkFoot {
    float inverse;    // 1 / depth; not positive for columns not in front of the source
    float column;     // detector column, counted from the first
    float a, b;       // voxel z falls on detector row a + z b, counted from the first
};

SEED_FN FdkFoot fdk_foot(const FdkView* view, int x, int y, int rows, int columns) {
    const float inverse = 1 / (float)(view->depth[0] * x + view->depth[1] * y + view->depth[2]);
    const float across = (float)(view->across[0] * x + view->across[1] * y + view->across[2]), b = inverse * (float)view->rise;
    return {inverse, across * inverse + (columns - 1) * 0.5f, (float)view->middle + (rows - 1) * 0.5f - (float)view->source * b, b};
}

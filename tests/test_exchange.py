"""Foreign conventions, both directions: what is written is read back as it was, and a point lies where the published formulas put it."""

from __future__ import annotations

import itertools
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark.api import Case, ConeBeamGeometry, InputError, Measured, Scan, read_naf, read_r2
from benchmark.exchange.naf import write_naf
from benchmark.exchange.r2 import write_r2

UNIT = 0.03  # [1/mm]
POINT = np.array([23.0, -17.0, 31.0])  # x y z [mm], inside the box and off every axis
OFFSETS = [(0.0, 0.0), (13.0, 0.0), (0.0, -21.0), (-17.0, 11.0)]  # v, u [mm]
ARCS = [np.pi, 2 * np.pi]
SETTINGS = list(itertools.product(ARCS, OFFSETS))


def scanner(arc: float, offset: tuple[float, float] = (0.0, 0.0), views: int = 9) -> ConeBeamGeometry:
    """Nothing square; the box off the axis. An arc of 180 or 360 degrees that does not begin at 0."""
    return ConeBeamGeometry(
        source_to_origin=500,
        source_to_detector=800,
        detector_shape=(26, 41),
        detector_pitch=(9.0, 7.0),
        detector_offset=offset,
        volume_shape=(10, 12, 16),
        volume_spacing=(10.0, 9.0, 8.0),
        volume_offset=(5.0, -3.0, 4.0),
        angles=0.3 + np.linspace(0, arc, views, endpoint=False),
    )


def any_case(arc: float, offset: tuple[float, float]) -> Case:
    """Numbers at random: another order of axes, sign or unit leaves nothing where it was."""
    geometry, random = scanner(arc, offset), np.random.default_rng(1)
    held = geometry.with_angles(np.array([0.4, 1.9]))
    scans = [Scan(random.random(each.projection_shape, dtype=np.float32), each) for each in (geometry, held)]
    truth = UNIT * random.random(geometry.volume_shape, dtype=np.float32)
    return Case("any", scans[0], truth, scans[1], "made up", tuple(range(9)), (9, 10))


def check_same(case: Case, measured: Measured, length: float, density: float) -> None:
    """The file's scan is the case's, with lengths [mm] and attenuation [1/mm] in units of these."""
    views = case.scan.geometry.views
    for scan, chosen in ((case.scan, measured.training), (case.heldout, measured.heldout)):
        assert scan is not None and chosen is not None
        found, expected = measured.geometry.subset(list(chosen)), scan.geometry
        assert found.detector_shape == expected.detector_shape and found.volume_shape == expected.volume_shape
        np.testing.assert_allclose(found.vectors() * length, expected.vectors(), atol=1e-9)
        np.testing.assert_allclose(found.angles, expected.angles, rtol=0, atol=1e-15)
        np.testing.assert_allclose(found.volume_bounds * length, expected.volume_bounds, rtol=1e-12)
        again = np.stack([measured.view(index) for index in chosen])
        assert again.dtype == np.float32 and again.flags.c_contiguous
        np.testing.assert_allclose(again * (length * density), scan.projections, rtol=1e-6)
    assert measured.training == tuple(range(views)) and measured.truth is not None and case.truth is not None
    truth = measured.truth()
    np.testing.assert_allclose(truth.values * density, case.truth, rtol=1e-6)
    np.testing.assert_allclose(np.multiply(truth.spacing, length), case.scan.geometry.volume_spacing)
    np.testing.assert_allclose(np.multiply(truth.centre, length), case.scan.geometry.volume_offset)


@pytest.mark.parametrize(("arc", "offset"), SETTINGS)
def test_a_naf_pickle_is_read_as_it_was_written(tmp_path: Path, arc: float, offset: tuple[float, float]) -> None:
    case = any_case(arc, offset)
    path = write_naf(tmp_path, case, UNIT)
    check_same(case, read_naf(path), 1.0, 1000 * UNIT)  # their attenuation is in 1/m
    up = read_naf(path, "generator").geometry.detector_offset
    assert up == (-offset[0], offset[1])


@pytest.mark.parametrize("arc", ARCS)
def test_an_r2_folder_is_read_as_it_was_written(tmp_path: Path, arc: float) -> None:
    case = any_case(arc, (0.0, 0.0))
    path = write_r2(tmp_path, case, UNIT)
    measured = read_r2(path.parent)
    assert measured.length_unit == "unit"
    check_same(case, measured, 64.0, UNIT)  # [mm] half the longest edge


@pytest.mark.parametrize("offset", OFFSETS[1:])
def test_an_offset_that_their_renderer_ignores_is_not_written(tmp_path: Path, offset: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="a centred detector"):
        write_r2(tmp_path, any_case(np.pi, offset), UNIT)


# -- where a point lies, by the published formulas and by our own geometry --------------------------------------------------


def pixel_of_peers(angle: float, scanner: dict[str, float], shape: tuple[int, int]) -> tuple[int, int]:
    """(row j, column i) of POINT in a picture of NAF's or R2's with `shape` (H, W).

    uu = (i + 1/2 - W/2) du + off_u, vv = (j + 1/2 - H/2) dv + off_v, d = R (uu/DSD, vv/DSD, 1), R = Rz(angle) Rz(90) Rx(-90),
    source DSO (cos, sin, 0): the columns of R are (-sin, cos, 0), (0, 0, -1) and (-cos, -sin, 0).
    """
    turned = np.array([[-np.sin(angle), 0, -np.cos(angle)], [np.cos(angle), 0, -np.sin(angle)], [0, -1, 0]])
    x, y, depth = turned.T @ (POINT - scanner["DSO"] * np.array([np.cos(angle), np.sin(angle), 0]))
    uu, vv = scanner["DSD"] * x / depth, scanner["DSD"] * y / depth
    height, width = shape
    column = (uu - scanner["off_u"]) / scanner["du"] + width / 2 - 0.5
    row = (vv - scanner["off_v"]) / scanner["dv"] + height / 2 - 0.5
    return round(row), round(column)


def pixel_of_ours(vectors: np.ndarray, shape: tuple[int, int], length: float = 1.0) -> tuple[int, int]:
    """(v, u) of POINT in our picture, from source, detector centre and steps along u and v [4, 3] alone."""
    source, centre, u, v = vectors * length
    along_u, along_v, _ = np.linalg.solve(np.stack([u, v, source - POINT], 1), source - centre)
    return round(along_v + (shape[0] - 1) / 2), round(along_u + (shape[1] - 1) / 2)


def bright(geometry: ConeBeamGeometry, place: Callable[[int], tuple[int, int]]) -> np.ndarray:
    """Views float32 with one bright pixel each."""
    views = np.zeros(geometry.projection_shape, np.float32)
    for index in range(geometry.views):
        views[index][place(index)] = 1.0
    return views


def brightest(view: np.ndarray) -> tuple[int, int]:
    row, column = np.unravel_index(int(view.argmax()), view.shape)
    return int(row), int(column)


@pytest.mark.parametrize(("arc", "offset"), SETTINGS)
def test_a_point_in_a_naf_pickle_lies_where_their_loader_looks_for_it(tmp_path: Path, arc: float, offset: tuple[float, float]) -> None:
    geometry = scanner(arc, offset)
    shape = geometry.detector_shape
    vectors = geometry.vectors()
    case = Case("point", Scan(bright(geometry, lambda index: pixel_of_ours(vectors[index], shape)), geometry))
    path = write_naf(tmp_path, case, UNIT)
    file = pickle.loads(path.read_bytes())
    (du, dv), (off_u, off_v) = file["dDetector"], file["offDetector"]
    theirs = {"DSO": file["DSO"], "DSD": file["DSD"], "du": du, "dv": dv, "off_u": off_u, "off_v": off_v}
    assert file["nDetector"] == [41, 26] and (off_u, off_v) == (offset[1], -offset[0])
    expected = [pixel_of_peers(angle, theirs, shape) for angle in file["train"]["angles"]]
    assert [brightest(view) for view in file["train"]["projections"]] == expected
    assert len(set(expected)) > geometry.views // 2  # or it would say little

    # The other direction, from a file that only the formulas have made.
    views = bright(geometry, lambda index: expected[index])
    path.write_bytes(pickle.dumps({**file, "train": {"angles": file["train"]["angles"], "projections": views}}))
    measured = read_naf(path)
    found = measured.geometry.vectors()
    for index in range(geometry.views):
        assert brightest(measured.view(index)) == pixel_of_ours(found[index], shape)


@pytest.mark.parametrize("arc", ARCS)
def test_a_point_in_an_r2_folder_lies_where_their_loader_looks_for_it(tmp_path: Path, arc: float) -> None:
    geometry, half = scanner(arc), 64.0
    shape, vectors = geometry.detector_shape, geometry.vectors()
    case = Case("point", Scan(bright(geometry, lambda index: pixel_of_ours(vectors[index], shape)), geometry))
    path = write_r2(tmp_path, case, UNIT)
    meta = json.loads(path.read_text())
    keys = meta["scanner"]
    (dv, du) = (size * half / count for size, count in zip(keys["sDetector"], keys["nDetector"], strict=True))
    theirs = {"DSO": keys["DSO"] * half, "DSD": keys["DSD"] * half, "du": du, "dv": dv, "off_u": 0.0, "off_v": 0.0}
    expected = [pixel_of_peers(frame["angle"], theirs, shape) for frame in meta["proj_train"]]
    assert [brightest(np.load(path.parent / frame["file_path"])) for frame in meta["proj_train"]] == expected

    # The other direction, with the detector moved along u and up, as their generator moves it.
    meta["scanner"]["offDetector"] = [11.0 / half, 13.0 / half]
    theirs |= {"off_u": 11.0, "off_v": -13.0}  # the formulas' v points down
    for frame in meta["proj_train"]:
        view = np.zeros(shape, np.float32)
        view[pixel_of_peers(frame["angle"], theirs, shape)] = 1.0
        np.save(path.parent / frame["file_path"], view)
    path.write_text(json.dumps(meta))
    measured = read_r2(path.parent)
    found = measured.geometry.vectors()
    for index in range(geometry.views):
        assert brightest(measured.view(index)) == pixel_of_ours(found[index], shape, half)

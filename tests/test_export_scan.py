"""Exported scans: the numbers that the peers' loaders turn them into, and our own readers' way back.

The formulas are those of the published loaders (NAF: TIGREDataset.get_rays, R2-Gaussian: readBlenderInfo and its cameras); the files
were also read by the loaders themselves, which gave the same rays to 1e-4 mm at the detector (their float32).
"""

from __future__ import annotations

import dataclasses
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from balls import chords

from benchmark.cli.main import main
from benchmark.errors import InputError
from benchmark.exchange.scan_export import export_scan
from benchmark.plan.sources import open_case
from benchmark.plugins import registry
from benchmark.scan.case import Case
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan.scan import Scan

TRAIN, HELD = np.array([0.0, 0.7, 2.1, 4.4]), np.array([1.3, 3.3])


def scanner(angles: np.ndarray, **changes) -> ConeBeamGeometry:
    """Nothing square, nothing centred."""
    values = dict(
        source_to_origin=500,
        source_to_detector=800,
        detector_shape=(20, 33),
        detector_pitch=(9.0, 8.0),
        detector_offset=(7.0, -11.0),
        volume_shape=(10, 12, 16),
        volume_spacing=(10.0, 9.0, 8.0),
        volume_offset=(5.0, -3.0, 4.0),
        angles=angles,
    )
    return ConeBeamGeometry(**{**values, **changes})


def ball(**changes) -> Case:
    """Closed-form projections; the truth only has to arrive unharmed."""
    train, held = scanner(TRAIN, **changes), scanner(HELD, **changes)
    truth = 0.02 * np.random.default_rng(0).random(train.volume_shape, dtype=np.float32)
    return Case("ball", Scan(chords(train), train), truth, Scan(chords(held), held), "made up", tuple(range(4)), (4, 5))


def pixels(geometry: ConeBeamGeometry) -> tuple[np.ndarray, np.ndarray]:
    """Sources [view, 3] and pixel centres [view, v, u, 3] in our axes [mm]."""
    source, centre, u, v = geometry.vectors().transpose(1, 0, 2)
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in geometry.detector_shape)
    return source, centre[:, None, None] + rows[:, None, None] * v[:, None, None] + columns[:, None] * u[:, None, None]


def peer_rotation(theta: float) -> np.ndarray:
    """R = Rz(theta) Rz(90 deg) Rx(-90 deg) of both peers: camera axes right, down, forward."""

    def about_z(angle):
        return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])

    return about_z(theta) @ about_z(np.pi / 2) @ np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])


def test_the_naf_pickle_means_the_same_rays_to_its_own_loader(tmp_path):
    case = ball()
    path, unit = export_scan(case, "naf", tmp_path / "out")
    assert path.name == "ball_4.pickle"
    assert b"numpy._core" not in path.read_bytes()  # NumPy 1 does not know it
    data = pickle.loads(path.read_bytes())
    columns, rows = data["nDetector"]  # "W, H = geo.nDetector"
    for part, scan in (("train", case.scan), ("val", case.heldout)):
        source, centres = pixels(scan.geometry)
        uu = (np.arange(columns) + 0.5 - columns / 2) * data["dDetector"][0] + data["offDetector"][0]
        vv = (np.arange(rows) + 0.5 - rows / 2) * data["dDetector"][1] + data["offDetector"][1]
        camera = np.stack([*np.meshgrid(uu, vv), np.full((rows, columns), data["DSD"])], -1)  # [j, i, 3], times DSD
        for index, theta in enumerate(data[part]["angles"]):
            theirs = data["DSO"] * np.array([np.cos(theta), np.sin(theta), 0])
            assert theirs == pytest.approx(source[index])
            hit = theirs + camera @ peer_rotation(theta).T
            assert np.abs(hit[::-1] - centres[index]).max() < 1e-9  # their row 0 is our last
        assert np.abs(data[part]["projections"][:, ::-1] * 1000 * unit - scan.projections).max() < 1e-5
    assert (data["numTrain"], data["numVal"]) == (4, 2)
    assert np.abs(data["image"].transpose(2, 1, 0) * unit - case.truth).max() < 1e-8
    assert 0 < data["image"].max() <= 1
    x = np.linspace(-1, 1, 16) * (16 * 8.0 - 8.0) / 2 + data["offOrigin"][0]  # "linspace(-s1, s1, n1) + offOrigin"
    assert x == pytest.approx(case.scan.geometry.voxel_centres(2))


def test_the_r2_folder_means_the_same_rays_to_its_own_loader(tmp_path):
    case = ball(detector_offset=(0.0, 0.0))
    path, unit = export_scan(case, "r2", tmp_path / "out")
    meta = json.loads(path.read_text())
    scanner, half = meta["scanner"], 64.0  # [mm] half the longest edge
    assert 2 / max(scanner["sVoxel"]) == pytest.approx(1)  # "scene_scale"
    (rows, columns), size = scanner["nDetector"], scanner["sDetector"]
    tan_v, tan_u = (edge / 2 / scanner["DSD"] for edge in size)  # FovY, FovX
    across, down = ((np.arange(n) + 0.5) / n * 2 - 1 for n in (columns, rows))
    camera = np.stack([*np.meshgrid(across * tan_u, down * tan_v), np.ones((rows, columns))], -1)
    for part, scan in (("proj_train", case.scan), ("proj_test", case.heldout)):
        source, centres = pixels(scan.geometry)
        for index, frame in enumerate(meta[part]):
            theta = frame["angle"]
            theirs = scanner["DSO"] * np.array([np.cos(theta), np.sin(theta), 0])
            assert theirs * half == pytest.approx(source[index])
            hit = (theirs + scanner["DSD"] * camera @ peer_rotation(theta).T) * half
            assert np.abs(hit[::-1] - centres[index]).max() < 1e-9
            image = np.load(path.parent / frame["file_path"])
            assert np.abs(image[::-1] * half * unit - scan.projections[index]).max() < 1e-5
    assert np.abs(np.load(path.parent / meta["vol"]).transpose(2, 1, 0) * unit - case.truth).max() < 1e-8
    assert np.multiply(scanner["offOrigin"], half) == pytest.approx((4.0, -3.0, 5.0))


@pytest.mark.parametrize("format", ["naf", "r2", "folder"])
def test_our_own_readers_take_them_back(tmp_path, format):
    case = ball(**({"detector_offset": (0.0, 0.0)} if format == "r2" else {}))
    path, unit = export_scan(case, format, tmp_path / "out")
    opened = path if format == "naf" else path.parent
    found = open_case(registry.registry(), str(opened), {"views": 4, "size": 16}, (f"{format}.heldout=2",))
    length = 64.0 if format == "r2" else 1.0  # [mm] of their unit
    density = {"naf": 1 / (1000 * unit), "r2": 1 / unit, "folder": 1.0}[format]
    for ours, theirs in ((case.scan, found.scan), (case.heldout, found.heldout)):
        assert theirs.geometry.vectors() * length == pytest.approx(ours.geometry.vectors(), abs=1e-9)
        assert np.multiply(theirs.geometry.volume_bounds, length) == pytest.approx(ours.geometry.volume_bounds)
        assert theirs.projections == pytest.approx(ours.projections * density / length, rel=1e-5, abs=1e-9)
    assert found.truth == pytest.approx(case.truth * density, rel=1e-5)


def test_a_folder_keeps_what_the_peers_cannot_say(tmp_path):
    turning = dict(axis_shift=1.5, detector_roll=0.02)
    train = scanner(TRAIN, source_height=np.array([0.0, 1, 2, 3]), **turning)
    held = scanner(HELD, source_height=np.array([0.5, 2.5]), **turning)
    case = Case("odd", Scan(chords(train), train, photons=1e4, noise=0.02), None, Scan(chords(held), held), "", (0, 1, 2, 3), (4, 5))
    path, _ = export_scan(case, "folder", tmp_path / "out")
    found = open_case(registry.registry(), str(path.parent), {"views": 4, "size": 16}, ("folder.heldout=2",))
    assert found.scan.geometry.vectors() == pytest.approx(train.vectors(), abs=1e-9)
    assert found.heldout.geometry.vectors() == pytest.approx(held.vectors(), abs=1e-9)
    assert (found.scan.photons, found.scan.noise, found.truth) == (1e4, 0.02, None)
    for format in ("naf", "r2"):
        with pytest.raises(InputError, match="axis_shift and source_height.*Use --format folder"):
            export_scan(case, format, tmp_path / format)
    with pytest.raises(InputError, match="ignores an offset"):
        export_scan(ball(), "r2", tmp_path / "r2")
    vectors = ConeBeamGeometry.from_vectors(train.vectors(), detector_shape=(20, 33), volume_shape=(10, 12, 16), volume_spacing=(10, 9, 8))
    path, _ = export_scan(Case("any", Scan(chords(vectors), vectors)), "folder", tmp_path / "any")
    found = open_case(registry.registry(), str(path.parent), {"views": 4, "size": 16}, ("folder.heldout=0",))
    assert found.scan.geometry.vectors() == pytest.approx(train.vectors(), abs=1e-9)


@pytest.mark.parametrize(
    ("name", "file"),
    [("../escaped", "escaped"), ("a/b", "a-b"), ("..", "case"), ("my scan (2).b", "my scan (2).b"), ("größe_3,5", "größe_3,5")],
)
def test_a_case_s_name_leads_nowhere_else(tmp_path, name, file):
    path, _ = export_scan(dataclasses.replace(ball(), name=name), "naf", tmp_path / "out")
    assert path == tmp_path / "out" / f"{file}_4.pickle" and path.is_file()
    assert [found.name for found in tmp_path.iterdir()] == ["out"]


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["export-scan", "walnut_sample", "--views", "6", "--size", "16", "--output", "out"]
    assert main([*arguments, "--format", "naf"]) == 0
    said = capsys.readouterr().out
    assert "out/walnut_sample_6.pickle" in said and "import-volume --axes xyz --scale" in said
    assert main([*arguments, "--format", "naf"]) == 2
    assert "one that exists" in capsys.readouterr().err
    assert main([*arguments, "--format", "nafs"]) == 2
    assert "Did you mean" in capsys.readouterr().err
    assert not list(Path(tmp_path).glob(".*"))

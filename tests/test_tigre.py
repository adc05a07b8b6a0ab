"""TIGRE's axes and signs: by hand on 3-4-5 triangles, against its pose formula, there and back. What needs TIGRE itself is marked gpu."""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from balls import ball_scan, scanner
from hypothesis import given, settings
from test_projector import geometries

from benchmark.api import ConeBeamGeometry, InputError, MethodSpec, MissingDependency, Params, Run, filtered_backprojection
from benchmark.cli import doctor
from benchmark.machine import environment
from benchmark.plugins.registry import load
from benchmark.plugins.specs import resolve
from benchmark.projection import tigre

LAWS = settings(max_examples=20, deadline=None, derandomize=True)


def at_rest(angles: Any = (0.0,), **changes: Any) -> ConeBeamGeometry:
    """300 mm from source to axis, 400 mm to the detector of 3 x 5 pixels (v, u), 20 and 10 mm wide."""
    values: dict[str, Any] = dict(
        source_to_origin=300.0, source_to_detector=400.0, detector_shape=(3, 5), detector_pitch=(20.0, 10.0), volume_shape=(4, 6, 8),
        volume_spacing=(3.0, 2.0, 1.0), angles=np.asarray(angles),
    )  # fmt: skip
    return ConeBeamGeometry(**{**values, **changes})


def pose(geometry: ConeBeamGeometry) -> np.ndarray:
    """Source, detector centre and steps of one pixel [view, 4, 3] as TIGRE places them, volume offset taken out of the volume.

    In the frame of a view x points from the axis to the source, y along u, z up: the detector at x = DSO - DSD is turned about its
    own centre by Rz(rot[2]) Ry(rot[1]) Rx(rot[0]), moved by offDetector, everything is rotated by the angle and moved by COR along y.
    """
    found = types.SimpleNamespace(**tigre.values_of(geometry))
    count = len(found.angles)
    turns = np.broadcast_to(found.rotDetector, (count, 3))
    shifts = np.broadcast_to(found.offOrigin, (count, 3))[:, ::-1]  # x y z
    centred = np.array(geometry.volume_offset[::-1])
    out = []
    for angle, turn, shift, cor in zip(found.angles, turns, shifts, np.broadcast_to(found.COR, (count,)), strict=True):
        detector = rotation(2, turn[2]) @ rotation(1, turn[1]) @ rotation(0, turn[0])
        source, centre = np.array([found.DSO, 0, 0]), np.array([found.DSO - found.DSD, *found.offDetector[::-1]])
        steps = [detector @ (0, found.dDetector[1], 0), detector @ (0, 0, found.dDetector[0])]
        gantry = rotation(2, angle)
        moved = gantry @ (0, cor, 0) - shift + centred  # the image is moved by offOrigin: seen from it, all else the other way
        out.append([gantry @ source + moved, gantry @ centre + moved, *(gantry @ step for step in steps)])
    return np.array(out)


def rotation(axis: int, angle: float) -> np.ndarray:
    """About x, y or z, counter-clockwise seen from its tip."""
    matrix, (one, two) = np.eye(3), [(1, 2), (2, 0), (0, 1)][axis]
    matrix[one, one] = matrix[two, two] = np.cos(angle)
    matrix[two, one] = np.sin(angle)
    matrix[one, two] = -np.sin(angle)
    return matrix


# -- by hand ------------------------------------------------------------------------------------------------------------


def test_sizes_come_in_tigres_order():
    found = tigre.values_of(at_rest())
    assert (found["DSO"], found["DSD"]) == (300, 400)
    assert found["nVoxel"].tolist() == [4, 6, 8] and found["sVoxel"].tolist() == [12, 12, 8]  # z y x
    assert found["nDetector"].tolist() == [3, 5] and found["sDetector"].tolist() == [60, 50]  # v u


def test_an_offset_detector_makes_a_triangle_of_3_4_5():
    """A detector moved by 300 mm along +u, 400 mm away: its middle is 500 mm from the source, and lies at y = +300 at angle 0."""
    geometry = at_rest(detector_offset=(0.0, 300.0))
    assert tigre.values_of(geometry)["offDetector"].tolist() == [0, 300]
    source, centre, *_ = pose(geometry)[0]
    assert source.tolist() == [300, 0, 0] and centre.tolist() == [-100, 300, 0]
    assert np.linalg.norm(centre - source) == 500


def test_the_sign_of_v_is_that_of_z():
    """The trap: NAF counts rows from the top, TIGRE and we from the bottom. +300 mm along v is up."""
    geometry = at_rest(detector_offset=(300.0, 0.0))
    assert tigre.values_of(geometry)["offDetector"].tolist() == [300, 0]
    assert pose(geometry)[0, 1].tolist() == [-100, 0, 300]


def test_a_quarter_turn_is_counter_clockwise():
    source, centre, u, v = pose(at_rest(angles=[np.pi / 2]))[0].round(9)
    assert source.tolist() == [0, 300, 0] and centre.tolist() == [0, -100, 0]
    assert u.tolist() == [-10, 0, 0] and v.tolist() == [0, 0, 20]


def test_the_volume_moves_the_way_its_offset_says():
    """A volume at x = 300 - 400 3/5 .. by hand: a voxel column at (x, y) = (60, 80) from the axis is 100 mm away from it (6-8-10)."""
    found = tigre.values_of(at_rest(volume_offset=(5.0, 80.0, 60.0)))
    assert found["offOrigin"].tolist() == [5, 80, 60]  # z y x
    risen = tigre.values_of(at_rest(angles=[0.0, 1.0], volume_offset=(5.0, 0.0, 0.0), source_height=np.array([0.0, 30.0])))
    assert risen["offOrigin"].tolist() == [[5, 0, 0], [-25, 0, 0]]  # a source 30 mm higher sees the volume 30 mm lower


def test_a_tilt_by_the_angle_of_a_triangle_of_3_4_5():
    """A roll with tangent 3/4 takes u from (0, 10, 0) to where 8 mm go along y and 6 along z; our ray is TIGRE's -x."""
    geometry = at_rest(detector_roll=float(np.arctan2(3, 4)))
    assert tigre.values_of(geometry)["rotDetector"][0] == pytest.approx(-np.arctan2(3, 4))
    np.testing.assert_allclose(pose(geometry)[0, 2], geometry.vectors()[0, 2], atol=1e-12)
    np.testing.assert_allclose(np.abs(pose(geometry)[0, 2]), [0, 8, 6], atol=1e-12)


# -- laws ---------------------------------------------------------------------------------------------------------------


@LAWS
@given(geometry=geometries(turned=True))
def test_tigre_places_everything_where_we_do(geometry: ConeBeamGeometry) -> None:
    np.testing.assert_allclose(pose(geometry), geometry.vectors(), atol=1e-9)


def seen_from_the_volume(geometry: ConeBeamGeometry) -> np.ndarray:
    """A source that stands higher and a volume that lies lower are the same."""
    vectors = geometry.vectors()
    vectors[:, :2] -= geometry.volume_bounds[0]
    return vectors


@LAWS
@given(geometry=geometries(turned=True))
def test_there_and_back(geometry: ConeBeamGeometry) -> None:
    found = tigre.values_of(geometry)
    back = tigre.geometry_of(types.SimpleNamespace(**found), found["angles"])
    np.testing.assert_allclose(seen_from_the_volume(back), seen_from_the_volume(geometry), atol=1e-9)
    assert back.projection_shape == geometry.projection_shape and back.volume_shape == geometry.volume_shape
    euler = np.stack([found["angles"], np.zeros_like(found["angles"]), np.zeros_like(found["angles"])], 1)
    assert tigre.geometry_of(types.SimpleNamespace(**found), euler).angles.tolist() == geometry.angles.tolist()


def test_what_is_no_circle_about_z_is_refused():
    geometry = at_rest(angles=[0.0, 1.0])
    found = types.SimpleNamespace(**tigre.values_of(geometry))
    with pytest.raises(InputError, match="tigre: angles: expected rotations about z alone"):
        tigre.geometry_of(found, np.array([[0.0, 0.1, 0.0], [1.0, 0.0, 0.0]]))
    with pytest.raises(InputError, match="tigre: mode: expected 'cone', found 'parallel'"):
        tigre.geometry_of(types.SimpleNamespace(**{**vars(found), "mode": "parallel"}), geometry.angles)
    with pytest.raises(InputError, match="tigre: DSO: expected the same in all views"):
        tigre.geometry_of(types.SimpleNamespace(**{**vars(found), "DSO": np.array([300.0, 301.0])}), geometry.angles)
    with pytest.raises(InputError, match="tigre: geometry: .*found a table of vectors"):
        grid: dict[str, Any] = dict(detector_shape=(3, 5), volume_shape=(4, 6, 8), volume_spacing=(1, 1, 1))
        tigre.values_of(ConeBeamGeometry.from_vectors(geometry.vectors(), **grid))


def with_engine(spec: MethodSpec, engine: str, **changes: Any) -> Params:
    return spec.params.model_validate({"engine": engine, **changes})


# -- without TIGRE ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fdk", "sart", "ossart", "cgls", "asd_pocs", "fista_tv"])
def test_without_tigre_the_run_is_skipped_with_the_install_line(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, (scan, _) = load().methods[method], ball_scan(views=4, size=8)
    monkeypatch.setattr(tigre, "missing_modules", list)
    with pytest.raises(MissingDependency, match=r"engine tigre needs tigre \(install: pip install git\+https://.*/TIGRE\.git\)"):
        resolve(spec.target)(scan, with_engine(spec, "tigre"), Run())
    monkeypatch.setattr(tigre, "missing_modules", lambda names: [])
    with pytest.raises(MissingDependency, match="engine tigre needs a CUDA device, this run has 'cpu'"):
        resolve(spec.target)(scan, with_engine(spec, "tigre"), Run())


@pytest.fixture
def another_tigre(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package by the name of tigre that is another program, as the package index has one."""
    package = tmp_path / "tigre"
    package.mkdir()
    (package / "__init__.py").write_text("def algorithms(): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    environment.try_import.cache_clear()
    yield package / "__init__.py"
    environment.try_import.cache_clear()


def test_another_program_called_tigre_is_recognised(another_tigre: Path) -> None:
    (scan, _) = ball_scan(views=4, size=8)
    reason = f"TIGRE (tomography): the module tigre found here is not TIGRE (tomography): {another_tigre} has no geometry, Ax, Atb"
    line = "(install: pip install git+https://github.com/CERN/TIGRE.git)"
    with pytest.raises(MissingDependency) as caught:
        tigre.TigreProjector(scan.geometry, "cuda:0")
    assert str(caught.value) == f"engine tigre needs {reason} {line}"
    assert environment.needs(["tigre"]) == f"needs {reason} {line}"
    check = doctor._optional("tigre")
    assert check.status == "warning" and str(another_tigre) in check.detail and "CERN/TIGRE" in check.fix


def test_a_folder_or_a_broken_package_called_tigre_is_not_tigre(another_tigre: Path) -> None:
    another_tigre.write_text("print 'Python 2'")
    assert "SyntaxError" in environment.needs(["tigre"])
    environment.try_import.cache_clear()
    another_tigre.unlink()
    assert f"{another_tigre.parent} has no geometry, Ax, Atb, algorithms" in environment.needs(["tigre"])


def test_tigre_is_recognised_by_what_it_has(another_tigre: Path) -> None:
    another_tigre.write_text("__version__ = '3.1'\nclass geometry: ...\ndef Ax(): ...\ndef Atb(): ...\nalgorithms = None\n")
    assert environment.needs(["tigre"]) == "" and environment.try_import("tigre") == (True, "3.1")


def fake_tigre() -> Any:
    """TIGRE's calls, answered by our projector: what is handed over, and in which order, not what TIGRE computes."""
    from benchmark.projection.projector import Projector

    class Geometry:
        mode = "cone"

    def projector(values: Any, angles: np.ndarray) -> Projector:
        assert angles.dtype == np.float32
        return Projector(tigre.geometry_of(values, angles), "rays")

    def ax(volume: np.ndarray, values: Any, angles: np.ndarray, kind: str, gpuids: Any) -> np.ndarray:
        assert (kind, gpuids, volume.dtype) == ("Siddon", "gpu 0", np.float32)
        return projector(values, angles).forward(torch.from_numpy(volume)).numpy()

    def atb(projections: np.ndarray, values: Any, angles: np.ndarray, kind: str, gpuids: Any) -> np.ndarray:
        assert (kind, gpuids, projections.dtype) == ("matched", "gpu 0", np.float32)
        return projector(values, angles).adjoint(torch.from_numpy(projections)).numpy()

    def fdk(projections: np.ndarray, values: Any, angles: np.ndarray, **how: Any) -> np.ndarray:
        assert how == {"filter": "ram_lak", "dowang": False, "verbose": False, "gpuids": "gpu 0"}
        return filtered_backprojection(projections, tigre.geometry_of(values, angles), filter="ram-lak")[0]

    return types.SimpleNamespace(geometry=lambda mode: Geometry(), Ax=ax, Atb=atb, algorithms=types.SimpleNamespace(fdk=fdk))


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("fdk", {"filter": "ram-lak"}),
        ("sart", {"iterations": 2}),
        ("sart", {"iterations": 2, "subset": 3}),
        ("ossart", {"iterations": 2}),
        ("cgls", {"most": 4}),
        ("asd_pocs", {"iterations": 3, "alpha": 0.02}),  # long steps of descent make much of small differences
        ("fista_tv", {"iterations": 4, "weight": 0.01}),
    ],
)
def test_methods_run_on_tigres_operators(method: str, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    spec, (scan, _) = load().methods[method], ball_scan(views=8, size=10, detector_offset=(4.0, 0.0), volume_offset=(3.0, -2.0, 1.0))
    expected = resolve(spec.target)(scan, spec.params(**changes), Run())
    monkeypatch.setattr(tigre, "_loaded", lambda device: (fake_tigre(), "gpu 0"))
    monkeypatch.setattr(tigre, "version", lambda name: "9.9" if name == "pytigre" else "")
    found = resolve(spec.target)(scan, with_engine(spec, "tigre", **changes), Run())
    assert (expected.engine, found.engine) == ("native", "tigre 9.9")
    assert np.linalg.norm(found.volume - expected.volume) < 5e-3 * np.linalg.norm(expected.volume)  # angles in float32, and along rays


def test_a_short_scan_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tigre, "_loaded", lambda device: (fake_tigre(), "gpu 0"))
    for arc, noted in ((360.0, False), (200.0, True)):
        geometry = scanner(views=10, arc=arc, size=8)
        _, info = tigre.tigre_fdk(np.zeros(geometry.projection_shape, np.float32), geometry, "ram-lak", "cuda:0")
        assert ("note" in info) == noted


def skip_without_tigre() -> None:
    if reason := environment.needs(["tigre"]):
        pytest.skip(reason)


# -- with it ------------------------------------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.filterwarnings("default")  # TIGRE's own
@pytest.mark.parametrize(("method", "changes", "bound"), [("fdk", {"filter": "ram-lak"}, 1e-3), ("sart", {"iterations": 1}, 1e-2)])
def test_tigre_and_native_agree(method: str, changes: dict[str, Any], bound: float, cuda: str) -> None:
    skip_without_tigre()
    spec, (scan, _) = load().methods[method], ball_scan(views=60, size=64)
    native, other = (
        resolve(spec.target)(scan, with_engine(spec, engine, **changes), Run(device=cuda)).volume for engine in ("native", "tigre")
    )
    inside = (slice(8, -8),) * 3  # at the faces interpolations differ
    assert np.linalg.norm((native - other)[inside]) < bound * np.linalg.norm(native[inside])


@pytest.mark.gpu
@pytest.mark.filterwarnings("default")
def test_tigres_operators_are_each_others_transpose(cuda: str) -> None:
    skip_without_tigre()
    geometry = scanner(views=7, size=20, detector_offset=(12.0, -20.0), volume_offset=(8.0, -6.0, 4.0), detector_roll=0.1)
    projector = tigre.TigreProjector(geometry, cuda)
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(geometry.volume_shape, generator=generator), torch.rand(geometry.projection_shape, generator=generator)
    forward, adjoint = float((projector.forward(x).double() * y).sum()), float((projector.adjoint(y).double() * x).sum())
    assert forward == pytest.approx(adjoint, rel=1e-3)

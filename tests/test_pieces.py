"""Scans and volumes larger than memory: loaded, stored, rendered and scored in pieces, with the numbers of the whole."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
import yaml
from balls import ball_scan, scanner

from benchmark.api import Case, Projector, Scan, Voxels
from benchmark.datasets.folder import FolderParams, load
from benchmark.errors import InputError
from benchmark.execution.verdict import load_volume
from benchmark.files.images import tiff_pages
from benchmark.metrics import register_metrics, similarity
from benchmark.metrics.scorer import Scorer
from benchmark.projection import slabs
from benchmark.records import nifti
from benchmark.records.results import Results
from benchmark.records.store import Store
from benchmark.scan.reconstruction import volume_digest
from benchmark.scan_folder.load import open_scan_folder
from benchmark.storage import mapped
from benchmark.storage.atomic import StorageError

SPHERE = {"centre": [20.0, -10.0, 5.0], "radius": 50.0}


@pytest.fixture
def in_files(monkeypatch: pytest.MonkeyPatch) -> Any:
    """From now on arrays of more than so many bytes lie in files."""
    return lambda most: monkeypatch.setattr(mapped, "WHOLE", most)


def ball_case(**keys: Any) -> tuple[Case, np.ndarray]:
    """A case with truth and held-out views, and a volume that is a little wrong."""
    scan, truth = ball_scan(noise=0.02, volume_shape=(22, 24, 26), **keys)
    heldout = Scan(scan.projections[::5], scan.geometry.subset(range(0, scan.geometry.views, 5)))
    rough = truth + 0.002 * np.random.default_rng(0).standard_normal(truth.shape)
    return Case("ball", scan, truth, heldout, facts={"sphere": SPHERE, "mu_water": 0.0206}), rough.astype(np.float32)


def on_disk(array: np.ndarray) -> np.ndarray:
    found = mapped.copied(array)
    assert mapped.is_read_only_file(found)
    return found


# -- arrays in files ----------------------------------------------------------------------------------------------------------


def test_pieces_cover_an_array_once(in_files: Any) -> None:
    in_files(100)
    array = on_disk(np.arange(7 * 9, dtype=np.float32).reshape(7, 9))
    assert [(part.start, part.stop) for part in mapped.pieces(array)] == [(0, 2), (2, 4), (4, 6), (6, 7)]
    assert [(part.start, part.stop) for part in mapped.pieces(array, 1)] == [(index, index + 1) for index in range(7)]
    assert mapped.extent(array) == (0, 62) and mapped.not_finite(array) == 0
    holes = array.copy()
    holes[3, 4] = holes[6, 1] = np.nan
    assert np.isnan(mapped.extent(holes)).all() and mapped.not_finite(holes) == 2


def test_a_file_is_saved_as_numpy_saves_it(in_files: Any, tmp_path: Path) -> None:
    array = np.random.default_rng(0).random((5, 6, 7), dtype=np.float32)
    np.save(tmp_path / "numpy.npy", array)
    in_files(100)
    mapped.save(tmp_path / "ours.npy", on_disk(array))
    assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "numpy.npy").read_bytes()
    assert mapped.is_read_only_file(mapped.load(tmp_path / "ours.npy"))


def test_changes_that_no_file_knows_are_kept(tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", np.zeros((4, 5, 6), np.float32))
    private = np.load(tmp_path / "p.npy", mmap_mode="c")
    private[2] = 7
    assert mapped.not_finite(private) == 0 and mapped.extent(private) == (0, 7) and private.sum() == 7 * 30


def test_files_leave_nothing_behind_and_a_full_disk_is_an_error(in_files: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEED_CACHE", str(tmp_path))
    in_files(100)
    found = on_disk(np.ones((9, 9), np.float32))
    assert found.sum() == 81 and list((tmp_path / "scratch").iterdir()) == []
    with pytest.raises(StorageError, match="scratch: could not be written"):
        mapped.filled((1 << 20, 1 << 20, 1 << 10), lambda array: None)


# -- the same numbers ---------------------------------------------------------------------------------------------------------


def test_every_score_of_arrays_in_files_is_the_one_in_memory(in_files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    case, rough = ball_case()
    whole, _ = Scorer(case, register_metrics()).score(rough)
    in_files(8000)
    monkeypatch.setattr(similarity, "SLAB", 4000)
    monkeypatch.setattr(slabs, "AT_ONCE", 9000)
    same = Case(case.name, case.scan, on_disk(case.truth), case.heldout, facts=case.facts)
    pieces, problems = Scorer(same, register_metrics()).score(on_disk(rough))
    assert problems == [] and whole.keys() == pieces.keys() and sum(value is not None for value in whole.values()) > 15
    for name, value in whole.items():  # volumes to the last digits, what is rendered to float rounding
        assert pieces[name] == (None if value is None else pytest.approx(value, rel=1e-12 if name.startswith("volume") else 1e-5)), name


@pytest.mark.parametrize("orbit", [{}, {"detector_yaw": 0.1, "detector_roll": 0.2}, {"source_height": np.linspace(-9, 9, 20)}])
def test_a_volume_is_rendered_as_the_projector_does(orbit: dict[str, Any], in_files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    geometry = scanner(**orbit)
    volume = np.random.default_rng(0).random(geometry.volume_shape, dtype=np.float32)
    expected = Projector(geometry).forward(torch.from_numpy(volume)).numpy()
    np.testing.assert_array_equal(slabs.project(volume, geometry), expected)
    monkeypatch.setattr(slabs, "AT_ONCE", 20_000)  # 3 views and 8 planes
    np.testing.assert_array_equal(slabs.project(volume, geometry), expected)
    in_files(1000)
    np.testing.assert_allclose(slabs.project(on_disk(volume), geometry), expected, rtol=2e-5, atol=2e-3)


def test_a_case_in_files_is_stored_and_read_with_the_same_digest(in_files: Any, tmp_path: Path) -> None:
    case, rough = ball_case()
    expected, digest = case.digest, volume_digest(rough)
    nifti.write_volume(tmp_path / "whole.nii.gz", rough, case.scan.geometry)
    np.save(tmp_path / "double.npy", rough.astype(np.float64))
    in_files(3000)
    case = Case(case.name, case.scan, on_disk(case.truth), case.heldout)
    assert mapped.is_read_only_file(case.truth) and case.digest == expected
    store = Store(tmp_path / "results")
    store.prepare()
    store.write_case(case, "ball", {})
    stored = Results.open(store.folder).case_of(expected)
    again = stored.load()
    assert again.digest == expected
    for array in (again.scan.projections, again.heldout.projections, again.truth):
        assert mapped.is_read_only_file(array)
    nifti.write_volume(tmp_path / "pieces.nii.gz", on_disk(rough), case.scan.geometry)
    assert (tmp_path / "pieces.nii.gz").read_bytes() == (tmp_path / "whole.nii.gz").read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes((tmp_path / "whole.nii.gz").read_bytes()[:-100])
    with pytest.raises(OSError, match="cut.nii.gz: not a complete NIfTI volume"):
        nifti.read_volume(tmp_path / "cut.nii.gz")
    returned, _ = load_volume(tmp_path / "double.npy", case)  # as a method may have left it
    assert mapped.is_read_only_file(returned) and volume_digest(returned) == digest


def test_projections_of_earlier_versions_stay_readable(tmp_path: Path) -> None:
    case, _ = ball_case()
    store = Store(tmp_path)
    store.prepare()
    store.write_case(case, "ball", {})
    for path in list(tmp_path.glob("cases/*/*.npy")):
        np.savez(path.with_suffix(".npz"), projections=np.load(path))
        path.unlink()
    assert Results.open(tmp_path).case_of(case.digest).load().digest == case.digest


def scan_folder(folder: Path, file: str, projections: np.ndarray, truth: np.ndarray) -> Path:
    """The scan of a ball in one of the formats, with a truth that runs the other way and counts in HU."""
    folder.mkdir()
    if file == "p":
        (folder / "p").mkdir()
        for index, view in enumerate(projections):
            tifffile.imwrite(folder / "p" / f"{index:03d}.tif", view)
    elif file == "p.tif":
        tifffile.imwrite(folder / file, projections, photometric="minisblack", compression="zlib")
    elif file == "p.npz":
        np.savez_compressed(folder / file, p=projections)
    elif file == "p.raw":
        projections.tofile(folder / file)
    else:
        np.save(folder / file, projections)
    np.save(folder / "truth.npy", ((truth / 0.0206 - 1) * 1000)[::-1, :, ::-1].transpose(2, 1, 0))
    content: dict[str, Any] = {
        "projections": {"file": file, "first_row": "top", "scale": 2.0},
        "geometry": {"source_to_origin": 500, "source_to_detector": 700, "detector_pitch": 400 / 36},
        "angles": {"arc": 360},
        "volume": {"extent": [192, 192, 192]},
        "truth": {"file": "truth.npy", "axes": ["x", "y", "z"], "flip": ["z", "x"], "unit": "HU"},
    }
    if file == "p.raw":
        content["projections"]["raw"] = {"shape": list(projections.shape), "dtype": "float32"}
    (folder / "scan.yaml").write_text(yaml.safe_dump(content))
    return folder


@pytest.mark.parametrize("file", ["p.npy", "p.raw", "p", "p.tif", "p.npz"])
def test_a_scan_folder_is_loaded_view_by_view(file: str, in_files: Any, tmp_path: Path) -> None:
    scan, truth = ball_scan()
    folder = scan_folder(tmp_path / "scan", file, scan.projections[:, ::-1] / 2, truth)
    params = FolderParams(path=str(folder), views=10, heldout=3, size=18, bin=1)
    whole = load(params)
    np.testing.assert_array_equal(whole.scan.projections, scan.projections[list(whole.training_views)])
    in_files(2000)
    pieces = load(params)
    assert pieces.scan.digest == whole.scan.digest and pieces.heldout.digest == whole.heldout.digest
    np.testing.assert_allclose(pieces.truth, whole.truth, atol=1e-6 * truth.max())
    assert all(mapped.is_read_only_file(array) for array in (pieces.scan.projections, pieces.heldout.projections, pieces.truth))


def test_a_truth_in_a_file_is_averaged_over_any_grid(in_files: Any) -> None:
    values = np.random.default_rng(0).random((13, 11, 17), dtype=np.float32)
    places = [(shape, (offset, 3.0, -2.0)) for shape in ((24, 9, 5), (4, 40, 8)) for offset in (0.0, 90.0, 300.0)]
    grids = [scanner(volume_shape=shape, volume_offset=offset) for shape, offset in places]
    expected = [Voxels(values, (9.0, 8.0, 7.0), (4.0, 0.0, 1.0)).averaged(grid) for grid in grids]
    in_files(3000)
    voxels = Voxels(on_disk(values), (9.0, 8.0, 7.0), (4.0, 0.0, 1.0))
    for grid, whole in zip(grids, expected, strict=True):
        np.testing.assert_allclose(voxels.averaged(grid), whole, atol=2e-6)


def test_compressed_pages_are_read_one_at_a_time(tmp_path: Path) -> None:
    pages = np.random.default_rng(0).random((6, 7, 8), dtype=np.float32)
    tifffile.imwrite(tmp_path / "p.tif", pages, photometric="minisblack", compression="zlib")
    stack = tiff_pages(tmp_path / "p.tif")
    assert stack.array is None
    np.testing.assert_array_equal([stack.page(index) for index in range(6)], pages)


def test_a_scan_on_the_disk_may_be_larger_than_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its header says how much there is, the (sparse) file really holds it, and only what is asked for is read."""
    scan, truth = ball_scan()
    folder = scan_folder(tmp_path / "scan", "p.raw", scan.projections, truth)

    def stretched(*shape: int) -> None:
        content = yaml.safe_load((folder / "scan.yaml").read_text())
        content["projections"]["raw"]["shape"] = list(shape)
        (folder / "scan.yaml").write_text(yaml.safe_dump(content))
        os.truncate(folder / "p.raw", math.prod(shape) * 4)

    stretched(50_000, 36, 36)
    monkeypatch.setattr("benchmark.files.limits.memory_limit", lambda: 1 << 20)
    np.testing.assert_array_equal(open_scan_folder(folder).view(3), 2 * scan.projections[3, ::-1])
    stretched(10**9, 1, 1)
    with pytest.raises(InputError, match="expected at most 100000 views, found 1000000000 of 1000000000 x 1 x 1. Check projections.axes"):
        open_scan_folder(folder)


# -- memory -------------------------------------------------------------------------------------------------------------------

LIMITED = """
import sys
from pathlib import Path
import torch
from benchmark.storage import mapped
from benchmark.machine.clock import memory_mb, peak_memory_mb
from benchmark.projection import slabs
from benchmark.kernels.cpu_library import library
from benchmark.metrics import register_metrics, similarity
from benchmark.metrics.scorer import Scorer
from benchmark.records.store import Store
from benchmark.scan.reconstruction import volume_digest
from benchmark.datasets.folder import FolderParams, load

torch.set_num_threads(1)
library()
folder, results, most = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
mapped.WHOLE, slabs.AT_ONCE, similarity.SLAB = most, 4 * most, min(most // 16, 1 << 22)
Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
before = memory_mb()

case = load(FolderParams(path=str(folder), views=100, heldout=4, size=200))
store = Store(results)
store.prepare()
store.write_case(case, "folder", {})
chosen = [metric for metric in register_metrics() if metric.name == "psnr"]
values, problems = Scorer(case, chosen).score(case.truth)
assert problems == [], problems
print(case.digest, volume_digest(case.truth), values["volume_psnr"], values["fit_psnr"], peak_memory_mb() - before)
"""


@pytest.fixture
def large(tmp_path: Path) -> Any:
    """Runs the script above on 32 MB of truth and 16 MB of projections; what it found, and by how many MiB it grew."""
    shape = (110, 160, 250)
    folder = tmp_path / "scan"
    folder.mkdir()
    np.random.default_rng(0).random(shape, dtype=np.float32).tofile(folder / "p.raw")
    truth = np.zeros((200, 200, 200), np.float32)
    truth[60:140, 60:140, 60:140] = 0.02
    np.save(folder / "truth.npy", truth)
    content = {
        "projections": {"file": "p.raw", "raw": {"shape": list(shape), "dtype": "float32"}},
        "geometry": {"source_to_origin": 500, "source_to_detector": 700, "detector_pitch": 1.6},
        "angles": {"arc": 360},
        "volume": {"extent": [200, 200, 200]},
        "truth": {"file": "truth.npy"},
    }
    (folder / "scan.yaml").write_text(yaml.safe_dump(content))

    def run(most: int) -> tuple[list[str], float]:
        command = [sys.executable, "-c", LIMITED, str(folder), str(tmp_path / f"results-{most}"), str(most)]
        root = Path(__file__).resolve().parent.parent
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
        done = subprocess.run(command, capture_output=True, text=True, cwd=root, env=environment)
        assert done.returncode == 0, done.stderr
        *found, peak = done.stdout.split()
        return found, float(peak)

    return run


LITTLE = 150  # [MiB]; in memory it is 240
PEAKS = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system does not tell the peak of a part")


@PEAKS
def test_loading_storing_and_scoring_take_little_memory(large: Any) -> None:
    assert large(4 << 20)[1] < LITTLE


@PEAKS
@pytest.mark.slow
def test_the_same_in_memory_takes_more_and_gives_the_same(large: Any) -> None:
    (*same, fit), _ = large(4 << 20)
    (*whole, fit_whole), much = large(1 << 40)
    assert same == whole and float(fit) == pytest.approx(float(fit_whole), abs=1e-4) and much > LITTLE

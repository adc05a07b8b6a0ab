"""Damage at random: input files over all readers, stored results, geometries over all methods. How often: see fuzz.numbers."""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import shutil
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fuzz import Faults, damaged, numbers, told
from scanner_files import compound_file
from test_pictures import save_his

from benchmark.api import Case, ConeBeamGeometry, Projector, Run, Scan
from benchmark.audit.verify import verify_files
from benchmark.cli.main import main
from benchmark.errors import InputError
from benchmark.execution.eligibility import skip_reason
from benchmark.plugins.registry import registry
from benchmark.plugins.specs import resolve
from benchmark.records.record import RunSpec
from benchmark.records.results import Results
from benchmark.runtime.checkpoint import Checkpoint
from benchmark.storage.atomic import StorageError
from benchmark.storage.cache import read_arrays, write_arrays
from benchmark.storage.sealed import is_intact, seal
from benchmark.sweep.claims import Claims

HERE = Path(__file__).resolve().parent
VOLUME = np.random.default_rng(0).normal(100, 30, (6, 7, 8)).astype(np.float32)
MOST_MEMORY = 2000  # [MiB] of a process that reads damaged files, its imports among them


def dicom(path: Path, frames: int, syntax: str) -> None:
    import pydicom
    from pydicom.uid import CTImageStorage, generate_uid

    data = pydicom.dataset.FileDataset(str(path), {}, file_meta=pydicom.dataset.FileMetaDataset(), preamble=bytes(128))
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.TransferSyntaxUID = CTImageStorage, pydicom.uid.UID(syntax)
    data.SOPClassUID, data.SOPInstanceUID, data.SeriesInstanceUID, data.Modality = CTImageStorage, generate_uid(), generate_uid(), "CT"
    data.Rows, data.Columns, data.NumberOfFrames, data.BitsAllocated, data.BitsStored, data.HighBit = 7, 8, frames, 16, 16, 15
    data.SamplesPerPixel, data.PixelRepresentation, data.PhotometricInterpretation = 1, 0, "MONOCHROME2"
    data.PixelSpacing, data.SliceThickness = [1, 1], 1
    data.ImagePositionPatient, data.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    data.RescaleSlope, data.RescaleIntercept = 1, -1000
    data.PixelData = VOLUME[:frames].astype(np.uint16).tobytes()
    data.save_as(path, enforce_file_format=True)


def originals(folder: Path) -> None:
    """Write an undamaged file of each format."""
    import nibabel
    import SimpleITK as itk
    import tifffile
    from PIL import Image

    counts = VOLUME.astype(np.uint16)
    np.save(folder / "a.npy", VOLUME)
    np.savez(folder / "a.npz", stack=VOLUME)
    np.savez_compressed(folder / "b.npz", stack=VOLUME)
    tifffile.imwrite(folder / "a.tif", counts, photometric="minisblack")
    tifffile.imwrite(folder / "b.tif", counts, photometric="minisblack", compression="zlib")
    tifffile.imwrite(folder / "c.tif", counts, photometric="minisblack", imagej=True)
    Image.fromarray(counts[0]).save(folder / "a.png")
    Image.fromarray(counts[0].astype(np.uint8)).save(folder / "a.bmp")
    image: Any = nibabel.Nifti1Image(VOLUME.T, np.diag([1.0, 2.0, 3.0, 1.0]))
    nibabel.save(image, folder / "a.nii")
    nibabel.save(image, folder / "a.nii.gz")
    nibabel.save(nibabel.Nifti2Image(VOLUME.T, np.eye(4)), folder / "b.nii")  # type: ignore[no-untyped-call]
    volume = itk.GetImageFromArray(VOLUME)
    for name, packed in (("a.nrrd", False), ("b.nrrd", True), ("a.mha", False), ("b.mha", True), ("a.nhdr", False), ("a.mhd", False)):
        itk.WriteImage(volume, str(folder / name), packed)
    save_his(folder / "a.his", counts)
    words = "HeaderID = EH:000001:000000:000000 ;\nByteOrder = LowByteFirst ;\nDataType = UnsignedShort ;\n"
    words += "Dim_1 = 8 ;\nDim_2 = 7 ;\nSize = 112 ;\n"
    (folder / "a.edf").write_bytes(f"{{\n{words}".encode().ljust(510) + b"}\n" + counts[0].tobytes())
    facts = {"ImageWidth": 8, "ImageHeight": 7, "NoOfImages": 2, "DataType": 5}
    streams = {f"ImageInfo/{name}": value.to_bytes(4, "little") for name, value in facts.items()}
    streams |= {f"ImageData1/Image{number}": counts[number - 1].tobytes() for number in (1, 2)}
    (folder / "a.txrm").write_bytes(compound_file(streams))
    for name, syntax in (("a", "1.2.840.10008.1.2.1"), ("b", "1.2.840.10008.1.2"), ("c", "1.2.840.10008.1.2.1.99")):
        dicom(folder / f"{name}.dcm", 3, syntax)
    content = {"image": VOLUME, "angles": np.arange(3.0), "mode": "cone", "nested": {"a": [1, 2.5, None]}}
    for protocol in (0, 2, 5):
        (folder / f"{protocol}.pickle").write_bytes(pickle.dumps(content, protocol))
    Checkpoint({"method": "naf"}, 3, 1.0, {}, {"weights": torch.arange(20.0)}, counters={}).write(folder / "a.pt")
    (folder / "a.csv").write_text("angle [deg],offset\n" + "".join(f"{k * 1.5},{k}\n" for k in range(20)))
    (folder / "a.txt").write_text("".join(f"{k * 0.1:.4f} {k}\n" for k in range(20)))
    (folder / "a.swc").write_text("".join(f"{k} 3 {k}.0 0 1 0.5 {k - 1 if k > 1 else -1}\n" for k in range(1, 20)))
    (folder / "a.yaml").write_text(
        "datasets: [ball]\nmethods:\n  - {naf: {steps: 10, grid: {hidden: [8, 16]}}}\nviews: [5, 10]\nbudget: 10s\n"
    )
    (folder / "scan.yaml").write_text(
        "projections: {file: a.tif}\ngeometry:\n  source_to_origin: 100\n  source_to_detector: 150\n  detector_pitch: [1, 1]\n"
        "angles: {first: 0, step: 60}\nvolume: {shape: [8, 8, 8], extent: [8, 8, 8]}\n"
    )


def readings(folder: Path, wanted: range) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, sys.path)])}
    command = [sys.executable, str(HERE / "fuzz_readers.py"), str(folder), str(wanted.start), str(wanted.stop)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_undamaged_files_are_read(tmp_path: Path) -> None:
    """Else damage would show nothing."""
    from fuzz_readers import read

    originals(tmp_path)
    for path in sorted(tmp_path.iterdir()):
        try:
            read(path)
        except InputError as error:
            raise AssertionError(path.name) from error


def test_no_damaged_input_file_is_more_than_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "originals"
    folder.mkdir()
    originals(folder)
    *faults, last = readings(folder, numbers(300, 100_000)).splitlines()
    assert faults == []
    assert int(last.split()[-2]) < MOST_MEMORY


# -- stored results -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs on one case, one with a checkpoint, and what a killed sweep leaves."""
    folder = tmp_path_factory.mktemp("swept") / "results"
    sets = [part for value in ("steps=4", "base=4", "log2_entries=8", "hidden=8", "refine=0") for part in ("--set", f"naf.{value}")]
    words = ["run", "--datasets", "ball", "--views", "6", "--size", "12", "--methods", "fdk,sart,naf", *sets, "--no-report", "--in-process"]
    assert main([*words, "--output", str(folder)]) == 0
    sweep = Claims(folder)
    sweep.__enter__()
    for run in folder.glob("runs/*"):
        (run / "attempt-0002.claim").write_text(sweep.token)
    write_arrays(folder / "cache.npz", {"a": np.arange(50.0), "b": np.ones((3, 4), np.float32)})
    (folder / "kernels.so").write_bytes(random.Random(0).randbytes(5000))
    seal(folder / "kernels.so")
    kept = folder.with_name("kept")
    shutil.copytree(folder, kept)
    sweep.__exit__()
    return kept


GROUPS = ("cases/*/*", ".sweeps/*.json", "cache.npz", "kernels.so*", "suite.json")


def targets(folder: Path) -> list[list[Path]]:
    """Files in groups of which one may be damaged at a time: damage to a record would hide that to its volume, and so on."""
    patterns = [*(f"runs/{run.name}/*" for run in sorted(folder.glob("runs/*"))), *GROUPS]
    found = [[path for path in sorted(folder.glob(pattern)) if path.is_file()] for pattern in patterns]
    assert len(found) == 8 and all(found)
    return found


def contents(folder: Path) -> dict[str, Any]:
    """Return all that a command would take from a folder: scores, digests of volumes, cases, states and caches."""
    results = Results(folder)
    found: dict[str, Any] = {"problems": len(results.problems)}
    for record in results.records:
        found[f"record {record.run_id}"] = record.model_dump_json()
        with contextlib.suppress(InputError):
            volume = results.volume(record)
            found[f"volume {record.run_id}"] = None if volume is None else volume.tobytes()
        with contextlib.suppress(InputError):
            case = results.case(record)
            found[f"case {record.run_id}"] = None if case is None else case.load().digest
        path = results.folder_of(record) / "checkpoint.pt"
        if path.exists():
            with contextlib.suppress(InputError):
                found[f"state {record.run_id}"] = repr(Checkpoint.read(path))
    results.frame()
    list(verify_files(results))
    arrays = read_arrays(folder / "cache.npz")
    if arrays is not None:
        found["cache"] = {name: (array.shape, array.tobytes()) for name, array in arrays.items()}
    if is_intact(folder / "kernels.so"):
        found["kernels"] = (folder / "kernels.so").read_bytes()
    with contextlib.suppress(StorageError), Claims(folder) as claims:
        for run in sorted(path.name for path in folder.glob("runs/*")):
            attempt = claims.take(run)
            if attempt is not None:
                claims.release(run, attempt)
    return found


def restore(folder: Path, kept: dict[Path, bytes]) -> None:
    """Make a folder what it was."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path not in kept and path.is_file():
            path.unlink()
        elif path in kept and path.is_dir():
            path.rmdir()
    for path, content in kept.items():
        if not path.exists() or path.read_bytes() != content:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)


def test_no_damaged_stored_file_is_a_fault_or_changes_a_score(swept: Path, tmp_path: Path) -> None:
    """Each try damages eight files that do not hide each other."""
    folder = Path(shutil.copytree(swept, tmp_path / "results"))
    kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    chosen, faults, expected = targets(folder), Faults(), contents(folder)
    assert expected["problems"] == 0 and len([name for name in expected if name.startswith("record")]) == 3
    garbage = (b"", b"[]", b"null", b"{}", b"\x00\xff\xfe", b'{"machine": [1], "token": {}}', b"9" * 5000)
    for number in told(numbers(4, 1250)):
        rng, where = random.Random(number), f"try {number}:"
        restore(folder, kept)
        for group in chosen:
            path = rng.choice(group)
            where += f" {path.relative_to(folder)}"
            if rng.random() < 0.05:
                path.unlink()
                path.mkdir()
            else:
                path.write_bytes(rng.choice(garbage) if rng.random() < 0.15 else damaged(kept[path], rng))
        try:
            found = contents(folder)
        except Exception:
            faults.add(f"{where}: {traceback.format_exc()}")
            continue
        for name, value in found.items():
            if name != "problems" and value != expected.get(name):
                faults.add(f"{where}: {name} changed")
    assert faults == []


# -- geometries ---------------------------------------------------------------------------------------------------------

SETTINGS: dict[str, dict[str, Any]] = {
    "asd_pocs": {"iterations": 10},
    "fista_tv": {"iterations": 10},
    "naf": {"steps": 3, "rays": 64, "base": 4, "log2_entries": 8, "hidden": 8, "refine": 2},
    "zerorf": {"steps": 2, "members": 1, "finetune": 1, "finetune_rays": 64, "channels": (8, 4), "refine": 2},
    "gaussians": {"steps": 2, "gaussians": 30, "refine": 2},
    "carve": {"steps": 2, "voxels": 8, "channels": 2, "levels": 2, "networks": 1, "refine": 2},
    "blend": {"gaussians": 2, "naf": 3, "zerorf": 1},
}


def random_geometry(rng: np.random.Generator) -> ConeBeamGeometry:
    """A scanner: not cubic, tilted, off centre, helical, by vectors, one slice, one row. Raise InputError if it sees nothing."""
    shape = rng.integers(1, 14, 3)
    if rng.random() < 0.2:
        shape[rng.integers(3)] = 1
    rows, columns = int(rng.integers(1, 16)), int(rng.integers(1, 20))
    views = int(rng.integers(1, 9))
    source = float(rng.uniform(60, 400))
    more: dict[str, Any] = {}
    if rng.random() < 0.4:
        more |= {
            "axis_shift": float(rng.normal(0, 1)),
            "detector_roll": float(rng.normal(0, 0.1)),
            "detector_yaw": float(rng.normal(0, 0.1)),
        }
    if rng.random() < 0.3:
        more["source_height"] = np.linspace(-3, 3, views)
    geometry = ConeBeamGeometry(
        source_to_origin=source,
        source_to_detector=source * float(rng.uniform(1.1, 3)),
        detector_shape=(1 if rng.random() < 0.1 else rows, columns),
        detector_pitch=(float(rng.uniform(0.5, 3)), float(rng.uniform(0.5, 3))),
        volume_shape=(int(shape[0]), int(shape[1]), int(shape[2])),
        volume_spacing=(float(rng.uniform(0.3, 2)), float(rng.uniform(0.3, 2)), float(rng.uniform(0.3, 2))),
        angles=rng.uniform(0, 2 * np.pi, views) if rng.random() < 0.3 else np.linspace(0, rng.uniform(1, 7), views, endpoint=False),
        **more,
    )
    if rng.random() < 0.25:
        grid = {name: getattr(geometry, name) for name in ("detector_shape", "volume_shape", "volume_spacing")}
        vectors = geometry.vectors()
        vectors[:, :2] += rng.normal(0, 0.5, (views, 2, 3))  # [mm] that source and detector are off their circle
        geometry = ConeBeamGeometry.from_vectors(vectors, **grid)
    geometry.check_sees_volume()
    return geometry


def random_case(rng: np.random.Generator) -> Case:
    """A block seen by a random scanner that sees it."""
    while True:
        with contextlib.suppress(InputError):
            geometry = random_geometry(rng)
            break
    truth = np.zeros(geometry.volume_shape, np.float32)
    truth[tuple(slice(n // 4, max(n // 4 + 1, n - n // 4)) for n in truth.shape)] = 0.03
    return Case("block", Scan(Projector(geometry).forward(torch.from_numpy(truth)).numpy(), geometry), truth)


@pytest.mark.usefixtures("one_thread")
def test_every_method_takes_every_geometry_or_says_why_not() -> None:
    faults = Faults()
    for number in told(numbers(2, 500)):
        case = random_case(np.random.default_rng(number))
        for name, spec in registry().methods.items():
            params = spec.params(**SETTINGS.get(name, {}))
            run = RunSpec(dataset="x", dataset_params={}, method=name, method_params=params.model_dump())
            if skip_reason(spec, run, case):
                continue
            try:
                found = np.asarray(resolve(spec.target)(case.scan, params, Run(seed=0)).volume)
            except InputError:
                continue
            except Exception:
                faults.add(f"geometry {number}: {name}: {traceback.format_exc()}")
                continue
            if found.shape != case.scan.geometry.volume_shape or not np.isfinite(found).all():
                faults.add(f"geometry {number}: {name}: {found.shape}, finite {np.isfinite(found).all()}")
    assert faults == []

"""A results folder with made-up runs for the tests of report and comparison: written by the real Store, no method involved."""

import datetime

import numpy as np

from benchmark.metrics import volume as volume_metrics
from benchmark.records.record import CurvePoint, RunRecord, RunSpec
from benchmark.records.store import Results, Store
from benchmark.scan.case import Case
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan.scan import Scan

LEVELS = {"fdk": 0.16, "sart": 0.08, "fista_tv": 0.05, "naf": 0.06, "zerorf": 0.045}  # share of the range that is noise, at 10 views
TAGS = {"fdk": ["classical"], "sart": ["classical"], "fista_tv": ["classical", "regularised"], "naf": ["neural"], "zerorf": ["neural"]}
SECONDS = {"fdk": 0.2, "sart": 6.0, "fista_tv": 19.0, "naf": 60.0, "zerorf": 90.0}


def truth(shape=(20, 24, 28)):
    """Three ellipsoids, [z, y, x] in 1/mm."""
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    body = 0.02 * (x**2 / 0.8 + y**2 / 0.6 + z**2 / 0.9 < 1)
    lung = -0.015 * ((x - 0.4) ** 2 / 0.06 + y**2 / 0.15 + z**2 / 0.4 < 1) - 0.015 * ((x + 0.4) ** 2 / 0.06 + y**2 / 0.15 + z**2 / 0.4 < 1)
    bone = 0.03 * (x**2 / 0.02 + (y + 0.5) ** 2 / 0.02 < 1) * (abs(z) < 0.8)
    return (body + lung + bone).astype(np.float32)


def case(name="chest", views=10, shape=(20, 24, 28), with_truth=True, seed=0):
    """A case whose projections are random numbers: nobody reconstructs them."""
    rng = np.random.default_rng([seed, views])

    def scan(count, offset):
        geometry = ConeBeamGeometry(
            source_to_origin=500.0,
            source_to_detector=800.0,
            detector_shape=(24, 32),
            detector_pitch=(3.0, 3.0),
            volume_shape=shape,
            volume_spacing=(2.0, 1.5, 1.5),
            angles=offset + np.arange(count) * 2 * np.pi / count,
        )
        return Scan(rng.random(geometry.projection_shape), geometry)

    values = truth(shape) if with_truth else None
    training, heldout = tuple(range(views)), tuple(range(views, views + 6))
    return Case(name, scan(views, 0.0), values, scan(6, 0.1), "the numbers it was made of", training, heldout)


def spec(method="fdk", dataset="chest", views=10, size=28, seed=0, digest="", photons=None, preset="default", **params):
    """A run spec as the plan makes it."""
    data = {"size": size, "views": views, "heldout": 6, "photons": photons, "electronic": 0.0, "data_seed": 0}
    values = {"method": method, "preset": preset, "method_params": {"iterations": 20, **params}, "seed": seed}
    return RunSpec(dataset=dataset, dataset_params=data, data_digest=digest, **values)


def record(run, problem, volume=None, status="ok", reason="", **changes):
    """A record of this spec: scored for real against the truth if there is a volume, with a made-up curve."""
    metrics, curve, losses = {}, [], []
    seconds = SECONDS.get(run.method, 5.0)
    if volume is not None:
        names = ("psnr", "ssim", "psnr_r2")
        scores = {f"volume_{n}": getattr(volume_metrics, n)(volume, problem.truth) for n in names} if problem.truth is not None else {}
        metrics = {**scores, "projection_psnr": 30.0 + run.seed, "projection_ssim": 0.9, "fit_psnr": 41.0, "fit_ssim": 0.99}
        if run.method != "fdk":
            final = scores.get("volume_psnr")
            times = np.geomspace(seconds / 60, seconds, 12)
            shortfall = [12 * (1 - t / seconds) ** 3 for t in times]
            points = zip(times, shortfall, strict=True)
            curve = [CurvePoint(step=i, seconds=t, volume_psnr=None if final is None else final - s) for i, (t, s) in enumerate(points)]
            steps = np.arange(1, 1001)
            decay = np.exp(-steps / 200) + 0.01 + 0.002 * np.random.default_rng(1).random(1000)
            losses = [(int(i), float(seconds * i / 1000), float(loss)) for i, loss in zip(steps, decay, strict=True)]
    values = {
        "run_id": run.id,
        "spec": run,
        "status": status,
        "reason": reason,
        "tags": TAGS.get(run.method, []),
        "case": problem.name,
        "views": problem.scan.geometry.views,
        "training_views": list(problem.training_views),
        "heldout_views": list(problem.heldout_views),
        "volume_shape": list(problem.scan.geometry.volume_shape),
        "engine": "native",
        "device": "cpu",
        "seconds": seconds if status == "ok" else None,
        "cpu_seconds": 2 * seconds if status == "ok" else None,
        "peak_memory_mb": 321.0,
        "steps": 20,
        "metrics": metrics,
        "curve": curve,
        "losses": losses,
        "environment": {"benchmark": "0.1.0", "git": "abc123def456", "python": "3.11.7", "processor": "Test CPU", "cores": 2},
        "started": datetime.datetime(2025, 1, 1, tzinfo=datetime.timezone.utc).isoformat(),
    }
    return RunRecord(**{**values, **changes})


def reconstruction(problem, method, seed=0):
    """Truth plus smooth and rough errors that shrink with the number of views."""
    reference = truth(problem.scan.geometry.volume_shape)
    rng = np.random.default_rng([seed, sum(map(ord, method))])
    level = LEVELS.get(method, 0.07) * np.sqrt(10 / problem.scan.geometry.views) * np.ptp(reference)
    return (reference + level * rng.standard_normal(reference.shape)).astype(np.float32)


def fill(folder, datasets=("chest",), views=(10, 50), methods=tuple(LEVELS), seeds=(0,), with_truth=True, shape=(20, 24, 28), **changes):
    """Write a sweep of finished runs and return its Results."""
    store = Store(folder)
    store.prepare()
    for name in datasets:
        for count in views:
            problem = case(name, count, shape, with_truth)
            store.write_case(problem, name, {})
            for method in methods:
                for seed in seeds:
                    run = spec(method, name, count, max(shape), seed, problem.digest)
                    volume = reconstruction(problem, method, seed)
                    store.write_record(record(run, problem, volume, **changes), volume, problem)
    return Results.open(folder)


def add_failure(
    folder, method="broken", reason="ValueError: diverged\nmore", status="failed", views=10, shape=(20, 24, 28), log_tail="", **changes
):
    """Append a run without a volume."""
    problem = case("chest", views, shape)
    run = spec(method, "chest", views, max(shape), digest=problem.digest, **changes)
    Store(folder).write_record(record(run, problem, status=status, reason=reason, log_tail=log_tail))
    return Results.open(folder)

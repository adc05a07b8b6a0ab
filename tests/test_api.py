"""The names of `benchmark.api` and `benchmark.fields`: stubs up to date, every name described, tested and in use."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import get_args

import numpy as np
import pytest
import torch
from balls import ball_scan
from pydantic import ValidationError
from test_docs import script

import benchmark.api
import benchmark.fields
from benchmark.api import (
    MU_WATER,
    Composite,
    Ellipsoids,
    Engine,
    Field,
    InputError,
    Iterate,
    MissingDependency,
    Morphology,
    Params,
    Progress,
    Projector,
    Results,
    Run,
    RunRecord,
    RunSpec,
    Samples,
    TvChoice,
    TvProblem,
    TvWeight,
    add_noise,
    attenuation,
    binned,
    choose_tv_weight,
    composite_rays_xray,
    engine_name,
    fista,
    held_back_views,
    line_integral,
    march,
    noise_of_means,
    one_line,
    operators,
    parallel_distances,
    psnr_against,
    read_npy,
    read_swc,
    reference_scan,
    tigre_fdk,
    to_device,
    usual_bin,
    view_rays,
)
from benchmark.fields import CUTOFF, FieldParams, Halving, MixtureProjector, Precision, rendering, skip_reason, tiny_cuda_name
from benchmark.records.budget import Budget

ROOT = Path(__file__).resolve().parent.parent
OWNERS = [benchmark.api, benchmark.fields]
NAMES = [(owner.__name__, name) for owner in OWNERS for name in owner.__all__]
PLUG_INS = ("benchmark.methods", "benchmark.datasets")


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    """docs/stubs.py as a module."""
    return script("stubs")


def test_the_stubs_are_up_to_date(writer: ModuleType) -> None:
    for path, text in writer.outputs().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.relative_to(ROOT)}: run `make docs`"


def described(owner: str, name: str, found: object) -> Iterator[tuple[str, str]]:
    """Place and docstring of an object and, for a class, of the public routines and properties that it defines itself."""
    yield f"{owner}.{name}", inspect.getdoc(found) or ""
    if not inspect.isclass(found):
        return
    for key, member in vars(found).items():
        function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        fills_in = any(hasattr(base, key) for base in found.__bases__ if not base.__module__.startswith("benchmark"))  # torch's Module, say
        if not key.startswith("_") and inspect.isroutine(function) and not (fills_in and not function.__doc__):
            yield f"{owner}.{name}.{key}", inspect.getdoc(inspect.unwrap(function)) or ""


def test_every_name_and_every_member_is_described() -> None:
    """In a sentence that begins with a verb or a noun, not with the middle of a thought."""
    objects = [(owner, name, getattr(owner, name)) for owner in (*OWNERS, benchmark) for name in owner.EXPORTS.names]
    ours = [(owner.__name__, name, found) for owner, name, found in objects if inspect.isclass(found) or inspect.isfunction(found)]
    texts = dict(found for part in ours if part[1] != "Field" for found in described(*part))
    assert len(texts) > 300
    assert [place for place, text in texts.items() if not re.match(r"[`\w|]", text) or "." not in text] == []
    assert [place for place, text in texts.items() if re.match(r"(What|Where|Of|Whether|How|Which|The same)\b", text)] == []


def test_the_table_is_what_the_module_has() -> None:
    for owner in OWNERS:
        assert dir(owner) == owner.__all__ == sorted(set(owner.__all__))
        assert len(owner.__all__) == sum(map(len, owner.EXPORTS.groups.values())), "a name stands in two groups"
        for name in owner.__all__:
            assert getattr(owner, name) is not None
        with pytest.raises(AttributeError, match=f"module '{owner.__name__}' has no attribute 'nonsense'"):
            owner.nonsense  # noqa: B018


def test_modules_inside_are_exported_as_modules() -> None:
    assert benchmark.fields.torch_twins is importlib.import_module("benchmark.fields.torch_twins")


def mentioned(text: str) -> set[str]:
    """Names that Python text imports from the harness, wherever they are defined, or takes from a module ('download.fetch_member')."""
    nodes = list(ast.walk(ast.parse(text)))
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("benchmark")]
    modules = {name.asname or name.name for node in imports for name in node.names}
    attributes = [node for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
    return modules | {node.attr for node in attributes if isinstance(node.value, ast.Name) and node.value.id in modules}


def used_in(owner: str, folders: tuple[str, ...]) -> set[str]:
    """Names that files of these folders import from `owner`, or name in a target such as 'benchmark.fields:skip_reason'."""
    found = set()
    for path in [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]:
        text = path.read_text(encoding="utf-8")
        found |= set(re.findall(rf'"{owner}:(\w+)"', text))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and node.module == owner:
                found |= {name.name for name in node.names}
    return found


def executed_docs() -> str:
    """The Python blocks of the pages that tests/test_docs.py and tests/test_outside_plugin.py execute."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return "\n".join(block for page in pages for block in re.findall(r"```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE))


def test_every_name_is_tested() -> None:
    """By a test, or by an example of the documentation that runs: else it could break without anybody noticing."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").glob("*.py"))]
    tested = {found for text in [*texts, executed_docs()] for found in mentioned(text)}
    assert [f"{owner}.{name}" for owner, name in NAMES if name not in tested] == []


def test_outsiders_have_a_use_for_every_name() -> None:
    """Those that no built-in plug-in and no page mentions would be private."""
    pages = "\n".join(page.read_text() for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    for owner in OWNERS:
        used = used_in(owner.__name__, ("benchmark/methods", "benchmark/datasets")) | set(re.findall(r"\w+", pages))
        assert [name for name in owner.__all__ if name not in used] == []


def test_plug_ins_reach_into_nothing_private() -> None:
    """The built-in ones use what outsiders can use: names of the two modules, no module below them."""
    for folder in ("benchmark/methods", "benchmark/datasets"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            found = {node.module or "" for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)}
            found |= set(re.findall(r'"(benchmark\.[\w.]+):\w+"', text))
            found = {name for name in found if name.startswith("benchmark") and not name.startswith(PLUG_INS)}
            assert found <= {"benchmark.api", "benchmark.fields"}, path


# -- names that no other test uses -----------------------------------------------------------------------------------------


class AllTypes(Params):
    """Every type of a parameter that is exported."""

    engine: Engine = Field("auto", description="projector")
    tv: TvWeight = 0.0
    precision: Precision = "float32"
    composite: Composite = "sum"


def test_types_of_parameters() -> None:
    assert AllTypes(engine="native", tv="auto", precision="float16", composite="max").tv == "auto"
    for wrong in ({"engine": "warp"}, {"tv": -1}, {"tv": "manual"}, {"precision": "int8"}, {"composite": "mean"}):
        with pytest.raises(ValidationError):
            AllTypes.model_validate(wrong)


def test_engines_are_named_and_have_operators() -> None:
    scan, truth = ball_scan(size=8, views=3)
    assert engine_name("auto") == engine_name("native") == "native"
    projector = operators(scan.geometry, "native", "cpu")
    assert isinstance(projector, Projector) and projector.forward(torch.from_numpy(truth)).shape == scan.projections.shape
    for made in (lambda: operators(scan.geometry, "tigre", "cpu"), lambda: tigre_fdk(scan.projections, scan.geometry, "hann", "cpu")):
        with pytest.raises(MissingDependency, match="tigre needs"):
            made()


def test_a_line_integral_is_the_composite_of_a_march() -> None:
    scan, _ = ball_scan(size=8, views=3)
    rays, bounds = view_rays(scan.geometry, [1]), scan.geometry.volume_bounds
    samples = march(rays, bounds, samples=12)
    assert isinstance(samples, Samples) and samples.positions.shape == (len(samples.ts), 3) and len(samples.rays) == len(rays)
    summed = composite_rays_xray(torch.full((len(samples.ts),), 0.02), samples.ts, samples.rays)
    torch.testing.assert_close(summed, line_integral(lambda x: torch.full((len(x),), 0.02), rays, bounds, samples=12))


def test_results_of_the_variation_problem() -> None:
    scan, truth = ball_scan(size=8, views=10)
    data, run = torch.tensor(scan.projections), Run(seed=0)
    problem = TvProblem(scan.geometry, data)
    iterates = list(fista(problem, 0.001, run.steps(5), tolerance=0, inner=3))
    assert all(isinstance(iterate, Iterate) for iterate in iterates) and [iterate.steps for iterate in iterates] == [1, 2, 3, 4, 5]
    assert iterates[-1].objective < iterates[0].objective and iterates[-1].x.shape == truth.shape
    choice = choose_tv_weight(scan, data, Run(budget=Budget(steps=60)), nonnegative=True, inner=3)
    assert isinstance(choice, TvChoice) and choice.tried and choice.held_back == held_back_views(scan.geometry.angles).tolist()


def test_hounsfield_units() -> None:
    found = attenuation(np.array([-1100.0, -1000.0, 0.0, 1000.0, 9000.0]), 0.02, ceiling=3000.0)
    np.testing.assert_allclose(found, [0, 0, 0.02, 0.04, 0.08], rtol=1e-6)
    assert found.dtype == np.float32


def test_bins_of_pixels_and_the_noise_of_their_means() -> None:
    assert usual_bin((96, 64), 32) == 2 and usual_bin((97, 64), 32) == 1
    views = 0.1 * np.random.default_rng(0).standard_normal((2, 64, 64)).astype(np.float32)
    assert binned(views, 2).shape == (2, 32, 32)
    assert noise_of_means(views, 1) is None
    assert noise_of_means(views, 2) == pytest.approx(float(binned(views, 2).std()), rel=0.1) == pytest.approx(0.05, rel=0.1)


def test_a_helix_of_ones_own_with_noise() -> None:
    """What a dataset does that `simulated_case` does not fit."""
    geometry = dataclasses.replace(ball_scan(size=8, views=6)[0].geometry, source_height=np.linspace(-5.0, 5.0, 6))
    ball = Ellipsoids(np.zeros((1, 3)), np.full((1, 3), 30.0), np.array([0.02]))
    clean = ball.project(geometry)
    noisy = add_noise(clean, 1e4, 0.0, np.random.default_rng(0))
    assert noisy.dtype == np.float32 and 0 < np.abs(noisy - clean).mean() < 0.02


def test_a_parallel_beam() -> None:
    shape, pitch = (16, 16), (8.0, 8.0)
    source, detector = parallel_distances(shape, pitch)
    cone = ball_scan(size=8, views=1)[0].geometry
    beam = dataclasses.replace(
        cone, source_to_origin=source, source_to_detector=detector, detector_shape=shape, detector_pitch=pitch, detector_offset=(0.0, 0.0)
    )
    assert beam.magnification == pytest.approx(1)
    directions = view_rays(beam).directions
    assert float((directions - directions[0]).abs().max()) < 1e-3


def test_the_reference_scan_and_its_psnr() -> None:
    scan, truth = reference_scan(8, 3)
    assert scan.geometry.volume_shape == truth.shape == (8, 8, 8)
    spread = float(truth.max() - truth.min())
    assert psnr_against(truth)(torch.from_numpy(truth + np.float32(0.1 * spread))) == pytest.approx(20, abs=1e-3)


def test_water_is_what_hounsfield_units_are_measured_against() -> None:
    np.testing.assert_allclose(attenuation(np.array([-1000.0, 0.0, 1000.0]), MU_WATER), [0, MU_WATER, 2 * MU_WATER], rtol=1e-6)


def test_a_function_that_hears_of_progress() -> None:
    heard: list[tuple[int, int, str]] = []
    hear: Progress = lambda done, total, text: heard.append((done, total, text))  # noqa: E731
    hear(1, 2, "chest")
    assert heard == [(1, 2, "chest")] and get_args(Progress)[0] == [int, int, str]


def test_small_files(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(3.0))
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), [0, 1, 2])
    (tmp_path / "b.swc").write_text("1 1 0 0 0 2 -1\n2 3 5 0 0 1 1\n")
    tree = read_swc(tmp_path / "b.swc")
    assert isinstance(tree, Morphology) and tree.edges.tolist() == [[1, 0]] and tree.radii.tolist() == [2, 1]


def test_small_helpers() -> None:
    tensor = torch.arange(3.0)
    assert to_device(tensor, "cpu") is tensor
    assert one_line(ValueError("two\nlines")) == "two lines" and one_line(ValueError()) == "ValueError"
    scan, _ = ball_scan(size=8, views=3)
    assert rendering(scan, "grid") == "grid" and rendering(dataclasses.replace(scan, composite="max"), "grid") == "rays"
    assert skip_reason(scan, FieldParams(tv=0.01)) == ""
    assert skip_reason(dataclasses.replace(scan, composite="max"), FieldParams(tv=0.01)).startswith("tv: total variation needs line")
    assert tiny_cuda_name().startswith("tinycudann")
    assert inspect.signature(MixtureProjector).parameters["cutoff"].default == CUTOFF


def test_views_of_a_step_are_halved_where_memory_runs_out() -> None:
    limit, asked = Halving(8, 2, "views"), list[int]()

    def step() -> str:
        asked.append(limit.most)
        if limit.most > 4 or len(asked) > 2:
            raise MemoryError
        return "done"

    assert limit.attempt(step, wanted=8) == "done" and asked == [8, 4]
    assert limit.notes == ["out of memory with 8 views a step, goes on with 4"]
    with pytest.raises(MemoryError):  # half of 4 would be less than the fewest
        Halving(8, 3, "views").attempt(step, wanted=4)


def test_results_are_open_to_reporters(tmp_path: Path) -> None:
    assert Results(tmp_path).records == []
    with pytest.raises(InputError, match="expected a results folder"):
        Results.open(tmp_path / "none")
    spec = RunSpec(dataset="ball", dataset_params={"views": 5}, method="fdk", method_params={})
    assert spec.id.startswith("ball-5v-fdk-s0-")
    assert RunRecord(run_id=spec.id, spec=spec, status="ok").metrics == {}


def test_the_pages_for_authors_lead_to_the_reference() -> None:
    for page in ("adding_a_method.md", "adding_data_metrics_reporters.md"):
        assert "(reference/api.md" in (ROOT / "docs" / page).read_text()

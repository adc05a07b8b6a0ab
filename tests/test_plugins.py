"""Discovery: what is found, what is set aside and why, and that nothing heavy is imported on the way."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import types
from pathlib import Path

import pytest
import tiny_plugin
from pydantic import Field
from tiny import tiny_registry

from benchmark.api import DatasetSpec, MethodSpec, MetricSpec, Params, SpeedSpec, hookimpl
from benchmark.cli import doctor
from benchmark.errors import InputError
from benchmark.plugins import registry as plugins
from benchmark.plugins.registry import Registry

ROOT = Path(__file__).resolve().parent.parent


def python(code: str, cwd: Path = ROOT, **environment: str) -> str:
    import os

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, cwd=cwd, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def methods(*specs: object) -> object:
    class Plugin:
        @hookimpl
        def register_methods(self):
            return list(specs)

    return Plugin()


class NumberParams(Params):
    number: int = Field(1, ge=1, description="a number")


class FussyParams(NumberParams):
    def model_post_init(self, context: object) -> None:
        raise ZeroDivisionError("by nothing")


class ReservedParams(Params):
    preset: int = 1


def test_every_module_of_the_two_folders_is_a_plug_in_and_none_is_broken():
    registry = plugins.load()
    assert registry.problems == []
    for folder in plugins.FOLDERS:
        paths = [path for path in ROOT.joinpath(*folder.split(".")).iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
        modules = {f"{folder}.{path.stem}" for path in paths if not path.name.startswith(("_", "."))}
        found = {origin for origin in registry.origins.values() if origin.startswith(f"{folder}.")}
        assert found == modules


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (MethodSpec(name="grey", target=print), "expected a SpeedSpec, found MethodSpec"),
        (SpeedSpec(name="grey"), "expected ratios or training_step, found neither"),
        (SpeedSpec(name="grey", ratios={}), "ratios: expected a callable or 'package.module:name', found dict"),
        (SpeedSpec(name="grey", training_step="nowhere"), "training_step: expected a callable or 'package.module:name', found 'nowhere'"),
        (SpeedSpec(name="other", ratios=dict), "the name 'other' is taken by first"),
    ],
)
def test_a_wrong_measurement_of_speed_is_set_aside_alone(spec, reason):
    class Plugin:
        def __init__(self, *specs):
            self.specs = specs

        @hookimpl
        def register_speed(self):
            return list(self.specs)

    registry = tiny_registry()
    registry.add(Plugin(SpeedSpec(name="other", ratios=dict)), "first")
    registry.add(Plugin(spec, SpeedSpec(name="fine", training_step=dict)), "stranger")
    assert [str(problem) for problem in registry.problems] == [f"stranger: speed '{spec.name}': {reason}"]
    assert {"other", "fine"} <= set(registry.speed) and "grey" not in registry.speed and "grey" in registry.methods


def test_metrics_come_through_the_same_hooks():
    registry = plugins.load()
    for kind in ("volume", "projection"):
        for name in ("psnr", "ssim"):
            assert registry.metrics[kind, name].kind == kind
    assert registry.origins["metrics", ("volume", "psnr")] == "benchmark.metrics"


def test_names_are_found_without_importing_anything_heavy():
    heavy = python(
        """
        import sys
        from benchmark.cli.spec_tables import catalogue, catalogue_tables
        from benchmark.plugins.registry import load
        catalogue_tables(catalogue(load()))
        print(sorted({'torch', 'pandas', 'matplotlib', 'seaborn', 'skimage', 'scipy', 'nibabel'} & set(sys.modules)))
        """
    )
    assert heavy.strip() == "[]"


def test_an_unknown_name_lists_the_valid_ones_and_the_nearest():
    registry = tiny_registry()
    with pytest.raises(InputError, match=r"methods\[0\]: expected one of .*grey.*, found 'gray'. Did you mean 'grey'\?"):
        registry.method("gray", "methods[0]")
    with pytest.raises(InputError, match="Did you mean 'tiny'"):
        registry.dataset("tinny")


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("fdk", "expected a MethodSpec, found str"),
        (MethodSpec(name="two words", target=print), "expected a name of letters"),
        (MethodSpec(name="m", target="nowhere"), "target: expected a callable or 'package.module:name', found 'nowhere'"),
        (MethodSpec(name="m", target=3), "target: expected a callable or 'package.module:name', found int"),
        (MethodSpec(name="m", target=print, skip=3), "skip: expected a callable"),
        (MethodSpec(name="m", target=print, params=dict), "params: expected a subclass of benchmark.api.Params"),
        (MethodSpec(name="m", target=print, params=ReservedParams), "the key 'preset' is reserved"),
        (MethodSpec(name="m", target=print, params=NumberParams, presets={"p": {"nmber": 1}}), "preset 'p': nmber: Extra inputs"),
        (MethodSpec(name="m", target=print, params=NumberParams, presets={"p": {"number": 0}}), "preset 'p': number: Input should be"),
        (MethodSpec(name="m", target=print, presets={"p": None}), "presets.p: Input should be a valid"),
        (MethodSpec(name="m", target=print, presets=None), "presets: Input should be a valid"),
        (MethodSpec(name="m", target=print, requires="tigre"), "requires: Input should be a valid tuple, found 'tigre'"),
        (MethodSpec(name="m", target=print, composites=("summ",)), "composites.0: Input should be 'sum', 'max' or 'over', found 'summ'"),
        (MethodSpec(name="m", target=print, summary=None), "summary: Input should be a valid string, found None"),
        (MethodSpec(name="m", target=print, params=FussyParams, presets={"p": {"number": 2}}), "method: ZeroDivisionError: by nothing"),
        (MethodSpec(name="grey", target=print), "the name 'grey' is taken by tiny"),
    ],
)
def test_a_wrong_spec_is_set_aside_alone(spec, reason):
    registry = tiny_registry()
    registry.add(methods(spec, MethodSpec(name="fine", target=print)), "stranger")
    assert [problem.source for problem in registry.problems] == ["stranger"]
    assert reason in registry.problems[0].reason
    assert "fine" in registry.methods
    assert registry.methods["grey"].target is tiny_plugin.grey


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (MetricSpec(name="m", kind="volumes", target=print), "kind: Input should be 'volume' or 'projection', found 'volumes'"),
        (MetricSpec(name="m", kind="volume", target=print, needs="geometry"), "needs: Input should be a valid tuple, found 'geometry'"),
        (MetricSpec(name="m", kind=[], target=print), "kind: Input should be 'volume' or 'projection', found []"),
    ],
)
def test_a_wrong_metric_is_set_aside(spec, reason):
    class Plugin:
        @hookimpl
        def register_metrics(self):
            return [spec]

    registry = Registry()
    registry.add(Plugin(), "stranger")
    assert registry.problems[0].reason == f"metric 'm': {reason}" and registry.metrics == {}


def test_a_dataset_must_offer_what_it_opens_by_name():
    class Plugin:
        @hookimpl
        def register_datasets(self):
            return [DatasetSpec(name="d", target=print, opens=opens) for opens in (None, {"scan": 3})]

    registry = Registry()
    registry.add(Plugin(), "stranger")
    assert registry.problems[0].reason.startswith("dataset 'd': opens: Input should be a valid")
    assert registry.problems[1].reason == "dataset 'd': opens.scan: expected a callable or 'package.module:name', found int"


def test_a_plug_in_whose_constructor_raises_is_set_aside():
    class Broken:
        def __init__(self):
            raise RuntimeError("no luck")

    registry = tiny_registry()
    plugins._import(registry, "stranger", lambda: Broken)
    assert registry.problems == [plugins.Problem("stranger", "RuntimeError: no luck")]


def test_a_dataset_must_take_the_common_parameters():
    class Plugin:
        @hookimpl
        def register_datasets(self):
            return [DatasetSpec(name="d", target=print, params=Params)]

    registry = Registry()
    registry.add(Plugin(), "stranger")
    assert "subclass of benchmark.api.DatasetParams" in registry.problems[0].reason


def test_a_preset_may_leave_out_what_only_the_user_knows():
    class PathParams(Params):
        path: str
        number: int = 1

    registry = Registry()
    registry.add(methods(MethodSpec(name="m", target=print, params=PathParams, presets={"p": {"number": 2}})), "stranger")
    assert registry.problems == []


def test_a_hook_that_raises_or_does_not_exist_is_set_aside():
    class Raises:
        @hookimpl
        def register_methods(self):
            raise RuntimeError("no luck")

    class Misspelt:
        @hookimpl
        def register_method(self):
            return []

    class Arguments:
        @hookimpl
        def register_methods(self, extra):
            return []

    class Exits:
        @hookimpl
        def register_methods(self):
            raise SystemExit("enough")

    class Stop(KeyboardInterrupt):
        pass

    class Stops:
        @hookimpl
        def register_methods(self):
            raise Stop("no more")

    class Nothing:
        @hookimpl
        def register_methods(self):
            return None

    registry = tiny_registry()
    for plugin in (Raises(), Misspelt(), Arguments(), Nothing(), Exits(), Stops()):
        registry.add(plugin, type(plugin).__name__)
    assert [problem.source for problem in registry.problems] == ["Raises", "Misspelt", "Arguments", "Nothing", "Exits", "Stops"]
    assert registry.problems[0].reason == "register_methods() failed: RuntimeError: no luck"
    assert "register_method" in registry.problems[1].reason
    assert "grey" in registry.methods
    registry.add(methods(MethodSpec(name="later", target=print)), "later")
    assert "later" in registry.methods


def test_a_plug_in_without_hooks_is_a_problem():
    class Unmarked:
        def register_methods(self):
            return []

    nothing, folder = types.ModuleType("nothing"), types.ModuleType("folder")
    nothing.__file__, folder.__path__ = "/site/nothing.py", ["/site/folder"]
    registry = tiny_registry()
    for plugin in (nothing, folder, Unmarked()):
        registry.add(plugin, "stranger")
    assert [problem.reason for problem in registry.problems] == [
        "no hook is implemented in /site/nothing.py: expected register_methods() or another one, marked with @hookimpl",
        "a folder without __init__.py was imported: /site/folder",
        "register_methods() is not marked with @hookimpl",
    ]
    assert "plug-in set aside" in {check.name for check in doctor._plugins(registry)}


def test_asking_for_a_plug_in_that_was_set_aside_says_why():
    registry = tiny_registry()
    registry.problems.append(plugins.Problem("methods.splat", "ImportError: no gaussians"))
    with pytest.raises(InputError, match="'splat', set aside because of ImportError: no gaussians"):
        registry.method("splat")


def test_other_packages_of_the_folders_names_do_no_harm(tmp_path):
    """Hugging Face's `datasets`, and anything called `methods`, live beside ours."""
    for name in ("datasets", "methods"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('imported')")
    text = python(
        """
        from benchmark.plugins.registry import load
        registry = load()
        print(registry.problems, registry.dataset("ball").name, registry.method("fdk").name)
        """,
        cwd=tmp_path,
        PYTHONPATH=str(tmp_path),
    )
    assert text.split() == ["[]", "ball", "fdk"]


def test_a_clone_that_lost_its_links_says_how_to_restore_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "FOLDERS", ("benchmark.nowhere",))
    (problem,) = [problem for problem in plugins.load().problems if problem.source == "benchmark.nowhere"]
    assert "benchmark/nowhere is a link to nowhere/: `make install` restores it" in problem.reason

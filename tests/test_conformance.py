"""`check`: what it finds in methods that break the contract, and that the built-in methods keep it; `new-method`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import crooked_plugin
import forks
import numpy as np
import pytest

from benchmark.api import MethodSpec, Reconstruction
from benchmark.cli.main import main
from benchmark.conformance import checks, scans
from benchmark.conformance.imports import forbidden_imports, package_of, sources
from benchmark.conformance.scaffold import write_package
from benchmark.conformance.subject import NotApplicable, Subject, Violation
from benchmark.conformance.suite import chosen, examine
from benchmark.conformance.values import another
from benchmark.errors import InputError
from benchmark.plugins import registry as plugins

CHECKS = checks.CHECKS
CLASSICAL = ("fdk", "sart", "ossart", "cgls", "asd_pocs", "fista_tv")


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def registry() -> plugins.Registry:
    found = plugins.load()
    found.add(crooked_plugin, "crooked")
    return found


def subject(registry: plugins.Registry, name: str = "crooked", **values) -> Subject:
    return Subject(registry.methods[name], values)


# -- what is found ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "check", "text"),
    [
        ("shape", "result", r"expected a volume \[z, y, x\] = \(12, 12, 12\), the method returned \(11, 12, 12\)"),
        ("array", "result", "expected a benchmark.api.Reconstruction, the method returned ndarray"),
        ("integers", "result", "floating-point numbers, the method returned int32"),
        ("write", "result", "changed the projections"),
        ("nan", "empty", "voxels are NaN or Inf"),
        ("mirrored", "orientation", r"mirrored along \(0,\) than like the truth itself"),
        ("swapped", "orientation", r"axes in the order \(0, 2, 1\)"),
        ("random", "determinism", "two runs with the same seed differ"),
        ("one view", "views", "1 views: ValueError: needs two views"),
        ("refuse", "views", "1 views: scan: expected 3 views"),
        ("slow", "budget", r"3\.\d s with a budget of 1 s"),
        ("own loop", "budget", r"31 projections that no budget can end \(loop over run.steps\(\)"),
        ("swallow", "cancel", "KeyboardInterrupt was swallowed"),
        ("memory", "cancel", "something was left behind"),
        ("forgetful", "resume", "stopped after step 2 and resumed, it differs by up to"),
        ("look", "no-truth", "opened .*truth"),
        ("gain", "parameters", "gain=0.5: ZeroDivisionError: gain"),
    ],
)
def test_every_way_to_break_the_contract_is_found(registry, monkeypatch, how, check, text):
    if check == "no-truth":
        monkeypatch.setattr(checks, "forbidden_imports", lambda package: [])  # looked for below
    with pytest.raises(Violation, match=text):
        CHECKS[check](subject(registry, how=how))


def test_a_method_for_cubes_only_is_found(registry):
    with pytest.raises(ValueError, match="cubes only"):
        CHECKS["non-cubic"](subject(registry, how="cubes"))


def test_what_is_imported_beside_the_api_is_found(registry):
    with pytest.raises(Violation, match="crooked_plugin imports benchmark.records.record.RunRecord"):
        CHECKS["no-truth"](subject(registry))
    assert forbidden_imports("benchmark.methods.naf") == []
    assert package_of("benchmark.methods.naf.reconstruct") == "benchmark.methods.naf" and package_of("mine.deep.module") == "mine"
    assert {"benchmark.methods.naf", "benchmark.methods.naf.reconstruct"} <= set(sources("benchmark.methods.naf"))


def test_a_method_without_an_idea_and_one_without_strict_parameters(registry):
    with pytest.raises(Violation, match="correlation with the truth is 0.00"):
        CHECKS["orientation"](subject(registry, "constant"))
    with pytest.raises(Violation, match="an unknown parameter was accepted"):
        CHECKS["parameters"](subject(registry, "loose"))


def test_what_a_checkpoint_is_good_for_is_said(registry):
    assert CHECKS["resume"](subject(registry, how="keeps")) == "stopped after step 2 and resumed: the same numbers"
    with pytest.raises(NotApplicable, match="keeps no checkpoint"):
        CHECKS["resume"](subject(registry))


def test_a_method_that_needs_a_step_is_found(registry):
    def reconstruct(scan, params, run):
        for _ in run.steps(3):
            volume = np.zeros(scan.geometry.volume_shape, np.float32)
        return Reconstruction(volume)

    with pytest.raises(Violation, match="a budget that is spent before the first step: UnboundLocalError"):
        CHECKS["budget"](Subject(MethodSpec(name="hasty", target=reconstruct), {}))


def test_a_method_may_decline(registry):
    assert CHECKS["views"](subject(registry, "choosy")) == (
        "7 views; 1: declined by the method: needs four views; 2: declined by the method: needs four views; "
        "3: declined by the method: needs four views"
    )
    with pytest.raises(NotApplicable, match="needs four views"):
        subject(registry, "choosy").run(scans.cube(2)[0])


def test_a_preset_whose_engine_is_not_installed_is_no_fault_of_the_method(registry):
    assert registry.methods["fdk"].presets == {"tigre": {"engine": "tigre"}}
    assert CHECKS["parameters"](Subject(registry.methods["fdk"], {})).startswith("4 declared")


def test_parameters_without_effect_are_named_and_broken_presets_found(registry):
    values = subject(registry).params()
    assert another(values, "unused") == 1 and another(values, "gain") == 0.5
    with pytest.raises(Violation, match="preset broken: expected a benchmark.api.Reconstruction"):
        CHECKS["parameters"](subject(registry))
    spec = plugins.dataclasses.replace(registry.methods["crooked"], presets={})
    assert CHECKS["parameters"](Subject(spec, {})) == "3 declared; no effect on this scan: how (no other value found), unused"


def test_the_scans_are_what_they_say():
    for make in (scans.cube, scans.box, scans.offset, scans.slab):
        scan, truth = make()
        assert truth.shape == scan.geometry.volume_shape and truth.max() > 0.005 and scan.projections.max() > 0.3
        edges = [np.abs(np.take(truth, index, axis)).max() for axis in range(3) for index in (0, -1) if truth.shape[axis] > 1]
        assert max(edges) < 0.01, make.__name__  # the body lies inside
    assert len(set(scans.box()[0].geometry.volume_shape)) == 3
    assert len(set(scans.offset()[0].geometry.detector_shape)) == 2


# -- the built-in methods -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLASSICAL)
def test_classical_methods_keep_the_contract(registry, name):
    for check in CHECKS.values():
        try:
            check(subject(registry, name))
        except NotApplicable:
            assert check in (checks.cancel, checks.views, checks.resume)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["naf", "zerorf"])
def test_neural_methods_keep_the_contract(name):
    found = list(examine(*chosen(plugins.load(), name)))
    assert [finding for finding in found if finding.status == "failed"] == []


# -- processes and commands ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    """One in which the crooked plug-in is an installed package."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "crooked_plugin.py").write_text((Path(__file__).parent / "crooked_plugin.py").read_text())
    info = folder / "crooked-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: crooked\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[benchmark]\ncrooked = crooked_plugin\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])}


def cli(environment: dict[str, str], *arguments: str, code: int = 0, cwd: Path | None = None) -> str:
    done = forks.benchmark(*arguments, folder=cwd or forks.ROOT, environment=environment)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code < 2 else done.stderr


def test_a_crash_costs_one_check_and_the_exit_code_is_1(environment):
    only = ("--only", "result,views,non-cubic")
    facts = json.loads(cli(environment, "check", "crooked", "--set", "crooked.how=segfault", *only, "--json", code=1))
    assert [(finding["check"], finding["status"]) for finding in facts["findings"]] == [
        ("result", "passed"),
        ("views", "failed"),
        ("non-cubic", "passed"),
    ]
    assert "Segmentation fault" in facts["findings"][1]["detail"] and facts["failed"] == 1


def test_a_check_that_takes_too_long_is_ended(monkeypatch, environment):
    monkeypatch.syspath_prepend(environment["PYTHONPATH"].split(os.pathsep)[0])
    begun: list[str] = []
    findings = list(examine("crooked", {"how": "greedy"}, ("result", "budget"), 5.0, begun.append))
    assert [finding.status for finding in findings] == ["passed", "failed"]
    assert findings[1].detail.startswith("ended: still running after 5 s (--timeout)") and begun == ["result", "budget"]


def test_check_names_what_runs_and_ends_what_hangs(environment):
    options = ("--set", "crooked.how=greedy", "--only", "budget", "--timeout", "3s")
    done = forks.benchmark("check", "crooked", *options, folder=forks.ROOT, environment=environment)
    line = 1 + Path(crooked_plugin.__file__).read_text().splitlines().index("            time.sleep(60)")
    place = f"crooked_plugin.py:{line} in reconstruct"
    assert done.returncode == 1 and "budget ...\n" in done.stderr
    assert f"failed         budget: ended: still running after 3 s (--timeout) ({place})\n" in done.stdout


def test_check_prints_a_table_and_knows_mistakes(environment, capsys):
    text = cli(environment, "check", "fdk", "--only", "views,offset,resume")
    assert text.splitlines() == [
        "passed         views: 1, 2, 3, 7 views",
        "passed         offset: volume 12 x 12 x 12",
        "not applicable resume: keeps no checkpoint: no two steps to stop between",
        "fdk: 2 of 2 checks without a complaint, 1 not applicable",
    ]
    for arguments, hint in ((["fdkk"], "fdk"), (["fdk", "--set", "fdk.filtre=hann"], "filter"), (["fdk", "--only", "view"], "views")):
        assert main(["check", *arguments]) == 2
        assert f"Did you mean '{hint}'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("3x", "a letter first"),
        ("sart", "'sart' of benchmark.methods.sart"),
        ("json", "a name that no installed module has"),
        ("a b", "letters"),
    ],
)
def test_names_that_cannot_be(tmp_path, capsys, name, text):
    assert main(["new-method", name, str(tmp_path)]) == 2
    assert text in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_users_mistake(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["new-method", "my_idea", str(tmp_path / "file")]) == 2
    assert f"{tmp_path / 'file'}: expected a folder that can be written, found " in capsys.readouterr().err


def test_a_new_method_is_a_package_that_installs_and_passes_its_own_test(environment, tmp_path):
    cli(environment, "new-method", "my-idea", cwd=tmp_path)
    home = tmp_path / "my_idea"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", "site"]
    done = subprocess.run([*pip, str(home)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    path = os.pathsep.join([str(tmp_path / "site"), *filter(None, [os.environ.get("PYTHONPATH")])])
    inside = {**environment, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-m", "pytest", "-W", "error"], capture_output=True, text=True, cwd=home, env=inside)
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout + done.stderr
    facts = json.loads(cli(inside, "show", "my_idea", "--json"))
    assert facts["origin"] == "my_idea (my-idea)" and [item["name"] for item in facts["parameters"]] == ["iterations", "relaxation"]
    with pytest.raises(InputError, match="a folder that does not exist yet"):
        write_package("my-idea", tmp_path)

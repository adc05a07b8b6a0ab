"""Plans: what they resolve to, and that every mistake is found at once, with its path, before anything runs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from tiny import tiny_registry

from benchmark.errors import InputError
from benchmark.plan.plan import Flags, Plan, find_config, load_plan, make_plan
from benchmark.plugins.registry import Registry
from benchmark.records.budget import Budget
from benchmark.records.suite import Suite, read_suite, write_suite
from benchmark.storage.yaml_file import parse_yaml, read_yaml

BASE = {"datasets": "tiny", "methods": "grey"}


@pytest.fixture(scope="module")
def registry():
    return tiny_registry()


def plan(registry, content: dict[str, Any] | None = None, **flags: Any) -> Plan:
    return make_plan(registry, BASE | (content or {}), Flags(**flags))


def complaint(registry, content: dict[str, Any] | None = None, **flags: Any) -> str:
    with pytest.raises(InputError) as caught:
        plan(registry, content, **flags)
    return str(caught.value)


# -- what a plan means --------------------------------------------------------------------------------------------------


def test_a_plan_is_resolved_with_defaults(registry):
    (run,) = plan(registry).runs
    assert run.dataset_params == {
        "size": 8,
        "views": 4,
        "heldout": 3,
        "photons": None,
        "electronic": 0.0,
        "data_seed": 0,
        "trouble": "",
    }
    assert run.method_params == {"level": 0.01, "steps": 3, "window": "hann"}
    assert (run.preset, run.seed, run.budget_seconds) == ("default", 0, None)


def test_order_is_datasets_sizes_views_methods_seeds(registry):
    runs = plan(registry, {"methods": ["grey", "choosy"], "views": [5, [0, 2]], "size": [8, 6], "seeds": [1, 0]}).runs
    found = [(run.dataset_params["size"], run.dataset_params["views"], run.method, run.seed) for run in runs]
    assert found == [
        (size, views, method, seed) for size in (8, 6) for views in (5, [0, 2]) for method in ("grey", "choosy") for seed in (1, 0)
    ]


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("500steps", Budget(steps=500)),
        ("2e9samples", Budget(samples=2_000_000_000)),
        (" 1.5e3 projections ", Budget(projections=1500)),
        ("90s", Budget(seconds=90.0)),
    ],
)
def test_a_budget_is_part_of_the_run_and_without_one_it_is_named_as_before(registry, text, budget):
    (free,), (run,) = plan(registry, {}).runs, plan(registry, {"budget": text}).runs
    assert run.budget == budget and free.budget == Budget() and run.id != free.id
    later = {"budget_steps", "budget_samples", "budget_projections", "weights_digest"}
    earlier = json.dumps(free.model_dump(mode="json", exclude=later), sort_keys=True)
    assert free.id.endswith(hashlib.sha256(earlier.encode()).hexdigest()[:12])  # resuming older results does nothing again


def test_noise_and_budget(registry):
    (run,) = plan(registry, {"noise": {"photons": "1e5", "electronic": 2}, "budget": "5min"}).runs
    assert (run.dataset_params["photons"], run.dataset_params["electronic"], run.budget_seconds) == (1e5, 2.0, 300.0)


@pytest.mark.parametrize(
    ("noise", "flag", "found"),
    [
        ({"photons": [1e4, "1e5"], "electronic": 2}, None, [(1e4, 2.0), (1e5, 2.0)]),
        (["none", {"photons": 1e4}, {"photons": 1e4, "electronic": 3}], None, [(None, 0.0), (1e4, 0.0), (1e4, 3.0)]),
        ({"photons": ["none", 1e4, 1e4], "electronic": 2}, None, [(None, 0.0), (1e4, 2.0)]),
        (None, "1e4,1e5", [(1e4, 0.0), (1e5, 0.0)]),
        ({"photons": [1e6, 1e7], "electronic": 2}, "none, 1e4", [(None, 0.0), (1e4, 2.0)]),
    ],
)
def test_several_levels_of_noise_are_an_axis(registry, noise, flag, found):
    runs = plan(registry, {"noise": noise, "views": [4, 5]}, photons=flag).runs
    assert [(run.dataset_params["views"], run.dataset_params["photons"], run.dataset_params["electronic"]) for run in runs] == [
        (views, *level) for views in (4, 5) for level in found
    ]
    own = plan(registry, {"noise": {"photons": [1e4, 1e5]}, "datasets": [{"tiny": {"photons": 7}}]}).runs
    assert [run.dataset_params["photons"] for run in own] == [7.0]


@pytest.mark.parametrize(("text", "seconds"), [("300s", 300), ("1.5h", 5400), ("2 min", 120), ("1e2s", 100)])
def test_durations(registry, text, seconds):
    assert plan(registry, {"budget": text}).runs[0].budget_seconds == seconds


def test_a_datasets_own_values_win_over_those_for_all(registry):
    datasets = [{"tiny": {"views": 7, "photons": 10}}, "tiny"]
    runs = plan(registry, {"datasets": datasets, "views": [5, 6], "noise": {"photons": 1e5}}).runs
    assert [(run.dataset_params["views"], run.dataset_params["photons"]) for run in runs] == [(7, 10.0), (5, 1e5), (6, 1e5)]


def test_presets_grids_and_overrides(registry):
    methods = ["grey:dark", {"grey": {"preset": "dark", "steps": 5, "grid": {"level": [1, 2]}}}, {"grey": {"level": 3}}]
    runs = plan(registry, {"methods": methods}).runs
    found = [(run.preset, run.method_params["level"], run.method_params["steps"]) for run in runs]
    assert found == [("dark", 0.001, 3), ("dark", 1.0, 5), ("dark", 2.0, 5), ("default", 3.0, 3)]


def test_the_same_run_twice_is_one(registry):
    assert len(plan(registry, {"methods": ["grey", {"grey": {"level": 0.01}}, "grey"]}).runs) == 1


def test_every_number_is_part_of_the_identity(registry):
    changes = [{}, {"size": 9}, {"views": 5}, {"seeds": [1]}, {"noise": {"photons": 5}}, {"methods": ["grey:dark"]}]
    changes += [{"budget": f"5{unit}"} for unit in ("s", "steps", "samples", "projections")]
    ids = [run.id for change in changes for run in plan(registry, change).runs]
    assert len(set(ids)) == len(changes)


@pytest.mark.parametrize("value", [20, "20", "20 parsecs", True])
def test_a_budget_without_a_known_unit_is_refused(registry, value):
    assert "budget: expected a limit such as 300s" in complaint(registry, {"budget": value})


def test_a_deterministic_method_runs_once_whatever_the_seeds(registry):
    tags = {"grey": ("plain",), "choosy": ("plain", "picky")}
    own = Registry()
    own.datasets = registry.datasets
    own.methods = {name: dataclasses.replace(registry.methods[name], tags=tags[name], deterministic=name == "grey") for name in tags}
    runs = plan(own, {"methods": ["@plain"], "seeds": [3, 4]}).runs
    assert [(run.method, run.seed) for run in runs] == [("grey", 3), ("choosy", 3), ("choosy", 4)]
    assert [run.method for run in plan(own, {}, methods="@picky,grey").runs] == ["choosy", "grey"]
    assert "--methods.@pikcy: expected one of picky, plain, found 'pikcy'. Did you mean 'picky'?" in complaint(own, {}, methods="@pikcy")
    (run,) = plan(own, {"methods": [{"grey": {"level": 5}}]}, methods="@plain").runs[:1]
    assert run.method_params["level"] == 5.0  # the file's values for a method hold for a tag, too


def test_a_plan_declares_tuning_cases_and_a_baseline(registry):
    assert plan(registry, {"tuning": ["tiny"], "baseline": "grey"}).suite == Suite(name="run", tuning=("tiny",), baseline="grey")
    text = complaint(registry, {"tuning": ["tinny"], "baseline": "gray"})
    assert "tuning: expected one of " in text and "found 'tinny'. Did you mean 'tiny'?" in text
    assert "baseline: expected one of " in text and "found 'gray'. Did you mean 'grey'?" in text
    assert "names of datasets or cases" in complaint(registry, {"tuning": [3]})


def test_the_declarations_of_two_plans_in_one_folder_are_joined(tmp_path):
    write_suite(tmp_path, Suite(name="a", tuning=("x",), baseline="fdk"))
    write_suite(tmp_path, Suite(name="b", tuning=("y", "x")))
    assert read_suite(tmp_path) == Suite(name="b", tuning=("x", "y"), baseline="fdk")
    assert read_suite(tmp_path).tuned_on("y", "anything") and not read_suite(tmp_path).tuned_on("z", "z")
    (tmp_path / "suite.json").write_text("[]")
    with pytest.raises(InputError, match="suite.json: expected what a sweep wrote"):
        read_suite(tmp_path)


# -- flags --------------------------------------------------------------------------------------------------------------


def test_flags_replace_the_file(registry):
    made = plan(registry, {"views": [4], "output": "a"}, views="5,[0,2]", size="6", seeds="1,2", photons="1e4", budget="9s", output="b")
    assert len(made.runs) == 4
    assert made.output == Path("b")
    run = made.runs[-1]
    assert (run.dataset_params["views"], run.dataset_params["size"], run.dataset_params["photons"]) == ([0, 2], 6, 1e4)
    assert (run.seed, run.budget_seconds) == (2, 9.0)
    assert plan(registry, {"noise": {"photons": 5}}, photons="none").runs[0].dataset_params["photons"] is None


def test_a_flag_for_all_wins_over_the_files_word_for_one_and_set_over_both(registry):
    content = {"datasets": [{"tiny": {"size": 5, "grid": {"views": [7, 8]}, "photons": 9}}]}
    (run,) = plan(registry, content, size="6", views="3", photons="none").runs
    assert [run.dataset_params[key] for key in ("size", "views", "photons")] == [6, 3, None]
    (run,) = plan(registry, content, size="6", views="3", sets=("tiny.size=9",)).runs
    assert [run.dataset_params[key] for key in ("size", "views", "photons")] == [9, 3, 9.0]


def test_methods_flag_picks_from_the_file_and_beyond(registry):
    content = {"methods": ["choosy", {"grey": {"level": 5}}]}
    assert [run.method_params["level"] for run in plan(registry, content, methods="grey").runs] == [5.0]
    assert [run.preset for run in plan(registry, content, methods="grey:dark,choosy").runs] == ["dark", "default"]
    assert [run.method for run in plan(registry, content, methods="needy").runs] == ["needy"]


def test_set_overrides_methods_and_datasets(registry):
    made = plan(registry, {"methods": ["grey", {"grey": {"grid": {"level": [1, 2]}}}]}, sets=("grey.level=7", "tiny.heldout=1"))
    assert [run.method_params["level"] for run in made.runs] == [7.0]
    assert made.runs[0].dataset_params["heldout"] == 1


# -- mistakes -----------------------------------------------------------------------------------------------------------


def test_all_mistakes_are_said_at_once_with_path_valid_names_and_nearest(registry):
    content = {
        "datasets": ["tinny", {"tiny": {"helout": 3}}],
        "methods": ["gray", {"grey": {"stpes": 5, "level": -1, "window": "han"}}, "grey:drak"],
        "views": [0],
        "sead": 1,
    }
    assert complaint(registry, content).splitlines() == [
        "plan: 9 mistakes",
        "  sead: expected one of baseline, budget, datasets, methods, noise, output, seeds, size, tuning, views, found 'sead'. "
        "Did you mean 'seeds'?",
        "  views: expected at least one view, found 0",
        f"  datasets[0]: expected one of {', '.join(sorted(registry.datasets))}, found 'tinny'. Did you mean 'tiny'?",
        f"  methods[0]: expected one of {', '.join(sorted(registry.methods))}, found 'gray'. Did you mean 'grey'?",
        "  datasets[1].tiny.helout: expected one of data_seed, electronic, heldout, photons, size, trouble, views, found 'helout'. "
        "Did you mean 'heldout'?",
        "  methods[1].grey.level: expected greater than or equal to 0, found -1",
        "  methods[1].grey.window: expected one of 'hann' or 'cosine', found 'han'. Did you mean 'hann'?",
        "  methods[1].grey.stpes: expected one of level, steps, window, found 'stpes'. Did you mean 'steps'?",
        "  methods[2].grey.preset: expected one of dark, default, found 'drak'. Did you mean 'dark'?",
    ]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"methods": []}, "methods: expected at least one name, found none"),
        ({"methods": None}, "methods: expected at least one name, found none"),
        ({"methods": [3]}, "methods[0]: expected a name, or one name with its values"),
        ({"methods": [{"grey": {}, "choosy": {}}]}, "methods[0]: expected a name, or one name with its values"),
        ({"methods": [{"grey": [1]}]}, "methods[0].grey: expected keys and values, found [1]"),
        ({"methods": [{"grey": {"grid": {"level": 3}}}]}, "methods[0].grey.grid: expected keys with a list of values"),
        ({"methods": [{"grey": {"grid": {"levle": [3]}}}]}, "methods[0].grey.grid.levle: expected one of level"),
        ({"methods": [{"grey": {"grid": {"level": [3]}, "level": 4}}]}, "'level' both in the grid and beside it"),
        ({"methods": [{"grey": {"level": [1, 2]}}]}, "methods[0].grey.level: expected a valid number, found [1, 2]"),
        ({"methods": [{"grey": {"grid": {"level": [1, "x"]}}}]}, "methods[0].grey.level: expected a valid number"),
        ({"views": "many"}, "views: expected a number of views (from 1), a list of view indices (from 0), or all, found 'many'"),
        ({"views": [[]]}, "views: expected a number of views"),
        ({"views": [[1, 1]]}, "views: expected every view index once"),
        ({"views": [True]}, "views: expected a number of views"),
        ({"views": [10, -5]}, "views: expected at least one view, found -5"),
        ({"datasets": [{"tiny": {"views": 0}}]}, "datasets[0].tiny.views: expected at least one view, found 0"),
        ({"size": 3}, "size: expected greater than or equal to 4, found 3"),
        ({"size": 65}, "size: expected less than or equal to 64, found 65"),
        ({"size": "big"}, "size: expected a valid integer"),
        ({"seeds": [-1]}, "seeds: expected whole numbers from 0 to 9223372036854775807, found [-1]"),
        ({"seeds": []}, "seeds: expected whole numbers from 0"),
        ({"noise": {"photon": 5}}, "noise.photon: expected one of electronic, photons, found 'photon'. Did you mean 'photons'?"),
        ({"noise": {"photons": 0}}, "noise.photons: expected greater than 0, found 0"),
        ({"noise": {"photons": [1e4, -1]}}, "noise.photons: expected greater than 0, found -1"),
        ({"noise": {"photons": []}}, "noise: expected at least one noise, or none, found {'photons': []}"),
        ({"noise": 5}, "noise: expected {photons: 1e5, electronic: 10} or none, found 5"),
        ({"budget": "soon"}, "budget: expected a limit such as 300s, 5min, 1h, 500steps, 2e9samples or 200projections, found 'soon'"),
        ({"budget": -1}, "budget: expected a limit such as 300s"),
        ({"budget": 0}, "budget: expected a limit such as 300s"),
        ({"budget": True}, "budget: expected a limit such as 300s"),
        ({"budget": "0steps"}, "budget: expected a limit such as 300s"),
        ({"budget": "1.5projections"}, "budget: expected a limit such as 300s"),
        ({"budget": "5 apples"}, "budget: expected a limit such as 300s"),
        ({"seeds": list(range(100_001))}, "plan: expected at most 100000 runs, found 100001"),
        (
            {"methods": [{"grey": {"grid": {"steps": list(range(1999)), "value": list(range(1999))}}}]},
            "plan: expected at most 100000 runs, found 3996001",
        ),
        ({"views": [[index] for index in range(400)], "size": list(range(4, 304))}, "plan: expected at most 100000 runs, found 120000"),
    ],
)
def test_each_mistake_names_its_place(registry, content, text):
    assert text in complaint(registry, content)


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ({"methods": "gray"}, "--methods: expected one of"),
        ({"methods": ","}, "--methods: expected names with commas between"),
        ({"datasets": "tinny"}, "--datasets: expected one of"),
        ({"methods": "grey:drak"}, "Did you mean 'dark'?"),
        ({"views": "0"}, "--views: expected at least one view, found 0"),
        ({"views": "5,[1"}, "--views, line 1"),
        ({"size": "x"}, "--size: expected a valid integer"),
        ({"seeds": "a"}, "--seeds: expected whole numbers"),
        ({"seeds": f"0,{2**63}"}, "--seeds: expected whole numbers from 0 to 9223372036854775807, found [0, 9223372036854775808]"),
        ({"photons": "-5"}, "--photons: expected greater than 0, found '-5'"),
        ({"budget": "x"}, "--budget: expected a limit such as 300s"),
        ({"sets": ("grey.stpes=3",)}, "--set grey.stpes: expected one of level, steps, window, found 'stpes'. Did you mean 'steps'?"),
        ({"sets": ("grey.level=-1",)}, "--set grey.level: expected greater than or equal to 0, found -1"),
        ({"sets": ("gray.level=1",)}, "--set gray.level: expected one of grey, tiny, found 'gray'. Did you mean 'grey'?"),
        ({"sets": ("level=1",)}, "--set level=1: expected name.key=value"),
        ({"sets": ("grey.level=!!python/object:os.system x",)}, "is not allowed here"),
    ],
)
def test_each_mistake_names_its_flag(registry, flags, text):
    assert text in complaint(registry, **flags)


# -- files --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\nb: 2\na: 3", "line 3, column 1: expected valid YAML, found the key 'a' appears twice"),
        ("a: {b: 1, b: 2}", "the key 'b' appears twice"),
        ("a: !!python/object/apply:os.system [ls]", "is not allowed here"),
        ("a: !!str 3", "is not allowed here"),
        ("a: !own 3", "is not allowed here"),
        ("a: [1, 2", "line 1"),
        ("? [1]\n: 2", "a key must be a plain word"),
        ("a: 2020-99-99", "month must be in 1..12"),
        ("a: " + "[" * 5000, "more than 50 levels"),
        ("a: \x00", "special characters are not allowed"),
    ],
)
def test_bad_yaml_is_said_with_its_line(text, reason):
    with pytest.raises(InputError) as caught:
        parse_yaml(text, "plan.yaml")
    assert reason in str(caught.value)
    assert str(caught.value).startswith("plan.yaml")


def test_numbers_of_yaml():
    assert parse_yaml("[1e5, 2.5E-3, -1e+2, .5e1, 7, 0.5, 1e5x]", "f") == [1e5, 2.5e-3, -100.0, 5.0, 7, 0.5, "1e5x"]


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB, "plan.yaml, line 2, column 10: expected valid YAML, found the alias *a0 is not allowed here, write the value again"),
        ("b: &b {x: 1}\nc: {<<: *b}", "the alias *b is not allowed"),
        ("c: {<<: {x: 1}}", "the merge key << is not allowed"),
        ("[" * 100_000, "more than 50 levels"),
        ("a: 1" + ":1" * 50_000, "a number of 100001 characters"),
        ("a: " + "b" * (5 << 20), "a YAML text of at most 4 million characters"),
    ],
    ids=["alias bomb", "alias", "merge key", "deep", "number", "long"],
)
def test_a_short_text_cannot_stand_for_endless_data(text, reason):
    with pytest.raises(InputError) as caught:
        parse_yaml(text, "plan.yaml")
    assert reason in str(caught.value)


def test_files_that_are_no_plan(tmp_path):
    path = tmp_path / "plan.yaml"
    with pytest.raises(InputError, match="no such file"):
        read_yaml(path)
    path.write_text("- a\n- b")
    with pytest.raises(InputError, match="expected keys and values"):
        read_yaml(path)
    path.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(InputError, match="expected text in UTF-16"):
        read_yaml(path)
    path.write_text("")
    assert read_yaml(path) == {}


def test_an_empty_file_says_what_is_needed(registry, tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text("# nothing yet")
    with pytest.raises(InputError, match="plan.yaml: 2 mistakes\n  datasets: expected at least one name.*\n  methods: expected"):
        load_plan(registry, str(path), Flags())


def test_configs_are_found_by_name(registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config(None).name == find_config("quick").name == find_config("quick.yaml").name == "quick.yaml"
    with pytest.raises(InputError, match="Names: .*quick"):
        find_config("slow")
    (tmp_path / "mine.yaml").write_text("datasets: tiny\nmethods: grey\n")
    assert load_plan(registry, "mine.yaml", Flags()).output == Path("results/mine")


def test_the_shipped_default_is_the_plan_of_the_first_table():
    content = read_yaml(find_config("quick"))
    assert (content["datasets"], content["views"], content["size"], content["seeds"]) == (["chest", "walnut"], [10, 50, 100], 64, [0])
    assert sorted(content["methods"]) == ["fdk", "fista_tv", "naf", "sart", "zerorf"]

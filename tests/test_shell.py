"""Shell manners: examples in every help, completion, JSON, exit codes, NO_COLOR, faults and logs that are named."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
import synthetic_results as synthetic
import tiny_plugin
import typer

from benchmark.cli import completion, doctor, main, run
from benchmark.cli.doctor import Check
from benchmark.cli.examples import EXAMPLES, EXIT_CODES
from benchmark.plugins import registry as plugins
from benchmark.records.results import Results
from benchmark.sweep import request
from benchmark.sweep.progress import PlainDisplay

NAMES = [command.name or command.callback.__name__.replace("_", "-") for command in main.app.registered_commands]


def help_of(name: str, capsys) -> str:
    assert main.main([*([name] if name else []), "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_examples_in_its_help_and_every_argument_and_option_its_meaning(name, capsys):
    text = help_of(name, capsys)
    assert EXAMPLES[name], f"add examples to benchmark/commands/examples.py: {name}"
    for example in EXAMPLES[name]:
        assert f"  python -m benchmark {example}" in text.splitlines() or f"    python -m benchmark {example}" in text.splitlines()
    words = text.partition("Arguments:" if "Arguments:" in text else "Options:")[2].partition("Examples:")[0]
    for line in re.findall(r"^  ([\w\[-]\S* .*)$", words, re.MULTILINE):
        assert re.match(r"\S+( <.*?>)?  +[^\s\[]", line), line


@pytest.mark.parametrize("name", NAMES)
def test_every_example_is_a_line_that_is_understood(name):
    """Parsed, not run: an option that no longer exists would be found."""
    group = typer.main.get_command(main.app)
    for example in EXAMPLES[name]:
        command, *rest = example.split()
        with group.make_context("benchmark", [command]) as context:
            group.get_command(context, command).make_context(command, rest, parent=context).close()


def test_no_summary_in_the_list_of_commands_is_cut_off(capsys):
    text = help_of("", capsys).partition("Commands:")[2].partition("Exit codes:")[0]
    assert all(name in text for name in NAMES) and "..." not in text


def test_exit_codes_are_in_the_help_and_in_the_docs(capsys):
    text, page = help_of("", capsys), (Path(__file__).parents[1] / "docs" / "commands.md").read_text()
    for code, meaning in EXIT_CODES.items():
        assert re.search(rf"^\s+{code}\s+{re.escape(meaning)}$", text, re.MULTILINE)
        assert f"| {code} | {meaning} |" in page


def test_completion_knows_names_presets_and_commas():
    assert "fdk" in completion.method_names("f") and "naf:paper" in completion.method_names("naf:")
    assert completion.method_names("fdk,sar") == ["fdk,sart", "fdk,sart:tigre"]
    assert set(completion.plugin_names("wal")) == {"walnut", "walnut_sample"} == set(completion.dataset_names("wal"))


def test_completion_in_a_shell(tmp_path):
    code = "import sys; sys.argv = ['benchmark']; from benchmark.cli.main import main; sys.exit(main([]))"
    words = {"_BENCHMARK_COMPLETE": "complete_bash", "COMP_WORDS": "benchmark run --methods fdk,zer", "COMP_CWORD": "3"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **words}, cwd=tmp_path)
    presets = plugins.load().methods["zerorf"].presets
    assert "paper" in presets and sorted(done.stdout.split()) == sorted(["fdk,zerorf", *(f"fdk,zerorf:{name}" for name in presets)])


def test_report_and_doctor_speak_json(tmp_path, capsys, monkeypatch):
    results = synthetic.fill(tmp_path, views=(10,), methods=("fdk",))
    (results.folder_of(results.records[0]) / "attempt-0002.json").write_text("{")
    monkeypatch.setattr(
        "benchmark.report.figures.write_figures", lambda results, overview: []
    )  # they take seconds and are tested elsewhere
    assert main.main(["report", str(tmp_path), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert str(tmp_path / "report.html") in facts["files"] and "unreadable record" in facts["problems"][0]
    found = [Check("python", "ok", "3.99"), Check("compiler", "broken", "none", "apt-get install g++")]
    monkeypatch.setattr(doctor, "examine", lambda registry: iter(found))
    assert main.main(["doctor", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)[1] == {
        "name": "compiler", "status": "broken", "detail": "none", "fix": "apt-get install g++",
    }  # fmt: skip


def on_terminal(*arguments: str, **environment: str) -> str:
    """What a command prints on a terminal."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "benchmark", *arguments]
    changed = {**{key: value for key, value in os.environ.items() if key != "NO_COLOR"}, "TERM": "xterm-256color", **environment}
    process = subprocess.Popen(command, stdout=follower, stderr=follower, stdin=follower, env=changed)
    os.close(follower)
    text = b""
    while True:
        try:
            block = os.read(leader, 1 << 16)
        except OSError:
            break
        if not block:
            break
        text += block
    os.close(leader)
    process.wait(timeout=60)
    return text.decode()


def test_no_color_is_honoured(tmp_path):
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[benchmark]\nbroken = no_such_module_anywhere\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    colour = r"\x1b\[[0-9;]*(?<!\d)(3[0-8]|9[0-7])[;m]"
    assert re.search(colour, on_terminal("list", PYTHONPATH=path))  # what was set aside is red
    assert not re.search(colour, on_terminal("list", PYTHONPATH=path, NO_COLOR="1"))


def test_a_fault_of_the_program_is_kept_in_a_file_that_is_named(tmp_path, capsys, monkeypatch):
    def broken(*arguments):
        raise ZeroDivisionError("nobody thought of this")

    monkeypatch.setenv("SEED_CACHE", str(tmp_path))
    monkeypatch.setattr("benchmark.cli.spec_tables.describe", broken)
    assert main.main(["show", "fdk"]) == 1
    said = capsys.readouterr().err
    (path,) = (tmp_path / "faults").iterdir()
    assert "Traceback" not in said and f"what is known about it is in {path}" in said
    text = path.read_text()
    assert text.startswith("python -m benchmark show fdk\n") and "ZeroDivisionError: nobody thought of this" in text and "torch: " in text
    assert main.main(["show", "fdk", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_after_a_failed_run_its_log_is_named(tmp_path, capsys, monkeypatch):
    registry = plugins.load()
    registry.add(tiny_plugin, "tiny")
    monkeypatch.setattr(plugins, "registry", lambda: registry)
    arguments = ["--methods", "bad", "--datasets", "tiny", "--size", "8", "--views", "4", "--no-report", "--in-process"]
    assert main.main(["run", *arguments, "--output", str(tmp_path)]) == 1
    (path,) = re.findall(r"  log: (\S+) \(log_tail\)", capsys.readouterr().out)
    assert "this method is broken" in json.loads(Path(path).read_text())["log_tail"]
    (record,) = Results(tmp_path).records
    assert record.run_id in path


def test_only_some_of_many_logs_are_named(tmp_path, capsys):
    results = None
    for number in range(7):
        results = synthetic.add_failure(tmp_path, f"broken{number}")
    run.print_logs(run.open_console(), tmp_path, results.records)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6 and lines[-1] == "  and 2 more"


def test_presets_are_no_pictures(capsys):
    """naf:tv is what rich takes for a television set, :smile: in a message for a face."""
    PlainDisplay(run.open_console()).line("naf:tv failed: ValueError: :smile:")
    assert capsys.readouterr().out == "naf:tv failed: ValueError: :smile:\n"


def test_without_tensorboard_nothing_runs(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(request, "missing_modules", list)
    arguments = ["run", "--methods", "fdk", "--datasets", "ball", "--size", "8", "--views", "4", "--output", str(tmp_path / "out")]
    assert main.main([*arguments, "--tensorboard"]) == 2
    error = capsys.readouterr().err
    assert "--tensorboard: expected the package tensorboard, found none. Install it:" in error and not (tmp_path / "out").exists()


def test_mistakes_in_flags_do_not_name_a_file_that_nobody_gave(capsys):
    assert main.main(["run", "--methods", "fdk", "--datasets", "ball", "--budget", "soon", "--dry-run"]) == 2
    error = capsys.readouterr().err
    assert "plan: --budget" in error and "quick" not in error


def test_doctor_launches_a_kernel_where_there_is_a_gpu(monkeypatch):
    answers = {"torch.__version__": (True, '["2.9", "A GPU", ""]'), "difference_from_cpu": (True, "3e-07")}

    def tried(code, **how):
        return next((found for key, found in answers.items() if key in code), (True, "1.0"))

    monkeypatch.setattr(doctor, "try_in_child", tried)
    monkeypatch.setattr(doctor, "try_import", lambda module: (True, "1.0"))
    checks = {check.name: check for check in doctor.examine(plugins.Registry())}
    assert checks["torch"].detail == "2.9, A GPU"
    assert checks["cuda kernels"].detail == "compiled and launched: A differs from the CPU's by 3e-07, relative"
    answers["difference_from_cpu"] = (False, "RuntimeError: CUDA_ERROR_NO_DEVICE")
    checks = {check.name: check for check in doctor.examine(plugins.Registry())}
    assert checks["cuda kernels"].status == "warning" and "CUDA_ERROR_NO_DEVICE" in checks["cuda kernels"].detail
    answers["torch.__version__"] = (True, '["2.9", "", ""]')
    checks = {check.name: check for check in doctor.examine(plugins.Registry())}
    assert "cuda kernels" not in checks and checks["torch"].status == "ok"
    answers["torch.__version__"] = (True, '["2.9", "", "The NVIDIA driver on your system is too old"]')
    checks = {check.name: check for check in doctor.examine(plugins.Registry())}
    assert checks["torch"].status == "warning" and "is too old" in checks["torch"].detail and "Update the driver" in checks["torch"].fix

"""The page of a sweep under way: what the sweep tells, over HTTP to those who know the address, in a file, and in a real browser."""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import synthetic_results as synthetic
from browser import Browser, find_chromium
from tiny import Watcher, tiny_plan, tiny_registry

from benchmark.cli.main import main
from benchmark.execution.options import Options
from benchmark.live.page import LivePage
from benchmark.live.server import MOST_CONNECTIONS, Server
from benchmark.live.watch import watched
from benchmark.records.results import Results
from benchmark.report.page import write_page
from benchmark.runtime.interval import Interval
from benchmark.sweep.claims import Claims
from benchmark.sweep.pulse import MOST_POINTS, Curve, Pulse, living_sweeps
from benchmark.sweep.sweep import Sweep

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True, scope="module")
def hurry() -> Iterator[None]:
    """Pages may take a whole core: the runs of these tests need none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmark.live.page.SHARE", 1.0)
        yield


def until(condition: Any, seconds: float = 60) -> Any:
    """The first true value of a condition."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "still not true"
        time.sleep(0.02)
    return found


@contextlib.contextmanager
def under_way(folder: Path, *methods: Any) -> Iterator[threading.Thread]:
    """A sweep of the tiny plug-in in a thread, scored every 20 steps; waited for at the end."""
    registry = tiny_registry()
    plan = tiny_plan(registry, folder, *methods)
    options = Options(device="cpu", validate_every=Interval(steps=20))
    thread = threading.Thread(target=lambda: Sweep(registry, plan, options, Watcher()).run())
    thread.start()
    yield thread
    thread.join()


# -- what a sweep tells -------------------------------------------------------------------------------------------------


def test_a_long_curve_keeps_few_points_evenly_spread_and_its_end():
    curve = Curve()
    for step in range(10_001):
        curve.add(step, 1 / (step + 1))
        curve.add(step, math.nan)
    x = [point[0] for point in curve.points()]
    assert MOST_POINTS / 2 <= len(x) <= MOST_POINTS + 1 and (x[0], x[-1]) == (0, 10_000)
    assert {b - a for a, b in zip(x[:-2], x[1:-1], strict=True)} == {64}
    curve.add(10_001, "NaN")
    assert curve.points()[-1] == (10_000, pytest.approx(1 / 10_001, rel=1e-5))


def test_the_state_of_a_sweep_follows_its_runs_and_goes_with_it(tmp_path):
    with under_way(tmp_path / "warm", {"grey": {"steps": 25}}):  # loads the metrics
        pass
    observer = Claims(tmp_path)
    assert living_sweeps(observer) == []
    with under_way(tmp_path, {"grey": {"steps": 400}}, "bad"):
        state = until(lambda: next((s for s in living_sweeps(observer) if s.get("runs") and s["runs"][0].get("projection_psnr")), None))
        (run,) = state["runs"]
        assert (state["total"], state["done"], run["title"], run["total"]) == (2, 0, "tiny 8, 4 views: grey", 400)
        assert [loss for _, loss in run["losses"]] == sorted((loss for _, loss in run["losses"]), reverse=True)
        assert 1 / run["losses"][-1][1] == pytest.approx(run["step"], rel=0.1, abs=2)  # grey logs 1 / (step + 1)
        until(lambda: any(s.get("done") for s in living_sweeps(observer)))
    record = next(record for record in Results(tmp_path).records if record.spec.method == "grey")
    assert run["projection_psnr"][0][1] == pytest.approx(record.metrics["projection_psnr"], abs=1e-3)  # the same grey all along
    assert not (tmp_path / ".sweeps").exists() and living_sweeps(observer) == []


def test_a_killed_sweep_is_not_alive_and_the_next_one_clears_its_state(tmp_path):
    script = f"import time; from benchmark.sweep.claims import Claims; from pathlib import Path; c = Claims(Path({str(tmp_path)!r}))\n"
    script += "c.__enter__(); c.state_file().write_text('{}'); print('ready', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=ROOT) as child:
        assert child.stdout and child.stdout.readline()
        assert living_sweeps(Claims(tmp_path)) == [{}]
        child.kill()
    assert living_sweeps(Claims(tmp_path)) == [] and list(tmp_path.glob(".sweeps/*.now"))
    with Claims(tmp_path):
        assert not list(tmp_path.glob(".sweeps/*.now"))


def test_a_disk_that_takes_nothing_does_not_stop_a_sweep(tmp_path):
    pulse = Pulse(Watcher())
    with pulse.kept(tmp_path / "gone" / "state.now"):
        pulse.sweep_started(3, 1)
        time.sleep(0.1)
    assert pulse.state()["done"] == 1 and list(tmp_path.iterdir()) == []


# -- over HTTP ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served") / "a_sweep"
    synthetic.fill(folder, views=(10,), methods=("fdk", "naf"), shape=(8, 9, 10))
    with Server(folder) as found:
        until(lambda: found.live.page)
        yield found


def ask(server: Server, path: str, method: str = "GET", **headers: str) -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", int(server.url.split(":")[2].split("/")[0]), timeout=10)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    found = answer.status, answer.read().decode(), dict(answer.getheaders())
    connection.close()
    return found


def test_the_page_and_its_script_are_served_to_those_who_know_the_token(server):
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{32}/", server.url)
    status, text, headers = ask(server, f"/{server.token}/")
    assert status == 200 and "<h1>a_sweep</h1>" in text and 'id="now"' in text and "stack-" not in text.partition("<script>")[0]
    assert headers["Content-Type"] == "text/html; charset=utf-8" and headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in headers["Content-Security-Policy"] and headers["Referrer-Policy"] == "no-referrer"
    assert not [name for name in headers if name.lower().startswith("access-control")]
    status, text, _ = ask(server, f"/{server.token}/now.js?123")
    facts = json.loads(re.fullmatch(r"sweepNow\((.*)\);\n", text).group(1))
    assert status == 200 and facts["sweeps"] == [] and not facts["problem"]
    assert facts["page"] == re.search(r'data-page="(\w+)"', server.live.page).group(1)
    assert ask(server, f"/{server.token}/", "HEAD")[:2] == (200, "")


ELSEWHERE = ["/", "", "/now.js", "/wrong/", "/{t}", "/{t}x/", "/{t}/report.html", "/{t}/../", "/{t}/..%2f", "/{t}//etc/passwd", "/%00/"]


@pytest.mark.parametrize("path", ELSEWHERE)
def test_any_other_path_is_not_found(server, path):
    status, text, _ = ask(server, path.format(t=server.token))
    assert (status, text) == (404, "Not Found\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_sent_to_it(server, method):
    status, _, headers = ask(server, f"/{server.token}/", method)
    assert status == 405 and headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(("host", "status"), [("localhost:8000", 200), ("127.0.0.1", 200), ("evil.example:80", 403), ("", 403)])
def test_no_other_name_of_this_machine_is_answered(server, host, status):
    assert ask(server, f"/{server.token}/", Host=host)[0] == status


def test_browsers_that_hang_hold_up_neither_others_nor_the_end(tmp_path):
    (tmp_path / "runs").mkdir()
    hanging = []
    with Server(tmp_path) as server:
        port = int(server.url.split(":")[2].split("/")[0])
        for _ in range(MOST_CONNECTIONS - 2):
            one = socket.create_connection(("127.0.0.1", port))
            one.sendall(b"GET /")
            hanging.append(one)
        assert ask(server, f"/{server.token}/now.js")[0] == 200
        began = time.monotonic()
    assert time.monotonic() - began < 8
    for one in hanging:
        one.close()


def test_garbage_is_answered_briefly_and_forgotten(server, capfd):
    port = int(server.url.split(":")[2].split("/")[0])
    for data in (
        b"\x16\x03\x01\x00\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"A" * 70_000 + b"\r\n\r\n",
        b"GET /\xff\xfe/ HTTP/1.0\r\nHost: localhost\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as one:
            one.sendall(data)
            with contextlib.suppress(ConnectionResetError):
                one.recv(1000)
    assert ask(server, f"/{server.token}/now.js")[0] == 200
    assert capfd.readouterr() == ("", "")


def test_a_taken_port_is_a_mistake_of_the_user(server, capsys, tmp_path):
    port = server.url.split(":")[2].split("/")[0]
    words = ["run", "--methods", "fdk", "--datasets", "phantom", "--size", "16", "--views", "4", "--output", str(tmp_path)]
    assert main([*words, "--serve-port", port]) == 2
    assert re.search(rf"--serve-port: expected a free port of this machine, found {port} \(.*in use\)", capsys.readouterr().err)


def test_a_page_and_a_run_share_no_process(capsys, tmp_path):
    words = ["run", "--methods", "fdk", "--datasets", "phantom", "--size", "16", "--views", "4", "--output", str(tmp_path)]
    assert main([*words, "--serve", "--in-process"]) == 2
    assert "--serve: expected a process per run" in capsys.readouterr().err


def test_watching_a_folder_without_a_sweep_writes_the_report_once(capsys, tmp_path):
    synthetic.fill(tmp_path, views=(10,), methods=("fdk",), shape=(8, 9, 10))
    assert main(["report", str(tmp_path), "--watch", "--only", "report"]) == 2
    assert "--watch: expected all reporters" in capsys.readouterr().err
    with watched(tmp_path, lambda text: print(text)):
        pass
    assert capsys.readouterr().out == f"No sweep is under way in {tmp_path}.\n" and not (tmp_path / "now.js").exists()


def live_page(folder: Path) -> bool:
    return (folder / "now.js").exists() and (folder / "report.html").exists() and 'id="now"' in (folder / "report.html").read_text()


def test_stopped_a_watcher_first_writes_the_whole_report(tmp_path, request):
    synthetic.fill(tmp_path, views=(10,), methods=("fdk",), shape=(8, 9, 10))
    said: list[str] = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by what a script starts in the background
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    with Claims(tmp_path):  # a sweep is alive

        def stop() -> None:
            until(lambda: live_page(tmp_path))
            os.kill(os.getpid(), signal.SIGINT)

        stopper = threading.Thread(target=stop)
        stopper.start()
        with pytest.raises(KeyboardInterrupt), watched(tmp_path, said.append):
            write_page(Results(tmp_path), [])
        stopper.join()
    assert said[1].startswith("Stopping. First, the whole report is written")
    assert 'id="now"' not in (tmp_path / "report.html").read_text() and not (tmp_path / "now.js").exists()


@pytest.mark.slow  # the command twice, with all figures
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_watching_command_that_is_ended_leaves_the_whole_report(tmp_path, number):
    synthetic.fill(tmp_path, views=(10,), methods=("fdk",), shape=(8, 9, 10))
    with Claims(tmp_path):
        words = [sys.executable, "-m", "benchmark", "report", str(tmp_path), "--watch"]
        told: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        told["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored in the background of a script
        with subprocess.Popen(words, cwd=ROOT, **told) as command:
            until(lambda: live_page(tmp_path))
            command.send_signal(number)
            out, err = command.communicate()
        assert command.returncode == 130 and err.strip() == "Stopped." and "Ctrl-C again leaves it out" in out
        assert 'id="now"' not in (tmp_path / "report.html").read_text()
        assert not (tmp_path / "now.js").exists() and (tmp_path / "tables" / "summary.md").exists()


def test_a_page_that_cannot_be_made_leaves_the_last_one(tmp_path, monkeypatch):
    synthetic.fill(tmp_path, views=(10,), methods=("fdk",), shape=(8, 9, 10))
    live = LivePage(tmp_path)
    until(lambda: live.look() == 0 and live.page)
    before = live.page
    synthetic.add_failure(tmp_path)
    monkeypatch.setattr("benchmark.report.page.page", lambda *values, **named: 1 / 0)
    until(lambda: live.look() == 0 and live.problem)
    live.look()
    assert live.page == before and "ZeroDivisionError" in live.script


@pytest.mark.slow  # a command with all figures
def test_a_command_serves_the_page_of_its_own_sweep_until_it_ends(tmp_path):
    words = ["run", "--methods", "fdk", "--datasets", "phantom", "--size", "16", "--views", "4", "--output", str(tmp_path), "--serve"]
    with subprocess.Popen([sys.executable, "-m", "benchmark", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True) as command:
        assert command.stdout
        address = re.fullmatch(r"Page of this sweep, .*: http://127\.0\.0\.1:(\d+)(/\S+/)\n", command.stdout.readline())
        connection = http.client.HTTPConnection("127.0.0.1", int(address.group(1)), timeout=10)
        connection.request("GET", f"{address.group(2)}now.js")
        assert connection.getresponse().status == 200
        rest = command.stdout.read()
    assert command.returncode == 0 and "report.html\nThe page is no longer served: the sweep has ended.\n" in rest
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(address.group(1))))


# -- in a browser -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tab(tmp_path_factory) -> Iterator[Browser]:
    if find_chromium() is None:
        pytest.skip("no Chromium on this machine (set CHROMIUM to the path of one)")
    browser = Browser(tmp_path_factory.mktemp("profile"))
    browser.screen(1280, 900)
    yield browser
    browser.close()


SAID = "(document.querySelector('#now .said') || {}).textContent"


def test_a_browser_sees_runs_under_way_and_then_the_finished_page(tab, tmp_path):
    folder, pulse, run = tmp_path / "a_sweep", Pulse(Watcher()), synthetic.spec("naf")
    synthetic.fill(folder, views=(10,), methods=("fdk",), shape=(8, 9, 10))
    with Server(folder) as server:
        with Claims(folder) as claims, pulse.kept(claims.state_file()):  # a sweep that tells of a run, and makes none
            pulse.sweep_started(2, 1)
            pulse.run_started(run)
            for step in range(1, 9):
                pulse.progress({"run_id": run.id, "step": step, "total": 9, "seconds": step / 2, "loss": 1 / step})
            tab.call("Page.navigate", url=server.url)
            tab.wait("document.querySelector('#now .run .curve') !== null")
            assert tab.value(SAID) == "1 of 2 runs done."
            assert tab.value("document.querySelector('#now .run .value').textContent") == "step 8 of 9, 4 s, loss 0.1250"
            assert tab.value("document.querySelector('#now .run svg').getAttribute('aria-label')") == "loss from 1.00 to 0.125"
        write_page(Results(folder), [])
        server.finish(folder / "report.html")
    tab.wait("document.readyState === 'complete' && document.getElementById('now') === null")
    tab.value("document.querySelector('.viewer').scrollIntoView()")
    tab.wait("document.querySelector('.viewer').dataset.ready === 'true'")  # the policy of what may run allows it
    assert tab.errors == []


@pytest.mark.slow  # a sweep of two runs
def test_a_browser_sees_losses_grow_and_loads_results_until_the_finished_page(tab, tmp_path):
    folder = tmp_path / "a_sweep"
    with Server(folder) as server:
        with under_way(folder, {"grey": {"steps": 50}}, {"grey:dark": {"steps": 400}}):
            tab.call("Page.navigate", url=server.url)
            tab.wait(f"{SAID} === '1 of 2 runs done.'")
            tab.wait("document.querySelectorAll('#now .run .curve').length === 3")
            assert tab.value("document.querySelector('#now .run strong').textContent") == "tiny 8, 4 views: grey:dark"
            assert re.match(
                r"step \d+ of 400, \d s, \d s to go, loss 0\.\d+, volume ",
                tab.value("document.querySelector('#now .run .value').textContent"),
            )
            label = tab.value("document.querySelector('#now .run svg').getAttribute('aria-label')")
            assert re.fullmatch(r"loss from 1\.00 to 0\.\d+", label)
            tab.wait("[...document.querySelectorAll('table.sortable td')].some((cell) => cell.textContent === 'grey')")  # after a reload
            assert "NaN" not in tab.value("document.getElementById('now').innerHTML")
        write_page(Results(folder), [])
        server.finish(folder / "report.html")
    tab.wait("document.readyState === 'complete' && document.getElementById('now') === null")
    assert tab.value("document.title") == "a_sweep: results"
    tab.value("document.querySelector('.viewer').scrollIntoView()")
    tab.wait("document.querySelector('.viewer').dataset.ready === 'true'")  # the policy of what may run allows it
    assert tab.errors == []


@pytest.mark.slow  # a sweep
def test_watching_keeps_the_file_current_and_ends_with_the_whole_page(tab, tmp_path):
    folder, said = tmp_path / "a_sweep", []

    def watch() -> None:
        with watched(folder, said.append):
            write_page(Results(folder), [])

    (folder / "runs").mkdir(parents=True)
    with under_way(folder, {"grey": {"steps": 500}}):
        until(lambda: living_sweeps(Claims(folder)))
        watcher = threading.Thread(target=watch)
        watcher.start()
        until((folder / "now.js").exists)
        until((folder / "report.html").exists)
        tab.open(folder / "report.html")
        tab.wait("document.querySelector('#now .run .curve') !== null")
    watcher.join()
    assert said == [f"{folder / 'report.html'} is kept current until the sweep ends."]
    assert not (folder / "now.js").exists()
    tab.wait("document.readyState === 'complete' && document.getElementById('now') === null")  # by itself
    assert tab.value("document.querySelectorAll('.viewer').length") == 2
    assert [error for error in tab.errors if "ERR_FILE_NOT_FOUND" not in error] == []

"""Kill the workers, the scheduler and the client of a Dask cluster in turn: `python dask_kills.py FOLDER BEGIN END`; a line for each try
after which something was lost, doubled or half written, or the next command did not complete. All are children of this process, on the
loopback interface.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import dask
import numpy as np
from distributed import Scheduler, Worker
from tiny import Watcher, tiny_plan, tiny_registry

from benchmark.audit.verify import verify_files
from benchmark.errors import InputError
from benchmark.execution.options import Options
from benchmark.kernels.cpu_library import library
from benchmark.machine.environment import environment
from benchmark.plugins import registry as plugins
from benchmark.records.record import RunRecord
from benchmark.records.results import Results
from benchmark.storage.checked_json import read_checked
from benchmark.sweep.sweep import Sweep

METHODS, SEEDS = ("grey", "grey:dark"), [0, 1, 2]
RUNS = len(METHODS) * len(SEEDS)
VICTIMS = ("worker", "scheduler", "client")
PATIENCE = 900.0  # [s] that anything may take
DONE, STOPPED, FAULT = 0, 2, 70  # exit codes of a client
ALLOWED = ("was lost while the run was under way", "could not be reached")


def forked(task: Callable[..., int], *arguments: object) -> int:
    """Return the number of a child that does a task; what it says goes to the log."""
    pid = os.fork()
    if pid:
        return pid
    code = FAULT
    try:
        os.dup2(1, 3)
        for descriptor in (1, 2):
            os.dup2(os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
        code = task(*arguments)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(code)


def scheduler() -> int:
    async def serve() -> None:
        async with Scheduler(host="127.0.0.1", port=0, dashboard=False) as running:
            Path("address.new").write_text(running.address)
            os.replace("address.new", "address")
            await running.finished()

    asyncio.run(serve())
    return DONE


def worker(address: str) -> int:
    async def serve() -> None:
        async with Worker(address, host="127.0.0.1", nthreads=1, dashboard=False, local_directory="workers") as running:
            await running.finished()

    plugins.registry().add(sys.modules["tiny_plugin"], "tiny")
    asyncio.run(serve())
    return DONE


def client(address: str, folder: Path, in_process: bool) -> int:
    registry = tiny_registry()
    plan = tiny_plan(registry, folder, *METHODS, seeds=SEEDS)
    try:
        done = Sweep(registry, plan, Options(device="cpu", in_process=in_process), Watcher(), scheduler=address).run()
    except InputError as error:
        print(error, flush=True)
        return STOPPED
    return done.exit_code


def waited(condition: Callable[[], object]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(condition())


class Cluster:
    """A scheduler and two workers, made anew where they were killed."""

    scheduler, workers, address = 0, [0, 0], ""

    def complete(self) -> None:
        if not self.scheduler:
            for pid in filter(None, self.workers):
                end(pid)
            Path("address").unlink(missing_ok=True)
            self.scheduler, self.workers = forked(scheduler), [0, 0]
            assert waited(Path("address").exists), "no scheduler"
            self.address = Path("address").read_text()
        self.workers = [pid or forked(worker, self.address) for pid in self.workers]

    def kill(self, victim: str, rng: random.Random) -> None:
        if victim == "scheduler":
            end(self.scheduler)
            self.scheduler = 0
        else:
            which = rng.randrange(len(self.workers))
            end(self.workers[which])
            self.workers[which] = 0

    def close(self) -> None:
        for pid in filter(None, [*self.workers, self.scheduler]):
            end(pid)


def end(pid: int) -> int:
    """Kill a child and return how it ended."""
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def outcome(pid: int) -> int:
    """Return the exit code of a child that ends by itself."""
    if not waited(lambda: ended(pid)):
        end(pid)
        raise AssertionError(f"a client was still running after {PATIENCE:g} s")
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def attempts(folder: Path) -> dict[Path, bytes]:
    """Every stored attempt. Raise InputError for half a one."""
    found = sorted(folder.glob("runs/*/attempt-*.json"))
    for path in found:
        RunRecord.model_validate(read_checked(path))
    return {path: path.read_bytes() for path in found}


def whole(folder: Path) -> None:
    results = Results(folder)
    assert results.problems == [], results.problems
    wrong = [finding for finding in verify_files(results) if finding.status != "ok" and finding.what.startswith("case")]
    wrong += [finding for finding in verify_files(results) if finding.status == "differs"]
    assert wrong == [], wrong


def one_try(number: int, folder: Path, cluster: Cluster) -> str:
    """Kill one part in the middle of a sweep, then repeat the command; returns how the first command ended."""
    rng, victim = random.Random(number), VICTIMS[number % len(VICTIMS)]
    in_process = number % 12 < 9  # of the worker; else each run is a process of its own
    cluster.complete()
    first = forked(client, cluster.address, folder, in_process)
    recorded, late = rng.randrange(RUNS), rng.uniform(0, 0.5)

    def at_the_moment() -> bool:
        return ended(first) or (len(list(folder.glob("runs/*/attempt-*.json"))) >= recorded and any(folder.glob("runs/*/*.claim")))

    assert waited(at_the_moment), "no start"
    time.sleep(late)
    if victim == "client":
        code = end(first)
    else:
        cluster.kill(victim, rng)
        if victim == "worker":
            cluster.complete()
        code = outcome(first)
        assert code == DONE or (victim == "scheduler" and code == STOPPED), f"the command ended with exit code {code}"
    before = attempts(folder)
    if folder.exists():
        whole(folder)
    cluster.complete()
    again = outcome(forked(client, cluster.address, folder, in_process))
    assert again == DONE, f"the next command ended with exit code {again}"
    whole(folder)
    after = attempts(folder)
    assert before.items() <= after.items(), "a record was lost or changed"
    records = [RunRecord.model_validate(read_checked(path)) for path in after]
    finished = [record.run_id for record in records if record.status == "ok"]
    assert len(finished) == len(set(finished)) == RUNS, (
        f"{len(finished)} runs are recorded as finished, {len(set(finished))} different ones"
    )
    unexplained = [record.reason for record in records if record.status != "ok" and not any(words in record.reason for words in ALLOWED)]
    assert unexplained == [], unexplained
    litter = [path for path in folder.rglob("*") if path.name.startswith(".") or path.suffix in (".claim", ".lock")]
    assert litter == [], litter
    return f"{victim} killed after {len(before)} records: exit code {code}"


def main() -> None:
    scratch, begin, end_ = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    os.chdir(scratch)
    library()
    environment()  # of this moment, for all
    dask.config.set({"distributed.comm.timeouts.connect": "10s", "distributed.worker.daemon": False})
    cluster, killed = Cluster(), 0
    try:
        for number in range(begin, end_):
            folder = scratch / f"results-{number}"
            try:
                print(f"{number} {one_try(number, folder, cluster)}", file=sys.stderr, flush=True)
                killed += 1
                shutil.rmtree(folder)
            except Exception as error:
                print(f"{number} {VICTIMS[number % len(VICTIMS)]}: {type(error).__name__}: {error}", flush=True)
    finally:
        cluster.close()
    print(f"{killed} killed", flush=True)


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()

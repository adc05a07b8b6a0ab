"""Seed: a benchmark harness for sparse-view cone-beam CT."""

from benchmark.machine.threads import let_threads_sleep

__version__ = "0.1.0"

let_threads_sleep()  # here, since it works only before torch or the kernels load an OpenMP runtime

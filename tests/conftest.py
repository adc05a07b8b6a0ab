"""Before anything loads OpenMP: threads that wait do not spin, since test machines are small and shared; each of several pytest
workers has its share of the cores.
"""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "1000")
workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if workers > 1:
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))

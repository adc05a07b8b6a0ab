"""Before anything loads OpenMP: threads that wait do not spin, since test machines are small and shared."""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "1000")

"""Folders of the kernels' sources: cpu/ is C++, cuda/ is CUDA, shared/ holds device functions that both compile unchanged."""

from __future__ import annotations

from pathlib import Path

CPU_SOURCES, CUDA_SOURCES, SHARED_SOURCES = (Path(__file__).parent / name for name in ("cpu", "cuda", "shared"))

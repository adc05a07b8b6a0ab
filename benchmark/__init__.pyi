# Written by docs/stubs.py (make docs) from the table of benchmark.
# ruff: noqa

# Runs
from benchmark.python.sweeps import run as run
from benchmark.python.volumes import reconstruct as reconstruct
from benchmark.python.volumes import RunFailed as RunFailed

# Data and scores
from benchmark.python.cases import load_case as load_case
from benchmark.python.cases import score as score

# Results
from benchmark.python.cases import load_results as load_results
from benchmark.python.cases import compare as compare
from benchmark.report.compare import Comparison as Comparison

# Types
from benchmark.scan.case import Case as Case
from benchmark.scan.geometry import ConeBeamGeometry as ConeBeamGeometry
from benchmark.errors import InputError as InputError
from benchmark.errors import MissingDependency as MissingDependency
from benchmark.scan.reconstruction import Reconstruction as Reconstruction
from benchmark.records.results import Results as Results
from benchmark.scan.scan import Scan as Scan

from benchmark.plugins.exports import Exports

__version__: str
EXPORTS: Exports
__all__ = [
    "Case",
    "Comparison",
    "ConeBeamGeometry",
    "InputError",
    "MissingDependency",
    "Reconstruction",
    "Results",
    "RunFailed",
    "Scan",
    "compare",
    "load_case",
    "load_results",
    "reconstruct",
    "run",
    "score",
]

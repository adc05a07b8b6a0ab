"""The Python that runs this program, for child processes whose present folder must not be searched for modules."""

from __future__ import annotations

import sys

# A folder that is called like a plug-in or a library would stand for it. Python 3.10 has no such switch.
PYTHON = (sys.executable, "-P") if sys.version_info >= (3, 11) else (sys.executable,)

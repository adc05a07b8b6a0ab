"""python -m benchmark"""

import os
import sys

if __name__ == "__main__":
    # `-m` puts the present folder first; a folder there that is called like a plug-in or a library must not stand for it.
    if sys.path and sys.path[0] in ("", os.getcwd()) and not getattr(sys.flags, "safe_path", False):
        del sys.path[0]

    from benchmark.cli.main import main

    sys.exit(main())

"""python -m benchmark"""

import os
import sys

if __name__ == "__main__":
    # `-m` puts the present folder first; a folder there that is called like a plug-in or a library must not stand for it.
    if sys.path and sys.path[0] in ("", os.getcwd()) and not getattr(sys.flags, "safe_path", False):
        del sys.path[0]

    try:
        from benchmark.cli.main import main
    except KeyboardInterrupt:  # this takes a second; afterwards, main() says it
        sys.stderr.write("Stopped.\n")
        sys.exit(130)
    except ModuleNotFoundError as error:
        if (error.name or "benchmark").partition(".")[0] == "benchmark":
            raise
        sys.stderr.write(
            f"error: {sys.executable}: expected a Python into which this project is installed, found one without '{error.name}'. "
            "Use .venv/bin/python -m benchmark (`make install` creates it), or `pip install .` into this one.\n"
        )
        sys.exit(2)
    sys.exit(main())

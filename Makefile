# Two commands do everything on a fresh machine: `make run` the main job, `make test` the tests.
# PYTHON chooses the interpreter (3.10 or newer), ARGS is handed on: make run ARGS="--views 10 --methods fdk,naf".
# The tests run in two processes, file by file; make test ARGS="-n 0" runs them in one.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: run test gpu-check gpu-engines install lint docs resolve clean

run: $(INSTALLED)
	$(BIN)/python -m benchmark prepare chest walnut
	$(BIN)/python -m benchmark run $(ARGS)

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not gpu and not network and not slow" $(ARGS)

# On a machine with an NVIDIA GPU: the speed and what agrees with what, written into docs/performance.md, then what is there, and the tests
# that need a GPU. One that fails does not keep the next from running; without a GPU the first says so and nothing else runs.
gpu-check: $(INSTALLED)
	@status=0; \
	$(BIN)/python -m benchmark speed --device cuda --write docs/performance.md || status=$$?; \
	[ $$status -lt 2 ] || exit $$status; \
	$(BIN)/python -m benchmark doctor || status=1; \
	$(BIN)/python -m pytest -m gpu $(ARGS) || status=1; \
	exit $$status

# TIGRE and tiny-cuda-nn, which no package index has: built from their repositories, with CUDA's compiler (nvcc), by the commands that
# `doctor` and skipped runs name.
gpu-engines: $(INSTALLED)
	$(BIN)/python -c 'from benchmark.machine.environment import install_hint as hint; print(hint("tigre"), hint("tinycudann"), sep="; ")' \
	| PATH="$(CURDIR)/$(BIN):$$PATH" sh -ex

# The fast ones first. .pre-commit-config.yaml runs the same before a commit.
lint: $(INSTALLED)
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/codespell
	$(BIN)/proselint check --config .proselint.json README.md CONTRIBUTING.md docs
	$(BIN)/lint-imports
	$(BIN)/mypy

# The files that are written from the code (stubs, drawings), then the manual in build/site. A warning, such as a broken link, is an error.
docs: $(INSTALLED)
	$(BIN)/python docs/stubs.py
	$(BIN)/python docs/architecture.py
	$(BIN)/python docs/drawings.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "manual: build/site/index.html"

# That constraints.txt resolves on every Python: asks the package index, installs nothing.
resolve: $(INSTALLED)
	$(BIN)/python .ci/resolve.py

install: $(INSTALLED)

# The compiler is looked for first, so that its absence is said at once and not after a long download.
$(INSTALLED): pyproject.toml constraints.txt
	@command -v g++ >/dev/null || command -v c++ >/dev/null || command -v clang++ >/dev/null || { \
	  echo "No C++ compiler found, which the CPU kernels need. Install one: 'apt-get install g++' (Debian, Ubuntu)," \
	       "'dnf install gcc-c++' (Fedora), 'xcode-select --install' (macOS)."; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "Python 3.10 or newer is needed, found $$($(PYTHON) --version). Say which one: make PYTHON=python3.12"; exit 2; }
	@for folder in methods datasets configs; do [ -e benchmark/$$folder/ ] || ln -sfn ../$$folder benchmark/$$folder; done  # lost in some copies
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	$(BIN)/python -c 'from benchmark.kernels.cpu_library import build; print("kernels:", build().name)'
	@touch $@

clean:
	rm -rf $(VENV) *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis

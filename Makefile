# make reproduce | test | publish | site | bench | dist | lab | lint   (and `make lock` after a new dependency)
PYTHON ?= $(shell for version in 3.13 3.12 3.11; do command -v python$$version >/dev/null 2>&1 && python$$version -c '' 2>/dev/null && { echo python$$version; exit; }; done; \
	python3 -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo python3)
BIN := .venv/bin
READY := .venv/ready
PROFILE ?= quick

.PHONY: reproduce test publish site bench dist lab lint lock

reproduce: $(READY)
	@$(BIN)/robult reproduce --profile $(PROFILE)

test: $(READY)
	@echo "make test: linter, unit tests, and every notebook in the smoke profile; writes to temporary folders only"
	@$(MAKE) --no-print-directory lint
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadgroup --nbmake tests notebooks

publish: $(READY)
	@$(BIN)/robult publish --profile $(PROFILE)

# From the published notebooks; it opens from disk.
site: $(READY)
	@$(BIN)/robult site

bench: $(READY)
	@$(BIN)/python -m benchmarks

# The wheel and the source archive, built with what .venv holds, so that no network is needed.
dist: $(READY)
	@rm -rf build dist
	@$(BIN)/python -m build --no-isolation --outdir dist
	@echo "make dist: $$(ls dist | tr '\n' ' ')in dist/"

lab: $(READY)
	@echo "make lab: JupyterLab on the notebooks; stop it with Ctrl-C"
	@$(BIN)/jupyter lab notebooks

lint: $(READY)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

lock: $(READY)
	@$(BIN)/python .ci/lock.py

# The stamp is newer than the lock when the environment holds what the lock says.
$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 found: install one, or name it with 'make PYTHON=/path/to/python3.12'."; exit 1; }
	@echo "setting up .venv with $(PYTHON) from requirements.lock (first time: a few minutes; an existing .venv is brought up to date)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "$(PYTHON) cannot make a virtual environment: on Debian, apt install python3-venv."; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

# Two commands do everything: `make run` and `make test`. Nothing but packages is downloaded.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CORES  ?= all
ARGS   ?=
LOCKED := .make-lock
WORKERS ?= 2
# side by side, file by file; tests/conftest.py says which files go together and which begin
PYTEST := pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder

export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONNOUSERSITE := 1

.PHONY: run test test-quick test-long check config faults voices lock

# The lock is not empty while Snakemake runs, so that its own lock is taken away only from a run of this kind that was
# killed, never from a plain `snakemake` beside.
define RUN
if [ -s $(LOCKED) ]; then snakemake --unlock $(ARGS) >/dev/null 2>&1; fi; \
echo running >$(LOCKED); trap : INT TERM HUP; \
snakemake --cores $(CORES) $(ARGS); code=$$?; \
if [ $$code -lt 128 ]; then : >$(LOCKED); fi; \
exit $$code
endef

run: $(VENV)/run.installed            ## the whole pipeline on the embedded corpus, then where its tables are
	@flock -n -E 75 $(LOCKED) sh -c '$(RUN)' || \
	{ code=$$?; if [ $$code -eq 75 ]; then echo "error: another 'make run' (or a job it left behind) still works in this folder. Wait for it or end it, then run again." >&2; fi; exit $$code; }

test: $(VENV)/test.installed          ## all tests but those that cannot be short
	$(PYTEST) -m "not long"

test-quick: $(VENV)/test.installed    ## the quick tests only
	$(PYTEST) -m "not slow and not long"

test-long: $(VENV)/test.installed     ## the tests that take minutes each
	$(PYTEST) -m long

check: $(VENV)/test.installed         ## style, types, and what Snakemake's linter finds
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules
	mypy models pipeline
	python .ci/lint.py

config: $(VENV)/run.installed         ## config.yaml and docs/config.md, from the settings in pipeline/
	python -m pipeline.config_page

faults: $(VENV)/test.installed        ## docs/faults.md, from the markers of the tests
	python tests/faults_page.py

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Python 3.11 or later is needed; '$(PYTHON)' is older. Name another one: make run PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "error: '$(PYTHON) -m venv $(VENV)' failed, see above. On Debian and Ubuntu the package python3-venv is needed: sudo apt-get install python3-venv; elsewhere name a Python with venv: make run PYTHON=python3.12. Then run again." >&2; exit 1; }

# the packages of the lock, then the project itself, so that it can be imported in any folder
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check
PROJECT = $(INSTALL) --no-deps --no-build-isolation --editable .

# where the stage weights looks for the encoder of voices; its wheel is not installed, for only its weights are read
VOICES = weights/resemble-ai--Resemblyzer/v0.1.4

$(VENV)/run.installed: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(INSTALL) --require-hashes -r requirements.lock
	$(PROJECT)
	@touch $@

$(VENV)/test.installed: requirements-test.lock pyproject.toml | $(VENV)/bin/python
	$(INSTALL) --require-hashes -r requirements-test.lock
	$(PROJECT)
	@touch $@ $(VENV)/run.installed

voices: $(VOICES)                       ## the weights of the encoder of voices, for annotate (docs/annotate.md)
$(VOICES): | $(VENV)/run.installed
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --dest $@.part Resemblyzer==0.1.4
	@mv $@.part $@

# uv resolves for Linux and macOS and for Python 3.11 and later at once, and writes no index address
UV = uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11
lock: $(VENV)/run.installed             ## resolve anew, then write envs/ from the lock
	$(UV) requirements-test.in -o requirements-test.lock
	$(UV) -c requirements-test.lock requirements.in -o requirements.lock
	$(BIN)/python -m pipeline.environments

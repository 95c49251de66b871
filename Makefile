# `make demo` and `make test` do everything on a machine with Python 3.10 or later and Java 17.
#
#   PYTHON        the Python to make the virtual environment with, default python3
#   TORCH_INDEX   another package index for PyTorch, as for its CPU build
#   JOBS          test files that run at once, default 2
#   ARGS          more arguments for pytest, as in: make test ARGS="-k optimizers"

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
JOBS ?= 2
ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt \
	$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
PACKAGING := setup.cfg pyproject.toml constraints.txt elephas_torch/_version.py
AXE := build/axe/axe.min.js
RUN := OMP_NUM_THREADS=1 $(BIN)/python
# By whole files, which share Spark sessions and data; in their order, as the slow ones are spread.
PYTEST := $(RUN) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder
# What falls, all that is said about histories of a run, and the many odd inputs. Files are whole:
# their quick tests are rows of the tables in docs/reliability.md, too.
LONG := tests/faults tests/test_run.py tests/test_recovery.py tests/test_security.py \
	tests/test_allreduce.py::test_a_lost_worker_and_a_silent_one \
	tests/parameter/test_state_model.py tests/parameter/test_fuzzing.py \
	tests/keras/test_saving_hostile.py

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow test-long test-gpu fuzz audit axe axe-if-possible lint \
	format bench docs site pictures parity build java clean

help:
	@echo "make demo       train the MNIST example on local Spark in all three modes"
	@echo "make test       lint, then run the tests (all but the slow ones)"
	@echo "make test-slow  run all tests"
	@echo "make test-long  let executors, servers, drivers and networks fail, and fuzz: about two hours"
	@echo "make test-gpu   what only a GPU shows; without one all of it is skipped"
	@echo "make lint       ruff and mypy"
	@echo "make fuzz       send the parameter server what its description allows, and doesn't"
	@echo "make axe        fetch axe-core, with which a test looks at the live page, as make test does"
	@echo "make audit      ask for known weaknesses of the dependencies"
	@echo "make format     let ruff lay out the code"
	@echo "make bench      print samples per second, side by side"
	@echo "make docs       run the code of README.md and docs/"
	@echo "make site       build the documentation's site in build/site; links that lead nowhere fail"
	@echo "make pictures   draw docs/pictures anew"
	@echo "make parity     compare with Keras, and write docs/parity.md anew"
	@echo "make build      make a wheel and an sdist in dist/, and check their metadata"
	@echo "make install    make the virtual environment $(VENV) and stop there"
	@echo "make clean      remove the virtual environment and what tests leave"

install: $(VENV)/.installed-dev

demo: java $(VENV)/.installed-examples
	@$(BIN)/python examples/mnist_mlp_spark.py

test: java lint axe-if-possible
	@$(PYTEST) -m "not slow" $(ARGS)

test-slow: java $(VENV)/.installed-dev axe-if-possible
	@$(PYTEST) $(ARGS)

# One after the other: clusters of their own, and times that are measured. Without the soak and the
# load test, 40 minutes less: ARGS="-k 'not test_soak.py and not test_load.py'".
test-long: java $(VENV)/.installed-dev
	@export ELEPHAS_TORCH_LONG=1; $(RUN) -m pytest $(LONG) -rP --junitxml=build/test-long.xml $(ARGS)
	@echo "python scripts/faults.py writes what was tried into docs/reliability.md."

# Requests made from the server's OpenAPI description, by a tool with a place of its own.
fuzz: $(VENV)/.installed-dev
	@scripts/venv.sh "$(PYTHON)" "$(VENV)-fuzz"
	@$(VENV)-fuzz/bin/python -m pip install --disable-pip-version-check --quiet schemathesis
	@$(RUN) scripts/fuzz_http.py $(VENV)-fuzz/bin/st $(ARGS)

# With a build of torch that has CUDA: TORCH_INDEX=https://download.pytorch.org/whl/cu126, say.
test-gpu: java $(VENV)/.installed-dev
	@$(RUN) -m pytest -m gpu $(ARGS)

# The tool has many dependencies of its own, so it gets a place of its own. --strict: what it can't
# look up is an error.
audit:
	@scripts/venv.sh "$(PYTHON)" "$(VENV)-audit"
	@$(VENV)-audit/bin/python -m pip install --disable-pip-version-check --quiet pip-audit
	@$(VENV)-audit/bin/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt

# Of that version, out of its package; nothing of it is installed, and nothing of it is run but in a
# browser, by tests/test_live_page.py.
axe: $(AXE)

$(AXE): Makefile
	@mkdir -p build/axe
	@cd build/axe && npm pack --silent --fetch-retries=0 --fetch-timeout=20000 axe-core@4.14.1 \
		&& tar xzmf axe-core-4.14.1.tgz --strip-components=1 package/axe.min.js \
		&& rm axe-core-4.14.1.tgz

# Where there is no npm, or no network, its test is skipped and says so.
axe-if-possible:
	@! command -v npm >/dev/null || $(MAKE) --silent axe >/dev/null 2>&1 || true

lint: $(VENV)/.installed-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy elephas_torch

format: $(VENV)/.installed-dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: java $(VENV)/.installed-dev
	@$(BIN)/python -m benchmarks $(ARGS)

docs: java $(VENV)/.installed-dev
	@$(RUN) -m pytest tests/test_readme.py tests/test_troubleshooting.py $(ARGS)

site: $(VENV)/.installed-dev
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "It is in build/site: open build/site/index.html."

pictures: java $(VENV)/.installed-dev
	@$(BIN)/python scripts/pictures.py
	@$(RUN) scripts/screenshots.py

parity: $(VENV)/.installed-dev
	@$(RUN) scripts/parity.py

# Uploading is by hand: see docs/releasing.md.
build:
	@rm -rf dist "$(VENV)-build"
	@scripts/venv.sh "$(PYTHON)" "$(VENV)-build"
	@$(VENV)-build/bin/python -m pip install --disable-pip-version-check --quiet build twine
	@$(VENV)-build/bin/python -m build --outdir dist .
	@$(VENV)-build/bin/python -m twine check --strict dist/*
	@rm -rf "$(VENV)-build"

java:
	@scripts/java.sh

clean:
	rm -rf $(VENV) $(VENV)-audit $(VENV)-fuzz $(VENV)-build build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .schemathesis \
		spark-warehouse metastore_db derby.log artifacts

# A stamp, so that only a change of the packaging installs again.
$(VENV)/.installed-%: $(PACKAGING)
	@scripts/venv.sh "$(PYTHON)" "$(VENV)"
	@echo "Installing elephas_torch[$*] into $(VENV): some minutes the first time."
	@$(PIP) -e ".[$*]"
	@touch $@

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
RUN := OMP_NUM_THREADS=1 $(BIN)/python
# By whole files, which share Spark sessions and data; in their order, as the slow ones are spread.
PYTEST := $(RUN) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow test-long audit lint format bench docs parity java clean

help:
	@echo "make demo       train the MNIST example on local Spark in all three modes"
	@echo "make test       lint, then run the tests (all but the slow ones)"
	@echo "make test-slow  run all tests"
	@echo "make test-long  let executors, servers, drivers and networks fail: more than an hour"
	@echo "make lint       ruff and mypy"
	@echo "make audit      ask for known weaknesses of the dependencies"
	@echo "make format     let ruff lay out the code"
	@echo "make bench      print samples per second, side by side"
	@echo "make docs       run the code of README.md and docs/"
	@echo "make parity     compare with Keras, and write docs/parity.md anew"
	@echo "make install    make the virtual environment $(VENV) and stop there"
	@echo "make clean      remove the virtual environment and what tests leave"

install: $(VENV)/.installed-dev

demo: java $(VENV)/.installed-examples
	@$(BIN)/python examples/mnist_mlp_spark.py

test: java lint
	@$(PYTEST) -m "not slow" $(ARGS)

test-slow: java $(VENV)/.installed-dev
	@$(PYTEST) $(ARGS)

# One after the other: clusters of their own, and times that are measured.
test-long: java $(VENV)/.installed-dev
	@export ELEPHAS_TORCH_LONG=1; $(RUN) -m pytest tests/faults $(ARGS)

# The tool has many dependencies of its own, so it gets a place of its own. --strict: what it can't
# look up is an error.
audit:
	@scripts/venv.sh "$(PYTHON)" "$(VENV)-audit"
	@$(VENV)-audit/bin/python -m pip install --disable-pip-version-check --quiet pip-audit
	@$(VENV)-audit/bin/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt

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
	@$(RUN) -m pytest tests/test_readme.py $(ARGS)

parity: $(VENV)/.installed-dev
	@$(RUN) scripts/parity.py

java:
	@scripts/java.sh

clean:
	rm -rf $(VENV) $(VENV)-audit build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis \
		spark-warehouse metastore_db derby.log artifacts

# A stamp, so that only a change of the packaging installs again.
$(VENV)/.installed-%: $(PACKAGING)
	@scripts/venv.sh "$(PYTHON)" "$(VENV)"
	@echo "Installing elephas_torch[$*] into $(VENV): some minutes the first time."
	@$(PIP) -e ".[$*]"
	@touch $@

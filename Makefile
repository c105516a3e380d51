# Each verb does its own set-up: `make compare` and `make test` work on a fresh machine with Python 3.11 or later.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
DATA ?=
export PYTHONHASHSEED = 0

.PHONY: compare test plugins check-full lint format bench clean

.venv/python.stamp:
	$(PYTHON) -m venv .venv
	touch $@

# the core: no torch
.venv/core.stamp: .venv/python.stamp pyproject.toml constraints.txt
	$(PIP) --editable .
	touch $@

# everything the tests want
.venv/all.stamp: .venv/core.stamp
	$(PIP) --editable ".[torch,plot,test,dev]"
	touch $@

.venv/bench.stamp: .venv/all.stamp
	$(PIP) --editable ".[bench]"
	touch $@

compare: .venv/core.stamp
	$(BIN)/skgen compare wine

test: .venv/all.stamp
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 -m "not full" --cov --cov-report=term --cov-fail-under=90

check-full: .venv/all.stamp
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 -m full tests

# each installed as a stranger's would be, and held to its own tests
plugins: .venv/all.stamp
	for plugin in plugins/skgen-*; do \
		$(PIP) "./$$plugin" && (cd "$$plugin" && OMP_NUM_THREADS=1 ../../$(BIN)/python -m pytest -q -p no:cacheprovider) || exit 1; \
	done
	$(BIN)/skgen models

lint: .venv/all.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: .venv/all.stamp
	$(BIN)/python tools/make_stub.py
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# speed against rivals in the same run; with DATA=folder also the published likelihoods
bench: .venv/bench.stamp
	$(BIN)/python benchmarks/speed.py
	$(if $(DATA),$(BIN)/python benchmarks/published_binary.py --data $(DATA))
	$(if $(DATA),$(BIN)/python benchmarks/published_mixtures.py --data $(DATA))

clean:
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache .coverage htmlcov

# Each goal works on a machine with nothing but Python 3.11+, make and a package index; all of it happens in .venv.
#   make demo                     curate the bundled real videos, ask about them         (ARGS='--out my-demo')
#   make test                     the test suite                       (ARGS='tests/hdvg -k store', ARGS='-m slow')
#   make nightly                  the slow tests: minutes each, with a wheel in a clean environment
#   make faults                   break it in every way it should survive: half an hour    (ARGS='--slice' for five minutes)
#   make fuzz                     our own parsers, ten minutes each, guided by coverage where atheris is installed
#   make scale                    what commands cost from 10,000 clips to a million, an hour (ARGS='--sizes 10k,100k')
#   make check                    format, lint, types
#   make sbom                     list of all that is installed, as CycloneDX, with licences  (sbom.cdx.json)
#   make lock                     requirements.lock: the pinned set with the hash of each wheel
#   make web                      the pages of report, explorer and audit, from hdvg/web/source   (needs node 20)
#   make bench                    every benchmark, last line of each is JSON             (BENCH=bench_run for one)
#   make clean                    take .venv, caches and builds away; datasets stay

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH ?= $(patsubst tests/bench/%.py,%,$(wildcard tests/bench/bench_*.py))
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test nightly faults fuzz scale check format bench sbom lock web clean

help:
	@sed -n 's/^#   //p' Makefile

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is older than 3.11; name a newer one: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
	@echo "hdvg: installing into $(VENV), once (about a minute and 2.5 GB; more where torch comes with CUDA) ..."
	@$(PYTHON) -m venv $(VENV) || { echo "no venv module: install your system's python3-venv package" >&2; exit 1; }
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[bucket,caption,dev,explore,export,measure,shots,train,web]'
	@touch $@
	@echo "hdvg: ready; for a shell that knows the command: source $(BIN)/activate"

demo: $(READY)
	@$(BIN)/python -m pipelines.demo $(ARGS)

test: $(READY)
	@$(BIN)/python -m pytest $(ARGS)

nightly: $(READY)
	@$(BIN)/python -m pytest -m "slow and not gpu and not network" $(ARGS)

faults: $(READY)
	@$(BIN)/python -m tests.faults $(ARGS)

fuzz: $(READY)
	@$(BIN)/python -m tests.faults.fuzz_faults $(ARGS)

scale: $(READY)
	@$(BIN)/python -m tests.scale $(ARGS)

check: $(READY)
	@echo "format" && $(BIN)/ruff format --check .
	@echo "lint" && $(BIN)/ruff check .
	@echo "types" && $(BIN)/mypy

format: $(READY)
	@$(BIN)/ruff check --fix-only --quiet . && $(BIN)/ruff format .

bench: $(READY)
	@set -e; for name in $(BENCH); do echo "bench $$name"; $(BIN)/python -m tests.bench.$$name $(ARGS); done

sbom: $(READY)
	@test -x build/sbom/bin/cyclonedx-py || { $(PYTHON) -m venv build/sbom && build/sbom/bin/pip install -qq --disable-pip-version-check cyclonedx-bom; }
	@build/sbom/bin/cyclonedx-py environment --output-reproducible --of JSON -o sbom.cdx.json $(BIN)/python
	@echo "sbom.cdx.json"

lock: $(READY)
	@mkdir -p build && grep -v '^torch==' constraints.txt > build/pins.txt
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --dry-run --no-deps --ignore-installed --report build/report.json -r build/pins.txt
	@$(BIN)/python -m tests.supply lock build/report.json && echo "requirements.lock"

web:
	@cd hdvg/web/source && npm ci --no-audit --no-fund --silent && npm run --silent build

clean:
	@rm -rf $(VENV) build dist sbom.cdx.json hdvg/web/source/node_modules *.egg-info .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

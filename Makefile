# Two commands do everything from a fresh clone: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
ARGS   ?=

.PHONY: help demo test check lint types format docs diagrams lock dist clean compiled test-compiled bench faults

help: ## What can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.run ## Start the gateways, send signed traffic through them, show what was stored
	@$(BIN)/logops demo $(ARGS)

test: $(VENV)/.dev ## All tests (LOGOPS_REQUIRE_SERVICES=1 makes a missing real service a failure)
	@$(BIN)/python -m pytest $(ARGS)

check: lint types test ## What must be green before a commit

lint: $(VENV)/.dev ## ruff: style, mistakes, formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/.dev ## mypy --strict
	@$(BIN)/mypy

format: $(VENV)/.dev ## Put the code in its form
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

compiled: $(VENV)/.dev ## The checkout again in build/compiled, its hot packages as native code (needs a C compiler)
	@$(BIN)/python tools/make_compiled.py

test-compiled: compiled ## The tests against the compiled packages
	@cd $(COMPILED) && PYTHONPATH=$(COMPILED) $(abspath $(BIN)/python) -m pytest $(ARGS)

faults: $(VENV)/.dev ## N injected faults of every kind (default 1000), and the table of what became of the events
	@$(BIN)/python -m tests.faults --faults $(or $(N),1000) --out tests/faults/table.md $(ARGS)

bench: compiled ## The load sweep on the compiled gateway: ARGS="--batch-size 1 --workers 2 --out FILE ..."
	@PYTHONSAFEPATH=1 PYTHONPATH=$(COMPILED) $(BIN)/python -m bench.eps_sweep $(ARGS)

# Benchmarks run from here, so that their results outlive the next compilation.
COMPILED := $(CURDIR)/build/compiled

docs: $(VENV)/.dev ## The generated reference pages (configuration, metrics)
	@$(BIN)/python tools/make_docs.py

diagrams: ## The architecture's pictures from its model (needs Java 17, Maven, Graphviz)
	@mvn -q -f architecture/tools compile exec:java \
	  -Dexec.args="architecture/workspace.dsl architecture/export architecture"

lock: $(VENV)/.dev ## Resolve the dependencies anew and write the lock files
	@$(BIN)/python -m pip --quiet install uv
	@$(BIN)/uv pip compile --quiet pyproject.toml --group build $(LOCK_FLAGS) -o requirements.lock
	@$(BIN)/uv pip compile --quiet pyproject.toml --group dev --extra report $(LOCK_FLAGS) -o requirements-dev.lock
	@$(BIN)/uv pip compile --quiet --group compile --constraint requirements-dev.lock $(LOCK_FLAGS) -o requirements-compile.lock
LOCK_FLAGS := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --upgrade

dist: $(VENV)/.dev ## sdist and wheel in dist/ (LOGOPS_COMPILE=1: a compiled wheel for this platform)
	@$(BIN)/python -m build --no-isolation --outdir dist . >/dev/null && ls dist

clean: ## Remove what make made (not data/)
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "LogOps needs Python 3.11 or newer; try: make PYTHON=python3.12")'
	@echo "Making $(VENV) ..."
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

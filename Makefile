# Every target does its own set-up in .venv, pinned by constraints.txt.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One thread a process: two processes of one thread beat one of two, and results stay equal to the bit.
export OMP_NUM_THREADS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Compiled files are kept, whatever the machine says: else each process of the tests compiles the package anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: install demo test test-all lint proof faults bench docs ui clean help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

# What both installations do; what the tests need comes with it at once where it is asked for first.
define install
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed; say which with: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@echo "Installing into $(VENV) (a few minutes, once) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.$(1)'
endef

$(VENV)/.installed: pyproject.toml constraints.txt
	$(call install)
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt
	$(call install,[dev])
	@touch $(VENV)/.installed $@

install: $(VENV)/.installed  ## the package in .venv, and nothing else

demo: $(VENV)/.installed  ## the whole path on bundled data, through Dagster; ends with a summary and a report
	@$(BIN)/nn-assets demo $(DEMO_FLAGS)

PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --ignore tests/browser

test: $(VENV)/.installed-dev  ## the tests
	@# In a process of its own: what the browser's driver leaves behind must not fail another test. It waits for pages
	@# half of the time, so it comes first: .ci/run has the demo at work beside it.
	@$(BIN)/python -m pytest tests/browser
	@$(PYTEST) -m "not full" $(TEST_FLAGS)

test-all: $(VENV)/.installed-dev  ## the tests, and those of full size
	@$(PYTEST) $(TEST_FLAGS)
	@$(BIN)/python -m pytest tests/browser

lint: $(VENV)/.installed-dev  ## ruff, mypy and the import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

proof: $(VENV)/.installed-dev  ## what each defence and verdict does on markets whose truth is known; hours, goes on where it stopped
	@$(BIN)/python -m tests.proof $(PROOF_FLAGS)

faults: $(VENV)/.installed-dev  ## kills at every write point and things broken, into docs/faults.md; some 15 minutes, goes on where it stopped
	@$(BIN)/python -m tests.faults $(FAULTS_FLAGS)

bench: $(VENV)/.installed-dev  ## benchmarks against the plain references; figures go to tests/benchmarks/RESULTS.md
	@$(BIN)/python -m tests.benchmarks

docs: $(VENV)/.installed  ## docs/tables.md from the contracts of the tables, docs/members.md from what is registered
	@$(BIN)/python -m nn_assets.contracts.dictionary > docs/tables.md
	@$(BIN)/python -m nn_assets.operations.members > docs/members.md

ui: $(VENV)/.installed  ## Dagster's pages and daemon; prints the address to open
	@$(BIN)/nn-assets ui

clean:  ## remove the environment and caches; the home (.nn_assets) stays
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

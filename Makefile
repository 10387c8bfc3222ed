# What a change must pass, and what a visitor tries first. Needs Python 3.11 or newer, git and make; the rest
# is installed into .venv. `make help` lists the targets.

.DEFAULT_GOAL := help
.SUFFIXES:
.DELETE_ON_ERROR:

VENV    := .venv
BIN     := $(VENV)/bin
REPORTS := reports
FILE    ?=
# Workers of pytest; 0 runs the tests one after another in one process.
JOBS    ?= 0
# Anything else for pytest, such as ARGS="-k cancel -x".
ARGS    ?=

# A Python that can make a virtual environment is better than one that cannot; a broken shim is neither.
PYTHON := $(shell \
	for check in 'import sys, venv, ensurepip' 'import sys'; do \
	  for python in python3.11 python3.12 python3.13 python3; do \
	    "$$python" -c "$$check; sys.exit(sys.version_info < (3, 11))" >/dev/null 2>&1 \
	      && { echo "$$python"; exit; }; \
	  done; \
	done)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test lint unit bench format clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

demo: $(VENV)/.runtime ## run a workflow on a text (FILE=book.txt for one of yours, or a workflow.yaml); Docker is used if it answers
	@$(BIN)/python examples/demo.py $(if $(FILE),'$(subst ','\'',$(FILE))')

test: lint ## everything a change must pass (JOBS=2 runs two tests at a time)
	@mkdir -p $(REPORTS)
	$(BIN)/pytest -n $(JOBS) --dist worksteal --junitxml=$(REPORTS)/junit.xml $(ARGS)

lint: $(VENV)/.dev ## style, types, and which way imports point
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/.dev ## the tests that need nothing but Python
	$(BIN)/pytest -n $(JOBS) tests/unit $(ARGS)

bench: $(VENV)/.dev ## the measurements behind docs/performance.md
	$(BIN)/python bench/run.py $(ARGS)

format: $(VENV)/.dev ## put imports and lines into the house's order
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

clean: ## remove everything these targets made
	rm -rf $(VENV) $(REPORTS) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

$(VENV)/.runtime: pyproject.toml | $(VENV)/bin/python
	@echo "Installing Muster into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	@echo "Installing Muster and its development tools into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.runtime

# --clear, because an interrupted attempt leaves half an environment behind.
$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { \
	  echo "Muster needs Python 3.11 or newer, and none of python3.11, python3.12, python3.13, python3 is one."; \
	  exit 1; } >&2
	@$(PYTHON) -m venv --clear $(VENV) 2>/dev/null \
	  || $(PYTHON) -m virtualenv --quiet --clear $(VENV) 2>/dev/null \
	  || uv venv --quiet --clear --seed --python $(PYTHON) $(VENV) 2>/dev/null \
	  || { rm -rf $(VENV); \
	    echo "$(PYTHON) cannot make virtual environments; on Debian or Ubuntu: apt install python3-venv"; \
	    exit 1; } >&2

# Every target sets up what it needs; the environment lives in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Shared CPUs: idle OpenMP threads must sleep instead of spin, before Python starts.
export OMP_WAIT_POLICY := passive
export TOKENIZERS_PARALLELISM := false

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow bench lint clean

help:  ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(VENV)/.dev  ## Set up .venv for the commands and for development

# What the commands need, and on top of it what tests and checks need: a demo does not wait for the latter.
$(VENV)/.commands: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[lab,report]'
	touch $@

$(VENV)/.dev: $(VENV)/.commands
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(VENV)/.commands  ## Compare selection methods on a small reasoning model: ARGS="--task countdown --seeds 3"
	$(BIN)/edgewise demo $(ARGS)

test: install lint  ## Lint, type-check and run the fast tests
	$(BIN)/python -m pytest $(ARGS)

test-slow: install  ## The tests that take minutes
	$(BIN)/python -m pytest -m slow $(ARGS)

bench: install  ## Speed as ratios against named baselines
	$(BIN)/python -m benchmarks $(ARGS)

lint: install  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:  ## Remove the environment and caches; runs/ stays
	rm -rf $(VENV) build src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

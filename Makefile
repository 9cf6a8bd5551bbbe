# Every target sets up what it needs; the environment lives in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := -m pip install --quiet
# Shared CPUs: idle OpenMP threads must sleep instead of spin, before Python starts.
export OMP_WAIT_POLICY := passive
export TOKENIZERS_PARALLELISM := false

.DEFAULT_GOAL := help
.PHONY: help install demo test fast fix check test-trl test-verl test-slow dist reliability bench check-numbers docs clean

help:  ## Show the targets
	@grep -E '^[a-z.-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(VENV)/.dev  ## Set up .venv for the commands and for development

# What the commands need, and on top of it what tests and checks need: a demo does not wait for the latter.
$(VENV)/.commands: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(INSTALL) --constraint constraints.txt torch
	$(BIN)/python $(INSTALL) --constraint constraints.txt --editable '.[lab,report]'
	touch $@

$(VENV)/.dev: $(VENV)/.commands
	$(BIN)/python $(INSTALL) --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(VENV)/.commands  ## Compare selection methods on a small reasoning model: ARGS="--task countdown --seeds 3"
	$(BIN)/edgewise demo $(ARGS)

# One thread each: the workers share the cores.
test: install lint  ## Lint, type-check and run the fast tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto $(ARGS)

test-verl: test-verl-0.7 test-verl-0.9  ## The verl adapter with the real verl, in environments of its own

# verl and its packages exclude each other's versions, and TRL's; everything it needs on a CPU is pinned in one file.
test-verl-%: .venv-verl-%/.ready
	.venv-verl-$*/bin/python -m pytest -W default --disable-warnings tests/adapters/real_verl $(ARGS)

.venv-verl-%/.ready: constraints-verl-%.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13) and "verl needs Python 3.11 or 3.12")'
	$(PYTHON) -m venv .venv-verl-$*
	.venv-verl-$*/bin/python $(INSTALL) --constraint $< torch
	.venv-verl-$*/bin/python $(INSTALL) --no-deps --requirement $<
	.venv-verl-$*/bin/python $(INSTALL) --no-deps --editable .
	touch $@
.PRECIOUS: .venv-verl-%/.ready

test-trl: test-trl-1.10.0 test-trl-1.15.0 test-trl-1.16.0  ## The TRL adapter with its oldest and newest TRL, and Unsloth's newest

# All tests with the oldest; the newest is that of `make test`, and kernels that are interpreted are slow.
TRL_TESTS = trl or unsloth
test-trl-1.15.0: TRL_TESTS = (trl_versions or trl_steps or trl_environments or unsloth) and not selection_pays
test-trl-1.16.0: TRL_TESTS = trl_versions or unsloth

# TRL alone differs: the environment lies on top of .venv, whose packages it takes. TRL 1.15 cannot do without Triton, whose
# interpreter runs its kernels on a CPU.
test-trl-%: .venv-trl-%/.ready
	.venv-trl-$*/bin/python -c 'import trl; assert trl.__version__ == "$*", trl.__version__'
	OMP_NUM_THREADS=1 TRITON_INTERPRET=1 .venv-trl-$*/bin/python -m pytest -n auto -W default --disable-warnings tests/adapters -k "$(TRL_TESTS)" $(ARGS)

.venv-trl-%/.ready: $(VENV)/.dev
	$(BIN)/python -m venv .venv-trl-$*
	.venv-trl-$*/bin/python $(INSTALL) --no-deps trl==$* $(if $(filter 1.15.%,$*),triton==3.9.0)
	$(BIN)/python -c 'import site; print("import site; site.addsitedir(%r)" % site.getsitepackages()[0])' \
		> $$(echo .venv-trl-$*/lib/python3*/site-packages)/below.pth
	touch $@
.PRECIOUS: .venv-trl-%/.ready

test-slow: install  ## The tests that take minutes
	$(BIN)/python -m pytest -m slow $(ARGS)

dist: install  ## Wheel and sdist, installed in bare environments and checked: ARGS="--python python3.12 --extras report"
	$(BIN)/python -m tools.dist $(ARGS)

reliability: install  ## Fault injection at full scale; writes docs/results/reliability.json: ARGS="kill-rl --n 10"
	$(BIN)/python -m tools.reliability $(ARGS)

bench: install  ## Speed as ratios against named baselines
	$(BIN)/python -m benchmarks $(ARGS)

docs: $(VENV)/.docs  ## Build the documentation's site into site/, warnings are errors: ARGS=serve shows it while it is written
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs $(or $(ARGS),build)

$(VENV)/.docs: $(VENV)/.commands
	$(BIN)/python $(INSTALL) --constraint constraints.txt --editable '.[docs]'
	touch $@

check-numbers: install  ## Compare the numbers in README and docs with their recorded results
	$(BIN)/python -m tools.numbers $(ARGS)

fast: install  ## The core's tests alone, without lint
	$(BIN)/python -m pytest tests/test_*.py tests/beliefs tests/selectors tests/sampling tests/docs $(ARGS)

fix: install  ## Lint fixes and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: install  ## ruff and mypy, without tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lint: check

clean:  ## Remove the environment and caches; runs/ stays
	rm -rf site $(VENV) .venv-trl-* .venv-verl-* build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Tools come from .venv, made from the locked requirements; PYTHON is any CPython 3.11 or younger.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made-from-requirements
SOURCES := $(shell find kmsched -name '*.py' 2>/dev/null)
UNIT_TESTS := --ignore=tests/scenarios
# tests with processes and files: about half of the time of all
OUTER := tests/artifacts tests/executor tests/daemon tests/testbed tests/doctor
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONPATH :=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo check style types contracts unit unit-outer unit-inner roles sim bench docs test soak km clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(STAMP): requirements/check.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/check.txt
	@touch $@

# python3 of the machine: the demo makes .venv itself
demo: ## from nothing to pods running on Mesos: builds, starts and deploys what is missing; as root
	$(PYTHON) -m demo

check: $(STAMP) ## format, lint, types, import contracts, unit tests, Ansible's lint: below 90 s
	@$(MAKE) --no-print-directory --keep-going --jobs=3 --output-sync=target unit-inner roles unit-outer types style contracts

style:
	ruff format --check .
	ruff check .

types:
	mypy

contracts:
	lint-imports

unit: unit-outer unit-inner

unit-outer:
	python -m pytest -q $(OUTER)

unit-inner:
	python -m pytest -q $(UNIT_TESTS) $(OUTER:%=--ignore=%)

roles:
	ansible-lint --offline

SEEDS ?= 1000
FROM ?= 0
sim: $(STAMP) ## simulate SEEDS=1000 worlds with faults, from seed FROM=0
	python -m tests.sim --seeds $(SEEDS) --from $(FROM)

bench: $(STAMP) ## speed and memory, into bench/results/: make bench [NAME=placement|ingest|memory|latency|timer]
	python -m bench $(NAME)

docs: $(STAMP) ## write the pages that are made from tables
	python -m docs.generate

# python3 of the machine: the first stage makes .venv itself
test: ## all stages with their budgets, as CI runs them: check, simulation, testbed, scenarios; as root
	@$(PYTHON) -m tests.stages

soak: km ## many trials of one scenario: make soak NAME=kill-scheduler [TRIALS=20]; goes on where it stopped; as root
	python -m tests.scenarios.soak $(NAME) $(if $(TRIALS),--trials $(TRIALS))

km: bin/km ## build bin/km, one reproducible executable

bin/km: $(STAMP) $(SOURCES) requirements/runtime.txt
	python -m kmsched.artifacts.bundle --output $@

clean: ## remove what was built here; the build cache stays
	rm -rf bin build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .ansible

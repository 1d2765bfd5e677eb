# Two commands: `make run` (environment, data, pipeline, report) and `make test`. Developers: `make check`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

UV_VERSION := 0.13.9
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PATH := $(abspath $(BIN)):$(PATH)

.PHONY: help
help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

.PHONY: environment
environment: $(READY) ## the Python environment from the lock file, in .venv

$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' \
	  || { echo "Python 3.11 or 3.12 is needed: make PYTHON=python3.11 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
	  || { echo "Python's venv is missing: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --require-hashes -r requirements.lock
	@touch $@

.PHONY: run
run: environment ## everything, from nothing to the report
	snakemake --cores 8 --resources gpu=1
	@echo
	@echo "Report:  $(abspath reports/index.html)"
	@echo "Runs:    source $(VENV)/bin/activate && mlflow ui    then open the address it prints"

.PHONY: test
test: environment ## the tests but those of whole graphs, on two cores
	python -m pytest -n 2 --dist loadfile -m "not slow and not gpu and not graph and not cluster"

.PHONY: test-graphs
test-graphs: environment ## tests that run whole graphs of Snakemake and DVC: a few minutes
	python -m pytest -n 2 --dist loadfile -m "graph and not slow"

.PHONY: test-slow
test-slow: environment ## what takes longer
	python -m pytest -m "slow" --timeout 1800

.PHONY: mutants
mutants: environment ## how many small changes of web/, storage/ and the sandbox their tests notice: an hour or more
	python -m benchmarks.mutants --page docs/benchmarks/mutants.md

CLUSTER_PACKAGES := iproute2 munge nginx-light postgresql slurm-wlm

.PHONY: test-cluster
test-cluster: environment ## Slurm, a bucket, PostgreSQL and MLflow's server, started on this machine
	@if [ "$$(id -u)" = 0 ]; then apt-get install --yes --no-install-recommends $(CLUSTER_PACKAGES) >/dev/null; \
	  else dpkg --status $(CLUSTER_PACKAGES) >/dev/null || { echo "apt-get install $(CLUSTER_PACKAGES)" >&2; exit 1; }; fi
	python -m pytest -m cluster --timeout 3600


.PHONY: check
check: environment docs ## format, lint, types, direction of imports, documentation
	ruff format --check .
	ruff check .
	mypy
	lint-imports --no-logo --no-cache
	python -m pipeline.workflow.dvc_stages --check
	snakefmt --check Snakefile
	snakemake --lint

.PHONY: docs
docs: environment ## the documentation as a site, in .site; a broken link is an error
	NO_MKDOCS_2_WARNING=1 mkdocs build --quiet --strict

.PHONY: format
format: environment ## rewrite the sources in the house format
	ruff format .
	ruff check --fix .
	snakefmt Snakefile
	python -m pipeline.workflow.dvc_stages

.PHONY: lock
lock: environment ## resolve pyproject.toml anew into requirements.lock and environment.yml
	uv pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes \
	  --no-emit-index-url --no-header --output-file requirements.lock pyproject.toml
	python -m tests.support.environment > environment.yml

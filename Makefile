# VENV and PYTHON may be set from outside: make setup VENV=/opt/leadline PYTHON=python3.12
SHELL := /bin/bash
VENV ?= .venv
PYTHON ?= python3
UV_VERSION := 0.13.9
BIN := $(VENV)/bin
UV := $(VENV)/uv/bin/uv
READY := $(VENV)/.ready

# Without bytecode on disk every start costs seconds more.
unexport PYTHONDONTWRITEBYTECODE
# Threads that wait by spinning make training many times slower as soon as anything else runs.
export OMP_WAIT_POLICY := passive

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: setup demo test check format bench slow clean services help

setup: $(READY) ## make .venv with every pinned package and Leadline itself; does nothing if that is done

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Leadline needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + ": try make setup PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv --without-pip $(VENV)
	@# uv lives in an environment of its own: syncing the other one to the lock must not touch it.
	@test "$$($(UV) --version 2>/dev/null | cut -d' ' -f2)" = $(UV_VERSION) \
		|| { $(PYTHON) -m venv $(VENV)/uv && $(VENV)/uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION); }
	@echo "Installing the packages of requirements.lock into $(VENV)"
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## invent a CRM, train, score and report on it, and say where things lie
	@$(BIN)/leadline demo

test: setup services ## run the tests, without the slow ones, on two processors
	@# Two workers use both processors; threads of linear algebra on top of them only wait for each other.
	@OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

slow: setup services ## run the tests that take more than a minute each
	@$(BIN)/python -m pytest -m slow

check: setup ## formatting, lint, types, imports, spelling; changes nothing
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/codespell

format: setup ## put the source into its one form and mend what lint can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: setup ## run the small form of every benchmark in benchmarks/
	@found=0; for path in benchmarks/[a-z]*.py; do \
		[ -e "$$path" ] || continue; \
		found=1; name=$$(basename "$$path" .py); \
		echo "== $$name"; $(BIN)/python -m "benchmarks.$$name" --size small || exit 1; \
	done; \
	[ $$found = 1 ] || echo "There is no benchmark in benchmarks/ yet."

services: ## install what tests need from Debian, if it is missing: PostgreSQL server, Chromium, Java
	@missing=""; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || missing="$$missing postgresql"; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	command -v java >/dev/null || [ -x "$$JAVA_HOME/bin/java" ] || missing="$$missing default-jre-headless"; \
	[ -n "$$missing" ] || exit 0; \
	root=""; [ "$$(id -u)" = 0 ] || root="sudo -n"; \
	echo "Installing for the tests:$$missing"; \
	if command -v apt-get >/dev/null \
		&& $$root apt-get -qq update >/dev/null \
		&& DEBIAN_FRONTEND=noninteractive $$root apt-get -qq install --yes --no-install-recommends $$missing >/dev/null </dev/null; \
	then :; else \
		echo "Could not install:$$missing. Please install it yourself; the tests that need it will say so." >&2; \
	fi

clean: ## remove caches and build leftovers; keeps .venv and var
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist *.egg-info
	@find features models serving flows tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "%-10s %s\n", $$1, $$2}' Makefile

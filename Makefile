# mqpipe: `make run` and `make test` do all the set-up they need.
SHELL := /bin/bash
# Byte code is kept: mqpipe is started hundreds of times.
unexport PYTHONDONTWRITEBYTECODE
BIN := .venv/bin
# The first interpreter that runs (a pyenv shim may exist and not run).
PYTHON := $(shell for p in python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null && echo $$p && break; done)

.PHONY: help install run test test-quick test-long attack lint platforms format bench bench-full docs clean

help: ## list the targets
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / {printf "%-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/.installed ## a .venv with mqpipe in it, and all that its development takes

# What running needs, and nothing else; `make install` adds the rest to the same .venv.
.venv/.runs: pyproject.toml requirements.lock
	@echo "installing what mqpipe needs into .venv …"
	@$(MAKE_VENV)
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $@

.venv/.installed: .venv/.runs requirements-dev.lock
	@echo "adding what its development takes to .venv …"
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.lock
	@touch $@

# An environment without pip, which takes most of the time to make one; uv fills it.
UV := $(or $(shell command -v uv),.venv/uv/bin/uv)
PIP := -m pip install --quiet --disable-pip-version-check --root-user-action ignore
ifneq ($(PYTHON),)
MAKE_VENV = $(PYTHON) -m venv --without-pip .venv && $(GET_UV)
else
MAKE_VENV = echo "no Python 3.11 or 3.12 here: uv fetches one"; $(GET_UV) && \
	$(UV) venv --quiet --allow-existing --python 3.12 .venv
endif
GET_UV = { command -v $(UV) >/dev/null || $(or $(PYTHON),python3) $(PIP) --target .venv/uv uv || \
	{ $(or $(PYTHON),python3) -m venv .venv/uv && .venv/uv/bin/python $(PIP) uv; }; }

COMPILE = $(UV) pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

requirements.lock: ## pin what running takes (make -B requirements.lock)
	$(COMPILE) -o $@

requirements-dev.lock: requirements.lock ## pin what development takes too, extras among it
	$(COMPILE) --constraint requirements.lock --extra report --extra deltalake --extra msk --extra detectors --group dev --group docs -o $@

run: .venv/.runs ## a simulated fleet, streamed into ./samples
	$(BIN)/mqpipe run

# Tests wait more than they work: more workers than cores, and all kinds in one run, in which one that
# fails stops no other.
WORKERS ?= $(shell echo $$((3 * $$(getconf _NPROCESSORS_ONLN))))

test: install .venv/.collected ## every test, the real Kafka broker's among them
	$(BIN)/pytest tests -n $(WORKERS) --dist loadgroup --durations 20

# In a new tree each worker would compile all tests for itself; what is wrong with one they say themselves.
.venv/.collected: .venv/.installed $(shell find tests -name '*.py' -newer .venv/.collected 2>/dev/null)
	@$(BIN)/pytest tests --collect-only -qq >/dev/null; touch $@

# A verdict soon: laws are tried with a quarter of the examples that `make test` tries them with.
test-quick: install ## unit tests: no broker, no minutes
	$(BIN)/pytest tests/unit -n $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )) --dist loadgroup --hypothesis-profile quick

test-long: install ## the tests that `make test` skips for the time they take, each with its reason
	$(BIN)/pytest tests -m long --long -v

attack: install ## what nobody means, made at random, for an hour (MINUTES=10 for less)
	$(BIN)/python -m tests.attack --minutes $(or $(MINUTES),60)

lint: install ## format, lint, types, import direction
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m flows.reference docs --check

# As wheels alone: what runs is not compiled. Bytewax's for x86-64 want glibc 2.31.
PLATFORMS := x86_64-manylinux_2_31 aarch64-unknown-linux-gnu aarch64-apple-darwin

platforms: install ## the lock resolves on each platform that the README names; nothing is installed
	@for lock in requirements.lock requirements-dev.lock; do for platform in $(PLATFORMS); do \
		$(UV) pip compile --quiet $$lock --python-platform $$platform --python-version 3.11 \
			--only-binary :all: -o /dev/null && echo "$$lock: $$platform" || exit 1; done; done

format: install ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install ## benchmarks, short (BENCH="pool merge" for some); tables on standard output
	$(BIN)/python -m tests.benchmarks $(BENCH)

bench-full: install ## benchmarks at full size
	$(BIN)/python -m tests.benchmarks --full

docs: install ## write the reference pages again, and the documentation into site/
	$(BIN)/python -m flows.reference docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

clean: ## remove what the targets made
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist site

# Every command a developer needs. `make demo` and `make test` do all their own set-up; nothing but Python 3.11+ is needed.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all test-unit peers check bench kills faults published fmt proto

VENV := .venv
BIN := $(VENV)/bin

help:
	@echo "make demo       real Envoys through a real Kafka to real backends, with an outage; needs no root"
	@echo "make test       every test; installs the real peers it can have"
	@echo "make test-unit  the tests that need no server: seconds"
	@echo "make check      ruff, mypy, import contracts"
	@echo "make bench      cost and memory, side by side with the Prometheus agent"
	@echo "make kills      the tailer killed 50 times under load: nothing lost, nothing twice"
	@echo "make faults     a hundred schedules of faults from seeds; SEEDS=17 repeats one"
	@echo "make published  the outage in which Prometheus's users saw gaps, ten times, side by side"
	@echo "make setup      environment and peers, and nothing else"
	@echo "make fmt        format the code"
	@echo "make proto      generate topics/pb from topics/proto"

setup: $(VENV)/.dev peers

demo: $(VENV)/.demo
	@$(BIN)/headrace demo $(DEMO_FLAGS)

test test-all: $(VENV)/.dev peers
	@$(BIN)/python -m pytest -q $(PYTEST_FLAGS)

test-unit: $(VENV)/.dev
	@$(BIN)/python -m pytest -q tests/unit tests/conformance $(PYTEST_FLAGS)

peers: $(VENV)/.dev
	@$(BIN)/python -m tests.peers.install

check: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev peers
	@$(BIN)/python -m tests.bench.run $(BENCH_FLAGS)
	@$(BIN)/python -m tests.bench.scraper $(BENCH_SCRAPER_FLAGS)
	@$(BIN)/python -m tests.bench.backlog $(BENCH_BACKLOG_FLAGS)
	@$(BIN)/python -m tests.bench.agent $(BENCH_AGENT_FLAGS)

kills: $(VENV)/.dev
	@HEADRACE_KILLS=50 $(BIN)/python -m pytest -q -s tests/faults/test_tail_faults.py -k kill_9 $(PYTEST_FLAGS)

SEEDS := 1-100
faults: $(VENV)/.dev
	@$(BIN)/python -m tests.faults.schedules --seeds $(SEEDS) $(FAULTS_FLAGS)

published: $(VENV)/.dev peers
	@$(BIN)/python -m tests.faults.published $(PUBLISHED_FLAGS)

fmt: $(VENV)/.dev
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

# Each stamp is younger than the packages it stands for. `dev` holds all of `demo`, so one never undoes the other.
$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "environment: installing headrace with what its tests need (a minute or two, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(VENV)/.demo $@

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	@echo "environment: installing headrace with Kafka and Envoy (a minute, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@

# `make PYTHON=/path/to/python3.12 …` chooses the Python; else .ci/find-python does, or says what to install.
$(BIN)/python:
	@python="$${PYTHON:-$$(.ci/find-python)}" && echo "environment: $(VENV), made with $$python" && \
		{ "$$python" -m venv $(VENV) || { rm -rf $(VENV); exit 1; }; }

proto: $(VENV)/.dev
	$(BIN)/python -m topics.proto.generate

# Paths are relative throughout, so the checkout may lie anywhere and move.
# uv is used where it is found, and fetched from the package registry by pip where it is not.
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
RUN := "$(UV)" run --no-sync
PYTHON ?= python3

.PHONY: help install demo ui dashboard bench test test-slow fuzz check format

help:
	@echo "make demo       install, run the whole pipeline on synthetic cells, show the models and the champion"
	@echo "make ui         open MLflow's pages on the runs and the registry"
	@echo "make dashboard  open Optuna's pages on the tuning studies"
	@echo "make bench      what users wait for, timed beside what they would otherwise pick"
	@echo "make test       the quick tests            make test-slow  kills, servers, whole pipelines"
	@echo "make fuzz       what reads strangers' input, and splits, on other random examples for half an hour (MINUTES=5)"
	@echo "make check      format, lint, types and the quick tests, as CI does"

.uv/bin/uv:
	@echo "uv is not here: fetching it into .uv with pip"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --target .uv uv || \
		{ echo "error: no uv and no pip: install one of them (on Debian: apt-get install python3-pip)" >&2; exit 2; }

ifeq ($(UV),.uv/bin/uv)
install: .uv/bin/uv
endif
# Compiled once here (18 s): else TensorFlow's 10 s of compiling come back in every process where Python may not write.
install:
	@test -e .venv/bin/python || "$(UV)" venv --quiet --relocatable .venv
	@"$(UV)" sync --quiet --locked --compile-bytecode

demo: install
	@$(RUN) dvc repro --quiet
	@$(RUN) leukoscope summary

ui: install
	@$(RUN) leukoscope ui

dashboard: install
	@$(RUN) leukoscope dashboard

bench: install
	@$(RUN) python -m benchmarks

test: install
	@$(RUN) pytest -q -n 2 --dist loadfile -m "not slow"

test-slow: install
	@"$(UV)" sync --quiet --locked --compile-bytecode --extra cluster
	@$(RUN) pytest -q -n 2 --dist loadfile --no-loadscope-reorder --durations=20 -m "slow and not ray"
	@$(RUN) pytest -q --durations=10 -m "slow and ray"

# Rounds of other examples each, until the time is up (the last one is ended at its end).
MINUTES ?= 30
fuzz: install
	@end=$$(($$(date +%s) + 60 * $(MINUTES))); round=0; \
	while [ $$(date +%s) -lt $$end ]; do \
		$(RUN) pytest -q -n 2 --hypothesis-profile=fuzz tests/test_fuzz.py tests/data/test_split_properties.py || exit 1; \
		round=$$((round + 1)); \
	done; echo "$$round rounds, nothing found"

check: install
	@$(RUN) ruff format --check .
	@$(RUN) ruff check .
	@$(RUN) mypy
	@$(RUN) pytest -q -n 2 --dist loadfile -m "not slow"

format: install
	@$(RUN) ruff format .
	@$(RUN) ruff check --fix .

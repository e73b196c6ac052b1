PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: install demo test check format bench clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: install
	$(BIN)/xmed demo

# One process of tests for each processor; those of one module stay together, because they share what was trained.
# The order is that of tests/conftest.py, which lets the longest modules begin first.
TESTS := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

test: install
	$(TESTS)

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(TESTS)

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Every measurement of speed. The libraries that it compares with go into an environment of their own.
BENCH := .venv-bench

$(BENCH)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	touch $@

bench: $(BENCH)/.installed
	$(BENCH)/bin/python benchmarks/speed.py .bench

clean:
	rm -rf $(VENV) $(BENCH) .bench .xmed build dist *.egg-info

# Each target builds what it needs in .venv, from Python 3.10 or newer. In addition, "docs" needs
# Graphviz, and "tox-oldest" needs Python 3.10 itself.
#   make test PYTHON=python3.12    chooses the interpreter (after "make clean")

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo demo-server test test-fast chaos chaos-old chaos-mutants tox-oldest lint format bench docs clean
.DELETE_ON_ERROR:
.NOTPARALLEL:

help:
	@echo "make demo         charge, decline and refund on an offline Stripe, and print what happened"
	@echo "make demo-server  leave the demo's site and its admin running"
	@echo "make test         the whole suite, on every database that is found"
	@echo "make test-fast    the suite on SQLite without its slow tests, in a minute or two"
	@echo "make chaos        charge 2,000 rows while processes are killed and Stripe fails"
	@echo "make chaos-old    the same while an older version of the package charges the rows, too"
	@echo "make chaos-mutants  the same without a protection at a time; chaos has to notice"
	@echo "make tox-oldest   the suite with the oldest versions (\"tox\" runs every combination)"
	@echo "make lint         style, types, layers, migrations"
	@echo "make format       put the code into the style that lint asks for"
	@echo "make bench        speed and cost next to the bare SDK, in twenty minutes (BENCH=--quick: in one)"
	@echo "make docs         the documentation, into docs/_build"
	@echo "make clean        remove .venv and everything built"

demo: $(VENV)/.ready
	$(BIN)/python -m demo

demo-server: $(VENV)/.ready
	$(BIN)/python -m demo --serve

test: $(VENV)/.ready-test-tasks
	$(BIN)/python -m tests.on_each_database

test-fast: $(VENV)/.ready-test-tasks
	$(BIN)/python -m pytest --numprocesses=auto -m "not slow"

# CHAOS="--database mariadb --rows 500 --seed 7" passes options; --help lists them.
chaos: $(VENV)/.ready-test
	$(BIN)/python -m chaos $(CHAOS)

chaos-old: $(VENV)/.ready-test
	$(BIN)/python -m chaos --old-code $(CHAOS)

chaos-mutants: $(VENV)/.ready-test
	$(BIN)/python -m chaos --mutants --rows 100 --seconds 60 --minutes 3 $(CHAOS)

tox-oldest: $(VENV)/.ready-ci
	$(BIN)/tox run -e py310-django42-stripe15

lint: $(VENV)/.ready-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m django makemigrations aa_stripe --check --dry-run --settings tests.settings

format: $(VENV)/.ready-lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.ready-bench
	$(BIN)/python -m bench.run $(BENCH)

docs: $(VENV)/.ready-docs
	@command -v dot >/dev/null || { echo "The diagrams need Graphviz. On Debian and Ubuntu: apt-get install graphviz"; exit 1; }
	$(BIN)/sphinx-build --fail-on-warning --keep-going -b html docs docs/_build/html

clean:
	rm -rf $(VENV) .tox build dist docs/_build *.egg-info .coverage .coverage.*

# The stamps: the package with what it needs to run, then one per group of pyproject.toml.

$(VENV)/.ready: pyproject.toml
	@command -v $(PYTHON) >/dev/null || \
	  { echo "There is no $(PYTHON) here. Install Python 3.10 or newer, or name one: make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "aa_stripe needs Python 3.10 or newer, and $(PYTHON) is older. Name another: make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.ready-%: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --group $*
	@touch $@

# Linewarden. `make help` lists what there is. Everything happens in this folder: the environment is .venv, made from
# the versions in constraints.txt; nothing is installed anywhere else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
PACKAGES := audit authz cli client connectors diagnostics server
# mypy reads the packages through links that carry their import names.
LINKS := .links/linewarden

# Two workers for each core, because half of the time is spent on waits. The tests of a module stay in one worker,
# because they share its server, its port of loopback, its interfaces. tests/conftest.py puts the long modules first.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(2 * (os.cpu_count() or 1))')
PARALLEL := --numprocesses $(WORKERS) --dist loadscope --no-loadscope-reorder

.DEFAULT_GOAL := help

# Hundreds of processes import the same modules. Without stored bytecode each of them compiles every module again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Linewarden needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "Installing pinned dependencies into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt 'setuptools>=77'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation \
		--constraint constraints.txt --editable '.[postgres,capture,dev]'
	@mkdir -p $(LINKS)
	@for package in $(PACKAGES); do ln -sfn ../../$$package $(LINKS)/$$package; done
	@ln -sfn ../../protos/gen/linewarden/v1 $(LINKS)/v1
	@touch $@

.PHONY: dev
dev: $(READY) ## Make the environment, for working on the code

.PHONY: demo
demo: $(READY) ## The main job: a company's calls, who may hear them, who did, and the proof
	@$(BIN)/python examples/asterisk/demo.py

.PHONY: run
run: $(READY) ## Serve on the folder ./var/linewarden and say how to make the first call
	@$(BIN)/linewarden init var/linewarden --keep
	@$(BIN)/linewarden serve --config var/linewarden/linewarden.toml

.PHONY: test
test: $(READY) ## Run all tests on all cores, with a real PostgreSQL from a wheel
	@$(BIN)/python -m pytest $(PARALLEL)

.PHONY: test-quick
test-quick: $(READY) ## Run unit, contract and repository tests on SQLite, without those marked slow
	@$(BIN)/python -m pytest $(PARALLEL) -m 'not slow and not soak and not postgres' tests/unit tests/contract tests/repo

.PHONY: soak
soak: $(READY) ## Run faults for ten minutes; SOAK_MINUTES makes it longer; some need root
	@$(BIN)/python -m pytest tests/soak -m soak

.PHONY: check
check: lint type test ## What continuous integration runs

.PHONY: lint
lint: $(READY) ## Style, layers, and the contract's own lint
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-logo
	@cd protos && ../$(BIN)/buf lint && ../$(BIN)/buf format --diff --exit-code

.PHONY: type
type: $(READY) ## Types, strictly
	@$(BIN)/mypy $(LINKS)/audit $(LINKS)/authz $(LINKS)/cli $(LINKS)/client $(LINKS)/connectors $(LINKS)/diagnostics $(LINKS)/server
	@$(BIN)/mypy tests benchmarks examples

.PHONY: protos
protos: $(READY) ## Generate protos/gen from the contract
	@PYTHON=../$(BIN)/python sh protos/generate.sh

.PHONY: docs
docs: $(READY) ## Write the parts of docs/ that are made from the code
	@PYTHONPATH=. $(BIN)/python tests/repo/documents.py

.PHONY: site
site: $(READY) ## Build the pages of docs/ into ./site; a broken link or anchor fails
	@$(BIN)/properdocs build --strict --quiet --clean --config-file properdocs.yml --site-dir site
	@echo "site/index.html"

.PHONY: bench
bench: $(READY) ## Measure, and write benchmarks/RESULTS.md
	@$(BIN)/python benchmarks/run.py

.PHONY: bench-capture
bench-capture: $(READY) ## Capture 50,000 packets/s, write benchmarks/CAPTURE.md; needs root
	@$(BIN)/python benchmarks/capture.py --rate 50000 --seconds 10 --compare --write

.PHONY: format
format: $(READY) ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
	@cd protos && ../$(BIN)/buf format -w

.PHONY: clean
clean: ## Remove what was made, the environment too; not what `make run` stored
	@rm -rf $(VENV) .links .demo site build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Needs Python 3.10 or newer with venv, and make; everything else is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ifeq ($(DAGSTER_HOME),)
export DAGSTER_HOME := $(CURDIR)
endif

.DEFAULT_GOAL := help
.PHONY: help run reconcile report dev sql shared move presets init doctor demo-api test test-all test-most test-slow test-newest test-shared test-deploy bench bench-sources bench-insight bench-shared bench-deploy faults vendors check format docs lock clean

help:  ## Show this list
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

run: $(VENV)/run  ## Sync the incidents into DuckDB once and show a summary: make run ARGS='--full-refresh'
	@$(BIN)/python -m incidents_dagster sync $(ARGS)

reconcile: $(VENV)/run  ## Sync everything, and mark as deleted what is gone from the API
	@$(BIN)/python -m incidents_dagster sync --reconcile

report: $(VENV)/run  ## Make tables and one page of what the incidents say
	@$(BIN)/python -m incidents_dagster report

# `dagster dev` recommends `dg dev`, which does not read workspace.yaml.
dev: export PYTHONWARNINGS := ignore:Function `dev_command` is superseded
dev: $(VENV)/run  ## Start the Dagster UI with schedule, sensors and freshness (Ctrl-C stops it)
	@$(BIN)/python -m incidents_dagster configured || true
	@exec $(BIN)/dagster dev -w workspace.yaml

sql: export QUERY := $(value Q)
sql: $(VENV)/run  ## Query the database: make sql Q='SELECT count(*) FROM incidents.incident_data'
	@$(BIN)/python -m incidents_dagster sql -- "$$QUERY"

shared: $(VENV)/run  ## Install what a store that several machines share needs: docs/shared.md
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-shared.lock

move: export TO := $(value TO)
move: $(VENV)/run  ## Move all that was synced into a shared store, or back into a file: make move TO=postgresql://...
	@$(BIN)/python -m incidents_dagster move --to "$$TO"

presets: $(VENV)/run  ## List the vendors that are known by name
	@$(BIN)/python -m incidents_dagster presets

init: $(VENV)/run  ## Configure one of them: make init PRESET=pagerduty; SOURCE=tickets for a further source
	@$(BIN)/python -m incidents_dagster init -- "$(PRESET)" "$(SOURCE)"

doctor: $(VENV)/run  ## Look for what is wrong with the configured API: make doctor ARGS='--json'
	@$(BIN)/python -m incidents_dagster doctor $(ARGS)

demo-api: $(VENV)/run  ## Serve only the demo API, to try requests against
	@exec $(BIN)/python -m incidents_dagster demo-api $(ARGS)

# These need packages of their own: `make test-shared` and `make test-deploy`.
OFF_SHARED := $(addprefix --ignore=incidents_dagster_tests/,shared deploy)

test: $(VENV)/dev  ## Run the tests that an ordinary change needs, on all cores
	@$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow and not thorough" $(OFF_SHARED)

test-all: export THOROUGH := 1
test-all: $(VENV)/dev .venv-survival/dev  ## Run all tests, including rare faults (the browser test needs Debian's chromium)
	@$(BIN)/python -m pytest -n auto --dist worksteal $(OFF_SHARED)

test-most: $(VENV)/dev  ## Run what CI runs of them: all but the rest of many cases
	@$(BIN)/python -m pytest -n auto --dist worksteal -m "not rest" $(OFF_SHARED)

test-slow: $(VENV)/dev  ## Run the tests that take minutes
	@$(BIN)/python -m pytest -m slow $(OFF_SHARED)

# These neither use Dagster nor open a database; or they try what a sync makes of an API, with SQL that
# the others run, too; `sql` shows the messages of the locked DuckDB.
OFF_NEWEST := $(addprefix --ignore=incidents_dagster_tests/,demo_api harness presets sources \
	$(addprefix ingestion/,doctor http landing reading secrets rows/test_filled.py test_demo.py \
	test_explain.py test_plain_text.py test_settings.py) \
	$(addprefix test_,$(addsuffix .py,commands definition_settings deploy_files health \
	loaded_settings traps_http)))

test-newest: .venv-newest/dev  ## Run the tests that use Dagster or open a database on the newest Dagster and DuckDB
	@.venv-newest/bin/python -m pytest -n auto --dist worksteal -m "not slow and not browser and not thorough" $(OFF_SHARED) $(OFF_NEWEST)
	@.venv-newest/bin/python -m pytest -n auto incidents_dagster_tests/test_traps_dagster.py

test-shared: .venv-shared/dev  ## Run the tests of a shared store (they start a PostgreSQL server)
	@.venv-shared/bin/python -m pytest -n auto --dist worksteal incidents_dagster_tests/shared

test-deploy: .venv-shared/dev  ## Run the tests of deploy/: several workers, as processes, with a PostgreSQL server
	@.venv-shared/bin/python -m pytest incidents_dagster_tests/deploy

bench: $(VENV)/run .venv-bench/plot  ## Compare syncs with plain dlt and a hand-written loop: make bench ARGS='--million'
	@$(BIN)/python -m bench $(ARGS)
	@.venv-bench/bin/python -m bench --render
	@$(BIN)/python -m bench.insight

bench-insight: $(VENV)/dev  ## Measure what the tables of insight and the report cost, of 100,000 incidents
	@$(BIN)/python -m bench.insight $(ARGS)

bench-sources: $(VENV)/dev  ## Measure what fifty sources cost, beside one
	@$(BIN)/python -m bench.sources

bench-shared: .venv-shared/dev  ## Measure what a shared store costs, beside a file (starts a PostgreSQL server)
	@.venv-shared/bin/python -m bench.shared $(ARGS)

bench-deploy: .venv-shared/dev  ## Measure the memory of the processes of deploy/ (starts a PostgreSQL server)
	@.venv-shared/bin/python -m bench.deployed $(ARGS)

faults: $(VENV)/dev  ## Try what can go wrong with a sync and write docs/reliability.md: make faults ARGS='--part'
	@$(BIN)/python -m faults $(ARGS)

check: $(VENV)/dev  ## Check lint, format, types and imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: $(VENV)/dev  ## Format the code and fix what the linter can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(VENV)/dev  ## Generate README's table of settings, the vendors' pages and docs/ask.md from the code
	@$(BIN)/python -m docs.settings_table
	@$(BIN)/python -m docs.vendor_pages
	@$(BIN)/python -m docs.ask_page

vendors: export UPDATE_VENDORS := 1
vendors: $(VENV)/dev  ## Try every preset against its emulator, and write docs/vendors.json
	@$(BIN)/python -m pytest -q incidents_dagster_tests/presets
	@$(MAKE) --no-print-directory docs

# With hashes, and for every platform and Python.
RESOLVE = $(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --upgrade \
	--no-header --no-strip-extras --no-emit-find-links
COMPILE = $(RESOLVE) --extra build pyproject.toml

lock: $(VENV)/dev  ## Resolve the dependencies again into the lock files
	@$(BIN)/python -m pip install --quiet uv
	@$(COMPILE) --constraint constraints.txt -o requirements.lock
	@$(COMPILE) --constraint requirements.lock --extra dev -o requirements-dev.lock
	@$(COMPILE) --constraint requirements.lock --extra bench -o requirements-bench.lock
	@sed '/^duckdb==/,/via/d' requirements.lock | $(COMPILE) --constraint /dev/stdin --extra shared -o requirements-shared.lock
	@$(RESOLVE) --group survival -o requirements-survival.lock
	@echo dagster-embedded-elt | $(COMPILE) --extra dev --excludes /dev/stdin -o requirements-newest.lock

clean:  ## Remove environments and caches; data/ stays
	@rm -rf .venv .venv-bench .venv-newest .venv-shared .venv-survival .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info

# One marker per set of packages: if it is newer than its lock file, there is nothing to install.
$(VENV)/run: requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the locked packages into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev: requirements-dev.lock $(VENV)/run
	@echo "Installing the development packages into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

# Separate, as dlt and pyarrow import numpy if it is installed.
.venv-bench/plot: requirements-bench.lock
	@$(PYTHON) -m venv .venv-bench
	@echo "Installing what draws the plot into .venv-bench ..."
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	@touch $@

.venv-survival/dev: requirements-survival.lock
	@$(PYTHON) -m venv .venv-survival
	@echo "Installing lifelines into .venv-survival ..."
	@.venv-survival/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-survival.lock
	@touch $@

.venv-shared/dev: requirements-dev.lock requirements-shared.lock pyproject.toml
	@$(PYTHON) -m venv .venv-shared
	@echo "Installing what a shared store needs into .venv-shared ..."
	@.venv-shared/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@.venv-shared/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-shared.lock
	@.venv-shared/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch .venv-shared/run $@

.venv-newest/dev: requirements-newest.lock pyproject.toml
	@$(PYTHON) -m venv .venv-newest
	@echo "Installing the newest Dagster and DuckDB into .venv-newest ..."
	@.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-newest.lock
	@.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch .venv-newest/run $@

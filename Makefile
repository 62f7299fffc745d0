.DEFAULT_GOAL := help
.PHONY: help up test check nextjs bench chaos partitions churn attack cluster operator dist audit lint lock format clean

PORT ?= 7999
DATA_DIR ?= var
SECONDS ?= 60
EXAMPLES ?= 300
ROWS ?= 1000000
WORKERS ?= 3

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

up: ## Install what is missing, then run everything with the demo page (PORT=7999 DATA_DIR=var)
	@.ci/install up
	@exec .venv/bin/shirase up --demo --port $(PORT) --data-dir $(DATA_DIR)

test: ## Install what is missing, then run all tests (WORKERS=3 at a time)
	@.ci/install test
	npm --prefix frontend test
	.venv/bin/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

check: test lint ## Run all tests and every other check

nextjs: ## Install Next.js (Node.js 20.9), build and start its example, and drive it in a real browser
	@.ci/install test
	@.ci/nextjs

lint: ## Check format, lint, types and layers
	@.ci/install test
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	npm --prefix frontend run lint

bench: ## Measure speed and cost beside other designs, in about half an hour (QUICK=1: seconds; ROWS=1000000 to grow to)
	@.ci/install test
	.venv/bin/python -m bench $(if $(QUICK),--quick --output var/bench,--rows $(ROWS))

chaos: ## Break everything by a seeded schedule, then compare everything (SECONDS=60 on each database)
	@.ci/install test
	.venv/bin/python -m tests.chaos --seconds $(SECONDS)
	.venv/bin/python -m tests.chaos.sinks --seconds $(SECONDS)

partitions: ## Cut, slow and half-break the network between hosts, restart all, then compare (SECONDS=60, SEED; root)
	@.ci/install test
	.venv/bin/python -m tests.partitions --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

churn: ## Open and close streams at random, then compare who is connected (SECONDS=60 on each database)
	@.ci/install test
	.venv/bin/python -m tests.churn --seconds $(SECONDS)

attack: ## Try thousands of requests that the OpenAPI document allows and forbids (EXAMPLES=300 of each kind)
	@.ci/install test
	ATTACK_EXAMPLES=$(EXAMPLES) .venv/bin/pytest -s tests/attack

cluster: ## Build the images, run the composition and check it from outside, where a container engine can be started
	@.ci/install test
	.venv/bin/python -m tests.cluster

operator: ## Run the commands of docs/deploy.md on an empty Debian 12, and upgrade it under load, where one can be booted
	@.ci/install test
	.venv/bin/python -m tests.operator

dist: ## Build wheel, sdist, npm tarball and SBOM into dist/, twice, and check them
	@.ci/install test
	@.ci/dist

audit: ## Ask the registries for known vulnerabilities in what is shipped
	@.ci/install test
	.venv/bin/python .ci/audit

lock: ## Write what the container image installs, with hashes (after a change of the dependencies)
	@.ci/lock

format: ## Format the code
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .
	npm --prefix frontend run format

clean: ## Remove the environment and caches; the data in var/ stays
	rm -rf .venv frontend/node_modules frontend/dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage

# What one does with this repository. Needs Python 3.11, 3.12 or 3.13 and a C compiler; sets up everything else.
PYTHON ?= $(shell command -v python3 || command -v python3.11 || command -v python3.12 || command -v python3.13)
BIN = .venv/tools/bin

.DEFAULT_GOAL := help
.PHONY: help setup bare demo test lint bench packages docs compatibility asan vsix wheel clean

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{printf "%-14s %s\n", $$1, $$2}'

setup: ## make one environment with Retroscope in it, .venv/tools
	@$(PYTHON) tools/environments.py --name tools >/dev/null

bare:
	@$(PYTHON) tools/environments.py --name bare --bare >/dev/null

demo: bare ## record a failing order service, verify the replay, walk back to the cause
	@.venv/bare/bin/python fixtures/demo/walk.py

test: ## run every test on every CPython 3.11-3.13 found (TESTS="paths or pytest options" narrows)
	@$(PYTHON) tools/run_tests.py $(TESTS)

lint: setup ## style, types, import contracts, C warnings
	@$(BIN)/python tools/lint.py

bench: bare ## measure recording and replay against plain Python
	@.venv/bare/bin/python benchmarks/run.py

packages: setup ## write docs/packages.md from the stored results of package suites and benchmark programs
	@$(BIN)/python tools/compatibility_packages.py

docs: setup ## build the documentation into build/docs
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check mkdocs
	@$(BIN)/python -m mkdocs build --strict --site-dir build/docs && echo build/docs/index.html

compatibility: setup ## write docs/compatibility.md from the stored results of sweeps
	@$(BIN)/python tools/compatibility.py

asan: ## run the tests of the C core under AddressSanitizer and UBSan
	@$(PYTHON) tools/sanitize.py $(TESTS)

vsix: ## pack the VS Code extension
	@cd vscode-extension && npm ci --no-audit --no-fund && npm run package

wheel: setup ## build wheel and sdist into dist/
	@$(BIN)/python -m build --outdir dist .

clean: ## remove everything that these targets made
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

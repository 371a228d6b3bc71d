# Penstock. `make help` lists what there is.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
EDGE   := .venv-gateway
SITE   := .venv-docs
ARGS   ?=

# Tests and the demo start many processes: without bytecode each of them compiles everything anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup gateway demo test unit contract testbed testbed-cluster images e2e e2e-cluster soak bench check fmt lint types imports crds charts docs site verify requirements clean

help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  \033[1mmake %-12s\033[0m %s\n", $$1, $$2}'

setup: $(STAMP) ## Make the virtual environment (once; again when requirements change)

$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Penstock needs Python 3.11 or newer; this is " + sys.version.split()[0])'
	@test -x $(BIN)/python || { echo "==> making a virtual environment in $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "==> installing pinned requirements (about a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar on --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)
	@echo "==> ready"

gateway: $(EDGE)/.installed ## Make the gateway's environment with LiteLLM (once; it cannot share the operator's)

$(EDGE)/.installed: requirements/gateway.txt
	@test -x $(EDGE)/bin/python || $(PYTHON) -m venv $(EDGE)
	@echo "==> installing LiteLLM and what it needs (about a minute and a half, 600 MB)"
	@$(EDGE)/bin/python -m pip install --quiet --disable-pip-version-check --progress-bar on --require-hashes -r requirements/gateway.txt
	@touch $@
	@echo "==> ready"

demo: $(STAMP) gateway ## Watch models being placed and served on a simulated cluster (KEEP=1 leaves it up)
	@$(BIN)/penstock demo $(if $(KEEP),--keep) $(ARGS)

test: $(STAMP) ## Unit, integration and contract tests, about five minutes on two cores
	@$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

unit: $(STAMP) ## Only the tests without any server
	@$(BIN)/python -m pytest tests --ignore=tests/contract --ignore=tests/integration $(ARGS)

contract: $(STAMP) ## The contract suite: in-memory and, where binaries are at hand, real API server
	@$(BIN)/python -m pytest tests/contract $(ARGS)

testbed: $(STAMP) ## Find or build etcd, kube-apiserver and the rest (10-15 minutes when built)
	@$(BIN)/python e2e/testbed/binaries.py $(ARGS)

testbed-cluster: $(STAMP) ## The same with kubelet, Helm, BuildKit and the rest of a whole node (10-15 minutes more)
	@$(BIN)/python e2e/testbed/binaries.py --cluster $(ARGS)

images: $(STAMP) ## Build the images: by BuildKit as root, by Docker with ARGS=--docker
	@$(BIN)/python images/build.py $(ARGS)

e2e: $(STAMP) gateway ## A real control plane with KWOK nodes, the real LiteLLM: placement, serving, sync, faults
	@$(MAKE) --no-print-directory testbed ARGS=
	@$(BIN)/python -m pytest e2e --ignore=e2e/cluster --ignore=e2e/images --ignore=e2e/level3 --ignore=e2e/test_level3_node.py -n 2 --dist loadfile $(ARGS)

e2e-cluster: $(STAMP) ## Images and chart on four real nodes: install, upgrade, drain, rights (root)
	@$(MAKE) --no-print-directory testbed-cluster images ARGS=
	@$(BIN)/python -m pytest e2e/level3 e2e/images e2e/test_level3_node.py e2e/cluster -p no:randomly $(ARGS)

soak: $(STAMP) ## What takes long: many property cases, hours of faults (SECONDS_OF_FAULTS=3600)
	@HYPOTHESIS_PROFILE=$(if $(SOAK_SAMPLE),sample,soak) SOAK_SAMPLE=$(SOAK_SAMPLE) $(BIN)/python -m pytest tests -m "property or soak" --override-ini timeout=0 -p no:randomly $(if $(SOAK_SAMPLE),-n 3 --dist loadfile) $(ARGS)

bench: $(STAMP) ## Print the published figures, one JSON line each
	@PYTHONPATH=e2e $(BIN)/python -m bench $(ARGS)

check: fmt lint types imports verify test ## Everything a commit must pass

fmt: $(STAMP) ## Format the code
	@$(BIN)/ruff format operator tests e2e bench tools images charts

lint: $(STAMP) ## Lint
	@$(BIN)/ruff check --no-cache operator tests e2e bench tools images charts

types: $(STAMP) ## Check types
	@$(BIN)/mypy operator/penstock operator/penstock_gateway operator/penstock_policy e2e bench tools images/build.py images/imagebuild

imports: $(STAMP) ## Hold the doors between the rooms
	@$(BIN)/lint-imports

crds: $(STAMP) ## Write crds/ from the models
	@$(BIN)/penstock crds crds

charts: $(STAMP) ## Write what is generated of the charts, and the plain manifests from them (needs Helm)
	@$(BIN)/penstock rbac charts/penstock/files
	@$(BIN)/python -m tools.dashboards
	@$(BIN)/python tools/chart_values.py
	@$(BIN)/python tools/render_manifests.py

docs: $(STAMP) ## Write docs/reference/ from the models
	@$(BIN)/penstock reference docs/reference

site: $(SITE)/.installed ## Build the documentation as a site, into build/site
	@NO_MKDOCS_2_WARNING=1 $(SITE)/bin/mkdocs build --quiet --strict
	@echo "==> build/site/index.html"

$(SITE)/.installed: requirements/docs.txt
	@test -x $(SITE)/bin/python || $(PYTHON) -m venv $(SITE)
	@$(SITE)/bin/python -m pip install --quiet --disable-pip-version-check --progress-bar on --require-hashes -r requirements/docs.txt
	@touch $@

verify: $(STAMP) ## Generated files are up to date
	@$(BIN)/penstock crds --check crds
	@$(BIN)/penstock reference --check docs/reference
	@$(BIN)/penstock rbac --check charts/penstock/files
	@$(BIN)/python -m tools.dashboards --check
	@$(BIN)/python tools/chart_values.py --check

requirements: $(STAMP) ## Pin the requirements anew, with hashes
	@$(BIN)/pip-compile -q --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --strip-extras --allow-unsafe -o requirements/runtime.txt pyproject.toml
	@$(BIN)/pip-compile -q --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --strip-extras --allow-unsafe --extra dev -o requirements/dev.txt pyproject.toml
	@$(BIN)/pip-compile -q --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --strip-extras --allow-unsafe -o requirements/docs.txt requirements/docs.in
	@$(BIN)/pip-compile -q --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --strip-extras --allow-unsafe -o images/tools/requirements.txt images/tools/requirements.in

clean: ## Remove what was made here
	@rm -rf $(VENV) $(EDGE) $(SITE) build .mypy_cache .ruff_cache .pytest_cache .hypothesis

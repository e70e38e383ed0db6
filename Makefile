# make demo | test | lint | python | lock
# Each of the first four sets up what is missing first: a virtual environment built from requirements.lock, kept
# outside the checkout under the lock's hash, so that a fresh clone or a second one does not install again.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := demo
.PHONY: demo test lint python lock

HASH := $(shell git hash-object requirements.lock | cut -c1-16)
CACHE := $(or $(PLANEDICT_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/planedict)
export PLANEDICT_CACHE := $(CACHE)
ENVIRONMENT := $(CACHE)/env-$(HASH)
PYTHON := $(ENVIRONMENT)/bin/python
# `ready` is written last: a set-up that was killed has none, and is done again from the start.
READY := $(ENVIRONMENT)/ready
# One thread per process: the chain runs several processes, and more threads than cores make each slower.
export OMP_NUM_THREADS := 1
export PYTHONNOUSERSITE := 1

# A killed run leaves Snakemake's lock behind. Where no other `make demo` runs here, the lock is stale: it is taken away.
DEMO := $(PYTHON) -m snakemake --profile workflow/profiles/local --configfile workflow/config/demo.yaml
demo: $(READY) clips
	@mkdir -p .snakemake/locks
	exec 9> .snakemake/demo.lock
	flock --nonblock 9 || { echo "Another make demo is running in this folder." >&2; exit 1; }
	[ -z "$$(ls .snakemake/locks)" ] || $(DEMO) --unlock 9>&-
	$(DEMO) 9>&-
	echo "Report: $(CURDIR)/results/demo/report.html"

test: $(READY) clips
	$(PYTHON) -m pytest --numprocesses 2 --dist loadscope --no-loadscope-reorder

lint: $(READY)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(PYTHON) -m snakefmt --check Snakefile workflow/rules
	$(PYTHON) -m snakemake --lint

python: $(READY) clips
	@echo "$(PYTHON)"

# The embedded clips, hash-checked, beside the environment: nothing needs the network after this.
.PHONY: clips
clips: $(READY)
	@$(PYTHON) -m preprocessing.fetch --prefetch

# pip installs the pinned uv from the lock, uv installs the rest (five times as fast; where an index is set up for pip
# alone, pip does it); both check every hash, and compile, which saves every job of a read-only environment two seconds.
# The lock is whole: nothing is resolved here.
# The lock file (flock) lets only one of several set-ups build; the others wait and find the environment ready.
$(READY):
	@mkdir -p "$(CACHE)"
	exec 9> "$(ENVIRONMENT).lock"
	flock 9
	[ -e "$@" ] && exit 0
	echo "Setting up the environment in $(ENVIRONMENT) (7 GB, once) …" >&2
	python3.11 -m venv --clear "$(ENVIRONMENT)" >&2
	sed -n '/^uv==/,/# via/p' requirements.lock > "$(ENVIRONMENT)/uv.lock"
	$(PYTHON) -m pip install --quiet --no-deps --require-hashes -r "$(ENVIRONMENT)/uv.lock" >&2
	$(PYTHON) -m uv pip install --compile-bytecode --system-certs --python $(PYTHON) --no-deps --require-hashes -r requirements.lock >&2 ||
		$(PYTHON) -m pip install --no-deps --require-hashes -r requirements.lock >&2
	touch "$@"

# Resolve requirements.in anew, environment.yml follows it; and each environment that a rule builds for one tool.
COMPILE := $(PYTHON) -m uv pip compile --system-certs --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet --upgrade
lock: $(READY)
	$(COMPILE) requirements.in --output-file requirements.lock
	$(COMPILE) workflow/envs/py-feat.in --output-file workflow/envs/py-feat.lock
	$(PYTHON) -m workflow.environment

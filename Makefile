# Everything starts here: `make` lists the targets. Works with GNU make 4 on Linux and macOS.
PYTHON ?= python3
VENV ?= .venv
PROFILE ?= pocket
DATASET ?= pocket
SEED ?= 0
# More options for the book's command line, e.g. ARGS='--only 01_data --force'.
ARGS ?=
PYTEST_ARGS ?= -n 2 --dist loadscope

BIN := $(VENV)/bin
# Newer than pyproject.toml and constraints.txt when the environment is up to date with them.
STAMP := $(VENV)/.installed
# The site's programs (jupyter-book, Node.js) join the same environment when they are first needed.
SITE := $(VENV)/.installed-site
CHAPTERS = $(wildcard notebooks/[0-9][0-9]_*.py)

.DEFAULT_GOAL := help
.PHONY: help venv book studies test lab lint refresh sync site html pages lock clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  Options: PROFILE=smoke|pocket|paper  DATASET=pocket|folder  SEED=0  PYTHON=python3.12  VENV=.venv"

venv: $(STAMP)  ## make the environment and install the locked packages

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: Python 3.11 or newer is needed, and '$(PYTHON)' is $$($(PYTHON) --version 2>&1);" \
	       "name another, e.g. make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -e '.[book,test]' -c constraints.txt
	@touch $@

$(SITE): $(STAMP)
	$(BIN)/python -m pip install --quiet -e '.[site]' -c constraints.txt
	@touch $@

book: $(STAMP)  ## run the chapters (quick if nothing changed); results in runs/book/
	@$(BIN)/python -m gensr_lib book run --profile "$(PROFILE)" --dataset "$(DATASET)" --seed "$(SEED)" $(ARGS)

studies: $(STAMP)  ## make the cells of the studies that are missing (all of them: hours); in data/studies/
	@$(BIN)/python -m gensr_lib study run $(ARGS)

test: lint  ## run all tests, with the whole book in profile smoke
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

lab: $(STAMP)  ## open the chapters in JupyterLab
	$(BIN)/jupyter lab --notebook-dir=notebooks

lint: $(STAMP)  ## check the code's style
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

refresh: sync  ## run the default book anew and update the committed notebooks with its outputs
	@$(BIN)/python -m gensr_lib book run --force --in-place $(ARGS)

sync: $(STAMP)  ## bring the notebooks up to date with their .py twins (outputs of unchanged cells stay)
	$(if $(CHAPTERS),$(BIN)/jupytext --quiet --update --to ipynb $(CHAPTERS),@echo "no chapters in notebooks/")

site: $(SITE)  ## check the site: strict build, links, outputs, size of pages
	@$(BIN)/python -m gensr_lib site check

html: $(SITE)  ## build the site as HTML into _build/html (fetches the theme)
	@$(BIN)/python -m gensr_lib site build --out _build/html

pages: $(STAMP)  ## make the status page of the site anew
	@$(BIN)/python -m gensr_lib site pages

lock:  ## make constraints.txt anew from the newest versions that pyproject.toml allows
	$(PYTHON) -m venv --clear $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet -e '.[book,site,test]'
	@{ grep '^#' constraints.txt; $(VENV)-lock/bin/python -m pip freeze --exclude-editable \
	   | sed 's/+[A-Za-z0-9.]*$$//'; } > constraints.new && mv constraints.new constraints.txt
	rm -rf $(VENV)-lock
	@echo "constraints.txt is new: now run make test"

clean:  ## remove the environment and caches (runs/ stays: it may hold days of work)
	rm -rf $(VENV) $(VENV)-lock build *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# make demo    set up if needed, then the whole chain on a small real data set      -> runs/demo/report/
# make docs    the docs as a site                                                     -> build/site/index.html
# make test    set up if needed, then lint, types and tests
# Variables: PYTHON=/path/to/python3.11   DETECTRON2=git+https://github.com/facebookresearch/detectron2.git

VENV       ?= .venv
DETECTRON2 ?= wheel
READY      := $(VENV)/.ready
PY         := $(VENV)/bin/python
DOCS       := $(VENV)/.docs

.PHONY: setup demo docs test check test-slow test-gpu clean

setup: $(READY)

# The stamp holds what the environment was built from, so that a second run does nothing and another
# DETECTRON2 or a changed pin rebuilds it.
WANTED := $(shell { cat $(filter-out requirements/docs.txt,$(sort $(wildcard requirements/*))); sed -n '/^dependencies/,/^\[tool/p' pyproject.toml; echo '$(DETECTRON2)'; } | cksum)
ifneq ($(shell cat $(READY) 2>/dev/null),$(WANTED))
.PHONY: $(READY)
endif

$(READY):
	@requirements/setup.sh $(VENV) '$(DETECTRON2)'
	@echo '$(WANTED)' > $@

# What the site and the notebook need is no part of the setup: it comes when it is first asked for, in a minute.
$(DOCS): requirements/docs.txt $(READY)
	@$(PY) -m pip --disable-pip-version-check -q install --no-compile -c requirements/constraints.txt -r $<
	@touch $@

demo: $(READY)
	@$(PY) -m transfer.demo --out runs/demo

# The limit is far above any test; it makes a test that hangs fail by its name instead of holding up the rest.
test: check
	@$(PY) -m pytest -q -n auto --dist loadfile --timeout 900

check: $(READY) docs
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

# MkDocs 1.6 is pinned: version 2 will read neither this theme nor these plugins, of which each build would warn. No --quiet:
# it hides warnings from --strict too.
docs: $(DOCS)
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict

test-slow: $(DOCS)
	@$(PY) -m pytest -q -n auto --dist loadfile -m slow

test-gpu: $(READY)
	@$(PY) -m pytest -q -m gpu

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache

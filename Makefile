# Everything runs in .venv, which the first target below makes; PYTHON is any Python from 3.11.
PYTHON ?= python3
INSTALLED = .venv/installed

demo: $(INSTALLED)  ## the main job: RRM rescues a classifier from wrong labels
	.venv/bin/python -m experiments demo

test: $(INSTALLED)  ## all tests and doctests, two files at a time
	HYPOTHESIS_PROFILE=$${HYPOTHESIS_PROFILE:-ci} .venv/bin/python -m pytest --numprocesses 2 --dist loadfile

check: $(INSTALLED)  ## style and types
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy

bench: $(INSTALLED)  ## benchmarks, one thread
	.venv/bin/python -m experiments bench

API = rrm_theory $(addprefix rrm_theory.,reweight sklearn wasserstein symmetric_noise confidence linear_program ledger)
api: $(INSTALLED)  ## API reference, as HTML, into build/api
	.venv/bin/python -W "ignore:Error parsing type annotation" -m pdoc --docformat numpy --output-directory build/api $(API)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

.PHONY: demo test check bench api

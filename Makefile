PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export HF_HUB_OFFLINE = 1

.PHONY: demo demo-real test lint types bench docs gallery

# The model is small: two threads take longer than one, and many times longer beside other work.
demo: export OMP_NUM_THREADS ?= 1
demo: $(STAMP) ## the main job on the embedded model; writes runs/demo/report.html
	rm -rf runs/demo
	$(BIN)/spex-mech run --out runs/demo

demo-real: $(STAMP) ## the main job on a trained language model; writes runs/demo-real/report.html
	$(BIN)/spex-mech get smollm2
	test ! -e runs/demo-real/report.html || rm -rf runs/demo-real
	$(BIN)/spex-mech run analyses/real_models/ioi.toml --out runs/demo-real

# One thread here, too: a process for each of up to 8 cores is what helps; each takes about 1 GB.
test: export OMP_NUM_THREADS ?= 1
test: $(STAMP) ## all tests
	$(BIN)/python -m pytest -q -n auto --maxprocesses 8 --dist worksteal

lint: $(STAMP) ## style and the import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(STAMP) ## static types
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: $(STAMP) ## the benchmarks that need no peers and no data; the others: analyses/benchmarks/*/README.md
	$(BIN)/python analyses/benchmarks/mathematics/run.py
	$(BIN)/python analyses/benchmarks/spex/run.py

docs: export NO_MKDOCS_2_WARNING = 1
docs: $(STAMP) ## the documentation site, in site/; needs no network, and any warning is an error
	$(BIN)/mkdocs build --strict --quiet

gallery: $(STAMP) ## run the examples of docs/gallery, and write their pages and notebooks again
	$(BIN)/python docs/make/gallery.py

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev,docs,gguf,ray,recovery]'
	touch $(STAMP)

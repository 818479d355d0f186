# What a newcomer runs: `make demo`, `make test`. Developers also: `make check`.
PYTHON ?= python3
VENV ?= .venv
# CPU-only PyTorch: make install TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
DEMO_ARGS ?=
BIN := $(VENV)/bin

.PHONY: install demo test test-deps test-fast check docs clean
install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(BIN)/pip install --index-url $(TORCH_INDEX) torch torchaudio)
	$(BIN)/pip install --editable ".[edge,hub,train,distil,dev,docs]"
	touch $@

demo: install
	$(BIN)/earwitness-hub demo $(DEMO_ARGS)

# Programs of the system that some tests need, by apt-get as root; without them `make test` skips those tests.
test-deps:
	$(PYTHON) -m tests.system_packages

# Three processes even on two cores, because most tests wait for a server; each has servers of its own and one thread
# for PyTorch.
test: export OMP_NUM_THREADS = 1
test: install
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

test-fast: export OMP_NUM_THREADS = 1
test-fast: install
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder tests/unit tests/contract

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy deploy/up.py

# Pages that are made from the code, then the site, in build/site.
docs: install
	$(BIN)/python docs/make_reference.py
	$(BIN)/python docs/make_asyncapi.py
	$(BIN)/python docs/make_openapi.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

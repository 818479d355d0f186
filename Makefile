# For users: `make demo`, `make test`. For developers also: `make check`, `make docs`.
# Each target installs the missing packages that it needs into $(VENV).
PYTHON ?= python3
VENV ?= .venv
# Where PyTorch comes from: an address of a package index, or `pypi`. Empty: deploy/install.py chooses and prints it.
# An installed PyTorch stays; `make clean` removes it.
TORCH_INDEX ?=
DEMO_ARGS ?=
# `make constraints UPGRADE=` keeps versions that pyproject.toml still allows.
UPGRADE ?= --upgrade
UV := uv==0.13.9
BIN := $(VENV)/bin
EXTRAS := demo train export distil test fuzz check docs dev

.PHONY: install $(EXTRAS:%=install-%) demo test test-deps test-fast chaos fuzz check docs constraints clean
install: install-dev

# install-train and install-distil: for training, and for training the small backbone again.
$(EXTRAS:%=install-%): install-%: $(VENV)/.installed-%

# One mark for each set of packages. `$(VENV)/.installed-test` is made again when versions change.
$(VENV)/.installed-%: pyproject.toml constraints.txt deploy/install.py
	$(PYTHON) deploy/install.py $* --venv $(VENV) --torch-index "$(TORCH_INDEX)"
	@touch $@

demo: install-demo
	$(BIN)/earwitness-hub demo $(DEMO_ARGS)

# System programs that some tests need, by apt-get as root; without them `make test` skips those tests.
test-deps:
	$(PYTHON) -m tests.system_packages

# Three processes even on two cores, because most tests wait for a server; each has its own servers and one thread for
# PyTorch.
test: export OMP_NUM_THREADS = 1
test: install-test
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

test-fast: export OMP_NUM_THREADS = 1
test-fast: install-test
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder \
	  -m "not (e2e or faults or browser or tutorial)"

# Kills, freezes and disconnects parts of a network for minutes; `make chaos CHAOS_ARGS="--minutes 15 --seed 7"`.
CHAOS_ARGS ?= --minutes 3
chaos: export OMP_NUM_THREADS = 1
chaos: install-test
	$(BIN)/python -m tests.chaos.run $(CHAOS_ARGS)

# Mutated inputs for every decoder and parser; failures are stored in build/fuzz.
FUZZ_ARGS ?= --inputs 1000000
fuzz: install-fuzz
	$(BIN)/python -m tests.fuzz $(FUZZ_ARGS)

check: install-check
	$(BIN)/ruff check .
	$(BIN)/ruff check --isolated --preview --select PLW1514 --quiet edge hub shared  # encodings of text files
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache  # layers: .importlinter
	$(BIN)/mypy deploy/run_local.py deploy/install.py

# Generates pages from the code, then the site in build/site.
docs: install-docs
	$(BIN)/python docs/make_reference.py
	$(BIN)/python docs/make_asyncapi.py
	$(BIN)/python docs/make_openapi.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

# Writes the exact versions of everything that is tested, for Linux and macOS, Python 3.11 and newer.
constraints:
	$(PYTHON) -m venv build/uv
	build/uv/bin/pip install --quiet $(UV)
	build/uv/bin/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
	  --fork-strategy fewest $(UPGRADE) --no-annotate --custom-compile-command "make constraints" \
	  --output-file constraints.txt --quiet

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

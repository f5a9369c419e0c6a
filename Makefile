PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: demo figures test check docs bench lowest newest fresh venv

demo: venv            ## the toy front and MultiDigits, with their table and figures
	$(BIN)/moo-mtl run experiments/toy-demo.toml experiments/multi-digits.toml

figures: venv         ## the figures of docs/results/reproduction.md, their runs computed where missing; QUICK=--quick for the short ones
	$(ONE_THREAD) $(BIN)/moo-mtl figures --jobs 2 $(QUICK)

test: venv            ## the default test suite, on two cores with one thread each
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2 -q

check: venv           ## style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: venv            ## the site, in docs/_build/html; a warning is an error
	$(ONE_THREAD) $(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

bench: venv           ## every benchmark beside its peers, in an environment of their own; QUICK=1 for five minutes
	@test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock -r benchmarks/requirements.lock
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --no-deps LibMTL==1.1.5 libmoon==0.2.1 .
	$(ONE_THREAD) .venv-bench/bin/python -m benchmarks $(if $(QUICK),--quick)

lowest newest:        ## the suite with the lowest, or the newest, versions of everything; older packages warn of newer ones
	@test -x .venv-$@/bin/python || $(PYTHON) -m venv .venv-$@
	@.venv-$@/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-$@.lock
	@.venv-$@/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	$(ONE_THREAD) .venv-$@/bin/python -m pytest -n 2 -q -o filterwarnings=

fresh:                ## an environment built anew
	rm -rf $(VENV)
	$(MAKE) venv

venv: $(VENV)/requirements.lock

# The copy is written last and only when all went well; it is compared by content, because a clone gives every file the same age.
ifneq ($(shell cmp -s requirements.lock $(VENV)/requirements.lock && echo same),same)
.PHONY: $(VENV)/requirements.lock
endif
$(VENV)/requirements.lock:
	@echo "Installing requirements.lock into $(VENV); this takes a minute or two."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@cp requirements.lock $@

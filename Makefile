# `make book` and `make test` do all of their own set-up; see README.md.
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SITE := _build/html/index.html
NOTEBOOKS := $(wildcard notebooks/*.ipynb)
PACKAGE := $(shell find ntkif -name '*.py' -o -name '*.toml')
RECORDS := $(wildcard records/*/* records/*/*/*)
PAGES := _build/pages/.made
SOURCES := $(NOTEBOOKS) _config.yml _toc.yml CHANGELOG.md records/tools/durations.csv records/tools/page-durations.csv $(sort $(shell find book -type f -not -name '*.pyc'))

# The same on every machine: one thread for each of two workers, no progress bars in outputs, a fixed hash seed.
export PYTHONHASHSEED := 0
STEADY := OMP_NUM_THREADS=1 TQDM_DISABLE=1
# What a notebook keeps in its metadata, and what is printed in one piece; the rest changes from run to run.
KEEP := --Exporter.preprocessors=nbconvert.preprocessors.CoalesceStreamsPreprocessor \
	--CoalesceStreamsPreprocessor.enabled=True \
	--ClearMetadataPreprocessor.enabled=True \
	--ClearMetadataPreprocessor.preserve_cell_metadata_mask='tags' \
	--ClearMetadataPreprocessor.preserve_cell_metadata_mask='mystnb' \
	--ClearMetadataPreprocessor.preserve_cell_metadata_mask='jupyter' \
	--ClearMetadataPreprocessor.preserve_nb_metadata_mask='kernelspec'

.PHONY: always book test test-arithmetic test-notebooks notebooks lint lab bench gpu peers peers-large peers-through-training clean
.DELETE_ON_ERROR:

book: $(SITE)  ## build the site
	@echo "The book is built. Open file://$(CURDIR)/$(SITE)"

# Nothing of an older build is used: a removed page would stay, one read from the cache would neither warn again nor
# have links in its code. The site is as old as the start of its build, so that a page edited meanwhile is newer.
$(SITE): $(INSTALLED) $(SOURCES) $(PAGES) _build/.sources
	@rm -rf _build/html _build/.doctrees && touch _build/.started
	$(BIN)/jupyter-book build . -W -n --keep-going || { rm -rf _build/html; exit 1; }
	$(BIN)/pytest -q -rs tests/site || { rm -rf _build/html; exit 1; }
	@touch -r _build/.started $@

# What the prose pages show and code computes.
$(PAGES): $(PACKAGE) $(NOTEBOOKS) $(INSTALLED)
	@rm -rf $(@D)
	TQDM_DISABLE=1 $(BIN)/python -m ntkif pages $(@D)
	@touch $@

# The list of sources changes when one is removed, which no date would tell.
_build/.sources: always
	@mkdir -p _build
	@echo '$(SOURCES)' | cmp -s - $@ || echo '$(SOURCES)' > $@

NBVAL := -q -n 2 --dist loadfile --nbval --nbval-current-env --nbval-sanitize-with notebooks/sanitize.cfg
TESTS := $(NBVAL) --doctest-modules --ignore tests/site ntkif tests notebooks

test: $(INSTALLED)  ## unit and property tests, then every notebook again, outputs compared
	$(STEADY) $(BIN)/pytest $(TESTS)

test-notebooks: $(INSTALLED)  ## every notebook again alone, a line for each cell in _build/notebooks.xml
	$(STEADY) $(BIN)/pytest $(NBVAL) --junitxml _build/notebooks.xml notebooks

# All that this machine can do, or those that ARITHMETIC names, or with by-commit the one whose turn it is.
test-arithmetic: $(INSTALLED)  ## the same tests under other kernels, threads and orders of sums
	$(STEADY) $(BIN)/python tests/arithmetic.py $(ARITHMETIC) -- $(TESTS)

# Only what changed, or whose package or records changed, runs again; `make -W FILE notebooks` forces one.
notebooks: $(NOTEBOOKS:notebooks/%.ipynb=_build/executed/%)  ## re-execute the notebooks in place

_build/executed/%: notebooks/%.ipynb $(PACKAGE) $(RECORDS) $(INSTALLED)
	$(STEADY) $(BIN)/jupyter nbconvert --to notebook --execute --inplace --log-level WARN \
		--ExecutePreprocessor.record_timing=False $(KEEP) $<
	@mkdir -p $(@D) && touch $@

lint: $(INSTALLED)  ## ruff, notebooks included; and the workflows of a public host against its schema
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

lab: $(INSTALLED)  ## JupyterLab on this environment
	$(BIN)/jupyter lab notebooks $(LABFLAGS)

bench: $(INSTALLED)  ## speed and memory at the paper's size, as ratios inside one run
	$(BIN)/python benchmarks/speed/influence.py
	$(BIN)/python benchmarks/speed/flow.py
	$(BIN)/python benchmarks/speed/empirical_ntk.py
	$(BIN)/python benchmarks/speed/training.py
	$(BIN)/python benchmarks/speed/through_training.py

gpu: $(INSTALLED)  ## what the book wants from a GPU and has not yet, in ten minutes; OPTIONS=--dry-run tries it without
	$(BIN)/python -m ntkif gpu --minutes 10 $(OPTIONS)

peers: .venv-peers/.installed  ## measure other tools, in an environment of their own: conventions, and truth against all
	PYTHONPATH=. .venv-peers/bin/python benchmarks/tools/conventions.py
	$(STEADY) $(BIN)/python benchmarks/tools/truth.py
	$(STEADY) PYTHONPATH=. .venv-peers/bin/python benchmarks/tools/peers.py $(OPTIONS)

peers-large: .venv-peers/.installed  ## the same with 5000 images, which takes an hour
	$(STEADY) $(BIN)/python benchmarks/tools/truth.py peers-large
	$(STEADY) PYTHONPATH=. .venv-peers/bin/python benchmarks/tools/peers.py peers-large

# OPTIONS=again measures the times of what was chosen again, here and in `peers`.
peers-through-training: .venv-peers/.installed  ## the same of networks trained in batches and stopped, which takes an hour
	$(STEADY) PYTHONPATH=. .venv-peers/bin/python benchmarks/tools/conventions_of_trainings.py
	$(STEADY) $(BIN)/python benchmarks/tools/truth_of_trainings.py
	$(STEADY) PYTHONPATH=. .venv-peers/bin/python benchmarks/tools/peers_through_training.py $(OPTIONS)

.venv-peers/.installed: requirements-peers.txt $(INSTALLED)
	$(BIN)/python -m venv --clear .venv-peers
	.venv-peers/bin/pip install --disable-pip-version-check -q -r requirements-peers.txt
	@touch $@

clean:  ## remove everything that make made
	rm -rf $(VENV) .venv-peers _build

# These read what the others printed, so they come last.
SUMMARIES := $(addprefix _build/executed/,scoreboard.ipynb corrections.ipynb)
$(SUMMARIES): $(filter-out $(SUMMARIES),$(NOTEBOOKS:notebooks/%=_build/executed/%))

# An environment that pip could not finish has no stamp, so the next call goes on with it.
$(INSTALLED): requirements.txt constraints.txt pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --disable-pip-version-check -q -r requirements.txt
	$(BIN)/pip install --disable-pip-version-check -q --no-deps -e .
	@touch $@

$(BIN)/pip:
	@for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11); do \
		if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then \
			echo "Making $(VENV) with $$($$python --version)"; \
			exec $$python -m venv --clear $(VENV); \
		fi; \
	done; \
	echo "ntkif needs Python 3.11, 3.12 or 3.13; none was found as: $(or $(PYTHON),python3, python3.13, python3.12, python3.11)." >&2; \
	echo "Name one that is there: make PYTHON=/path/to/python3.12 ..." >&2; \
	exit 1

# Everything that a newcomer needs. Each target sets up .venv first where it is missing or out of date.
PYTHON ?= python3
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
EXTRAS ?= trainer,dev
DATA ?=

.PHONY: help setup demo test long check docs reference man transcript messages dist pyz bench bench-backup bench-routes bench-metrics bench-diagnose bench-watch bench-trainer bench-streaming quality calibration torture yaml-corpus confirm-long ladder-long healthy-long runs-long faults-long install-slurm slurm-up slurm-down test-slurm test-browser bench-incident bench-init drill-all drills-long check-long test-examples bench-hooks bench-tensorboard clean

help:
	@echo "make demo [DATA=panel.parquet]  the main job, end to end, in a scratch copy (a few minutes)"
	@echo "make test                       the tests        make check   format, lint, types, import rules"
	@echo "make long                       also the tests that are marked long, all cases of samples, drills (two hours)"
	@echo "make test-browser               the page of an incident in Debian's Chromium"
	@echo "make test-slurm                 on a real Slurm cluster of its own on this machine (root on Debian; two minutes)"
	@echo "make slurm-up | slurm-down      such a cluster to try things on; up says how to use it"
	@echo "make test-examples              the examples with Lightning and transformers (150 MB to download)"
	@echo "make bench                      speed, as ratios make setup   .venv alone"
	@echo "make docs                       the site from the Markdown, in build/site; broken links fail"
	@echo "make reference                  the generated pages of docs/reference"
	@echo "make messages                   the catalogs of messages, from the code   make transcript  that of the READMEs"
	@echo "make dist                       wheel and sdist  make pyz     one-file rescue copy, built and tried"
	@echo "make bench-backup               snapshots beside cp, restic and borg"
	@echo "make torture                    every changing command struck at every system call (an hour)"
	@echo "make confirm-long               the operator killed 50 times while a change waits for its confirmation"
	@echo "make check-long                  trainer check on the trainer of this repository (three minutes)"
	@echo "make drill-all                   every symptom rehearsed on the real trainer (25 minutes); drills-long: five times"
	@echo "make ladder-long                 damage in random checkpoints of a real run, rolled back 100 times (half an hour)"
	@echo "make runs-long RUNS_IN=folder    false alarms in 200 healthy runs of the real trainer (two hours)"
	@echo "make faults-long RUNS_IN=folder  faults in the metrics of these runs: what each is recognised as"
	@echo "make yaml-corpus DIR=folder      every scalar of public YAML files edited, and judged by other readers"
	@echo "make bench-trainer              speed of a training step; bench-streaming: 4,000 stocks within 2 GiB"
	@echo "make quality DATA=panel.parquet RankIC on real prices beside ridge and LightGBM"
	@echo "make calibration [DATA=panel]    how often the verdicts of verify err (20 minutes)"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed (found $$($(PYTHON) -V)); name it: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "python3-venv is needed: apt-get install python3-venv"; exit 1; }
	@echo "installing into $(VENV): PyTorch and about 60 packages (400 MB or 2.8 GB to download; one to ten minutes)"
	@set -o pipefail; if [ -t 1 ]; then $(PIP) -e '.[$(EXTRAS)]'; else $(PIP) --progress-bar off -e '.[$(EXTRAS)]' | $(PROGRESS); fi
	@touch $(STAMP)

PIP := $(BIN)/pip install --disable-pip-version-check -c constraints.txt
# A terminal shows pip's own progress; a log has one line for each package, and the outcome.
PROGRESS := awk '/^ *(Downloading|Using cached) / {printf "  %d: %s %s %s\n", ++count, $$2, $$3, $$4; fflush()} /^(Building|Installing|Successfully)/ {print substr($$0, 1, 100); fflush()}'
HAS_TORCH := $(BIN)/python -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("torch") is None)'
# One of the dependency groups of pyproject.toml, as words for pip (which takes --group itself from 25.1 on).
group = $(BIN)/python -c 'import tomllib; print("\n".join(tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["$(1)"]))'

demo: setup
	$(BIN)/atftctl drill --symptom oom $(if $(DATA),--data $(DATA))

# The trainer's own tests in a process of their own: one that has PyTorch loaded forks slowly, and the others fork often.
# Beside the others, which wait for the disk and for processes half of the time; their output comes last. Without PyTorch they are left out.
# Those in a browser have a target of their own: few machines have one. What is marked `long` is left to `make long`.
# Each test starts processes: all of them would compile the sources again where nobody has written their bytecode.
# What fails beside the others is run once more, alone, and said: on two cores a limit of a test may be too short. A fault fails again.
TRAINER_TESTS := $(VENV)/test-trainer.out
AGAIN := echo "once more, alone: the tests that failed beside the others"; $(BIN)/pytest --last-failed --last-failed-no-failures none
SHORT := -m "not long"
WORKERS ?= $(shell echo $$(($$(nproc) + 1)))
test: setup
	@$(BIN)/python -m compileall -q atftctl tests
	@if $(HAS_TORCH); then cache="-o cache_dir=.pytest_cache/trainer"; \
		$(BIN)/pytest $$cache $(SHORT) --durations 10 tests/trainer || { $(AGAIN) $$cache tests/trainer; }; \
		else echo "tests/trainer is left out: PyTorch is not installed"; fi >$(TRAINER_TESTS) 2>&1 & trainer=$$!; \
	cache="-o cache_dir=.pytest_cache/others --ignore tests/trainer --ignore tests/browser --ignore tests/examples --ignore tests/slurm"; \
	$(BIN)/pytest $$cache $(SHORT) -n $(WORKERS) --dist worksteal --durations 15; others=$$?; \
	wait $$trainer; ended=$$?; cat $(TRAINER_TESTS); \
	if [ $$others -eq 1 ]; then $(AGAIN) $$cache; others=$$?; fi; exit $$((others | ended))

# What `make test` leaves out: the tests that are marked `long`, all cases of what it takes a sample of each day, and the
# other long targets that take less than an hour. Two hours on two cores.
long: setup
	@$(BIN)/python -m compileall -q atftctl tests
	ATFTCTL_ALL=1 $(BIN)/pytest --timeout 1800 tests/trainer
	ATFTCTL_ALL=1 $(BIN)/pytest --timeout 1800 -n $(WORKERS) --dist worksteal --ignore tests/trainer --ignore tests/browser --ignore tests/examples
	$(MAKE) healthy-long confirm-long drill-all ladder-long

# What takes minutes and CI tries on something smaller: `trainer check` on the trainer of this repository.
check-long: setup
	$(BIN)/pytest tests/operations/test_real_check.py

# The page of an incident in Debian's Chromium (apt-get install chromium fonts-noto-cjk); fails where that is missing.
test-browser: setup
	@$(call group,browser) >$(VENV)/browser.txt; $(PIP) -q -r $(VENV)/browser.txt
	export ATFTCTL_BROWSER=required; cache="-o cache_dir=.pytest_cache/browser"; \
	$(BIN)/pytest $$cache tests/browser || { $(AGAIN) $$cache tests/browser; }

# The examples as projects of their own, with the frameworks that they are for; torch stays the one of constraints.txt.
test-examples: setup
	@$(call group,examples) >$(VENV)/examples.txt; $(PIP) -q -r $(VENV)/examples.txt
	export ATFTCTL_EXAMPLES=required; cache="-o cache_dir=.pytest_cache/examples"; \
	$(BIN)/pytest $$cache --durations 10 tests/examples || { $(AGAIN) $$cache tests/examples; }

# A Slurm cluster of our own (Debian's slurmctld, slurmd and munge) on the loopback: a second to start, nothing is left.
SLURM_PACKAGES := slurmctld slurmd slurm-client munge
install-slurm:
	@PATH=$$PATH:/usr/sbin; type slurmctld slurmd sbatch srun munged >/dev/null 2>&1 || { apt-get update -q && \
	DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $(SLURM_PACKAGES); } >/dev/null

test-slurm: setup install-slurm
	export ATFTCTL_SLURM=required; cache="-o cache_dir=.pytest_cache/slurm"; \
	$(BIN)/pytest $$cache --durations 5 tests/slurm || { $(AGAIN) $$cache tests/slurm; }

slurm-up: setup install-slurm
	@$(BIN)/python -m tests.slurm.cluster up

slurm-down: setup
	@$(BIN)/python -m tests.slurm.cluster down

check: setup
	$(BIN)/ruff format --check -q .
	$(BIN)/ruff check -q .
	$(BIN)/mypy $$($(HAS_TORCH) || echo "--exclude ^atftctl/trainer/")
	$(BIN)/lint-imports --no-cache

# The site, from the Markdown as it is; fails on a warning of the builder, and on a link that leads nowhere.
docs: setup
	@$(call group,docs) >$(VENV)/docs.txt; $(PIP) -q -r $(VENV)/docs.txt
	$(BIN)/python tools/build_site.py

reference: setup
	$(BIN)/python tools/runbook_reference.py
	$(BIN)/python tools/reference.py markdown docs/reference/commands.md
	$(BIN)/python tools/json_reference.py

# Man pages of all commands, in build/man: man -l build/man/atftctl-rollback.1
man: setup
	$(BIN)/python tools/reference.py man build/man

# What the READMEs show, run again: after a change of messages.
transcript: setup
	$(BIN)/python tools/readme_transcript.py

messages: setup
	$(BIN)/python tools/messages.py $(LANGUAGES)
	$(BIN)/python tools/message_list.py

# Wheel and sdist, and what PyPI would say about them.
dist: setup
	@$(call group,release) >$(VENV)/release.txt; $(PIP) -q -r $(VENV)/release.txt
	rm -rf dist/*.whl dist/*.tar.gz
	$(BIN)/python -m build --outdir dist .
	$(BIN)/twine check --strict dist/*.whl dist/*.tar.gz

# The ops side in one file that needs nothing but the Python it was built with; tried with HOME missing, full, read-only.
pyz: setup
	@$(call group,release) >$(VENV)/release.txt; $(PIP) -q -r $(VENV)/release.txt
	$(BIN)/python tools/build_pyz.py
	$(BIN)/python tools/check_pyz.py

bench: setup
	$(BIN)/python bench/startup.py

# How long each route takes to decide, a rollback with a 2 GiB model beside cp, the history of 10,000 operations.
bench-routes: setup
	$(BIN)/python bench/routes.py

# `metrics` over a million rows, beside a plain pandas.read_csv.
bench-metrics: setup
	$(BIN)/python bench/metrics.py

# Scalars a second that are read from an event file of TensorBoard, with the sums of its records.
bench-tensorboard: setup
	$(BIN)/python bench/tensorboard.py

# `diagnose` on what one generation wrote: 5 MB of log and 50,000 rows, 100 MB and a million rows.
bench-diagnose: setup
	$(BIN)/python bench/diagnose.py

# `watch`: processor time at ten rows a second, memory over a million rows. Five minutes.
bench-watch: setup
	$(BIN)/python bench/watch.py

# What a hook costs a training step; Lightning and transformers where `make test-examples` has installed them.
bench-hooks: setup
	$(BIN)/python bench/hooks.py

# The page of an operation with 50,000 rows of metrics, and with a million.
bench-incident: setup
	$(BIN)/python bench/incident.py

# `init` on 10,000 files, and on 100,000.
bench-init: setup
	$(BIN)/python bench/init.py

# The detectors on a million generated healthy steps: not one alarm. Two minutes.
healthy-long: setup
	ATFTCTL_HEALTHY_STEPS=1000000 $(BIN)/pytest --timeout 1800 tests/decide/test_detectors.py -k healthy_steps

# Healthy runs of the real trainer, and what the detectors say of them: RUNS_OF=200 of at least 1,000 steps each, in the
# folder RUNS_IN, where those that are there already are not trained again. About 30 s a run on two idle cores.
RUNS_IN ?= .cache/runs-long
runs-long: RUNS_OF ?= 200
runs-long: setup
	$(BIN)/python -m tests.runs_long train $(RUNS_OF) $(RUNS_IN)
	$(BIN)/python -m tests.runs_long count $(RUNS_OF) $(RUNS_IN)

# Faults in the metrics of these runs, FAULTS_OF=240 of them: what each is recognised as, and how late. A minute.
FAULTS_OF ?= 240
faults-long: setup
	$(BIN)/python -m tests.runs_long faults $(FAULTS_OF) $(RUNS_IN)

# Against cp, restic and borg where they are installed (apt-get install restic borgbackup); 12 GB of disk, 5 minutes.
bench-backup: setup
	$(BIN)/python bench/backup.py

# Failpoints, power losses, kills, pairs of operators; PART=points|power|fsyncs|kills|real|pairs for one of them.
torture: setup
	ATFTCTL_DAMAGES=10000 $(BIN)/pytest tests/apply/test_snapshots.py -k random_damages
	$(BIN)/python -m tests.torture $(PART)
	ATFTCTL_ALL=1 ATFTCTL_TORTURE_EVERY=1 $(BIN)/pytest -n 2 --dist worksteal --timeout 1800 tests/apply/test_crashes.py tests/apply/test_small_verbs.py tests/apply/test_snapshot_faults.py tests/ground -k "call or crash"

# Every scalar of public YAML files: fetch some repositories into DIR first; EVERY=10 takes each tenth. Half an hour.
EVERY ?= 1
yaml-corpus: setup
	$(BIN)/python bench/yaml_corpus.py $(DIR) $(EVERY)

bench-trainer: setup
	DATA=$(DATA) $(BIN)/python bench/trainer.py

bench-streaming: setup
	$(BIN)/python bench/streaming.py

# RankIC on real prices beside ridge and LightGBM: make quality DATA=panel.parquet [RUNS=folder]; about 30 minutes.
RUNS ?= runs
quality: setup
	$(PIP) -q -e '.[compare]'
	$(BIN)/python bench/quality.py train $(DATA) $(RUNS)
	$(BIN)/python bench/quality.py report $(DATA) $(RUNS) --split validation

# How often the verdicts err, on simulated series and, with DATA=panel.parquet, on those of real prices.
calibration: setup
	$(BIN)/python -m tests.calibration $(DATA)

# The operator of a change that must be confirmed is killed at random instants, 50 times: how late is the undo? Ten minutes.
confirm-long: setup
	$(BIN)/python -m tests.confirm_long 50

# Damage in random checkpoints of a real run, rolled back each time; RUNS_OF=100. About half an hour.
ladder-long: RUNS_OF ?= 100
ladder-long: setup
	$(BIN)/python -m tests.ladder_long $(RUNS_OF)

# Each symptom rehearsed once, with a page: within 25 minutes on two cores.
drill-all: setup
	mkdir -p build
	$(BIN)/atftctl drill --all --report build/drills.html $(if $(DATA),--data $(DATA))

# Five drills of each symptom; each page in build/. About two hours.
drills-long: setup
	mkdir -p build
	failed=0; for n in 1 2 3 4 5; do $(BIN)/atftctl drill --all --report build/drills-$$n.md || failed=1; done; exit $$failed

clean:
	rm -rf $(VENV) .cache .pytest_cache .ruff_cache .mypy_cache build dist *.egg-info

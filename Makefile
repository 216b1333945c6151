# Everything a person types here. `make` alone says what there is.
# Set-up (environment, packages of the distribution, compiled modules) happens by itself and only once.

VENV    := .venv
PYTHON  := $(VENV)/bin/python
STAMPS  := $(VENV)/.stamps
SOURCES := $(shell find src -name '*.pxd' -o -name '*.pyx') \
	$(wildcard $(shell sed -n 's@^ *"\(fairlead[^"]*\)",@\1@p' src/fairlead/compiled.py | sed 's@\.@/@g; s@^@src/@; s@$$@.py@'))

.PHONY: help build demo test check fuzz lint sim soak chaos bench bench-quick bench-micro classify-score clean
.DELETE_ON_ERROR:

help:
	@echo "make build        environment in .venv, compiled modules, the command .venv/bin/fairlead"
	@echo "make demo         a private cluster of three MariaDB servers with Fairlead in front, until Ctrl-C"
	@echo "DEMO=once make demo   the same as a short tour that ends by itself"
	@echo "make check        linters, types, room contracts, sans-I/O tests; under a minute"
	@echo "make test         everything needed to trust a change"
	@echo "make sim          whole sessions under faults, simulated: SEEDS=10000, or SEED=123 with its transcript"
	@echo "make fuzz         hostile inputs against the data path; N=1000000 SEED=1 say how many and which"
	@echo "make chaos        bank transfers while servers are killed, hung and moved (EVENTS=100)"
	@echo "make soak         mixed load, faults and changes for MINUTES=20, and then a look for what is left"
	@echo "make bench        CPU per query against HAProxy and a direct connection; bench-quick: about a minute"
	@echo "make bench-micro  the compiled modules, one by one"
	@echo "make classify-score  the classifier against the server's own test programs and a live server"
	@echo "make clean        remove everything that was built"

build: $(STAMPS)/compiled

$(STAMPS)/packages: pyproject.toml tools/setup.sh
	@tools/setup.sh environment
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/compiled: $(STAMPS)/packages setup.py src/fairlead/compiled.py $(SOURCES)
	@tools/setup.sh compile
	@touch $@

$(STAMPS)/mariadb: | $(STAMPS)/packages
	@tools/setup.sh mariadb
	@touch $@

$(STAMPS)/haproxy: | $(STAMPS)/packages
	@tools/setup.sh haproxy
	@touch $@

$(STAMPS)/mariadb-test-data: | $(STAMPS)/packages
	@tools/setup.sh mariadb-test-data
	@touch $@

$(STAMPS)/libssl: | $(STAMPS)/packages
	@tools/setup.sh libssl
	@touch $@

demo: $(STAMPS)/compiled $(STAMPS)/mariadb
	@$(PYTHON) tools/demo.py $(if $(filter once,$(DEMO)),--once)

lint: $(STAMPS)/compiled
	@tools/test.sh lint

check: $(STAMPS)/compiled
	@tools/test.sh lint core

test: $(STAMPS)/compiled $(STAMPS)/mariadb
	@tools/test.sh lint compiled pure server

# SEEDS=10000: so many seeds on all cores; SEED=123: that one, with its transcript.
sim: $(STAMPS)/compiled
	@$(PYTHON) -m tests.sim.run $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),1000) --first $(or $(FIRST),1))

# N=1000000: so many inputs; SEED=2: others.
fuzz: $(STAMPS)/compiled
	@$(PYTHON) tests/hostile/fuzz.py --number $(or $(N),100000) --seed $(or $(SEED),1)

# MINUTES=20 SEED=1
soak: $(STAMPS)/compiled $(STAMPS)/mariadb
	@FAIRLEAD_LOAD=10 $(PYTHON) -m pytest -q tests/product/test_load.py
	@$(PYTHON) tools/soak.py --minutes $(or $(MINUTES),20) --seed $(or $(SEED),1)

# EVENTS=100 SEED=1
chaos: $(STAMPS)/compiled $(STAMPS)/mariadb
	@$(PYTHON) tools/chaos.py --events $(or $(EVENTS),100) --seed $(or $(SEED),1)

bench: $(STAMPS)/compiled $(STAMPS)/mariadb $(STAMPS)/haproxy $(STAMPS)/libssl
	@$(PYTHON) bench/run.py $(BENCH)

bench-quick: $(STAMPS)/compiled $(STAMPS)/mariadb $(STAMPS)/haproxy $(STAMPS)/libssl
	@$(PYTHON) bench/run.py --quick $(BENCH)

bench-micro: $(STAMPS)/compiled
	@$(PYTHON) bench/micro.py $(BENCH)

# SCORE=--quick: a sample, without a server; SCORE=--docs: the table goes into docs/classifier.md.
classify-score: $(STAMPS)/compiled $(STAMPS)/mariadb $(STAMPS)/mariadb-test-data
	@PYTHONPATH=tools $(PYTHON) -m classify_score $(SCORE)

clean:
	rm -rf $(VENV) build .demo .bench .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src -name '*.so' -delete
	find src -name '*.c' -delete
	find . -name __pycache__ -prune -exec rm -rf {} +

# `make run` runs the broker, `make test` runs every check. Both install what is missing by
# scripts/, say what they do, and are quick when nothing is missing. `make help` lists the rest.
CARGO ?= cargo
# One profile for all that is run: optimised, with assertions and overflow checks. The tests find
# the binary of the profile they were built with.
PROFILE ?= checked
HOST := --workspace --exclude halyard-wasm
TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
WASM := -p halyard-wasm --target wasm32-unknown-unknown

# What the project installs for itself; the checks come in order, also under make -j.
export PATH := $(CURDIR)/.tools/bin:$(PATH)
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help run test setup format lint page test-rust test-core-wasm test-wasm test-page \
	test-clients bench fuzz sim

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

run: ## Build and run the broker on loopback: MQTT on 1883, HTTP and WebSocket on 9001
	@scripts/page-if-possible.sh
	$(CARGO) run --release -p halyard

test: setup format lint page test-rust test-core-wasm test-wasm test-page test-clients ## Run every check
	@echo "== every check passed"

setup: ## Install what the checks need and is not there
	@echo "== setup: what the checks need"
	@scripts/setup.sh

format: ## Formatting
	@echo "== format"
	@$(CARGO) fmt --all --check

lint: ## Lints, for this machine and for wasm
	@echo "== lint: clippy, for this machine and for wasm"
	@$(CARGO) clippy --quiet --locked $(HOST) --all-targets -- -D warnings
	@$(CARGO) clippy --quiet --locked $(WASM) --all-targets -- -D warnings

test-rust: ## Unit, property, behaviour and simulation tests, and the tests of the real binary
	@echo "== test-rust: core, server and the real binary"
	@$(CARGO) build --quiet --locked --profile $(PROFILE) -p halyard
	@$(CARGO) test --quiet --locked --profile $(PROFILE) $(HOST)

test-core-wasm: ## The core's own tests, compiled for wasm32
	@echo "== test-core-wasm: the core's own tests, compiled for wasm32"
	@scripts/test-core-wasm.sh

test-wasm: ## The wasm package in headless Chromium
	@echo "== test-wasm: the wasm package in headless Chromium"
	@scripts/test-wasm.sh

page: ## Build the page into www/dist
	@echo "== page: www/dist"
	@scripts/setup-wasm-target.sh && scripts/setup-wasm-tools.sh page
	@scripts/page.sh

test-page: page ## The page in headless Chromium
	@echo "== test-page: the page in headless Chromium"
	@cd tests/browser && npm test --silent

test-clients: ## Stock clients against the real binary
	@echo "== test-clients: stock clients against the real binary"
	@$(CARGO) build --quiet --locked --profile $(PROFILE) -p halyard
	@tests/stock/run.sh $(TARGET_DIR)/$(PROFILE:dev=debug)/halyard

bench: ## Side by side with Mosquitto; the figures of docs/benchmarks.md
	@scripts/bench.sh

fuzz: ## Each fuzz target for SECONDS_EACH seconds (600)
	@scripts/fuzz.sh $(or $(SECONDS_EACH),600)

sim: ## SEEDS simulated runs (100000)
	@scripts/simulate.sh $(or $(SEEDS),100000)

# Everything a developer and CI run; `make` lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash

# Tests may read published samples from here; without them they say so and go on.
export OFFKEY_SHARED ?= $(abspath ../shared)
CARGO := cargo
LOCKED := --locked
VENV := target/verify/venv
DENY_VERSION := 0.20.2
MUTANTS_VERSION := 27.1.0
# Another one where 9092 is taken: make kafka KAFKA_PORT=19092
KAFKA_PORT := 9092

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## build, then see the main job happen with an invented company
	$(CARGO) build $(LOCKED) --no-default-features
	target/debug/offkey demo

kafka: ## start a real Apache Kafka to try Offkey on, until Ctrl-C
	@scripts/kafka run target/kafka/try --port-base $(KAFKA_PORT)

build: ## the release binary
	$(CARGO) build --release $(LOCKED)

setup: ## what the tests need beside the toolchain
	@scripts/setup

test: setup ## every test; brings Kafka, and Java for it, where they are missing
	@test -d "$(OFFKEY_SHARED)" || echo "!!! $(OFFKEY_SHARED) is absent: tests over published samples are skipped" >&2
	scripts/test

fmt: ## format the code
	$(CARGO) fmt
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml

lint: ## formatting and lints; warnings are errors
	$(CARGO) fmt --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) clippy $(LOCKED) --all-targets --features failpoints -- -D warnings

doc: ## the documentation, without warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(LOCKED) --no-deps --document-private-items

deny: ## licences, bans and sources of dependencies; advisories where their database can be reached
	scripts/deny $(DENY_VERSION)

verify: ## let other people's software check ours
	scripts/verify

faults: setup ## the long fault tests
	scripts/faults

mutants: ## change the pure core and see that a test notices; FILE=src/correlation/verify.rs for one file
	scripts/mutants $(MUTANTS_VERSION) $(FILE)

bench: ## measure; writes target/bench.json
	$(CARGO) bench $(LOCKED) --bench offkey

bench-kafka: ## measure on a real Kafka; writes target/bench-kafka.json
	@scripts/kafka install
	$(CARGO) bench $(LOCKED) --bench offkey-kafka

ci: lint doc test verify deny ## what CI runs

clean: ## delete what was built
	$(CARGO) clean

.PHONY: help run kafka build setup test fmt lint doc deny verify faults mutants bench bench-kafka ci clean

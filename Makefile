# Two targets are enough for a start: `make demo` and `make test`.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo install uninstall test setup bench soak fmt clippy deny doc nextest doctest invariants promises

# What building needs and the system lacks is put there by the set-up.
export PATH := $(PATH):$(CURDIR)/.peers/bin

TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
JUNIT := $(TARGET)/nextest/ci/junit.xml
SKIPS := $(TARGET)/nextest/skips
XTASK := cargo run --quiet --locked --package campanile-xtask --

# Arguments for the demo: make demo ARGS="--site-file my-site.yaml"
ARGS ?=

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 18

demo: ## a whole site on this machine, to look at; Ctrl-C ends it
	@scripts/setup.d/30-etcd --build
	@cargo build --locked --release --package campanile
	@exec "$(TARGET)/release/campanile" demo $(ARGS)

# Where it goes: make install PREFIX=/opt/ovis ARGS=--replace
PREFIX ?= /usr/local

install: ## build it and put it below PREFIX, with all its names; the same again upgrades it
	@scripts/setup.d/30-etcd --build
	@cargo build --locked --release --package campanile
	@scripts/install --prefix "$(PREFIX)" --program "$(TARGET)/release/campanile" $(ARGS)

uninstall: ## remove it from PREFIX
	@scripts/install --uninstall --prefix "$(PREFIX)"

# One after the other, the quick ones first; the last line of each shows its counts.
test: ## everything that must hold: formatting, lints, licences, documents, all tests
	@for step in setup fmt invariants clippy deny doc nextest doctest promises; do \
	    printf '== %s\n' "$$step"; \
	    $(MAKE) --no-print-directory "$$step"; \
	done

setup: ## install what is missing on this machine (root: by apt)
	@scripts/setup

# What drives the HostManager only waits and needs no optimised build; the program that is driven is the release build.
bench: setup ## the benchmarks, ours and the originals side by side
	cargo build --locked --release --package campanile
	CAMPANILE_BIN="$(TARGET)/release/campanile" cargo bench --locked --workspace --profile dev --bench host
	CAMPANILE_BIN="$(TARGET)/release/campanile" cargo bench --locked --workspace \
	    --bench router --bench ldms --bench cluster --bench maestro --bench decision

soak: setup ## the tests with random histories, with many more rounds (hours)
	PROPTEST_CASES=20000 CAMPANILE_ROUNDS=50 cargo nextest run --locked --workspace --profile soak

fmt:
	@cargo fmt --all --check

clippy:
	@cargo clippy --quiet --locked --workspace --all-targets -- -D warnings

deny:
	@cargo deny --locked --log-level error check bans licenses sources

doc:
	@RUSTDOCFLAGS="-D warnings" cargo doc --quiet --locked --workspace --no-deps

nextest:
	@rm -f "$(SKIPS)" "$(JUNIT)"
	@CAMPANILE_SKIPS="$(SKIPS)" cargo nextest run --locked --workspace --profile ci

doctest:
	@cargo test --quiet --locked --workspace --doc

invariants:
	@$(XTASK) invariants

promises:
	@$(XTASK) promises --junit "$(JUNIT)" --skips "$(SKIPS)"

# Everything a newcomer types. `make` alone lists the targets.
# Needs: cargo (rustup brings the pinned toolchain by itself); nats-server and redis-server come through deploy/bundle.sh.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run build test bench agentdojo lint bundle cargo

# More words for the command that `make run` starts, e.g. make run ARGS="case-study 1".
ARGS ?=

help: ## List the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name what; do printf '  make %-9s %s\n' "$$name" "$$what"; done

run: cargo ## Build all, bring the bundle, start everything and open a chat (ARGS="ask 'hello'" for another command)
	@bundle=$$(deploy/bundle.sh); \
	cargo build --release --workspace --exclude system-tests --bins; \
	SECGPT_BUNDLE_DIR="$$bundle" exec target/release/secgpt $(ARGS)

build: cargo ## Build all binaries, optimised, into target/release
	cargo build --release --workspace --exclude system-tests --bins

# The system tests run the real binaries, so these are built first; every test then finds them in target/debug.
test: cargo ## Bring the bundle, build all, run every test
	@bundle=$$(deploy/bundle.sh); \
	cargo build --workspace --all-targets; \
	export SECGPT_BUNDLE_DIR="$$bundle"; \
	if cargo nextest --version >/dev/null 2>&1; then cargo nextest run --workspace --no-fail-fast; else cargo test --workspace --no-fail-fast; fi

bench: cargo ## Measure, print the table, write target/bench/latest.json (ARGS="spoke many" for a part of it)
	@bundle=$$(deploy/bundle.sh); \
	cargo build --release --workspace; \
	SECGPT_BUNDLE_DIR="$$bundle" exec target/release/bench $(ARGS)

# Tasks of a public benchmark, as apps on this machine, and a model that obeys whatever it reads. AGENTDOJO names their folder.
AGENTDOJO ?= ../shared/agentdojo

agentdojo: cargo ## Attacks nobody here wrote: a table for each kind of user (ARGS="--every 11" for a part)
	@bundle=$$(deploy/bundle.sh); \
	cargo build --release --workspace --exclude system-tests --bins; \
	python=target/agentdojo-venv/bin/python; \
	[ -x $$python ] || python3 -m venv target/agentdojo-venv; \
	$$python -m pip install --quiet -r $(AGENTDOJO)/requirements.txt; \
	export SECGPT_BUNDLE_DIR="$$bundle"; \
	for consent in deny expected once; do \
	  echo "consent $$consent, without attack:"; \
	  $$python $(AGENTDOJO)/run.py --secgpt target/release/secgpt --consent $$consent --clean; \
	  echo "consent $$consent, under attack:"; \
	  $$python $(AGENTDOJO)/run.py --secgpt target/release/secgpt --consent $$consent $(ARGS); \
	done

lint: cargo ## Format, clippy, documentation and tidy, with warnings as errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items
	cargo test --quiet -p system-tests --test tidy

bundle: ## Bring nats-server and redis-server only; prints their directory
	@deploy/bundle.sh

cargo:
	@command -v cargo >/dev/null || { echo 'cargo is not on PATH. Install Rust with rustup (rustup.rs), or, if it is installed, run: . "$$HOME/.cargo/env"' >&2; exit 1; }

# What one does with this tree; `make help` lists it. For Debian 12 and 13, as root.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo build test test-containerd lint bench deny setup clean install uninstall \
    reference program deb rpm packages

CARGO ?= cargo
# The suites of Debian whose containerd the node suite also runs on: 1.7 and 2.x.
SUITES ?= trixie sid
# Words after `--` of the test binaries, such as the name of a trial.
ARGS ?=
# `runtime`: on these, only the topics whose outcome can depend on the runtime.
TRIALS ?= all

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: ## the examples on a containerd of their own, until Ctrl-C
	@tests/node/setup.sh demo
	@examples/demo.sh

build: ## target/release/setlet
	$(CARGO) build --release --locked

test: setup lint ## format, clippy, unit tests, vectors, architecture, the agent on containerd
	$(CARGO) test --locked --tests --no-fail-fast -- $(ARGS)

test-containerd: setup ## the node suite on other versions of containerd
	@status=0; for suite in $(SUITES); do \
	    tests/node/fetch-containerd.sh $$suite && \
	    SETLET_TEST_CONTAINERD=target/containerd/$$suite SETLET_TEST_TRIALS=$(TRIALS) \
	        $(CARGO) test --locked --test node -- $(ARGS) || status=1; \
	done; exit $$status

test-vm: deb ## the package in machines of their own, under qemu; ARGS=short for the first topic
	tests/vm/setup.sh
	$(CARGO) test --locked --test vm -- $(ARGS)

lint: setup ## format and clippy; a warning is an error
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

bench: setup ## side by side with the raw CRI calls, as ratios
	$(CARGO) bench --locked --bench node -- $(ARGS)

# Not part of `test`: where cargo-deny is not installed, building it takes long. The
# advisory database is asked only where it can be reached.
deny: ## licences, sources, duplicates and, where reachable, advisories of all dependencies
	command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny
	$(CARGO) deny --all-features check bans licenses sources
	@if $(CARGO) deny fetch db; then $(CARGO) deny check advisories; \
	else echo "advisories: the database cannot be reached, not checked"; fi

PREFIX ?= /usr/local
DESTDIR ?=
# Of packages: x86_64 or aarch64.
ARCH ?= x86_64

install: build reference ## what the packages hold, below PREFIX (/usr/local) and in /etc; DESTDIR before both
	packaging/stage.sh install src target/release/setlet "$(DESTDIR)" "$(PREFIX)"

uninstall: ## takes it away again, but for what was changed, pods and state
	packaging/stage.sh uninstall src target/release/setlet "$(DESTDIR)" "$(PREFIX)"

# From a program of its own, in Cargo's development profile: the shipped one holds nothing of it.
reference:
	@mkdir -p target/package
	$(CARGO) run --locked --example reference -- target/package/reference
	packaging/copyright.py >target/package/copyright

# The whole program is compiled once more, for glibc 2.28: not part of `test`.
program: setup
	packaging/setup.sh zig
	packaging/program.sh $(ARCH)

deb: program reference ## target/package/setlet_*.deb, for ARCH (x86_64, aarch64) and glibc 2.28
	packaging/deb.sh $(ARCH)

rpm: program reference ## target/package/setlet-*.rpm, likewise
	packaging/rpm.sh $(ARCH)

packages: deb rpm ## both, and lintian and rpmlint on them
	packaging/lint.sh

setup: ## what the tests need, from Debian's packages
	@tests/node/setup.sh test

clean: ## what was built, and what killed runs left
	-tests/node/private-containerd.sh sweep
	$(CARGO) clean

# What a newcomer types. Each target is one line here; the work is in cargo and in tests/tools.

.PHONY: help dev quick tools test rig corpus fuzz chart lint bench bench-flood bench-scale audit mutants mutants-pure

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

dev: ## a gateway with an identity provider and a demo site, on this machine
	cargo run -- dev

quick: ## the tests that need nothing but Rust
	cargo test

tools: ## get the real parts that the rig runs: Dex, Envoy, Keycloak, Chromium and others
	@tests/tools/install

test: ## everything: tools, audit, lint, quick, rig; a table at the end says what took how long
	@tests/tools/run-all

rig: tools ## only the tests with real parts
	cargo test --test rig

corpus: ## a corpus of hostile requests, put to the shipped Envoy example or to any gateway (tests/corpus/README.md)
	@tests/tools/corpus

fuzz: ## the fuzzers, each for a minute: SECONDS=600 is ten; needs a nightly toolchain, and says so
	@SECONDS_EACH=$(or $(SECONDS),60) tests/tools/fuzz $(TARGETS)

chart: tools ## only the tests of the Helm chart
	@tests/manifests/chart

lint: ## formatting and clippy
	cargo fmt --check
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	cargo clippy --all-targets -- -D warnings
	cargo clippy --test rig --test redis --bench scale --bench flood -- -D warnings

bench: ## the check against an empty handler
	cargo bench --bench check

bench-flood: ## what floods of strangers cost those who are signed in; takes some three minutes, and 20,000 open files
	cargo bench --bench flood

bench-scale: tools ## what a million sessions cost; writes docs/performance.md. SESSIONS=10000 is a quick try that does not
	cargo bench --bench scale -- --sessions $(or $(SESSIONS),1000000)

audit: ## licenses, bans and sources of the dependencies
	@tests/tools/audit

mutants: ## take out one defence after the other: some test must go red each time (tests/mutants/README.md). ONLY=name
	@tests/mutants/run

mutants-pure: ## the same with every small change to the pure rooms, by cargo-mutants. ROOMS="rules seal"
	@tests/mutants/pure

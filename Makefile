# Every target does its own set-up first (scripts/setup.sh) and works on a fresh Debian or Ubuntu.

# Build products stay out of the checkout, so that every clone of a user shares one build of HiGHS.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/packwright
export CARGO_TARGET_DIR ?= $(CACHE)/target
# Rust as scripts/setup.sh finds or installs it.
export PATH := $(CACHE)/rust:$(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)

PACKWRIGHT := $(CARGO_TARGET_DIR)/debug/packwright
GETTING_STARTED := examples/getting-started
OPENB := benchmarks/instances/openb

.PHONY: help setup build demo test lint crds models instances bench bench-throughput bench-loading

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what a build needs and is missing
	@scripts/setup.sh

build: setup
	@test -d $(CARGO_TARGET_DIR) || echo "The first build compiles the HiGHS solver and takes several minutes; later ones take seconds."
	@cargo build --quiet --locked

demo: build ## Plan the getting-started exercise, then 8,152 pods of a production GPU cluster
	@echo "== The inflate exercise: $(GETTING_STARTED)"
	@$(PACKWRIGHT) plan -f $(GETTING_STARTED)
	@echo
	@echo "== 8,152 pods of a production GPU cluster: $(OPENB)"
	@$(PACKWRIGHT) plan -f $(OPENB)/pools.yaml -f $(OPENB)/deployments.yaml

# The tests compile the package itself without optimisation: five minutes of compiling would save one of running.
test: setup ## Run all tests
	@CARGO_PROFILE_DEV_OPT_LEVEL=0 cargo test --locked

lint: ## Check formatting, lints, and that the core builds without the clients
	@scripts/setup.sh lint
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo check --locked --no-default-features

crds: setup ## Write the CRDs into charts/packwright-crd
	@UPDATE_CRDS=1 cargo test --quiet --locked --test integration crds::

models: setup ## Write the models of the small cases into models/golden
	@UPDATE_MODELS=1 cargo test --quiet --locked --test integration models::the_committed

instances: setup ## Derive the manifests of the benchmark instances from their data
	@for convert in benchmarks/instances/*/convert.py; do python3 $$convert > $$(dirname $$convert)/deployments.yaml || exit 1; done

bench: build ## Measure what plans cost within 50 ms to 10 s, on every core instance
	@$(PACKWRIGHT) bench -o json --plot benchmarks/results/bench-$$(date +%F).svg > benchmarks/results/bench-$$(date +%F).json
	@$(PACKWRIGHT) bench --read benchmarks/results/bench-$$(date +%F).json

bench-throughput: setup ## Measure planning throughput on Karpenter's benchmark mix
	@cargo bench --locked --profile dev --bench throughput

bench-loading: setup ## Measure how long reading manifests and the catalogue takes
	@cargo bench --locked --profile dev --bench loading

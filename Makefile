# Every target does its own set-up first (scripts/setup.sh) and works on a fresh Debian or Ubuntu.

# Build products stay out of the checkout, so that every clone of a user shares one build of HiGHS.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/packwright
export CARGO_TARGET_DIR ?= $(CACHE)/target
# Rust as scripts/setup.sh finds or installs it.
export PATH := $(CACHE)/rust:$(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)

PACKWRIGHT := $(CARGO_TARGET_DIR)/debug/packwright
RELEASED := $(CARGO_TARGET_DIR)/release/packwright
GETTING_STARTED := examples/getting-started
OPENB := benchmarks/instances/openb
SIMULATIONS := examples/simulations

.PHONY: help setup build release image push arm64 demo test programs cluster kills lint crds charts pages models instances bench bench-random bench-throughput bench-loading oracle oldest placement modes simulations live

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what a build needs and is missing
	@scripts/setup.sh

build: setup
	@echo "Building. The first time it compiles the HiGHS solver and takes a quarter of an hour on two cores."
	@cargo build --locked

demo: build ## Play the getting-started exercise from apply to empty, then plan 8,152 pods of a production GPU cluster
	@echo "== The inflate exercise: its plan"
	@$(PACKWRIGHT) plan -f $(GETTING_STARTED)
	@echo
	@echo "== The inflate exercise on a simulated cluster, from apply to empty: $(SIMULATIONS)/inflate"
	@$(PACKWRIGHT) simulate $(SIMULATIONS)/inflate
	@echo
	@echo "== 8,152 pods of a production GPU cluster: $(OPENB)"
	@$(PACKWRIGHT) plan -f $(OPENB)/pools.yaml -f $(OPENB)/deployments.yaml

# The tests compile the package itself without optimisation: five minutes of compiling would save one of running.
test: setup programs ## Run all tests
	@scripts/setup.sh tests
	@CARGO_PROFILE_DEV_OPT_LEVEL=0 cargo test --locked

programs: ## Build the programs of the test cluster, where they are missing
	@tests/cluster/build.sh >/dev/null
	@tests/cluster/build.sh prometheus karpenter crane >/dev/null

kills: setup programs ## Kill a controller that launches, 50 times at random moments, on a real control plane
	@PACKWRIGHT_KILLS=50 CARGO_PROFILE_DEV_OPT_LEVEL=0 cargo test --locked --test integration killed_at_any_moment -- --nocapture

cluster: setup ## Run a Kubernetes control plane without containers, and print how to use it
	@tests/cluster/run.sh

lint: ## Check formatting, lints, and that the core builds without the clients
	@scripts/setup.sh lint
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo check --locked --no-default-features

crds: setup ## Write the CRDs into charts/packwright-crd
	@UPDATE_CRDS=1 cargo test --quiet --locked --test integration crds::

charts: setup ## Write the pages of the charts' values
	@UPDATE_CHARTS=1 cargo test --quiet --locked --test integration charts::values

pages: setup ## Write the pages of docs that list labels and settings
	@UPDATE_PAGES=1 cargo test --quiet --locked --test integration reference::

models: setup ## Write the models of the small cases into models/golden
	@UPDATE_MODELS=1 cargo test --quiet --locked --test integration models::the_committed

instances: setup ## Derive the manifests of the benchmark instances from their data
	@for convert in benchmarks/instances/*/convert.py; do python3 $$convert > $$(dirname $$convert)/deployments.yaml || exit 1; done

# Benchmarks measure what ships; the first build of it takes some twenty minutes.
release: setup
	@cargo build --quiet --release --locked

image: release ## Assemble the OCI image of the release, without a container engine, in the folder of build products
	@scripts/image.sh $(RELEASED) $(CARGO_TARGET_DIR)/image

push: ## Push that image: make push TO=REGISTRY/packwright:VERSION
	@PATH="$$(tests/cluster/build.sh crane):$$PATH" crane push $(CARGO_TARGET_DIR)/image $(TO)

# Never run so far. Its set-up installs what it needs: cross compilers and libraries of the distribution, and the target of Rust.
ARM64_LIBRARIES := /usr/aarch64-linux-gnu
arm64: ## Cross-build release and image for arm64, with crossbuild-essential-arm64 and a Rust of rustup (never run so far)
	@scripts/setup.sh arm64
	@CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc CXX_aarch64_unknown_linux_gnu=aarch64-linux-gnu-g++ \
		CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
		BINDGEN_EXTRA_CLANG_ARGS_aarch64_unknown_linux_gnu="--sysroot=$(ARM64_LIBRARIES)" \
		cargo build --release --locked --target aarch64-unknown-linux-gnu
	@aarch64-linux-gnu-strip -o $(CARGO_TARGET_DIR)/packwright-arm64 $(CARGO_TARGET_DIR)/aarch64-unknown-linux-gnu/release/packwright
	@rm -rf $(CARGO_TARGET_DIR)/arm64-libraries && mkdir -p $(CARGO_TARGET_DIR)/arm64-libraries/lib
	@cd $(ARM64_LIBRARIES)/lib && cp -L ld-linux-aarch64.so.1 libc.so.6 libm.so.6 libgcc_s.so.1 libstdc++.so.6 $(CARGO_TARGET_DIR)/arm64-libraries/lib
	@ARCHITECTURE=arm64 LIBRARIES=$(CARGO_TARGET_DIR)/arm64-libraries scripts/image.sh $(CARGO_TARGET_DIR)/packwright-arm64 $(CARGO_TARGET_DIR)/image-arm64

bench: release ## Measure what plans cost within 50 ms to 10 s, on every core instance
	@$(RELEASED) bench -o json --plot benchmarks/results/bench-$$(date +%F).svg > benchmarks/results/bench-$$(date +%F).json
	@$(RELEASED) bench --read benchmarks/results/bench-$$(date +%F).json

bench-random: release ## Ask 1,000 random questions: is every answer in time and none dearer than Karpenter's?
	@$(RELEASED) bench --random 1000

bench-throughput: setup ## Measure planning throughput on Karpenter's benchmark mix
	@cargo bench --locked --bench throughput

bench-loading: setup ## Measure how long reading manifests and the catalogue takes
	@cargo bench --locked --bench loading

oldest: setup ## Conformance and 50 scenarios on the oldest Kubernetes that is supported
	@KUBERNETES=1.34 tests/cluster/build.sh >/dev/null
	@KUBERNETES=1.34 PACKWRIGHT_SCENARIOS=50 CARGO_PROFILE_DEV_OPT_LEVEL=0 cargo test --locked --test integration -- conformance placement::kube_scheduler_binds

simulations: release ## 1,000 seeds of two simulated hours in which everything goes wrong that can
	@$(RELEASED) simulate $(SIMULATIONS)/faults --seeds 1000

live: release programs ## Measure the controller on a real control plane: from apply to ready, from empty to gone
	@PACKWRIGHT_PROGRAM=$(RELEASED) CARGO_PROFILE_DEV_OPT_LEVEL=0 \
		cargo test --quiet --locked --test integration measuring -- --ignored --nocapture

placement: setup programs ## Put the plans of 5,000 random clusters to a real kube-scheduler
	@PACKWRIGHT_SCENARIOS=5000 CARGO_PROFILE_DEV_OPT_LEVEL=0 cargo test --locked --test integration placement -- --nocapture

modes: setup programs ## Compare what each placement mode guarantees, on 30 exactly filled nodes and nine seeds
	@PACKWRIGHT_MODES_NODES=30 PACKWRIGHT_MODES_SEEDS=1,2,3,4,5,6,7,8,9 CARGO_PROFILE_DEV_OPT_LEVEL=0 \
		cargo test --locked --test integration following::modes -- --nocapture

oracle: setup ## Compare 10,000 small decisions with the best plan that there is
	@PACKWRIGHT_ORACLE_WORLDS=10000 cargo test --release --locked --lib oracle -- --nocapture

# Commands for developers and CI. `make` lists them.

.DEFAULT_GOAL := help
.PHONY: help clients run cluster test check bench bench-cluster outage redis-faults rolling repeat telemetry-cost chunk-cost image chart test-install

help: ## List all targets
	@sed -n 's/^\([a-z-]*\):[a-z ]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 15

clients: ## Build the SDK and the web app
	@clients/build

run: clients ## Build and start a node with the web app on http://localhost:8080
	cargo run --release -p weir -- serve

cluster: clients ## Build and start three nodes, Redis and a load balancer on http://localhost:8080
	cargo build --release -p weir
	node deploy/cluster.mjs

test: ## Install the tests' dependencies, and run all tests
	@tests/run

check: clients ## Check formatting, lints, types, docs, dependency and structure rules, script syntax
	cd clients && npm run --silent check
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
	.ci/dependencies
	node .ci/structure.mjs
	.ci/syntax

bench: ## Benchmark a node against the same relay on Node.js, and write the README's table
	cd tests/bench && npm ci --loglevel=error
	cargo build --release -p weir -p weir-testkit
	target/release/weir-bench --write README.md --check

bench-cluster: ## Benchmark three nodes and Redis against bare relays and Node.js' adapters, and write the README's tables
	cd tests/bench && npm ci --loglevel=error
	cargo build --release -p weir -p weir-testkit
	target/release/weir-bench --cluster --write README.md --check

outage: ## Test a Redis outage of 30 s (make test: 5 s)
	WEIR_TEST_OUTAGE_S=30 cargo test -p weir --test outage -- --nocapture --test-threads 1

redis-faults: ## Test moved slots, failovers and killed connections of Redis for minutes (make test: seconds)
	WEIR_TEST_FAULTS_ROUNDS=6 cargo test -p weir --test redis_faults -- --nocapture --test-threads 1

rolling: ## Test a rolling restart of three nodes with 300 clients each (make test: 30)
	WEIR_TEST_ROLLING_CLIENTS=300 cargo test --release -p weir --test rolling -- --nocapture

repeat: ## Run the tests of repair and fail-over 100 times each, six at a time
	tests/repeat

telemetry-cost: ## Count telemetry's instructions per chunk in the release build (make test: debug build)
	tests/setup.sh
	cargo build --release -p weir
	WEIR_BIN=target/release/weir WEIR_TEST_COST_CHUNKS=40000 node --test tests/cost/telemetry-cost.test.mjs

chunk-cost: ## Count the instructions per chunk in the release build (make test: debug build)
	tests/setup.sh
	cargo build --release -p weir
	WEIR_BIN=target/release/weir WEIR_TEST_COST_BUILD=release WEIR_TEST_COST_CHUNKS=4000 node --test tests/cost/chunk-cost.test.mjs

image: ## Build the container image weir:local
	docker build --file deploy/Dockerfile --tag weir:local \
	  --build-arg VERSION=$$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1) \
	  --build-arg REVISION=$$(git rev-parse HEAD) --build-arg CREATED=$$(git show --no-patch --format=%cI) .

chart: ## Regenerate the Helm chart's schema, table of values, alert rules and dashboards
	tests/setup.sh
	node tests/deploy/chart/generate.mjs --write

test-install: clients ## Test the image and docker-compose.yml with Docker: start, failures, scaling
	tests/setup.sh
	tests/deploy/install/docker tests/deploy/install/run

# What people and CI type; `make` alone lists it.

.DEFAULT_GOAL := help
.PHONY: help clients run cluster test check bench bench-cluster outage redis-faults rolling telemetry-cost image chart test-install

help: ## List what there is to make
	@sed -n 's/^\([a-z-]*\):[a-z ]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 15

clients: ## Build the SDK and the web app, which a node embeds
	@clients/build

run: clients ## Build the web app and a node, and start it on http://localhost:8080
	cargo run --release -p weir -- serve

cluster: clients ## Build, and start Redis, three nodes and a balancer on http://localhost:8080
	cargo build --release -p weir
	node deploy/cluster.mjs

test: ## Install what the tests need, then run all of them
	@tests/run

check: clients ## Format, lints, types, documentation, rules of dependencies and structure, syntax of the scripts
	cd clients && npm run --silent check
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
	.ci/dependencies
	node .ci/structure.mjs
	.ci/syntax

bench: ## Measure a node beside the same relay on Node, and write the README's table
	cd tests/bench && npm ci --loglevel=error
	cargo build --release -p weir
	cargo run --release -p weir-testkit --bin weir-bench -- --write README.md --check

bench-cluster: ## Measure three nodes and Redis beside Node with its Redis adapters; the README's other table
	cd tests/bench && npm ci --loglevel=error
	cargo build --release -p weir
	cargo run --release -p weir-testkit --bin weir-bench -- --cluster --write README.md --check

outage: ## Prove that Redis may be away for 30 s, which the tests show for 5 s
	WEIR_TEST_OUTAGE_S=30 cargo test -p weir --test outage -- --nocapture --test-threads 1

redis-faults: ## Move slots, fail over and kill connections of Redis for minutes, which the tests show shorter
	WEIR_TEST_FAULTS_ROUNDS=6 cargo test -p weir --test redis_faults -- --nocapture --test-threads 1

rolling: ## Replace three nodes of 300 clients each under load, which the tests show with 30
	WEIR_TEST_ROLLING_CLIENTS=300 cargo test --release -p weir --test rolling -- --nocapture

telemetry-cost: ## Count what telemetry costs per chunk of the release build, which the tests show of the other
	tests/setup.sh
	cargo build --release -p weir
	WEIR_BIN=target/release/weir WEIR_TEST_COST_CHUNKS=40000 node --test tests/observability/telemetry-cost.test.mjs

image: ## Build the container image weir:local
	docker build --file deploy/Dockerfile --tag weir:local \
	  --build-arg VERSION=$$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1) \
	  --build-arg REVISION=$$(git rev-parse HEAD) --build-arg CREATED=$$(git show --no-patch --format=%cI) .

chart: ## Make what the Helm chart has from elsewhere: schema, table of values, rules, dashboards
	tests/setup.sh
	node tests/deploy/chart/generate.mjs --write

test-install: clients ## Build the image, bring docker-compose.yml up, break it, scale it: what the tests show without Docker
	tests/setup.sh
	tests/deploy/install/docker tests/deploy/install/run

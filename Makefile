# The commands of README, and what they need: `.ci/setup` installs what the machine lacks.

.PHONY: demo test bench fuzz shops

# The C parts of the dependencies; cmake is for zlib-ng.
BUILD_NEEDS := cc cmake

# Arguments of the demo: `make demo DEMO_ARGS="--shop cocart --once"` walks through that shop, and ends after the walk.
DEMO_ARGS ?=

demo:
	@sh .ci/setup $(BUILD_NEEDS)
	cargo run --profile demo --locked -- demo $(DEMO_ARGS)

# The bus of a cluster, wrong clocks, limits, signals and units; clients; the browser of Ecwid's sign-out; other proxies, of
# which pip fetches one, and checkers of containers, which pip fetches, too.
TEST_NEEDS := redis-check-rdb faketime prlimit /bin/kill systemd-analyze curl wrk h2load chromium chromedriver \
	haproxy nginx pip

# Most tests wait for processes most of the time: twice as many run side by side as there are cores.
test:
	@sh .ci/setup $(BUILD_NEEDS) $(TEST_NEEDS)
	@sh .ci/caddy target/peers
	@sh .ci/checkers target/checkers
	cargo fmt --check
	cargo clippy --locked --all-targets --test shops -- -D warnings
	RUST_TEST_THREADS=4 cargo test --locked

bench:
	cargo bench --locked

# The presets in front of real shops, from npm and from Debian: some 900 MB below target/. They want Node.js 20, with
# npm, and Debian 12 has 18.
SHOPS := vendure medusa oauth readers wordpress

shops:
	@sh .ci/setup $(BUILD_NEEDS) postgresql wordpress mariadb-server-core mariadb-client php-cli php-mysql
	@npm --version >/dev/null || { echo "please install Node.js 20 or newer, with npm" >&2; exit 1; }
	for shop in $(SHOPS); do \
		mkdir -p target/shops/$$shop && cp tests/shops/$$shop/* target/shops/$$shop || exit 1; \
		[ ! -e target/shops/$$shop/package.json ] || \
			npm install --prefix target/shops/$$shop --ignore-scripts --no-audit --no-fund --legacy-peer-deps || exit 1; \
	done
	cargo test --locked --test shops

# Hunts for inputs that break a promise, FUZZ_SECONDS with every target; fails when it finds one. The fuzzer is C++.
fuzz:
	@sh .ci/setup $(BUILD_NEEDS) c++
	FUZZ_SECONDS=$(FUZZ_SECONDS) sh fuzz/run.sh

FUZZ_SECONDS ?= 60

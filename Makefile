# The two commands of README, and what they need.

.PHONY: demo test setup bench fuzz shops

# Arguments of the demo: `make demo DEMO_ARGS="--shop cocart --once"` walks through that shop, and ends after the walk.
DEMO_ARGS ?=

demo: setup
	cargo run --release --locked --quiet -- demo $(DEMO_ARGS)

# Most tests wait for processes most of the time: twice as many run side by side as there are cores.
test: setup
	cargo fmt --check
	cargo clippy --locked --all-targets --test shops -- -D warnings
	RUST_TEST_THREADS=4 cargo test --locked

# The C parts of the dependencies are built with cmake; the tests set limits with prlimit and signal with kill.
setup:
	@sh .ci/setup

bench:
	cargo bench --locked

# The presets in front of real shops, from npm and from Debian: some 900 MB below target/. They want Node.js 20, with
# npm, and Debian 12 has 18.
SHOPS := vendure medusa oauth readers wordpress

shops:
	@sh .ci/setup postgresql wordpress mariadb-server php-cli php-mysql
	@npm --version >/dev/null || { echo "please install Node.js 20 or newer, with npm" >&2; exit 1; }
	for shop in $(SHOPS); do \
		mkdir -p target/shops/$$shop && cp tests/shops/$$shop/* target/shops/$$shop || exit 1; \
		[ ! -e target/shops/$$shop/package.json ] || \
			npm install --prefix target/shops/$$shop --ignore-scripts --no-audit --no-fund --legacy-peer-deps || exit 1; \
	done
	cargo test --locked --test shops

# Hunts for inputs that break a promise, FUZZ_SECONDS with every target; fails when it finds one. The fuzzer is C++.
fuzz:
	@sh .ci/setup g++
	FUZZ_SECONDS=$(FUZZ_SECONDS) sh fuzz/run.sh

FUZZ_SECONDS ?= 60

# The commands of README, and what they need: `.ci/setup` installs what the machine lacks.

.PHONY: demo test bench fuzz shops deb tarball test-install

# The C parts of the dependencies; cmake is for zlib-ng.
BUILD_NEEDS := cc cmake

# Arguments of the demo: `make demo DEMO_ARGS="--shop cocart --once"` walks through that shop, and ends after the walk.
DEMO_ARGS ?=

demo:
	@sh .ci/setup $(BUILD_NEEDS)
	cargo run --profile demo --locked -- demo $(DEMO_ARGS)

# The bus of a cluster, wrong clocks, limits, signals and units; clients; the browser of Ecwid's sign-out; other proxies, of
# which pip fetches one, and checkers of containers, which pip fetches, too; what checks metrics and alert rules.
TEST_NEEDS := redis-check-rdb faketime prlimit /bin/kill systemd-analyze curl wrk h2load chromium chromedriver \
	haproxy nginx pip promtool

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

# The Debian package in target/debian/, and the tarball of a static binary in target/. `make deb PROFILE=demo` is quick to build
# and slow to run: for tests of the package.
PROFILE ?= dist
CARGO_DEB := 3.8.0
DEB_ARGS ?=
DEB_FOLDER ?= target/debian/

deb:
	@sh .ci/setup $(BUILD_NEEDS) dpkg-shlibdeps
	@sh .ci/cargo-deb $(CARGO_DEB) target/tools
	cargo build --profile $(PROFILE) --locked
	sh packaging/manual target/$(PROFILE)/doorward target/package
	target/tools/bin/cargo-deb --no-build --profile $(PROFILE) --output $(DEB_FOLDER) $(DEB_ARGS)

# musl is the C library that a static binary has in it.
MUSL := $(shell uname -m)-unknown-linux-musl

tarball:
	@sh .ci/setup $(BUILD_NEEDS) musl-gcc
	rustup target add $(MUSL)
	CC_$(subst -,_,$(MUSL))=musl-gcc cargo build --profile $(PROFILE) --locked --target $(MUSL)
	sh packaging/manual target/$(MUSL)/$(PROFILE)/doorward target/package
	sh packaging/tarball target/$(MUSL)/$(PROFILE)/doorward target/package

# The package on a Debian of its own that is booted by systemd-nspawn: install, upgrade under load, crash loop, removal, purge.
# As root, with some 600 MB from Debian's mirror below target/. `make test-install SUITE=trixie` boots another release.
SUITE ?= bookworm

test-install:
	@sh .ci/setup $(BUILD_NEEDS) systemd-nspawn mmdebstrap lintian
	rm -rf target/install/packages
	mkdir -p target/install/packages
	$(MAKE) deb PROFILE=demo DEB_FOLDER=target/install/packages/ DEB_ARGS="--fast --deb-version 0.1.0-1"
	$(MAKE) deb PROFILE=demo DEB_FOLDER=target/install/packages/ DEB_ARGS="--fast --deb-version 0.1.0-2"
	sh packaging/test-install $(SUITE)

# The two commands of README, and what they need.

.PHONY: demo test setup bench

# Arguments of the demo: `make demo DEMO_ARGS=--once` ends after the walk.
DEMO_ARGS ?=

demo: setup
	cargo run --release --locked --quiet -- demo $(DEMO_ARGS)

test: setup
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo test --locked

# The C parts of the dependencies are built with cmake; the tests set limits with prlimit and signal with kill.
setup:
	@sh .ci/setup

bench:
	cargo bench --locked

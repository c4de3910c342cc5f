#!/bin/sh
# Hunts with every target for FUZZ_SECONDS each (60 unless given); fails when one of them found something.
#
# libFuzzer with the coverage that a stable compiler can be told to measure. What is found is kept in artifacts/, what
# was learnt on the way in corpus/; neither belongs in the repository, but a finding belongs in seeds/ once it is mended.
set -eu
cd "$(dirname "$0")"
targets=${FUZZ_TARGETS:-credential path graphql configuration journal_record gossip_frame gossip_talk proxy_header}
seconds=${FUZZ_SECONDS:-60}
host=$(rustc -vV | sed -n 's/^host: //p')

coverage="-Cpasses=sancov-module"
for option in level=4 inline-8bit-counters pc-table trace-compares; do
	coverage="$coverage -Cllvm-args=-sanitizer-coverage-$option"
done
# With --target the flags reach what is hunted and not the scripts that build it. Without --locked, what Doorward came to
# depend on comes into this lock file by itself.
RUSTFLAGS="$coverage" cargo build --release --target "$host" --target-dir target

# Journals are made and damaged by the thousand: in memory, where the machine offers it.
scratch=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")" doorward-fuzz.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM

# The reference configuration with every key switched on is the best seed of its kind.
mkdir -p corpus/configuration
sed -n '/^# /d; /^#--/d; /^#:/d; s/^#\(.\)/\1/; /./p' ../conf/doorward.toml >corpus/configuration/reference

found=0
for target in $targets; do
	mkdir -p "corpus/$target" "artifacts/$target"
	echo "== $target: $seconds s"
	TMPDIR="$scratch" "target/$host/release/$target" "corpus/$target" "seeds/$target" \
		-max_total_time="$seconds" -artifact_prefix="artifacts/$target/" -dict="dictionaries/$target" \
		-max_len=8192 -timeout=10 -rss_limit_mb=4096 -reload=0 -print_final_stats=1 \
		>"artifacts/$target.log" 2>&1 || {
		found=1
		echo "FOUND by $target, kept in fuzz/artifacts/$target:"
		grep -v '^#' "artifacts/$target.log" | tail -n 40
	}
	grep -E 'DONE|number_of_executed_units|average_exec' "artifacts/$target.log" || true
done
exit $found

#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The benchmarks of the kernel tier start, and print their tables: as short as they can be, so that no
# figure means anything.
. "$MAPI_SOURCE/tests/lib.sh"
export MAPI_BENCH_TRACE=$MAPI_SOURCE/tests/captures/http.pcap MAPI_BENCH_KERNEL_ROUNDS=1
export MAPI_BENCH_XDP_ROUNDS=1 MAPI_BENCH_LIVE_SECONDS=0.05
export MAPI_BENCH_PRICE_ROUNDS=1 MAPI_BENCH_PRICE_SECONDS=0.05 MAPI_BENCH_PRICE_CONNECTIONS=1

[ "$(id -u)" = 0 ] || skip "needs root for a network namespace of its own"
for part in kernel live-xdp price; do
	"$MAPI_SOURCE/bench/run" "$MAPI_BUILD" "$part" > "$part.out" 2> "$part.err" ||
		fail "$part: $(cat "$part.out" "$part.err")"
	why=$(sed -n 's/^.*\(skipped\|not measured\)[:,] //p' "$part.out")
	[ -z "$why" ] || skip "$part: $why"
	grep -q '^| figure | measured | wanted' "$part.out" || fail "$part: no table: $(cat "$part.out")"
	! grep -q ': not loaded' "$part.out" || fail "$part: $(cat "$part.out")"
done
exit $((failures > 0))

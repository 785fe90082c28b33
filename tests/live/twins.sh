#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Two tiers, one truth, live (docs/architecture.md, "The kernel tier"): two daemons listen on the same
# interface, one with engine=kernel, one with engine=user. Programs with the same random flows say the
# same of the captures that are sent (twins.c): 500 cases with MAPI_TEST_LONG.
. "$(dirname "$0")/lib.sh"

cases=60
[ -z "${MAPI_TEST_QUICK-}" ] || cases=20
[ -z "${MAPI_TEST_LONG-}" ] || cases=400
some_captures
seed=${MAPI_TWINS_SEED:-1}

# compare WORKERS ordered|free CASES [LINE of mapi.conf]
compare() {
	daemon_config group=root "[driver]" device=cable0 engine=kernel \
		"cpus=$(seq -s, 0 $(($1 - 1)))" ${4-}
	daemon_start
	second_start user
	"$TWINS" cable0 cable1 "$scratch/run/mapid.sock" "$scratch/second/mapid.sock" "$2" "$seed" "$3" \
		"${captures[@]}" > out 2> err || {
		fail "$1 workers, MAPI_TWINS_SEED=$seed: code $?"
		head -n 60 out
		tail -n 20 err
		tail -n 5 daemon.log second.log
	}
	sed -n 's/^stayed: [0-9]* [0-9]* 0 //p' out | sort | uniq -c | sort -rn
	echo "$1 workers: $(tail -n 2 out)"
	seed=$((seed + 100000))
	daemon_stop
	second_stop
}

# At most a fifth of what the kernel could do may have stayed in the daemon.
most_in_the_kernel() {
	awk '/^functions that/ { most = $7 > 0 && $9 >= 0.8 * $7 } END { exit !most }' FS='[ ,;]+' out ||
		fail "too little in the kernel: $(tail -n 1 out)"
}

compare 1 ordered "$cases"
cause=$(tier_cause)
[ -z "$cause" ] || skip "no programs may be loaded into the kernel: $cause"
most_in_the_kernel
compare 2 free $((cases / 4))
# What comes in is counted in XDP, which sees tags that are left in packets.
python3 "$MAPI_SOURCE/tests/live/offloads.py" cable0 tags
compare 1 ordered $((cases / 4)) direction=in
most_in_the_kernel
finish

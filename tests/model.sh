#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The engine against the reference model (tests/model/): random pipelines, batch sizes 1, 7 and 256,
# one and two workers. Each of the six has pipelines of its own, and some that all have, for what chance
# decides must be the same in all. With MAPI_TEST_LONG 10,500 pipelines on 200 captures.
. "$(dirname "$0")/lib.sh"

common=30 own=90 bytes=65536
[ -z "${MAPI_TEST_QUICK-}" ] || common=10 own=30
[ -z "${MAPI_TEST_LONG-}" ] || common=300 own=1700 bytes=1048576

captures=("$OWN"/*.pcap "$OWN/http-two-ports.pcapng")
if [ -d "$MAPI_PCAPS" ]; then
	# Every sixth of those that libpcap reads: from all folders, two hundred in all.
	mapfile -t more < <(readable_captures | awk 'NR % 6 == 0')
	captures+=("${more[@]}")
fi
seed=${MAPI_MODEL_SEED:-1}

# What chance decides becomes a digest, the last line of "out".
pipelines() { # BATCH WORKERS SEED CASES
	MAPI_BATCH=$1 MAPI_WORKERS=$2 "$ALONE" "$MODEL" -f "$MAPI_SOURCE/tests/filters.txt" \
		-n "$4" -s "$3" -b $bytes "${captures[@]}" > out 2> err
	local rc=$?
	echo "batch $1, workers $2, seeds from $3: $(grep '^model' out)"
	[ $rc = 0 ] || {
		head -n 60 out
		tail -n 20 err
		fail "batch $1, workers $2: code $rc"
	}
}

first=$((seed + common))
for batch in 1 7 256; do
	for workers in 1 2; do
		pipelines $batch $workers "$seed" $common
		grep '^chance' out >> chance
		pipelines $batch $workers $first $own
		first=$((first + own))
	done
done
equal "digests of what chance decides" "$(sort -u chance | wc -l)" 1
finish

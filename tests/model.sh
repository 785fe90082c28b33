#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The engine against the reference model (tests/model/): random pipelines, batch sizes 1, 7 and 256,
# one and two workers. With MAPI_TEST_LONG 2,000 pipelines on 200 captures in each of the six.
. "$(dirname "$0")/lib.sh"

cases=120 bytes=65536
[ -z "${MAPI_TEST_QUICK-}" ] || cases=40
[ -z "${MAPI_TEST_LONG-}" ] || cases=2000 bytes=1048576

captures=("$OWN"/*.pcap)
if [ -d "$MAPI_PCAPS" ]; then
	# Every sixth of those that libpcap reads: from all folders, two hundred in all.
	mapfile -t more < <(readable_captures | awk 'NR % 6 == 0')
	captures+=("${more[@]}")
fi
seed=${MAPI_MODEL_SEED:-1}
for batch in 1 7 256; do
	for workers in 1 2; do
		MAPI_BATCH=$batch MAPI_WORKERS=$workers "$ALONE" "$MODEL" -f "$MAPI_SOURCE/tests/filters.txt" \
			-n $cases -s "$seed" -b $bytes "${captures[@]}" > out.$batch.$workers 2> err
		rc=$?
		echo "batch $batch, workers $workers: $(grep '^model' out.$batch.$workers)"
		[ $rc = 0 ] || {
			head -n 60 out.$batch.$workers
			tail -n 20 err
			fail "batch $batch, workers $workers: code $rc"
		}
		grep '^chance' out.$batch.$workers >> chance
	done
done
equal "digests of what chance decides" "$(sort -u chance | wc -l)" 1
finish

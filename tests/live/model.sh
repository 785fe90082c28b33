#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Semantics T2 with random pipelines: what functions say of an interface, they say of the recording
# that TO_FILE makes meanwhile, and so does the reference model (tests/model/live.c). Captures are sent
# over a cable, with one, two and four workers; 400 pipelines with MAPI_TEST_LONG.
. "$(dirname "$0")/lib.sh"

cases=40
[ -z "${MAPI_TEST_QUICK-}" ] || cases=20
[ -z "${MAPI_TEST_LONG-}" ] || cases=200
some_captures
seed=${MAPI_MODEL_SEED:-1}

for workers in 1 2 4; do
	MAPI_WORKERS=$workers "$ALONE" "$MODEL" -f "$MAPI_SOURCE/tests/filters.txt" -i cable0 -o cable1 \
		-n $cases -s "$seed" -b 262144 "${captures[@]}" > out 2> err || {
		fail "$workers workers: code $?"
		head -n 60 out
		tail -n 20 err
	}
	echo "$workers workers: $(grep '^live' out); $(grep '^model' out)"
	seed=$((seed + 100000))
done
finish

#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# From nothing to the result of a file of ten packets, daemon included: below 20 ms. What else runs on
# the machine can only make it slower: it is late if it is each time.
. "$(dirname "$0")/lib.sh"
for ((n = 1; n <= 30; n++)); do
	"$START_TIME" 20 "$MAPI" run -q -r "$OWN/ten.pcap" tcp && break
	[ $n -lt 30 ] || fail "code $?"
done
finish

#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Random misuse of the whole API (abuse.c): no crash, no hang, nothing left behind.
. "$(dirname "$0")/lib.sh"
rounds=200
[ -z "${MAPI_TEST_QUICK-}" ] || rounds=50
[ -z "${MAPI_TEST_LONG-}" ] || rounds=500
seed=${MAPI_ABUSE_SEED:-1}
export TSAN_OPTIONS=report_thread_leaks=0:${TSAN_OPTIONS-} # a forked child has one thread
for i in $(seq 100); do tail -c +25 "$OWN/http.pcap"; done |
	cat <(head -c 24 "$OWN/http.pcap") - > large.pcap
head -c 1000 "$ABUSE" > no.pcap
"$ABUSE" "$rounds" "$seed" "$OWN/http.pcap" "$OWN/ten.pcap" "$OWN/dns-two-links.pcapng" \
	"$OWN/http-cut-record.pcap" "$OWN/fragments.pcap" "$PWD/large.pcap" "$PWD/no.pcap" ||
	fail "code $?"
finish

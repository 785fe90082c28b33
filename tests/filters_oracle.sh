#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Every filter of filters.txt on every capture that libpcap reads to the end (on every eighth without
# MAPI_TEST_LONG): equal counts. Invalid
# filters fail alike. libpcap's own interpreter is the oracle (filters_oracle.c); that it counts as
# tcpdump does is seen on a sample, together with "mapi run".
. "$(dirname "$0")/lib.sh"
filters=$MAPI_SOURCE/tests/filters.txt
ok=1

"$ALONE" "$ORACLE" "$filters" "$OWN"/*.pcap > out 2> err || ok=0
"$ALONE" "$ORACLE" -i "$MAPI_SOURCE/tests/filters-invalid.txt" "$OWN/http.pcap" >> out 2>> err || ok=0
if [ -d "$MAPI_PCAPS" ] && [ -z "${MAPI_TEST_QUICK-}" ]; then
	jobs=$(nproc)
	every=8
	[ -z "${MAPI_TEST_LONG-}" ] || every=1
	readable_captures | awk -v e=$every 'NR % e == 0' > list
	for job in $(seq 0 $((jobs - 1))); do
		awk -v j=$jobs -v k=$job 'NR % j == k' list | tr '\n' '\0' |
			xargs -0 -n 100000 "$ALONE" "$ORACLE" "$filters" > out.$job 2> err.$job &
	done
	wait
	cat out.* >> out
	for job in $(seq 0 $((jobs - 1))); do
		grep -q '^filters:.* 0 differences' out.$job || {
			ok=0
			tail -n 5 err.$job
		}
	done
fi
grep '^filters:' out
if [ $ok = 0 ] || grep -q '^differs' out; then
	grep -c '^differs' out | sed 's/$/ differ/'
	grep '^differs' out | head -n 40
	tail -n 5 err
	fail "filters"
fi

# tcpdump itself, and the command line.
sample=("$OWN/http.pcap" "$OWN/vlan.pcap" "$OWN/fragments.pcap")
[ -d "$MAPI_PCAPS" ] && mapfile -t -O 3 sample < <(readable_captures | awk 'NR % 120 == 7')
n=0
for file in "${sample[@]}"; do
	tcpdump -nr "$file" --count > /dev/null 2>&1 || continue
	for filter in "tcp port 80" "ip[6:2] & 0x1fff != 0" "vlan and udp port 53" "ip6" "len > 100"; do
		want=$(tcpdump -nr "$file" --count "$filter" 2> /dev/null | cut -d ' ' -f 1)
		got=$("$MAPI" run -r "$file" --json $filter 2> /dev/null | json_values |
			sed -n 's/^PKT_COUNTER\t//p')
		[ "$got" = "$want" ] || {
			echo "differs: $file: '$filter': tcpdump '$want', mapi run '$got'"
			fail "tcpdump"
		}
		n=$((n + 1))
	done
done
echo "$n counts by tcpdump"
if [ ! -d "$MAPI_PCAPS" ]; then
	[ $failures = 0 ] || finish
	skip "the captures are absent; our own agree"
fi
finish

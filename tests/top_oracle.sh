#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# TOP against counting in python over what tshark says of the same packets: source addresses by
# packets and by bytes, TCP ports; one and two workers, batches of 1, 7 and 256.
. "$(dirname "$0")/lib.sh"
command -v tshark > /dev/null || skip "there is no tshark"

want() { # FILE FIELD4 FIELD6 BY_BYTES: lines "value packets bytes", in order
	tshark -n -r "$1" -T fields -E occurrence=f -e frame.len -e "$2" -e "$3" 2> /dev/null |
		python3 -c '
import ipaddress, sys
counts = {}
def order(value):
    try:
        address = ipaddress.ip_address(value)
        return (address.version, int(address))
    except ValueError:
        return (0, int(value))
for line in sys.stdin:
    size, four, six = (line.rstrip("\n").split("\t") + ["", ""])[:3]
    value = four or six
    if value:
        count = counts.setdefault(value, [0, 0])
        count[0] += 1
        count[1] += int(size)
first = int(sys.argv[1])
ranked = sorted(counts.items(), key=lambda c: (-c[1][first], -c[1][1 - first], order(c[0])))
for value, (pkts, size) in ranked[:100]:
    print(value, pkts, size)' "$4"
}

got() { # FILE PIPELINE
	"$ALONE" "$MAPI" run -q -r "$1" --json "$2" | python3 -c '
import json, sys
for record in json.load(sys.stdin)["value"]:
    print(record["value"], record["pkts"], record["bytes"])'
}

check() { # FILE
	local sort
	for sort in 0 1; do
		want "$1" ip.src ipv6.src $sort > want
		got "$1" "TOP(100, TOPX_IP, TOPX_IP_SRCIP, $((sort + 1)))" > got
		cmp -s want got || fail "$1: source addresses, sorted by $sort: $(diff want got | head -n 4)"
	done
	want "$1" tcp.dstport tcp.dstport 0 > want
	got "$1" "TOP(100, TOPX_TCP, TOPX_TCP_DSTPORT)" > got
	cmp -s want got || fail "$1: TCP ports: $(diff want got | head -n 4)"
	checked=$((checked + 1))
}

checked=0
for batch in 1 7 256; do
	for workers in 1 2; do
		export MAPI_BATCH=$batch MAPI_WORKERS=$workers
		check "$OWN/http.pcap"
		check "$OWN/ipv6.pcap"
	done
done
[ -d "$MAPI_PCAPS" ] && for file in mapi/tracefile mapi/www.trace mapi/http.trace; do
	check "$MAPI_PCAPS/$file"
done
echo "$checked captures checked"
finish

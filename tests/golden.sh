#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Known numbers: the trace that the original MAPI's tests read (computed from the file by others),
# and a capture of our own (counted by tcpdump here and now), through "mapi run".
. "$(dirname "$0")/lib.sh"

run() { # FILE PIPELINE
	"$ALONE" "$MAPI" run -r "$1" --json "$2" > out.json || fail "mapi run '$2' ended with $?"
	json_values < out.json
}

value() { # FILE PIPELINE FUNCTION: value of its last result
	run "$1" "$2" | sed -n "s/^$3\t//p" | tail -n 1
}

field() { # JSON NAME
	python3 -c 'import json, sys; print(json.loads(sys.argv[1])[sys.argv[2]])' "$1" "$2"
}

own=$OWN/http.pcap
for filter in "" tcp "tcp port 80" udp arp "ip6 or arp"; do
	want=$(tcpdump -nr "$own" --count $filter 2> /dev/null | cut -d ' ' -f 1)
	equal "http.pcap '$filter'" "$(value "$own" "BPF_FILTER(\"${filter:-len >= 0}\") | PKT_COUNTER" \
		PKT_COUNTER)" "$want"
	if [ -n "$filter" ]; then
		got=$("$ALONE" "$MAPI" run -r "$own" --json $filter | json_values |
			sed -n 's/^PKT_COUNTER\t//p')
		equal "http.pcap, filter as trailing words" "$got" "$want"
	fi
done

# The time of a result is that of the latest packet; without packets there is none.
ts() { # FILE
	"$MAPI" run -r "$1" --json PKT_COUNTER | python3 -c 'import json, sys; print(json.load(sys.stdin)["ts"])'
}
latest=$(tcpdump -nr "$own" --nano -tttt 2> /dev/null | cut -d ' ' -f 1,2 | sort | tail -n 1)
equal "time of http.pcap" "$(ts "$own")" "${latest/ /T}Z"
head -c 24 "$own" > empty.pcap
equal "time of an empty capture" "$(ts empty.pcap)" None
# Link types come from the file, whatever form it has.
links() { # FILE
	"$MAPI" dump -q -r "$1" --json |
		python3 -c 'import json, sys; print(*sorted({json.loads(line)["linktype"] for line in sys.stdin}))'
}
equal "link types" "$(links "$OWN/dns-two-links.pcapng")" "1 101"
equal "link types through a pipe" "$(gzip -c "$OWN/dns-two-links.pcapng" | links -)" "1 101"
# Packets of an interface: pcapng, and ERF, which has ports.
for link in 0 1; do
	want=$(tshark -nr "$OWN/dns-two-links.pcapng" -T fields -e frame.interface_id 2> /dev/null | grep -cx $link)
	equal "interface $link of a pcapng" "$(value "$OWN/dns-two-links.pcapng" \
		"INTERFACE($link) | PKT_COUNTER" PKT_COUNTER)" "$want"
done
# Type Ethernet; the port stands in the flags: 5 records, of ports 0, 1, 2, 1, 3.
python3 -c '
import struct, sys
for n, port in enumerate([0, 1, 2, 1, 3]):
    frame = bytes(60)
    sys.stdout.buffer.write(struct.pack("<Q", (1000 + n) << 32))
    sys.stdout.buffer.write(struct.pack(">BBHHH", 2, 4 | port, 18 + 60, 0, 60) + bytes(2) + frame)
' > ports.erf
equal "ports of an ERF file" "$(for port in 0 1 2 3 4; do
	value ports.erf "INTERFACE($port) | PKT_COUNTER" PKT_COUNTER
done | tr '\n' ' ')" "1 2 1 1 0 "

need_captures
trace=$MAPI_PCAPS/mapi/tracefile
equal packets "$(value "$trace" PKT_COUNTER PKT_COUNTER)" 893
equal bytes "$(value "$trace" BYTE_COUNTER BYTE_COUNTER)" 283464
equal tcp "$(value "$trace" 'BPF_FILTER("tcp") | PKT_COUNTER' PKT_COUNTER)" 596
equal www "$(value "$trace" 'STR_SEARCH("www", 0, 1500) | PKT_COUNTER' PKT_COUNTER)" 2
equal sample "$(value "$trace" 'SAMPLE(20, PERIODIC) | PKT_COUNTER' PKT_COUNTER)" 44
equal regexp "$(value "$trace" 'REGEXP("HTTP.*OK") | PKT_COUNTER' PKT_COUNTER)" 4
top=$(run "$trace" 'TOP(5, TOPX_TCP, TOPX_TCP_DSTPORT)' | sed -n 's/^TOP\t//p')
equal "TOP ports" "$(python3 -c 'import json, sys
print(*["%d:%d" % (v["value"], v["pkts"]) for v in json.loads(sys.argv[1])])' "$top")" \
	"80:250 1484:52 1486:52 1492:32 443:24"
stats=$(value "$trace" 'PKTINFO(1) @size | STATS(size, "0")' STATS)
equal "STATS count" "$(field "$stats" count)" 893
equal "STATS sum" "$(field "$stats" sum)" 283464
equal "STATS sum2" "$(field "$stats" sum2)" 309175572
equal "STATS min" "$(field "$stats" min)" 42
equal "STATS max" "$(field "$stats" max)" 1514
"$MAPI" run -q -r "$trace" --json \
	'PKT_COUNTER @p | BYTE_COUNTER @b | RES2FILE("1,1", "p,b", "packets bytes", "lines", "5s", 1)' > out.json
equal "RES2FILE 5s" "$(sed 1d lines | wc -l)" 23
equal "RES2FILE header" "$(head -n 1 lines)" "packets bytes"
# What is not in a line is still in the counter.
equal "RES2FILE and the rest" "$(sed 1d lines | awk '{ n += $1 } END { print n }') $(json_values < out.json |
	sed -n 's/^PKT_COUNTER\t//p')" "$(python3 -c '
import subprocess, sys
times = [float(t) for t in subprocess.run(["tshark", "-r", sys.argv[1], "-T", "fields", "-e", "frame.time_epoch"],
    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.split()]
early = sum(t - times[0] < 115 for t in times)
print(early, len(times) - early)' "$trace")"
equal "packets of www.trace" "$(value "$MAPI_PCAPS/mapi/www.trace" PKT_COUNTER PKT_COUNTER)" 10
equal "bytes of http.trace" "$(value "$MAPI_PCAPS/mapi/http.trace" BYTE_COUNTER BYTE_COUNTER)" 4340
finish

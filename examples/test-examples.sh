#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The examples on the trace that MAPI was tested with in its time: 893 packets, 283464 bytes, 596 of
# them TCP, "www" in 2.
set -eu
pcaps=${MAPI_PCAPS:-$MAPI_SOURCE/../shared/pcaps}
trace=$pcaps/mapi/tracefile
bin=$MAPI_BUILD/examples
if [ ! -r "$trace" ]; then
	echo "SKIP: there is no $trace"
	exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
expect() { # wanted last line, program, arguments
	wanted=$1
	program=$2
	shift 2
	got=$("$bin/$program" "$@" | tail -1)
	if [ "$got" != "$wanted" ]; then
		echo "FAILED: $program $*: '$got' instead of '$wanted'"
		exit 1
	fi
}
expect "893 packets" packet_count -r "$trace"
expect "596 packets" packet_count -r "$trace" tcp
expect "tcp: 596 packets, $("$bin/offline_count" -r "$trace" tcp | sed -n 's/.*tcp: 596 packets, //p')" \
	offline_count -r "$trace" tcp
[ "$("$bin/offline_count" -r "$trace" tcp | head -1)" = "all: 893 packets, 283464 bytes" ] ||
	{ echo "FAILED: offline_count"; exit 1; }
expect "2 packets" slapper -r "$trace" "ip or not ip" www
[ "$("$bin/print_packets" -r "$trace" | wc -l)" = 893 ] || { echo "FAILED: print_packets"; exit 1; }
# Times to the nanosecond.
if command -v tcpdump > /dev/null; then
	"$bin/print_packets" -r "$trace" | cut -d ' ' -f 1 > "$work/got"
	tcpdump -nr "$trace" -tt --nano 2> /dev/null | grep -Eo '^[0-9]+\.[0-9]{9} ' | tr -d ' ' > "$work/want"
	cmp "$work/got" "$work/want" || { echo "FAILED: times of print_packets"; exit 1; }
fi
[ "$("$bin/print_packets" -r "$trace" 5 udp | wc -l)" = 5 ] || { echo "FAILED: print_packets 5"; exit 1; }
"$bin/link_utilisation" -r "$trace" | grep -q '^283464 bytes' || { echo "FAILED: link_utilisation"; exit 1; }
# What it prints last is what there is in the end.
[ "$("$bin/link_utilisation_ref" -r "$trace" | tail -2 | grep -o 'tcp [1-9][0-9]*' | uniq -c | tr -s ' ')" = " 2 tcp 262260" ] ||
	{ echo "FAILED: link_utilisation_ref"; exit 1; }
[ "$("$bin/top_talkers" -r "$trace" 1 | tr -s ' ')" = "195.207.46.2 115 packets 136388 bytes" ] ||
	{ echo "FAILED: top_talkers"; exit 1; }
# What a program learns of the functions is what the command line knows.
"$bin/list_functions" | sed -n 's/^  \([A-Z0-9_]*\) .*/\1/p' > "$work/got"
"$MAPI_BUILD/src/tool/mapi/mapi" functions --json | sed 's/{"function":"\([^"]*\)".*/\1/' > "$work/want"
cmp "$work/got" "$work/want" || { echo "FAILED: list_functions"; exit 1; }
[ -s "$work/got" ] || { echo "FAILED: list_functions: nothing"; exit 1; }
# The relative path is the program's.
cd "$(dirname "$trace")"
expect "893 packets" packet_count -r ./tracefile
if "$bin/packet_count" -r /nonexistent 2>/dev/null; then
	echo "FAILED: a missing file must be an error"
	exit 1
fi

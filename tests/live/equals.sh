#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Semantics T2, live == offline: what functions say of an interface while programs talk, they say of
# the recording that TO_FILE makes meanwhile. And what tcpdump records of the same talk is the same.
# What only counts runs once more with a daemon whose flows want no packets, in the kernel.
#
# Periods of a live device go on after its last packet, in a recording they do not. So the last packet
# comes when periods have just begun, and the run ends before they do.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/traffic.sh"

pipelines=(
	'PKT_COUNTER'
	'BYTE_COUNTER'
	'BPF_FILTER("tcp port 8080") | PKT_COUNTER'
	'BPF_FILTER("tcp port 2222") | BYTE_COUNTER'
	'BPF_FILTER("port 53") | PKT_COUNTER'
	'BPF_FILTER("port 5201") | BYTE_COUNTER'
	'BPF_FILTER("ip6") | BYTE_COUNTER'
	'BPF_FILTER("ip6[6] = 0 or ip6[6] = 60") | PKT_COUNTER'
	'BPF_FILTER("ip6[6] = 44") | PKT_COUNTER'
	'BPF_FILTER("vlan 42") | PKT_COUNTER'
	'BPF_FILTER("ip[6:2] & 0x3fff != 0") | PKT_COUNTER'
	'BPF_FILTER("udp or (vlan and udp)") | BYTE_COUNTER'
	'SAMPLE(7, PERIODIC) | PKT_COUNTER'
	'SAMPLE(30, PROBABILISTIC) | BYTE_COUNTER'
	'STR_SEARCH("www||HTTP") | PKT_COUNTER'
	'CUT(60) | STR_SEARCH("page") | PKT_COUNTER'
	'REGEXP("HTTP/1\.[01] [0-9]+") | PKT_COUNTER'
	'HASHSAMP(100, 50) | PKT_COUNTER'
	'HASH(0)'
	'PKTINFO(size)'
	'GAP @gap | STATS(gap)'
	'PKT_COUNTER @a | BYTE_COUNTER @b | BINOP(BINOP_SUB, b, a)'
	'PKTINFO(size) @size | STATS(size)'
	# which refer to each other
	'PKT_COUNTER @here | STATS(there)'
	'BPF_FILTER("tcp") | PKT_COUNTER @there | STATS(here)'
	'BPF_FILTER("tcp") | PKTINFO(size) @tcp | STATS(tcp)'
	'PKTINFO(size) @sizes | DIST(sizes, "0", "1500", "100")'
	'BURST(0, 15000, 1500, 100, 1000, 1000, 1000)'
	'PKTINFO(size) @t | THRESHOLD(THRESHOLD_ULL, t, 1000, TR_B_POS) | PKT_COUNTER'
	'STARTSTOP("+1s", "+2s") | BYTE_COUNTER'
	'SYNC("1,2") | PKT_COUNTER'
	'INTERFACE(0) | PKT_COUNTER'
	'TOP(5, TOPX_IP, TOPX_IP_SRCIP, SORT_BY_BYTES)'
	'TOP(3, TOPX_TCP, TOPX_TCP_DSTPORT)'
	# with periods
	'PKT_COUNTER @n | STATS(n, "4s")'
	'BPF_FILTER("ip6") | BYTE_COUNTER @six | STATS(six, "2s")'
	'TOP(2, TOPX_UDP, TOPX_UDP_SRCPORT, SORT_BY_PACKETS, 2)'
	'BPF_FILTER("udp") | BYTE_COUNTER @u | BUCKET(u, "2s")'
	'PKT_COUNTER @o | THRESHOLD(THRESHOLD_ULL_MULTI, o, 100, TR_B_D_POS, 2000000) | PKT_COUNTER'
	# with files
	'BPF_FILTER("udp") | TO_FILE(MFF_PCAP_NS, "udp.pcap")'
	'PKT_COUNTER @p | BYTE_COUNTER @q | RES2FILE("1,1", "p,q", "packets bytes", "rows.txt", "2s", 1)'
)
# As "mapi functions" has them; TO_BUFFER is what "mapi dump" reads.
for function in $("$MAPI" functions | cut -d ' ' -f 1 | grep -vx TO_BUFFER); do
	[[ " ${pipelines[*]} " == *[\ \|]$function[\(\ \|]* ]] || fail "$function has no pipeline here"
done
arguments=()
for pipeline in "${pipelines[@]}"; do
	arguments+=(-e "$pipeline")
done

counting=()
for pipeline in "${pipelines[@]}"; do
	[[ ! $pipeline =~ ^((BPF_FILTER\([^@|]*\)|PKT_COUNTER|BYTE_COUNTER)( \| )?)+$ ]] || counting+=(-e "$pipeline")
done

# What the capture has seen, and tcpdump, which waits for a second of its own before it looks.
captured() {
	"$MAPI" flows --json | sed 's/.*"packets":\([0-9]*\).*/\1/' | sort -u
	stat -c %s dump.pcap
}

# Packets of many connections, which come and leave at once.
crowd() {
	"$BLAST" cable0 5000 --flows 64 > /dev/null &
	local other=$!
	peer_run "$BLAST" cable1 5000 --flows 64 > /dev/null
	wait $other
}

say() { # a packet
	peer_run "$BLAST" cable1 1 > /dev/null
}

# Whether a period of 2 seconds that began with the first packet has just begun.
is_early() {
	local ms=$(((${EPOCHREALTIME/./} - ${first/./}) / 1000 % 2000))
	[ $ms -gt 200 ] && [ $ms -lt 400 ]
}

# One line per packet of a capture, in no order: each socket takes the time itself, and sees what two
# processors do at once in an order of its own.
packets() { # FILE OPTIONS of tcpdump
	tcpdump -r "$1" -nn -t -xx "${@:2}" 2> tcpdump.err |
		awk '/^[^\t]/ { if (line) print line; line = "" } { line = line $0 } END { print line }' | sort
}

in_the_kernel() { # ... as the second daemon's programs
	MAPI_SOCKET=$scratch/second/mapid.sock "$@"
}

# compare WORKERS WHAT
compare() {
	local what=$2
	await "a silent cable" is_still cable_counters
	rm -rf live file dump.pcap
	mkdir live file
	# Flows do not begin with the device.
	"$MAPI" run -q -i cable0 --workers "$1" PKT_COUNTER > before 2>&1 &
	local before=$!
	await "a program before" flows_running 1
	say
	tcpdump -i cable0 -U -s 0 -w dump.pcap 2> tcpdump.err &
	local dump=$! run n
	await "tcpdump" grep -q listening tcpdump.err
	(cd live && exec "$MAPI" run -q -i cable0 --workers "$1" --seed 1 --json "${arguments[@]}" \
		-e 'TO_FILE(MFF_PCAPNG, "live.pcapng")' > results.json 2> errors) &
	run=$!
	await "a capture" flows_running $((${#arguments[@]} / 2 + 2))
	equal "$what: rings, and that of tcpdump" "$(packet_sockets)" $(($1 + 1))
	(cd live && in_the_kernel exec "$MAPI" run -q -i cable0 --json "${counting[@]}" > counted.json 2>&1) &
	local counter=$!
	await "flows that count" in_the_kernel flows_running $((${#counting[@]} / 2))
	"$MAPI" dump -q -i cable0 -w live/buffer.pcapng udp > dump.out 2>&1 &
	local buffer=$!
	if ! grep "not in the kernel" second.log; then
		equal "$what: where the second daemon counts" "$(in_the_kernel "$MAPI" explain -i cable0 --json \
			'BPF_FILTER("udp") | PKT_COUNTER' | grep -o '"tier":"[a-z]*"' | xargs)" "tier:kernel tier:kernel"
	fi
	await "a program that reads packets" flows_running $((${#arguments[@]} / 2 + 3))
	say
	first=$EPOCHREALTIME
	traffic
	crowd
	await "silence" is_still captured
	kill -TERM $dump
	wait $dump
	await "the beginning of a period" is_early
	say
	kill -TERM $buffer $counter
	wait $buffer || fail "mapi dump: $(cat dump.out)"
	wait $counter || fail "mapi run, in the kernel: $(cat live/counted.json)"
	kill -TERM $run # a shell gives its background processes no SIGINT
	wait $run || fail "mapi run: $(cat live/errors)"
	kill -TERM $before
	wait $before || fail "the program before: $(cat before)"
	(cd file && exec "$MAPI" run -q -r ../live/live.pcapng --workers "$1" --seed 1 --json \
		"${arguments[@]}" > results.json)
	"$MAPI" dump -q -r live/live.pcapng -w file/buffer.pcapng udp > /dev/null 2>&1
	"$MAPI" run -q -r live/live.pcapng --json "${counting[@]}" > file/counted.json
	for side in live file; do
		json_values < $side/counted.json > $side/counted.txt
		packets $side/buffer.pcapng > $side/buffer.txt
		packets $side/udp.pcap > $side/udp.txt
		# Records of several functions come in any order.
		grep -v '"function":"TO_FILE"' $side/results.json | json_values | sort > $side/results.txt
	done
	n=$("$MAPI" run -q -r live/live.pcapng PKT_COUNTER | grep -oE '[0-9]+ packets')
	[ "$(wc -l < file/results.txt)" -ge ${#pipelines[@]} ] || fail "results are missing"
	: > difference
	for file in results.txt rows.txt counted.txt buffer.txt udp.txt; do
		[ -s file/$file ] || fail "$what: $file is empty"
		diff live/$file file/$file >> difference || fail "$what: $file"
	done
	if [ ! -s difference ]; then
		echo "ok: $what: $(wc -l < file/results.txt) results of $n, $(wc -l < file/rows.txt) rows," \
			"$(wc -l < file/counted.txt) counters, $(wc -l < file/udp.txt) packets"
	else
		echo "live (<) and of the recording (>)"
		head -60 difference
	fi
	n=$(tcpdump -r live/live.pcapng -nn 2> /dev/null | wc -l) # a super-packet is one here
	packets live/live.pcapng -c $((n - 1)) > live.txt
	packets dump.pcap > dump.txt
	if diff live.txt dump.txt > difference; then
		echo "ok: $what: tcpdump has the same packets, byte for byte"
	else
		fail "$what: the recording (<) and that of tcpdump (>)"
		head -20 difference
	fi
	equal "$what: results with losses" \
		"$(grep -o '"loss":{[^}]*}' live/results.json | grep -cE '"(nic|ring|queue)":[1-9]')" 0
}

# Semantics O5: the recording has the order in which functions saw the packets, which is that of time
# but for what two processors stamp at once.
in_order() { # WHAT LIMIT_US: how far a packet lies behind one before it
	tshark -r live/live.pcapng -T fields -e frame.time_epoch -e tcp.stream -e udp.stream 2> tshark.err | python3 -c '
import sys
from decimal import Decimal
last = back = changes = n = 0
stream = ""
for line in sys.stdin:
    time, key = line.rstrip("\n").split("\t", 1)
    us = int(Decimal(time) * 1000000)
    back = max(back, last - us)
    last = max(last, us)
    n += 1
    changes += key != stream
    stream = key
print(f"{sys.argv[1]}: at most {back} us late, of {n} packets; {changes} times one of another connection")
sys.exit(back >= int(sys.argv[2]) or changes < 5000)' "$1" "$2" || fail "$1: out of order"
}

offloads() { # on|off: GSO, GRO and unfinished checksums (P3)
	python3 "$MAPI_SOURCE/tests/live/offloads.py" cable0 "$1"
	peer_run python3 "$MAPI_SOURCE/tests/live/offloads.py" cable1 "$1"
}

peer_start
rounds=("1 off user" "2 on auto" "4 off auto")
[ -z "${MAPI_TEST_LONG-}" ] || rounds+=("1 on kernel" "2 off user" "4 on user")
for round in "${rounds[@]}"; do
	read -r workers offloads engine <<< "$round"
	what="$workers workers, offloads $offloads, engine=$engine"
	offloads "$offloads"
	daemon_config group=root "[driver]" device=cable0 driver=mapinicdrv.so engine=$engine \
		"cpus=$(seq -s, 0 $((workers - 1)))"
	daemon_start
	second_start kernel
	compare "$workers" "$what"
	[ "$offloads" = on ] || in_order "$what" 1000
	second_stop
	daemon_stop
done
finish

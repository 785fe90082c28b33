#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Semantics T2, live == offline: what functions say of an interface while programs talk, they say of
# the recording that TO_FILE makes meanwhile. And what tcpdump records of the same talk is the same.
. "$(dirname "$0")/lib.sh"

pipelines=(
	'PKT_COUNTER'
	'BYTE_COUNTER'
	'BPF_FILTER("tcp port 8080") | PKT_COUNTER'
	'BPF_FILTER("ip6") | BYTE_COUNTER'
	'BPF_FILTER("vlan 42") | PKT_COUNTER'
	'BPF_FILTER("ip[6:2] & 0x3fff != 0") | PKT_COUNTER'
	'BPF_FILTER("udp or (vlan and udp)") | BYTE_COUNTER'
	'SAMPLE(7, PERIODIC) | PKT_COUNTER'
	'STR_SEARCH("www||HTTP") | PKT_COUNTER'
	'CUT(60) | STR_SEARCH("page") | PKT_COUNTER'
	'HASHSAMP(100, 50) | PKT_COUNTER'
	'HASH(0)'
	'PKTINFO(size)'
	'PKTINFO(size) @size | STATS(size)'
	'BPF_FILTER("tcp") | PKTINFO(size) @tcp | STATS(tcp)'
	'TOP(5, TOPX_IP, TOPX_IP_SRCIP, SORT_BY_BYTES)'
	'TOP(3, TOPX_TCP, TOPX_TCP_DSTPORT)'
)
# Not REGEXP: on live devices its searches have a limit of time, and what is given up is told as lost.
arguments=()
for pipeline in "${pipelines[@]}"; do
	if "$MAPI" run -q -r "$OWN/ten.pcap" "$pipeline" > out 2>&1; then
		arguments+=(-e "$pipeline")
	else
		fail "$pipeline: $(cat out)"
	fi
done

# Whether nothing has come for 1.5 seconds; tcpdump waits for one before it looks.
seen=
is_quiet() {
	local now
	now="$("$MAPI" flows --json | sed 's/.*"pkts":\([0-9]*\).*/\1/' | sort -u) $(stat -c %s dump.pcap)"
	if [ "$now" != "$seen" ]; then
		seen=$now
		since=$EPOCHREALTIME
		return 1
	fi
	[ $((${EPOCHREALTIME/./} - ${since/./})) -gt 1500000 ]
}

# compare WORKERS
compare() {
	await "a silent cable" cable_is_silent
	rm -f live.pcapng live.json dump.pcap
	tcpdump -i cable0 -U -s 0 -w dump.pcap 2> tcpdump.err &
	local dump=$!
	await "tcpdump" grep -q listening tcpdump.err
	"$MAPI" run -q -i cable0 --workers "$1" --seed 1 --json "${arguments[@]}" \
		-e 'TO_FILE(MFF_PCAPNG, "live.pcapng")' > live.json 2> live.err &
	local run=$!
	await "a capture" flows_running $((${#arguments[@]} / 2 + 1))
	traffic
	await "silence" is_quiet
	kill -TERM $run # a shell gives its background processes no SIGINT
	wait $run || fail "mapi run: $(cat live.err)"
	kill -TERM $dump
	wait $dump
	"$MAPI" run -q -r live.pcapng --workers "$1" --seed 1 --json "${arguments[@]}" > file.json
	grep -v TO_FILE live.json | json_values > live.txt
	json_values < file.json > file.txt
	[ "$(wc -l < file.txt)" -ge ${#pipelines[@]} ] || fail "results are missing"
	if diff live.txt file.txt > difference; then
		echo "ok: $1 workers: $(wc -l < file.txt) results of $("$MAPI" run -q -r live.pcapng PKT_COUNTER)"
	else
		fail "$1 workers: live (<) and of the recording (>)"
		cat difference
	fi
	for capture in live.pcapng dump.pcap; do
		# One line per packet. Each socket takes the time itself, and sees what two processors do
		# at once in an order of its own.
		tcpdump -r $capture -nn -t -xx 2> tcpdump.err |
			awk '/^[^\t]/ { if (line) print line; line = "" } { line = line $0 } END { print line }' |
			sort > $capture.txt
	done
	if diff live.pcapng.txt dump.pcap.txt > difference; then
		echo "ok: $1 workers: tcpdump has the same packets, byte for byte"
	else
		fail "$1 workers: the recording (<) and that of tcpdump (>)"
		head -20 difference
	fi
	equal "$1 workers: results with losses" "$(grep -o '"loss":{[^}]*}' live.json | grep -cE '"(nic|ring|queue)":[1-9]')" 0
}

peer_start
daemon_start
compare 1
compare 2
finish

#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Semantics P3: where the kernel hands over super-packets (GSO of what this host sends, GRO of what it
# receives), PKT_COUNTER and BYTE_COUNTER count packets and bytes on the wire. Here is a third host
# behind the peer, on a cable without offloads: there each packet is one packet, and tcpdump counts.
. "$(dirname "$0")/lib.sh"

far=
far_run() {
	nsenter -t "$far" -n "$@"
}

far_is_there() {
	[ "$(readlink "/proc/$far/ns/net")" != "$(readlink /proc/self/ns/net)" ]
}

peer_start offloads
unshare -n sleep 1000 &
far=$!
companions+=($far)
await "a third namespace" far_is_there
peer_run ip link add far0 type veth peer name far1
peer_run ip link set far1 netns "$far"
peer_run ip link set far0 up
far_run ip link set far1 up
peer_run ip address add 10.9.1.1/24 dev far0
far_run ip address add 10.9.1.2/24 dev far1
peer_run ip -6 address add fd0a::1/64 dev far0 nodad
far_run ip -6 address add fd0a::2/64 dev far1 nodad
far_run ip route add default via 10.9.1.1
far_run ip -6 route add default via fd0a::1
ip route add 10.9.1.0/24 via 10.9.0.2
ip -6 route add fd0a::/64 via fd09::2
peer_run bash -c 'echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding'
# What this host sends is cut at far0. What the far host sends comes in pieces to cable0, which puts
# them together; veth does that only if the other side of its cable has no TSO.
for interface in cable1 far0; do
	peer_run python3 "$MAPI_SOURCE/tests/live/offloads.py" $interface off
done
far_run python3 "$MAPI_SOURCE/tests/live/offloads.py" far1 off
python3 "$MAPI_SOURCE/tests/live/offloads.py" cable0 on

tcp_segments() { # what this host has sent: retransmissions are counted apart from the rest
	nstat -asz TcpOutSegs TcpRetransSegs | awk 'NR > 1 { n += $2 } END { print n }'
}

talk() { # OPTIONS of iperf3: 20 MB over IPv4 and over IPv6
	local address
	for address in 10.9.1.2 fd0a::2; do
		rm -f server.out
		nsenter -t "$far" -n timeout 60 iperf3 -s -1 --forceflush > server.out 2>&1 &
		await "a server" grep -q listening server.out
		iperf3 -c "$address" -n 20M "$@" > client.out 2>&1 || fail "iperf3 $* $address"
		wait $!
	done
}

# value FLOW FUNCTION; of STATS the largest
value() {
	python3 -c '
import json, sys
for row in map(json.loads, open("live.json")):
    if row["flow"] == int(sys.argv[1]) and row["function"] == sys.argv[2]:
        print(int(row["value"]["max"]) if row["function"] == "STATS" else row["value"])' "$@"
}

# wire FILTER: packets and bytes that the third host has seen
wire() {
	tcpdump -nn -e -t -r far.pcap "$1" 2> /dev/null |
		awk '{ match($0, /length [0-9]+/); n++; b += substr($0, RSTART + 7, RLENGTH - 7) }
			END { print n + 0, b + 0 }'
}

# count WHAT COMMAND...: what the command sends and receives is counted by mapi and on the wire.
count() {
	local what=$1 dump run segments
	local sent="(tcp or udp) and (src 10.9.0.1 or src fd09::1)"
	local received="(tcp or udp) and (src 10.9.1.2 or src fd0a::2)"
	shift
	rm -f far.pcap live.pcapng
	nsenter -t "$far" -n tcpdump -i far1 -B 65536 -s 200 -U -w far.pcap 2> tcpdump.err &
	dump=$!
	await "tcpdump" grep -q listening tcpdump.err
	"$MAPI" run -q -i cable0 --json -e "BPF_FILTER(\"$sent\") | PKT_COUNTER | BYTE_COUNTER" \
		-e "BPF_FILTER(\"$received\") | PKT_COUNTER | BYTE_COUNTER" \
		-e 'PKTINFO(size) @size | STATS(size)' -e 'CUT(200) | TO_FILE(MFF_PCAPNG, "live.pcapng")' \
		> live.json 2> live.err &
	run=$!
	await "a capture" flows_running 4
	segments=$(tcp_segments)
	"$@"
	segments=$(($(tcp_segments) - segments))
	await "silence" is_still cable_counters
	kill -TERM $run
	wait $run || fail "mapi run: $(cat live.err)"
	kill -TERM $dump
	wait $dump
	grep -q '^0 packets dropped by kernel' tcpdump.err || fail "tcpdump: $(cat tcpdump.err)"
	equal "$what: sent, packets and bytes" "$(value 1 PKT_COUNTER) $(value 1 BYTE_COUNTER)" "$(wire "$sent")"
	equal "$what: received, packets and bytes" "$(value 2 PKT_COUNTER) $(value 2 BYTE_COUNTER)" \
		"$(wire "$received")"
	"$MAPI" run -q -r live.pcapng --json -e "BPF_FILTER(\"$sent\") | PKT_COUNTER | BYTE_COUNTER" \
		-e "BPF_FILTER(\"$received\") | PKT_COUNTER | BYTE_COUNTER" \
		-e 'PKTINFO(size) @size | STATS(size)' | json_values > recorded
	equal "$what: the recording says the same" "$(json_values < live.json | head -n -1 | xargs)" "$(xargs < recorded)"
	equal "$what: packets whose recorded direction tshark takes for wrong" \
		"$(tshark -r live.pcapng -Y 'not icmp and not icmpv6 and (
			(ip.src == 10.9.0.1 or ipv6.src == fd09::1) and frame.packet_flags_direction != 2 or
			(ip.dst == 10.9.0.1 or ipv6.dst == fd09::1) and frame.packet_flags_direction != 1)' 2> tshark.err | wc -l) $(grep -v Running tshark.err)" "0 "
	[ "$(value 3 STATS)" -gt 10000 ] || fail "$what: there were no super-packets"
	sent_segments=$segments
	sent_tcp=$(wire "tcp and $sent" | cut -d ' ' -f 1)
}

daemon_start
count "TCP that is sent" talk
equal "segments by the kernel's own count" "$sent_segments" "$sent_tcp"
count "TCP that is received" talk -R
equal "segments by the kernel's own count" "$sent_segments" "$sent_tcp"
count "UDP that is sent" python3 "$MAPI_SOURCE/tests/live/talk.py" segments 10.9.1.2 fd0a::2
finish

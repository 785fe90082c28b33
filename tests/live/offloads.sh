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

# wire FILTER: packets and bytes that the third host has seen. What is in a tunnel has a line of its own.
wire() {
	tcpdump -nn -e -t -r far.pcap "$1" 2> /dev/null |
		awk 'tunnel { tunnel = 0; next }
			/VXLAN/ { tunnel = 1 }
			{ match($0, /length [0-9]+/); n++; b += substr($0, RSTART + 7, RLENGTH - 7) }
			END { print n + 0, b + 0 }'
}

dropped() { # packets on their way between the hosts, as all their interfaces say
	{
		cat /proc/net/dev
		peer_run cat /proc/net/dev
		far_run cat /proc/net/dev
	} | sed 's/:/ /' | awk 'NF == 17 { n += $5 + $13 } END { print n }'
}

# Where packets were dropped since, hosts have not seen the same: then once more, twice at most.
tries=0
once_more() { # WHAT DROPPED
	local now
	now=$(dropped)
	if [ "$now" = "$2" ] || [ $((++tries)) -gt 2 ]; then
		tries=0
		return 1
	fi
	echo "$1: $((now - $2)) packets were dropped between the hosts: once more"
}

# count WHAT COMMAND...: what the command sends and receives is counted by mapi and on the wire.
count() {
	local what=$1 dump run segments before
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
	before=$(dropped)
	"$@"
	segments=$(($(tcp_segments) - segments))
	await "silence" is_still cable_counters
	kill -TERM $run
	wait $run || fail "mapi run: $(cat live.err)"
	kill -TERM $dump
	wait $dump
	if once_more "$what" "$before"; then
		count "$what" "$@"
		return
	fi
	equal "$what: lost" "$(grep -c '"loss":{[^}]*:[1-9]' live.json)" 0
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

# counters FILTER [INTERFACE]: as JSON, until it is ended
counters() {
	exec "$MAPI" run -i "${2-cable0}" --json -e "BPF_FILTER(\"$1\") | PKT_COUNTER | BYTE_COUNTER"
}

# Where the second daemon counts: at the interface, if its socket hears nothing.
where=
where_counted() {
	grep -q ' 0009 ' /proc/net/packet && echo "at the interface" || echo "captured"
}

# both_tiers WHAT FILTER WIRE EXTRA COMMAND...: both daemons count the same packets, which pass FILTER
# on cable0 with EXTRA bytes each that the third host's, which pass WIRE, do not have.
both_tiers() {
	local what=$1 filter=$2 wire=$3 extra=$4 dump user kernel before
	shift 4
	rm -f far.pcap live.err kernel.err
	nsenter -t "$far" -n tcpdump -i far1 -B 65536 -s 200 -U -w far.pcap 2> tcpdump.err &
	dump=$!
	await "tcpdump" grep -q listening tcpdump.err
	(counters "$filter") > live.json 2> live.err &
	user=$!
	(MAPI_SOCKET=$scratch/second/mapid.sock counters "$filter") > kernel.json 2> kernel.err &
	kernel=$!
	await "a capture" grep -q "listening on" live.err
	await "a capture in the kernel" grep -q "listening on" kernel.err
	where=$(where_counted)
	before=$(dropped)
	"$@"
	await "silence" is_still cable_counters
	kill -TERM $user $kernel
	wait $user || fail "mapi run: $(cat live.err)"
	wait $kernel || fail "mapi run: $(cat kernel.err)"
	kill -TERM $dump
	wait $dump
	if once_more "$what" "$before"; then
		both_tiers "$what" "$filter" "$wire" "$extra" "$@"
		return
	fi
	grep -q '^0 packets dropped by kernel' tcpdump.err || fail "tcpdump: $(cat tcpdump.err)"
	equal "$what: both tiers" "$(json_values < kernel.json | xargs)" "$(json_values < live.json | xargs)"
	equal "$what: packets and bytes" "$(value 1 PKT_COUNTER) $(value 1 BYTE_COUNTER)" \
		"$(wire "$wire" | awk -v extra="$extra" '{ print $1, $2 + $1 * extra }')"
	[ "$(value 1 PKT_COUNTER)" -gt 5000 ] || fail "$what: there was next to nothing"
}

talk_to() { # ADDRESS OPTIONS of iperf3
	local address=$1
	shift
	nsenter -t "$far" -n timeout 60 iperf3 -s -1 --forceflush > server.out 2>&1 &
	await "a server" grep -q listening server.out
	iperf3 -c "$address" -n 20M "$@" > client.out 2>&1 || fail "iperf3 $* $address: $(cat client.out)"
	wait $!
	rm server.out
}

# On lo each packet is seen once, however often it passes by.
both_tiers_of_lo() {
	local user kernel segments
	rm -f live.err kernel.err
	(counters tcp lo) > live.json 2> live.err &
	user=$!
	(MAPI_SOCKET=$scratch/second/mapid.sock counters tcp lo) > kernel.json 2> kernel.err &
	kernel=$!
	await "a capture" grep -q "listening on" live.err
	await "a capture in the kernel" grep -q "listening on" kernel.err
	segments=$(tcp_segments)
	timeout 60 iperf3 -s -1 --forceflush > server.out 2>&1 &
	await "a server" grep -q listening server.out
	iperf3 -c 127.0.0.1 -n 20M > client.out 2>&1 || fail "iperf3 127.0.0.1: $(cat client.out)"
	wait $!
	rm server.out
	await "silence" is_still tcp_segments
	segments=$(($(tcp_segments) - segments))
	kill -TERM $user $kernel
	wait $user $kernel
	equal "lo: both tiers" "$(json_values < kernel.json | xargs)" "$(json_values < live.json | xargs)"
	equal "lo: segments by the kernel's own count" "$(value 1 PKT_COUNTER)" "$segments"
}

daemon_config group=root "[driver]" device=cable0 engine=user "[driver]" device=lo engine=user
daemon_start
second_start kernel
both_tiers_of_lo
both_tiers "both tiers, TCP that is sent" "tcp and src 10.9.0.1" "tcp and src 10.9.0.1" 0 talk_to 10.9.1.2
both_tiers "both tiers, TCP that is received" "tcp and src fd0a::2" "tcp and src fd0a::2" 0 talk_to fd0a::2 -R
! kernel_tells_super || both_tiers "both tiers, UDP that is sent" "udp" "udp" 0 \
	python3 "$MAPI_SOURCE/tests/live/talk.py" segments 10.9.1.2 fd0a::2

# TCP in a tunnel: the peer sends on what it gets. Once counted at the interface (TCX), where the kernel
# has that, once where packets are captured, because somebody wants them.
tunnels() { # WHERE
	local filter="udp dst port 4789 and udp[28:2] = 0x0800 and udp[39] = 6" # TCP in it, and nothing else
	both_tiers "$1: VXLAN" "$filter" "$filter" 0 talk_to 10.8.0.2
	both_tiers "$1: VXLAN, received" "$filter and src 10.9.1.2" "$filter and src 10.9.1.2" 0 talk_to 10.8.0.2 -R
	both_tiers "$1: VXLAN with UDP in it" "udp dst port 4789 and udp[39] = 17" \
		"udp dst port 4789 and udp[39] = 17" 0 \
		python3 "$MAPI_SOURCE/tests/live/talk.py" segments 10.8.0.2 10.8.0.2
	equal "they are" "$where" "$1"
	for kind in $others; do
		both_tiers "$1: $kind" "ip proto $(protocol $kind) and src 10.9.0.1" \
			"ip proto $(protocol $kind) and src 10.9.0.1" 0 talk_to "10.8.$(protocol $kind).2"
		both_tiers "$1: $kind, received" "ip proto $(protocol $kind) and src 10.9.1.2" \
			"ip proto $(protocol $kind) and src 10.9.1.2" 0 talk_to "10.8.$(protocol $kind).2" -R
	done
}

protocol() { # KIND
	case $1 in gre) echo 47 ;; ipip) echo 4 ;; esac
}

tunnel() { # INTERFACE SUBNET ARGUMENTS: both hosts' ends of it
	local name=$1 subnet=$2
	shift 2
	ip link add "$name" type "$@" local 10.9.0.1 remote 10.9.1.2 2> tunnel.err || return 1
	far_run ip link add "$name" type "$@" local 10.9.1.2 remote 10.9.0.1
	ip address add "10.8.$subnet.1/24" dev "$name"
	far_run ip address add "10.8.$subnet.2/24" dev "$name"
	ip link set "$name" up
	far_run ip link set "$name" up
}

others=
all_tunnels() {
	local tally kind
	tunnel vx0 0 vxlan id 7 dstport 4789
	for kind in gre ipip; do
		if tunnel "t$kind" "$(protocol $kind)" $kind; then
			others+=" $kind"
		else
			echo "no $kind in this kernel: its super-packets are not compared"
		fi
	done
	await "nobody is left" nobody_captures
	! kernel_has_tcx || tunnels "at the interface"
	mkfifo tally.go
	MAPI_SOCKET=$scratch/second/mapid.sock "$TALLY" -r cable0 0 - < tally.go > tally.out &
	tally=$!
	exec 9> tally.go
	await "a flow that wants packets" grep -q ready tally.out
	tunnels "captured"
	exec 9>&-
	wait "$tally"
	MAPI_SOCKET=$scratch/second/mapid.sock await "flows that have gone" flows_running 0
	for name in vx0 ${others// / t}; do
		ip link del $name
		far_run ip link del $name
	done
}
if kernel_tells_super; then
	all_tunnels
else
	echo "before Linux 6.2 super-packets of UDP, and of tunnels, are not known: they are not compared"
fi

# On cable0 there is a tag, behind the peer there is none.
if ip link add link cable0 name tag0 type vlan id 5 2> /dev/null; then
	peer_run ip link add link cable1 name tag1 type vlan id 5
	ip address add 10.7.0.1/24 dev tag0
	peer_run ip address add 10.7.0.2/24 dev tag1
	ip link set tag0 up
	peer_run ip link set tag1 up
	far_run ip address add 10.6.0.2/24 dev far1
	peer_run ip route add 10.6.0.0/24 dev far0
	ip route add 10.6.0.0/24 via 10.7.0.2
	both_tiers "both tiers, tagged" "vlan 5 and tcp" "tcp" 4 talk_to 10.6.0.2
	both_tiers "both tiers, tagged, received" "vlan 5 and tcp and src 10.6.0.2" \
		"tcp and src 10.6.0.2" 4 talk_to 10.6.0.2 -R
	ip link del tag0
else
	echo "no VLAN interfaces in this kernel: tagged super-packets are not compared"
fi
! grep "filters run in the daemon" second.log || skip "no programs may be loaded into the kernel"
second_stop
daemon_stop
await "the interface is let go" nobody_captures

daemon_config group=root
daemon_start
count "TCP that is sent" talk
equal "segments by the kernel's own count" "$sent_segments" "$sent_tcp"
count "TCP that is received" talk -R
equal "segments by the kernel's own count" "$sent_segments" "$sent_tcp"
! kernel_tells_super || count "UDP that is sent" python3 "$MAPI_SOURCE/tests/live/talk.py" segments 10.9.1.2 fd0a::2
finish

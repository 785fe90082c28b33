#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Semantics L2: what was sent is what was delivered and what was reported as lost, when the reader or
# the daemon stands still, when memory is short, and while other flows come and go; with and without
# the kernel tier. What the kernel counts is not lost when memory is short. What is lost in a queue of
# the machine, before anybody could see it, is reported, each packet.
. "$(dirname "$0")/lib.sh"
packets=50000
rest=0 # more seconds for who stands still
[ -z "${MAPI_TEST_LONG-}" ] || packets=200000 rest=3
mkfifo go

# account WHAT COMMAND...: a reader captures while the command runs. Sets delivered, nic, ring, queue.
account() {
	local what=$1 reader
	shift
	rm -f reader.out
	"$READER" cable0 < go > reader.out &
	reader=$!
	exec 9> go
	await "$what: a reader" grep -q ready reader.out
	reader_pid=$reader "$@"
	exec 9>&-
	wait $reader || fail "$what: the reader failed"
	read -r _ delivered _ backwards _ nic _ ring _ queue < <(tail -1 reader.out)
	equal "$what: packets that are repeated or out of order" "$backwards" 0
	equal "$what: delivered $delivered + nic $nic + ring $ring + queue $queue" \
		$((delivered + nic + ring + queue)) "$packets"
}

blast() { # OPTIONS
	equal "sent" "$("$BLAST" cable1 "$packets" "$@" | cut -d' ' -f2)" "$packets"
}

reader_stands_still() {
	kill -STOP "$reader_pid"
	blast
	read -r -t "$rest" <> <(:)
	kill -CONT "$reader_pid"
}

daemon_stands_still() {
	local engine
	engine=$(engine_pid)
	kill -STOP "$engine"
	blast "$@"
	read -r -t "$rest" <> <(:)
	kill -CONT "$engine"
}

others_come_and_go() {
	local others=()
	for _ in 1 2 3; do
		ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 "$HOSTILE" killed 2 cable0 > /dev/null 9>&- &
		others+=($!)
	done
	"$CROWD" 3 20 cable0 "udp port 9 or tcp port 80" < /dev/null > /dev/null 9>&- &
	others+=($!)
	blast
	wait "${others[@]}"
}

# Flows that only count, while the daemon stands still.
counters() { # WHAT
	local counted
	tally_start 0 "-" "udp port 9" "tcp"
	[ -n "$(tally_cause)" ] || equal "$1: functions in the kernel" "$(grep -c '^tier.* kernel:' tally.out)" 8
	daemon_stands_still
	tally_end
	tally_accounts "$1: counters" "$packets" 1 2
	[ -z "$(tally_cause)" ] || return 0
	counted="packets $packets bytes $((60 * packets)) entered $packets passed $packets lost 0"
	equal "$1: counted in the kernel" "$(tally_report 2)" "$counted"
}

# One flow wants a sixteenth of the packets, and the ring has no room for all of those: they are lost
# also for flows that only count, which the kernel does for all others.
wanted() { # WHAT
	local n=16000 reader got kept
	rm -f reader.out
	"$READER" cable0 0 "src port 10003" < go > reader.out &
	reader=$!
	exec 8> go
	await "$1: a reader" grep -q ready reader.out
	tally_start 0 "-" "src port 10003" "not src port 10003"
	packets=$n daemon_stands_still -s 1400
	tally_end
	exec 8>&-
	wait $reader || fail "$1: the reader failed"
	tally_accounts "$1: a flow that wants packets" "$n" 1
	tally_accounts "$1: a flow that wants packets" $((n / 16)) 2
	read -r _ got _ _ _ nic _ ring _ queue < <(tail -1 reader.out)
	equal "$1: delivered $got + nic $nic + ring $ring + queue $queue" \
		$((got + nic + ring + queue)) $((n / 16))
	[ "$ring" -gt 0 ] || fail "$1: the capture's ring was never full"
	kept=$(tally_report 3 | cut -d ' ' -f 2)
	equal "$1: packets that nobody wants" "$kept" $((n - n / 16))
}

# A router between two more interfaces and the cable, which has an MTU of 68: it forwards a datagram of
# 64 KiB as 1,365 fragments, in one go, and nobody takes them from the processor's queue meanwhile. That
# has room for one more than net.core.netdev_max_backlog; the next one is dropped, after which the
# router gives up the datagram.
datagrams=25
router_start() {
	ip link add big0 mtu 65535 type veth peer name big1 mtu 65535
	ip link set big0 up
	ip link set big1 up
	echo 1 > /proc/sys/net/ipv4/ip_forward
	echo 0 > /proc/sys/net/ipv4/conf/cable0/forwarding # what has arrived stays
	for name in all big0 cable0 cable1; do
		echo 0 > "/proc/sys/net/ipv4/conf/$name/rp_filter"
	done
	ip address add 10.8.0.1/24 dev big0
	ip address add 10.7.0.1/24 dev cable1
	ip neighbour replace 10.7.0.9 lladdr "$(mac cable0)" dev cable1 nud permanent
}

mac() {
	ip -br link show "$1" | awk '{ print $3 }'
}

router_counts() { # packets that it has sent, and such as were dropped behind it
	awk '$1 == "cable1:" { print $11, $13 }' /proc/net/dev
}

# Sets packets: how many have left the router; and overflowed: how many of them had no room.
overflow() {
	local sent dropped sent_before dropped_before
	read -r sent_before dropped_before <<< "$(router_counts)"
	ip link set cable1 mtu 68
	python3 "$MAPI_SOURCE/tests/live/overflow.py" big1 "$(mac big0)" "$datagrams" || fail "nothing is sent"
	await "silence" is_still cable_counters
	ip link set cable1 mtu 1500
	read -r sent dropped <<< "$(router_counts)"
	overflowed=$((dropped - dropped_before))
	packets=$((sent - sent_before + overflowed))
}

queues_are_full() { # WHAT
	local what="$1, a queue that is full" packets
	tally_start 0 "-" "ip" "tcp"
	overflow
	tally_end
	tally_accounts "$what" "$packets" 1 2
	[ "$(tally_report 1 | cut -d ' ' -f 10)" -ge "$overflowed" ] ||
		fail "$what: of $overflowed packets, lost are reported: $(tally_report 1)"
	if [ "$overflowed" = 0 ]; then
		echo "the queues of this machine have room for a datagram (net.core.netdev_max_backlog)"
	else
		equal "$what: datagrams that had no room" "$overflowed" "$datagrams"
	fi
}

router_start
for round in "kernel 1" "user 1" "kernel 2" "user 2"; do
	read -r engine workers <<< "$round"
	what="engine=$engine, $workers workers"
	echo "== $what"
	daemon_config group=root "[driver]" device=cable0 driver=mapinicdrv.so ring_mb=1 engine="$engine" \
		"cpus=$(seq -s, 0 $((workers - 1)))"
	daemon_start
	account "$what, nothing special" blast
	# If the daemon has too little of a processor, packets are lost before they come as far.
	for ((n = 0; n < 5; n++)); do
		account "$what, a reader that stands still" reader_stands_still
		[ "$queue" = 0 ] || break
	done
	[ "$queue" -gt 0 ] || fail "the reader's ring was never full"
	account "$what, a daemon that stands still" daemon_stands_still
	[ "$ring" -gt 0 ] || fail "the capture's ring was never full"
	account "$what, flows that come and go" others_come_and_go
	counters "$what"
	[ "$round" != "kernel 1" ] || [ -n "$(tally_cause)" ] || wanted "$what"
	queues_are_full "$what"
	daemon_stop
done
finish

#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A flow that is counted at the interface (TCX), and to whose counter another begins to refer under
# traffic, goes to where packets are captured: each packet is counted once (semantics O2, C1).
. "$(dirname "$0")/lib.sh"
packets=300000 await_s=30
[ -z "${MAPI_TEST_LONG-}" ] || packets=3000000

# At the moment of the move a packet of each processor may be on its way from one place to the other.
# What was captured and lost on a slow machine is told.
is_once() { # WHAT COUNTED LOST
	local wrong=$(($2 + $3 - packets))
	if [ "${wrong#-}" -le "$(nproc)" ]; then
		echo "ok: $1: $2 of $packets, lost $3"
	else
		fail "$1: $2 of $packets, lost $3"
	fi
}

received() {
	awk '$1 == "cable0:" { print $3 }' /proc/net/dev
}

came() { # PACKETS, since the round has begun
	[ "$(received)" -ge $((rx + $1)) ]
}

moves() { # WHAT FUNCTION PERIOD [PIPELINE that wants packets]
	rm -f moves.go
	mkfifo moves.go
	"$MOVES" cable0 "udp port 9" "$2" "$3" < moves.go > moves.out 2>&1 &
	local counts=$! others=
	exec 7> moves.go
	await "$1: a counter" grep -q ready moves.out || return
	grep -q "at the interface (TCX)" moves.out || skip "nothing is counted at the interface here: $(cat moves.out)"
	if [ -n "${4-}" ]; then
		"$MAPI" run -q -i cable0 -e "$4" > others.out 7>&- &
		others=$!
		await "$1: others" flows_running 2
	fi
	rx=$(received)
	"$BLAST" cable1 "$packets" > blast.out 7>&- &
	local blast=$!
	await "$1: packets" came $((packets / 10))
	echo >&7
	await "$1: a reference" grep -q moved moves.out
	local late=
	! came "$packets" || late=yes
	wait "$blast"
	exec 7>&-
	wait "$counts" || fail "$1: $(cat moves.out)"
	[ -z "$others" ] || { kill "$others"; wait "$others"; }
	is_once "$1" $(awk '/^packets/ { print $2, $6 }' moves.out)
	await "$1: all have gone" flows_running 0
	if [ -n "$late" ] && [ "$packets" -lt 20000000 ]; then
		echo "all had come before: once more, with more"
		packets=$((4 * packets))
		moves "$@"
	fi
}

daemon_config group=root "[driver]" device=cable0 engine=kernel
daemon_start
moves "a period, alone" BUCKET 100ms
moves "packets, alone" STATS 0
moves "a period, beside others" BUCKET 100ms 'BPF_FILTER("tcp") | CUT(40) | BYTE_COUNTER'
moves "packets, beside others" STATS 0 'BPF_FILTER("tcp") | CUT(40) | BYTE_COUNTER'
daemon_stop
finish

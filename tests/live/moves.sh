#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A flow that is counted at the interface, and to whose counter another begins to refer under traffic,
# loses and repeats nothing (semantics O2, C1). Who looks at the counter when a period ends leaves it
# there. Who looks with each packet moves it to where packets are captured: at one moment, when some
# may be between the two places.
. "$(dirname "$0")/lib.sh"
packets=300000 await_s=30
[ -z "${MAPI_TEST_LONG-}" ] || packets=3000000

# What was captured and lost on a slow machine is told.
is_counted() { # WHAT AT_MOST_WRONG COUNTED LOST
	local wrong=$(($3 + $4 - packets))
	if [ "${wrong#-}" -le "$2" ]; then
		echo "ok: $1: $3 of $packets, lost $4"
	else
		fail "$1: $3 of $packets, lost $4"
	fi
}

received() {
	awk '$1 == "cable0:" { print $3 }' /proc/net/dev
}

came() { # PACKETS, since the round has begun
	[ "$(received)" -ge $((rx + $1)) ]
}

where() { # ready | referred
	sed -n "s/^$1: counted at the interface (\\([^)]*\\)).*/\\1/p" moves.out
}

# Between the two places there may be, of each processor: at TCX a packet, behind XDP a batch.
declare -A between=([TCX]=$(nproc) [TCX ingress]=$(nproc) [native XDP]=$((8 * $(nproc))))

moves() { # WHAT FUNCTION ARGUMENT RESET STAYS [PIPELINE that wants packets]
	rm -f moves.go moves.out
	mkfifo moves.go
	"$MOVES" cable0 "udp port 9" "$2" "$3" "$4" < moves.go > moves.out 2>&1 &
	local counts=$! others=
	exec 7> moves.go
	await "$1: a counter" grep -q ready moves.out || return
	[ -n "$(where ready)" ] || skip "nothing is counted at the interface here: $(cat moves.out)"
	equal "$1: where" "$(where ready)" "$place"
	if [ -n "${6-}" ]; then
		"$MAPI" run -q -i cable0 -e "$6" > others.out 7>&- &
		others=$!
		await "$1: others" flows_running 2
	fi
	rx=$(received)
	"$BLAST" cable1 "$packets" > blast.out 7>&- &
	local blast=$!
	await "$1: packets" came $((packets / 10))
	echo >&7
	await "$1: a reference" grep -q referred moves.out
	local late=
	! came "$packets" || late=yes
	wait "$blast"
	exec 7>&-
	wait "$counts" || fail "$1: $(cat moves.out)"
	[ -z "$others" ] || { kill "$others"; wait "$others"; }
	local counted entered came lost last
	read -r counted entered came lost last < \
		<(awk '/^packets/ { print $2, $4, $6, $8, $10 }' moves.out)
	if [ "$5" = stays ]; then
		equal "$1: where, then" "$(where referred)" "$place"
		is_counted "$1" 0 "$counted" "$lost"
	else
		equal "$1: where, then" "$(where referred)" ""
		is_counted "$1" "${between[$place]}" "$counted" "$lost"
	fi
	equal "$1: as statistics, and as status" "$entered $came" "$counted $counted"
	[ "$2" != BUCKET ] || [ "$4" = 1 ] || equal "$1: in the last interval" "$last" "$counted"
	await "$1: all have gone" flows_running 0
	if [ -n "$late" ] && [ "$packets" -lt 20000000 ]; then
		echo "all had come before: once more, with more"
		packets=$((4 * packets))
		moves "$@"
	fi
}

at() { # PLACE LINE of mapi.conf
	local others='BPF_FILTER("tcp") | CUT(40) | BYTE_COUNTER'
	place=$1
	daemon_config group=root "[driver]" device=cable0 engine=kernel "$2"
	daemon_start
	moves "$1, a period, alone" BUCKET 100ms 0 stays
	moves "$1, a period that resets, alone" BUCKET 100ms 1 stays
	moves "$1, packets, alone" STATS 0 0 moves
	moves "$1, a period, beside others" BUCKET 100ms 0 stays "$others"
	moves "$1, packets, beside others" STATS 0 0 moves "$others"
	daemon_stop
}

if kernel_has_tcx; then
	at TCX direction=both
else
	echo "no TCX here (Linux 6.6): flows that only count do so where packets are captured"
fi
python3 "$MAPI_SOURCE/tests/live/offloads.py" cable0 tags
at "native XDP" direction=in
finish

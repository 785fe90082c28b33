#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Flows that only count, at the interface (docs/architecture.md, "The kernel tier"): TCX, XDP and the
# capture ring come to the same; programs of others stay; what others take away is put back; nothing
# is left of a daemon that was killed.
. "$(dirname "$0")/lib.sh"
filters=("-" "udp port 9" "ip[6:2] & 0x1fff != 0" "ip6" "ip6[6] = 0" "vlan" "len <= 14")
[ -n "$bpftool" ] || skip "needs bpftool"

# tally_start NAME [ARGUMENT]: counts until tally_end NAME. Who begins last ends first: processes that
# were started meanwhile have the descriptor, too
declare -A tallies gos
tally_start() {
	local name=$1 go
	shift
	rm -f "$name.out" "$name.go"
	mkfifo "$name.go"
	"$TALLY" "$@" cable0 0 "${filters[@]}" < "$name.go" > "$name.out" &
	tallies[$name]=$!
	exec {go}> "$name.go"
	gos[$name]=$go
	await "flows that count" grep -q ready "$name.out" || cat daemon.log
}

tally_end() {
	local go=${gos[$1]}
	exec {go}>&-
	wait "${tallies[$1]}" || fail "tally has failed"
}

reason() { # NAME
	sed -n 's/^tier [0-9]* [0-9]* [a-z]*: //p' "$1.out" | sort -u
}

counted() { # NAME
	sed -n 's/^flow [0-9]* \(packets [0-9]* bytes [0-9]*\) .*/\1/p' "$1.out"
}

links() { # ids of the links that the daemon's engine holds
	awk '$1 == "link_id:" { print $2 }' "/proc/$(engine_pid)/fdinfo/"* 2> /dev/null | sort -nu | xargs
}

are_gone() { # IDS of links, in the whole kernel
	local id
	for id in "$@"; do
		! "$bpftool" link show id "$id" > /dev/null 2>&1 || return 1
	done
}

frames() { # ROUNDS
	python3 "$MAPI_SOURCE/tests/live/frames.py" cable1 "$1"
}

daemon_config group=root "[driver]" device=cable0
second_start kernel
at_tcx() { # COMMAND...: as a program of the second daemon
	MAPI_SOCKET=$scratch/second/mapid.sock "$@"
}
at_tcx tally_start tcx
has_tcx=
if kernel_has_tcx; then
	has_tcx=yes
	[ "$(reason tcx)" = "counted at the interface (TCX)" ] ||
		skip "nothing is counted at the interface here: $(reason tcx | head -1)"
else
	equal "without TCX (Linux 6.6)" "$(reason tcx)" \
		"packets are counted, and not delivered; not at the interface: TCX needs Linux 6.6 (CONFIG_NET_XGRESS)"
	equal "the log says so" "$(grep -c "not at the interface: TCX needs Linux 6.6" second.log)" 1
fi

echo "== three hooks, one truth"
tally_end tcx
python3 "$MAPI_SOURCE/tests/live/offloads.py" cable0 tags
daemon_config group=root "[driver]" device=cable0 direction=in engine=kernel
daemon_start
tally_start xdp
at_tcx tally_start tcx
MAPI_SOCKET= tally_start ring -r
ours=$(links)
[ -n "$ours" ] || fail "no link is held"
equal "XDP is" "$(reason xdp)" "counted at the interface (native XDP)"
equal "the ring is" "$(reason ring)" "packets are counted, and not delivered"
frames 200 > sent
for name in ring tcx xdp; do
	tally_end "$name"
	equal "$name" "$(counted "$name")" "$(cut -d ' ' -f 2- sent)"
done
daemon_stop
await "nothing is attached" are_gone $ours

echo "== what goes out, too"
at_tcx tally_start tcx
tally_start ring -r
frames 20 > /dev/null
python3 "$MAPI_SOURCE/tests/live/frames.py" cable0 30 > sent
tally_end ring
tally_end tcx
equal "in the ring and at TCX" "$(counted tcx)" "$(counted ring)"
equal "in and out" "$(counted tcx | awk '{ print $2 }' | head -1)" \
	"$(awk '{ print $3 / 30 * 50; exit }' sent)"

if [ $has_tcx ]; then
	echo "== while nobody wants packets, none are captured"
	at_tcx tally_start tcx
	await "a deaf socket" eval '[ "$(awk "NR > 1 { print \$4 }" /proc/net/packet)" = 0009 ]'
	tally_end tcx
fi
second_stop

stranger_start() { # KIND
	rm -f stranger.go
	mkfifo stranger.go
	"$STRANGER" "$1" cable0 < stranger.go > stranger.out 2> stranger.err &
	stranger=$!
	exec 8> stranger.go
	await "another program" grep -q attached stranger.out
}

stranger_end() { # WHAT PACKETS
	exec 8>&-
	wait "$stranger"
	equal "$1: the other program" "$(tail -1 stranger.out)" "seen $2"
}

echo "== programs of others"
daemon_config group=root "[driver]" device=cable0 engine=kernel
for kind in ${has_tcx:+tcx} xdp; do
	[ "$kind" = tcx ] || daemon_config group=root "[driver]" device=cable0 direction=in
	stranger_start "$kind"
	: > daemon.log
	daemon_start
	tally_start ours
	# Both are told by numbers and names; whoever may not ask is told what it takes.
	"$MAPI" doctor -i cable0 > doctor.txt
	tr -s ' \n' ' ' < doctor.txt > doctor.one
	case $kind in
		tcx) said="ok at TCX in: program [0-9]* (mapi_root, MAPI), in: program [0-9]* (stranger)" ;;
		xdp) said="note at XDP native: program [0-9]* (stranger) There is room for one" ;;
	esac
	grep -q "$said" doctor.one || fail "$kind: doctor: $(cat doctor.txt)"
	setpriv --reuid 65534 --regid 65534 --clear-groups "$MAPI" doctor -i cable0 > doctor.txt
	tr -s ' \n' ' ' < doctor.txt > doctor.one
	grep -q "at TCX not seen: that takes CAP_NET_ADMIN" doctor.one || fail "doctor for others: $(cat doctor.txt)"
	"$BLAST" cable1 1000 > /dev/null
	tally_end ours
	equal "$kind: ours" "$(counted ours | head -1)" "packets 1000 bytes 60000"
	daemon_stop
	stranger_end "$kind" 1000
	case $kind in
		tcx) said="programs of others are at the interface, too.*stranger" ;;
		xdp) said="XDP is not used: .*busy" ;;
	esac
	grep -q "$said" daemon.log || fail "$kind: the log does not name it: $(cat daemon.log)"
done

if [ $has_tcx ]; then
	echo "== a program that comes before ours"
	daemon_config group=root "[driver]" device=cable0
	daemon_start
	tally_start ours
	"$BLAST" cable1 1000 > /dev/null
	: > daemon.log
	stranger_start before
	await "it is named" grep -q "are before ours.*TCX ingress: program.*stranger" daemon.log
	is_behind() { # asked once more each time
		echo >&"${gos[ours]}"
		grep -q "counted at the interface (TCX), behind programs of others: TCX ingress: program .*stranger" ours.out &&
			[ "$(grep '^behind' ours.out | tail -n 1 | cut -d ' ' -f 3-)" = "1 1" ]
	}
	await "flows say so, and their state" is_behind
	"$BLAST" cable1 1000 > /dev/null # which it keeps for itself
	stranger_end "before" 1000
	await "it is gone" grep -q "no program is before ours" daemon.log
	is_first() { # asked once more each time
		echo >&"${gos[ours]}"
		[ "$(grep '^behind' ours.out | tail -n 1 | cut -d ' ' -f 3-)" = "0 1" ]
	}
	await "flows say so, and that there was one" is_first
	equal "their state at first" "$(grep '^behind' ours.out | head -n 1 | cut -d ' ' -f 3-)" "0 0"
	"$BLAST" cable1 1000 > /dev/null
	tally_end ours
	equal "ours, but for what the other has kept" "$(counted ours | head -1)" "packets 2000 bytes 120000"
	daemon_stop
fi

if [ $has_tcx ]; then
	echo "== no room for ours, and then there is"
	daemon_config group=root "[driver]" device=cable0
	: > daemon.log
	daemon_start
	stranger_start full
	tally_start ours
	"$BLAST" cable1 1000 > /dev/null
	equal "while there is none" "$(reason ours | grep -c "at the interface (TCX)")" 0
	grep -q "not at the interface" daemon.log || fail "the log does not say why: $(cat daemon.log)"
	[[ $(reason ours) = *"packets are counted, and not delivered; not at the interface: "* ]] ||
		fail "flows do not say why: $(reason ours)"
	tally_end ours
	equal "where packets are captured" "$(counted ours | head -1)" "packets 1000 bytes 60000"
	stranger_end "full" 1000
	is_back() { # to those who come some time later; who is told that the machine is slow tries again
		local go
		tally_start ours
		go=${gos[ours]}
		exec {go}>&-
		wait "${tallies[ours]}" && reason ours | grep -q "at the interface (TCX)"
	}
	await "there is room" is_back
	daemon_stop
fi

says() { # TEXT: flows of "ours", when they are asked now
	local n_lines
	n_lines=$(($(grep -c '^tier' ours.out) + report_lines))
	echo >&"${gos[ours]}"
	await "what flows say" eval '[ "$(grep -c "^tier" ours.out)" = '$n_lines' ]'
	[[ $(grep '^tier' ours.out | tail -n 1) = *"$1"* ]]
}

detach() { # IDS of links, until that is noticed
	local link
	: > daemon.log
	for link in "$@"; do
		"$bpftool" link detach id "$link"
	done
	await "that is said" grep -q "somebody has taken away" daemon.log
}

echo "== packets that end at the interface, unless somebody wants them"
daemon_config group=root "[driver]" device=cable0 dedicated=yes discard=yes
daemon_start
MAPI_SOCKET= tally_start beyond -r
"$BLAST" cable1 1000 > /dev/null # while there are no flows they go on
tally_start ours
report_lines=$(grep -c '^tier' ours.out)
equal "where" "$(reason ours)" "counted at the interface (native XDP), where packets end"
"$BLAST" cable1 1000 > /dev/null
tally_start ring -r
"$BLAST" cable1 1000 > /dev/null
tally_end ring
await "nobody who wants them" says "packets end"
"$BLAST" cable1 1000 > /dev/null
for _ in 1 2 3 4 5; do # others that only count: programs replace each other meanwhile
	"$BLAST" cable1 1000 > /dev/null
done &
blasts=$!
tally_start more
tally_end more
wait "$blasts"
detach $(links)
await "it is put back" says "packets end"
"$BLAST" cable1 1000 > /dev/null
tally_end ours
equal "who counts" "$(counted ours | head -1)" "packets 9000 bytes 540000"
equal "who wants them" "$(counted ring | head -1)" "packets 1000 bytes 60000"
equal "lost" "$(awk '/^flow/ { lost += $NF } END { print lost }' ours.out ring.out)" 0
await "no root" eval '! ip link show cable0 | grep -q xdp'
"$BLAST" cable1 1000 > /dev/null
daemon_stop
tally_end beyond
equal "what goes on" "$(counted beyond | head -1)" "packets 3000 bytes 180000"

echo "== what others take away"
is_there() {
	says "at the interface ($place)"
}
if [ $has_tcx ]; then
	place=TCX
	daemon_config group=root "[driver]" device=cable0 engine=kernel
else
	place="native XDP"
	daemon_config group=root "[driver]" device=cable0 direction=in
fi
daemon_start
tally_start ours
report_lines=$(grep -c '^tier' ours.out)
"$BLAST" cable1 1000 > /dev/null
ours=$(links)
detach $ours
await "it is put back" is_there
[ "$(links)" != "$ours" ] || fail "the links are the same"
"$BLAST" cable1 1000 > /dev/null
ip link delete cable0
await "it is not there" eval '! is_there'
ip link add cable0 type veth peer name cable1
[ $has_tcx ] || python3 "$MAPI_SOURCE/tests/live/offloads.py" cable0 tags
ip link set cable0 up
ip link set cable1 up
await "a new interface" is_there
"$BLAST" cable1 1000 > /dev/null
tally_end ours
equal "detached, removed and made again" "$(counted ours | sed -n 2p)" "packets 3000 bytes 180000"
daemon_stop

carries() { # INTERFACE...: what is sent there arrives
	local name
	for name in "$@"; do
		[ "$(ip -br link show "$name" | awk '{ print $2 }')" = UP ] || return 1
	done
}

# An interface goes down, is renamed and comes up; then the links are taken away under its new name.
renamed() { # PLACE LINE of mapi.conf
	place=$1
	daemon_config group=root "[driver]" device=cable0 engine=kernel "$2" "[driver]" device=cable7 "$2"
	daemon_start
	tally_start ours
	report_lines=$(grep -c '^tier' ours.out)
	equal "$1: where" "$(reason ours)" "counted at the interface ($1)"
	"$BLAST" cable1 1000 > /dev/null
	ip link set cable0 down
	ip link set cable0 name cable7
	ip link set cable7 up
	await "$1: it is up" carries cable7 cable1
	"$BLAST" cable1 1000 > /dev/null
	await "$1: still there" is_there
	detach $(links)
	await "$1: it is put back" is_there
	"$BLAST" cable1 1000 > /dev/null
	tally_end ours
	equal "$1: renamed, down, up and detached" "$(counted ours | sed -n 2p)" "packets 3000 bytes 180000"
	ip link set cable7 down
	ip link set cable7 name cable0
	ip link set cable0 up
	await "$1: it is up again" carries cable0 cable1
	daemon_stop
}

echo "== an interface that is renamed"
[ -z "$has_tcx" ] || renamed TCX direction=both
python3 "$MAPI_SOURCE/tests/live/offloads.py" cable0 tags
renamed "native XDP" direction=in

killed() { # PLACE LINE of mapi.conf
	local engine programs
	daemon_config group=root "[driver]" device=cable0 engine=kernel "$2"
	daemon_start
	tally_start ours
	equal "$1: where" "$(reason ours)" "counted at the interface ($1)"
	engine=$(engine_pid)
	ours=$(links)
	programs=$(programs_of "$engine")
	[ -n "$ours" ] && [ -n "$programs" ] || fail "$1: nothing is attached"
	kill -KILL "$daemon" "$engine"
	daemon=
	await "$1: no link is left" are_gone $ours
	await "$1: no program is left" no_programs $programs
	kill "${tallies[ours]}"
}

echo "== a daemon that is killed"
[ -z "$has_tcx" ] || killed TCX direction=both
killed "native XDP" direction=in
finish

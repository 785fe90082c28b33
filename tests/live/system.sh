#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The system daemon: one capture for many programs, who may use it, and that nobody disturbs others.
. "$(dirname "$0")/lib.sh"
packets=20000
[ -z "${MAPI_TEST_LONG-}" ] || packets=100000

daemon_config group=root
daemon_start
mkfifo go

# crowd CLIENTS FLOWS COMMAND...: what the crowd prints when the command ran while it listened
crowd() {
	local clients=$1 flows=$2 pid
	shift 2
	rm -f crowd.out
	"$CROWD" "$clients" "$flows" cable0 "udp port 9" < go > crowd.out &
	pid=$!
	exec 9> go
	await "a crowd of $clients" grep -q ready crowd.out || cat daemon.log
	"$@"
	"$BLAST" cable1 "$packets" > /dev/null
	exec 9>&-
	wait $pid || fail "crowd of $clients failed"
	tail -1 crowd.out
}

field() { # NAME: of the last line of crowd.out
	sed -n "\$s/.*\\b$1 \\([0-9.]*\\).*/\\1/p" crowd.out
}

counted() { # WHAT: all flows have seen or been told of all packets
	if [ "$(field least)" = "$packets" ] && [ "$(field greatest)" = "$packets" ]; then
		echo "ok: $1: all flows have counted $packets"
	elif [ $(($(field least) + $(field lost))) -ge "$packets" ] && [ "$(field greatest)" -le "$packets" ]; then
		echo "ok: $1: at least $(field least), and $(field lost) reported as lost"
	else
		fail "$1: $(tail -1 crowd.out)"
	fi
}

echo "== one capture however many programs"
sockets() {
	equal "packet sockets for 50 flows" "$(packet_sockets)" 1
	# Nothing of what is handed to programs goes over a network, where it would be captured again.
	equal "sockets of a network" "$(cat /proc/net/{tcp,udp,raw}{,6} 2> /dev/null | grep -c '^ *[0-9]*:')" 0
	equal "flows that are listed" "$("$MAPI" flows --json | grep -c '"active"')" 50
}
crowd 10 5 sockets
counted "10 programs"
await "the interface is let go" nobody_captures

echo "== 500 flows of 50 programs"
crowd 50 10 true
counted "50 programs"
# Within 50 ms on a machine that does nothing else.
for call in connect close; do
	awk "BEGIN { exit !($(field ${call}_ms) < 250) }" || fail "$call takes $(field ${call}_ms) ms"
done

echo "== hostile programs of another user"
other=(setpriv --reuid 65533 --regid 65533 --clear-groups)
chmod 666 run/mapid.sock # of a group that both are in, as it were
engine=$(engine_pid)
hostile() {
	hostiles=()
	for kind in connect half garbage flood ring stopped killed; do
		# What they leak is their business, and a leak checker would stop threads that are stuck.
		ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 "${other[@]}" "$HOSTILE" $kind 2 cable0 > hostile.$kind 9>&- &
		hostiles+=($!)
	done
}
crowd 2 3 hostile
counted "beside hostile programs"
for pid in "${hostiles[@]}"; do
	kill -CONT "$pid" 2> /dev/null
	wait "$pid"
done
cat hostile.*
equal "the engine" "$(engine_pid)" "$engine"
await "flows of the dead are gone" flows_running 0

echo "== what a program sees of another user's"
spied() {
	equal "exit status of a spy" "$("${other[@]}" "$HOSTILE" spy 0 cable0 > spy; echo $?)" 0
	equal "flows that it sees, bytes of results" "$(sed 's/^flow [0-9]*, //' spy)" \
		"1 listed, 0 bytes of results that were there before"
	# The administrator sees all: so there was something to see.
	grep -q FAILED <("$HOSTILE" spy 0 cable0) || fail "the spy does not find what root may see"
	for what in maps mem fd/0 environ; do
		! "${other[@]}" head -c 1 "/proc/$engine/$what" > out 2>&1 || fail "the engine's $what can be read"
	done
	equal "memory of the engine in the file system" "$(grep -c mapi <(ls /dev/shm 2> /dev/null))" 0
}
crowd 2 3 spied
counted "beside a spy"

echo "== users"
chmod 660 run/mapid.sock
"${other[@]}" "$MAPI" run -i cable0 --duration 1 PKT_COUNTER > out 2>&1
status=$?
equal "exit status without the right" $status 3
[ $status = 3 ] || cat out
grep -q "group 'root'" out || fail "the group is not named: $(cat out)"
crowd_seen() {
	equal "flows that another user sees" \
		"$("${other[@]}" "$MAPI" flows --json | grep -c active)" 0
	"$MAPI" flows --json > flows.json
	"$MAPI" devices --json > devices.json
	python3 - << 'END' || fail "flows: $(< flows.json)"
import json
flow, = map(json.loads, open("flows.json"))
number, = [d["id"] for d in map(json.loads, open("devices.json")) if d["device"] == "cable0"]
filtered, counted = [f for f in flow["functions"] if f["function"] in ("BPF_FILTER", "PKT_COUNTER")]
assert flow["device"] == "cable0" and flow["device_id"] == number
assert filtered["packets"] >= filtered["passed_packets"] == counted["packets"] == counted["passed_packets"]
END
}
crowd 1 1 crowd_seen

daemon_stop
[ ! -e run/mapid.sock ] || fail "the socket is left"

echo "== why not"
daemon_config group=root max_sessions=1 libs=stdflib.so logfile="$scratch/mapid.log"
rm -f mapid.log
daemon_start
# COMMAND... as it is where the daemon's sockets have their usual place.
usual() {
	unshare -m env -u MAPI_SOCKET bash -c 'mount -t tmpfs none /run && mkdir -m 755 /run/mapi &&
		mount --bind "$0" /run/mapi && exec "$@"' "$scratch/run" "$@"
}
refused() { # WHO COMMAND...
	local who=$1
	shift
	"$@" "$MAPI" run -i cable0 --duration 1 PKT_COUNTER > out 2>&1
	equal "$who: exit status of one program too many" $? 5
	grep -q "(max_sessions in mapi.conf) (error 9004)" out || fail "max_sessions is not named: $(cat out)"
	equal "$who: sockets that capture" "$(packet_sockets)" 1
}
crowd_refused() {
	refused "MAPI_SOCKET"
	# Who may capture by himself does not get round it.
	refused "root" usual
	chmod 666 run/mapid.sock
	"${other[@]}" "$MAPI" run -i cable0 PKT_COUNTER > /dev/null 2> another.err 9>&- &
	companions+=($!)
	await "another user's program" grep -q "listening on" another.err
	refused "another user" usual "${other[@]}"
	kill -INT "${companions[-1]}"
	wait "${companions[-1]}"
	chmod 660 run/mapid.sock
}
crowd 1 1 crowd_refused
echo "== a private daemon instead"
usual unshare -n bash -c 'ip link set lo up; "$0" run -i lo --duration 0.2 PKT_COUNTER' "$MAPI" > out 2> err
equal "exit status in another network namespace" $? 0
equal "what is said of that" "$(grep '^mapid' err)" \
	"mapid: lo is captured for this program alone: the system daemon is not used: this daemon captures in another network namespace"
daemon_stop
equal "lines of the log with their time" \
	"$(grep -c '^20..-..-..T..:..:..Z mapid: ' mapid.log)" "$(wc -l < mapid.log)"
equal "what is said of the configuration" "$(grep -c 'mapi.conf:6: libs= means nothing' mapid.log)" 1
# A user who may not capture, and no daemon: of this network namespace, that is.
"${other[@]}" env -u MAPI_SOCKET "$MAPI" run -i cable0 PKT_COUNTER > out 2>&1
equal "exit status without a daemon" $? 3
grep -q "the system daemon is not used: " out || fail "the daemon is not named: $(cat out)"
finish

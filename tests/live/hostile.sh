#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Hostile programs, one kind after the other, beside a program of another user: it loses nothing, and
# its calls have answers.
. "$(dirname "$0")/lib.sh"
packets=4800
seconds=2
[ -z "${MAPI_TEST_LONG-}" ] || seconds=5
user=(setpriv --reuid 65533 --regid 65533 --clear-groups)
mkfifo go

begin() { # MAX_DESCRIPTORS [LINES of mapi.conf]: a daemon that both may use
	daemon_config group=root max_memory_mb=64 "${@:2}"
	daemon_under=(prlimit --nofile="$1:$1")
	daemon_start
	chmod 666 run/mapid.sock
	engine=$(engine_pid)
}

survivor_begin() {
	rm -f survivor.out
	"$SURVIVOR" cable0 "udp src port 10003" < go > survivor.out 2> survivor.err &
	survivor=$!
	exec 9> go
	await "a program that counts" grep -q "restarts 0" survivor.out
}

survivor_end() { # WHAT SENT
	local count read_ failed lost call_ms
	exec 9>&-
	wait $survivor || fail "$1: the other program failed: $(cat survivor.err)"
	read -r _ _ _ _ _ _ count _ read_ _ failed _ lost _ call_ms < <(tail -1 survivor.out)
	# It reads one of sixteen flows; the rest need not be delivered.
	equal "$1: counted, read, failed, lost" "$count $read_ $failed $lost" "$2 $(($2 / 16)) 0 0"
	# A few on a machine that does nothing else.
	[ "$call_ms" -lt 1000 ] || fail "$1: a call took $call_ms ms"
	equal "$1: the engine" "$(engine_pid)" "$engine"
}

beside() { # KIND [WHO...]: the attack, and traffic meanwhile
	local kind=$1 pid sent=0
	shift
	survivor_begin
	# What they leak is their business, and a leak checker would stop threads that are stuck.
	ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 "$@" "$HOSTILE" $kind $seconds cable0 > hostile.$kind 9>&- &
	pid=$!
	while kill -0 $pid 2> /dev/null && [ "$(process_state $pid)" != T ]; do
		"$BLAST" cable1 "$packets" > /dev/null
		sent=$((sent + packets))
		[ $sent -lt $((20 * packets)) ] || break
	done
	[ $kind != refused ] || await "refused connections" grep -q refused hostile.refused
	case $kind in
	untaken | refused) bounded $kind ;;
	esac
	kill -CONT $pid 2> /dev/null
	wait $pid || fail "$kind: $(cat hostile.$kind)"
	cat hostile.$kind
	survivor_end $kind $sent
}

another_serves() {
	"$MAPI" flows && [ "$(engine_pid)" != "$engine" ]
}

engine_reaped() {
	[ ! -e "/proc/$engine" ]
}

process_state() { # PID
	sed 's/.*) \(.\).*/\1/' "/proc/$1/stat" 2> /dev/null
}

bounded() { # WHAT: memory and descriptors of the engine
	local n rss_kb
	n=$(ls "/proc/$engine/fd" | wc -l)
	rss_kb=$(awk '/RssAnon/ { print $2 }' "/proc/$engine/status")
	[ "$n" -lt 1000 ] || fail "$1: the engine has $n descriptors"
	[ "$rss_kb" -lt 200000 ] || fail "$1: the engine has $rss_kb KiB"
}

begin 20000
echo "== strangers"
for kind in connect half garbage flood untaken linger refused; do
	beside $kind "${user[@]}"
done
bounded strangers

echo "== programs with flows"
for kind in ring blocking stopped killed resize; do
	beside $kind "${user[@]}"
done
await "flows of the dead are gone" flows_running 0

echo "== expressions that take long to compile"
helpers() { # which the children of the engine have
	local parent
	for parent in $(cat /proc/"$engine"/task/*/children); do
		cat "/proc/$parent/task/$parent/children"
	done
}
at_work() {
	[ "$(helpers | wc -w)" -ge 2 ]
}
filter_us() { # how long it takes to get one; nothing, if there is none
	local began=$EPOCHREALTIME
	"$CROWD" 1 1 cable0 "tcp port 9" < /dev/null > crowd.out && echo $((${EPOCHREALTIME/./} - ${began/./}))
}
survivor_begin
us=$(filter_us)
# Half a second less than an expression may take; and whatever else this machine has to do, if that
# makes programs slow that have nobody beside them.
limit_us=$((1500000 + 4 * (us - 100000 > 0 ? us - 100000 : 0)))
"${user[@]}" "$HOSTILE" compile $seconds cable0 > hostile.compile 9>&- &
hostile=$!
await "helpers" at_work
for ((n = 0; n < 3; n++)); do
	us=$(filter_us)
	[ -n "$us" ] || fail "compile: nobody else gets a filter"
	[ "${us:-0}" -lt $limit_us ] || fail "compile: somebody else's filter takes $us us, limit $limit_us"
done
n=$(helpers | wc -w)
[ "$n" -le 8 ] || fail "compile: $n processes"
"$BLAST" cable1 "$packets" > /dev/null
wait $hostile || fail "compile: $(cat hostile.compile)"
survivor_end compile $packets

echo "== programs that end together"
survivor_begin
"$CROWD" 40 3 cable0 "udp port 9" < /dev/zero > crowd.out 9>&- &
crowd=$!
await "a crowd" grep -q ready crowd.out
kill -9 $(cat "/proc/$crowd/task/$crowd/children") $crowd
wait $crowd 2> /dev/null
"$BLAST" cable1 "$packets" > /dev/null
survivor_end crowd $packets
await "flows of the dead are gone" flows_running 0

echo "== a file system that never answers"
beside fuse
if ! grep -q skipped hostile.fuse; then
	equal "fuse: what closing says, and the quota" "$(tail -1 hostile.fuse)" "closing gives 9003, another file 9004"
	echo "== an engine that hangs in the kernel when it is killed"
	rm hostile.fuse
	"$HOSTILE" fuse 20 cable0 > hostile.fuse &
	hostile=$!
	await "a file that hangs" grep -q closing hostile.fuse
	# Who compiles somebody else's expressions has no copy of the file, and does not stay.
	timeout 10 "$CROWD" 1 1 cable0 "udp port 9" < /dev/null > crowd.out || fail "nobody gets a filter"
	processes=$(cat /proc/"$engine"/task/*/children)
	equal "processes of the engine" "$(cd /proc && for pid in $processes; do cat $pid/comm; done | sort | tr '
' ' ')" \
		"mapid-bin mapid-nursery "
	for pid in $(helpers); do
		n=$(ls "/proc/$pid/fd" | wc -l)
		[ "$n" -le 2 ] || fail "$(cat "/proc/$pid/comm") has $n descriptors"
	done
	survivor_begin
	kill -9 "$engine"
	await "another engine" another_serves
	await "programs of the old one are told" grep -q "restarts 1" survivor.out
	kill -0 $hostile || fail "the file does not hang any more"
	exec 9>&-
	wait $survivor || fail "the other program failed: $(cat survivor.err)"
	read -r _ _ restarts _ _ _ _ _ _ _ failed _ < <(tail -1 survivor.out)
	equal "a killed engine that hangs: restarts, failed" "$restarts $failed" "1 0"
	wait $hostile
	await "nothing is left of it" engine_reaped
fi
daemon_stop

echo "== few descriptors, of which one user takes what he may"
begin 300
survivor_begin
"${user[@]}" "$HOSTILE" connect $seconds cable0 > hostile.connect 9>&- &
hostile=$!
limited() { # connections of a sixteenth, and no more
	[ "$(grep -c ' 03 .*run/mapid.sock' /proc/net/unix)" -ge 18 ]
}
await "connections" limited
for ((n = 0; n < 5; n++)); do
	began=$EPOCHREALTIME
	setpriv --reuid 65532 --regid 65532 --clear-groups "$CROWD" 2 4 cable0 "udp port 9" < /dev/null > crowd.out ||
		fail "another user is not served"
	us=$((${EPOCHREALTIME/./} - ${began/./}))
	[ $us -lt 1000000 ] || fail "another user's programs take $us us"
done
kill -0 $hostile || fail "the connections were closed meanwhile: what was done beside them proves nothing"
echo "ok: $n times two programs of another user"
"$BLAST" cable1 "$packets" > /dev/null
wait $hostile
cat hostile.connect
survivor_end "few descriptors" $packets
daemon_stop

echo "== descriptors run out, as the administrator lets a user have them"
begin 200 max_sessions=1000
survivor_begin
accepted() { # as many as there are places for
	[ "$(ls "/proc/$engine/fd" | wc -l)" -gt 120 ]
}

ticks() {
	awk '{ print $14 + $15 }' "/proc/$engine/stat"
}
"${user[@]}" "$HOSTILE" connect $seconds cable0 > hostile.connect 9>&- &
hostile=$!
await "connections" accepted
before=$(ticks)
"$BLAST" cable1 "$packets" > /dev/null
wait $hostile
used=$(($(ticks) - before))
cat hostile.connect
[ $used -lt $((seconds * $(getconf CLK_TCK) / 4)) ] || fail "the engine is busy: $used ticks"
await "somebody else is served again" "$MAPI" flows
survivor_end descriptors $packets
daemon_stop

echo "== somebody says that a daemon serves"
# To all sockets of names that the kernel has chosen, as that of the program that was started is.
cat > ready.py << 'END'
import socket, time
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
end, sent = time.monotonic() + 20, set()
while time.monotonic() < end and not sent:
    for line in open("/proc/net/unix"):
        name = line.split()[-1]
        if name.startswith("@") and len(name) == 6 and line.split()[4] == "0002":
            try:
                sender.sendto(b"READY=1", "\0" + name[1:])
                sent.add(name)
            except OSError:
                pass
print(len(sent))
END
daemon_config group=root
sed -i s/^user=.*/user=root/ mapi.conf # no engine will serve
python3 ready.py > ready.out &
liar=$!
"$MAPID" -d -f "$scratch/mapi.conf" 2> daemon.log
equal "exit status of a daemon that does not serve" $? 1
wait $liar
equal "sockets that were told" "$(cat ready.out)" 1
finish

#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Semantics C2: the engine, or the whole system daemon, is killed (-9) at random moments under load.
# It serves again at once, and programs go on by themselves: they are told of restarts and gaps. What
# an engine has put into the kernel goes with it.
. "$(dirname "$0")/lib.sh"
kills=40
[ -z "${MAPI_TEST_LONG-}" ] || kills=200
RANDOM=1

daemon_config group=root "[driver]" device=cable0 engine=kernel
daemon_start
mkfifo go
"$SURVIVOR" cable0 "udp src port 10003" < go > survivor.out 2> survivor.err &
survivor=$!
exec 9> go
await "a program that counts" grep -q "restarts 0" survivor.out
(while "$BLAST" cable1 20000 > blast.out; do :; done) 9>&- &
load=$!

# Exactly these restarts have been told: a program that reads all the time misses none.
told() {
	grep -q "^restarts $1$" survivor.out
}

programs=() # of those that were killed
note_programs() { # PID
	# shellcheck disable=SC2207
	programs+=($(programs_of "$1"))
}

pause_some() { # 0 .. 99 ms
	read -r -t "0.0$((RANDOM % 100))" <> <(:)
}

echo "== the engine, $kills times"
for ((n = 1; n <= kills; n++)); do
	pause_some
	engine=$(engine_pid)
	note_programs "$engine"
	kill -9 $engine
	await "restart $n" told "$n" || break
done
equal "restarts that were told, in order" \
	"$(sed -n 's/^restarts //p' survivor.out | tr '\n' ' ')" "$(seq -s' ' 0 "$kills") "

echo "== parent and engine, 5 times"
for ((n = kills + 1; n <= kills + 5; n++)); do
	pause_some
	note_programs "$(engine_pid)"
	kill -9 "$daemon"
	wait "$daemon" 2> /dev/null
	daemon_start 9>&-
	await "restart $n" told "$n" || break
done

echo "== the process that compilers come from"
engine=$(engine_pid)
for pid in $(cat "/proc/$engine/task/$engine/children"); do
	[ "$(cat "/proc/$pid/comm")" != mapid-nursery ] || kill -9 "$pid"
done
await "restart $n" told "$n"

echo "== afterwards"
kill $load
wait $load 2> /dev/null
await "silence" is_still cable_counters
kill -9 "$(engine_pid)"
await "restart $((++n))" told "$n"
"$BLAST" cable1 20000 > blast.out
exec 9>&-
wait $survivor || fail "the program failed: $(cat survivor.err)"
tail -1 survivor.out
read -r _ _ restarts _ gap_ms _ count _ packets _ failed _ lost _ < <(tail -1 survivor.out)
equal "restarts" "$restarts" $((kills + 7))
equal "counted and lost since the last restart" $((count + lost)) 20000
equal "calls that failed" "$failed" 0
[ "$packets" -gt 0 ] || fail "no packets were read"
[ "$gap_ms" -gt 0 ] || fail "no gap is reported"
"$MAPI" run -i cable0 --json --interval 0.1 PKT_COUNTER > run.out 2> run.err &
companions+=($!)
await "results" grep -q '"restarts":0,' run.out
kill -9 "$(engine_pid)"
await "a result that tells of the restart" grep -q '"restarts":1,' run.out
kill "${companions[-1]}"
wait "${companions[-1]}"
await "the interface is let go" nobody_captures
cause=$(tier_cause)
if [ -n "$bpftool" ] && [ -z "$cause" ]; then
	[ ${#programs[@]} -ge "$kills" ] || fail "engines held ${#programs[@]} programs: $(cat daemon.log)"
	await "nothing of those that were killed in the kernel" no_programs "${programs[@]}" &&
		echo "ok: nothing is left of ${#programs[@]} programs"
else
	echo "what is left in the kernel is not looked at: ${cause:-there is no bpftool}"
fi
daemon_stop
finish

#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Semantics C2: the engine, or the whole system daemon, is killed (-9) at random moments under load.
# It serves again at once, and programs go on by themselves: they are told of restarts and gaps. What
# an engine has put into the kernel goes with it. One program wants packets, another one only counts:
# where packets are captured or, if it comes first, at the interface (TCX, and later XDP).
. "$(dirname "$0")/lib.sh"
kills=40 parents=5 # of the engine, of both
[ -z "${MAPI_TEST_LONG-}" ] || kills=150 parents=50
RANDOM=1

daemon_config group=root "[driver]" device=cable0 engine=kernel
daemon_start
mkfifo go
"$SURVIVOR" cable0 "udp src port 10003" < go > survivor.out 2> survivor.err &
survivor=$!
exec 9> go
await "a program that counts" grep -q "restarts 0" survivor.out
"$MAPI" run -i cable0 --json --interval 0.1 'BPF_FILTER("udp port 9") | PKT_COUNTER' > counts.out 2> counts.err 9>&- &
counts=$!
await "a program that only counts" grep -q '"restarts":0' counts.out
(while "$BLAST" cable1 20000 > blast.out; do :; done) 9>&- &
load=$!

# Exactly these restarts have been told: a program that reads all the time misses none.
told() {
	grep -q "^restarts $1$" survivor.out
}

# What those held that were killed: programs, and what else has numbers in the kernel.
programs=() others=() hooks=
note_programs() { # PID
	local kind
	# shellcheck disable=SC2207
	programs+=($(programs_of "$1"))
	for kind in link map; do
		# shellcheck disable=SC2207
		others+=($(sed -n "s/^${kind}_id:[[:space:]]*/$kind:/p" /proc/"$1"/fdinfo/* 2> /dev/null | sort -u))
	done
	hooks+=$(cat /proc/"$1"/fdinfo/* 2> /dev/null | sed -n 's/^link_type:[[:space:]]*/ /p' | sort -u | tr -d '\n')
}

none_of_others() {
	local one
	for one in "${others[@]}"; do
		! "$bpftool" "${one%:*}" show id "${one#*:}" > /dev/null 2>&1 || return 1
	done
}

pause_some() { # 0 .. 99 ms
	read -r -t "0.0$((RANDOM % 100))" <> <(:)
}

n=0
kill_engines() { # TIMES
	local i engine
	for ((i = 0; i < $1; i++)); do
		pause_some
		engine=$(engine_pid)
		note_programs "$engine"
		kill -9 $engine
		await "restart $((++n))" told "$n" || break
	done
}

echo "== the engine, $((kills / 2)) times"
kill_engines $((kills / 2))

echo "== parent and engine, $parents times; then with direction=in"
daemon_config group=root "[driver]" device=cable0 engine=kernel direction=in
python3 "$MAPI_SOURCE/tests/live/offloads.py" cable0 tags # XDP wants that
for ((i = 0; i < parents; i++)); do
	pause_some
	note_programs "$(engine_pid)"
	kill -9 "$daemon"
	wait "$daemon" 2> /dev/null
	daemon_start 9>&-
	await "restart $((++n))" told "$n" || break
done

echo "== the engine, $((kills / 2)) times more"
kill_engines $((kills / 2))
equal "restarts that were told, in order" \
	"$(sed -n 's/^restarts //p' survivor.out | tr '\n' ' ')" "$(seq -s' ' 0 $((kills + parents))) "

echo "== the process that compilers come from"
engine=$(engine_pid)
for pid in $(cat "/proc/$engine/task/$engine/children"); do
	[ "$(cat "/proc/$pid/comm")" != mapid-nursery ] || kill -9 "$pid"
done
await "restart $((++n))" told "$n"

echo "== afterwards"
kill $load
wait $load 2> /dev/null
await "silence" is_still cable_counters
kill -9 "$(engine_pid)"
await "restart $((++n))" told "$n"
await "both programs" flows_running 3
"$BLAST" cable1 20000 > blast.out
kill -TERM $counts
wait $counts || fail "the program that only counts failed: $(cat counts.err)"
tail -1 counts.out
equal "counted and lost since then, by who only counts" "$(($(tail -1 counts.out |
	sed -n 's/.*"value":\([0-9]*\),"loss":{"nic":\([0-9]*\),"ring":\([0-9]*\),.*/\1 + \2 + \3/p')))" 20000
exec 9>&-
wait $survivor || fail "the program failed: $(cat survivor.err)"
tail -1 survivor.out
read -r _ _ restarts _ gap_ms _ count _ packets _ failed _ lost _ < <(tail -1 survivor.out)
equal "restarts" "$restarts" $((kills + parents + 2))
equal "counted and lost since the last restart" $((count + lost)) 20000
equal "calls that failed" "$failed" 0
cat survivor.err
[ "$packets" -gt 0 ] || fail "no packets were read"
[ "$gap_ms" -gt 0 ] || fail "no gap is reported"
"$MAPI" run -i cable0 --json --interval 0.1 PKT_COUNTER > run.out 2> run.err &
companions+=($!)
await "results" grep -q '"restarts":0,' run.out
kill -9 "$(engine_pid)"
await "a result that tells of the restart" grep -q '"restarts":1,"gap_ns":[1-9]' run.out
kill "${companions[-1]}"
wait "${companions[-1]}"
await "the interface is let go" nobody_captures
cause=$(tier_cause)
if [ -n "$bpftool" ] && [ -z "$cause" ]; then
	[ ${#programs[@]} -ge "$kills" ] || fail "engines held ${#programs[@]} programs: $(cat daemon.log)"
	await "nothing of those that were killed in the kernel" no_programs "${programs[@]}" &&
		echo "ok: nothing is left of ${#programs[@]} programs"
	await "nor of links and maps" none_of_others && echo "ok: nothing is left of ${#others[@]} links and maps"
	echo "links:$(tr ' ' '\n' <<< "$hooks" | sort | uniq -c | awk 'NF > 1 { printf " %s %d times", $2, $1 }')"
else
	echo "what is left in the kernel is not looked at: ${cause:-there is no bpftool}"
fi
daemon_stop
finish

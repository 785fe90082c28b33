#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Periods over counters (semantics T1), in the kernel and in the daemon, of the same bursts of packets
# with silence between them: each packet is in one period, and periods end although nothing comes.
. "$(dirname "$0")/lib.sh"
bursts=(1000 17 1 4000) period=50ms
[ -z "${MAPI_TEST_LONG-}" ] || bursts+=(20000 1 1 1 5 30000 2 100000)
sent=0
for n in "${bursts[@]}"; do
	sent=$((sent + n))
done

pipelines() { # DIRECTORY
	printf '%s\n' "BPF_FILTER(\"udp port 9\") | PKT_COUNTER @n | STATS(n, $period)" \
		"BPF_FILTER(\"udp\") | PKT_COUNTER @m | BUCKET(m, $period)" \
		"PKT_COUNTER @k | RES2FILE(1, k, \"\", $1/lines, $period, 1)" \
		"PKT_COUNTER @t | THRESHOLD(ull, t, $((sent - 1)), tr_b_pos, 50000)"
}

run_start() { # DIRECTORY SOCKET: sets running
	mkdir "$1"
	MAPI_SOCKET=$2 "$MAPI" run -i cable0 --workers "$workers" --json "$(pipelines "$1" | paste -sd ';')" \
		> "$1/out" 2> "$1/err" &
	running=$!
	await "$1: flows" grep -q listening "$1/err" || cat "$1/err"
}

run_end() { # DIRECTORY PID
	kill "$2"
	wait "$2"
	equal "$1: exit status" $? 0
}

# What periods have together, and what the last one had.
sum_of() { # lines of numbers
	awk '{ sum += $1 } END { printf "%d %d\n", sum, $1 }'
}

buckets() { # DIRECTORY
	sed -n 's/.*"function":"BUCKET".*"data":\([0-9]*\)}.*/\1/p' "$1/out"
}

last_value() { # DIRECTORY FUNCTION FIELD
	sed -n "s/.*\"function\":\"$2\".*\"value\":{*.*\"$3\":\([0-9.]*\).*/\1/p" "$1/out" | tail -1
}

# So many packets are in periods, and a period without any has followed.
are_over() { # DIRECTORY PACKETS
	[ "$(buckets "$1" | sum_of)" = "$2 0" ] && [ "$(sum_of < "$1/lines")" = "$2 0" ]
}

tiers() { # SOCKET PIPELINES: of all functions
	MAPI_SOCKET=$1 "$MAPI" explain -i cable0 "$2" | awk '$1 ~ /^[0-9]+$/ { print $3 == "kernel" || $4 == "kernel" ? "kernel" : "user" }' |
		sort | uniq -c | awk '{ print $2, $1 }'
}

send_all() { # DIRECTORY...
	local n=0 burst directory
	for burst in "${bursts[@]}"; do
		"$BLAST" cable1 "$burst" > /dev/null
		n=$((n + burst))
		for directory; do
			await "$directory: $n packets, and silence" are_over "$directory" "$n"
		done
	done
}

all_periods() { # DIRECTORY
	equal "$1: BUCKET" "$(buckets "$1" | sum_of)" "$sent 0"
	equal "$1: RES2FILE" "$(sum_of < "$1/lines")" "$sent 0"
	equal "$1: STATS" "$(last_value "$1" STATS sum)" "$sent"
	equal "$1: THRESHOLD" "$(grep '"function":"THRESHOLD"' "$1/out" | grep -c "\"value\":$sent}")" 1
	equal "$1: packets lost" "$(grep -o '"loss":{[^}]*}' "$1/out" | sort -u | grep -c '[1-9]')" 0
}

# Nobody is further from the clock than a slow machine may be; some hours would be a mistake.
own_clock() { # DIRECTORY
	local first
	first=$(sed -n 's/.*"function":"BUCKET".*"value":{"timestamp":"\([^"]*\)".*/\1/p' "$1/out" | head -1)
	first=$(date -d "$first" +%s)
	if [ "$first" -ge "$((began - 1))" ] && [ "$first" -le "$(date +%s)" ]; then
		echo "ok: $1: the first interval begins with the first packet"
	else
		fail "$1: the first interval begins $((first - began)) s after packets were sent"
	fi
}

all=$(pipelines "$scratch" | paste -sd ';')
cd "$scratch" || exit 1
case $(tiers "" "$all") in
*user*) skip "no programs may be loaded into the kernel: $("$MAPI" explain -i cable0 PKT_COUNTER | grep user: | head -1)" ;;
esac

echo "== where they run"
equal "functions with periods" "$(tiers "" "$all")" "kernel 10"
equal "of packets" "$(tiers "" 'BPF_FILTER("udp") | PKT_COUNTER @n | STATS(n, 0)')" $'kernel 1\nuser 2'
explained=$("$MAPI" explain -i cable0 'PKT_COUNTER @n | THRESHOLD(ull, n, 1, tr_b_pos)')
case $explained in
*"it needs packets: only with a period it would not"*) echo "ok: why at packets" ;;
*) fail "explain does not say why: $explained" ;;
esac
explained=$("$MAPI" explain -i cable0 'GAP @g | STATS(g, 1s)')
case $explained in
*"it refers to a function that needs packets"*) echo "ok: why of other values" ;;
*) fail "explain does not say why: $explained" ;;
esac
explained=$("$MAPI" explain -i cable0 'STARTSTOP(+0s) | PKT_COUNTER')
case $explained in
*"packets tell when it opens"*) echo "ok: why of what has not begun" ;;
*) fail "explain does not say why: $explained" ;;
esac

both_tiers() {
	daemon_config group=root "[driver]" device=cable0 engine=user $cpus
	daemon_start
	system=$MAPI_SOCKET
	equal "functions of the system daemon" "$(tiers "$system" "$all")" "user 10"
	began=$(date +%s)
	run_start "kernel$workers" ""
	kernel=$running
	run_start "user$workers" "$system"
	user=$running
	equal "rings of both daemons" "$(packet_sockets)" $((2 * workers))
	send_all "kernel$workers" "user$workers"
	run_end "kernel$workers" "$kernel"
	run_end "user$workers" "$user"
	for directory in "kernel$workers" "user$workers"; do
		all_periods "$directory"
		own_clock "$directory"
	done
	daemon_stop
	await "the interface is let go" nobody_captures
}

under_change() {
	daemon_config group=root "[driver]" device=cable0 $cpus
	daemon_start
	run_start "changes$workers" "$MAPI_SOCKET"
	changes=$running
	rm -f go
	mkfifo go
	"$TALLY" cable0 100000 "udp port 9" "-" < go > tally.out 2>&1 &
	tally=$!
	exec 9> go
	await "flows that come and go" grep -q ready tally.out
	send_all "changes$workers"
	kill "$tally"
	wait "$tally"
	exec 9>&-
	run_end "changes$workers" "$changes"
	all_periods "changes$workers"
	daemon_stop
	await "the interface is let go" nobody_captures
}

for workers in 1 2; do
	cpus=cpus=$(seq -s, 0 $((workers - 1)))
	echo "== both tiers, of the same packets: $workers workers"
	both_tiers
	echo "== while programs are replaced, and packets delivered for others: $workers workers"
	under_change
done
finish

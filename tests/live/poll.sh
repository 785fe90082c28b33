#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Descriptors to poll (semantics R4) under the system daemon: many flows in one loop of poll(), some
# with packets, some with results. Each is readable while there is something to read, and not when it
# has been read; each tells the end of the daemon (C2), and goes on, under its number, with the next.
. "$(dirname "$0")/lib.sh"
flows=32 packets=3000

ask() { # COMMAND: the last line that it leads to
	local n
	n=$(grep -c "^${1%% *} " poller.out)
	echo "$1" >&9
	await "$1" answered "${1%% *}" $((n + 1)) || cat poller.err daemon.log
	grep '^flow' poller.out
	tail -1 poller.out
}

answered() { # WORD N
	[ "$(grep -c "^$1 " poller.out)" = "$2" ]
}

await_s=30
for cpus in 0 0-1; do
	echo "== workers on processors $cpus"
	[ "$cpus" = 0 ] || [ "$(nproc)" -gt 1 ] || break
	daemon_config group=root "[driver]" device=cable0 "cpus=$cpus"
	daemon_start
	rm -f go poller.out
	mkfifo go
	"$POLLER" cable0 $flows < go > poller.out 2> poller.err &
	poller=$!
	companions+=($poller)
	exec 9> go
	await "flows" grep -q ready poller.out || cat poller.err
	for round in 0 1 2; do
		equal "readable before packets" "$(ask still)" "still poll 0 select 0 epoll 0"
		"$BLAST" cable1 $packets > /dev/null
		got=$(ask "packets $packets")
		echo "$got"
		equal "what each flow has got, and descriptors that were readable for nothing" \
			"$(sed 's/wakes [0-9]* //' <<< "$got")" "packets $packets empty 0"
		equal "readable when all was read" "$(ask still)" "still poll 0 select 0 epoll 0"
		[ $round = 2 ] && break
		kill -9 "$(engine_pid)"
		equal "when the daemon was killed" "$(ask killed)" \
			"killed readable $flows restarts $((flows * (round + 1))) failed 0"
	done
	exec 9>&-
	wait $poller || fail "the program failed: $(cat poller.err)"
	await "the interface is let go" nobody_captures
	daemon_stop
done
finish

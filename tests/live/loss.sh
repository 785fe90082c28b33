#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Semantics L2: what was sent is what was delivered and what was reported as lost, when the reader or
# the daemon stands still, when memory is short, and while other flows come and go.
. "$(dirname "$0")/lib.sh"
packets=100000
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

blast() {
	equal "sent" "$("$BLAST" cable1 "$packets" | cut -d' ' -f2)" "$packets"
}

reader_stands_still() {
	kill -STOP "$reader_pid"
	blast
	kill -CONT "$reader_pid"
}

daemon_stands_still() {
	local engine
	engine=$(engine_pid)
	kill -STOP "$engine"
	blast
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

for workers in 1 2; do
	cpus=$(seq -s, 0 $((workers - 1)))
	echo "== $workers workers"
	daemon_config group=root "[driver]" device=cable0 driver=mapinicdrv.so ring_mb=1 "cpus=$cpus"
	daemon_start
	account "$workers workers, nothing special" blast
	account "$workers workers, a reader that stands still" reader_stands_still
	[ "$queue" -gt 0 ] || fail "the reader's ring was never full"
	account "$workers workers, a daemon that stands still" daemon_stands_still
	[ "$ring" -gt 0 ] || fail "the capture's ring was never full"
	account "$workers workers, flows that come and go" others_come_and_go
	daemon_stop
done
finish

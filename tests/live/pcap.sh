#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Devices that only libpcap opens, at the system daemon: a process without rights reads each for the
# engine, one for all flows. "any" on two cables, counted as tcpdump counts; each packet that was sent is
# counted or reported as lost, whoever stands still; interfaces that go and come back; processes that
# are killed, of which nothing is left; nflog, where there is nft; what is refused.
. "$(dirname "$0")/lib.sh"
command -v tcpdump > /dev/null || skip "no tcpdump"
cd "$scratch" || exit 1

ip link add other0 type veth peer name other1
ip link set other0 up
ip link set other1 up
daemon_config group=root "[driver]" device=any ring_mb=1 "[driver]" device=other0 driver=pcap \
	"[driver]" device=pcap:lo "[driver]" device=pcap:nflog:7 alias=log "[driver]" device=pcap:nfqueue:7 \
	"[driver]" device=pcap:absent0
daemon_start

children() { # PID
	cat "/proc/$1/task/$1/children" 2> /dev/null
}

# Processes that capture: children of those that keep devices, which are the daemon's.
captures() {
	local keeper reader name
	for keeper in $(children "$daemon"); do
		for reader in $(children "$keeper"); do
			read -r name 2> /dev/null < "/proc/$reader/comm" || continue
			[ "$name" != mapid-capture ] || echo "$reader"
		done
	done
}

n_captures() { # N
	[ "$(captures | wc -l)" = "$1" ]
}

# It has opened the device, and then given up its rights.
captures_anew() { # PID: that did before
	local now
	! nobody_captures || return 1
	now=$(captures)
	[ -n "$now" ] && [ "$now" != "$1" ] && grep -q '^Seccomp:[[:space:]]*2' "/proc/$now/status"
}

blasts() { # COUNT OTHER_COUNT
	"$BLAST" cable1 "$1" > /dev/null
	[ "$2" = 0 ] || "$BLAST" other1 "$2" > /dev/null
}

echo "== any, on two cables"
filters=("udp port 9" "inbound and udp port 9" "outbound and udp port 9" "udp src port 10003" "tcp")
dumps_start any "${filters[@]}"
tally_device=any
tally_start 0 "${filters[@]}"
equal "processes that capture for $((3 * ${#filters[@]})) functions" "$(captures | wc -l)" 1
reader=$(captures)
equal "it runs as" "$(awk '/^Uid:/ { print $3 }' "/proc/$reader/status")" "$(id -u nobody)"
equal "its capabilities" "$(awk '/^Cap(Eff|Prm|Bnd):/ { print $2 }' "/proc/$reader/status" | sort -u)" 0000000000000000
equal "its system calls are filtered" "$(awk '/^Seccomp:/ { print $2 }' "/proc/$reader/status")" 2
blasts 1600 704
tally_end
dumps_end > tcpdump.txt
for ((i = 1; i <= ${#filters[@]}; i++)); do
	tally_report "$i" | awk '{ print $2 }'
done > mapi.txt
equal "as tcpdump" "$(cat mapi.txt)" "$(cat tcpdump.txt)"
equal "both ends of both cables" "$(head -1 mapi.txt)" $((2 * (1600 + 704)))
equal "what comes in" "$(sed -n 2p mapi.txt)" $((1600 + 704))
await "the device is closed" n_captures 0

echo "== the header tells the interface"
"$MAPI" run -i any --json -e 'BPF_FILTER("udp port 9") | TO_FILE(MFF_PCAPNG, "any.pcapng")' > run.json 2> run.err &
run=$!
companions+=($run)
await "a recording" grep -q listening run.err
blasts 30 12
kill -TERM $run
wait $run
equal "packets by interface" "$(tcpdump -nr any.pcapng 2> /dev/null | awk '{ print $2, $3 }' | sort | uniq -c | awk '{ print $1, $2, $3 }')" \
	"30 cable0 P
30 cable1 Out
12 other0 P
12 other1 Out"

echo "== who stands still"
packets=50000
lossy() { # WHAT PID
	tally_start 0 "-" "udp port 9"
	kill -STOP "$2"
	"$BLAST" cable1 $((packets / 2)) > /dev/null
	kill -CONT "$2"
	await "$1: nothing comes any more" is_still cat /proc/net/packet
	tally_end
	tally_accounts "$1" "$packets" 1 2
	lost=$(tally_report 1 | awk '{ print $10 }')
	[ "$lost" -gt 0 ] || fail "$1: nothing was lost"
	echo "$1: $lost of $packets lost"
}
"$MAPI" run -i any --json --interval 0.1 'PKT_COUNTER' > keep.out 2> keep.err & # it stays open
keep=$!
companions+=($keep)
await "a program" grep -q '"restarts":0' keep.out
lossy "the engine stands still" "$(engine_pid)"
lossy "the process that captures stands still" "$(captures)"

echo "== it is killed"
counted() { # FILE: of the last line
	tail -1 "$1" | sed 's/.*"value":\([0-9]*\).*/\1/'
}

has_counted() { # FILE N
	[ "$(counted "$1")" = "$2" ]
}

await "what was sent before" is_still counted keep.out
tally_start 0 "udp port 9"
before=$(captures)
count=$(counted keep.out)
blasts 100 0
await "packets" has_counted keep.out $((count + 200)) # what waits to be read would be lost with who reads it
kill -KILL "$before"
await "another one" captures_anew "$before"
await "it is heard of" grep -q '"outages":1' keep.out
blasts 100 0
tally_end
equal "packets before and after" "$(tally_report 1 | awk '{ print $2 }')" 400
equal "the device was away" "$(sed -n 's/^outages \([0-9]*\) .*/\1/p' tally.out)" 1

echo "== the engine is killed"
before=$(captures)
kill -KILL "$(engine_pid)"
await "the program goes on" grep -q '"restarts":1' keep.out || cat keep.err daemon.log
await "another process captures" captures_anew "$before"
await "the first is gone" test ! -e "/proc/$before"
kill -TERM $keep
wait $keep
await "the device is closed" n_captures 0

echo "== who keeps it is killed"
"$MAPI" run -i any --json --interval 0.1 PKT_COUNTER > kept.out 2> kept.err &
run=$!
companions+=($run)
await "a program" grep -q '"restarts":0' kept.out
keeper=$(awk '/^PPid:/ { print $2 }' "/proc/$(captures)/status")
"$MAPI" run -i other0 --json --interval 0.1 'BPF_FILTER("udp port 9") | PKT_COUNTER' > other.out 2> other.err &
other=$!
companions+=($other)
await "a program on another device" has_counted other.out 0
kill -KILL "$keeper"
wait $run && fail "the program does not say that its device was lost"
equal "what it says" "$(grep -c 'start the command again (error 9001)' kept.err)" 1
"$MAPI" run -i any --json --interval 0.1 PKT_COUNTER > again.out 2> again.err &
run=$!
companions+=($run)
await "it can be started again" grep -q '"restarts":0' again.out || cat again.err
"$BLAST" other1 100 > /dev/null
await "others have gone on" has_counted other.out 100
kill -TERM $run $other
wait $run $other
await "the devices are closed" n_captures 0

echo "== an interface comes back"
"$MAPI" run -i other0 --json --interval 0.1 'BPF_FILTER("udp port 9") | PKT_COUNTER' > other.out 2> other.err &
run=$!
companions+=($run)
await "a program" has_counted other.out 0
equal "libpcap's socket alone" "$(packet_sockets)" 1
before=$(captures)
"$BLAST" other1 100 > /dev/null
await "packets" has_counted other.out 100
ip link del other0
await "no more socket" nobody_captures
ip link add other0 type veth peer name other1
ip link set other1 up
ip link set other0 up
await "it is captured again" captures_anew "$before"
"$BLAST" other1 50 > /dev/null
await "packets before and after" has_counted other.out 150
kill -TERM $run
wait $run
equal "in the end" "$(tail -1 other.out | grep -Eo '"(value|outages)":[0-9]*')" '"value":150
"outages":1'

echo "== what is refused"
refused() { # DEVICE WORDS
	timeout 20 "$MAPI" run -q -i "$1" PKT_COUNTER > refused.out 2>&1 && fail "$1 is not refused"
	grep -q "$2" refused.out || fail "$1: $(cat refused.out)"
}
refused pcap:absent0 "pcap:absent0: libpcap cannot open it: No such device"
refused pcap:nfqueue:7 "use nflog"
refused pcap:nflog:8 "no \[driver\] section"
refused pcap:cable0 "no \[driver\] section"

echo "== nflog"
if command -v nft > /dev/null && nft add table ip mapi 2> nft.err; then
	nft add chain ip mapi out '{ type filter hook output priority 0; }'
	nft add rule ip mapi out udp dport 7777 log group 7
	"$MAPI" run -i log --json --interval 0.1 PKT_COUNTER > log.out 2> log.err &
	run=$!
	companions+=($run)
	await "a program that counts what is logged" has_counted log.out 0
	for ((i = 0; i < 123; i++)); do
		echo x > /dev/udp/127.0.0.1/7777
	done
	# The kernel keeps them for up to a second.
	await "all that was logged" has_counted log.out 123
	kill -TERM $run
	wait $run
	equal "in the end" "$(counted log.out)" 123
	nft delete table ip mapi
else
	echo "no rules that log here: $(cat nft.err 2> /dev/null)"
fi

echo "== the daemon is killed"
tally_device=pcap:lo
timeout 60 "$MAPI" run -q -i pcap:lo PKT_COUNTER > run.out 2> run.err &
run=$!
companions+=($run)
await "a process that captures" n_captures 1
left="$(captures) $(children "$daemon")"
kill -KILL "$daemon"
for pid in $left; do
	await "process $pid is gone" test ! -e "/proc/$pid"
done
daemon=
wait $run 2> /dev/null
await "nobody captures" nobody_captures
finish

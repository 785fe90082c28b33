#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The command line on a live device: in a network namespace of its own, where nothing else is heard,
# with programs that send known numbers of packets over veth.
. "$(dirname "$0")/lib.sh"

if [ "${1-}" != inside ]; then
	[ "$(id -u)" = 0 ] || skip "needs root: a network namespace and packet sockets"
	unshare -n true 2> /dev/null || skip "no network namespace can be made"
	# That of the machine is not to be seen in there.
	echo 0 > jit
	jit=/proc/sys/net/core/bpf_jit_enable
	if unshare -m mount --bind jit $jit 2> /dev/null; then
		unshare -m sh -c "mount --bind jit $jit && exec \"\$0\" doctor -i lo" "$MAPI" > out.txt
		grep -q "^note *BPF JIT *off" out.txt || fail "doctor misses the JIT compiler: $(cat out.txt)"
	fi
	unshare -n "$MAPI_SOURCE/tests/live_cli.sh" inside
	code=$?
	[ "$failures" = 0 ] || exit 1
	exit $code
fi

ip link add veth0 type veth peer name veth1 || skip "no veth devices"
# No packets but ours: no IPv6, no ARP.
sysctl -qw net.ipv6.conf.all.disable_ipv6=1 2> /dev/null
ip link set veth0 arp off up && ip link set veth1 arp off up && ip link set lo up
ip address add 10.9.0.1/24 dev veth0

# One program that sends what it is told to; starting one takes time that a run with a duration has not.
coproc SENDER {
	exec python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for line in sys.stdin:
    for i in range(int(line)):
        s.sendto(bytes(100), ("10.9.0.2", 5000))
    s.sendto(b"end", ("10.9.0.2", 5001))
    print("sent", flush=True)'
}

send() { # N: so many UDP packets of 100 bytes of payload to port 5000, then one to port 5001
	local answer
	echo "$1" >&"${SENDER[1]}"
	read -r answer <&"${SENDER[0]}"
}

# Runs a program until it says that it captures.
begin() { # COMMAND...
	rm -f out.txt err.txt
	"$@" > out.txt 2> err.txt &
	pid=$!
	until grep -sq '^mapi: listening on' err.txt; do
		kill -0 $pid 2> /dev/null || break
		read -r -t 0.01 <> <(:)
	done
}

packet_sockets() {
	tail -n +2 /proc/net/packet | wc -l
}

finished() { # WHAT: wait for the end, sees that it is success
	wait $pid
	equal "$1: exit code" "$?" 0
}

begin "$MAPI" run -i veth1 'BPF_FILTER("udp port 5000") | PKT_COUNTER | BYTE_COUNTER' PKT_COUNTER
send 100
kill -INT $pid
finished "run until SIGINT"
equal "run: packets" "$(sed -n 's/^1: PKT_COUNTER *\([0-9]*\) .*/\1/p' out.txt)" 100
equal "run: bytes" "$(sed -n 's/^1: BYTE_COUNTER *\([0-9]*\) .*/\1/p' out.txt)" 14200
equal "run: all packets" "$(sed -n 's/^2: PKT_COUNTER *\([0-9]*\) .*/\1/p' out.txt)" 101
equal "run: summary" "$(sed -n 's/^mapi: flow 2: \([0-9]*\) packets captured, \(.*\)/\1 \2/p' err.txt)" \
	"101 0 lost"

begin "$MAPI" run -i veth1 --json --interval 0.3 --duration 1 udp port 5000
send 50
finished "run with a duration"
python3 - << 'END' || fail "run --interval: $(cat out.txt)"
import json
rows = [json.loads(line) for line in open("out.txt")]
counts = [row["value"] for row in rows if row["function"] == "PKT_COUNTER"]
assert len(counts) >= 3 and counts == sorted(counts) and counts[-1] == 50, counts
assert len({row["time"] for row in rows}) == len(counts)
END

begin "$MAPI" dump -i veth1 -c 7 udp port 5000
send 20
finished "dump -c"
equal "dump: lines" "$(grep -c 'IP 10.9.0.1.* > 10.9.0.2.5000: UDP, length 100' out.txt)" 7
grep -q '^7 packets printed$' err.txt || fail "dump: summary: $(cat err.txt)"
grep -q '^0 packets lost$' err.txt || fail "dump: loss: $(cat err.txt)"

begin "$MAPI" dump -i veth1 -w w.pcap
send 30
kill -INT $pid
finished "dump -w until SIGINT"
equal "dump -w: packets" "$(tcpdump -nr w.pcap --count 2> /dev/null | cut -d ' ' -f 1)" 31

begin "$MAPI" dump -i veth1 --count -c 5 udp port 5000
send 10
finished "dump --count -c"
equal "dump --count" "$(cat out.txt)" "5 packets"

# Less than an interval, and nothing at all, are shown, too.
for n in 100 0; do
	begin "$MAPI" util -i veth1 --csv --interval 60 --link-speed 1G
	[ $n = 0 ] || send $((n - 1)) # and the last one
	kill -INT $pid
	finished "util, $n packets"
	python3 - $n << 'END' || fail "util, $n packets: $(cat out.txt err.txt)"
import csv, sys
n = int(sys.argv[1])
row, = csv.DictReader(open("out.txt", newline=""))
assert int(row["packets"]) == n and int(row["bytes"]) == (n and (n - 1) * 142 + 45), row
assert 0.001 < float(row["seconds"]) < 60, row
assert abs(float(row["bits_per_s"]) * float(row["seconds"]) - 8 * int(row["bytes"])) < 1, row
END
done

begin "$MAPI" top -i veth1 --json --interval 0.4
send 40
until [ "$(wc -l < out.txt)" -ge 2 ]; do # with rates
	kill -0 $pid || break
	read -r -t 0.01 <> <(:)
done
kill -INT $pid
finished "top until SIGINT"
python3 - << 'END' || fail "top: $(cat out.txt)"
import json
rows = [json.loads(line) for line in open("out.txt")]
last = rows[-1]
assert last["total"]["packets"] == last["captured_packets"] == 41, last["total"]
assert sum(last["loss"].values()) == 0
assert {h["host"]: h["received_packets"] for h in last["hosts"]} == {"10.9.0.1": 0, "10.9.0.2": 41}
assert {p["port"]: p["received_packets"] for p in last["ports"]}["5000/udp"] == 40
assert any(row["total"]["packets_per_s"] for row in rows)
END

# Flows are connected one after the other; what comes meanwhile is not called something else.
python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(b"first", ("10.9.0.2", 5000))
print("sending", flush=True)
while True:
    s.sendto(b"always", ("10.9.0.2", 5000))' > sending.txt &
always=$!
until [ -s sending.txt ]; do
	kill -0 $always || break
	read -r -t 0.01 <> <(:)
done
for ((n = 0; n < 3; n++)); do
	begin "$MAPI" top -i veth1 --json --duration 0.2
	finished "top while packets come"
	python3 - << 'END' || fail "top while packets come: $(cat out.txt)"
import json
last = [json.loads(line) for line in open("out.txt")][-1]
rows = {row["protocol"]: row["packets"] for row in last["protocols"]}
assert rows["IPv4"] > 0 and rows["other"] == 0, rows
END
done
kill $always
wait $always

# Time goes on without packets: periods end, counting begins anew.
begin "$MAPI" run -i veth1 --json --duration 3 'PKT_COUNTER @c | STATS(c, "200ms")' \
	'TOP(1, TOPX_UDP, TOPX_UDP_DSTPORT, SORT_BY_PACKETS, 1)'
send 20
finished "run on a device that falls silent"
python3 - << 'END' || fail "periods on an idle device: $(cat out.txt)"
import json
rows = {row["function"]: row for row in map(json.loads, open("out.txt"))}
stats = rows["STATS"]["value"]
assert stats["sum"] == 21 and stats["min"] == 0 and 5 <= stats["count"] <= 30, stats
assert not rows["TOP"]["value"], rows["TOP"]
END

# An interface is called what it is called now.
begin "$MAPI" top -i veth1 --json --interval 0.2
ip link set veth1 down && ip link set veth1 name wan1 && ip link set wan1 up
until grep -q '"device":"wan1"' out.txt; do
	kill -0 $pid || break
	read -r -t 0.01 <> <(:)
done
kill -INT $pid
finished "top of an interface that is renamed"
equal "top of an interface that is renamed" "$(tail -1 out.txt | grep -o '"device":"[a-z0-9]*"')" '"device":"wan1"'
ip link set wan1 down && ip link set wan1 name veth1 && ip link set veth1 up

# Who captures is told, and through how large a ring.
tcpdump -i veth1 -B 4096 -w seen.pcap 2> dump.txt &
dump=$!
until grep -q listening dump.txt; do kill -0 $dump || break; read -r -t 0.01 <> <(:); done
"$MAPI" doctor -i veth1 > out.txt
tr -s ' \n' ' ' < out.txt | grep -qF "ok packet sockets 1: 1 of tcpdump (process $dump) with a ring of 4 MiB " ||
	fail "doctor, packet sockets: $(cat out.txt)"
grep -q "^ok *card's ring  *none that the driver tells of" out.txt || fail "doctor, the card's ring: $(cat out.txt)"
kill $dump
wait $dump

# Two programs, one capture. Daemons of earlier programs have gone when their sockets have.
until [ "$(packet_sockets)" = 0 ]; do
	read -r -t 0.01 <> <(:)
done
begin "$MAPI" run -i lo 'PKT_COUNTER' 'BPF_FILTER("udp") | PKT_COUNTER' 'BYTE_COUNTER'
equal "one packet socket for three flows" "$(packet_sockets)" 1
kill -INT $pid
finished "three flows"

"$MAPI" run -i no-such-device 2> err.txt
equal "a device that is not there" "$?" 4
"$MAPI" top 2> err.txt
equal "top without a default route" "$?" 2
grep -q "default route" err.txt || fail "$(cat err.txt)"

# Somebody without rights is told what to do.
if setpriv --reuid 65534 --regid 65534 --clear-groups test -x "$MAPI" 2> /dev/null; then
	setpriv --reuid 65534 --regid 65534 --clear-groups "$MAPI" run -i veth1 --duration 1 2> err.txt
	equal "no permission" "$?" 3
	setpriv --reuid 65534 --regid 65534 --clear-groups "$MAPI" doctor -i veth1 > out.txt
	equal "doctor without permission" "$?" 3
	grep -q sudo out.txt || fail "doctor says nothing of sudo"
fi
"$MAPI" doctor -i veth1 > out.txt
equal "doctor with permission" "$?" 0
# What runs in the kernel says how long its program is, and what a packet costs, once for a flow.
"$MAPI" explain -i veth1 udp port 5000 > out.txt || fail "explain: $(cat out.txt)"
equal "explain: wider than 80 columns" "$(awk 'length($0) > 80' out.txt)" ""
equal "explain: lines about a program" "$(grep -cE 'in a program of [0-9]+ instructions, [0-9]+ ns per packet$' out.txt)" \
	"$(grep -c '^      kernel: ' out.txt)"
finish

#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The programs of examples/ say of an interface what they say of a recording of the same packets: with
# the system daemon and without, ended by Ctrl-C or by their deadline. passive_ftp: ftp.sh.
. "$(dirname "$0")/lib.sh"

ip link set cable0 mtu 9000
ip link set cable1 mtu 9000
programs=$MAPI_BUILD/examples
cat > send.py << 'PYTHON'
import socket, struct, sys
data = open(sys.argv[1], "rb").read()
assert data[:4] == b"\xd4\xc3\xb2\xa1", "pcap, little-endian, microseconds"
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("cable1", 0))
at = 24
while at < len(data):
    n = struct.unpack_from("<I", data, at + 8)[0]
    s.send(data[at + 16:at + 16 + n])
    at += 16 + n
PYTHON

seen() { # PACKETS: all flows have seen so many, and there are N of them
	[ "$("$MAPI" flows --json | grep -o '"functions":\[{[^}]*}' | sed 's/.*"packets":\([0-9]*\),.*/\1/' | sort | uniq -c | xargs)" = "$1" ]
}

# N FLOWS, how it ends, what of its output counts (sed), capture, program and arguments
try() {
	local n=$1 how=$2 what=$3 capture=$OWN/$4.pcap program=$5 packets
	shift 5
	"$programs/$program" -r "$capture" "$@" | sed -n "$what" > file.txt
	[ -s file.txt ] || fail "$program -r: nothing"
	packets=$(tcpdump -nr "$capture" --count 2> /dev/null | cut -d ' ' -f 1)
	set -- -i cable0 "$@"
	[ "$how" = INT ] || set -- -t "$how" "$@"
	"$programs/$program" "$@" > live.txt 2> err.txt &
	local pid=$!
	await "$program: flows" flows_running "$n"
	python3 send.py "$capture"
	[ "$how" != INT ] || { await "$program: packets" seen "$n $packets"; kill -INT $pid; }
	wait $pid
	equal "$program $*: exit code" $? 0
	equal "$program: errors" "$(cat err.txt)" ""
	sed -n "$what" live.txt > now.txt
	cmp file.txt now.txt && echo "ok: $program $*: as of the file" ||
		fail "$program $*: $(diff file.txt now.txt)"
}

daemon_start
try 1 INT '$p' http packet_count "tcp port 80"
try 2 INT p http offline_count arp
try 2 INT p dns busiest_subnet 10.1.0.1/32 10.1.0.2/32
try 1 INT '$s/,.*//p' http link_utilisation
try 2 INT '$p' http link_utilisation_ref
try 2 INT '$p' mail mail_share
try 1 INT p mail top_talkers 2
try 1 2 p http print_ip tcp
try 1 2 's/^[^ ]* //p' dns print_packets 0 udp
try 1 2 p http slapper 'tcp dst port 80' '|47 45 54 20 2f 20 48 54 54 50 2f|'
# Without arguments, with both, with a wrong one: how it is called.
for program in packet_count print_ip passive_ftp top_talkers; do
	for arguments in "" "-r x -i lo" "-t x -i lo" "-x"; do
		"$programs/$program" $arguments > out.txt 2> err.txt
		equal "$program $arguments: exit code" $? 2
		grep -q -- "-r FILE | -i DEVICE" err.txt || fail "$program $arguments: $(cat err.txt)"
	done
done
daemon_stop
# Without a daemon.
"$programs/packet_count" -i cable0 -t 1 > live.txt || fail "packet_count without a daemon: $?"
equal "packet_count without a daemon" "$(tail -1 live.txt)" "0 packets"
finish

#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What runs in the kernel of Debian 12 (6.1), where there is no TCX, and what of it mapi doctor and the
# log say (mapid(8), KERNELS). Two cards on one cable: one whose driver has XDP (virtio), one without.
. "$MAPI_SOURCE/tests/vm/lib.sh"
packets=2000 # a card has room for some hundreds
chmod 755 .

service() { # LINES of mapi.conf
	mkdir -p /etc/mapi
	printf '%s\n' "$@" > /etc/mapi/mapi.conf
	equal "mapid --check-config" "$(mapid --check-config > checked.out 2>&1; echo $?)" 0
	since=$(journalctl -n 0 --show-cursor | sed -n 's/^-- cursor: //p')
	systemctl restart mapid
}

logged() { # TEXT: lines of the log
	journalctl -q -o cat -u mapid --after-cursor "$since" | grep -Ec -- "$1"
}

says_why() { # TEXT, each time that the interface is opened
	[ "$(logged "$1")" -gt 0 ] || fail "the log does not say why: $1"
}

packets_of() { # CARD: those that it has received
	cat "/sys/class/net/$1/statistics/rx_packets"
}

# What a flow counts and loses of what another card sends is what the card has received.
counts() { # WHAT DEVICE SENDER WHERE
	local before n got lost
	has "$1: where" "$4" mapi explain -i "$2" PKT_COUNTER
	before=$(packets_of "$2")
	got=$(counted "$2" "mapi explain -i $2 PKT_COUNTER > where.out; $BLAST $3 $packets")
	has "$1: where, with packets" "$4" cat where.out
	n=$(($(packets_of "$2") - before))
	equal "$1: counted" "$got" "$n lost 0"
	[ "$n" -ge $((packets / 2)) ] || fail "$1: only $n of $packets have come"
}

name_cards() {
	local card n=0
	for card in /sys/class/net/*/device; do
		card=$(basename "$(dirname "$card")")
		[ "$(cat "/sys/class/net/$card/address")" = 52:54:00:00:00:01 ] && n=0 || n=1
		ip link set "$card" down
		ip link set "$card" name "card$n"
		quiet "card$n"
	done
}

install_product
cable
name_cards
for card in card0 card1; do
	await "$card has a cable" 20 grep -qx 1 "/sys/class/net/$card/carrier"
done
captured="packets are counted, and not delivered"

echo "== what doctor says"
mapi doctor > doctor.out 2>&1
tr -s ' \n' ' ' < doctor.out > doctor.one
has "TCX" 'note TCX the kernel has none Flows that only count do so where packets are captured\. -> Linux 6\.6' cat doctor.one
has "super-packets" 'note super-packets the kernel does not tell .* counted as full segments' cat doctor.one
has "XDP" 'ok XDP programs can be loaded' cat doctor.one
has "eBPF" 'ok eBPF programs can be loaded' cat doctor.one

echo "== in the ring's program, in place of TCX"
service "[driver]" device=cable0
mapi run --json -i cable0 PKT_COUNTER > open.out 2> open.err & # which keeps the interface open
opener=$!
await "the interface is open" 20 listening open.err
for _ in 1 2 3; do
	counts "TCX" cable0 cable1 "$captured"
done
kill $opener
equal "the log says so, once" "$(logged 'cable0: .*not at the interface: TCX needs Linux 6.6')" 1

echo "== XDP in the driver: veth, and a card"
service "[driver]" device=cable0 direction=in "[driver]" device=card0 direction=in
counts "veth that takes tags away" cable0 cable1 "$captured"
says_why 'cable0: native XDP is not used: .*rxvlan off'
ethtool -K cable0 rxvlan off
systemctl restart mapid
counts "veth" cable0 cable1 'at the interface \(native XDP\)'
counts "virtio" card0 card1 'at the interface \(native XDP\)'

echo "== XDP behind a driver that has none"
service "[driver]" device=card1 direction=in
ethtool -K card1 rxvlan off gro on
counts "packets may be merged" card1 card0 "$captured"
says_why 'card1: .*not at the interface: .*gro off'
ethtool -K card1 gro off
systemctl restart mapid
counts "e1000e" card1 card0 'at the interface \(generic XDP\)'
equal "nothing is left" "$(bpftool net show | grep -Ec '^(cable|card)')" 0

echo "== what is on the default interface"
systemctl stop mapid mapid.socket mapid-read.socket 2> /dev/null
ip address add 10.9.0.1/24 dev card0
ip route add default via 10.9.0.2
while sleep 0.2; do "$BLAST" card1 50; done > sent.out &
load=$!
mapi top --json --duration 8 > top.out
equal "mapi top" $? 0
kill $load
has "its device" '"device":"card0"' tail -n 1 top.out
has "its packets" '"packets":[1-9]' tail -n 1 top.out
finish

#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Semantics L2 where the kernel calls packets dropped that were captured, because nothing speaks
# their protocol: no loss is invented. In both tiers, and where the interface belongs to others.
. "$(dirname "$0")/lib.sh"

dropped() { # by cable0, as the kernel says
	ip -j -s link show dev cable0 | sed 's/.*"stats64":{"rx":{[^}]*"dropped":\([0-9]*\).*/\1/'
}

# count_foreign WHAT TIMES: all packets are counted, none is lost, and the kernel says otherwise
count_foreign() {
	local before sent
	tally_start 0 - "len > 20"
	before=$(dropped)
	sent=$(python3 "$MAPI_SOURCE/tests/live/foreign.py" cable1 "$2" | cut -d ' ' -f 2)
	tally_end
	[ "$(dropped)" -gt "$before" ] || fail "$1: the kernel calls nothing dropped"
	equal "$1: packets counted, and lost" \
		"$(sed -n 's/^flow [0-9]* packets \([0-9]*\) .* lost \([0-9]*\)$/\1 \2/p' tally.out)" \
		"$(printf '%s 0\n%s 0' "$sent" "$sent")"
}

for engine in user auto; do
	daemon_config group=root "[driver]" device=cable0 "engine=$engine"
	daemon_start
	count_foreign "engine=$engine" 300
	ip link add bridge0 type bridge mcast_snooping 0 && ip link set cable0 master bridge0 && ip link set bridge0 up
	count_foreign "engine=$engine, in a bridge" 300
	ip link del bridge0
	ip link add macvlan0 link cable0 type macvlan && ip link set macvlan0 up
	count_foreign "engine=$engine, under a macvlan" 300
	ip link del macvlan0
	daemon_stop
done
finish

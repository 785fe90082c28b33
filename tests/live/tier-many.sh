#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# 500 flows with different filters in the kernel tier, while others come and go under traffic: what
# is sent is what each counts, nobody waits, and nothing is left in the kernel of a daemon that is
# killed. Half of the filters accept one connection, half all but one.
. "$(dirname "$0")/lib.sh"
await_s=40 # making a program of this size is followed by a rest of ten times as long
packets=64000 changes=60 flows=500 limit_ms=50
[ -z "${MAPI_TEST_LONG-}" ] || packets=1000000 changes=600

filters=()
for ((i = 0; i < flows / 2; i++)); do
	filters+=("udp src port $((10000 + i))" "udp dst port 9 and not src port $((10000 + i))")
done

in_the_kernel() { # asked once more each time: all functions of all flows
	echo >&9
	[ "$(grep '^tier' tally.out | tail -n $((3 * flows)) | grep -c ' kernel: ')" = $((3 * flows)) ]
}

# Of what BLAST sends, 16 connections from port 10000 on, each flow's share: packets and losses.
shares() {
	awk -v n="$packets" '/^flow/ {
		i = seen; pair = int(i / 2)
		share = i % 2 ? (pair < 16 ? n - n / 16 : n) : (pair < 16 ? n / 16 : 0)
		if ($4 != share || $6 != 60 * share || $12 != 0) {
			if (bad++ < 5) print > "/dev/stderr"
		}
		seen++
	} END { print seen, "flows,", bad + 0, "of them wrong" }' tally.out
}

quick() { # whether the slowest call was
	awk -v limit="$limit_ms" '/^changed/ { ok = $3 < limit && $7 < limit } END { exit !ok }' tally.out
}

# One round. Return: whether the calls were quick, which others on this machine may prevent.
round() { # WHO
	tally_start "$changes" "${filters[@]}"
	"$BLAST" cable1 "$packets" > /dev/null
	await "all flows in the kernel" in_the_kernel
	tally_end
	grep '^changed' tally.out
	equal "$1: what each counts" "$(shares)" "$flows flows, 0 of them wrong"
	quick
}

rounds() { # WHO: a time that is missed is measured again
	local n
	for ((n = 0; n < 5; n++)); do
		! round "$1" || return 0
	done
	fail "$1: with $flows flows, connecting or closing takes $limit_ms ms and more"
}

echo "== the system daemon"
daemon_config group=root "[driver]" device=cable0 engine=kernel ring_mb=64
daemon_start
tally_start 0 "udp"
cause=$(tally_cause)
tally_end
[ -z "$cause" ] || skip "no programs may be loaded into the kernel: $cause"
rounds "system"

echo "== a daemon that is killed"
if [ -z "$bpftool" ]; then
	echo "bpftool is not here: what is left in the kernel is not looked at"
else
	tally_start 0 "${filters[@]}"
	await "all flows in the kernel" in_the_kernel
	kill_leaves_nothing
	await "nobody captures" nobody_captures
	kill "$tally"
	exec 9>&-
fi
finish

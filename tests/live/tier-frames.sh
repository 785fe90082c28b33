#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# In the kernel tier: fragments, IPv6 extension headers, two tags and the shortest frames are counted
# as filters say; an interface may go down and up meanwhile; of a daemon that was killed no program
# is left in the kernel.
. "$(dirname "$0")/lib.sh"
filters=("-" "udp port 9" "ip[6:2] & 0x1fff != 0" "ip6" "ip6[6] = 0" "vlan" "len <= 14")

# What was counted is what the sender says.
all_counted() { # WHAT
	equal "$1" "$(sed -n 's/^flow [0-9]* \(packets [0-9]* bytes [0-9]*\) .*/\1/p' tally.out)" \
		"$(cut -d ' ' -f 2- sent)"
}

tally_start 0 "${filters[@]}"
cause=$(tally_cause)
if [ -n "$cause" ]; then
	tally_end
	skip "no programs may be loaded into the kernel: $cause"
fi
echo "== headers"
python3 "$MAPI_SOURCE/tests/live/frames.py" cable1 300 > sent
tally_end
all_counted "headers, packets and bytes"

echo "== an interface that goes down and up"
tally_start 0 "${filters[@]}"
python3 "$MAPI_SOURCE/tests/live/frames.py" cable1 100 > /dev/null
for ((i = 0; i < 3; i++)); do
	ip link set cable0 down
	ip link set cable0 up
done
python3 "$MAPI_SOURCE/tests/live/frames.py" cable1 100 > /dev/null
tally_end
awk '{ $3 = $3 * 2 / 3; $5 = $5 * 2 / 3; print }' sent > both
mv both sent
all_counted "down and up, packets and bytes"

echo "== a daemon that is killed"
if [ -z "$bpftool" ]; then
	echo "bpftool is not here: what is left in the kernel is not looked at"
else
	daemon_config group=root "[driver]" device=cable0 engine=kernel
	daemon_start
	tally_start 0 "${filters[@]}"
	engine=$(engine_pid)
	ids=$(programs_of "$engine")
	[ -n "$ids" ] || fail "the engine holds no program: $(cat daemon.log)"
	! no_programs $ids || fail "bpftool does not know the programs of the engine: $ids"
	kill -KILL "$daemon" "$engine"
	await "nothing of it in the kernel" no_programs $ids && echo "ok: nothing is left of programs" $ids
	daemon=
	kill "$tally"
	exec 9>&-
fi
finish

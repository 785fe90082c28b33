#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# In the kernel tier: fragments, IPv6 extension headers, two tags and the shortest frames are counted
# as filters say; an interface may go down and up meanwhile; of a daemon that was killed no program
# is left in the kernel.
. "$(dirname "$0")/lib.sh"
filters=("-" "udp port 9" "ip[6:2] & 0x1fff != 0" "ip6" "ip6[6] = 0" "vlan" "len <= 14")

count_start() {
	rm -f tally.out go
	mkfifo go
	"$TALLY" cable0 0 "${filters[@]}" < go > tally.out &
	tally=$!
	exec 9> go
	await "flows that count" grep -q ready tally.out || cat daemon.log
}

count_end() {
	exec 9>&-
	wait "$tally" || fail "tally has failed"
}

# What was counted is what the sender says.
all_counted() { # WHAT
	equal "$1" "$(sed -n 's/^flow [0-9]* \(packets [0-9]* bytes [0-9]*\) .*/\1/p' tally.out)" \
		"$(cut -d ' ' -f 2- sent)"
}

programs_of() { # PID: ids of programs that it holds
	sed -n 's/^prog_id:[[:space:]]*//p' "/proc/$1"/fdinfo/* 2> /dev/null | sort -u
}

no_programs() { # IDS
	local id
	for id in "$@"; do
		! "$bpftool" prog show id "$id" > /dev/null 2>&1 || return 1
	done
}

count_start
cause=$(sed -n 's/^tier.*user: //p' tally.out | sort -u | head -1)
if [ -n "$cause" ]; then
	count_end
	skip "no programs may be loaded into the kernel: $cause"
fi
echo "== headers"
python3 "$MAPI_SOURCE/tests/live/frames.py" cable1 300 > sent
count_end
all_counted "headers, packets and bytes"

echo "== an interface that goes down and up"
count_start
python3 "$MAPI_SOURCE/tests/live/frames.py" cable1 100 > /dev/null
for ((i = 0; i < 3; i++)); do
	ip link set cable0 down
	ip link set cable0 up
done
python3 "$MAPI_SOURCE/tests/live/frames.py" cable1 100 > /dev/null
count_end
awk '{ $3 = $3 * 2 / 3; $5 = $5 * 2 / 3; print }' sent > both
mv both sent
all_counted "down and up, packets and bytes"

echo "== a daemon that is killed"
bpftool=$(PATH=$PATH:/usr/sbin:/sbin command -v bpftool) || bpftool=
if [ -z "$bpftool" ]; then
	echo "bpftool is not here: what is left in the kernel is not looked at"
else
	daemon_config group=root "[driver]" device=cable0 engine=kernel
	daemon_start
	count_start
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

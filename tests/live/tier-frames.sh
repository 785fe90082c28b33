#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# In the kernel tier: fragments, IPv6 extension headers, two tags and the shortest frames are counted
# as filters say; an interface may go down and up meanwhile, be removed and made again, renamed and
# resized; of a daemon that was killed no program is left in the kernel.
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

bound_to() { # INTERFACE SOCKETS: so many are, and receive
	local index
	index=$(ip -o link show "$1" | cut -d : -f 1)
	[ "$(awk -v i="$index" '$4 == "0003" && $5 == i && $6 == 1' /proc/net/packet | wc -l)" = "$2" ]
}

frames_sent() { # NAME OF THE OTHER END
	python3 "$MAPI_SOURCE/tests/live/frames.py" "$1" 100 > /dev/null
}

# While a program counts, its interface is removed and made again, renamed, given another MTU.
changing() { # RINGS
	local tally_option=-r
	tally_start 0 "${filters[@]}"
	equal "functions in the kernel" "$(grep -c '^tier.* kernel: ' tally.out)" 20
	frames_sent cable1
	ip link del cable0
	ip link add cable0 type veth peer name cable1
	ip link set cable1 up
	ip link set cable0 up
	await "the new interface is captured" bound_to cable0 "$1"
	frames_sent cable1
	ip link set cable0 down
	ip link set cable0 name cable7
	ip link set cable7 mtu 4000 up
	frames_sent cable1
	ip link set cable7 mtu 1400
	frames_sent cable1
	echo >&9 # where do functions run now?
	await "an answer" [ "$(grep -c '^tier.* kernel: ' tally.out)" -ge 20 ]
	tally_end
	all_counted "removed, made again, renamed, resized: packets and bytes"
	equal "still in the kernel" "$(grep -c '^tier.* kernel: ' tally.out)" 40
	equal "lost" "$(sed -n 's/^flow.* lost //p' tally.out | sort -u)" 0
	grep -q '^outages [2-9]' tally.out || fail "outages: $(grep outages tally.out)"
	grep -q ' changes [2-9]$' tally.out || fail "changes: $(grep changes tally.out)"
	ip link set cable7 down
	ip link set cable7 name cable0
	ip link set cable0 up
}

awk '{ $3 = $3 * 2; $5 = $5 * 2; print }' sent > twice
mv twice sent
for cpus in "" "cpus=0-1"; do
	echo "== an interface that changes, $([ -z "$cpus" ] && echo one worker || echo two workers)"
	daemon_config group=root "[driver]" device=cable0 engine=kernel $cpus
	daemon_start
	changing $([ -z "$cpus" ] && echo 1 || echo 2)
	daemon_stop
done

echo "== a daemon that is killed"
if [ -z "$bpftool" ]; then
	echo "bpftool is not here: what is left in the kernel is not looked at"
else
	daemon_config group=root "[driver]" device=cable0 engine=kernel
	daemon_start
	tally_start 0 "${filters[@]}"
	kill_leaves_nothing
	kill "$tally"
	exec 9>&-
fi
echo "== an interface without Ethernet"
rm -f tun.go
mkfifo tun.go
python3 "$MAPI_SOURCE/tests/live/tun.py" mapitun0 < tun.go > tun.out 2> tun.err &
companions+=($!)
exec 7> tun.go
if ! await "a tunnel's interface" grep -q . tun.out tun.err || [ -s tun.err ]; then
	echo "no such interface can be made here: $(tail -n 1 tun.err)"
else
	daemon_config group=root "[driver]" device=mapitun0 engine=kernel
	daemon_start
	tally_device=mapitun0
	tally_start 0 "udp port 9" "-" "ip6" "ip[8] = 64" "tcp"
	equal "without Ethernet: functions in the kernel" "$(grep -c '^tier.* kernel: ' tally.out)" 14
	echo 500 >&7
	await "packets" grep -q sent tun.out
	tally_end
	for line in "1 1000 1000" "2 1000 1000" "3 500 1000" "4 500 1000" "5 0 1000"; do
		read -r n packets entered <<< "$line"
		equal "without Ethernet: flow $n" "$(tally_report "$n" | sed 's/ passed.* lost/ lost/')" \
			"packets $packets bytes $((100 * packets)) entered $entered lost 0"
	done
	daemon_stop
fi
exec 7>&-
finish

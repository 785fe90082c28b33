#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Flows that the kernel runs (docs/architecture.md, "The kernel tier"): what is sent is what is
# counted, exactly, in either tier and while flows come and go; nothing is left behind.
. "$(dirname "$0")/lib.sh"
packets=60000 changes=60
[ -z "${MAPI_TEST_LONG-}" ] || packets=2000000 changes=1000 await_s=60

filters=("udp port 9" "-" "ip[8] > 20" "tcp" "len > 0" "udp dst port 9 and src port 10003"
	"%7 udp port 9")

tiers() { # of all functions, in order
	sed -n 's/^tier [0-9]* [0-9]* \([a-z]*\):.*/\1/p' tally.out | sort | uniq -c | awk '{ print $2, $1 }'
}

# Every flow has counted what was sent, or been told of what it lost.
all_counted() { # WHAT SIZE PACKETS
	local what=$1 n=$3 bytes=$(($2 * $3)) share=$(($3 / 16))
	local all="packets $n bytes $bytes entered $n passed $n lost 0"

	equal "$what: udp port 9" "$(tally_report 1)" "$all"
	equal "$what: no filter" "$(tally_report 2)" "$all"
	equal "$what: by a field" "$(tally_report 3)" "$all"
	equal "$what: nothing" "$(tally_report 4)" "packets 0 bytes 0 entered $n passed 0 lost 0"
	equal "$what: by length" "$(tally_report 5)" "$all"
	equal "$what: a sixteenth" "$(tally_report 6)" \
		"packets $share bytes $(($2 * share)) entered $n passed $share lost 0"
	equal "$what: every seventh" "$(tally_report 7)" \
		"packets $((n / 7)) bytes $(($2 * (n / 7))) entered $n passed $n lost 0"
}

reasons() { # of all functions in the kernel
	sed -n 's/; not by \([a-zA-Z ]*\): .*/; not by \1/; s/; not at the interface: .*//; s/^tier [0-9]* [0-9]* kernel: //p' tally.out | sort -u
}

in_the_kernel() { # BY WHOM
	tally_start 0 "${filters[@]}"
	equal "$1: functions in the kernel" "$(tiers)" "kernel 21"
	equal "$1: where" "$(reasons)" "$place"
	"$BLAST" cable1 "$packets" > /dev/null
	tally_end
	all_counted "$1" 60 "$packets"
}

# Whoever connects while packets come, some of which are delivered for others, counts each packet
# that comes from then on.
marked() { # BY WHOM
	"$MAPI" run -q -i cable0 -e 'BPF_FILTER("udp src port 10003") | CUT(40) | BYTE_COUNTER' > marks.json &
	run=$!
	companions+=($run)
	"$BLAST" cable1 100000000 > /dev/null &
	blast=$!
	companions+=($blast)
	"$MARKS" cable0 cable1 "$((changes / 2))" > marks.out || cat marks.out
	equal "$1: packets after mapi_connect()" "$(tail -n 1 marks.out)" "marks $((changes / 2)) wrong 0"
	kill -KILL $blast
	kill -TERM $run
	wait $run $blast 2> /dev/null
}

under_change() { # BY WHOM
	local await_s=60
	tally_start "$changes" "${filters[@]}"
	"$BLAST" cable1 "$packets" > /dev/null
	tally_end
	if tally_report 2 | grep -q 'lost 0'; then
		all_counted "$1: while flows change" 60 "$packets"
	else
		tally_accounts "$1: while flows change" "$packets" 1 2 3 5
	fi
}

# Nobody of before wants packets any more.
alone() {
	[ -z "$daemon" ] || await "flows that have gone" flows_running 0
}

# Among flows that want packets, and alone.
at_the_ring() { # WHO COMMAND
	alone
	tally_option=-r
	place="packets are counted, and not delivered"
	"$2" "$1, where packets are captured"
}

at_the_interface() { # WHO COMMAND
	alone
	tally_option=
	if [ -n "$has_tcx" ]; then
		place="counted at the interface (TCX)$sampled"
		"$2" "$1, at the interface"
	else
		echo "no TCX here (Linux 6.6): flows that only count do so where packets are captured"
	fi
}
tally_option= has_tcx=
# SAMPLE numbers packets where they are captured.
sampled=$'\npackets are counted, and not delivered'

echo "== a private daemon"
tally_start 0 "${filters[@]}"
tally_end
cause=$(tally_cause)
[ -z "$cause" ] || skip "no programs may be loaded into the kernel: $cause"
at_the_ring private in_the_kernel
at_the_ring private under_change
marked "private"
await "the interface is let go" nobody_captures

echo "== tagged frames"
tally_start 0 "${filters[@]}"
"$BLAST" cable1 1600 -s 64 --vlan > /dev/null
tally_end
equal "tagged frames: no filter" "$(tally_report 2)" "packets 1600 bytes 102400 entered 1600 passed 1600 lost 0"
equal "tagged frames: udp" "$(tally_report 1)" "packets 0 bytes 0 entered 1600 passed 0 lost 0"

echo "== a gate that is open for some time"
all_open() { # asked once more each time
	echo >&9
	[ "$(grep '^tier' tally.out | tail -n 25 | grep -c ' kernel: ')" = 25 ]
}
tally_start 0 "${filters[@]}" "=+10m udp port 9"
"$BLAST" cable1 1600 > /dev/null
await "flows in the kernel, and a gate that is open" all_open
"$BLAST" cable1 1600 > /dev/null
tally_end
all_counted "with a gate" 60 3200
equal "behind a gate" "$(tally_report 8)" "$(tally_report 1)"

echo "== a program that takes long to make"
few=("${filters[@]}")
for ((i = 0; i < 40; i++)); do
	text="udp port 9"
	for ((k = 0; k < 15; k++)); do
		text="$text or host 10.$i.1.$k"
	done
	filters+=("$text")
done
all_in_the_kernel() { # asked once more each time
	echo >&9
	[ "$(grep '^tier' tally.out | tail -n 141 | grep -c ' kernel: ')" = 141 ]
}
tally_start 0 "${filters[@]}"
"$BLAST" cable1 1600 > /dev/null
await "47 flows in the kernel" all_in_the_kernel
"$BLAST" cable1 1600 > /dev/null
tally_end
equal "both tiers together" "$(grep '^flow' tally.out | sed 's/^flow [0-9]* //' | sort | uniq -c | sort -rn | head -1 | sed 's/^ *//')" \
	"44 packets 3200 bytes 192000 entered 3200 passed 3200 lost 0"
filters=("${few[@]}")

echo "== the system daemon, whose parent loads programs"
daemon_config group=root "[driver]" device=cable0 engine=kernel
daemon_start
tally_option=
tally_start 0 "${filters[@]}"
tally_end
! grep -q "counted at the interface" tally.out || has_tcx=yes
for where in at_the_ring at_the_interface; do
	$where system in_the_kernel
done
echo "== what it costs"
"$MAPI" explain -i cable0 'BPF_FILTER("udp") | PKT_COUNTER' > explain.out || fail "explain: $?"
grep -Eq 'in a program of [0-9]+ instructions, [0-9]+ ns per packet' explain.out ||
	fail "explain says no cost: $(cat explain.out)"
for where in at_the_ring at_the_interface; do
	$where system under_change
done
daemon_stop
await "the interface is let go" nobody_captures

echo "== two workers"
daemon_config group=root "[driver]" device=cable0 cpus=0-1 engine=kernel
daemon_start
in_the_kernel "two workers"
tally_start 0 "${filters[@]}"
equal "rings" "$(packet_sockets)" 2
"$BLAST" cable1 1600 -s 64 --vlan > /dev/null
tally_end
equal "two workers, tagged frames: no filter" "$(tally_report 2)" \
	"packets 1600 bytes 102400 entered 1600 passed 1600 lost 0"
under_change "two workers"
marked "two workers"
daemon_stop
await "the interface is let go" nobody_captures

echo "== packets that are cut: counted are those that filters see"
daemon_config group=root "[driver]" device=cable0 snaplen=30 engine=kernel
daemon_start
tally_start 0 "${filters[@]}"
equal "cut: functions in the kernel" "$(tiers)" "kernel 21"
"$BLAST" cable1 1600 > /dev/null
tally_end
equal "cut: no filter" "$(tally_report 2)" "packets 1600 bytes 96000 entered 1600 passed 1600 lost 0"
equal "cut: by a field that is kept" "$(tally_report 3)" "packets 1600 bytes 96000 entered 1600 passed 1600 lost 0"
equal "cut: by a port that is not" "$(tally_report 1)" "packets 0 bytes 0 entered 1600 passed 0 lost 0"
daemon_stop
await "the interface is let go" nobody_captures

echo "== an interface of which only what comes in is monitored"
in_xdp() { # KIND [WHY NOT IN ANOTHER WAY]
	daemon_config group=root "[driver]" device=cable0 direction=in
	daemon_start
	tally_option= place="counted at the interface ($1)${2-}$sampled"
	in_the_kernel "$1"
	alone
	under_change "$1"
	daemon_stop
}
python3 "$MAPI_SOURCE/tests/live/offloads.py" cable0 tags
in_xdp "native XDP"
# What is longer than a page keeps the driver from it. Behind the driver packets may have been merged.
ip link set cable1 mtu 9000
[ -z "$has_tcx" ] || in_xdp "TCX ingress" "; not by native XDP"
ip link set cable1 mtu 1500
daemon_config group=root

echo "== the same in the daemon"
daemon_config group=root "[driver]" device=cable0 engine=user
daemon_start
tally_start 0 "${filters[@]}"
equal "functions in the daemon" "$(tiers)" "user 21"
equal "their reason" "$(sed -n 's/^tier.*user: //p' tally.out | sort -u)" \
	"the configuration says so (engine=user)"
"$BLAST" cable1 "$packets" > /dev/null
tally_end
if tally_report 2 | grep -q 'lost 0'; then
	all_counted "in the daemon" 60 "$packets"
else
	tally_accounts "in the daemon" "$packets" 1 2 3 5
fi
daemon_stop
finish

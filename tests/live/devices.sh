#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Lists of devices while interfaces come, go and are renamed: numbers without gaps at first, kept as
# long as the interface is there. Whatever a device is called, the table fits into 80 columns.
. "$(dirname "$0")/lib.sh"

numbers() { # "0 lo, 1 cable1, " in the order of the numbers
	"$MAPI" devices --json | python3 -c '
import json, sys
devices = [json.loads(line) for line in sys.stdin]
for one in sorted((one for one in devices if one["id"] is not None), key=lambda one: one["id"]):
    print(one["id"], one["device"], end=", ")'
}

fits() { # WHAT: the table has no long line, and every name
	"$MAPI" devices > table.txt 2> err.txt || fail "$1: $(cat err.txt)"
	equal "$1: lines of more than 80 columns" "$(python3 -c '
import sys
print(*(line for line in open("table.txt", encoding="utf-8") if len(line.rstrip("\n")) > 80))')" ""
	"$MAPI" devices --names | while read -r name; do
		tr -d ' \n' < table.txt | grep -qF -- "$(tr -d ' ' <<< "$name")" || echo "$name"
	done > missing.txt
	equal "$1: missing names" "$(cat missing.txt)" ""
}

pair() { # NAME NAME: of two interfaces, numbered by the kernel in this order
	ip link add "$2" type veth peer name "$1"
}

# The kernel's numbers have gaps.
pair gone0 gone1 && ip link delete gone0
pair zz8 zz9
equal "a private daemon's numbers" "$(numbers)" "0 lo, 1 cable1, 2 cable0, 3 zz8, 4 zz9, "

daemon_start
equal "numbers" "$(numbers)" "0 lo, 1 cable1, 2 cable0, 3 zz8, 4 zz9, "
ip link delete cable0 # and cable1 with it
equal "two have gone" "$(numbers)" "0 lo, 3 zz8, 4 zz9, "
ip link set zz9 name aa9
pair new1 new2
equal "two have come, another is renamed" "$(numbers)" "0 lo, 1 new1, 2 new2, 3 zz8, 4 aa9, "
pair new5 new6
equal "more have come" "$(numbers)" "0 lo, 1 new1, 2 new2, 3 zz8, 4 aa9, 5 new5, 6 new6, "
"$MAPI" run -i aa9 > run.txt 2>&1 &
runs=$!
await "a flow" flows_running 1
equal "the device of a flow" "$("$MAPI" flows --json | sed 's/.*"device_id":\([^,]*\),.*/\1/')" 4
kill "$runs"
wait "$runs"
# What goes by chance has its seed told, also to who lists and explains; what does not has none.
"$MAPI" run -i aa9 --seed 4711 'SAMPLE(50, PROBABILISTIC) | PKT_COUNTER | SAMPLE(2, PERIODIC) | HASHSAMP(9)' > run.txt 2>&1 &
runs=$!
await "a flow" flows_running 1
equal "seeds" "$("$MAPI" flows --json | grep -o '"seed":[a-z0-9]*' | xargs)" \
	"seed:4711 seed:null seed:null seed:6564987"
equal "seeds for people" "$("$MAPI" flows | grep -o 'seed .*' | xargs)" "seed 4711 seed 6564987"
equal "where functions run" "$("$MAPI" flows --csv | tr -d '\r' | awk -F, 'NR > 1 && $13 != "user" && $13 != "kernel"')" ""
kill "$runs"
wait "$runs"
equal "seeds explained" "$(MAPI_SEED=12 "$MAPI" explain -i aa9 'SAMPLE(50, PROBABILISTIC)' | grep -o 'seed .*')" "seed 12"

# Long names and many long addresses.
echo 0 > /proc/sys/net/ipv6/conf/aa9/disable_ipv6
ip link set aa9 name a-name-of-15-xx
for i in 1 2 3 4 5 6; do
	ip -6 address add 2001:db8:aaaa:bbbb:cccc:dddd:eeee:fff$i/64 dev a-name-of-15-xx nodad
done
fits "long addresses"
equal "all addresses are shown" "$(tr ' ' '\n' < table.txt | grep -c '^2001:db8:aaaa:bbbb:cccc:dddd:eeee:fff')" 6
daemon_stop

# What the configuration says of devices, and devices that are no interfaces.
mkdir -p "traces/$(printf 'x%.0s' {1..100})"
long=$(printf 'word%.0s' {1..50})
daemon_config group=root "[driver]" device=new2 "alias=$(printf 'alias%.0s' {1..30})" \
	"description=$long und so weiter, mit Umlauten: äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü" \
	"[driver]" "device=$PWD/traces/$(printf 'x%.0s' {1..100})" driver=mapivindrv.so \
	"trace_dir=$PWD/traces/$(printf 'x%.0s' {1..100})" "[driver]" device=lo alias=loop description=ours \
	link_speed=25000 devgroup=7
daemon_start
fits "long descriptions"
equal "configured numbers" "$(numbers)" "0 new2, 1 $PWD/traces/$(printf 'x%.0s' {1..100}), 2 lo, "
equal "devices that are not served" "$("$MAPI" devices --csv | sed -n 's/^,\([^,]*\),.*/\1/p' | sort | tr '\n' ' ')" \
	"a-name-of-15-xx new1 new5 new6 zz8 "
equal "kinds" "$("$MAPI" devices --csv | tr -d '\r' | awk -F, 'NR > 1 { print $5 }' | sort | uniq -c | xargs)" \
	"6 ethernet 1 loopback 1 other"
equal "speed and group" "$("$MAPI" devices --csv | tr -d '\r' | awk -F, 'NR == 1 || $2 == "lo" { print $7, $16 }' | xargs)" \
	"speed_mbps group 25000 7"
equal "speed and group for people" "$(grep -A4 '^ *2 . lo ' table.txt | grep -o '25 Gb/s\|group 7' | xargs)" "25 Gb/s group 7"
equal "speed and group as JSON" "$("$MAPI" devices --json | grep -o '"device":"lo".*' | grep -o '"speed_mbps":[0-9]*\|"group":[0-9]*' | xargs)" \
	"speed_mbps:25000 group:7"
equal "no group" "$("$MAPI" devices --json | grep -c '"group":null')" 7
"$MAPI" doctor -i loop > doctor.txt || fail "doctor of an alias: $(cat doctor.txt)"
grep -q '^ok *device *lo: loopback' doctor.txt || fail "doctor of an alias: $(cat doctor.txt)"
tr -d ' \n' < table.txt | grep -q "$long" || fail "the description is not whole: $(cat table.txt)"
daemon_stop
cat table.txt

echo "== captures that are replayed, by an alias, and where workers run"
processors=($(python3 -c 'import os; print(*sorted(os.sched_getaffinity(0))[:2])'))
pinned=$(IFS=,; echo "${processors[*]}")
mkdir replay
cp "$OWN/http.pcap" replay
daemon_config group=root "[driver]" device=replayed driver=mapivindrv.so "trace_dir=$PWD/replay" alias=again \
	"[driver]" device=lo alias=loop "cpus=$pinned"
daemon_start
twice() { # both passes have all packets, and a program sees them as they come
	[ "$(tail -1 run.txt | sed -n 's/.*"value":\([0-9]*\),.*/\1/p')" -ge 158 ]
}
"$MAPI" run -i again --json --interval 0.1 PKT_COUNTER > run.txt 2> err.txt &
runs=$!
await "a second pass" twice || cat err.txt
kill "$runs"
wait "$runs" || fail "captures that are replayed: $(cat err.txt)"
if [ ${#processors[@]} = 2 ]; then
	"$MAPI" run -i loop > run.txt 2>&1 &
	runs=$!
	await "a flow" flows_running 1
	equal "threads that have a processor of their own" \
		"$(sed -n 's/^Cpus_allowed_list:\t\([0-9]*\)$/\1/p' /proc/"$(engine_pid)"/task/*/status | sort -n | xargs)" \
		"${processors[*]}"
	kill "$runs"
	wait "$runs"
fi
daemon_stop
finish

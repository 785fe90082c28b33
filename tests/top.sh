#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# mapi top on files: its totals are those of mapi run, its hosts and ports those that tcpdump prints;
# what it says without a terminal, and how it uses one (top_pty.py).
. "$(dirname "$0")/lib.sh"

json() { # FILE EXPRESSION FILTER...: EXPRESSION of the last object, which is called "o"
	file=$1 expression=$2
	shift 2
	"$ALONE" "$MAPI" top -r "$file" --json -n 1000 "$@" > out.json || fail "mapi top $* ended with $?"
	python3 -c '
import json, sys
o = json.loads(open("out.json").readlines()[-1])
print(eval(sys.argv[1]))' "$expression"
}

run_values() { # FILE FILTER...: packets and bytes
	file=$1
	shift
	"$MAPI" run -r "$file" --json "$@" | json_values | cut -f 2 | tr '\n' ' '
}

for file in http.pcap dns.pcap ipv6.pcap vlan.pcap fragments.pcap dns-two-links.pcapng; do
	equal "$file" "$(json "$OWN/$file" 'o["total"]["packets"], o["total"]["bytes"]' | tr -d '(,)') " \
		"$(run_values "$OWN/$file")"
	equal "$file: network protocols are everything" \
		"$(json "$OWN/$file" 'sum(p["packets"] for p in o["protocols"]
			if p["protocol"] in ("IPv4", "IPv6", "ARP", "other"))')" \
		"$(json "$OWN/$file" 'o["total"]["packets"]')"
	equal "$file: loss" "$(json "$OWN/$file" 'sum(o["loss"].values())')" 0
done
for filter in udp "tcp port 80" "ip6 or arp"; do
	equal "http.pcap '$filter'" \
		"$(json "$OWN/http.pcap" 'o["total"]["packets"], o["total"]["bytes"]' $filter | tr -d '(,)') " \
		"$(run_values "$OWN/http.pcap" $filter)"
done

# Rows against tcpdump's addresses.
for host in 10.1.0.1 10.1.0.2; do
	equal "packets from $host" \
		"$(json "$OWN/http.pcap" "[h['sent_packets'] for h in o['hosts'] if h['host'] == '$host'][0]" ip)" \
		"$(tcpdump -nr "$OWN/http.pcap" --count ip and src host $host 2> /dev/null | cut -d ' ' -f 1)"
done
equal "packets from and to port 80" \
	"$(json "$OWN/http.pcap" "[p['packets'] for p in o['ports'] if p['port'] == '80/tcp'][0]")" \
	"$(tcpdump -nr "$OWN/http.pcap" --count tcp port 80 2> /dev/null | cut -d ' ' -f 1)"

# Not on a terminal: lines, no control sequences, and as many as asked for.
"$ALONE" "$MAPI" top -r "$OWN/http.pcap" -n 1 > out.txt || fail "lines: ended with $?"
equal "control characters" "$(tr -d '\n\40-\176' < out.txt | wc -c)" 0
equal "one host, one port" "$(sed -n '/^HOST/,$p' out.txt | grep -c '[0-9]$')" 2
equal "colour if wanted" "$("$MAPI" top -r "$OWN/http.pcap" --color always | grep -c "$(printf '\033')")" 4
equal "standard input" "$("$MAPI" top -r - < "$OWN/http.pcap" | sed -n 's/^all  *\([0-9]*\) .*/\1/p')" \
	"$(tcpdump -nr "$OWN/http.pcap" --count 2> /dev/null | cut -d ' ' -f 1)"

# Mistakes.
"$MAPI" top -r "$OWN/http.pcap" tcp prt 80 2> err.txt
equal "a wrong filter" "$?" 2
grep -q '\^' err.txt || fail "no caret: $(cat err.txt)"
"$MAPI" top -r no-such-file 2> /dev/null
equal "no file" "$?" 4
"$MAPI" top -r "$OWN/http.pcap" -i lo 2> /dev/null
equal "file and device" "$?" 2
"$MAPI" run --interval 1 -r "$OWN/http.pcap" 2> /dev/null
equal "an interval on a file" "$?" 2

# What the machine says of itself needs no right.
"$MAPI" devices --json | python3 -c '
import json, sys
lo = [d for d in map(json.loads, sys.stdin) if d["kind"] == "loopback"]
sys.exit(not lo or lo[0]["mtu"] <= 0)' || fail "mapi devices does not list the loopback"
"$MAPI" doctor --json > doctor.json
code=$?
case $code in 0 | 3 | 4) ;; *) fail "mapi doctor ended with $code" ;; esac
python3 -c '
import json
for line in open("doctor.json"):
    f = json.loads(line)
    assert f["state"] in ("ok", "note", "missing") and f["check"] and f["text"], f' || fail "doctor --json"
"$MAPI" doctor -i no-such-device > /dev/null
equal "a device that is not there" "$?" 4

python3 "$MAPI_SOURCE/tests/top_pty.py" "$MAPI" "$OWN/http.pcap" || fail "terminal"
finish

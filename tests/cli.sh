#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What the command line says of itself: help, descriptions with examples that run; CSV
# beside JSON; "mapi util" beside arithmetic of our own over what tcpdump prints.
. "$(dirname "$0")/lib.sh"

# ---- help: 80 columns, and every option that it shows is one ----
verbs=$("$MAPI" help | sed -n '/^verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p' | grep -vx help)
for verb in $verbs; do
	"$MAPI" help "$verb" > help.txt || fail "help $verb"
	wide=$(awk 'length($0) > 80' help.txt)
	[ -z "$wide" ] || fail "help $verb: $wide"
	grep -q "^usage: mapi $verb" help.txt || fail "help $verb: no usage"
	for option in $(sed -n 's/^  \(--*[a-z#A-Z-]*\)\( .*\)\{0,1\}$/\1/p' help.txt); do
		# The words behind it end the run, whether the option takes the first one or not.
		timeout 10 "$MAPI" "$verb" "$option" --wrong --wrong > out.txt 2>&1
		[ $? = 2 ] || fail "$verb $option runs"
		! grep -q "there is no option \"$option\"" out.txt || fail "$verb $option: $(cat out.txt)"
	done
done < /dev/null
echo "ok: help of $(wc -w <<< "$verbs") verbs"

# ---- whatever was typed, or names that others chose, is harmless on a terminal ----
esc=$'x\033[31m'
cp "$OWN/http.pcap" "$esc.pcap"
while IFS= read -r -d '' line; do
	eval "set -- $line"
	"$MAPI" "$@" > out.txt 2>&1 < /dev/null
	[ -s out.txt ] || fail "$line: says nothing"
	! grep -q $'\033' out.txt || fail "$line: $(cat -v out.txt)"
done < <(printf '%s\0' '"run" "--$esc"' '"run" "-F" "$esc" "-r" "-"' '"run" "-r" "$esc"' '"run" "-i" "$esc"' \
	'"run" "-r" "$esc.pcap" "--workers" "$esc"' '"run" "-i" "$esc" "--duration" "$esc"' '"dump" "-r" "$esc.pcap" "-w" "$esc.pcap"' \
	'"dump" "-r" "$esc.pcap" "-w" "/$esc/x"' '"dump" "--time-precision" "$esc"' '"top" "-r" "$esc.pcap"' '"top" "-r" "$esc.pcap" "$esc"' \
	'"run" "-r" "$esc.pcap" "$esc"' '"run" "-r" "$esc.pcap" "PKT_COUNTER @$esc"' '"$esc"' '"functions" "$esc"' '"doctor" "-i" "$esc"' \
	'"explain" "-i" "$esc"' '"util" "-r" "$esc.pcap"' '"run" "-r" "$esc.pcap" "--json"')
echo "ok: no escape sequences of others"
"$MAPI" run --duraton 5 2> err.txt
equal "an option that is nearly one" "$?" 2
grep -q 'there is no option "--duraton"; did you mean --duration?' err.txt || fail "$(cat err.txt)"
"$MAPI" run -i 2> err.txt
grep -q 'a value is missing behind "-i"' err.txt || fail "$(cat err.txt)"
# What is left of a filter behind "&".
"$MAPI" run -r "$OWN/http.pcap" tcp[13] 2> err.txt
equal "half a filter" "$?" 2
grep -q "put the filter into quotes" err.txt || fail "$(cat err.txt)"
"$MAPI" run -r "$OWN/http.pcap" tcp prot 80 2> err.txt
! grep -q quotes err.txt || fail "$(cat err.txt)"

# ---- completion: what it does is in completion_pty.py ----
for shell in bash zsh; do
	"$MAPI" completion $shell > completion.$shell || fail "completion $shell"
done
! grep -n 'compgen -W\|(z)\|eval' completion.* || fail "completion lets the shell expand names"
"$MAPI" completion fish 2> err.txt
equal "completion for another shell" $? 2

# ---- functions: every example runs; CSV and text have what JSON has ----
"$MAPI" functions --json > functions.json
"$MAPI" functions --csv > functions.csv
python3 - "$MAPI" "$OWN/http.pcap" << 'END' || fail "functions"
import csv, json, subprocess, sys
mapi, capture = sys.argv[1:]
functions = [json.loads(line) for line in open("functions.json")]
rows = list(csv.DictReader(open("functions.csv", newline="")))
assert len(rows) == sum(1 + len(f["args"]) + len(f["fields"]) for f in functions)
assert all(None not in row and None not in row.values() for row in rows)
for f in functions:
    assert f["example"], f"{f['function']} has no example"
    verb = "explain" if f["packets"] else "run"
    ran = subprocess.run([mapi, verb, "-r", capture, f["example"]], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, (f["function"], f["example"], ran.stderr)
    assert f["function"] in f["example"]
    text = subprocess.run([mapi, "functions", f["function"]], capture_output=True, text=True).stdout
    assert max(map(len, text.splitlines())) <= 80, text
    assert f["example"] in text
    for arg in f["args"]:
        assert arg["name"] in text and arg["help"].split()[0] in text, (f["function"], arg)
        assert not arg["error"] or str(arg["error"]) in text, (f["function"], arg)
    for field in f["fields"]:
        assert field["name"] in text, (f["function"], field)
print(f"ok: {len(functions)} functions, their examples run")
END

# ---- run: CSV says what JSON says ----
"$MAPI" run -q -r "$OWN/http.pcap" --json 'PKT_COUNTER @n | PKTINFO(size) @s | STATS(s)' > run.json
"$MAPI" run -q -r "$OWN/http.pcap" --csv 'PKT_COUNTER @n | PKTINFO(size) @s | STATS(s)' > run.csv
python3 - << 'END' || fail "run --csv"
import csv, json
rows = list(csv.DictReader(open("run.csv", newline="")))
for result in map(json.loads, open("run.json")):
    of = [row for row in rows if row["fid"] == str(result["fid"])]
    value = result["value"] if isinstance(result["value"], dict) else {of[0]["field"]: result["value"]}
    assert {row["field"]: float(row["value"]) for row in of} == {k: float(v) for k, v in value.items()}, of
    assert of[0]["label"] == (result["label"] or "") and of[0]["ts"] == result["ts"]
print("ok: run --csv")
END

# ---- util ----
tcpdump -tt -e -nr "$OWN/http.pcap" 2> /dev/null > dump.txt
"$MAPI" util -r "$OWN/http.pcap" --link-speed 100M --interval 0.1 --csv > util.csv 2> err.txt
"$MAPI" util -r "$OWN/http.pcap" --link-speed 100M --interval 0.1 --json 2> /dev/null > util.json
python3 - << 'END' || fail "util: $(cat util.csv err.txt)"
import csv, json, re
packets = [(round(float(line.split()[0]) * 1e6), int(re.search(r"length (\d+):", line).group(1))) for line in open("dump.txt")]
begin = packets[0][0]
rows = list(csv.DictReader(open("util.csv", newline="")))
assert [list(row.values())[1:4] for row in rows] and len(rows) == len(list(open("util.json")))
whole = rows[:-1]
assert len(whole) >= 5
for i, row in enumerate(rows):
    end = begin + (i + 1) * 100000 if i < len(whole) else float("inf")
    inside = [n for at, n in packets if begin + i * 100000 <= at < end]
    seconds = 0.1 if i < len(whole) else (packets[-1][0] - begin - i * 100000) / 1e6
    assert int(row["packets"]) == len(inside) and int(row["bytes"]) == sum(inside), (i, row, inside)
    used = (sum(inside) + 24 * len(inside)) * 8 / seconds
    assert abs(float(row["used_percent"]) - used / 1e6) < 1e-6 * max(1, used / 1e6), (row, used)
    assert abs(float(row["free_bits_per_s"]) - (100e6 - used)) < 1
assert sum(int(row["packets"]) for row in rows) == len(packets)
print(f"ok: util: {len(rows)} intervals, {len(packets)} packets")
END
"$MAPI" util -r "$OWN/http.pcap" --overhead 0 --link-speed 1G > out.txt 2>&1
equal "util: lines" "$(wc -l < out.txt)" 3
"$MAPI" util -r "$OWN/http.pcap" --interval 0.001 2> /dev/null | sed '$d' > out.txt
equal "util: times of milliseconds that are there twice" "$(cut -d ' ' -f 1 out.txt | uniq -d | wc -l)" 0
equal "util: columns of milliseconds" "$(awk '{ print length($0) }' out.txt | sort -u)" 74
for wrong in 0 -1 x 1X 1GG; do
	"$MAPI" util -r "$OWN/http.pcap" --link-speed "$wrong" > /dev/null 2>&1
	equal "util --link-speed $wrong" $? 2
done
# A silence of more intervals than records stand ready; what follows it is still in step.
python3 - > silence.pcap << 'END'
import struct, sys
out = sys.stdout.buffer
out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
for second, size in (1000, 60), (21100, 100), (21101, 200), (21102, 300):
    out.write(struct.pack("<IIII", second, 0, size, size) + bytes(size))
END
for run in 1 2 3 4; do # through a pipe: who reads slowly gets the end, too
	"$MAPI" util -r silence.pcap --interval 0.25 --csv 2> err.$run | cat > silence.$run &
done
wait
for run in 1 2 3 4; do
	equal "util: a silence of 80,000 intervals" "$(tr -d '\r' < silence.$run |
		awk -F, 'NR > 1 && $5 { printf "%d:%s:%s:%s ", NR, $2, $4, $5 } END { print NR }')" \
		"2:1970-01-01T00:16:40.000000000Z:60:1 80402:1970-01-01T05:51:40.000000000Z:100:1 \
80406:1970-01-01T05:51:41.000000000Z:200:1 80409"
	! grep -q "not shown" err.$run || fail "util: $(cat err.$run)"
done
# Longer ones are not recorded to their end (BUCKET): what is left out is told.
"$MAPI" util -r silence.pcap --interval 0.1 --csv 2> err.txt > silence.csv
equal "util: a silence of 201,000 intervals" "$(tr -d '\r' < silence.csv |
	awk -F, 'NR > 1 && $5 { printf "%s:%s:%s ", $2, $4, $5 } END { print NR }')" \
	"1970-01-01T00:16:40.000000000Z:60:1 1970-01-01T05:51:40.000000000Z:100:1 \
1970-01-01T05:51:41.000000000Z:200:1 100022"
grep -q "100999 intervals are not shown" err.txt || fail "util: $(cat err.txt)"

# ---- explain ----
equal "explain: what is shared" "$("$MAPI" explain --csv 'BPF_FILTER("tcp") | PKT_COUNTER' \
	'BPF_FILTER("tcp")' 'BPF_FILTER("udp")' | tr -d '\r' | awk -F, 'NR > 1 { printf "%s:%s/%s ", $3, $16, $15 }')" \
	"BPF_FILTER:2/3 PKT_COUNTER:1/1 BPF_FILTER:2/3 BPF_FILTER:1/3 "
for format in csv json; do
	"$MAPI" explain --$format 'BPF_FILTER("tcp") | PKT_COUNTER @n | BUCKET(n, 1s)' > explain.$format
done
python3 - << 'END' || fail "explain: CSV is not what JSON is"
import csv, json
rows = list(csv.DictReader(open("explain.csv", newline="")))
objects = [json.loads(line) for line in open("explain.json")]
text = lambda v: "" if v is None else "true" if v is True else "false" if v is False else str(v)
assert [{k: text(v) for k, v in o.items()} for o in objects] == rows and len(rows) == 3, (objects, rows)
END
for line in functions "explain tcp" "explain -e BPF_FILTER(tcp) -e BPF_FILTER(udp)" "help explain"; do
	"$MAPI" $line > out.txt || fail "$line"
	wide=$(awk 'length($0) > 80' out.txt)
	[ -z "$wide" ] || fail "$line: wider than 80: $wide"
done
mkfifo fifo
for input in fifo -; do
	timeout 10 "$MAPI" explain -r $input PKT_COUNTER > out.txt 2> err.txt < /dev/zero
	equal "explain of a pipe: $input" $? 2
	grep -q "no pipe" err.txt || fail "explain -r $input: $(cat err.txt)"
done
echo precious > kept
"$MAPI" explain 'TO_FILE(pcap, kept)' > out.txt
equal "explain writes nothing" "$(cat kept)" precious
finish

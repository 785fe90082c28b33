#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Damaged, endless, vanishing and absent input, and output that does not fit: every packet before the
# damage counts, the error says what and where, and nothing is left running.
. "$(dirname "$0")/lib.sh"
http=$OWN/http.pcap

count() { # FILE: prints the packets counted; the rest in code and err
	"$ALONE" "$MAPI" run -r "$1" --json PKT_COUNTER > out.json 2> err
	code=$?
	got=$(json_values < out.json | sed -n 's/^PKT_COUNTER\t//p' | tail -n 1)
}

damaged() { # WHAT PACKETS [WORDS OF THE ERROR]: after count
	equal "$1: packets before the damage" "$got" "$2"
	case $code in
	0) fail "$1: the exit code is 0" ;;
	9?) fail "$1: $(cat err)" ;;
	esac
	grep -Eqi "${3:-(offset|byte) [0-9]+}" err || fail "$1: the error is not clear: $(cat err)"
}

# By libpcap; tcpdump counts what it has read before the damage.
known() {
	tcpdump -nr "$1" --count 2> /dev/null | cut -d ' ' -f 1
}

count "$OWN/http-cut-record.pcap"
damaged "cut record" "$(known "$OWN/http-cut-record.pcap")"

head -c 30 "$http" > cut-head.pcap
count cut-head.pcap
damaged "cut in the first record head" 0

# The length of the 11th record becomes absurd. Its place: count off ten records.
at=$(python3 - "$http" <<'PYTHON'
import struct, sys
data = open(sys.argv[1], "rb").read()
at = 24
for n in range(10):
    at += 16 + struct.unpack_from("<I", data, at + 8)[0]
print(at)
PYTHON
)
cp "$http" absurd.pcap
printf '\377\377\377\177' | dd of=absurd.pcap bs=1 seek=$((at + 8)) conv=notrunc status=none
count absurd.pcap
damaged "absurd record length" 10
grep -q "$at" err || fail "absurd record length: the error does not name offset $at: $(cat err)"

# A pipe that ends inside a record; and a good one.
head -c -7 "$http" | "$ALONE" "$MAPI" run -r - --json PKT_COUNTER > out.json 2> err
code=$?
got=$(json_values < out.json | sed -n 's/^PKT_COUNTER\t//p')
damaged "pipe that ends in a record" "$(known "$OWN/http-cut-record.pcap")"
got=$("$ALONE" "$MAPI" run -r - --json PKT_COUNTER < "$http" | json_values |
	sed -n 's/^PKT_COUNTER\t//p')
equal "standard input" "$got" "$(known "$http")"
for tool in gzip xz zstd lz4; do
	$tool -c < "$http" > "http.$tool"
	count "http.$tool"
	equal "$tool" "$got, code $code" "$(known "$http"), code 0"
	head -c $(($(stat -c %s "http.$tool") / 2)) "http.$tool" > "half.$tool"
	count "half.$tool"
	[ "$code" != 0 ] || fail "half of a $tool file: the exit code is 0"
	[ -s err ] || fail "half of a $tool file: no error"
done

: > empty.pcap
printf 'this is no capture, but it is longer than any head of one' > text.pcap
mkdir folder.pcap
for file in empty.pcap text.pcap folder.pcap absent.pcap /dev/null; do
	count $file
	case $code in
	0 | 9?) fail "$file: exit code $code: $(cat err)" ;;
	esac
	[ "$(wc -l < err)" -le 4 ] && grep -q "$file" err || fail "$file: the error is not clear: $(cat err)"
done
if [ "$(id -u)" != 0 ]; then
	cp "$http" secret.pcap
	chmod 0 secret.pcap
	count secret.pcap
	[ $code != 0 ] && grep -qi permission err || fail "no permission: $(cat err)"
fi

# A file that becomes shorter while it is read.
"$ALONE" "$SHRINK" "$http" || fail "shrinking file: $?"

# Output that does not fit.
for i in $(seq 200); do tail -c +25 "$http"; done | cat <(head -c 24 "$http") - > large.pcap
"$ALONE" "$MAPI" run -r large.pcap 'TO_FILE(MFF_PCAP, "/dev/full", 0)' > out 2> err
code=$?
case $code in
0 | 9?) fail "full disk under TO_FILE: exit code $code: $(cat out err)" ;;
esac
grep -q "/dev/full" err && grep -qi "space" err || fail "full disk: the error is not clear: $(cat err)"
"$ALONE" "$MAPI" dump -r large.pcap -w /dev/full > out 2> err
code=$?
case $code in
0 | 9?) fail "full disk under mapi dump -w: exit code $code: $(cat err)" ;;
esac

finish

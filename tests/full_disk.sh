#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A real full disk (a small tmpfs in a mount namespace) under TO_FILE: the error names path and cause,
# and what was written before it is a valid capture.
. "$(dirname "$0")/lib.sh"
http=$OWN/http.pcap

if [ "${1-}" != --inside ]; then
	map=
	[ "$(id -u)" = 0 ] || map=--map-root-user
	unshare --mount $map true 2> /dev/null || skip "needs root or user namespaces"
	exec unshare --mount $map "$0" --inside
fi
mkdir small
mount -t tmpfs -o size=256k tmpfs small || skip "needs root or user namespaces that may mount tmpfs"
for i in $(seq 40); do tail -c +25 "$http"; done | cat <(head -c 24 "$http") - > large.pcap

for format in MFF_PCAP MFF_PCAPNG; do
	"$ALONE" "$MAPI" run -r large.pcap "TO_FILE($format, \"small/out\", 0)" > out 2> err
	code=$?
	case $code in
	0 | 9?) fail "$format: exit code $code: $(cat out err)" ;;
	esac
	grep -q "small/out" err && grep -qi "space" err || fail "$format: the error is not clear: $(cat err)"
	tcpdump -nr small/out --count > count 2> tcpdump.err
	n=$(cut -d ' ' -f 1 < count)
	[ "${n:-0}" -gt 100 ] || fail "$format: only '$n' packets are readable: $(cat tcpdump.err)"
	echo "$format: $n packets before: $(head -n 1 err)"
	rm small/out
done
umount small

# So few packets that they are written only at the end; and each flow that failed is named.
"$ALONE" "$MAPI" run -r "$http" -w /dev/full > out 2> err
equal "exit code of run -w /dev/full" $? 4
grep -q "/dev/full.*9003" err || fail "run -w /dev/full: the error is not clear: $(cat err)"
ln -s /dev/full second
"$ALONE" "$MAPI" run -r "$http" 'TO_FILE(MFF_PCAPNG, "/dev/full")' 'TO_FILE(MFF_PCAP, "second")' \
	'TO_FILE(MFF_PCAPNG, "fine")' > out 2> err
equal "exit code of two full disks" $? 4
equal "errors of two full disks" "$(grep -c 9003 err)" 2
capinfos -M -c -k fine > info 2> /dev/null && { # where there is one
	grep -q "mapi TO_FILE of .*http.pcap" info || fail "no comment: $(cat info)"
}
"$MAPI" dump -r "$OWN/http.pcap" > /dev/full 2> /dev/null && fail "dump does not notice a full standard output"
"$MAPI" dump -r "$OWN/http.pcap" >&- 2> /dev/null && fail "dump does not notice a closed standard output"
# Also of those who flush line by line.
for line in "util --csv" "util --json" "util" "top --json" "top" "run --json" "run" "explain --csv" "functions" \
	"devices --csv" "help" "help top" "top --help" "--version"; do
	case $line in
	*help* | --version) set -- $line ;;
	util* | top* | run* | explain*) set -- $line -r "$http" ;;
	*) set -- $line ;;
	esac
	timeout 20 "$MAPI" "$@" > /dev/full 2> err
	equal "exit code of $line > /dev/full" $? 4
	grep -q "standard output" err || fail "$line > /dev/full: $(cat err)"
done
finish

#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# oracle-count.sh TEST_COUNT - the file driver against tcpdump on a folder of real captures.
#
# For every file that tcpdump reads to its end: the same number of packets, read in order and split
# among three workers by speculation in tiny ranges. For every 10th of them (ORACLE_EVERY) also each packet: time,
# captured length, length on the wire and bytes (through libpcap's own rewriting by "tcpdump -w").
# Files that tcpdump does not read, but capinfos does (compressed, ERF, mixed link types): the count
# of capinfos. The folder is MAPI_PCAPS, default ../shared/pcaps beside the source.
set -uo pipefail

test_count=$1
EVERY=${ORACLE_EVERY:-10}
source_root=$(cd "$(dirname "$0")/../.." && pwd)
pcaps=${MAPI_PCAPS:-$source_root/../shared/pcaps}
skip() { echo "skip: $*"; exit 77; }
[ -d "$pcaps" ] || skip "no captures at $pcaps"
command -v tcpdump >/dev/null || skip "tcpdump is not installed"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
find -L "$pcaps" -type f ! -name '*.md' ! -name '*.tsv' | LC_ALL=C sort >"$scratch/files"

# What we say, once for all files: name, packets, captured, wire, outcome.
xargs -d '\n' "$test_count" <"$scratch/files" >"$scratch/sequential"
xargs -d '\n' "$test_count" -w 3 -r 300 <"$scratch/files" >"$scratch/split"

failed=0 same=0 other=0 skipped=0 each=0 number=0
fail() { echo "FAIL: $*"; failed=$((failed + 1)); }

compare_packets() { # FILE: packet by packet, through what libpcap rewrites
	"$test_count" -e "$1" >"$scratch/a" 2>/dev/null
	# A fraction of a second that is more than one survives only unscaled, hence the second try.
	for unit in --nano --micro; do
		tcpdump -r "$1" $unit -w "$scratch/copy" 2>/dev/null || return 0
		"$test_count" -e "$scratch/copy" >"$scratch/b" 2>/dev/null
		cmp -s "$scratch/a" "$scratch/b" && each=$((each + 1)) && return 0
	done
	fail "$1: packets differ from tcpdump's"
}

while IFS=$'\t' read -r file pkts _ _ outcome <&3 && IFS=$'\t' read -r _ split_pkts _ _ split_outcome <&4; do
	number=$((number + 1))
	[ "$pkts $outcome" = "$split_pkts $split_outcome" ] ||
		fail "$file: $pkts packets ($outcome) in order, $split_pkts ($split_outcome) split"
	if theirs=$(tcpdump -r "$file" --count 2>/dev/null); then
		theirs=${theirs%% *}
		[ "$theirs" = "$pkts" ] && [ "$outcome" = "0 ok" ] ||
			fail "$file: tcpdump counts $theirs, we $pkts ($outcome)"
		same=$((same + 1))
		[ $((number % EVERY)) -ne 0 ] || compare_packets "$file"
	elif command -v capinfos >/dev/null && info=$(capinfos -TrcM "$file" 2>/dev/null); then
		theirs=$(cut -f 2 <<<"$info")
		if [ "$theirs" = "$pkts" ]; then
			other=$((other + 1))
		else
			skipped=$((skipped + 1))
			echo "skip: $file: tcpdump does not read it; capinfos counts $theirs, we $pkts ($outcome)"
		fi
	else
		skipped=$((skipped + 1))
		echo "skip: $file: neither tcpdump nor capinfos read it; we $pkts ($outcome)"
	fi
done 3<"$scratch/sequential" 4<"$scratch/split"

echo "$number files: $same as tcpdump ($each of them packet by packet), $other as capinfos," \
	"$skipped skipped, $failed failed"
[ "$number" -gt 0 ] || skip "no files in $pcaps"
[ "$failed" -eq 0 ]

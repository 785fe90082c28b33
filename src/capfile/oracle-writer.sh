#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# oracle-writer.sh WRITE_SAMPLE - our pcapng files as others read them: tcpdump and tshark get every
# packet, tshark and capinfos show the names, comments and lost packets that we wrote.
set -uo pipefail

write_sample=$1
skip() { echo "skip: $*"; exit 77; }
for program in tcpdump tshark capinfos; do
	command -v $program >/dev/null || skip "$program is not installed"
done
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
sample=$scratch/sample.pcapng
"$write_sample" "$sample" || { echo "FAIL: cannot write"; exit 1; }

failed=0
same() { # WHAT EXPECTED ACTUAL
	[ "$2" = "$3" ] && return
	printf 'FAIL: %s:\n--- expected\n%s\n--- got\n%s\n' "$1" "$2" "$3"
	failed=$((failed + 1))
}
fields() { # FIELD...: one line per packet
	local arguments=()
	for field in "$@"; do arguments+=(-e "$field"); done
	tshark -r "$sample" -T fields -E separator='|' "${arguments[@]}" 2>/dev/null
}
blocks() { # FIELD: its values in the blocks of the file
	tshark -r "$sample" -X 'read_format:MIME Files Format' -T fields -E aggregator=' ' \
		-e "pcapng.options.option.data.$1" 2>/dev/null
}

packets=
for ((i = 0; i < 12; i++)); do
	comment=
	[ $((i % 3)) = 0 ] && comment="every third"
	packets+="$((1500000000 + i)).$((123456789 + i))|$((60 - i % 2 * 8))|60|dev:$((i % 2))|"
	packets+="$comment|$((4096 + i))"$'\n'
done
same "packets by tshark" "${packets%$'\n'}" "$(fields frame.time_epoch frame.cap_len frame.len \
	frame.interface_name frame.comment udp.srcport)"
same "packets by tcpdump" "$(printf '%s\n' {4096..4107})" \
	"$(tcpdump -n -t -r "$sample" 2>/dev/null | sed -E 's/^IP 10\.0\.0\.1\.([0-9]+) > .*/\1/')"
same "received packets" "106 13" "$(blocks interface.received)"
same "lost packets" "100 7" "$(blocks interface.dropped)"
info=$(capinfos "$sample" 2>/dev/null)
same "comment of the file" "written for others" \
	"$(sed -n 's/^Capture comment: *//p' <<<"$info")"
same "statistics blocks" $'1\n1' "$(sed -n 's/^ *Number of stat entries = //p' <<<"$info")"
same "number of packets" 12 "$(capinfos -TrcM "$sample" 2>/dev/null | cut -f 2)"
echo "$failed differences"
[ "$failed" -eq 0 ]

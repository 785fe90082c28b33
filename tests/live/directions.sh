#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Filters that ask where packets go (semantics P2): in the kernel, in the daemon, and on the recording,
# they match what those of tcpdump do, which asks the kernel.
. "$(dirname "$0")/lib.sh"
command -v tcpdump > /dev/null || skip "no tcpdump"

filters=(inbound outbound "not inbound" "outbound and udp src port 10003" "inbound and vlan"
	"outbound and vlan and udp" "not outbound and vlan 42" "tcp or outbound" "inbound or src host 10.9.0.2")
coming=1600 leaving=720 tagged=64

cd "$scratch" || exit 1
dumps_start cable0 "${filters[@]}"

tally_counts() {
	local i
	for ((i = 0; i < ${#filters[@]}; i++)); do
		echo "${filters[i]}: $(tally_report $((i + 1)) | awk '{ print $2 }')"
	done
}

send_all() {
	"$BLAST" cable1 "$coming" > /dev/null
	"$BLAST" cable0 "$leaving" > /dev/null
	"$BLAST" cable1 "$tagged" -s 64 --vlan > /dev/null
	"$BLAST" cable0 "$((tagged / 2))" -s 64 --vlan > /dev/null
}

tiers() {
	sed -n 's/^tier [0-9]* [0-9]* \([a-z]*\):.*/\1/p' tally.out | sort | uniq -c | awk '{ print $2, $1 }'
}

counted() { # TIER
	tally_start 0 "${filters[@]}"
	cause=$(tally_cause)
	if [ "$1" = kernel ] && [ -n "$cause" ]; then
		echo "no programs may be loaded into the kernel: $cause"
	else
		equal "$1: where functions run" "$(tiers)" "$1 $((3 * ${#filters[@]}))"
	fi
	send_all
	tally_end
	tally_counts > "$1.txt"
}

daemon_config group=root "[driver]" device=cable0 engine=kernel
daemon_start
counted kernel
"$MAPI" run -q -i cable0 --json -e 'TO_FILE(MFF_PCAPNG, "live.pcapng")' > run.json 2> run.err &
run=$!
companions+=($run)
await "a recording" flows_running 1
counted user
kill -TERM $run
wait $run
daemon_stop

equal "both tiers" "$(cat kernel.txt)" "$(cat user.txt)"
dumps_end > dumps.txt
i=0
while read -r packets; do
	echo "${filters[i++]}: $((packets / 2))" # of both rounds
done < dumps.txt > tcpdump.txt
equal "as tcpdump, in the same namespace" "$(cat kernel.txt)" "$(cat tcpdump.txt)"
equal "what came and what left" "$(head -2 kernel.txt)" \
	"inbound: $((coming + tagged))
outbound: $((leaving + tagged / 2))"

packets_of() { # PCAP FILTER
	"$MAPI" run -q -r "$1" --json -e "BPF_FILTER(\"$2\") | PKT_COUNTER" | json_values | sed -n 's/^PKT_COUNTER\t//p'
}

echo "== the recording"
for ((i = 0; i < ${#filters[@]}; i++)); do
	echo "${filters[i]}: $(packets_of live.pcapng "${filters[i]}")"
done > recording.txt
equal "the recording" "$(cat recording.txt)" "$(cat kernel.txt)"

echo "== files that do not tell"
packets_of "$OWN/http.pcap" inbound 2>&1 | grep -q 'do not say whether' || fail "inbound of a pcap file is not refused"
! tcpdump -nr "$OWN/http.pcap" inbound > /dev/null 2>&1 || fail "tcpdump has an answer"
finish

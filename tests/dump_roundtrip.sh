#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What "mapi dump -w" writes, tcpdump and tshark read: the same packets, to the nanosecond. tshark
# compares with what "tcpdump -w" writes, because it takes more from some originals than packets
# (secrets of pcapng files) and reads hostile lengths in its own way.
# All captures with MAPI_TEST_LONG, tshark on every thirtieth; a sample of them otherwise.
. "$(dirname "$0")/lib.sh"

same() { # WHAT READER FILE1 FILE2, each line of the readers' output being a packet
	if ! cmp -s "$3" "$4"; then
		fail "$1: $2 reads other packets"
		diff "$3" "$4" | head -n 6
	fi
}

by_tcpdump() { # FILE
	tcpdump -nr "$1" --nano -tt -e -xx 2> tcpdump.err
}

by_tshark() { # FILE
	tshark -nr "$1" -T fields -e frame.time_epoch -e frame.cap_len -e frame.len \
		-e frame.protocols -e _ws.col.Info 2> /dev/null
}

check() { # FILE N
	local file=$1 with_tshark=$2 format

	by_tcpdump "$file" > want.tcpdump || return
	# libpcap overflows on a fraction of more than a second; nothing to compare with then.
	tcpdump -nr "$file" -tt 2> /dev/null | grep -Eq '^[0-9]+\.[0-9]{7,}|^\[|^-' && return
	if [ "$with_tshark" != 0 ]; then
		tcpdump -r "$file" --nano -w normal.pcap 2> /dev/null
		by_tshark normal.pcap > want.tshark
	fi
	for format in pcapng pcap; do
		rm -f "copy.$format"
		if ! "$MAPI" dump -r "$file" -w "copy.$format" > out 2>&1; then
			fail "$file: mapi dump -w copy.$format: $(head -n 2 out)"
			continue
		fi
		by_tcpdump "copy.$format" > got.tcpdump
		if [ $format = pcap ]; then # microseconds
			sed -E 's/^([0-9]+\.[0-9]{6})[0-9]{3}/\1000/' want.tcpdump > want.us
			sed -E 's/^([0-9]+\.[0-9]{6})[0-9]{3}/\1000/' got.tcpdump > got.us
			same "$file as $format" tcpdump want.us got.us
			continue
		fi
		same "$file as $format" tcpdump want.tcpdump got.tcpdump
		[ "$with_tshark" = 0 ] && continue
		[ -s want.tshark ] || continue # tshark does not know the link type
		by_tshark "copy.$format" > got.tshark
		same "$file as $format" tshark want.tshark got.tshark
	done
	checked=$((checked + 1))
}

checked=0
for file in "$OWN"/*.pcap; do
	case $file in *cut-record*) continue ;; esac
	case $file in
	*/vlan.pcap | */ipv6.pcap) check "$file" 1 ;;
	*) check "$file" 0 ;;
	esac
done
# Filters and the number of packets.
"$MAPI" dump -r "$OWN/http.pcap" -w few.pcap -c 7 tcp port 80 > out 2>&1 || fail "dump -c -w: $(cat out)"
tcpdump -nr "$OWN/http.pcap" -c 7 -w want.pcap tcp port 80 2> /dev/null
by_tcpdump want.pcap > want.tcpdump
by_tcpdump few.pcap > got.tcpdump
same "-c 7 tcp port 80" tcpdump want.tcpdump got.tcpdump

if [ ! -d "$MAPI_PCAPS" ]; then
	[ $failures = 0 ] || finish
	skip "the captures are absent; $checked own ones are good"
fi
n=0
tshark_all=0
[ -z "${MAPI_TEST_LONG-}" ] || tshark_all=1
while read -r file; do
	n=$((n + 1))
	[ -n "${MAPI_TEST_LONG-}" ] || [ $((n % 25)) = 0 ] || continue
	check "$file" $((n % 50 == 0 || (tshark_all && n % 30 == 0)))
done < <(readable_captures)
echo "$checked captures"
[ $checked -gt 20 ] || fail "only $checked captures"
finish

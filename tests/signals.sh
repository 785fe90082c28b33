#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# SIGINT at random moments (signals.c) for every program form of examples/, for one whose handler
# calls exit() as programs did (exits.c), and for mapi itself.
# 100 times in all, 1,000 with MAPI_TEST_LONG.
. "$(dirname "$0")/lib.sh"
runs=100
[ -z "${MAPI_TEST_QUICK-}" ] || runs=40
[ -z "${MAPI_TEST_LONG-}" ] || runs=1000
runs=${MAPI_SIGNAL_RUNS:-$runs}

# A file that takes some milliseconds, so that moments within a run are hit too.
for i in $(seq 200); do tail -c +25 "$OWN/http.pcap"; done |
	cat <(head -c 24 "$OWN/http.pcap") - > "$scratch/large.pcap"
programs=()
while read -r program; do
	programs+=("$program")
done < <(find "$MAPI_BUILD/examples" -maxdepth 1 -type f -perm -u+x | sort; echo "$EXITS")
[ ${#programs[@]} -gt 0 ] || fail "no examples are built"
each=$((runs / (${#programs[@]} + 1) + 1))
for program in "${programs[@]}"; do
	echo "== $(basename "$program")"
	arguments=(-r "$scratch/large.pcap")
	case $(basename "$program") in
	busiest_subnet) arguments+=(10.1.0.0/24 10.2.0.0/16) ;;
	list_functions) arguments=() ;;
	offline_count) arguments+=(tcp) ;;
	exits) arguments=("$scratch/large.pcap") ;;
	slapper) arguments+=("ip or not ip" www) ;;
	esac
	# The leak checker that would run in exit() may wait for a lock that the interrupted malloc() holds.
	options=${ASAN_OPTIONS-}
	[ "$(basename "$program")" != exits ] || options=$options:leak_check_at_exit=0
	ASAN_OPTIONS=$options "$SIGNALS" $each 1 30000 "$program" "${arguments[@]}" || fail "$(basename "$program")"
done
echo "== mapi run"
"$SIGNALS" $each 1 30000 "$MAPI" run -q -r "$scratch/large.pcap" 'STR_SEARCH("www") | PKT_COUNTER' ||
	fail "mapi run"
finish

#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Values of functions against python's arithmetic over tshark's fields (functions_oracle.py), on our
# own captures and on those of functions_captures.txt; of the latter every fifth without
# MAPI_TEST_LONG.
. "$(dirname "$0")/lib.sh"
command -v tshark > /dev/null || skip "there is no tshark"
oracle=$MAPI_SOURCE/tests/functions_oracle.py

python3 "$oracle" "$OWN"/*.pcap || fail "our own captures"
python3 "$oracle" -s "$OWN/http.pcap" || fail "one pipeline at a time"
need_captures
equal "captures that are listed" "$(grep -vc '^#' "$MAPI_SOURCE/tests/functions_captures.txt")" 50
every=5
[ -z "${MAPI_TEST_LONG-}" ] || every=1
mapfile -t captures < <(grep -v '^#' "$MAPI_SOURCE/tests/functions_captures.txt" |
	awk -v e=$every 'NR % e == 0' | sed "s|^|$MAPI_PCAPS/|")
python3 "$oracle" -a -b 7,256 "${captures[@]}" || fail "captures"
finish

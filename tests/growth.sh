#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Create, connect and close thousands of flows: nothing grows (cycles.c), nothing is left.
. "$(dirname "$0")/lib.sh"
# A sanitized build keeps freed memory for a while; not here.
export ASAN_OPTIONS=${ASAN_OPTIONS-}${ASAN_OPTIONS:+:}quarantine_size_mb=1:thread_local_quarantine_size_kb=64
n=1000
[ -z "${MAPI_TEST_QUICK-}" ] || n=300
[ -z "${MAPI_TEST_LONG-}" ] || n=10000
"$ALONE" "$CYCLES" $n "$OWN/ten.pcap" || fail "code $?"
finish

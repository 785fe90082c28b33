#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The library exports mapi_* and nothing else, and what mapi.h declares. usage: test-exports.sh LIBRARY INCLUDE_DIR
set -eu
command -v nm >/dev/null || { echo "SKIP: nm is not installed"; exit 77; }
names=$(nm -D --defined-only "$1" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort)
# One name of old is no part of any header.
names=$(echo "$names" | grep -vx set_agent)
others=$(echo "$names" | grep -v '^mapi_' || true)
[ -z "$others" ] || { echo "FAILED: exported without being API: $others"; exit 1; }
declared=$(cat "$2"/mapi.h "$2"/mapi/schema.h "$2"/mapi/explain.h | tr '\n' ' ' | sed 's|/\*[^*]*\*\+\([^/*][^*]*\*\+\)*/||g' |
	tr ';' '\n' | grep -E 'MAPI_API|mapi_function_desc \*mapi_' |
	grep -oE '\bmapi_[a-z_]+\(' | tr -d '(' | sort -u)
for name in $declared; do
	echo "$names" | grep -qx "$name" || { echo "FAILED: declared, but not exported: $name"; exit 1; }
done
for name in $names; do
	echo "$declared" | grep -qx "$name" || { echo "FAILED: exported, but not declared: $name"; exit 1; }
done
objdump -p "$1" | grep -q 'SONAME *libmapi.so.2$' || { echo "FAILED: SONAME"; exit 1; }
echo "$(echo "$names" | wc -l) symbols"

# SPDX-License-Identifier: BSD-2-Clause
#
# For the shell tests: source it first. tests/meson.build sets
#   MAPI            the command line program        ALONE     runs a command, sees that nothing is left
#   MAPI_SOURCE     top of the source tree          MAPI_BUILD top of the build tree
#   MAPI_PCAPS      real captures, may be absent
# Gives a scratch directory as current directory, removed at the end.
set -u
export LC_ALL=C TZ=UTC
PATH=$PATH:/usr/sbin:/sbin
MAPI_PCAPS=${MAPI_PCAPS:-$MAPI_SOURCE/../shared/pcaps}
OWN=$MAPI_SOURCE/tests/captures
failures=0

skip() { # CAUSE
	echo "SKIP: $*"
	exit 77
}

fail() { # WHAT
	echo "FAILED: $*"
	failures=$((failures + 1))
}

need_captures() {
	[ -d "$MAPI_PCAPS" ] || skip "the captures are absent (MAPI_PCAPS or ../shared/pcaps)"
}

equal() { # WHAT GOT WANTED
	if [ "$2" = "$3" ]; then
		echo "ok: $1: $2"
	else
		fail "$1: got '$2', wanted '$3'"
	fi
}

# Captures that libpcap reads to the end, one per line.
readable_captures() {
	find "$MAPI_PCAPS" -type f ! -name '*.md' ! -name '*.tsv' | sort
}

# The results of "mapi run --json": per line the function, a tab, and its value.
json_values() {
	python3 -c '
import json, sys
for line in sys.stdin:
    result = json.loads(line)
    value = result.get("value")
    print(result["function"], json.dumps(value, sort_keys=True) if value is not None else "", sep="\t")'
}

finish() {
	[ "$failures" = 0 ] || echo "$failures checks failed"
	exit $((failures != 0))
}

scratch=$(mktemp -d)
trap 'cd /; rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1

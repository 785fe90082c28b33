#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The examples compile unchanged in the dialects of C since 1989 and as C++, without a warning.
# usage: test-dialects.sh EXAMPLES-FOLDER INCLUDE-FOLDER
set -eu
failed=0
try() { # COMPILER FLAGS...: with $source
	"$@" -D_GNU_SOURCE -Wall -Wextra -Werror -fsyntax-only -I"$include" "$source" || {
		echo "FAILED: $*: $source"
		failed=1
	}
}
include=$2
for source in "$1"/*.c; do
	for std in gnu89 gnu99 c11 gnu17; do
		try "${CC:-cc}" -std=$std
	done
	try "${CC:-cc}" -std=c11 -Wpedantic
	command -v g++ > /dev/null || continue
	for std in c++98 c++11 c++17; do
		try g++ -x c++ -std=$std -Wno-long-long
	done
done
exit $failed

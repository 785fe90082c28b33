#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What is installed works in place: programs in the C dialects of thirty years compile against the
# installed headers with nothing but -lmapi, run, and give the known numbers; pkg-config describes it;
# the library exports mapi_* and nothing else.
. "$(dirname "$0")/lib.sh"

DESTDIR=$scratch/stage meson install -C "$MAPI_BUILD" --no-rebuild --quiet > install.log 2>&1 || {
	cat install.log
	fail "meson install"
	finish
}
mapi=$(find stage -path '*/bin/mapi')
lib=$(dirname "$(find stage -name libmapi.so)")
include=$(dirname "$(find stage -name mapi.h)")
[ -n "$mapi" ] && [ "$lib" != . ] && [ "$include" != . ] || {
	fail "not installed: mapi '$mapi', libmapi.so '$lib', mapi.h '$include'"
	finish
}
find stage -path '*/sbin/mapid' | grep -q . || fail "mapid is not in sbin"

packets=$(tcpdump -nr "$OWN/http.pcap" --count tcp 2> /dev/null | cut -d ' ' -f 1)
unset LD_LIBRARY_PATH MAPI_MAPID
"$ALONE" "$mapi" run -r "$OWN/http.pcap" tcp > run.txt 2>&1 || fail "the staged mapi ended with $?"
grep -qw "$packets" run.txt || fail "the staged mapi does not say $packets: $(cat run.txt)"

cat > program.c <<'C'
#include <mapi.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	int fd, fid;
	mapi_results_t *result;
	unsigned long long *n;
	mapi_flow_info_t info;

	fd = mapi_create_offline_flow(argv[1], MFF_PCAP);
	mapi_apply_function(fd, "BPF_FILTER", "tcp");
	fid = mapi_apply_function(fd, "PKT_COUNTER");
	if (argc != 2 || fid < 0 || mapi_connect(fd) < 0)
		return 1;
	do {
		if (mapi_get_flow_info(fd, &info) < 0)
			return 2;
	} while (info.status != FLOW_FINISHED);
	result = mapi_read_results(fd, fid);
	n = (unsigned long long *)result->res;
	printf("%llu\n", *n);
#ifdef THREE
	n = (unsigned long long *)mapi_read_results(fd, fid, MAPI_COPY);
	printf("%llu\n", *n);
#endif
	return mapi_close_flow(fd);
}
C
cp program.c program.cc
flags="-I$include -L$lib -Wl,-rpath,$PWD/$lib -Wall -Werror"
try() { # COMPILER...
	"$@" $flags -lmapi -o program 2> compile.log || {
		cat compile.log
		fail "does not compile: $*"
		return
	}
	equal "$*" "$("$ALONE" ./program "$OWN/http.pcap" | sort -u)" "$packets"
}
for cc in gcc clang; do
	command -v $cc > /dev/null || skip "needs $cc"
	# long long is newer than C89.
	try $cc -std=gnu89 -Wno-long-long program.c -Wl,--no-as-needed
	try $cc -std=c99 program.c -Wl,--no-as-needed
	try $cc -std=c11 -Wpedantic program.c -Wl,--no-as-needed
	try $cc -std=c11 -Wpedantic -DTHREE program.c -Wl,--no-as-needed
	try $cc -std=gnu17 -Wextra program.c -Wl,--no-as-needed
done
for cxx in g++ clang++; do
	command -v $cxx > /dev/null || skip "needs $cxx"
	try $cxx -std=c++98 -Wno-long-long program.cc -Wl,--no-as-needed
	try $cxx -std=c++17 -Wpedantic -DTHREE program.cc -Wl,--no-as-needed
done
# Each header alone, and twice.
for header in $(cd "$include" && find mapi.h mapi -name '*.h'); do
	printf '#include <%s>\n#include <%s>\nint main(void) { return 0; }\n' "$header" "$header" > h.c
	cp h.c h.cc
	gcc -std=c11 -Wall -Wpedantic -Werror -I"$include" -c h.c -o h.o || fail "$header in C11"
	gcc -std=gnu89 -Wall -Werror -I"$include" -c h.c -o h.o || fail "$header in C89"
	g++ -std=c++17 -Wall -Wpedantic -Werror -I"$include" -c h.cc -o h.o || fail "$header in C++17"
done

# One name of old is no part of any header.
other=$(nm -D --defined-only "$lib/libmapi.so" | awk '$2 != "A" { print $3 }' |
	sed 's/@.*//' | grep -v -e '^mapi_' -e '^set_agent$' | tr '\n' ' ')
equal "exported names that are not mapi_*" "$other" ""
objdump -p "$lib/libmapi.so" | grep -q 'SONAME *libmapi\.so\.' || fail "libmapi.so has no SONAME"
pc=$(find stage -name 'mapi.pc' -o -name 'libmapi.pc')
[ -n "$pc" ] || fail "no pkg-config file"
case $(PKG_CONFIG_PATH=$(dirname "${pc:-.}") pkg-config --libs "$(basename "${pc:-none}" .pc)") in
*-lmapi*) ;;
*) fail "pkg-config does not say -lmapi" ;;
esac
finish

#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Every public header compiles alone and twice, and a program that calls every function compiles, as
# gnu89, C11 -Wpedantic and C++17, with each compiler that is installed. Links against $2 if given.
# usage: test-headers.sh INCLUDE_DIR [LIBRARY]
set -eu
include=$1
library=${2:-}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
flags="-Wall -Wextra -Werror -I$include"
n=0
fail() {
	echo "FAILED: $*"
	exit 1
}

cat >"$tmp/all.c" <<'PROGRAM'
#include <mapi.h>
#include <mapi.h>
#include <mapi/schema.h>
/* Names that historical programs expect from mapi.h. */
static int transitive = (int)sizeof(key_t) + (int)sizeof(struct tm) + LOG_ERR;
static void packet(const struct mapipkt *pkt)
{
	transitive += (int)pkt->caplen;
}
enum color { RED };
int main(int argc, char **argv)
{
	int fd, fid, code;
	char text[MAPI_ERRORSTR_LENGTH], *dev, *user = argv[0];
	const char *expression = "tcp";
	char path[8] = "/tmp/x";
	mapi_flow_info_t info;
	mapi_device_info_t device;
	mapi_results_t *result;
	struct mapi_result_status status;
	struct mapipkt *pkt;
	unsigned long long *value;
	unsigned long long limit = 5;
	short small = 1;
	if (argc < 2)
		return 0;
	fd = mapi_create_flow("lo");
	dev = mapi_create_offline_device(argv[1], MFF_PCAP);
	fd = mapi_create_flow(dev) + mapi_create_offline_flow(argv[1], MFF_PCAP);
	fid = mapi_apply_function(fd, "PKT_COUNTER");
	fid = mapi_apply_function(fd, "BPF_FILTER", expression);
	fid = mapi_apply_function(fd, "STR_SEARCH", "x", small, 'a');
	fid = mapi_apply_function(fd, "TO_FILE", MFF_PCAP, path, limit);
	fid = mapi_apply_function(fd, "STATS", fd, fid, NULL);
	fid = mapi_apply_function(fd, "X", 1, 2u, 3L, 4UL, 0.5, 0.5f, RED, path + 1, (void *)path, 10, 11, 12);
	fid = mapi_apply_function_array(fd, "PKT_COUNTER", NULL, 0);
	code = mapi_authenticate(fd, user, user, user) + mapi_connect(fd);
	code += mapi_start_offline_device(dev);
	pkt = mapi_get_next_pkt(fd, fid);
	code += (int)*(&pkt->pkt) + mapi_loop(fd, fid, 1, packet);
	result = mapi_read_results(fd, fid);
	value = (unsigned long long *)result->res;
	value = (unsigned long long *)mapi_read_results(fd, fid, MAPI_COPY);
	value = (unsigned long long *)mapi_read_results(fd, fid, MAPI_REF);
	code += mapi_get_flow_info(fd, &info) + mapi_get_scope_size(fd) + mapi_is_remote(fd);
	code += mapi_get_next_flow_info(fd, &info) + mapi_get_device_info(0, &device);
	code += mapi_get_next_device_info(-1, &device) + device.id + mapi_get_device_group(0);
	status.sz = sizeof(status);
	code += mapi_result_status(fd, fid, 0, &status) + mapi_flush(fd) + mapi_fileno(fd, fid);
	code += mapi_describe_next_function(mapi_describe_function("X")) != NULL;
	code += mapi_close_flow(fd) + mapi_delete_offline_device(dev);
	code += mapi_read_error(&code, text);
	return code + (int)*value + transitive;
}
PROGRAM
cat >"$tmp/plain.c" <<'PROGRAM'
/* Without the macro, as objects compiled long ago. */
#include <mapi.h>
int main(void)
{
	int (*apply)(int, const char *, ...) = mapi_apply_function;
	return apply(0, "PKT_COUNTER") + 1 + (mapi_apply_function)(0, "TO_BUFFER") + 1;
}
PROGRAM
cat >"$tmp/sizes.c" <<'PROGRAM'
#include <mapi.h>
#include <stddef.h>
#if defined(__x86_64__)
#define SIZE(type, n) typedef char type##_bytes[sizeof(type) == (n) ? 1 : -1]
#define AT(type, field, n) typedef char type##_##field[offsetof(type, field) == (n) ? 1 : -1]
typedef struct mapipkt pkt;
typedef struct mapi_stat stat_;
SIZE(mapi_flow_info_t, 296);
AT(mapi_flow_info_t, device, 12);
AT(mapi_flow_info_t, num_functions, 268);
AT(mapi_flow_info_t, start, 272);
AT(mapi_flow_info_t, status, 288);
SIZE(mapi_result_t, 16);
SIZE(mapi_results_t, 24);
AT(mapi_results_t, ts, 8);
AT(mapi_results_t, size, 16);
SIZE(mapi_function_info_t, 800);
AT(mapi_function_info_t, pkts, 776);
AT(mapi_function_info_t, result_size, 792);
SIZE(pkt, 24);
AT(pkt, ifindex, 8);
AT(pkt, caplen, 12);
AT(pkt, wlen, 16);
AT(pkt, pkt, 20);
SIZE(mapi_device_info_t, 1808);
AT(mapi_device_info_t, link_speed, 1796);
SIZE(mapi_libfunct_info_t, 1792);
SIZE(mapi_lib_info_t, 264);
SIZE(stat_, 524);
#endif
typedef char numbers[MFF_NAPATECH == 4 && BOTH_SIDE == 3 && NOWAIT == 1 && DEVICE_DELETED == 4 &&
	FLOW_CLOSED == 3 && MAPI_REF == 1 && CHAR == 4 && PAPI == 10 && MAPI_LOSS_MEMORY == 5 &&
	MAPI_N_LOSS == 6 ? 1 : -1];
int main(void)
{
	return 0;
}
PROGRAM

compile() { # compiler, dialect, language, source, output option
	"$1" $2 $flags -x "$3" -c -o "$tmp/o" "$4" || fail "$1 $2 $4"
	n=$((n + 1))
}

for lang in c c++; do
	if [ $lang = c ]; then
		compilers="gcc clang"
	else
		compilers="g++ clang++"
	fi
	for cc in $compilers; do
		command -v $cc >/dev/null || continue
		if [ $lang = c ]; then
			set -- -std=gnu89 "-std=c11 -Wpedantic" "-std=gnu17 -Wpedantic"
		else
			set -- "-std=c++17 -Wpedantic" "-std=gnu++20 -Wpedantic"
		fi
		for std in "$@"; do
			for header in "$include"/mapi.h "$include"/mapi/*.h; do
				name=${header#"$include"/}
				printf '#include <%s>\n#include <%s>\nextern int x;\nint x;\n' \
					"$name" "$name" >"$tmp/header.c"
				compile $cc "$std" $lang "$tmp/header.c"
			done
			compile $cc "$std" $lang "$tmp/all.c"
			compile $cc "$std" $lang "$tmp/sizes.c"
			[ $lang = c++ ] || compile $cc "$std" $lang "$tmp/plain.c"
		done
		if [ -n "$library" ]; then
			$cc $flags -x $lang "$tmp/all.c" -x none "$library" -o "$tmp/all" \
				-Wl,-rpath,"$(dirname "$library")" || fail "link with $cc"
			"$tmp/all" || fail "run what $cc made"
			n=$((n + 1))
		fi
	done
done
[ $n -gt 0 ] || { echo "SKIP: no compiler"; exit 77; }
echo "$n compilations"

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The error codes that programs compare, one row per situation, and the calls of programs of old
 * that pass too little, too much or something else. Every call of mapi_apply_function() is made
 * twice: as the macro, which knows what is passed, and as the plain function, which does not.
 *
 * usage: api_errors CAPTURE     (in a directory of its own; the capture's path is absolute)
 */
#include <limits.h>
#include <mapi/errors.h>
#include <mapi/explain.h>
#include <mapi/schema.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "flows.h"

static unsigned int errors_failures, errors_rows;
static int errors_last; /* value of the last call */

/* @code 0: the call must succeed. */
static void errors_check(int got, int code, const char *what, const char *form)
{
	char text[MAPI_ERRORSTR_LENGTH] = "";
	int error = 0;

	errors_last = got;
	errors_rows++;
	mapi_read_error(&error, text);
	if (code == 0 ? got >= 0 : got == -1 && error == code && *text)
		return;
	printf("FAILED: %s%s: got %d, error %d (%s), wanted %d\n", what, form, got, error, text,
		code);
	errors_failures++;
}

#define ROW(code, what, call) errors_check(call, code, what, "")
#define ROW_NULL(code, what, call) errors_check((call) ? 0 : -1, code, what, "")
#define APPLY(code, what, fd, ...)                                                                \
	do {                                                                                      \
		errors_check(mapi_apply_function(fd, __VA_ARGS__), code, what, "");               \
		errors_check(                                                                     \
			(mapi_apply_function)(fd, __VA_ARGS__), code, what, " (plain function)"); \
	} while (0)

/* The same for what programs of old leave out: the plain function cannot tell a number that is out
 * of bounds from one that was not passed, which is what happens to lie there, and takes its
 * default.
 */
#define APPLY_LEGACY(code, what, fd, ...)                                                      \
	do {                                                                                   \
		errors_check(mapi_apply_function(fd, __VA_ARGS__), code, what, "");            \
		errors_check(                                                                  \
			(mapi_apply_function)(fd, __VA_ARGS__), 0, what, " (plain function)"); \
	} while (0)

static void errors_no_packet(const struct mapipkt *pkt)
{
	(void)pkt;
}

static void errors_of_calls(const char *path)
{
	mapi_flow_info_t flow;
	mapi_function_info_t function;
	mapi_device_info_t device;
	mapi_lib_info_t library;
	mapi_libfunct_info_t libfunct;
	struct mapi_explanation explanation = { .sz = sizeof(explanation) };
	struct mapi_stat stats;
	int open, fd, packets, counter;

	ROW(3200, "create_flow: unknown device", mapi_create_flow("no-such-device"));
	ROW(6157, "create_flow: NULL", mapi_create_flow(NULL));
	ROW(6145, "connect: unknown flow", mapi_connect(9999));
	ROW(6145, "close_flow: unknown flow", mapi_close_flow(9999));
	ROW(6145, "get_flow_info: unknown flow", mapi_get_flow_info(9999, &flow));
	ROW(6145, "get_flow_info: 0", mapi_get_flow_info(0, &flow));
	ROW(7002, "get_flow_info: NULL", mapi_get_flow_info(1, NULL));
	ROW(6149, "get_next_flow_info: none left", mapi_get_next_flow_info(0, &flow));
	ROW(6145, "get_scope_size: unknown flow", mapi_get_scope_size(9999));
	ROW(6145, "is_remote: unknown flow", mapi_is_remote(9999));
	ROW(6145, "is_sensor_down: unknown flow", mapi_is_sensor_down(9999));
	ROW_NULL(6145, "get_devtype_of_flow: unknown flow", mapi_get_devtype_of_flow(9999));
	ROW(7002, "get_device_info: NULL", mapi_get_device_info(1, NULL));
	ROW(6157, "get_device_info: unknown", mapi_get_device_info(INT_MAX, &device));
	ROW(6157, "get_next_device_info: none left", mapi_get_next_device_info(INT_MAX, &device));
	ROW(7002, "get_library_info: NULL", mapi_get_library_info(0, NULL));
	ROW(3074, "get_library_info: unknown", mapi_get_library_info(999, &library));
	ROW(3074, "get_library_info: negative", mapi_get_library_info(-1, &library));
	ROW(3074, "get_next_library_info: none left", mapi_get_next_library_info(999, &library));
	ROW(7003, "get_libfunct_info: NULL", mapi_get_libfunct_info(0, 0, NULL));
	ROW(3074, "get_libfunct_info: library", mapi_get_libfunct_info(999, 0, &libfunct));
	ROW(3074, "get_library_info: INT_MIN", mapi_get_library_info(INT_MIN, &library));
	ROW(3074, "get_libfunct_info: INT_MIN", mapi_get_libfunct_info(INT_MIN, 0, &libfunct));
	ROW(3078, "get_libfunct_info: function", mapi_get_libfunct_info(0, 999, &libfunct));
	ROW(3078, "get_libfunct_info: negative", mapi_get_libfunct_info(0, -1, &libfunct));
	ROW(3078, "get_next_libfunct_info", mapi_get_next_libfunct_info(0, INT_MAX, &libfunct));
	ROW(3078, "get_libfunct_next_info", mapi_get_libfunct_next_info(0, 999, &libfunct));
	ROW(8004, "stats: no flow uses it", mapi_stats("no-such-device", &stats));
	ROW(6157, "stats: device NULL", mapi_stats(NULL, &stats));
	ROW(7002, "stats: NULL", mapi_stats(path, NULL));
	ROW_NULL(1026, "create_offline_device: no such file",
		mapi_create_offline_device("no-such-file", MFF_PCAP));
	ROW(6157, "start_offline_device: unknown", mapi_start_offline_device("x@1"));

	open = mapi_create_offline_flow(path, MFF_PCAP);
	counter = mapi_apply_function(open, "PKT_COUNTER");
	packets = mapi_apply_function(open, "TO_BUFFER", NOWAIT);
	ROW_NULL(6143, "read_results: not connected", mapi_read_results(open, counter));
	ROW_NULL(6143, "get_next_pkt: not connected", mapi_get_next_pkt(open, packets));
	ROW(6143, "loop: not connected", mapi_loop(open, packets, 1, errors_no_packet));
	ROW(6143, "explain: not connected", mapi_explain(open, counter, &explanation));
	ROW(6145, "explain: unknown flow", mapi_explain(9999, 1, &explanation));
	ROW(6150, "explain: unknown function", mapi_explain(open, 99, &explanation));
	ROW(7003, "explain: NULL", mapi_explain(open, counter, NULL));
	ROW(6141, "get_function_info: unknown flow", mapi_get_function_info(9999, 1, &function));
	ROW(6150, "get_function_info: function", mapi_get_function_info(open, 99, &function));
	ROW(7003, "get_function_info: NULL", mapi_get_function_info(open, counter, NULL));
	ROW(6150, "get_next_function_info", mapi_get_next_function_info(open, packets, &function));
	ROW(0, "close_flow", mapi_close_flow(open));
	ROW(6145, "close_flow: again", mapi_close_flow(open));

	fd = mapi_create_offline_flow(path, MFF_PCAP);
	counter = mapi_apply_function(fd, "PKT_COUNTER");
	packets = mapi_apply_function(fd, "TO_BUFFER", WAIT);
	ROW(0, "connect", mapi_connect(fd));
	ROW(3081, "connect twice", mapi_connect(fd));
	APPLY(7006, "apply: after connect", fd, "PKT_COUNTER");
	APPLY(7006, "apply: a filter that is wrong, after connect", fd, "BPF_FILTER", "tcp port");
	APPLY(7006, "apply: more arguments than there are, after connect", fd, "BYTE_COUNTER", 1,
		"a", 2ull);
	ROW_NULL(6145, "read_results: unknown flow", mapi_read_results(9999, counter));
	ROW_NULL(6145, "read_results: flow 0", mapi_read_results(0, counter));
	ROW_NULL(6145, "read_results: function 0", mapi_read_results(fd, 0));
	ROW_NULL(6145, "read_results: function -1", mapi_read_results(fd, -1));
	ROW_NULL(6147, "read_results: unknown function", mapi_read_results(fd, 99));
	ROW_NULL(6147, "get_next_pkt: unknown flow", mapi_get_next_pkt(9999, packets));
	ROW_NULL(6147, "get_next_pkt: flow 0", mapi_get_next_pkt(0, packets));
	ROW_NULL(6147, "get_next_pkt: unknown function", mapi_get_next_pkt(fd, 99));
	ROW_NULL(6147, "get_next_pkt: a function without packets", mapi_get_next_pkt(fd, counter));
	ROW(6147, "loop: unknown flow", mapi_loop(9999, packets, 1, errors_no_packet));
	ROW(6147, "loop: unknown function", mapi_loop(fd, 99, 1, errors_no_packet));
	ROW(7004, "loop: no callback", mapi_loop(fd, packets, 1, NULL));
	ROW(0, "loop", mapi_loop(fd, packets, -1, errors_no_packet));
	ROW(0, "explain", mapi_explain(fd, counter, &explanation));
	ROW(0, "stats", mapi_stats(path, &stats) == 1 ? 0 : -1);
	ROW(0, "close_flow", mapi_close_flow(fd));
	ROW(8004, "stats: closed", mapi_stats(path, &stats));
	ROW_NULL(6145, "read_results: closed", mapi_read_results(fd, counter));
	errors_check(mapi_read_error(NULL, NULL) == -1 ? 0 : -1, 0, "read_error: NULL, NULL", "");
}

/* Functions that take the values of others. @fd, @counter: a value; @other, @there: of another
 * device. */
static void errors_of_values(int fd, int counter, int other, int there)
{
	APPLY(7001, "BINOP: operation", fd, "BINOP", 2, fd, counter, fd, counter);
	APPLY(7002, "BINOP: first flow", fd, "BINOP", 0, 9999, counter, fd, counter);
	APPLY(7004, "BINOP: second function", fd, "BINOP", 0, fd, counter, fd, 99);
	APPLY(7004, "BINOP: another device", fd, "BINOP", 0, fd, counter, other, there);
	APPLY(7001, "DIST: function", fd, "DIST", fd, 99, "0", "9", "1");
	APPLY(7003, "DIST: minimum", fd, "DIST", fd, counter, "x", "9", "1");
	APPLY(7004, "DIST: maximum", fd, "DIST", fd, counter, "9", "9", "1");
	APPLY(7005, "DIST: interval", fd, "DIST", fd, counter, "0", "9", "0");
	APPLY(7000, "BUCKET: function", fd, "BUCKET", fd, 99, "1s", 1);
	APPLY(7003, "BUCKET: interval", fd, "BUCKET", fd, counter, "soon", 1);
	APPLY(7001, "THRESHOLD: type", fd, "THRESHOLD", 3, fd, counter, 1ull, 1, 0, 0, 0);
	APPLY(7002, "THRESHOLD: function", fd, "THRESHOLD", 2, fd, 99, 1ull, 1, 0, 0, 0);
	APPLY(7005, "THRESHOLD: boundary", fd, "THRESHOLD", 2, fd, counter, 1ull, 3, 0, 0, 0);
	APPLY(7011, "THRESHOLD: timeout", fd, "THRESHOLD", 2, fd, counter, 1ull, 1, -1, 0, 0);
	APPLY(7000, "THRESHOLD: divider", fd, "THRESHOLD", 2, fd, counter, 1ull, 1, 0, -1, 0);
	APPLY(7000, "THRESHOLD: count", fd, "THRESHOLD", 2, fd, counter, 1ull, 1, 0, 0, -1);
}

static void errors_of_functions(const char *path)
{
	int fd = mapi_create_offline_flow(path, MFF_PCAP);
	int other = mapi_create_offline_flow(path, MFF_PCAP); /* another device */
	int counter = mapi_apply_function(fd, "PKT_COUNTER");
	int there = mapi_apply_function(other, "PKT_COUNTER");
	char self[16];

	(void)snprintf(self, sizeof(self), "%d@%d", counter, fd);
	APPLY(6144, "unknown function", fd, "NO_SUCH_FUNCTION");
	APPLY(6144, "unknown library", fd, "nolib:PKT_COUNTER");
	APPLY(6147, "flow 0", 0, "PKT_COUNTER");
	APPLY(6147, "flow -1", -1, "PKT_COUNTER");
	APPLY(6145, "unknown flow", 9999, "PKT_COUNTER");
	APPLY(7006, "no name", fd, NULL);
	APPLY(1025, "BPF_FILTER: syntax", fd, "BPF_FILTER", "tcp port");
	APPLY(7001, "BPF_FILTER: empty", fd, "BPF_FILTER", "");
	APPLY(7001, "STR_SEARCH: empty", fd, "STR_SEARCH", "", 0, 0);
	APPLY(7002, "STR_SEARCH: offset", fd, "STR_SEARCH", "www", -1, 0);
	APPLY(7003, "STR_SEARCH: depth", fd, "STR_SEARCH", "www", 0, -1);
	APPLY(3503, "STR_SEARCH: pipe", fd, "STR_SEARCH", "|41", 0, 0);
	APPLY(3504, "STR_SEARCH: depth below the pattern", fd, "STR_SEARCH", "www", 0, 2);
	APPLY(3505, "STR_SEARCH: no hexadecimal", fd, "STR_SEARCH", "|4x|", 0, 0);
	APPLY_LEGACY(7001, "TO_BUFFER: neither WAIT nor NOWAIT", fd, "TO_BUFFER", 2);
	APPLY(7006, "TO_FILE: format", fd, "TO_FILE", 77, "out.pcap", 0ull);
	APPLY(6155, "TO_FILE: NULL", fd, "TO_FILE", MFF_PCAP, NULL, 0ull);
	APPLY(6155, "TO_FILE: no such directory", fd, "TO_FILE", MFF_PCAP, "no/such/dir", 0ull);
	APPLY(7001, "HASHSAMP: range", fd, "HASHSAMP", 2000, 0);
	APPLY(7001, "HASH: layer", fd, "HASH", 4);
	APPLY(7002, "PKTINFO: kind", fd, "PKTINFO", 2);
	APPLY(7001, "STATS: flow", fd, "STATS", 9999, counter, "0");
	APPLY(7001, "STATS: flow on another device", fd, "STATS", other, there, "0");
	APPLY(7001, "STATS: function", fd, "STATS", fd, 99, "0");
	errors_of_values(fd, counter, other, there);
	APPLY(7000, "REGEXP: pattern", fd, "REGEXP", "(");
	APPLY(7001, "TOP: too many", fd, "TOP", 1001, 2, 11, 1, 0);
	APPLY(7002, "TOP: protocol", fd, "TOP", 10, 4, 11, 1, 0);
	APPLY(7003, "TOP: field of another protocol", fd, "TOP", 10, 3, 11, 1, 0);
	APPLY(7001, "RES2FILE: types", fd, "RES2FILE", "9", self, "", "r2f", "1s", 0);
	APPLY(7002, "RES2FILE: no references", fd, "RES2FILE", "1", "nonsense", "", "r2f", "1s", 0);
	APPLY(7002, "RES2FILE: unknown function", fd, "RES2FILE", "1", "99@1", "", "r2f", "1s", 0);
	APPLY(6155, "RES2FILE: NULL", fd, "RES2FILE", "1", self, "", NULL, "1s", 0);
	APPLY(7005, "RES2FILE: period", fd, "RES2FILE", "1", self, "", "r2f", "soon", 0);
	APPLY_LEGACY(7011, "RES2FILE: reset", fd, "RES2FILE", "1", self, "", "r2f", "1s", 2);
	APPLY(7001, "STARTSTOP: start", fd, "STARTSTOP", "noon", "+1s");
	APPLY(7002, "STARTSTOP: stop", fd, "STARTSTOP", "+1s", "noon");
	APPLY(7000, "STARTSTOP: span, then time", fd, "STARTSTOP", "+1s", "2030-01-31 08:00:00");
	APPLY(7001, "SYNC: no list", fd, "SYNC", "");
	APPLY(7001, "SYNC: unknown flow", fd, "SYNC", "9999");
	APPLY(7001, "BURST: min", fd, "BURST", -1, 1, 1, 1, 1, 1, 1);
	APPLY(7002, "BURST: max below min", fd, "BURST", 2, 1, 1, 1, 1, 1, 1);
	APPLY(7003, "BURST: step", fd, "BURST", 1, 2, 0, 1, 1, 1, 1);
	APPLY(7004, "BURST: time between frames", fd, "BURST", 1, 2, 1, -1, 1, 1, 1);
	APPLY(7005, "BURST: late", fd, "BURST", 1, 2, 1, 1, -1, 1, 1);
	APPLY(7011, "BURST: early", fd, "BURST", 1, 2, 1, 1, 1, -1, 1);
	APPLY(7000, "BURST: speed", fd, "BURST", 1, 2, 1, 1, 1, 1, 0);
	ROW(0, "close_flow", mapi_close_flow(fd));
	ROW(0, "close_flow", mapi_close_flow(other));
}

/* The size of a result is what can be read of it. */
static void errors_of_sizes(const char *path)
{
	int fd = mapi_create_offline_flow(path, MFF_PCAP);
	int counter = mapi_apply_function(fd, "PKT_COUNTER");
	int fids[] = { counter, mapi_apply_function(fd, "DIST", fd, counter, "0", "9", "1"),
		mapi_apply_function(fd, "BURST", 1, 900, 100, 1, 1, 1, 1) };

	ROW(0, "connect", mapi_connect(fd));
	for (size_t i = 0; i < sizeof(fids) / sizeof(fids[0]); i++) {
		mapi_function_info_t info = { .result_size = -1 };
		const mapi_results_t *results = mapi_read_results(fd, fids[i]);

		ROW(0, "get_function_info", mapi_get_function_info(fd, fids[i], &info));
		ROW(0, "get_function_info: size of the result",
			results && results->size == info.result_size ? 0 : -1);
	}
	ROW(0, "close_flow", mapi_close_flow(fd));
}

/* ---- what programs of old pass ---- */

/* @what was applied; the flow runs, and has seen the capture. */
static void errors_run(int fd, const char *what)
{
	ROW(0, what, mapi_connect(fd));
	ROW(0, what, flows_wait_end(fd));
	ROW(0, what, mapi_close_flow(fd));
}

static unsigned int errors_n_packets(int fd, int fid)
{
	unsigned int n = 0;

	while (mapi_get_next_pkt(fd, fid))
		n++;
	return n;
}

static void errors_legacy(const char *path, bool plain)
{
	int fd = mapi_create_offline_flow(path, MFF_PCAP), fid, counter;
	unsigned int n;

#define LEGACY(...) (plain ? (mapi_apply_function)(__VA_ARGS__) : mapi_apply_function(__VA_ARGS__))
	/* With the plain function what is missing is what happens to lie in a register. */
	if (!plain) {
		ROW(7001, "BPF_FILTER without an argument", LEGACY(fd, "BPF_FILTER"));
		fid = LEGACY(fd, "TO_BUFFER");
		ROW(0, "TO_BUFFER without an argument", fid);
		ROW(0, "connect", mapi_connect(fd));
		n = errors_n_packets(fd, fid);
		ROW(0, "TO_BUFFER without an argument hands out packets", n > 0 ? 0 : -1);
	} else {
		(void)LEGACY(fd, "BPF_FILTER");
		(void)mapi_read_error(&fid, NULL);
		fid = LEGACY(fd, "TO_BUFFER");
		errors_check(fid > 0 ? 0 : -1, 0, "TO_BUFFER without an argument", " (plain)");
	}
	ROW(0, "close_flow", mapi_close_flow(fd));

	fd = mapi_create_offline_flow(path, MFF_PCAP);
	counter = LEGACY(fd, "PKT_COUNTER", 1, "more than it takes", 2.0);
	ROW(0, "PKT_COUNTER with arguments", counter);
	ROW(0, "TOP with 3 arguments", LEGACY(fd, "TOP", 10, 2, 11));
	ROW(0, "TO_FILE with an int as limit", LEGACY(fd, "TO_FILE", MFF_PCAP, "limit.pcap", 3));
	ROW(0, "STATS with the number 0", LEGACY(fd, "STATS", fd, counter, 0));
	ROW(0, "STR_SEARCH with three numbers", LEGACY(fd, "STR_SEARCH", "HTTP", 0, 0, 1500));
	ROW(0, "a path of the program's directory", mapi_create_offline_flow("./tracefile", 0));
	ROW(0, "close_flow", mapi_close_flow(errors_last));
	/* As text it is no expression; as a pointer it is none. */
	ROW(plain ? 7001 : 1025, "BPF_FILTER with the number 0", LEGACY(fd, "BPF_FILTER", 0));
	errors_check(
		LEGACY(fd, "BPF_FILTER", 1) < 0 ? 0 : -1, 0, "BPF_FILTER with the number 1", "");
	errors_check(LEGACY(fd, "TO_FILE", 0, 5, 0) < 0 ? 0 : -1, 0, "TO_FILE to the number 5", "");
	if (plain)
		errors_check(LEGACY(fd, "STR_SEARCH", (char *)0xdead, 0, 0) < 0 ? 0 : -1, 0,
			"STR_SEARCH for what cannot be read", "");
	errors_run(fd, "a flow of legacy calls");
	ROW(0, "TO_FILE with an int as limit writes", access("limit.pcap", R_OK));
	ROW(0, "unlink", unlink("limit.pcap"));
}

static void errors_legacy_res2file(const char *path, bool plain)
{
	int fd = mapi_create_offline_flow(path, MFF_PCAP);
	int counter = mapi_apply_function(fd, "PKT_COUNTER");
	char refs[16];

	(void)snprintf(refs, sizeof(refs), "%d@%d", counter, fd);
	ROW(0, "RES2FILE with 5 arguments",
		LEGACY(fd, "RES2FILE", "1", refs, "packets", "results", "0"));
	errors_run(fd, "RES2FILE with 5 arguments");
	ROW(0, "RES2FILE with 5 arguments writes", access("results", R_OK));
	ROW(0, "unlink", unlink("results"));
}

int main(int argc, char **argv)
{
	char directory[] = "/tmp/api_errors.XXXXXX";

	if (argc != 2 || *argv[1] != '/')
		return 2;
	setenv("MAPI_SOCKET", "", 1); /* whatever runs on this machine */
	if (!mkdtemp(directory) || chdir(directory) < 0 || symlink(argv[1], "tracefile") < 0)
		return 2;
	ROW(6141, "connect before anything was created", mapi_connect(1));
	ROW(6141, "close_flow before anything was created", mapi_close_flow(1));
	ROW(6141, "start_offline_device before anything was created",
		mapi_start_offline_device("x@1"));
	errors_of_calls(argv[1]);
	errors_of_functions(argv[1]);
	errors_of_sizes(argv[1]);
	errors_legacy(argv[1], false);
	errors_legacy(argv[1], true);
	errors_legacy_res2file(argv[1], false);
	errors_legacy_res2file(argv[1], true);
	(void)unlink("tracefile");
	(void)unlink("r2f");
	(void)unlink("out.pcap");
	if (chdir("/") < 0 || rmdir(directory) < 0)
		printf("FAILED: something is left in %s\n", directory), errors_failures++;
	printf("%u rows, %u failed\n", errors_rows, errors_failures);
	return errors_failures > 0;
}

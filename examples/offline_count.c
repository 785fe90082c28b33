/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two flows on one reading of a capture file: all packets, and those that an expression selects.
 *
 *	offline_count FILE EXPRESSION
 */
#include <mapi.h>
#include <stdio.h>
#include <stdlib.h>

static void check(int outcome, const char *what)
{
	char text[MAPI_ERRORSTR_LENGTH];
	int code;

	if (outcome >= 0)
		return;
	mapi_read_error(&code, text);
	fprintf(stderr, "%s: error %d: %s\n", what, code, text);
	exit(EXIT_FAILURE);
}

static unsigned long long value(int fd, int fid)
{
	mapi_results_t *result = mapi_read_results(fd, fid);

	check(result ? 0 : -1, "mapi_read_results");
	return *(unsigned long long *)result->res;
}

int main(int argc, char **argv)
{
	int all, some, all_pkts, all_bytes, some_pkts, some_bytes;
	char *device;

	if (argc != 3) {
		fprintf(stderr, "usage: %s FILE EXPRESSION\n", argv[0]);
		return 2;
	}
	device = mapi_create_offline_device(argv[1], MFF_PCAP);
	check(device ? 0 : -1, argv[1]);
	check(all = mapi_create_flow(device), "mapi_create_flow");
	check(all_pkts = mapi_apply_function(all, "PKT_COUNTER"), "PKT_COUNTER");
	check(all_bytes = mapi_apply_function(all, "BYTE_COUNTER"), "BYTE_COUNTER");
	check(some = mapi_create_flow(device), "mapi_create_flow");
	check(mapi_apply_function(some, "BPF_FILTER", argv[2]), argv[2]);
	check(some_pkts = mapi_apply_function(some, "PKT_COUNTER"), "PKT_COUNTER");
	check(some_bytes = mapi_apply_function(some, "BYTE_COUNTER"), "BYTE_COUNTER");
	check(mapi_connect(all), "mapi_connect");
	check(mapi_connect(some), "mapi_connect");
	check(mapi_start_offline_device(device), "mapi_start_offline_device");
	check(mapi_wait(all, -1), "mapi_wait");
	check(mapi_wait(some, -1), "mapi_wait");
	printf("all: %llu packets, %llu bytes\n", value(all, all_pkts), value(all, all_bytes));
	printf("%s: %llu packets, %llu bytes\n", argv[2], value(some, some_pkts),
		value(some, some_bytes));
	mapi_close_flow(some);
	mapi_close_flow(all);
	mapi_delete_offline_device(device);
	return EXIT_SUCCESS;
}

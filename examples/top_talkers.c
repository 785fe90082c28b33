/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The addresses that send most bytes.
 *
 *	top_talkers FILE [NUMBER]
 */
#include <arpa/inet.h>
#include <mapi.h>
#include <mapi/topx.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char *what)
{
	char text[MAPI_ERRORSTR_LENGTH];
	int code;

	mapi_read_error(&code, text);
	fprintf(stderr, "%s: error %d: %s\n", what, code, text);
	return EXIT_FAILURE;
}

/* The records follow the number of them, unaligned. */
static void print_records(const void *result)
{
	const char *at = (const char *)result;
	char address[INET6_ADDRSTRLEN];
	struct topx_result record;
	unsigned int i, n;

	memcpy(&n, at, sizeof(n));
	at += sizeof(n);
	for (i = 0; i < n; i++, at += sizeof(record)) {
		memcpy(&record, at, sizeof(record));
		if (record.family == AF_INET6)
			inet_ntop(AF_INET6, &record.addr6, address, sizeof(address));
		else
			inet_ntop(AF_INET, &record.value, address, sizeof(address));
		printf("%-40s %10u packets %12llu bytes\n", address, record.count,
			record.bytecount);
	}
}

int main(int argc, char **argv)
{
	int number = argc > 2 ? atoi(argv[2]) : 10;
	mapi_results_t *result;
	int fd, fid;

	if (argc < 2) {
		fprintf(stderr, "usage: %s FILE [NUMBER]\n", argv[0]);
		return 2;
	}
	fd = mapi_create_offline_flow(argv[1], MFF_PCAP);
	if (fd < 0)
		return fail(argv[1]);
	fid = mapi_apply_function(fd, "TOP", number, TOPX_IP, TOPX_IP_SRCIP, SORT_BY_BYTES, 0);
	if (fid < 0 || mapi_connect(fd) < 0)
		return fail("TOP");
	if (mapi_wait(fd, -1) < 0)
		return fail("mapi_wait");
	result = mapi_read_results(fd, fid);
	if (!result)
		return fail("mapi_read_results");
	print_records(result->res);
	return mapi_close_flow(fd) < 0 ? fail("mapi_close_flow") : EXIT_SUCCESS;
}

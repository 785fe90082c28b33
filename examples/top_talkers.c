/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The addresses that send most bytes, until the end.
 *
 *	top_talkers -r FILE | -i DEVICE [-t SECONDS] [NUMBER]
 */
#include "source.h"

#include <arpa/inet.h>
#include <mapi/topx.h>
#include <string.h>

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
	int i = source_options(argc, argv, "[NUMBER]"), fd, fid;
	int number = i < argc ? atoi(argv[i]) : 10;
	mapi_results_t *result;

	fd = source_check(mapi_create_flow(source.device), source.device);
	fid = source_check(
		mapi_apply_function(fd, "TOP", number, TOPX_IP, TOPX_IP_SRCIP, SORT_BY_BYTES, 0),
		"TOP");
	source_check(mapi_connect(fd), "mapi_connect");
	source_start(0);
	source_wait(fd, -1);
	result = mapi_read_results(fd, fid);
	source_check(result ? 0 : -1, "mapi_read_results");
	print_records(result->res);
	source_check(mapi_close_flow(fd), "mapi_close_flow");
	source_close();
	return EXIT_SUCCESS;
}

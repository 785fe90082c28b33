/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two flows on one reading of a file, or on one capture: all packets, and those that an expression
 * selects.
 *
 *	offline_count -r FILE | -i DEVICE [-t SECONDS] EXPRESSION
 */
#include "source.h"

int main(int argc, char **argv)
{
	int all, some, all_pkts, all_bytes, some_pkts, some_bytes;
	const char *expression;
	int i = source_options(argc, argv, "EXPRESSION");

	if (i + 1 != argc) {
		fprintf(stderr, "%s: one expression, please: put it into quotes\n", argv[0]);
		return 2;
	}
	expression = argv[i];
	all = source_check(mapi_create_flow(source.device), source.device);
	all_pkts = source_check(mapi_apply_function(all, "PKT_COUNTER"), "PKT_COUNTER");
	all_bytes = source_check(mapi_apply_function(all, "BYTE_COUNTER"), "BYTE_COUNTER");
	some = source_check(mapi_create_flow(source.device), source.device);
	source_check(mapi_apply_function(some, "BPF_FILTER", expression), expression);
	some_pkts = source_check(mapi_apply_function(some, "PKT_COUNTER"), "PKT_COUNTER");
	some_bytes = source_check(mapi_apply_function(some, "BYTE_COUNTER"), "BYTE_COUNTER");
	source_check(mapi_connect(all), "mapi_connect");
	source_check(mapi_connect(some), "mapi_connect");
	source_start(0);
	source_wait(some, -1);
	source_wait(all, -1);
	printf("all: %llu packets, %llu bytes\n", source_number(all, all_pkts),
		source_number(all, all_bytes));
	printf("%s: %llu packets, %llu bytes\n", expression, source_number(some, some_pkts),
		source_number(some, some_bytes));
	mapi_close_flow(some);
	mapi_close_flow(all);
	source_close();
	return EXIT_SUCCESS;
}

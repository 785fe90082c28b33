/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Count packets, and print the count once per second.
 *
 *	packet_count -r FILE | -i DEVICE [-t SECONDS] [EXPRESSION]
 */
#include "source.h"

int main(int argc, char **argv)
{
	int i = source_options(argc, argv, "[EXPRESSION]"), fd, fid, is_end;

	fd = source_check(mapi_create_flow(source.device), source.device);
	if (i < argc)
		source_check(mapi_apply_function(fd, "BPF_FILTER", argv[i]), argv[i]);
	fid = source_check(mapi_apply_function(fd, "PKT_COUNTER"), "PKT_COUNTER");
	source_check(mapi_connect(fd), "mapi_connect");
	source_start(0);
	do {
		is_end = source_wait(fd, 1000);
		printf("%llu packets\n", source_number(fd, fid));
		fflush(stdout);
	} while (!is_end);
	mapi_close_flow(fd);
	source_close();
	return EXIT_SUCCESS;
}

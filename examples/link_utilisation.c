/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Utilisation of a link: the bytes that came since the last look, divided by the time between the
 * results.
 *
 *	link_utilisation -r FILE | -i DEVICE [-t SECONDS] [PAUSE]	a look each PAUSE seconds
 *(1)
 */
#include "source.h"

int main(int argc, char **argv)
{
	int i = source_options(argc, argv, "[PAUSE]"), fd, fid, is_end;
	int pause_s = i < argc ? atoi(argv[i]) : 1;
	unsigned long long bytes, last_bytes = 0, last_us;
	struct mapi_result_status status;
	mapi_results_t *result;

	if (pause_s < 1)
		pause_s = 1;
	fd = source_check(mapi_create_flow(source.device), source.device);
	fid = source_check(mapi_apply_function(fd, "BYTE_COUNTER"), "BYTE_COUNTER");
	source_check(mapi_connect(fd), "mapi_connect");
	result = mapi_read_results(fd, fid);
	source_check(result ? 0 : -1, "mapi_read_results");
	last_us = result->ts;
	source_start(0);
	do {
		is_end = source_wait(fd, pause_s * 1000);
		result = mapi_read_results(fd, fid);
		source_check(result ? 0 : -1, "mapi_read_results");
		bytes = *(unsigned long long *)result->res;
		printf("%llu bytes, %.2f Mbit/s\n", bytes,
			result->ts > last_us ? 8.0 * (double)(bytes - last_bytes) /
					(double)(result->ts - last_us)
					     : 0.0);
		fflush(stdout);
		last_bytes = bytes;
		last_us = result->ts;
	} while (!is_end);
	status.sz = sizeof(status);
	source_check(mapi_result_status(fd, fid, 0, &status), "mapi_result_status");
	if (status.error)
		fprintf(stderr, "%s: %s\n", source.device, status.error_text);
	mapi_close_flow(fd);
	source_close();
	return status.error ? EXIT_FAILURE : EXIT_SUCCESS;
}

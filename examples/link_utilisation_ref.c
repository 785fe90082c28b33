/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Utilisation of a link in the form of MAPI 1.x: mapi_read_results() with a third argument returns
 * the result itself, by MAPI_REF as a place that always holds the current value.
 *
 *	link_utilisation_ref -r FILE | -i DEVICE [-t SECONDS]
 */
#include "source.h"

int main(int argc, char **argv)
{
	const volatile unsigned long long *in, *out;
	int in_fd, out_fd, in_fid, out_fid, is_end;
	unsigned long long *copy;

	source_options(argc, argv, "");
	in_fd = source_check(mapi_create_flow(source.device), source.device);
	out_fd = source_check(mapi_create_flow(source.device), source.device);
	source_check(mapi_apply_function(in_fd, "BPF_FILTER", "tcp"), "BPF_FILTER");
	in_fid = source_check(mapi_apply_function(in_fd, "BYTE_COUNTER"), "BYTE_COUNTER");
	source_check(mapi_apply_function(out_fd, "BPF_FILTER", "udp"), "BPF_FILTER");
	out_fid = source_check(mapi_apply_function(out_fd, "BYTE_COUNTER"), "BYTE_COUNTER");
	source_check(mapi_connect(in_fd), "mapi_connect");
	source_check(mapi_connect(out_fd), "mapi_connect");
	in = (unsigned long long *)mapi_read_results(in_fd, in_fid, MAPI_REF);
	out = (unsigned long long *)mapi_read_results(out_fd, out_fid, MAPI_REF);
	source_check(in && out ? 0 : -1, "mapi_read_results");
	source_start(0);
	do {
		is_end = source_wait(out_fd, source.path ? 10 : 1000);
		if (is_end)
			source_wait(in_fd, -1);
		printf("tcp %llu bytes, udp %llu bytes\n", *in, *out);
		fflush(stdout);
	} while (!is_end);
	copy = (unsigned long long *)mapi_read_results(in_fd, in_fid, MAPI_COPY);
	if (copy)
		printf("in the end: tcp %llu bytes\n", *copy);
	mapi_close_flow(in_fd);
	mapi_close_flow(out_fd);
	source_close();
	return EXIT_SUCCESS;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which subnet sends most to the outside: a flow for each subnet, all on the same packets.
 *
 *	busiest_subnet -r FILE | -i DEVICE [-t SECONDS] SUBNET...	SUBNET as in 10.1.0.0/24
 */
#include "source.h"

#define SUBNETS_MAX 256

int main(int argc, char **argv)
{
	int fd[SUBNETS_MAX], fid[SUBNETS_MAX], i, n_subnets, busiest = 0;
	unsigned long long bytes, most_bytes = 0;
	char expression[200];
	char **subnets;

	subnets = argv + source_options(argc, argv, "SUBNET...");
	n_subnets = (int)(argv + argc - subnets);
	if (n_subnets < 1 || n_subnets > SUBNETS_MAX) {
		fprintf(stderr, "%s: 1 to %d subnets, please\n", argv[0], SUBNETS_MAX);
		return 2;
	}
	for (i = 0; i < n_subnets; i++) {
		snprintf(expression, sizeof(expression), "src net %.80s and not dst net %.80s",
			subnets[i], subnets[i]);
		fd[i] = source_check(mapi_create_flow(source.device), source.device);
		source_check(mapi_apply_function(fd[i], "BPF_FILTER", expression), expression);
		fid[i] = source_check(mapi_apply_function(fd[i], "BYTE_COUNTER"), "BYTE_COUNTER");
		source_check(mapi_connect(fd[i]), subnets[i]);
	}
	source_start(0);
	for (i = 0; i < n_subnets; i++) {
		source_wait(fd[i], -1);
		bytes = source_number(fd[i], fid[i]);
		printf("%-20s %12llu bytes\n", subnets[i], bytes);
		if (bytes > most_bytes) {
			most_bytes = bytes;
			busiest = i;
		}
		mapi_close_flow(fd[i]);
	}
	if (most_bytes)
		printf("%s sends most\n", subnets[busiest]);
	source_close();
	return EXIT_SUCCESS;
}

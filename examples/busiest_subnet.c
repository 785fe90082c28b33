/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which subnet sends most to the outside: a flow for each subnet, all on one reading of the file.
 *
 *	busiest_subnet FILE SUBNET...		SUBNET as in 10.1.0.0/24
 */
#include <mapi.h>
#include <stdio.h>
#include <stdlib.h>

#define SUBNETS_MAX 256

static int check(int outcome, const char *what)
{
	char text[MAPI_ERRORSTR_LENGTH];
	int code;

	if (outcome >= 0)
		return outcome;
	mapi_read_error(&code, text);
	fprintf(stderr, "%s: error %d: %s\n", what, code, text);
	exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
	int fd[SUBNETS_MAX], fid[SUBNETS_MAX], i, n_subnets = argc - 2, busiest = 0;
	unsigned long long bytes, most_bytes = 0;
	mapi_results_t *result;
	char expression[200];
	char *device;

	if (n_subnets < 1 || n_subnets > SUBNETS_MAX) {
		fprintf(stderr, "usage: %s FILE SUBNET...\n", argv[0]);
		return 2;
	}
	device = mapi_create_offline_device(argv[1], MFF_PCAP);
	check(device ? 0 : -1, argv[1]);
	for (i = 0; i < n_subnets; i++) {
		snprintf(expression, sizeof(expression), "src net %.80s and not dst net %.80s",
			argv[i + 2], argv[i + 2]);
		fd[i] = check(mapi_create_flow(device), device);
		check(mapi_apply_function(fd[i], "BPF_FILTER", expression), expression);
		fid[i] = check(mapi_apply_function(fd[i], "BYTE_COUNTER"), "BYTE_COUNTER");
		check(mapi_connect(fd[i]), argv[i + 2]);
	}
	check(mapi_start_offline_device(device), "mapi_start_offline_device");
	for (i = 0; i < n_subnets; i++) {
		check(mapi_wait(fd[i], -1), "mapi_wait");
		result = mapi_read_results(fd[i], fid[i]);
		check(result ? 0 : -1, "mapi_read_results");
		bytes = *(unsigned long long *)result->res;
		printf("%-20s %12llu bytes\n", argv[i + 2], bytes);
		if (bytes > most_bytes) {
			most_bytes = bytes;
			busiest = i;
		}
		mapi_close_flow(fd[i]);
	}
	if (most_bytes)
		printf("%s sends most\n", argv[busiest + 2]);
	mapi_delete_offline_device(device);
	return EXIT_SUCCESS;
}

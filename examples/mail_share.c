/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How much of the traffic is mail: two flows that see the same packets, all of them and those of
 *the mail protocols.
 *
 *	mail_share FILE			of the whole file
 *	mail_share -i DEVICE [SECONDS]	live, so far, each so many seconds until Ctrl-C
 */
#include <mapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* SMTP, submission, POP3 and IMAP, plain and over TLS */
#define MAIL                                                                                       \
	"tcp port 25 or tcp port 465 or tcp port 587 or tcp port 110 or tcp port 995 or tcp port " \
	"143 "                                                                                     \
	"or tcp port 993"

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

static unsigned long long value(int fd, int fid)
{
	mapi_results_t *result = mapi_read_results(fd, fid);

	check(result ? 0 : -1, "mapi_read_results");
	return *(unsigned long long *)result->res;
}

int main(int argc, char **argv)
{
	int is_live = argc > 2 && strcmp(argv[1], "-i") == 0;
	int all, all_bytes, mail, mail_bytes, finished;
	int pause_ms = argc > 3 ? 1000 * atoi(argv[3]) : 1000;
	unsigned long long n_all, n_mail;
	char *device;

	if (argc < 2 || (!is_live && argc > 2)) {
		fprintf(stderr, "usage: %s FILE | -i DEVICE [SECONDS]\n", argv[0]);
		return 2;
	}
	device = is_live ? argv[2] : mapi_create_offline_device(argv[1], MFF_PCAP);
	check(device ? 0 : -1, argv[1]);
	all = check(mapi_create_flow(device), device);
	all_bytes = check(mapi_apply_function(all, "BYTE_COUNTER"), "BYTE_COUNTER");
	mail = check(mapi_create_flow(device), device);
	check(mapi_apply_function(mail, "BPF_FILTER", MAIL), "BPF_FILTER");
	mail_bytes = check(mapi_apply_function(mail, "BYTE_COUNTER"), "BYTE_COUNTER");
	check(mapi_connect(all), "mapi_connect");
	check(mapi_connect(mail), "mapi_connect");
	if (!is_live)
		check(mapi_start_offline_device(device), "mapi_start_offline_device");
	do {
		finished = check(mapi_wait(all, is_live ? pause_ms : -1), "mapi_wait");
		if (finished)
			check(mapi_wait(mail, -1), "mapi_wait");
		n_mail = value(mail, mail_bytes);
		n_all = value(all, all_bytes);
		printf("mail: %llu of %llu bytes, %.1f %%\n", n_mail, n_all,
			n_all ? 100.0 * (double)n_mail / (double)n_all : 0.0);
		fflush(stdout);
	} while (!finished);
	mapi_close_flow(mail);
	mapi_close_flow(all);
	if (!is_live)
		mapi_delete_offline_device(device);
	return EXIT_SUCCESS;
}

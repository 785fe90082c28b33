/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How much of the traffic is mail: two flows that see the same packets, all of them and those of
 * the mail protocols.
 *
 *	mail_share -r FILE | -i DEVICE [-t SECONDS] [PAUSE]	live: so far, each PAUSE seconds (1)
 */
#include "source.h"

/* SMTP, submission, POP3 and IMAP, plain and over TLS */
#define MAIL                                                                                       \
	"tcp port 25 or tcp port 465 or tcp port 587 or tcp port 110 or tcp port 995 or tcp port " \
	"143 "                                                                                     \
	"or tcp port 993"

int main(int argc, char **argv)
{
	int i = source_options(argc, argv, "[PAUSE]"), all, all_bytes, mail, mail_bytes, is_end;
	int pause_ms = 1000 * (i < argc ? atoi(argv[i]) : 1);
	unsigned long long n_all, n_mail;

	all = source_check(mapi_create_flow(source.device), source.device);
	all_bytes = source_check(mapi_apply_function(all, "BYTE_COUNTER"), "BYTE_COUNTER");
	mail = source_check(mapi_create_flow(source.device), source.device);
	source_check(mapi_apply_function(mail, "BPF_FILTER", MAIL), "BPF_FILTER");
	mail_bytes = source_check(mapi_apply_function(mail, "BYTE_COUNTER"), "BYTE_COUNTER");
	source_check(mapi_connect(all), "mapi_connect");
	source_check(mapi_connect(mail), "mapi_connect");
	source_start(0);
	do {
		is_end = source_wait(mail, source.path || pause_ms < 1 ? -1 : pause_ms);
		if (is_end)
			source_wait(all, -1);
		n_mail = source_number(mail, mail_bytes);
		n_all = source_number(all, all_bytes);
		printf("mail: %llu of %llu bytes, %.1f %%\n", n_mail, n_all,
			n_all ? 100.0 * (double)n_mail / (double)n_all : 0.0);
		fflush(stdout);
	} while (!is_end);
	mapi_close_flow(mail);
	mapi_close_flow(all);
	source_close();
	return EXIT_SUCCESS;
}

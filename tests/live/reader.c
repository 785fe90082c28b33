/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program that reads the packets of blast.c, and accounts for each.
 *
 * usage: reader DEVICE [SLOW_US [FILTER]]
 *
 * Prints "ready" when it captures, and waits SLOW_US microseconds after each packet. When its
 * standard input ends it reads what is there still, and prints
 *
 *   delivered N backwards N nic N ring N queue N
 *
 * where "backwards" counts packets whose number is not greater than the one before of their flow: a
 * packet that is delivered twice, or out of order.
 */
#include <endian.h>
#include <mapi.h>
#include <poll.h>
#include <stdint.h>

#include "../process.h"

#define READER_NUMBER_AT 42 /* Ethernet, IPv4, UDP */
#define READER_FLOWS 16 /* that blast makes, in turn */
#define READER_END_MS 500 /* silence after which all that was captured has come */

static void reader_fail(const char *what)
{
	char text[MAPI_ERRORSTR_LENGTH] = "";

	mapi_read_error(NULL, text);
	fprintf(stderr, "reader: %s: %s\n", what, text);
	exit(1);
}

static bool reader_number(const struct mapipkt *pkt, uint64_t *ret)
{
	if (pkt->caplen < READER_NUMBER_AT + sizeof(*ret))
		return false;
	memcpy(ret, &pkt->pkt + READER_NUMBER_AT, sizeof(*ret));
	*ret = be64toh(*ret);
	return true;
}

int main(int argc, char *argv[])
{
	struct mapi_result_status status = { .sz = sizeof(status) };
	unsigned long long delivered = 0, backwards = 0;
	int64_t last[READER_FLOWS];
	int fd = argc > 1 ? mapi_create_flow(argv[1]) : -1, fid;
	long slow_us = argc > 2 ? atol(argv[2]) : 0;
	struct pollfd fds[2] = { { .fd = 0, .events = POLLIN }, { .events = POLLIN } };

	memset(last, 0xff, sizeof(last)); /* -1 */
	if (fd < 0 || mapi_apply_function(fd, "BPF_FILTER", argc > 3 ? argv[3] : "udp port 9") < 0)
		reader_fail("flow");
	fid = mapi_apply_function(fd, "TO_BUFFER", 1); /* NOWAIT */
	if (fid < 0 || mapi_connect(fd) < 0)
		reader_fail("TO_BUFFER");
	fds[1].fd = mapi_fileno(fd, fid);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		int n = poll(fds, 2, fds[0].fd < 0 ? READER_END_MS : -1);
		const struct mapipkt *pkt;
		uint64_t number;
		char c;

		if (n == 0)
			break;
		if (fds[0].revents && read(0, &c, 1) <= 0)
			fds[0].fd = -1;
		if (!fds[1].revents)
			continue;
		while ((pkt = mapi_get_next_pkt(fd, fid))) {
			if (!reader_number(pkt, &number))
				continue;
			delivered++;
			backwards += (int64_t)number <= last[number % READER_FLOWS];
			last[number % READER_FLOWS] = (int64_t)number;
			if (slow_us)
				process_pause_us(slow_us);
		}
	}
	(void)mapi_flush(fd);
	if (mapi_result_status(fd, fid, 0, &status) < 0)
		reader_fail("status");
	printf("delivered %llu backwards %llu nic %llu ring %llu queue %llu\n", delivered,
		backwards, status.lost_pkts[MAPI_LOSS_NIC], status.lost_pkts[MAPI_LOSS_RING],
		status.lost_pkts[MAPI_LOSS_QUEUE]);
	return mapi_close_flow(fd) < 0;
}

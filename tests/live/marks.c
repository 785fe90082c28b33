/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A flow counts every packet that comes after mapi_connect() has returned (semantics C1).
 *
 * usage: marks DEVICE OTHER N
 *
 * N times a flow connects to DEVICE that counts frames of a kind of their own, and some of those
 * are sent by OTHER, the other end of the cable: the flow must have counted these, and no others.
 * Prints "marks N wrong N", and what was wrong. Needs CAP_NET_RAW.
 */
#include <mapi.h>

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "flush.h"

#define MARKS_PROTOCOL 0x88b5 /* for experiments */
#define MARKS_FRAME_BYTES 60

static void marks_fail(const char *what)
{
	char text[MAPI_ERRORSTR_LENGTH] = "";

	mapi_read_error(NULL, text);
	fprintf(stderr, "marks: %s: %s\n", what, text);
	exit(1);
}

static int marks_socket(const char *interface)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET,
		.sll_ifindex = (int)if_nametoindex(interface) };
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		perror("marks");
		exit(1);
	}
	return fd;
}

static void marks_send(int fd, int n)
{
	unsigned char frame[MARKS_FRAME_BYTES] = {
		2, [6] = 2, [12] = MARKS_PROTOCOL >> 8, [13] = MARKS_PROTOCOL & 0xff
	};

	while (n-- > 0) {
		if (send(fd, frame, sizeof(frame), 0) != sizeof(frame)) {
			perror("marks");
			exit(1);
		}
	}
}

/* The filters differ, so that each flow needs a program of its own. */
static int marks_flow(const char *device, int i)
{
	char filter[64];
	int fd = mapi_create_flow(device);

	snprintf(filter, sizeof(filter), "ether proto %d and ether[20] != %d", MARKS_PROTOCOL,
		1 + i % 200);
	if (fd < 0 || mapi_apply_function(fd, "BPF_FILTER", filter) < 0 ||
		mapi_apply_function(fd, "PKT_COUNTER") < 0 || mapi_connect(fd) < 0)
		marks_fail(filter);
	return fd;
}

int main(int argc, char *argv[])
{
	int socket_fd, n, wrong = 0;

	if (argc != 4) {
		fprintf(stderr, "usage: marks DEVICE OTHER N\n");
		return 2;
	}
	socket_fd = marks_socket(argv[2]);
	n = atoi(argv[3]);
	for (int i = 0; i < n; i++) {
		int fd = marks_flow(argv[1], i), sent = 1 + i % 7;
		mapi_results_t *result;

		marks_send(socket_fd, sent);
		if (flush_patiently(fd) < 0)
			marks_fail("mapi_flush");
		result = mapi_read_results(fd, 2);
		if (!result || *(unsigned long long *)result->res != (unsigned long long)sent) {
			printf("flow %d: %llu of %d\n", i,
				result ? *(unsigned long long *)result->res : 0, sent);
			wrong++;
		}
		if (mapi_close_flow(fd) < 0)
			marks_fail("mapi_close_flow");
	}
	printf("marks %d wrong %d\n", n, wrong);
	return wrong > 0;
}

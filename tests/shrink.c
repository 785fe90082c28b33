/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A capture file becomes shorter while it is read: the program gets the packets before the new end
 * and then a clear error; nobody dies of SIGBUS.
 *
 * usage: shrink CAPTURE     (a pcap file; it is repeated into a scratch file of 64 MB here)
 */
#include <fcntl.h>
#include <mapi/errors.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "flows.h"

#define SHRINK_BYTES (64u << 20)
#define SHRINK_KEEP_BYTES (9u << 20)
#define SHRINK_PATH "shrink-scratch.pcap"

static int shrink_make(const char *capture)
{
	static char bytes[1 << 20];
	int in = open(capture, O_RDONLY), out = open(SHRINK_PATH, O_RDWR | O_CREAT | O_TRUNC, 0600);
	ssize_t n = read(in, bytes, sizeof(bytes));

	if (out < 0 || n <= 24 || write(out, bytes, (size_t)n) != n)
		return -1;
	for (size_t total = (size_t)n; total < SHRINK_BYTES; total += (size_t)n - 24)
		if (write(out, bytes + 24, (size_t)n - 24) != n - 24)
			return -1;
	close(in);
	return out;
}

int main(int argc, char *argv[])
{
	char text[MAPI_ERRORSTR_LENGTH] = "";
	struct mapi_result_status status = { .sz = sizeof(status) };
	unsigned long long n = 0, bytes = 24;
	const struct mapipkt *pkt;
	int fd, fid, out, code = 0;

	out = argc == 2 ? shrink_make(argv[1]) : -1;
	if (out < 0) {
		perror("shrink: scratch file");
		return 2;
	}
	fd = mapi_create_offline_flow(SHRINK_PATH, MFF_PCAP);
	fid = mapi_apply_function(fd, "TO_BUFFER", WAIT);
	if (fid < 0 || mapi_connect(fd) < 0) {
		flows_error("shrink");
		return 1;
	}
	/* The ring holds a few MB at most, so the reader of the file is near this packet, and
	 * waits. */
	while ((pkt = mapi_get_next_pkt(fd, fid))) {
		n++;
		bytes += 16 + pkt->caplen;
		if (n == 10 && ftruncate(out, SHRINK_KEEP_BYTES) < 0)
			return 2;
	}
	mapi_read_error(&code, text);
	printf("%llu packets (%llu bytes of the file), then error %d: %s\n", n, bytes, code, text);
	unlink(SHRINK_PATH);
	if (mapi_result_status(fd, fid, 0, &status) < 0 || status.error != code) {
		printf("shrink: mapi_result_status says %d\n", status.error);
		return 1;
	}
	mapi_close_flow(fd);
	if (code != MAPI_CAPTURE_SHRUNK || !strpbrk(text, "0123456789")) {
		printf("shrink: expected error %d with an offset\n", MAPI_CAPTURE_SHRUNK);
		return 1;
	}
	/* What was handed out lies before the new end, up to what was read ahead before it moved.
	 */
	return bytes < SHRINK_KEEP_BYTES / 2;
}

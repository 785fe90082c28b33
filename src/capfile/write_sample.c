/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Test helper: write_sample FILE - a pcapng file by our writer whose contents oracle-writer.sh
 * knows: one link type, two interfaces, a comment of the file and of every third packet, drops.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "writer.h"

#define SAMPLE_PKTS 12u
#define SAMPLE_FRAME_BYTES 60u
#define SAMPLE_START_NS 1500000000123456789u

/* Ethernet, IPv4, UDP from 10.0.0.1 to 10.0.0.2, the ports tell the number. */
static void sample_frame(uint8_t *frame, uint32_t no)
{
	static const uint8_t head[] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 46, 0,
		0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x10, 0, 0x20, 0, 0, 26, 0, 0 };

	memset(frame, 0, SAMPLE_FRAME_BYTES);
	memcpy(frame, head, sizeof(head));
	frame[35] = frame[37] = (uint8_t)no;
}

static int sample_write(struct capfile_writer *writer, struct error *err)
{
	uint8_t frame[SAMPLE_FRAME_BYTES];
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < SAMPLE_PKTS; i++) {
		struct capfile_packet packet = { .data = frame,
			.cap_bytes = SAMPLE_FRAME_BYTES - i % 2 * 8,
			.wire_bytes = SAMPLE_FRAME_BYTES,
			.linktype = 1,
			.ifindex = (uint16_t)(i % 2),
			.ts_ns = SAMPLE_START_NS + i * UINT64_C(1000000001),
			.comment = i % 3 == 0 ? "every third" : NULL };

		sample_frame(frame, i);
		r = capfile_write(writer, &packet, err);
	}
	if (r == 0)
		r = capfile_write_drops(writer, 0, 100, err);
	if (r == 0)
		r = capfile_write_drops(writer, 1, 7, err);
	if (r == 0)
		r = capfile_write_counts(writer, false, err);
	return r;
}

int main(int argc, char **argv)
{
	struct capfile_writer_args args = {
		.fd = -1, .format = CAPFILE_PCAPNG, .device = "dev", .comment = "written for others"
	};
	struct capfile_writer *writer = NULL;
	struct error err = ERROR_INIT;

	if (argc != 2)
		return 2;
	args.path = argv[1];
	args.fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (capfile_writer_new(&writer, &args, &err) == 0)
		(void)sample_write(writer, &err);
	(void)capfile_writer_close(writer, &err);
	if (err.code)
		fprintf(stderr, "%s\n", err.text);
	return err.code != 0;
}

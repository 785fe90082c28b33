/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets in an output queue, and out of it into a capture file: see to_file_private.h. */
#include "packet/packet.h"
#include "to_file_private.h"

#define STD_FILE_QUEUE_INTERFACES 65536u /* of a 16-bit number */

/* In front of the captured bytes; the channel is the interface. */
struct std_file_head {
	uint64_t ts_ns;
	uint32_t wire_bytes;
	uint32_t linktype;
	uint32_t all_wire_bytes;
	uint16_t wire_pkts;
	uint8_t flags;
	uint8_t reserved;
};
_Static_assert(sizeof(struct std_file_head) == 24, "no padding");

bool std_file_queue_put(struct std_queue *queue, const struct capfile_packet *packet)
{
	const struct std_file_head head = { .ts_ns = packet->ts_ns,
		.wire_bytes = packet->wire_bytes,
		.linktype = packet->linktype,
		.all_wire_bytes = packet->all_wire_bytes,
		.wire_pkts = packet->wire_pkts,
		.flags = packet->flags };

	return std_queue_put(
		queue, packet->ifindex, &head, sizeof(head), packet->data, packet->cap_bytes);
}

static int std_file_sink_write(void *sink, const struct std_queue_record *record, struct error *err)
{
	const struct std_file_head *head = (const void *)record->bytes;
	const struct capfile_packet packet = {
		.data = record->bytes + sizeof(*head),
		.cap_bytes = record->n_bytes - (uint32_t)sizeof(*head),
		.wire_bytes = head->wire_bytes,
		.linktype = head->linktype,
		.ifindex = record->channel,
		.ts_ns = head->ts_ns,
		.lost_pkts = record->lost,
		.flags = head->flags,
		.wire_pkts = head->wire_pkts,
		.all_wire_bytes = head->all_wire_bytes,
	};

	return capfile_write(sink, &packet, err);
}

static int std_file_sink_complete(void *sink, const uint64_t gaps[], struct error *err)
{
	int r = 0;

	for (unsigned int i = 0; i < STD_FILE_QUEUE_INTERFACES && r == 0; i++) {
		if (gaps[i])
			r = capfile_write_drops(sink, (uint16_t)i, gaps[i], err);
	}
	if (r == 0)
		r = capfile_write_counts(sink, false, err);
	return r < 0 ? r : capfile_writer_flush(sink, err);
}

static int std_file_sink_flush(void *sink, struct error *err)
{
	return capfile_writer_flush(sink, err);
}

static void std_file_sink_cancel(void *sink)
{
	capfile_writer_cancel(sink);
}

static uint64_t std_file_sink_lost(const void *sink)
{
	return capfile_writer_lost_pkts(sink);
}

static void std_file_sink_close(void *sink)
{
	(void)capfile_writer_close(sink, NULL); /* it has been flushed or has failed */
}

static const struct std_queue_ops std_file_sink_ops = {
	.unit = "packets",
	.n_channels = STD_FILE_QUEUE_INTERFACES,
	.n_bytes_max = sizeof(struct std_file_head) + PACKET_CAP_BYTES_MAX,
	.write = std_file_sink_write,
	.complete = std_file_sink_complete,
	.flush = std_file_sink_flush,
	.cancel = std_file_sink_cancel,
	.lost = std_file_sink_lost,
	.close = std_file_sink_close,
};

int std_file_queue_new(
	struct std_queue **ret, struct capfile_writer *writer, const char *path, size_t n_bytes)
{
	return std_queue_new(ret, &std_file_sink_ops, writer, path, n_bytes);
}

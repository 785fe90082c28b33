/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing capture files: see writer.h. A file is a sequence of records of output.h, so that it is
 * valid also where writing has failed.
 */
#include "writer_private.h"

#include <errno.h>
#include <string.h>

#include "mapi/errors.h"
#include "packet/packet.h"

#define WRITER_MAGIC_US 0xa1b2c3d4u
#define WRITER_MAGIC_NS 0xa1b23c4du
#define WRITER_NS_PER_S 1000000000u

struct writer_pcap_header {
	uint32_t magic;
	uint16_t version_major;
	uint16_t version_minor;
	uint32_t zone;
	uint32_t sigfigs;
	uint32_t snaplen_bytes;
	uint32_t linktype;
};
_Static_assert(sizeof(struct writer_pcap_header) == 24, "as in the file");

struct writer_pcap_record {
	uint32_t s;
	uint32_t frac;
	uint32_t cap_bytes;
	uint32_t wire_bytes;
};
_Static_assert(sizeof(struct writer_pcap_record) == 16, "as in the file");

static void writer_free(struct capfile_writer *writer)
{
	free(writer->device);
	free(writer->comment);
	free(writer->interfaces);
	free(writer);
}

static bool writer_copy(char **ret, const char *text)
{
	*ret = text ? strdup(text) : NULL;
	return *ret || !text;
}

int capfile_writer_new(
	struct capfile_writer **ret, const struct capfile_writer_args *args, struct error *err)
{
	struct capfile_writer *writer = calloc(1, sizeof(*writer));
	int r;

	if (!writer)
		return -ENOMEM;
	writer->format = args->format;
	writer->keep_ifindex = args->keep_ifindex;
	writer->snaplen_bytes = args->snaplen_bytes ? args->snaplen_bytes : PACKET_CAP_BYTES_MAX;
	if (!writer_copy(&writer->device, args->device) ||
		!writer_copy(&writer->comment, args->comment)) {
		writer_free(writer);
		return -ENOMEM;
	}
	if (args->format >= _CAPFILE_FORMAT_N)
		r = error_set(err, MAPI_OUTPUT_FAILED, "%s: cannot be written to: no such format",
			args->path);
	else
		r = output_new(&writer->output, args->fd, args->path, err);
	if (r < 0) {
		writer_free(writer);
		return r;
	}
	*ret = writer;
	return 0;
}

static int writer_begin(struct capfile_writer *writer, uint32_t linktype, struct error *err)
{
	struct writer_pcap_header header = {
		.magic = writer->format == CAPFILE_PCAP_NS ? WRITER_MAGIC_NS : WRITER_MAGIC_US,
		.version_major = 2,
		.version_minor = 4,
		.snaplen_bytes = writer->snaplen_bytes,
		.linktype = linktype,
	};

	if (writer->begun)
		return 0;
	writer->begun = true;
	writer->linktype = linktype;
	if (writer->format == CAPFILE_PCAPNG)
		return writer_pcapng_begin(writer, err);
	return output_put(writer->output,
		&(struct output_part){ .bytes = &header, .n_bytes = sizeof(header) }, 1, false,
		err);
}

static int writer_pcap_packet(
	struct capfile_writer *writer, const struct capfile_packet *packet, struct error *err)
{
	uint64_t s = packet->ts_ns / WRITER_NS_PER_S;
	uint32_t frac_ns = (uint32_t)(packet->ts_ns % WRITER_NS_PER_S);
	struct writer_pcap_record record = {
		.s = (uint32_t)s,
		.frac = writer->format == CAPFILE_PCAP_NS ? frac_ns : frac_ns / 1000,
		.cap_bytes = packet->cap_bytes,
		.wire_bytes = packet->wire_bytes,
	};
	const struct output_part parts[] = {
		{ .bytes = &record, .n_bytes = sizeof(record) },
		{ .bytes = packet->data, .n_bytes = packet->cap_bytes },
	};

	if (packet->linktype != writer->linktype)
		return error_set(err, MAPI_OUTPUT_FAILED,
			"%s: a packet of link type %u after those of link type %u, which one pcap "
			"file "
			"cannot hold: write pcapng",
			output_path(writer->output), packet->linktype, writer->linktype);
	if (s > UINT32_MAX)
		return error_set(err, MAPI_OUTPUT_FAILED,
			"%s: a packet of a time after 2106, which pcap cannot hold: write pcapng",
			output_path(writer->output));
	return output_put(writer->output, parts, ARRAY_SIZE(parts), true, err);
}

int capfile_write(
	struct capfile_writer *writer, const struct capfile_packet *packet, struct error *err)
{
	int r = writer_begin(writer, packet->linktype, err);

	if (r < 0)
		return r;
	if (writer->format == CAPFILE_PCAPNG)
		return writer_pcapng_packet(writer, packet, err);
	return writer_pcap_packet(writer, packet, err);
}

int capfile_write_drops(
	struct capfile_writer *writer, uint16_t ifindex, uint64_t lost_pkts, struct error *err)
{
	int r;

	if (writer->format != CAPFILE_PCAPNG)
		return 0;
	r = writer_begin(writer, WRITER_LINKTYPE_ETHERNET, err);
	if (r < 0)
		return r;
	return writer_pcapng_drops(writer, ifindex, lost_pkts, err);
}

int capfile_write_counts(struct capfile_writer *writer, bool lossless, struct error *err)
{
	int r;

	if (writer->format != CAPFILE_PCAPNG)
		return 0;
	r = writer_begin(writer, WRITER_LINKTYPE_ETHERNET, err);
	if (r == 0)
		r = writer_pcapng_end(writer, err);
	return r < 0 ? r : writer_pcapng_counts(writer, lossless, err);
}

int capfile_writer_flush(struct capfile_writer *writer, struct error *err)
{
	int r = writer_begin(writer, WRITER_LINKTYPE_ETHERNET, err);

	return r < 0 ? r : output_flush(writer->output, err);
}

void capfile_writer_cancel(struct capfile_writer *writer)
{
	if (writer)
		output_cancel(writer->output);
}

uint64_t capfile_writer_lost_pkts(const struct capfile_writer *writer)
{
	return output_lost_records(writer->output);
}

void capfile_writer_abandon(struct capfile_writer *writer)
{
	if (!writer)
		return;
	output_abandon(writer->output);
	writer_free(writer);
}

int capfile_writer_close(struct capfile_writer *writer, struct error *err)
{
	int r, closed;

	if (!writer)
		return 0;
	r = writer_begin(writer, WRITER_LINKTYPE_ETHERNET, err);
	if (r == 0 && writer->format == CAPFILE_PCAPNG)
		r = writer_pcapng_end(writer, err);
	closed = output_close(writer->output, err);
	writer_free(writer);
	return r < 0 ? r : closed;
}

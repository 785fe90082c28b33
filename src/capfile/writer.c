/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing capture files: see writer.h. Records are collected in a buffer and handed to the kernel
 * together. When a write fails, a regular file is cut back to the end of its last complete record,
 * so that what is on the disk is a valid file. A failure sticks: later calls report it again.
 */
#include "writer_private.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "mapi/errors.h"
#include "packet/packet.h"

#define WRITER_MAGIC_US 0xa1b2c3d4u
#define WRITER_MAGIC_NS 0xa1b23c4du
#define WRITER_NS_PER_S 1000000000u
#define WRITER_POLL_MS 10
#define WRITER_GRACE_NS 50000000u

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

static int writer_report(const struct capfile_writer *writer, struct error *err)
{
	return error_set(err, MAPI_OUTPUT_FAILED, "%s: writing failed after %llu bytes: %s",
		writer->path, (unsigned long long)writer->written_bytes, strerror(writer->failed));
}

/* The file now ends @n_bytes into what was to be written: drop the record that is cut in two. */
static void writer_cut(struct capfile_writer *writer, size_t n_bytes)
{
	off_t end = writer->regular ? lseek(writer->fd, 0, SEEK_CUR) : -1;
	size_t whole = 0;

	for (unsigned int i = 0; i < writer->n_records; i++) {
		size_t record_end = writer->record_ends[i] & ~WRITER_RECORD_PACKET;

		if (record_end <= n_bytes)
			whole = record_end;
		else
			writer->lost_pkts += !!(writer->record_ends[i] & WRITER_RECORD_PACKET);
	}
	if (end < (off_t)(n_bytes - whole))
		return;
	end -= (off_t)(n_bytes - whole);
	if (ftruncate(writer->fd, end) == 0) {
		(void)lseek(writer->fd, end, SEEK_SET);
		writer->written_bytes -= n_bytes - whole;
	}
}

/* Until a pipe takes something. Return: false if the writer was cancelled and nobody reads. */
static bool writer_wait(struct capfile_writer *writer)
{
	for (;;) {
		struct pollfd pollfd = { .fd = writer->fd, .events = POLLOUT };

		if (atomic_load(&writer->cancelled)) {
			uint64_t now_ns = clock_monotonic_ns();

			if (!writer->deadline_ns)
				writer->deadline_ns = now_ns + WRITER_GRACE_NS;
			if (now_ns >= writer->deadline_ns)
				return false;
		}
		if (poll(&pollfd, 1, WRITER_POLL_MS) > 0)
			return true; /* if it is an error, write() says which */
	}
}

/* One write. What is no regular file may have a reader that does not read, and the descriptor may
 * be shared with others, so it cannot be made non-blocking: a pipe that can be written to takes
 * PIPE_BUF bytes without waiting. */
static ssize_t writer_write(struct capfile_writer *writer, struct iovec *v, int n_v)
{
	struct iovec piece = { .iov_base = v->iov_base,
		.iov_len = MIN(v->iov_len, (size_t)PIPE_BUF) };

	if (writer->regular)
		return writev(writer->fd, v, n_v);
	if (writer_wait(writer))
		return writev(writer->fd, &piece, 1);
	errno = ECANCELED;
	return -1;
}

static int writer_out(struct capfile_writer *writer, struct iovec *v, int n_v, struct error *err)
{
	size_t done = 0;

	while (n_v > 0) {
		ssize_t n = writer_write(writer, v, n_v);

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue; /* another process took the room in the pipe */
		if (n < 0) {
			writer->failed = errno;
			writer_cut(writer, done);
			return writer_report(writer, err);
		}
		writer->written_bytes += (uint64_t)n;
		done += (size_t)n;
		for (; n_v > 0 && (size_t)n >= v->iov_len; v++, n_v--)
			n -= (ssize_t)v->iov_len;
		if (n_v > 0) {
			v->iov_base = (uint8_t *)v->iov_base + n;
			v->iov_len -= (size_t)n;
		}
	}
	return 0;
}

static int writer_empty(struct capfile_writer *writer, struct error *err)
{
	struct iovec v = { .iov_base = writer->buffer, .iov_len = writer->n_buffered };
	int r = 0;

	if (writer->failed)
		return writer_report(writer, err);
	if (writer->n_buffered > 0)
		r = writer_out(writer, &v, 1, err);
	writer->n_buffered = 0;
	writer->n_records = 0;
	return r;
}

int writer_put(struct capfile_writer *writer, const struct writer_part *parts, unsigned int n_parts,
	bool is_packet, struct error *err)
{
	struct iovec v[WRITER_PARTS_MAX];
	size_t n_bytes = 0;
	int r;

	if (writer->failed)
		return writer_report(writer, err);
	for (unsigned int i = 0; i < n_parts; i++) {
		n_bytes += parts[i].n_bytes;
		v[i] = (struct iovec){ .iov_base = (void *)(uintptr_t)parts[i].bytes,
			.iov_len = parts[i].n_bytes };
	}
	if (n_bytes > sizeof(writer->buffer) - writer->n_buffered ||
		writer->n_records == WRITER_RECORDS_MAX) {
		r = writer_empty(writer, err);
		if (r < 0)
			return r;
	}
	if (n_bytes > sizeof(writer->buffer))
		return writer_out(writer, v, (int)n_parts, err);
	for (unsigned int i = 0; i < n_parts; i++) {
		if (parts[i].n_bytes > 0)
			memcpy(writer->buffer + writer->n_buffered, parts[i].bytes,
				parts[i].n_bytes);
		writer->n_buffered += parts[i].n_bytes;
	}
	writer->record_ends[writer->n_records++] =
		(uint32_t)writer->n_buffered | (is_packet ? WRITER_RECORD_PACKET : 0);
	return 0;
}

static void writer_free(struct capfile_writer *writer)
{
	free(writer->path);
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
	struct stat st;
	int fd = args->fd, r;

	if (!writer) {
		cleanup_closep(&fd);
		return -ENOMEM;
	}
	writer->fd = fd;
	writer->format = args->format;
	writer->keep_ifindex = args->keep_ifindex;
	writer->snaplen_bytes = args->snaplen_bytes ? args->snaplen_bytes : PACKET_CAP_BYTES_MAX;
	if (!writer_copy(&writer->path, args->path) ||
		!writer_copy(&writer->device, args->device) ||
		!writer_copy(&writer->comment, args->comment)) {
		cleanup_closep(&fd);
		writer_free(writer);
		return -ENOMEM;
	}
	if (fstat(fd, &st) < 0 || args->format >= _CAPFILE_FORMAT_N) {
		r = error_set(err, MAPI_OUTPUT_FAILED, "%s: cannot be written to: %s", args->path,
			args->format >= _CAPFILE_FORMAT_N ? "no such format" : strerror(errno));
		cleanup_closep(&fd);
		writer_free(writer);
		return r;
	}
	writer->regular = S_ISREG(st.st_mode);
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
	return writer_put(writer,
		&(struct writer_part){ .bytes = &header, .n_bytes = sizeof(header) }, 1, false,
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
	const struct writer_part parts[] = {
		{ .bytes = &record, .n_bytes = sizeof(record) },
		{ .bytes = packet->data, .n_bytes = packet->cap_bytes },
	};

	if (packet->linktype != writer->linktype)
		return error_set(err, MAPI_OUTPUT_FAILED,
			"%s: a packet of link type %u after those of link type %u, which one pcap "
			"file "
			"cannot hold: write pcapng",
			writer->path, packet->linktype, writer->linktype);
	if (s > UINT32_MAX)
		return error_set(err, MAPI_OUTPUT_FAILED,
			"%s: a packet of a time after 2106, which pcap cannot hold: write pcapng",
			writer->path);
	return writer_put(writer, parts, ARRAY_SIZE(parts), true, err);
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

	return r < 0 ? r : writer_empty(writer, err);
}

void capfile_writer_cancel(struct capfile_writer *writer)
{
	if (writer)
		atomic_store(&writer->cancelled, true);
}

uint64_t capfile_writer_lost_pkts(const struct capfile_writer *writer)
{
	return writer->lost_pkts;
}

int capfile_writer_close(struct capfile_writer *writer, struct error *err)
{
	int r;

	if (!writer)
		return 0;
	r = writer_begin(writer, WRITER_LINKTYPE_ETHERNET, err);
	if (r == 0 && writer->format == CAPFILE_PCAPNG)
		r = writer_pcapng_end(writer, err);
	if (r == 0)
		r = writer_empty(writer, err);
	if (close(writer->fd) < 0 && r == 0) {
		writer->failed = errno;
		r = writer_report(writer, err);
	}
	writer_free(writer);
	return r;
}

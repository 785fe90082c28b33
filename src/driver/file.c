/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The driver of capture files: pcap, pcapng and ERF, plain or compressed, from files and pipes.
 *
 * Three ways lead to the packets:
 *
 *   pcap in a file       mapped; chunks are ranges of a few MiB. The chain of records is not
 *                        followed to find where a chunk starts: the worker looks for a likely
 *                        place, and file_verify() checks it. If the chunk before has been released
 *                        by the time of the claim (always, with one worker), its end is known, and
 *                        nothing is guessed
 *   pcapng, ERF          mapped; claim() passes over the records of the chunk once, because blocks
 *                        in one place change what those behind mean. A single worker learns that
 *                        while it reads
 *   all else             read into buffers of the chunks: pipes, compressed files, files whose
 *                        packets have to be rewritten
 *
 * A file is read up to the size that it had when it was opened. A pipe is not touched by open():
 * waiting there could not be broken off; that it holds no capture file is told by its first chunk.
 */
#include "file_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "mapi/errors.h"
#include "wire/wake.h"

static bool file_match(const struct driver_open_args *args)
{
	return args->fd >= 0; /* whoever names a file has opened it, with his own rights */
}

static struct driver_source *file_close(struct driver_source *source)
{
	if (!source)
		return NULL;
	while (source->unused) {
		struct file_chunk *c = source->unused;

		source->unused = c->next;
		free(c->buffer);
		free(c);
	}
	capfile_file_deinit(&source->format);
	(void)capfile_stream_free(source->stream);
	source->map = file_map_free(source->map);
	cleanup_closep(&source->fd);
	cleanup_closep(&source->wake_fd);
	(void)pthread_mutex_destroy(&source->lock);
	free(source->rest);
	free(source->name);
	free(source);
	return NULL;
}
DEFINE_CLEANUP(struct driver_source *, file_close);

static int file_new(struct driver_source **ret, const struct driver_open_args *args)
{
	_cleanup_(file_closep) struct driver_source *source = calloc(1, sizeof(*source));
	int fd = args->fd;

	if (!source) {
		cleanup_closep(&fd);
		return -ENOMEM;
	}
	(void)pthread_mutex_init(&source->lock, NULL);
	source->fd = fd;
	source->wake_fd = wake_new(false);
	source->name = strdup(args->name);
	if (!source->name || source->wake_fd < 0)
		return -ENOMEM;
	source->batch_pkts = args->batch_pkts;
	source->n_workers = args->n_workers;
	*ret = TAKE(source);
	return 0;
}

/* Formats that describe interfaces among their records: what stands before the first packet is
 * known from the start, so that filters can be checked for the link type. Whoever reads the records
 * later meets the same descriptions again, and takes them for known. */
void file_learn(struct driver_source *source, const uint8_t *bytes, size_t n_bytes)
{
	struct capfile_cursor cursor = { .n_interfaces = 0 };
	struct capfile_span span = { .bytes = bytes,
		.at = source->format.header_bytes,
		.stop = n_bytes,
		.end = n_bytes,
		.more = true };
	struct packet_batch batch;
	struct error ignored = ERROR_INIT;

	if (source->format.kind == CAPFILE_KIND_PCAP)
		return;
	/* Damage is reported by who gets there in its turn. */
	(void)capfile_read(&source->format, &cursor, &span, &batch, 1, source->name, &ignored);
}

/* Uncompressed regular files are mapped, if the process may map one more. */
static int file_open_map(struct driver_source *source, struct error *err)
{
	int r = file_map_new(&source->map, source->fd, (size_t)source->total_bytes);

	if (r < 0)
		return r;
	source->map_bytes = (size_t)source->total_bytes;
	r = capfile_file_open(&source->format, file_map_bytes(source->map),
		MIN(source->map_bytes, CAPFILE_PROBE_BYTES), false, source->name, err);
	if (r == CAPFILE_E_UNKNOWN)
		return error_set(err, PCAP_OPEN_ERR, "%s: not a capture file; " CAPFILE_SUPPORTED,
			source->name);
	if (r < 0)
		return r;
	file_learn(source, file_map_bytes(source->map), source->map_bytes);
	source->claim_at = source->true_end = source->format.header_bytes;
	if (source->format.kind == CAPFILE_KIND_PCAP)
		source->mode = FILE_MODE_GUESS;
	else
		source->mode = source->n_workers == 1 ? FILE_MODE_ALONE : FILE_MODE_SCAN;
	if (source->format.must_rewrite) {
		source->mode = FILE_MODE_STREAM;
		source->rest_offset = source->claim_at;
		return file_stream_start(source, source->claim_at, true);
	}
	return 0;
}

static int file_open_regular(struct driver_source *source, struct error *err)
{
	uint8_t magic[8];
	ssize_t n = pread(source->fd, magic, sizeof(magic), 0);
	int r;

	if (n < 0)
		return error_set(err, PCAP_OPEN_ERR, "%s: cannot be read: %s", source->name,
			strerror(errno));
	if (source->total_bytes == 0)
		return error_set(err, PCAP_OPEN_ERR, "%s: the file is empty; " CAPFILE_SUPPORTED,
			source->name);
	if (!capfile_stream_is_compressed(magic, (size_t)n)) {
		r = file_open_map(source, err);
		if (r == 0 || source->map)
			return r;
	}
	source->mode = FILE_MODE_STREAM;
	r = file_stream_start(source, 0, false);
	if (r < 0)
		return r;
	return file_stream_probe(source, err);
}

static int file_open_kind(struct driver_source *source, struct error *err)
{
	struct stat st;

	if (fstat(source->fd, &st) < 0)
		return error_set(err, PCAP_OPEN_ERR, "%s: cannot be read: %s", source->name,
			strerror(errno));
	if (S_ISDIR(st.st_mode))
		return error_set(err, PCAP_OPEN_ERR,
			"%s: a directory, not a capture file; " CAPFILE_SUPPORTED, source->name);
	/* Standard input may be a file that somebody has read a part of. */
	if (S_ISREG(st.st_mode) && lseek(source->fd, 0, SEEK_CUR) == 0) {
		source->total_bytes = (uint64_t)st.st_size;
		return file_open_regular(source, err);
	}
	source->mode = FILE_MODE_PROBE;
	return file_stream_start(source, CAPFILE_STREAM_NOT_SEEKABLE, false);
}

int file_open_sized(struct driver_source **ret, const struct driver_open_args *args,
	size_t range_bytes, size_t stream_bytes, struct error *err)
{
	_cleanup_(file_closep) struct driver_source *source = NULL;
	int r = file_new(&source, args);

	if (r < 0)
		return r;
	source->range_bytes = range_bytes;
	source->stream_bytes = stream_bytes;
	r = file_open_kind(source, err);
	if (r < 0)
		return r == -ENOMEM ? r : -EINVAL;
	*ret = TAKE(source);
	return 0;
}

static int file_open(
	struct driver_source **ret, const struct driver_open_args *args, struct error *err)
{
	return file_open_sized(ret, args, FILE_RANGE_BYTES, FILE_STREAM_BYTES, err);
}

/* Return: NULL without memory. */
static struct file_chunk *file_chunk_take(struct driver_source *source)
{
	struct file_chunk *c;

	(void)pthread_mutex_lock(&source->lock);
	c = source->unused;
	if (c)
		source->unused = c->next;
	(void)pthread_mutex_unlock(&source->lock);
	if (!c)
		return calloc(1, sizeof(*c));
	*c = (struct file_chunk){ .buffer = c->buffer, .buffer_bytes = c->buffer_bytes };
	return c;
}

static int file_guess_claim(struct driver_source *source, struct file_chunk *c)
{
	uint64_t start = source->claim_at, stop;

	(void)pthread_mutex_lock(&source->lock);
	c->exact = source->released_seq == source->next_seq && !source->checked;
	if (c->exact)
		start = source->true_end;
	if (source->over)
		start = source->map_bytes;
	(void)pthread_mutex_unlock(&source->lock);
	if (start >= source->map_bytes)
		return DRIVER_E_END;
	stop = MIN(start + source->range_bytes, source->map_bytes);
	source->claim_at = stop;
	c->span = (struct capfile_span){ .bytes = file_map_bytes(source->map),
		.at = (size_t)start,
		.stop = (size_t)stop,
		.end = source->map_bytes };
	c->guess = !c->exact;
	c->start = (size_t)start;
	c->ends = stop == source->map_bytes;
	return 0;
}

/* Go on in buffers of our own, at claim_at. */
static int file_private_start(struct driver_source *source)
{
	source->mode = FILE_MODE_STREAM;
	source->rest_offset = source->claim_at;
	return file_stream_start(source, source->claim_at, true);
}

static int file_alone_claim(struct driver_source *source, struct file_chunk *c)
{
	int r;

	if (source->private_next) {
		source->claim_at = source->true_end;
		r = file_private_start(source);
		return r < 0 ? r : file_stream_claim(source, c);
	}
	r = file_guess_claim(source, c);
	c->start_cursor = c->cursor = source->cursor;
	return r;
}

static int file_scan_claim(struct driver_source *source, struct file_chunk *c)
{
	uint64_t n_pkts = 0;
	int r = CAPFILE_E_STOP;

	if (source->claim_at >= source->map_bytes)
		return DRIVER_E_END;
	c->exact = true;
	c->start_cursor = c->cursor = source->cursor;
	c->start = (size_t)source->claim_at;
	c->span = (struct capfile_span){
		.bytes = file_map_bytes(source->map), .at = c->start, .end = source->map_bytes
	};
	while (r == CAPFILE_E_STOP && n_pkts == 0 && c->span.at < source->map_bytes) {
		size_t to = c->span.at + MIN(source->range_bytes, source->map_bytes - c->span.at);

		c->span.stop = to;
		r = capfile_scan(&source->format, &source->cursor, &c->span, &n_pkts, source->name,
			&c->pending);
	}
	source->claim_at = c->span.stop = c->span.at;
	c->span.at = c->start;
	if (r < 0)
		return r;
	if (r == CAPFILE_E_PRIVATE) {
		r = file_private_start(source);
		if (r < 0)
			return r;
		return n_pkts > 0 ? 0 : file_stream_claim(source, c);
	}
	source->ended = c->ends = r == CAPFILE_E_DAMAGED || source->claim_at == source->map_bytes;
	return 0;
}

static int file_probe_claim(struct driver_source *source, struct file_chunk *c)
{
	int r = file_stream_probe(source, &c->pending);

	if (r == 0) {
		source->mode = FILE_MODE_STREAM;
		return file_stream_claim(source, c);
	}
	if (r != -EINVAL)
		return r;
	c->exact = c->ends = source->ended = true;
	c->outcome = CAPFILE_E_STOP;
	return 0;
}

static int file_mode_claim(struct driver_source *source, struct file_chunk *c)
{
	switch (source->mode) {
	case FILE_MODE_GUESS:
		return file_guess_claim(source, c);
	case FILE_MODE_ALONE:
		return file_alone_claim(source, c);
	case FILE_MODE_SCAN:
		return file_scan_claim(source, c);
	case FILE_MODE_STREAM:
		return file_stream_claim(source, c);
	case FILE_MODE_PROBE:
		return file_probe_claim(source, c);
	}
	return DRIVER_E_END;
}

/* Make of @c a chunk without packets that says so. */
static void file_no_memory(struct driver_source *source, struct file_chunk *c)
{
	*c = (struct file_chunk){
		.buffer = c->buffer, .buffer_bytes = c->buffer_bytes, .ends = true, .exact = true
	};
	(void)error_set(
		&c->pending, MAPI_OUT_OF_MEMORY, "%s: out of memory while reading", source->name);
	source->ended = true;
}

static int file_claim(struct driver_source *source, struct driver_chunk *chunk)
{
	struct file_chunk *c;
	int r;

	if (source->ended || atomic_load_explicit(&source->woken, memory_order_relaxed))
		return DRIVER_E_END;
	c = file_chunk_take(source);
	r = c ? file_mode_claim(source, c) : -ENOMEM;
	if (r == -ENOMEM) {
		c = c ? c : &source->last_resort;
		file_no_memory(source, c);
		r = 0;
	}
	if (r != 0) {
		source->ended = true;
		(void)pthread_mutex_lock(&source->lock);
		c->next = source->unused;
		source->unused = c;
		(void)pthread_mutex_unlock(&source->lock);
		return DRIVER_E_END;
	}
	*chunk = (struct driver_chunk){ .seq = source->next_seq++, .impl = c };
	return 0;
}

static void file_wake(struct driver_source *source)
{
	atomic_store_explicit(&source->woken, true, memory_order_relaxed);
	wake_signal(source->wake_fd);
}

static void file_stats(const struct driver_source *source, struct driver_stats *ret)
{
	const struct capfile_stream *stream;

	*ret = (struct driver_stats){
		.total_bytes = source->total_bytes,
		.done_bytes = atomic_load_explicit(&source->released_bytes, memory_order_relaxed),
		.n_interfaces =
			atomic_load_explicit(&source->format.n_interfaces, memory_order_acquire),
	};
	stream = source->stream;
	if (stream)
		ret->done_bytes = capfile_stream_done_bytes(stream);
}

static int file_interface(
	const struct driver_source *source, unsigned int index, struct driver_interface *ret)
{
	const struct capfile_interface *interface = capfile_interface_get(&source->format, index);

	if (!interface)
		return -ENOENT;
	*ret = (struct driver_interface){ .linktype = interface->linktype,
		.snaplen_bytes = interface->snaplen_bytes,
		.ts_units_per_s = interface->ts_units_per_s,
		.tells_direction = source->format.kind == CAPFILE_KIND_PCAPNG };
	_Static_assert(sizeof(ret->name) == sizeof(interface->name), "names fit");
	memcpy(ret->name, interface->name, sizeof(ret->name));
	return 0;
}

const struct driver driver_file = {
	.name = "file",
	.lossless = true,
	.match = file_match,
	.open = file_open,
	.claim = file_claim,
	.next_batch = file_next_batch,
	.rewind = file_rewind,
	.verify = file_verify,
	.release = file_release,
	.wake = file_wake,
	.stats = file_stats,
	.interface = file_interface,
	.close = file_close,
};

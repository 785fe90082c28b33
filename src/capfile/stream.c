/* SPDX-License-Identifier: BSD-2-Clause */
/* Streams of bytes from files and pipes: see stream.h. The decoders are in codec.c. */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "codec_private.h"
#include "mapi/errors.h"

#define STREAM_INPUT_BYTES (128u << 10)

/**
 * struct capfile_stream - see stream.h
 * @now_fd:     reads a pipe without waiting, own; -1: not a pipe
 * @is_socket:  recv() can read it without waiting
 * @input:      bytes of the file that have been read, but not used: [@input_at, @input_end)
 * @probed:     the first bytes have been looked at
 * @eof:        the file has no more bytes
 * @in_frame:   a frame has begun and not ended
 * @failed:     the decoder found damage: it must not be called again
 * @codec:      NULL: not compressed
 */
struct capfile_stream {
	struct capfile_stream_args args;
	int now_fd;
	bool is_socket;
	uint64_t offset;
	bool probed;
	bool eof;
	bool in_frame;
	bool failed;
	const struct codec *codec;
	void *codec_state;
	_Atomic uint64_t done_bytes;
	size_t input_at;
	size_t input_end;
	uint8_t input[STREAM_INPUT_BYTES];
};

bool capfile_stream_is_compressed(const uint8_t *bytes, size_t n_bytes)
{
	return codec_find(bytes, n_bytes) != NULL;
}

/*
 * What poll() has found may be gone when read() comes: others read the same pipe. The descriptor is
 * shared with its owner, so it cannot be made non-blocking; a second opening of the pipe can.
 */
static void stream_open_now(struct capfile_stream *stream)
{
	char path[32];
	struct stat st;

	stream->now_fd = -1;
	stream->is_socket = false;
	if (stream->args.offset != CAPFILE_STREAM_NOT_SEEKABLE || fstat(stream->args.fd, &st) < 0)
		return;
	stream->is_socket = S_ISSOCK(st.st_mode);
	if (!S_ISFIFO(st.st_mode))
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", stream->args.fd);
	stream->now_fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

int capfile_stream_new(struct capfile_stream **ret, const struct capfile_stream_args *args)
{
	struct capfile_stream *stream = malloc(sizeof(*stream));

	if (!stream)
		return -ENOMEM;
	stream->args = *args;
	stream_open_now(stream);
	stream->offset = args->offset;
	stream->probed = args->raw;
	stream->eof = stream->in_frame = stream->failed = false;
	stream->codec = NULL;
	stream->codec_state = NULL;
	stream->input_at = stream->input_end = 0;
	atomic_init(&stream->done_bytes,
		args->offset == CAPFILE_STREAM_NOT_SEEKABLE ? 0 : args->offset);
	*ret = stream;
	return 0;
}

struct capfile_stream *capfile_stream_free(struct capfile_stream *stream)
{
	if (!stream)
		return NULL;
	if (stream->codec_state)
		stream->codec->ops->close(stream->codec_state);
	if (stream->now_fd >= 0)
		(void)close(stream->now_fd);
	free(stream);
	return NULL;
}

uint64_t capfile_stream_done_bytes(const struct capfile_stream *stream)
{
	return atomic_load_explicit(&stream->done_bytes, memory_order_relaxed);
}

/* Wait until the descriptor has something to say. A regular file always has. */
static int stream_wait(struct capfile_stream *stream, bool wait)
{
	struct pollfd fds[2] = { { .fd = stream->args.fd, .events = POLLIN },
		{ .fd = stream->args.wake_fd, .events = POLLIN } };

	if (stream->args.offset != CAPFILE_STREAM_NOT_SEEKABLE)
		return 0;
	for (;;) {
		int n = poll(fds, 2, wait ? -1 : 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (fds[1].revents)
			return CAPFILE_STREAM_E_WOKEN;
		return fds[0].revents ? 0 : CAPFILE_STREAM_E_LATER;
	}
}

static int stream_failed(struct capfile_stream *stream, int cause, struct error *err)
{
	return error_set(err, MAPI_CAPTURE_DAMAGED, "%s: reading failed at offset %llu: %s",
		stream->args.name, (unsigned long long)capfile_stream_done_bytes(stream),
		strerror(cause));
}

static ssize_t stream_read_now(struct capfile_stream *stream, uint8_t *bytes, size_t n_bytes)
{
	if (stream->args.offset != CAPFILE_STREAM_NOT_SEEKABLE)
		return pread(stream->args.fd, bytes, n_bytes, (off_t)stream->offset);
	if (stream->is_socket)
		return recv(stream->args.fd, bytes, n_bytes, MSG_DONTWAIT);
	return read(stream->now_fd >= 0 ? stream->now_fd : stream->args.fd, bytes, n_bytes);
}

/* Bytes of the file itself. *@ret_n is 0 at its end. */
static int stream_read_raw(struct capfile_stream *stream, uint8_t *bytes, size_t n_bytes, bool wait,
	size_t *ret_n, struct error *err)
{
	for (;;) {
		int r = stream_wait(stream, wait);
		ssize_t n;

		if (r > 0)
			return r;
		if (r < 0)
			return stream_failed(stream, -r, err);
		n = stream_read_now(stream, bytes, n_bytes);
		/* Another reader of the pipe may have been faster. */
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return stream_failed(stream, errno, err);
		stream->offset += (uint64_t)n;
		stream->eof = n == 0;
		atomic_fetch_add_explicit(&stream->done_bytes, (uint64_t)n, memory_order_relaxed);
		*ret_n = (size_t)n;
		return 0;
	}
}

static int stream_fill(struct capfile_stream *stream, bool wait, struct error *err)
{
	size_t n = 0;
	int r;

	if (stream->input_at == stream->input_end)
		stream->input_at = stream->input_end = 0;
	r = stream_read_raw(stream, stream->input + stream->input_end,
		sizeof(stream->input) - stream->input_end, wait, &n, err);
	if (r == 0)
		stream->input_end += n;
	return r;
}

/* What is compressed in a way that this build does not know. */
static int stream_refused(struct capfile_stream *stream, struct error *err)
{
	const struct codec *codec = stream->codec;

	stream->codec = NULL;
	stream->probed = false;
	return error_set(err, PCAP_OPEN_ERR,
		"%s: compressed by %s, which this build of MAPI does not read; decompress it, or "
		"build with meson -D%s=enabled",
		stream->args.name, codec->name, codec->option);
}

static int stream_probe(struct capfile_stream *stream, bool wait, struct error *err)
{
	while (!stream->eof && stream->input_end < CODEC_MAGIC_BYTES) {
		int r = stream_fill(stream, wait, err);

		if (r != 0)
			return r;
	}
	stream->probed = true;
	stream->codec = codec_find(stream->input, stream->input_end);
	if (!stream->codec)
		return 0;
	if (!stream->codec->ops)
		return stream_refused(stream, err);
	return stream->codec->ops->open(&stream->codec_state);
}

static int stream_read_plain(struct capfile_stream *stream, uint8_t *bytes, size_t n_bytes,
	bool wait, size_t *ret_n, struct error *err)
{
	size_t n = MIN(stream->input_end - stream->input_at, n_bytes);
	int r;

	if (n > 0) {
		memcpy(bytes, stream->input + stream->input_at, n);
		stream->input_at += n;
		*ret_n = n;
		return 0;
	}
	if (!stream->eof) {
		r = stream_read_raw(stream, bytes, n_bytes, wait, &n, err);
		if (r != 0)
			return r;
	}
	if (n == 0)
		return CAPFILE_STREAM_E_END;
	*ret_n = n;
	return 0;
}

static int stream_damaged(struct capfile_stream *stream, const char *what, struct error *err)
{
	uint64_t at = capfile_stream_done_bytes(stream) - (stream->input_end - stream->input_at);

	return error_set(err, MAPI_CAPTURE_DAMAGED, "%s: damaged at offset %llu: the %s data %s",
		stream->args.name, (unsigned long long)at, stream->codec->name, what);
}

static int stream_read_codec(struct capfile_stream *stream, uint8_t *bytes, size_t n_bytes,
	bool wait, size_t *ret_n, struct error *err)
{
	for (;;) {
		struct codec_io io;
		size_t n_in;
		int r;

		if (stream->failed)
			return stream_damaged(stream, "are not valid", err);
		if (!stream->eof && stream->input_at == stream->input_end) {
			r = stream_fill(stream, wait, err);
			if (r != 0)
				return r;
		}
		/* Tapes and block devices pad with zeros between and behind frames. */
		while (!stream->in_frame && stream->input_at < stream->input_end &&
			stream->input[stream->input_at] == 0)
			stream->input_at++;
		if (stream->input_at == stream->input_end && !stream->eof)
			continue;
		if (stream->input_at == stream->input_end && !stream->in_frame)
			return CAPFILE_STREAM_E_END;
		n_in = stream->input_end - stream->input_at;
		io = (struct codec_io){ .in = stream->input + stream->input_at,
			.n_in = n_in,
			.out = bytes,
			.n_out = n_bytes,
			.eof = stream->eof };
		stream->in_frame = true;
		r = stream->codec->ops->run(stream->codec_state, &io);
		stream->input_at += n_in - io.n_in;
		if (r == -ENOMEM)
			return r;
		if (r == CODEC_E_FRAME_END)
			stream->in_frame = false;
		stream->failed = r < 0;
		if (io.n_out < n_bytes) {
			/* What came before the damage counts: the next call reports it. */
			*ret_n = n_bytes - io.n_out;
			return 0;
		}
		if (r == 0 && stream->eof && io.n_in == n_in)
			return stream_damaged(stream, "end early", err);
	}
}

int capfile_stream_read(struct capfile_stream *stream, uint8_t *bytes, size_t n_bytes, bool wait,
	size_t *ret_n, struct error *err)
{
	int r;

	if (!stream->probed) {
		r = stream_probe(stream, wait, err);
		if (r != 0)
			return r;
	}
	if (stream->codec)
		return stream_read_codec(stream, bytes, n_bytes, wait, ret_n, err);
	return stream_read_plain(stream, bytes, n_bytes, wait, ret_n, err);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Output through a buffer: see output.h. */
#include "output.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "mapi/errors.h"

#define OUTPUT_BUFFER_BYTES (64u << 10)
#define OUTPUT_RECORDS_MAX 2048u
#define OUTPUT_RECORD_COUNTED 0x80000000u
#define OUTPUT_POLL_MS 10
#define OUTPUT_GRACE_NS 50000000u

/**
 * struct output - see output.h
 * @known:         whether it is a @regular file has been asked
 * @cancelled:     output_cancel() was called; @deadline_ns: wait no longer than that
 * @failed:        errno of the first failure; nothing is written afterwards
 * @written_bytes: handed to the kernel
 * @lost_records:  that were in @buffer when writing failed, and are not in the file
 * @record_ends:   ends of the records within @buffer, so that a failure can cut between them; with
 *                 OUTPUT_RECORD_COUNTED
 */
struct output {
	int fd;
	char *path;
	bool known;
	bool regular;
	_Atomic bool cancelled;
	uint64_t deadline_ns;
	int failed;
	uint64_t written_bytes;
	uint64_t lost_records;
	size_t n_buffered;
	unsigned int n_records;
	uint32_t record_ends[OUTPUT_RECORDS_MAX];
	uint8_t buffer[OUTPUT_BUFFER_BYTES];
};

static int output_report(const struct output *output, struct error *err)
{
	return error_set(err, MAPI_OUTPUT_FAILED, "%s: writing failed after %llu bytes: %s",
		output->path, (unsigned long long)output->written_bytes, strerror(output->failed));
}

/* The file now ends @n_bytes into what was to be written: drop the record that is cut in two. */
static void output_cut(struct output *output, size_t n_bytes)
{
	off_t end = output->regular ? lseek(output->fd, 0, SEEK_CUR) : -1;
	size_t whole = 0;

	for (unsigned int i = 0; i < output->n_records; i++) {
		size_t record_end = output->record_ends[i] & ~OUTPUT_RECORD_COUNTED;

		if (record_end <= n_bytes)
			whole = record_end;
		else
			output->lost_records += !!(output->record_ends[i] & OUTPUT_RECORD_COUNTED);
	}
	if (end < (off_t)(n_bytes - whole))
		return;
	end -= (off_t)(n_bytes - whole);
	if (ftruncate(output->fd, end) == 0) {
		(void)lseek(output->fd, end, SEEK_SET);
		output->written_bytes -= n_bytes - whole;
	}
}

/* Until a pipe takes something. Return: false if the output was cancelled and nobody reads. */
static bool output_wait(struct output *output)
{
	for (;;) {
		struct pollfd pollfd = { .fd = output->fd, .events = POLLOUT };

		if (atomic_load(&output->cancelled)) {
			uint64_t now_ns = clock_monotonic_ns();

			if (!output->deadline_ns)
				output->deadline_ns = now_ns + OUTPUT_GRACE_NS;
			if (now_ns >= output->deadline_ns)
				return false;
		}
		if (poll(&pollfd, 1, OUTPUT_POLL_MS) > 0)
			return true; /* if it is an error, write() says which */
	}
}

/* One write. What is no regular file may have a reader that does not read, and the descriptor may
 * be shared with others, so it cannot be made non-blocking: a pipe that can be written to takes
 * PIPE_BUF bytes without waiting. */
static ssize_t output_write(struct output *output, struct iovec *v, int n_v)
{
	struct iovec piece = { .iov_base = v->iov_base,
		.iov_len = MIN(v->iov_len, (size_t)PIPE_BUF) };

	if (output->regular)
		return writev(output->fd, v, n_v);
	if (output_wait(output))
		return writev(output->fd, &piece, 1);
	errno = ECANCELED;
	return -1;
}

/* Pipes are told from files with the first write: asking may wait for who serves the file. */
static int output_look(struct output *output)
{
	struct stat st;

	if (output->known)
		return 0;
	if (fstat(output->fd, &st) < 0)
		return -errno;
	output->regular = S_ISREG(st.st_mode);
	output->known = true;
	return 0;
}

static int output_out(struct output *output, struct iovec *v, int n_v, struct error *err)
{
	size_t done = 0;
	int r = output_look(output);

	if (r < 0) {
		output->failed = -r;
		output_cut(output, 0); /* counts what is lost */
		return output_report(output, err);
	}
	while (n_v > 0) {
		ssize_t n = output_write(output, v, n_v);

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue; /* another process took the room in the pipe */
		if (n < 0) {
			output->failed = errno;
			output_cut(output, done);
			return output_report(output, err);
		}
		output->written_bytes += (uint64_t)n;
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

int output_flush(struct output *output, struct error *err)
{
	struct iovec v = { .iov_base = output->buffer, .iov_len = output->n_buffered };
	int r = 0;

	if (output->failed)
		return output_report(output, err);
	if (output->n_buffered > 0)
		r = output_out(output, &v, 1, err);
	output->n_buffered = 0;
	output->n_records = 0;
	return r;
}

int output_put(struct output *output, const struct output_part *parts, unsigned int n_parts,
	bool is_counted, struct error *err)
{
	struct iovec v[OUTPUT_PARTS_MAX];
	size_t n_bytes = 0;
	int r;

	if (output->failed)
		return output_report(output, err);
	for (unsigned int i = 0; i < n_parts; i++) {
		n_bytes += parts[i].n_bytes;
		v[i] = (struct iovec){ .iov_base = (void *)(uintptr_t)parts[i].bytes,
			.iov_len = parts[i].n_bytes };
	}
	if (n_bytes > sizeof(output->buffer) - output->n_buffered ||
		output->n_records == OUTPUT_RECORDS_MAX) {
		r = output_flush(output, err);
		if (r < 0)
			return r;
	}
	if (n_bytes > sizeof(output->buffer))
		return output_out(output, v, (int)n_parts, err);
	for (unsigned int i = 0; i < n_parts; i++) {
		if (parts[i].n_bytes > 0)
			memcpy(output->buffer + output->n_buffered, parts[i].bytes,
				parts[i].n_bytes);
		output->n_buffered += parts[i].n_bytes;
	}
	output->record_ends[output->n_records++] =
		(uint32_t)output->n_buffered | (is_counted ? OUTPUT_RECORD_COUNTED : 0);
	return 0;
}

int output_new(struct output **ret, int fd, const char *path, struct error *err)
{
	struct output *output = calloc(1, sizeof(*output));
	char *copy = strdup(path);

	if (output && copy && fd >= 0) {
		output->fd = fd;
		output->path = copy;
		*ret = output;
		return 0;
	}
	free(copy);
	free(output);
	if (fd >= 0)
		return -ENOMEM;
	return error_set(err, MAPI_OUTPUT_FAILED, "%s: cannot be written to: it is not open", path);
}

const char *output_path(const struct output *output)
{
	return output->path;
}

void output_cancel(struct output *output)
{
	if (output)
		atomic_store(&output->cancelled, true);
}

uint64_t output_lost_records(const struct output *output)
{
	return output->lost_records;
}

void output_abandon(struct output *output)
{
	if (output)
		free(output->path);
	free(output);
}

int output_close(struct output *output, struct error *err)
{
	int r;

	if (!output)
		return 0;
	r = output_flush(output, err);
	if (close(output->fd) < 0 && r == 0) {
		output->failed = errno;
		r = output_report(output, err);
	}
	output_abandon(output);
	return r;
}

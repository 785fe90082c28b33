/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Framed connections: see wire.h. Bytes that arrive are kept in one buffer until a frame is whole;
 * bytes that the socket does not take are kept in another. Each buffer grows with what has really
 * come, never with what a length field promises.
 *
 * On a unix stream socket the kernel ends a read at the segment that carried descriptors, so those
 * of a later frame may come with an earlier one, but never the other way round: a queue of
 * descriptors in order of arrival is enough.
 */
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/buf.h"
#include "send_fds.h"

#define WIRE_HEAD_BYTES 4u
#define WIRE_SAY_BYTES_MAX 1024u
#define WIRE_BUFFER_BYTES (16u << 10) /* to begin with: no usual message needs more */

struct wire_buffer {
	uint8_t *bytes;
	size_t capacity;
	size_t begin;
	size_t end;
};

/* A descriptor that waits; @at is the stream position of the byte that it must travel with. */
struct wire_out_fd {
	uint64_t at;
	int fd;
};

#define WIRE_CLOGGED_BYTES (256u << 10)
#define WIRE_CLOGGED_FDS 32

struct wire_conn {
	int fd;
	bool is_eof;
	struct wire_buffer in;
	int in_fds[WIRE_FDS_MAX];
	unsigned int n_in_fds;
	int spare_fds[WIRE_SPARE_FDS];
	unsigned int n_spare_fds;
	struct wire_buffer out;
	uint64_t out_at; /* stream position of out.begin */
	struct wire_out_fd *out_fds;
	size_t n_out_fds;
	size_t out_fds_capacity;
	enum wire_fds allowed_fds;
	bool (*has_places)(void *context); /* NULL: it has */
	void *places_context;
	void (*close_fd)(void *context, int fd); /* NULL: close() */
	void *close_context;
};

/* Room for @n_bytes more at the end of the buffer, by moving first and by growing second. */
static int wire_buffer_reserve(struct wire_buffer *b, size_t n_bytes)
{
	size_t used = b->end - b->begin, capacity = b->capacity;
	uint8_t *bytes;

	if (b->capacity - b->end >= n_bytes)
		return 0;
	if (b->begin > 0) {
		memmove(b->bytes, b->bytes + b->begin, used);
		b->begin = 0;
		b->end = used;
	}
	while (capacity - used < n_bytes)
		capacity *= 2;
	if (capacity == b->capacity)
		return 0;
	bytes = realloc(b->bytes, capacity);
	if (!bytes)
		return -ENOMEM;
	b->bytes = bytes;
	b->capacity = capacity;
	return 0;
}

int wire_conn_new(struct wire_conn **ret, int fd)
{
	_cleanup_(wire_conn_freep) struct wire_conn *conn = calloc(1, sizeof(*conn));
	int flags;

	if (!conn)
		return -ENOMEM;
	conn->fd = -1;
	conn->in.bytes = malloc(WIRE_BUFFER_BYTES);
	conn->out.bytes = malloc(WIRE_BUFFER_BYTES);
	if (!conn->in.bytes || !conn->out.bytes)
		return -ENOMEM;
	conn->in.capacity = conn->out.capacity = WIRE_BUFFER_BYTES;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	conn->fd = fd;
	*ret = TAKE(conn);
	return 0;
}

/* What does not fit into the table of descriptors is lost without trace when it is received, so
 * some places are kept for it. */
static void wire_free_spare_fds(struct wire_conn *conn)
{
	while (conn->n_spare_fds > 0)
		(void)close(conn->spare_fds[--conn->n_spare_fds]); /* a place, nothing else */
}

bool wire_conn_has_spare_fds(struct wire_conn *conn)
{
	while (conn->n_spare_fds < WIRE_SPARE_FDS) {
		int fd = fcntl(conn->fd, F_DUPFD_CLOEXEC, 3);

		if (fd < 0)
			return false;
		conn->spare_fds[conn->n_spare_fds++] = fd;
	}
	return true;
}

/* Of what came from the peer; the socket, too, in which more of it may wait. */
static void wire_close(const struct wire_conn *conn, int fd)
{
	if (conn->close_fd)
		conn->close_fd(conn->close_context, fd);
	else
		(void)close(fd);
}

struct wire_conn *wire_conn_free(struct wire_conn *conn)
{
	if (!conn)
		return NULL;
	for (unsigned int i = 0; i < conn->n_in_fds; i++)
		wire_close(conn, conn->in_fds[i]); /* received, never used */
	for (size_t i = 0; i < conn->n_out_fds; i++)
		(void)close(conn->out_fds[i].fd); /* our duplicates */
	wire_free_spare_fds(conn);
	if (conn->fd >= 0)
		wire_close(conn, conn->fd);
	free(conn->in.bytes);
	free(conn->out.bytes);
	free(conn->out_fds);
	free(conn);
	return NULL;
}

int wire_conn_fd(const struct wire_conn *conn)
{
	return conn->fd;
}

/* ---- receiving ---- */

/* Room for all that may come: what does not fit is closed by the kernel, here and now. */
union wire_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * WIRE_SEND_FDS_MAX)];
};

/* A program may have closed its standard streams: what it prints must not go into our descriptors.
 */
static int wire_lift_fd(const struct wire_conn *conn, int fd)
{
	int lifted = fd;

	if (fd <= STDERR_FILENO) {
		lifted = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
		wire_close(conn, fd); /* it has been copied, or it is lost */
	}
	return lifted;
}

static bool wire_is_socket(int fd)
{
	int type;
	socklen_t type_bytes = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_bytes) == 0;
}

/* Close what the peer had no right to send. Return: whether it was so. */
static bool wire_refuse_fd(const struct wire_conn *conn, int fd)
{
	if (conn->allowed_fds == WIRE_FDS_ANY ||
		(conn->allowed_fds == WIRE_FDS_FILES && !wire_is_socket(fd)))
		return false;
	wire_close(conn, fd);
	return true;
}

/* Keep the descriptors of one recvmsg; close them all if there are too many. */
static int wire_keep_fds(struct wire_conn *conn, struct msghdr *msg)
{
	int r = msg->msg_flags & MSG_CTRUNC ? -EBADMSG : 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n_fds; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			fd = wire_lift_fd(conn, fd);
			if (fd < 0)
				r = -EMFILE;
			else if (wire_refuse_fd(conn, fd))
				r = -EBADMSG;
			else if (conn->n_in_fds < WIRE_FDS_MAX) {
				conn->in_fds[conn->n_in_fds++] = fd;
			} else {
				wire_close(conn, fd);
				r = -EBADMSG;
			}
		}
	}
	return r;
}

/* Look how many bytes can be read that have no descriptors beside them; at most as many as
 * @iov says. Return: 0, WIRE_E_NO_PLACES. */
static int wire_find_plain(const struct wire_conn *conn, struct iovec *iov)
{
	/* Looking takes no descriptor out of the socket, and without room for them installs none:
	 * the kernel only says MSG_CTRUNC. */
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 1 };
	ssize_t n = recvmsg(conn->fd, &msg, MSG_PEEK | MSG_DONTWAIT);

	if (n > 0 && msg.msg_flags & MSG_CTRUNC)
		return WIRE_E_NO_PLACES;
	if (n > 0)
		iov->iov_len = (size_t)n;
	return 0; /* an end or an error is found by reading */
}

/* One read. Return: 0, WIRE_E_AGAIN, WIRE_E_NO_PLACES, negative errno. */
static int wire_receive(struct wire_conn *conn)
{
	struct wire_buffer *in = &conn->in;
	union wire_control control;
	struct iovec iov = { .iov_base = in->bytes + in->end, .iov_len = in->capacity - in->end };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n;

	wire_free_spare_fds(conn);
	if (conn->has_places && !conn->has_places(conn->places_context) &&
		wire_find_plain(conn, &iov) != 0)
		return WIRE_E_NO_PLACES;
	do
		n = recvmsg(conn->fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? WIRE_E_AGAIN : -errno;
	if (n == 0)
		conn->is_eof = true;
	in->end += (size_t)n;
	return wire_keep_fds(conn, &msg);
}

int wire_conn_next(struct wire_conn *conn, const uint8_t **ret_frame, size_t *ret_bytes)
{
	struct wire_buffer *in = &conn->in;

	for (;;) {
		size_t used = in->end - in->begin;
		size_t frame_bytes = 0;
		int r;

		if (used >= WIRE_HEAD_BYTES) {
			frame_bytes = buf_peek_be32(in->bytes + in->begin);
			if (frame_bytes > WIRE_FRAME_BYTES_MAX)
				return -EBADMSG;
			if (used - WIRE_HEAD_BYTES >= frame_bytes) {
				*ret_frame = in->bytes + in->begin + WIRE_HEAD_BYTES;
				*ret_bytes = frame_bytes;
				in->begin += WIRE_HEAD_BYTES + frame_bytes;
				return 0;
			}
		}
		if (conn->is_eof)
			return used > 0 ? -EBADMSG : WIRE_E_CLOSED;
		/* Half a page of room is worth a read; less makes the buffer move or double. */
		r = wire_buffer_reserve(in, 2048);
		if (r < 0)
			return r;
		r = wire_receive(conn);
		if (r != 0)
			return r;
	}
}

int wire_conn_take_fds(struct wire_conn *conn, int ret_fds[], unsigned int n_fds)
{
	if (n_fds > conn->n_in_fds)
		return -EBADMSG;
	memcpy(ret_fds, conn->in_fds, n_fds * sizeof(int));
	conn->n_in_fds -= n_fds;
	memmove(conn->in_fds, conn->in_fds + n_fds, conn->n_in_fds * sizeof(int));
	return 0;
}

/* ---- sending ---- */

/* One sendmsg. Return: bytes taken, or negative errno (-EAGAIN: none). */
static ssize_t wire_send(struct wire_conn *conn, const uint8_t *bytes, size_t n_bytes,
	const int fds[], unsigned int n_fds)
{
	ssize_t n = wire_send_fds(conn->fd, bytes, n_bytes, fds, n_fds, MSG_DONTWAIT);

	return n == -EWOULDBLOCK ? -EAGAIN : n;
}

static int wire_queue_fds(struct wire_conn *conn, uint64_t at, const int fds[], unsigned int n_fds)
{
	size_t n_kept = conn->n_out_fds;

	if (conn->out_fds_capacity - conn->n_out_fds < n_fds) {
		size_t capacity = conn->out_fds_capacity * 2 + WIRE_FDS_MAX;
		struct wire_out_fd *out_fds =
			reallocarray(conn->out_fds, capacity, sizeof(*out_fds));

		if (!out_fds)
			return -ENOMEM;
		conn->out_fds = out_fds;
		conn->out_fds_capacity = capacity;
	}
	for (unsigned int i = 0; i < n_fds; i++) {
		int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);

		if (fd < 0) {
			int r = -errno;

			while (conn->n_out_fds > n_kept)
				(void)close(conn->out_fds[--conn->n_out_fds].fd);
			return r;
		}
		conn->out_fds[conn->n_out_fds++] = (struct wire_out_fd){ .at = at, .fd = fd };
	}
	return 0;
}

static void wire_drop_out_fds(struct wire_conn *conn, unsigned int n_fds)
{
	for (unsigned int i = 0; i < n_fds; i++)
		(void)close(conn->out_fds[i].fd); /* sent: the peer has its own */
	conn->n_out_fds -= n_fds;
	memmove(conn->out_fds, conn->out_fds + n_fds, conn->n_out_fds * sizeof(*conn->out_fds));
}

static void wire_sent(struct wire_conn *conn, size_t n_bytes)
{
	conn->out.begin += n_bytes;
	conn->out_at += n_bytes;
	if (conn->out.begin == conn->out.end)
		conn->out.begin = conn->out.end = 0;
}

int wire_conn_flush(struct wire_conn *conn)
{
	struct wire_buffer *out = &conn->out;

	while (out->begin < out->end) {
		size_t n_bytes = out->end - out->begin;
		int fds[WIRE_FDS_MAX];
		unsigned int n_fds = 0;
		ssize_t n;

		/* Descriptors must travel with the first byte of their frame: stop before the next.
		 */
		while (n_fds < conn->n_out_fds && conn->out_fds[n_fds].at == conn->out_at) {
			fds[n_fds] = conn->out_fds[n_fds].fd;
			n_fds++;
		}
		if (n_fds < conn->n_out_fds)
			n_bytes = MIN(n_bytes, (size_t)(conn->out_fds[n_fds].at - conn->out_at));
		n = wire_send(conn, out->bytes + out->begin, n_bytes, fds, n_fds);
		if (n == -EAGAIN)
			return WIRE_E_AGAIN;
		if (n < 0)
			return (int)n;
		if (n_fds > 0)
			wire_drop_out_fds(conn, n_fds);
		wire_sent(conn, (size_t)n);
	}
	return 0;
}

int wire_conn_put(struct wire_conn *conn, const ProtobufCMessage *message, const int fds[],
	unsigned int n_fds)
{
	struct wire_buffer *out = &conn->out;
	size_t message_bytes = protobuf_c_message_get_packed_size(message);
	size_t frame_bytes = WIRE_HEAD_BYTES + message_bytes;
	bool was_empty = out->begin == out->end;
	uint32_t head_be = htobe32((uint32_t)message_bytes);
	uint8_t *frame;
	ssize_t n;
	int r;

	if (message_bytes > WIRE_FRAME_BYTES_MAX || n_fds > WIRE_FDS_MAX)
		return -EMSGSIZE;
	r = wire_buffer_reserve(out, frame_bytes);
	if (r < 0)
		return r;
	frame = out->bytes + out->end;
	memcpy(frame, &head_be, WIRE_HEAD_BYTES);
	(void)protobuf_c_message_pack(message, frame + WIRE_HEAD_BYTES);
	if (was_empty) {
		n = wire_send(conn, frame, frame_bytes, fds, n_fds);
		if (n < 0 && n != -EAGAIN)
			return (int)n;
		if (n > 0) {
			out->end += frame_bytes;
			wire_sent(conn, (size_t)n);
			return wire_conn_flush(conn);
		}
	}
	if (n_fds > 0) {
		r = wire_queue_fds(conn, conn->out_at + (out->end - out->begin), fds, n_fds);
		if (r < 0)
			return r;
	}
	out->end += frame_bytes;
	return was_empty ? WIRE_E_AGAIN : wire_conn_flush(conn);
}

void wire_say(int fd, const ProtobufCMessage *message)
{
	uint8_t frame[WIRE_HEAD_BYTES + WIRE_SAY_BYTES_MAX];
	size_t message_bytes = protobuf_c_message_get_packed_size(message);
	uint32_t head_be = htobe32((uint32_t)message_bytes);

	if (message_bytes > WIRE_SAY_BYTES_MAX)
		return;
	memcpy(frame, &head_be, WIRE_HEAD_BYTES);
	(void)protobuf_c_message_pack(message, frame + WIRE_HEAD_BYTES);
	(void)send(fd, frame, WIRE_HEAD_BYTES + message_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
}

size_t wire_conn_queued_bytes(const struct wire_conn *conn)
{
	return conn->out.end - conn->out.begin;
}

bool wire_conn_is_clogged(const struct wire_conn *conn)
{
	return wire_conn_queued_bytes(conn) > WIRE_CLOGGED_BYTES ||
		conn->n_out_fds > WIRE_CLOGGED_FDS;
}

void wire_conn_allow_fds(struct wire_conn *conn, enum wire_fds allowed)
{
	conn->allowed_fds = allowed;
}

void wire_conn_set_places(struct wire_conn *conn, bool (*has_places)(void *context), void *context)
{
	conn->has_places = has_places;
	conn->places_context = context;
}

void wire_conn_set_close(
	struct wire_conn *conn, void (*close_fd)(void *context, int fd), void *context)
{
	conn->close_fd = close_fd;
	conn->close_context = context;
}

/* ---- unpacking without malloc ---- */

static void *wire_arena_alloc(void *data, size_t n_bytes)
{
	struct wire_arena *arena = data;
	size_t rounded_bytes;
	void *p;

	if (n_bytes > arena->n_bytes)
		return NULL;
	rounded_bytes = (n_bytes + 15) / 16 * 16;
	if (rounded_bytes > arena->n_bytes - arena->used_bytes)
		return NULL;
	p = arena->bytes + arena->used_bytes;
	arena->used_bytes += rounded_bytes;
	return p;
}

static void wire_arena_release(void *data, void *pointer)
{
	(void)data;
	(void)pointer; /* all goes at once, with the arena */
}

void wire_arena_init(struct wire_arena *arena, void *bytes, size_t n_bytes)
{
	*arena = (struct wire_arena){
		.allocator = { .alloc = wire_arena_alloc,
			.free = wire_arena_release,
			.allocator_data = arena },
		.bytes = bytes,
		.n_bytes = n_bytes,
	};
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes from a hostile peer: framing, descriptors, unpacking.
 *
 * The first byte of the input says how the rest is cut into writes, which of them carry a
 * descriptor, and which allocation fails. Each frame is unpacked as a Request and as a Reply, in an
 * arena of the promised size and by malloc: both must agree.
 *
 * What was unpacked is sent on over a second connection, whose socket takes little at a time: it
 * must come out as it went in, in order, with as many descriptors.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fault.h"
#include "mapi.pb-c.h"
#include "wire/test_send.h"
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static void check(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

static int null_fd = -1;

/* ---- the second connection ---- */

#define PASS_MESSAGES_MAX 256

/* Messages in flight are known by size and check sum. */
struct pass {
	struct wire_conn *out;
	struct wire_conn *in;
	unsigned int fail_in;
	unsigned int n_sent;
	unsigned int n_received;
	struct {
		size_t n_bytes;
		uint32_t sum;
		unsigned int n_fds;
	} messages[PASS_MESSAGES_MAX];
};

static uint32_t pass_sum(const uint8_t *bytes, size_t n_bytes)
{
	uint32_t sum = 2166136261u;

	for (size_t i = 0; i < n_bytes; i++)
		sum = (sum ^ bytes[i]) * 16777619u;
	return sum;
}

/* A connection that fails for want of memory takes nothing. */
static struct wire_conn *fuzz_conn_new(int fd, unsigned int fail_in)
{
	struct wire_conn *conn = NULL;
	int r;

	fault_arm(fail_in);
	r = wire_conn_new(&conn, fd);
	if (fault_disarm(NULL)) {
		check(r == -ENOMEM && !conn, "a connection without memory");
		r = wire_conn_new(&conn, fd);
	}
	check(r == 0 && conn && wire_conn_fd(conn) == fd, "wire_conn_new");
	return conn;
}

static void pass_init(struct pass *pass, unsigned int fail_in)
{
	int fds[2], least = 1;

	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0, "socketpair");
	check(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)) == 0, "SO_SNDBUF");
	*pass = (struct pass){ .fail_in = fail_in };
	pass->out = fuzz_conn_new(fds[0], 0);
	pass->in = fuzz_conn_new(fds[1], 0);
}

/* Take what has come. Return: the outcome behind the last frame. */
static int pass_receive(struct pass *pass)
{
	for (;;) {
		const uint8_t *frame = NULL;
		size_t frame_bytes = 0;
		int r = wire_conn_next(pass->in, &frame, &frame_bytes);
		unsigned int n = pass->n_received, n_fds;
		int fds[WIRE_FDS_MAX];

		if (r != 0)
			return r;
		check(n < pass->n_sent, "more comes out than went in");
		check(frame_bytes == pass->messages[n].n_bytes &&
				pass_sum(frame, frame_bytes) == pass->messages[n].sum,
			"another message");
		n_fds = pass->messages[n].n_fds;
		if (n_fds > 1)
			check(wire_conn_has_spare_fds(pass->in), "places for descriptors");
		check(wire_conn_take_fds(pass->in, fds, n_fds) == 0, "descriptors are missing");
		for (unsigned int i = 0; i < n_fds; i++)
			close(fds[i]);
		pass->n_received++;
	}
}

static void pass_send_once(
	struct pass *pass, const ProtobufCMessage *message, const uint8_t *bytes, size_t n_bytes)
{
	int fds[WIRE_FDS_MAX + 1];
	/* Also too many, and one that is none. */
	unsigned int n_fds = n_bytes % 7 == 6 ? WIRE_FDS_MAX + 1 : n_bytes % 4;
	bool failed;
	int r;

	if (pass->n_sent == PASS_MESSAGES_MAX)
		return;
	for (unsigned int i = 0; i < n_fds; i++)
		fds[i] = null_fd;
	if (n_fds > 0 && n_bytes % 5 == 4)
		fds[n_fds - 1] = -1;
	fault_arm(pass->fail_in);
	r = wire_conn_put(pass->out, message, fds, n_fds);
	failed = fault_disarm(NULL);
	if (failed || n_fds > WIRE_FDS_MAX || (n_fds > 0 && fds[n_fds - 1] < 0)) {
		check(r ==
				(n_fds > WIRE_FDS_MAX    ? -EMSGSIZE
						: failed ? -ENOMEM
							 : -EBADF),
			"refused otherwise");
		return;
	}
	check(r == 0 || r == WIRE_E_AGAIN, "wire_conn_put");
	check((r == 0) == (wire_conn_queued_bytes(pass->out) == 0), "what is queued");
	pass->messages[pass->n_sent].n_bytes = n_bytes;
	pass->messages[pass->n_sent].sum = pass_sum(bytes, n_bytes);
	pass->messages[pass->n_sent++].n_fds = n_fds;
}

static void pass_send(
	struct pass *pass, const ProtobufCMessage *message, const uint8_t *bytes, size_t n_bytes)
{
	for (unsigned int n = n_bytes % 16; n < 16; n++)
		pass_send_once(pass, message, bytes, n_bytes);
	if (n_bytes % 3 == 0)
		check(pass_receive(pass) == WIRE_E_AGAIN, "the connection goes on");
	if (n_bytes % 2 == 0)
		check(wire_conn_flush(pass->out) >= 0, "wire_conn_flush");
}

/* @lost: the reader goes away first. */
static void pass_deinit(struct pass *pass, bool lost)
{
	const Wire__Reply reply = WIRE__REPLY__INIT;
	int r = WIRE_E_AGAIN;

	if (lost) {
		pass->in = wire_conn_free(pass->in);
		check(wire_conn_put(pass->out, &reply.base, NULL, 0) < 0, "nobody reads");
		check(wire_conn_queued_bytes(pass->out) == 0 || wire_conn_flush(pass->out) < 0,
			"nobody reads");
	}
	while (!lost && r == WIRE_E_AGAIN) {
		check(pass_receive(pass) == WIRE_E_AGAIN, "the connection goes on");
		r = wire_conn_flush(pass->out);
	}
	pass->out = wire_conn_free(pass->out);
	if (!lost) {
		check(pass_receive(pass) == WIRE_E_CLOSED, "the end is seen");
		check(pass->n_received == pass->n_sent, "all have come");
	}
	wire_conn_free(pass->in);
}

/* ---- the first ---- */

static void fuzz_unpack(struct pass *pass, const ProtobufCMessageDescriptor *type,
	const uint8_t *frame, size_t frame_bytes)
{
	size_t arena_bytes = WIRE_ARENA_BYTES(frame_bytes);
	uint8_t *memory = aligned_alloc(16, arena_bytes / 16 * 16 + 16);
	struct wire_arena arena;
	ProtobufCMessage *by_arena, *by_malloc;

	check(memory != NULL, "out of memory");
	wire_arena_init(&arena, memory, arena_bytes);
	by_arena = protobuf_c_message_unpack(type, &arena.allocator, frame_bytes, frame);
	by_malloc = protobuf_c_message_unpack(type, NULL, frame_bytes, frame);
	check(!by_arena == !by_malloc, "the arena is too small, or accepts more");
	if (by_malloc) {
		size_t a_bytes = protobuf_c_message_get_packed_size(by_arena);
		size_t m_bytes = protobuf_c_message_get_packed_size(by_malloc);
		uint8_t *a = malloc(a_bytes + 1), *m = malloc(m_bytes + 1);

		check(a && m, "out of memory");
		check(protobuf_c_message_pack(by_arena, a) == a_bytes, "packed size");
		check(protobuf_c_message_pack(by_malloc, m) == m_bytes, "packed size");
		check(a_bytes == m_bytes && memcmp(a, m, a_bytes) == 0, "both ways differ");
		pass_send(pass, by_malloc, m, m_bytes);
		protobuf_c_message_free_unpacked(by_malloc, NULL);
		free(a);
		free(m);
	}
	free(memory);
	/* An arena that is too small fails, and nothing else happens. */
	arena_bytes = frame_bytes / 16 * 16 + 16;
	memory = aligned_alloc(16, arena_bytes);
	check(memory != NULL, "out of memory");
	wire_arena_init(&arena, memory, arena_bytes);
	(void)protobuf_c_message_unpack(type, &arena.allocator, frame_bytes, frame);
	free(memory);
}

/* Every other time there are places for descriptors. */
static bool fuzz_has_places(void *context)
{
	unsigned int *n_asked = context;

	return ++*n_asked % 2 == 0;
}

static void fuzz_close(void *context, int fd)
{
	unsigned int *n_closed = context;

	++*n_closed;
	close(fd);
}

/* All frames that have come. Return: false when the connection is over. */
static bool fuzz_receive(struct wire_conn *conn, struct pass *pass)
{
	for (;;) {
		const uint8_t *frame = NULL;
		size_t frame_bytes = 0;
		bool failed;
		int r, fd;

		fault_arm(pass->fail_in);
		r = wire_conn_next(conn, &frame, &frame_bytes);
		failed = fault_disarm(NULL);
		if (r == WIRE_E_AGAIN)
			return true;
		if (r == WIRE_E_NO_PLACES)
			continue; /* there will be */
		if (r != 0) {
			check(r == WIRE_E_CLOSED || r == -EBADMSG || (r == -ENOMEM && failed),
				"outcome");
			return false;
		}
		check(frame != NULL && frame_bytes <= WIRE_FRAME_BYTES_MAX, "frame");
		fuzz_unpack(pass, &wire__request__descriptor, frame, frame_bytes);
		fuzz_unpack(pass, &wire__reply__descriptor, frame, frame_bytes);
		if (frame_bytes % 3 == 0 && wire_conn_take_fds(conn, &fd, 1) == 0)
			close(fd);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
	struct wire_conn *conn = NULL;
	static struct pass pass;
	size_t piece_bytes;
	unsigned int n_fds, fail_in, n_asked = 0, n_closed = 0;
	bool goes_on = true;
	int fds[2];

	if (n_bytes == 0 || n_bytes > 65536)
		return 0;
	if (null_fd < 0)
		null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	piece_bytes = bytes[0] % 16 == 0 ? 65536 : (size_t)1 << (bytes[0] % 16);
	n_fds = bytes[0] / 16 % 4 == 3 ? 17 : bytes[0] / 16 % 4;
	fail_in = bytes[0] / 64;
	check(wire_conn_new(&conn, -1) == -EBADF && !conn, "no descriptor");
	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0, "socketpair");
	conn = fuzz_conn_new(fds[0], fail_in);
	wire_conn_set_places(conn, fuzz_has_places, &n_asked);
	wire_conn_set_close(conn, fuzz_close, &n_closed);
	wire_conn_allow_fds(conn, n_bytes % 3 == 0 ? WIRE_FDS_FILES : WIRE_FDS_ANY);
	pass_init(&pass, fail_in);
	for (size_t at = 1; at < n_bytes && goes_on; at += piece_bytes) {
		size_t left = n_bytes - at;

		(void)test_send_copies(fds[1], bytes + at, left < piece_bytes ? left : piece_bytes,
			null_fd, n_fds);
		goes_on = fuzz_receive(conn, &pass);
	}
	close(fds[1]);
	if (goes_on)
		check(!fuzz_receive(conn, &pass), "the end is seen");
	wire_conn_free(conn);
	pass_deinit(&pass, n_bytes % 16 == 7);
	return 0;
}

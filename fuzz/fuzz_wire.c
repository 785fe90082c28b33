/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes from a hostile peer: framing, descriptors, unpacking.
 *
 * The first byte of the input says how the rest is cut into writes and which of them carry a
 * descriptor. Each frame is unpacked as a Request and as a Reply, in an arena of the promised size
 * and by malloc: both must agree.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mapi.pb-c.h"
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static void check(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

static void fuzz_unpack(
	const ProtobufCMessageDescriptor *type, const uint8_t *frame, size_t frame_bytes)
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
		protobuf_c_message_free_unpacked(by_malloc, NULL);
		free(a);
		free(m);
	}
	free(memory);
}

/* All frames that have come. Return: false when the connection is over. */
static bool fuzz_receive(struct wire_conn *conn)
{
	for (;;) {
		const uint8_t *frame = NULL;
		size_t frame_bytes = 0;
		int r = wire_conn_next(conn, &frame, &frame_bytes);
		int fd;

		if (r == WIRE_E_AGAIN)
			return true;
		if (r != 0) {
			check(r == WIRE_E_CLOSED || r == -EBADMSG, "outcome");
			return false;
		}
		check(frame != NULL && frame_bytes <= WIRE_FRAME_BYTES_MAX, "frame");
		fuzz_unpack(&wire__request__descriptor, frame, frame_bytes);
		fuzz_unpack(&wire__reply__descriptor, frame, frame_bytes);
		if (frame_bytes % 3 == 0 && wire_conn_take_fds(conn, &fd, 1) == 0)
			close(fd);
	}
}

static void fuzz_send(int to, const uint8_t *bytes, size_t n_bytes, unsigned int n_fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * 32)];
	} control = { .bytes = { 0 } };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = n_bytes };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	static int null_fd = -1;

	if (null_fd < 0)
		null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (n_fds > 0) {
		struct cmsghdr *c;

		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		for (unsigned int i = 0; i < n_fds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &null_fd, sizeof(int));
	}
	(void)!sendmsg(to, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
	struct wire_conn *conn;
	size_t piece_bytes;
	unsigned int n_fds;
	bool goes_on = true;
	int fds[2];

	if (n_bytes == 0 || n_bytes > 65536)
		return 0;
	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0, "socketpair");
	check(wire_conn_new(&conn, fds[0]) == 0, "wire_conn_new");
	piece_bytes = bytes[0] % 16 == 0 ? 65536 : (size_t)1 << (bytes[0] % 16);
	n_fds = bytes[0] / 16 % 4 == 3 ? 17 : bytes[0] / 16 % 4;
	for (size_t at = 1; at < n_bytes && goes_on; at += piece_bytes) {
		size_t left = n_bytes - at;

		fuzz_send(fds[1], bytes + at, left < piece_bytes ? left : piece_bytes, n_fds);
		goes_on = fuzz_receive(conn);
	}
	close(fds[1]);
	if (goes_on)
		check(!fuzz_receive(conn), "the end is seen");
	wire_conn_free(conn);
	return 0;
}

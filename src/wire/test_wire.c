/* SPDX-License-Identifier: BSD-2-Clause */
/* Framed connections: order, halves, hostile lengths, descriptors, back pressure; arenas. */
#undef NDEBUG
#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "mapi.pb-c.h"
#include "test_send.h"

struct pair {
	struct wire_conn *conn;
	int peer; /* raw */
};

static struct pair pair_new(void)
{
	struct pair p;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(wire_conn_new(&p.conn, fds[0]), 0);
	p.peer = fds[1];
	return p;
}

static void pair_free(struct pair *p)
{
	wire_conn_free(p->conn);
	if (p->peer >= 0)
		close(p->peer);
}

static void peer_send(const struct pair *p, const void *bytes, size_t n_bytes)
{
	assert_int_equal(send(p->peer, bytes, n_bytes, MSG_NOSIGNAL), n_bytes);
}

static void peer_send_frame(const struct pair *p, const void *bytes, uint32_t n_bytes)
{
	uint32_t head_be = htobe32(n_bytes);

	peer_send(p, &head_be, sizeof(head_be));
	if (n_bytes > 0)
		peer_send(p, bytes, n_bytes);
}

static void peer_send_fds(
	const struct pair *p, const void *bytes, size_t n_bytes, unsigned int n_fds)
{
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	assert_true(zero >= 0);
	assert_true(test_send_copies(p->peer, bytes, n_bytes, zero, n_fds));
	close(zero);
}

static unsigned int count_fds(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void test_frames_arrive_whole_and_in_order(void **state)
{
	struct pair p = pair_new();
	const uint8_t *frame = (const uint8_t *)"untouched";
	size_t n_bytes = 77;

	assert_int_equal(wire_conn_next(p.conn, &frame, &n_bytes), WIRE_E_AGAIN);
	assert_int_equal(n_bytes, 77);
	peer_send(&p, "\0\0", 2);
	assert_int_equal(wire_conn_next(p.conn, &frame, &n_bytes), WIRE_E_AGAIN);
	peer_send(&p, "\0\5hel", 5);
	assert_int_equal(wire_conn_next(p.conn, &frame, &n_bytes), WIRE_E_AGAIN);
	peer_send(&p, "lo\0\0\0\0\0\0\0\1", 10);
	assert_int_equal(wire_conn_next(p.conn, &frame, &n_bytes), 0);
	assert_int_equal(n_bytes, 5);
	assert_memory_equal(frame, "hello", 5);
	assert_int_equal(wire_conn_next(p.conn, &frame, &n_bytes), 0);
	assert_int_equal(n_bytes, 0);
	assert_int_equal(wire_conn_next(p.conn, &frame, &n_bytes), WIRE_E_AGAIN);
	peer_send(&p, "x", 1);
	assert_int_equal(wire_conn_next(p.conn, &frame, &n_bytes), 0);
	assert_int_equal(n_bytes, 1);
	close(p.peer);
	p.peer = -1;
	assert_int_equal(wire_conn_next(p.conn, &frame, &n_bytes), WIRE_E_CLOSED);
	assert_int_equal(wire_conn_next(p.conn, &frame, &n_bytes), WIRE_E_CLOSED);
	pair_free(&p);
}

static void test_byte_by_byte(void **state)
{
	struct pair p = pair_new();
	const uint8_t *frame;
	uint8_t bytes[4 + 300];
	size_t n_bytes;

	for (unsigned int round = 0; round < 200; round++) {
		memset(bytes, (int)round, sizeof(bytes));
		memcpy(bytes, "\0\0\1\054", 4);
		for (size_t i = 0; i < sizeof(bytes); i++) {
			assert_int_equal(wire_conn_next(p.conn, &frame, &n_bytes), WIRE_E_AGAIN);
			peer_send(&p, bytes + i, 1);
		}
		assert_int_equal(wire_conn_next(p.conn, &frame, &n_bytes), 0);
		assert_int_equal(n_bytes, 300);
		assert_memory_equal(frame, bytes + 4, 300);
	}
	pair_free(&p);
}

static void test_hostile_lengths(void **state)
{
	struct pair p = pair_new();
	const uint8_t *frame;
	size_t n_bytes;

	peer_send(&p, "\xff\xff\xff\xff", 4);
	assert_int_equal(wire_conn_next(p.conn, &frame, &n_bytes), -EBADMSG);
	pair_free(&p);
	p = pair_new();
	peer_send(&p, "\0\x10\0\1", 4); /* one more than allowed */
	assert_int_equal(wire_conn_next(p.conn, &frame, &n_bytes), -EBADMSG);
	pair_free(&p);
	p = pair_new();
	peer_send(&p, "\0\x10\0\0", 4); /* allowed */
	assert_int_equal(wire_conn_next(p.conn, &frame, &n_bytes), WIRE_E_AGAIN);
	pair_free(&p);
}

static void test_end_within_a_frame(void **state)
{
	const uint8_t *frame;
	size_t n_bytes;

	for (size_t cut = 1; cut < 9; cut++) {
		struct pair p = pair_new();

		peer_send(&p, "\0\0\0\5hello", cut);
		shutdown(p.peer, SHUT_WR);
		assert_int_equal(wire_conn_next(p.conn, &frame, &n_bytes), -EBADMSG);
		pair_free(&p);
	}
}

static void test_largest_frame(void **state)
{
	struct pair p = pair_new();
	uint8_t *bytes = malloc(WIRE_FRAME_BYTES_MAX);
	const uint8_t *frame;
	size_t n_bytes, sent = 0;
	uint32_t head_be = htobe32(WIRE_FRAME_BYTES_MAX);

	assert_non_null(bytes);
	for (size_t i = 0; i < WIRE_FRAME_BYTES_MAX; i++)
		bytes[i] = (uint8_t)(i * 7);
	for (int round = 0; round < 2; round++) {
		peer_send(&p, &head_be, 4);
		for (sent = 0; sent < WIRE_FRAME_BYTES_MAX;) {
			ssize_t n = send(
				p.peer, bytes + sent, WIRE_FRAME_BYTES_MAX - sent, MSG_DONTWAIT);
			int r;

			if (n > 0)
				sent += (size_t)n;
			r = wire_conn_next(p.conn, &frame, &n_bytes);
			if (sent < WIRE_FRAME_BYTES_MAX)
				assert_int_equal(r, WIRE_E_AGAIN);
			else if (r == WIRE_E_AGAIN)
				assert_int_equal(wire_conn_next(p.conn, &frame, &n_bytes), 0);
		}
		assert_int_equal(n_bytes, WIRE_FRAME_BYTES_MAX);
		assert_memory_equal(frame, bytes, n_bytes);
	}
	free(bytes);
	pair_free(&p);
}

static void test_descriptors(void **state)
{
	unsigned int n_before = count_fds();
	struct pair p = pair_new();
	const uint8_t *frame;
	size_t n_bytes;
	int fds[4] = { -7, -7, -7, -7 };

	/* Glued: a frame without, one with two, one with one. */
	peer_send_frame(&p, "a", 1);
	peer_send_fds(&p, "\0\0\0\1b", 5, 2);
	peer_send_fds(&p, "\0\0\0\1c", 5, 1);
	assert_int_equal(wire_conn_next(p.conn, &frame, &n_bytes), 0);
	assert_int_equal(frame[0], 'a');
	assert_int_equal(wire_conn_next(p.conn, &frame, &n_bytes), 0);
	assert_int_equal(frame[0], 'b');
	assert_int_equal(wire_conn_take_fds(p.conn, fds, 4), -EBADMSG);
	assert_int_equal(fds[0], -7);
	assert_int_equal(wire_conn_take_fds(p.conn, fds, 2), 0);
	assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(wire_conn_next(p.conn, &frame, &n_bytes), 0);
	assert_int_equal(frame[0], 'c');
	close(fds[0]);
	close(fds[1]);
	pair_free(&p); /* closes the one not taken */
	assert_int_equal(count_fds(), n_before);
}

static void test_too_many_descriptors(void **state)
{
	unsigned int n_before = count_fds();
	struct pair p = pair_new();
	const uint8_t *frame;
	size_t n_bytes;

	peer_send_fds(&p, "\0\0\0\1b", 5, WIRE_FDS_MAX);
	assert_int_equal(wire_conn_next(p.conn, &frame, &n_bytes), 0);
	peer_send_fds(&p, "\0\0\0\1c", 5, 1);
	assert_int_equal(wire_conn_next(p.conn, &frame, &n_bytes), -EBADMSG);
	pair_free(&p);
	p = pair_new();
	peer_send_fds(&p, "\0\0\0\1b", 5, WIRE_FDS_MAX + 9);
	assert_int_equal(wire_conn_next(p.conn, &frame, &n_bytes), -EBADMSG);
	pair_free(&p);
	assert_int_equal(count_fds(), n_before);
}

/* A message as long as wanted. */
static Wire__Request *request_of(Wire__Request *request, Wire__Describe *describe, char *name)
{
	*request = (Wire__Request)WIRE__REQUEST__INIT;
	*describe = (Wire__Describe)WIRE__DESCRIBE__INIT;
	describe->name = name;
	request->call_case = WIRE__REQUEST__CALL_DESCRIBE;
	request->describe = describe;
	return request;
}

/* Messages of many sizes with descriptors, through a socket that takes little at a time: what
 * comes out is what went in, and each descriptor comes no later than its frame. */
static void test_put_under_back_pressure(void **state)
{
	enum { N = 400 };
	unsigned int n_before = count_fds(), n_sent = 0, n_received = 0;
	struct wire_conn *a, *b;
	int fds[2], small = 4096;
	static char name[70000];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	assert_int_equal(wire_conn_new(&a, fds[0]), 0);
	assert_int_equal(wire_conn_new(&b, fds[1]), 0);
	while (n_received < N) {
		Wire__Request request;
		Wire__Describe describe;
		const uint8_t *frame;
		size_t n_bytes;
		int r;

		for (unsigned int k = 0; k < 1 + n_sent % 5 && n_sent < N; k++, n_sent++) {
			int file = open("/dev/zero", O_RDONLY | O_CLOEXEC);
			int pass[2] = { file, file };

			memset(name, 'a' + (int)(n_sent % 26), sizeof(name));
			name[n_sent * 7919 % (sizeof(name) - 1)] = '\0';
			r = wire_conn_put(
				a, &request_of(&request, &describe, name)->base, pass, n_sent % 3);
			assert_true(r == 0 || r == WIRE_E_AGAIN);
			assert_int_equal(r == 0, wire_conn_queued_bytes(a) == 0);
			close(file);
		}
		for (;;) {
			Wire__Request *got;
			int took[2];

			r = wire_conn_next(b, &frame, &n_bytes);
			if (r == WIRE_E_AGAIN)
				break;
			assert_int_equal(r, 0);
			got = wire__request__unpack(NULL, n_bytes, frame);
			assert_non_null(got);
			assert_int_equal(strlen(got->describe->name),
				n_received * 7919 % (sizeof(name) - 1));
			if (got->describe->name[0])
				assert_int_equal(
					got->describe->name[0], 'a' + (int)(n_received % 26));
			wire__request__free_unpacked(got, NULL);
			assert_int_equal(wire_conn_take_fds(b, took, n_received % 3), 0);
			for (unsigned int i = 0; i < n_received % 3; i++)
				close(took[i]);
			n_received++;
		}
		r = wire_conn_flush(a);
		assert_true(r == 0 || r == WIRE_E_AGAIN);
	}
	assert_int_equal(wire_conn_queued_bytes(a), 0);
	wire_conn_free(a);
	wire_conn_free(b);
	assert_int_equal(count_fds(), n_before);
}

static void test_put_failures(void **state)
{
	struct pair p = pair_new();
	Wire__Request request;
	Wire__Describe describe;
	char *huge = malloc(WIRE_FRAME_BYTES_MAX + 1);
	int fds[WIRE_FDS_MAX + 1] = { 0 }, bad = 1000000;
	char hello[] = "x";
	size_t queued_bytes;

	assert_non_null(huge);
	memset(huge, 'x', WIRE_FRAME_BYTES_MAX);
	huge[WIRE_FRAME_BYTES_MAX] = '\0';
	assert_int_equal(
		wire_conn_put(p.conn, &request_of(&request, &describe, huge)->base, NULL, 0),
		-EMSGSIZE);
	request_of(&request, &describe, hello);
	assert_int_equal(wire_conn_put(p.conn, &request.base, fds, WIRE_FDS_MAX + 1), -EMSGSIZE);
	assert_int_equal(wire_conn_put(p.conn, &request.base, &bad, 1), -EBADF);
	/* Fill the socket, then a bad descriptor must leave the queue as it was. */
	huge[60000] = '\0';
	while (wire_conn_put(p.conn, &request_of(&request, &describe, huge)->base, NULL, 0) == 0)
		;
	queued_bytes = wire_conn_queued_bytes(p.conn);
	fds[1] = bad;
	assert_int_equal(wire_conn_put(p.conn, &request.base, fds, 2), -EBADF);
	assert_int_equal(wire_conn_queued_bytes(p.conn), queued_bytes);
	close(p.peer);
	p.peer = -1;
	assert_int_equal(wire_conn_flush(p.conn), -EPIPE);
	pair_free(&p);
	p = pair_new();
	close(p.peer);
	p.peer = -1;
	request_of(&request, &describe, hello);
	assert_int_equal(wire_conn_put(p.conn, &request.base, NULL, 0), -EPIPE);
	pair_free(&p);
	free(huge);
	assert_null(wire_conn_free(NULL));
	assert_int_equal(wire_conn_new(&p.conn, 1000000), -EBADF);
}

static void test_arena(void **state)
{
	_Alignas(16) static uint8_t memory[8192];
	uint8_t frame[256];
	struct wire_arena arena;
	Wire__Request request, *got;
	Wire__Describe describe;
	char name[] = "PKT_COUNTER";
	size_t n_bytes, used_bytes;

	request_of(&request, &describe, name);
	request.id = 17;
	n_bytes = wire__request__pack(&request, frame);
	wire_arena_init(&arena, memory, sizeof(memory));
	got = wire__request__unpack(&arena.allocator, n_bytes, frame);
	assert_non_null(got);
	assert_true((uint8_t *)got >= memory && (uint8_t *)got < memory + sizeof(memory));
	assert_int_equal((uintptr_t)got % 16, 0);
	assert_int_equal(got->id, 17);
	assert_string_equal(got->describe->name, name);
	assert_true(arena.used_bytes > 0 && arena.used_bytes <= WIRE_ARENA_BYTES(n_bytes));
	wire__request__free_unpacked(got, &arena.allocator);
	used_bytes = arena.used_bytes;
	for (size_t room = 0; room < used_bytes; room += 16) {
		wire_arena_init(&arena, memory, room);
		assert_null(wire__request__unpack(&arena.allocator, n_bytes, frame));
		assert_true(arena.used_bytes <= room);
	}
	wire_arena_init(&arena, memory, sizeof(memory));
	assert_null(arena.allocator.alloc(arena.allocator.allocator_data, SIZE_MAX));
}

/* Before there is a connection. */
static void test_say(void **state)
{
	struct pair p = pair_new();
	Wire__Reply reply = WIRE__REPLY__INIT, *got;
	Wire__Error error = WIRE__ERROR__INIT;
	const uint8_t *frame;
	char text[2048];
	size_t n_bytes;

	memset(text, 'x', sizeof(text));
	error.text = text;
	reply.error = &error;
	for (size_t len = 500; len < sizeof(text); len += 1000) {
		text[len] = '\0';
		wire_say(p.peer, &reply.base);
		text[len] = 'x';
	}
	assert_int_equal(wire_conn_next(p.conn, &frame, &n_bytes), 0);
	got = wire__reply__unpack(NULL, n_bytes, frame);
	assert_non_null(got);
	assert_int_equal(strlen(got->error->text), 500);
	wire__reply__free_unpacked(got, NULL);
	assert_int_equal(wire_conn_next(p.conn, &frame, &n_bytes), WIRE_E_AGAIN);
	pair_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_say),
		cmocka_unit_test(test_frames_arrive_whole_and_in_order),
		cmocka_unit_test(test_byte_by_byte),
		cmocka_unit_test(test_hostile_lengths),
		cmocka_unit_test(test_end_within_a_frame),
		cmocka_unit_test(test_largest_frame),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_too_many_descriptors),
		cmocka_unit_test(test_put_under_back_pressure),
		cmocka_unit_test(test_put_failures),
		cmocka_unit_test(test_arena),
	};

	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hostile client of a whole session: requests that unpack but make no sense together.
 *
 * The first byte of the input sets up the session; what follows are steps: a byte that says what
 * comes with the request and how long its answer is waited for, 2 bytes of length, and a Request.
 * Every request has one answer, with its id, in order, in due time; nothing is left at the end, no
 * descriptor either.
 *
 * Captures are small and made here, files are in memory. The compiler is not the real one, which
 * forks: it knows a few expressions, and takes its time over every other of them if the first byte
 * says so.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "function/function.h"
#include "mapi.pb-c.h"
#include "mapi/errors.h"
#include "sensor/apply.h"
#include "sensor/compiler.h"
#include "sensor/privileged.h"
#include "sensor/registry.h"
#include "sensor/session.h"
#include "sensor/users.h"
#include "wire/wire.h"

#define CLIENT_STEPS_MAX 64
#define CLIENT_PIPES_MAX 4
#define CLIENT_PATIENCE_NS 10000000000u

enum step_bits {
	STEP_CAPTURE = 3, /* enum capture_kind */
	STEP_NO_FDS = 4,
	STEP_HASTE = 8, /* the next request comes before the answer */
	STEP_MORE_FDS = 16,
};

enum capture_kind { CAPTURE_FILE, CAPTURE_PIPE, CAPTURE_OPEN_PIPE, CAPTURE_GARBAGE };

/**
 * struct client - the fuzzer's side
 * @ids:   of requests without an answer so far, in order
 * @pipes: write ends that stay open: their devices wait for more
 */
struct client {
	struct wire_conn *conn;
	struct session *session;
	int notify_fd;
	bool over;
	uint64_t ids[CLIENT_STEPS_MAX + 1];
	unsigned int n_ids;
	unsigned int n_answered;
	int pipes[CLIENT_PIPES_MAX];
	unsigned int n_pipes;
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

/* Results are read while they may be written, and read again if they were (wire/results.h): a race
 * by the letter, which ThreadSanitizer sees where both ends are one process. */
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
	return "race:session_refresh_cells\n";
}

static void check(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

/* ---- no live devices ---- */

const struct config_device *config_find(const struct config *config, const char *name)
{
	return NULL;
}

int privileged_find(const struct config *config, const char *name,
	struct driver_open_args *ret_args, struct driver_options *ret_options, struct error *err)
{
	return error_set(err, MAPID_NO_DRIVER, "there are no live devices");
}

int privileged_load(int fd, void *area, size_t area_bytes, const struct kernel_code *code,
	struct kernel_fds *ret, struct error *err)
{
	return error_set(err, MAPID_NO_DRIVER, "there is no parent here");
}

int privileged_look(int fd, const char *name, uint32_t id, char ret_others[KERNEL_TEXT_BYTES],
	struct error *err)
{
	(void)fd, (void)name, (void)id, (void)ret_others, (void)err;
	return -EPERM;
}

int privileged_attach(int fd, const char *name, enum kernel_way way, struct kernel_root *ret,
	char ret_others[KERNEL_TEXT_BYTES], struct error *err)
{
	return error_set(err, MAPID_NO_DRIVER, "there is no parent here");
}

int privileged_prepare(int fd, const char *name, unsigned int n_workers,
	int ret_fds[DRIVER_FDS_MAX], unsigned int *ret_n_fds, struct error *err)
{
	return -EPIPE;
}

/* ---- the compiler ---- */

struct compiler {
	bool nothing;
};

struct compiler_client {
	bool slow;
	bool asked;
	bool builds;
	struct search_set *set;
};

static bool compiler_slow;

int compiler_client_new(struct compiler_client **ret, struct compiler *compiler, uid_t uid)
{
	struct compiler_client *client = calloc(1, sizeof(*client));

	if (!client)
		return -ENOMEM;
	client->slow = compiler_slow;
	*ret = client;
	return 0;
}

struct compiler_client *compiler_client_free(struct compiler_client *client)
{
	if (client)
		search_set_free(client->set);
	free(client);
	return NULL;
}

/* A set takes until somebody has asked twice. */
bool compiler_has_answered(struct compiler_client *client)
{
	bool answered = !client->builds;

	client->builds = false;
	return answered;
}

int compiler_build(struct compiler_client *client, struct search_set *set, struct error *err)
{
	search_set_free(client->set);
	client->set = set;
	client->builds = client->slow;
	return 0;
}

int compiler_built(struct compiler_client *client, struct search_set **ret, struct error *err)
{
	uint8_t *source, *database;
	size_t source_bytes, database_bytes;
	int r;

	if (!compiler_has_answered(client))
		return COMPILER_E_AGAIN;
	r = search_set_source(client->set, &source, &source_bytes);
	if (r == 0 && source_bytes > 0) {
		r = search_database_build(source, source_bytes, &database, &database_bytes, err);
		free(source);
		if (r == 0) {
			r = search_set_complete(client->set, database, database_bytes);
			free(database);
		}
	}
	if (r == 0)
		*ret = TAKE(client->set);
	client->set = search_set_free(client->set);
	return r;
}

int compiler_wait(struct compiler_client *client, const char *expression, uint32_t linktype,
	const _Atomic bool *cancel, struct filter_program **ret, struct error *err)
{
	static const char *const known[] = { "tcp", "udp", "ip", "greater 60", "vlan" };

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(expression, known[i]) == 0)
			return filter_compile(ret, expression, linktype, err);
	return error_set(err, PCAP_OPEN_ERR, "nobody knows this expression");
}

int compiler_ask(struct compiler_client *client, const char *expression, uint32_t linktype,
	struct filter_program **ret, struct error *err)
{
	client->asked = client->slow && !client->asked;
	if (client->asked)
		return COMPILER_E_AGAIN;
	return compiler_wait(client, expression, linktype, NULL, ret, err);
}

/* ---- captures ---- */

static size_t capture_make(uint8_t *ret)
{
	static const uint32_t head[6] = { 0xa1b2c3d4, 0x00040002, 0, 0, 65535, 1 };
	uint8_t *at = ret;

	memcpy(at, head, sizeof(head));
	at += sizeof(head);
	for (uint32_t i = 0; i < 8; i++) {
		const uint32_t record[4] = { 1000000000 + i % 5, i, 60, 60 + i };
		const uint8_t data[60] = { [12] = 8,
			[14] = 0x45,
			[17] = 46,
			[22] = 64,
			[23] = i % 2 ? 6 : 17,
			[26] = 10,
			[29] = 1,
			[30] = 10,
			[33] = 2,
			[54] = 'A' };

		memcpy(at, record, sizeof(record));
		memcpy(at + sizeof(record), data, sizeof(data));
		at += sizeof(record) + sizeof(data);
	}
	return (size_t)(at - ret);
}

static int capture_open(struct client *client, enum capture_kind kind)
{
	uint8_t bytes[1024];
	size_t n_bytes = capture_make(bytes);
	int fds[2] = { -1, -1 };

	if (kind == CAPTURE_OPEN_PIPE && client->n_pipes == CLIENT_PIPES_MAX)
		kind = CAPTURE_PIPE;
	if (kind == CAPTURE_GARBAGE)
		memset(bytes + 100, 0xff, 40);
	if (kind == CAPTURE_PIPE || kind == CAPTURE_OPEN_PIPE) {
		check(pipe2(fds, O_CLOEXEC) == 0, "pipe");
	} else {
		fds[0] = memfd_create("fuzz-capture", MFD_CLOEXEC);
		check(fds[0] >= 0, "memfd_create");
		fds[1] = fds[0];
	}
	check(write(fds[1], bytes, n_bytes) == (ssize_t)n_bytes, "write");
	if (fds[1] == fds[0])
		check(lseek(fds[0], 0, SEEK_SET) == 0, "lseek");
	else if (kind == CAPTURE_PIPE)
		close(fds[1]);
	else
		client->pipes[client->n_pipes++] = fds[1];
	return fds[0];
}

/* ---- the client ---- */

static void client_receive(struct client *client)
{
	const uint8_t *frame;
	size_t frame_bytes;
	int r, fd;

	while ((r = wire_conn_next(client->conn, &frame, &frame_bytes)) == 0) {
		Wire__Reply *reply = wire__reply__unpack(NULL, frame_bytes, frame);

		check(reply != NULL, "an answer that is none");
		check(client->n_answered < client->n_ids, "an answer that nobody has asked for");
		check(reply->id == client->ids[client->n_answered++], "another answer");
		check((reply->error != NULL) != (reply->result_case != 0), "error or result");
		check(!reply->error || (reply->error->code != 0 && reply->error->text[0] != '\0'),
			"an error without a cause");
		wire__reply__free_unpacked(reply, NULL);
		while (wire_conn_take_fds(client->conn, &fd, 1) == 0)
			close(fd);
	}
	check(r == WIRE_E_AGAIN, "the connection goes on");
}

/* The part of the event loop. */
static void client_turn(struct client *client)
{
	int r = session_read(client->session);
	eventfd_t n;

	(void)eventfd_read(client->notify_fd, &n);
	if (r == 0)
		r = session_poll(client->session);
	if (r == 0 && session_wants_write(client->session))
		r = session_write(client->session);
	client->over = r < 0;
	client_receive(client);
}

static void client_await(struct client *client)
{
	uint64_t began_ns = clock_monotonic_ns();

	for (client_turn(client); !client->over && client->n_answered < client->n_ids;
		client_turn(client)) {
		struct pollfd p = { .fd = client->notify_fd, .events = POLLIN };

		check(session_poll_ms(client->session) > 0, "a request that nobody works on");
		(void)poll(&p, 1, 1);
		check(clock_monotonic_ns() - began_ns < CLIENT_PATIENCE_NS, "no answer");
	}
}

/* The descriptors that honest clients send along. Return: how many. */
static unsigned int client_fds(
	struct client *client, const Wire__Request *request, unsigned int bits, int *ret)
{
	const struct function *f;
	unsigned int n = 0;

	if (request->call_case == WIRE__REQUEST__CALL_DEVICE_OPEN && !(bits & STEP_NO_FDS)) {
		ret[n++] = capture_open(client, bits & STEP_CAPTURE);
	} else if (request->call_case == WIRE__REQUEST__CALL_FLOW_APPLY) {
		f = function_find(request->flow_apply->function);
		n = f && !(bits & STEP_NO_FDS) ? apply_count_fds(&f->desc, request->flow_apply) : 0;
		for (unsigned int i = 0; i < n; i++) {
			ret[i] = memfd_create("fuzz-output", MFD_CLOEXEC);
			check(ret[i] >= 0, "memfd_create");
		}
	}
	if (bits & STEP_MORE_FDS)
		ret[n++] = capture_open(client, CAPTURE_FILE);
	return n;
}

/* Without a descriptor it is the name that is opened. */
static bool client_opens_file(const Wire__Request *request)
{
	return request->call_case == WIRE__REQUEST__CALL_DEVICE_OPEN &&
		(strcmp(request->device_open->name, "-") == 0 ||
			access(request->device_open->name, F_OK) == 0);
}

static void client_step(
	struct client *client, unsigned int bits, const uint8_t *bytes, size_t n_bytes)
{
	Wire__Request *request = wire__request__unpack(NULL, n_bytes, bytes);
	int fds[FUNCTION_ARGS_MAX + 1];
	unsigned int n_fds;

	if (!request)
		return;
	if (client_opens_file(request)) {
		wire__request__free_unpacked(request, NULL);
		return;
	}
	n_fds = client_fds(client, request, bits, fds);
	/* The socket takes all of these; the session may have ended, which a write tells. */
	if (wire_conn_put(client->conn, &request->base, fds, n_fds) == 0)
		client->ids[client->n_ids++] = request->id;
	for (unsigned int i = 0; i < n_fds; i++)
		close(fds[i]);
	wire__request__free_unpacked(request, NULL);
	if (bits & STEP_HASTE)
		client_turn(client);
	else
		client_await(client);
}

static void client_greet(struct client *client, unsigned int n_workers)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__Hello hello = WIRE__HELLO__INIT;

	hello.version = WIRE_VERSION;
	hello.workers = n_workers;
	hello.batch_pkts = 3;
	request.call_case = WIRE__REQUEST__CALL_HELLO;
	request.hello = &hello;
	client->ids[client->n_ids++] = 0;
	check(wire_conn_put(client->conn, &request.base, NULL, 0) == 0, "greeting");
	client_await(client);
}

/* More than one session has open. */
static unsigned int count_fds(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 512; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
	unsigned int fds_before = count_fds();
	int fds[2];
	struct client client = { .over = false };
	struct user user = {
		.flows_max = UINT32_MAX,
		.functions_max = 8,
		.rings_max = 3,
		.writers_max = 2,
		.search_max_bytes = 4096,
		.filter_max_insns = 4096,
		.result_max_bytes = 1 << 20,
		.memory_max_bytes = 3 << 20,
	};
	struct session_ids flow_ids = { .n = 80 }; /* soon used again, more than flows */
	struct config none = { .n_devices = 0 };
	struct registry_args registry_args = { .privileged_fd = -1, .config = &none };
	struct session *sessions = NULL;
	struct compiler compiler = { .nothing = true };
	struct session_env env = {
		.sessions = &sessions, .flow_ids = &flow_ids, .user = &user, .compiler = &compiler
	};
	size_t at = 1;

	if (n_bytes == 0)
		return 0;
	compiler_slow = bytes[0] & 4;
	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0, "socketpair");
	client.notify_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	check(wire_conn_new(&client.conn, fds[0]) == 0, "wire_conn_new");
	registry_args.notify_fd = env.notify_fd = client.notify_fd;
	check(registry_new(&env.registry, &registry_args) == 0, "registry_new");
	check(session_new(&client.session, fds[1], &env) == 0, "session_new");
	client_greet(&client, 1 + bytes[0] % 3);
	for (unsigned int n = 0; n < CLIENT_STEPS_MAX && at + 3 <= n_bytes && !client.over; n++) {
		size_t length = bytes[at + 1] | (size_t)bytes[at + 2] << 8;

		length = MIN(length, n_bytes - at - 3);
		client_step(&client, bytes[at], bytes + at + 3, length);
		at += 3 + length;
	}
	if (bytes[0] & 8 && !client.over)
		client_await(&client);
	if (bytes[0] & 16) {
		session_leave(client.session);
		for (unsigned int n = 0; n < 1000 && !session_is_empty(client.session); n++)
			(void)session_poll(client.session); /* a file may keep a worker */
	}
	session_free(client.session);
	registry_free(env.registry);
	check(user.n_flows == 0, "flows of the user are left");
	wire_conn_free(client.conn);
	close(client.notify_fd);
	for (unsigned int i = 0; i < client.n_pipes; i++)
		close(client.pipes[i]);
	check(count_fds() == fds_before, "a descriptor is left open");
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state of the library: its lock, the connection to a daemon, requests and replies.
 *
 * After a fork the child does not know yet whether it is the program that goes on, as with
 * daemon(3), or a helper. So every call of a child asks whether the parent still lives until it has
 * exited (then the child adopts everything) or a new flow is made (then it begins anew). Programs
 * that make themselves daemons often fork twice, so the grandparent counts, too.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/spin.h"
#include "client.h"

/* Room to unpack a reply; touched as far as it is used. */
#define CLIENT_ARENA_BYTES (8u << 20)
#define CLIENT_HELLO_TIMEOUT_MS 10000
#define CLIENT_SPIN_US 100 /* most answers are there by then */

#define CLIENT_NEVER ((pid_t)-1)

static struct client {
	pthread_mutex_t lock;
	_Atomic bool is_initialised; /* something was created */
	/* Not 0: the processes that must have exited for this one to own the handles. */
	_Atomic pid_t fork_parent;
	_Atomic pid_t fork_grandparent; /* CLIENT_NEVER: it does not own them, whatever happens */
	struct engine *current; /* the private daemon */
	struct engine *system;
	struct engine *looking; /* at the system daemon, which does not serve this user */
	struct engine *old; /* lost ones that flows still use */
	void *arena_bytes;
	struct wire_arena arena;
	int last_fd;
	int last_system_fd;
	int hello_timeout_ms; /* 0: the usual */
	struct error why_private; /* why the system daemon is not used; code 0: no matter */
	bool tells_private; /* it is there all the same, which nobody has been told yet */
} client = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- lock and fork ---- */

static void client_register_fork(void);

void client_lock(struct client_lock *lock)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	sigset_t all;

	lock->saved_errno = errno;
	/* Before the first use of the lock: a child must never inherit it taken. */
	(void)pthread_once(&once, client_register_fork);
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &lock->signals);
	(void)pthread_mutex_lock(&client.lock);
}

void client_unlock(struct client_lock *lock)
{
	(void)pthread_mutex_unlock(&client.lock);
	(void)pthread_sigmask(SIG_SETMASK, &lock->signals, NULL);
	errno = lock->saved_errno;
}

static struct client_lock client_fork_lock; /* guarded by the lock itself */
static pid_t client_fork_pid;

static void client_before_fork(void)
{
	struct client_lock lock;

	client_lock(&lock);
	client_fork_lock = lock;
	client_fork_pid = getpid();
}

static void client_after_fork_parent(void)
{
	struct client_lock lock = client_fork_lock;

	client_unlock(&lock);
}

static void client_after_fork_child(void)
{
	struct client_lock lock = client_fork_lock;

	if (atomic_load(&client.is_initialised)) {
		if (atomic_load(&client.fork_grandparent) != 0)
			atomic_store(&client.fork_grandparent, CLIENT_NEVER);
		else
			atomic_store(&client.fork_grandparent, atomic_load(&client.fork_parent));
		atomic_store(&client.fork_parent, client_fork_pid);
	}
	client_unlock(&lock);
}

static void client_register_fork(void)
{
	/* Without the handlers a child would only fail later, with 9005. */
	(void)pthread_atfork(client_before_fork, client_after_fork_parent, client_after_fork_child);
}

/* Return: true if the handles of this process are its own. */
static bool client_owns_handles(void)
{
	pid_t parent = atomic_load_explicit(&client.fork_parent, memory_order_relaxed);
	pid_t grandparent;

	if (parent == 0)
		return true;
	grandparent = atomic_load(&client.fork_grandparent);
	if (getppid() == parent || grandparent == CLIENT_NEVER ||
		(grandparent != 0 && (kill(grandparent, 0) == 0 || errno == EPERM)))
		return false;
	atomic_store(&client.fork_grandparent, 0);
	atomic_store(&client.fork_parent, 0);
	return true;
}

int client_enter(void)
{
	if (!atomic_load_explicit(&client.is_initialised, memory_order_acquire))
		return client_fail(MAPI_INIT_ERROR, "no flow or device was created yet");
	if (!client_owns_handles())
		return client_fail(MAPI_INIT_ERROR,
			"flows belong to the process that created them, not to its child");
	return 0;
}

int client_enter_freely(void)
{
	return atomic_load(&client.is_initialised) ? client_enter() : 0;
}

/* ---- one engine ---- */

static void engine_hang_up(struct engine *engine)
{
	engine->conn = wire_conn_free(engine->conn);
	cleanup_closep(&engine->life_fd);
	engine->fd = engine->life_fd = -1;
}

static struct engine *engine_free(struct engine *engine)
{
	if (!engine)
		return NULL;
	if (engine->results)
		(void)munmap((void *)(uintptr_t)engine->results, engine->results_bytes);
	engine_hang_up(engine);
	free(engine);
	return NULL;
}
DEFINE_CLEANUP(struct engine *, engine_free);

void engine_ends(const struct engine *engine, struct pollfd ret[ENGINE_N_ENDS])
{
	ret[0] = (struct pollfd){ .fd = engine->fd, .events = POLLRDHUP };
	ret[1] = (struct pollfd){ .fd = engine->life_fd }; /* POLLHUP needs not be asked for */
}

bool engine_is_lost(struct engine *engine)
{
	struct pollfd ends[ENGINE_N_ENDS];

	engine_ends(engine, ends);
	if (!atomic_load(&engine->is_lost) && poll(ends, ENGINE_N_ENDS, 0) > 0)
		atomic_store(&engine->is_lost, true);
	return atomic_load(&engine->is_lost);
}

static const Wire__Reply *engine_fail_lost(struct engine *engine)
{
	atomic_store(&engine->is_lost, true);
	client_fail(MAPI_DAEMON_LOST, "the daemon of this flow ended unexpectedly");
	return NULL;
}

/* Wait until the socket is readable (or writable), which it is at its end, too. Signals are
 * blocked: no EINTR but by ptrace. Return: false: the daemon has died, or time is over. */
static bool engine_wait(struct engine *engine, short events, int timeout_ms)
{
	struct pollfd pollfds[] = { { .fd = engine->fd, .events = events },
		{ .fd = engine->life_fd } };
	int n;

	if (spin_poll(engine->fd, events, CLIENT_SPIN_US))
		return true;
	do
		n = poll(pollfds, 2, timeout_ms);
	while (n < 0 && errno == EINTR);
	return n > 0 && pollfds[0].revents;
}

static int engine_send(
	struct engine *engine, const Wire__Request *request, const int fds[], unsigned int n_fds)
{
	int r = wire_conn_put(engine->conn, &request->base, fds, n_fds);

	while (r == WIRE_E_AGAIN) {
		if (!engine_wait(engine, POLLOUT, -1))
			return -EPIPE;
		r = wire_conn_flush(engine->conn);
	}
	return r;
}

/* The next frame. Return: 0; else there is none, and the daemon is lost. */
static int engine_receive(
	struct engine *engine, const uint8_t **ret_frame, size_t *ret_bytes, int timeout_ms)
{
	int r;

	do
		r = wire_conn_next(engine->conn, ret_frame, ret_bytes);
	while (r == WIRE_E_AGAIN && engine_wait(engine, POLLIN, timeout_ms));
	return r;
}

static const Wire__Reply *engine_call_timed(struct engine *engine, Wire__Request *request,
	const int fds[], unsigned int n_fds, int timeout_ms)
{
	const uint8_t *frame;
	const Wire__Reply *reply;
	size_t n_bytes;
	int r;

	if (atomic_load(&engine->is_lost))
		return engine_fail_lost(engine);
	request->id = ++engine->last_id;
	r = engine_send(engine, request, fds, n_fds);
	if (r == -EMSGSIZE) {
		client_fail(MFUNCT_INVALID_ARGUMENT, "the arguments are too long");
		return NULL;
	}
	if (r == -ETOOMANYREFS) {
		client_fail(MAPI_ERROR_SEND_FD, "cannot pass a descriptor: %s", strerror(-r));
		return NULL;
	}
	/* Whom the daemon has hung up on may find out why. */
	if (r < 0 && r != -EPIPE && r != -ECONNRESET)
		return engine_fail_lost(engine);
	if (engine_receive(engine, &frame, &n_bytes, r < 0 ? 0 : timeout_ms) != 0)
		return engine_fail_lost(engine);
	wire_arena_init(&client.arena, client.arena_bytes, CLIENT_ARENA_BYTES);
	reply = wire__reply__unpack(&client.arena.allocator, n_bytes, frame);
	if (!reply || (reply->id != request->id && (reply->id != 0 || !reply->error)))
		return engine_fail_lost(engine);
	if (reply->id == 0)
		atomic_store(&engine->is_lost, true); /* and this is why */
	if (reply->error) {
		const char *text = reply->error->text;

		client_fail(reply->error->code, "%s",
			text && *text ? text : error_code_text(reply->error->code));
		return NULL;
	}
	return reply;
}

const Wire__Reply *engine_call(
	struct engine *engine, Wire__Request *request, const int fds[], unsigned int n_fds)
{
	return engine_call_timed(engine, request, fds, n_fds, -1);
}

int engine_make_room(struct engine *engine)
{
	if (wire_conn_has_spare_fds(engine->conn))
		return 0;
	return client_fail(MAPI_SHM_ERR, "this program has no descriptors left (ulimit -n)");
}

int engine_take_fds(struct engine *engine, int ret_fds[], unsigned int n_fds)
{
	return wire_conn_take_fds(engine->conn, ret_fds, n_fds);
}

const void *engine_results(const struct engine *engine, uint64_t offset_bytes, uint64_t n_bytes)
{
	if (offset_bytes % RESULTS_ALIGN_BYTES != 0 || offset_bytes > engine->results_bytes ||
		n_bytes > engine->results_bytes - offset_bytes)
		return NULL;
	return engine->results + offset_bytes;
}

/* ---- the first request ---- */

/* A number from the environment. Return: 0 (unset: unchanged), or -1 with this thread's error. */
static int engine_getenv(const char *name, uint64_t min, uint64_t max, uint64_t *ret, bool *ret_set)
{
	const char *text = getenv(name);
	unsigned long long value;
	char *end;

	if (!text || !*text)
		return 0;
	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno != 0 || *end || strchr(text, '-') || value < min || value > max)
		return client_fail(MFUNCT_INVALID_ARGUMENT,
			"the environment variable %s is '%s', but must be a number from %llu to "
			"%llu",
			name, text, (unsigned long long)min, (unsigned long long)max);
	*ret = value;
	*ret_set = true;
	return 0;
}

static int engine_map_results(struct engine *engine, uint64_t results_bytes)
{
	_cleanup_(cleanup_closep) int fd = -1;
	struct stat st;
	void *results;
	int seals;

	if (engine_take_fds(engine, &fd, 1) < 0)
		return -EBADMSG;
	seals = fcntl(fd, F_GET_SEALS);
	if (fstat(fd, &st) < 0 || seals < 0 || !(seals & F_SEAL_SHRINK) || st.st_size < 0 ||
		results_bytes == 0 || (uint64_t)st.st_size < results_bytes)
		return -EBADMSG;
	results = mmap(NULL, results_bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (results == MAP_FAILED)
		return -errno;
	engine->results = results;
	engine->results_bytes = results_bytes;
	return 0;
}

static int engine_hello(struct engine *engine)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__Hello hello = WIRE__HELLO__INIT;
	const Wire__Reply *reply;
	uint64_t workers = 0, batch_pkts = 0;
	bool is_set = false, has_seed = false, has_lifeline;
	struct stat st;
	int r;

	if (engine_getenv("MAPI_WORKERS", 1, 64, &workers, &is_set) < 0 ||
		engine_getenv("MAPI_BATCH", 1, 256, &batch_pkts, &is_set) < 0 ||
		engine_getenv("MAPI_SEED", 0, UINT64_MAX, &hello.seed, &has_seed) < 0)
		return -1;
	hello.version = WIRE_VERSION;
	hello.workers = (uint32_t)workers;
	hello.batch_pkts = (uint32_t)batch_pkts;
	hello.has_seed = has_seed;
	hello.lifeline = true;
	if (stat("/proc/self/ns/net", &st) == 0)
		hello.netns_inode = st.st_ino;
	request.call_case = WIRE__REQUEST__CALL_HELLO;
	request.hello = &hello;
	reply = engine_call_timed(engine, &request, NULL, 0,
		client.hello_timeout_ms > 0 ? client.hello_timeout_ms : CLIENT_HELLO_TIMEOUT_MS);
	if (!reply) {
		if (client_error_code() != MAPI_DAEMON_LOST)
			return -1;
		return engine->is_system
			? system_fail_silent(engine->fd)
			: client_fail(MCOM_INIT_SOCKET_ERROR, "the private daemon does not answer");
	}
	if (reply->result_case != WIRE__REPLY__RESULT_HELLO ||
		reply->hello->version != WIRE_VERSION)
		return client_fail(MCOM_INIT_SOCKET_ERROR,
			"the daemon is of another version than the library");
	has_lifeline = reply->hello->lifeline;
	r = engine_map_results(engine, reply->hello->results_bytes);
	if (r < 0)
		return client_fail(
			MAPI_SHM_ERR, "cannot map the results of the daemon: %s", strerror(-r));
	if (has_lifeline && engine_take_fds(engine, &engine->life_fd, 1) < 0)
		return client_fail(MCOM_INIT_SOCKET_ERROR, "the daemon sent no lifeline");
	return 0;
}

/* @fd: connected to a daemon; taken. */
static int engine_new(struct engine **ret, int fd, bool is_system)
{
	_cleanup_(engine_freep) struct engine *engine = calloc(1, sizeof(*engine));
	int r;

	if (!engine) {
		(void)close(fd);
		return client_fail(MAPI_OUT_OF_MEMORY, "out of memory");
	}
	engine->life_fd = -1;
	r = wire_conn_new(&engine->conn, fd);
	if (r < 0) {
		(void)close(fd);
		return client_fail(MAPI_OUT_OF_MEMORY, "out of memory");
	}
	engine->fd = fd;
	engine->is_system = is_system;
	if (engine_hello(engine) < 0)
		return -1;
	*ret = TAKE(engine);
	return 0;
}

/* ---- the library ---- */

/* One that is lost stays until nobody uses it any more. */
static void client_retire(struct engine **engine)
{
	if (!*engine)
		return;
	if ((*engine)->is_system)
		client.last_system_fd = MAX(client.last_system_fd, (*engine)->fd_last);
	else
		client.last_fd = MAX(client.last_fd, (*engine)->fd_last);
	(*engine)->next = client.old;
	client.old = *engine;
	*engine = NULL;
}

/* In a child of fork() whose parent lives: begin anew. */
static void client_forget(void)
{
	flow_forget_all();
	device_forget_all();
	client_retire(&client.current);
	client_retire(&client.system);
	client_retire(&client.looking);
	/* One may have users left, in a callback that has called fork(). */
	for (struct engine *engine = client.old; engine; engine = engine->next) {
		if (!engine->is_system)
			client.last_fd = MAX(client.last_fd, engine->fd_last);
		atomic_store(&engine->is_lost, true);
		engine_hang_up(engine);
	}
	atomic_store(&client.fork_grandparent, 0);
	atomic_store(&client.fork_parent, 0);
}

static void client_reap(void)
{
	for (struct engine **at = &client.old; *at;) {
		struct engine *engine = *at;

		if (engine->n_users == 0 && engine->n_readers > 0) {
			engine_hang_up(engine);
		}
		if (engine->n_users > 0 || engine->n_readers > 0) {
			at = &engine->next;
			continue;
		}
		*at = engine->next;
		engine_free(engine);
	}
}

int client_begin(void)
{
	void *bytes;

	atomic_store(&client.is_initialised, true);
	if (!client_owns_handles())
		client_forget();
	if (client.arena_bytes)
		return 0;
	bytes = mmap(NULL, CLIENT_ARENA_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (bytes == MAP_FAILED)
		return client_fail(MAPI_OUT_OF_MEMORY, "out of memory");
	client.arena_bytes = bytes;
	return 0;
}

struct engine *client_engine(void)
{
	int fd;

	if (client_begin() < 0)
		return NULL;
	if (client.current && !engine_is_lost(client.current))
		return client.current;
	client_retire(&client.current);
	client_reap();
	if (private_start(&fd) < 0 || engine_new(&client.current, fd, false) < 0)
		return NULL;
	/* Flow descriptors are never used again, though each daemon counts from the beginning. */
	client.current->fd_base = client.current->fd_last = client.last_fd;
	return client.current;
}

void client_set_patience(int hello_timeout_ms)
{
	client.hello_timeout_ms = hello_timeout_ms;
}

/* @ret: the system daemon; if it is another than before, the flows are there, too. Return: 0,
 * -ENOENT: a private one will do, -EACCES or -1 with this thread's error. */
static int client_find_system(struct engine **ret)
{
	bool is_explicit;
	int fd, r;

	if (client_begin() < 0)
		return -1;
	if (!client.system || engine_is_lost(client.system)) {
		client_retire(&client.system);
		client_reap();
		r = system_connect(&fd, &is_explicit, false, &client.why_private);
		if (r < 0)
			return r;
		if (engine_new(&client.system, fd, true) < 0) {
			/* A limit holds for everybody: nobody gets round it by capturing himself.
			 */
			if (is_explicit || client_error_code() == MAPI_QUOTA_EXCEEDED)
				return -1;
			/* One of another version, of another network namespace, or that hangs, is
			 * as good as none; but who runs it should know. */
			client_take_error(&client.why_private);
			client.tells_private = true;
			return -ENOENT;
		}
		/* Another daemon may count from where the last one began. */
		client.system->fd_last = client.last_system_fd;
		if (restart_build_all(client.system) < 0)
			return -1;
		client_reap();
	}
	*ret = client.system;
	return 0;
}

int client_reconnect(void)
{
	struct engine *engine;

	return client_find_system(&engine) == 0 ? 0 : -1;
}

struct engine *client_live_engine(void)
{
	struct engine *engine = NULL;

	return client_find_system(&engine) == -ENOENT ? client_engine() : engine;
}

const char *client_why_private(const struct engine *engine)
{
	if (engine->is_system || !client.tells_private)
		return "";
	client.tells_private = false;
	return client.why_private.text;
}

int client_refused_live(const struct engine *engine)
{
	struct error err;

	if (!engine || engine->is_system || client_error_code() != MAPI_NO_PERMISSION ||
		!client.why_private.code)
		return -1;
	client_take_error(&err);
	return client_fail(err.code, "%s; the system daemon is not used: %s", err.text,
		client.why_private.text);
}

struct engine *client_list_engine(bool needs_system)
{
	struct engine *engine = NULL;
	bool is_explicit;
	int fd, r = client_find_system(&engine);

	if (r == -ENOENT && !needs_system)
		return client_engine();
	if (r != -EACCES)
		return engine;
	if (!client.looking || engine_is_lost(client.looking)) {
		client_retire(&client.looking);
		client_reap();
		/* Without such a socket the other one's error says what is missing. */
		if (system_connect(&fd, &is_explicit, true, &ERROR_INIT) < 0)
			return NULL;
		client_clear_error();
		if (engine_new(&client.looking, fd, true) < 0)
			return NULL;
	}
	client_clear_error();
	return client.looking;
}

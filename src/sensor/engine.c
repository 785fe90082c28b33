/* SPDX-License-Identifier: BSD-2-Clause */
/* The event loop: see engine.h. libevent carries the control plane only; packets never pass here.
 */
#include "engine.h"

#include <errno.h>
#include <event2/event.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "bin.h"
#include "compiler.h"
#include "mapi/errors.h"
#include "privileged.h"
#include "registry.h"
#include "session.h"
#include "users.h"

#define ENGINE_SPIN_NS 50000u /* who has asked asks again soon: then do not sleep yet */
#define ENGINE_ALIVE_S 1 /* how often the parent hears that the loop turns */
#define ENGINE_FLOWS_BASE 1000000000u /* flow ids of a system daemon are above it */
#define ENGINE_FLOWS_PER_LIFE 4000000u
#define ENGINE_LIVES 256u

/**
 * struct engine_client - a connection
 * @left: the client has gone, its flows are on their way out
 */
struct engine_client {
	struct engine *engine;
	struct engine_client *next;
	struct session *session;
	struct user *user;
	struct event *readable;
	struct event *writable;
	bool left;
};

/* Events of a system daemon. */
enum engine_other {
	ENGINE_LISTENS,
	ENGINE_ENDS,
	ENGINE_BEATS,
	ENGINE_LISTENS_READ_ONLY, /* not with every daemon */
	_ENGINE_OTHERS_N
};

struct engine {
	struct event_base *base;
	int notify_fd;
	struct event *notified;
	struct event *timer;
	uint64_t timer_ns; /* when it comes, if it is pending */
	uint64_t answered_ns; /* when a client was last heard */
	struct compiler *compiler;
	struct registry *registry;
	struct users *users;
	struct bin *bin; /* NULL: private */
	struct engine_client *clients;
	struct session *sessions;
	unsigned int n_clients;
	struct session_ids flow_ids;
	const struct parent_engine *system; /* NULL: private, ends with its client */
	struct event *others[_ENGINE_OTHERS_N];
	bool failed; /* another is to serve in its place */
};

static void engine_end(struct engine *engine)
{
	(void)event_base_loopbreak(engine->base); /* fails only without a base */
}

/* ---- clients ---- */

static struct engine_client *engine_client_free(struct engine_client *client)
{
	if (!client)
		return NULL;
	if (client->readable)
		event_free(client->readable);
	if (client->writable)
		event_free(client->writable);
	session_free(client->session);
	user_leave(client->user);
	free(client);
	return NULL;
}
DEFINE_CLEANUP(struct engine_client *, engine_client_free);

/* After a session could not go on, or its client has gone. */
static void engine_client_leave(struct engine_client *client)
{
	struct engine *engine = client->engine;

	if (!engine->system) {
		engine_end(engine);
		return;
	}
	(void)event_del(client->readable);
	(void)event_del(client->writable);
	client->left = true;
	session_leave(client->session);
}

static void engine_forget_left(struct engine *engine)
{
	for (struct engine_client **at = &engine->clients; *at;) {
		struct engine_client *client = *at;

		if (!client->left || !session_is_empty(client->session)) {
			at = &client->next;
			continue;
		}
		*at = client->next;
		engine->n_clients--;
		engine_client_free(client);
	}
}

/* @poll_ms: 0: never. Who asks all the time must not put it off for the others. */
static void engine_set_timer(struct engine *engine, uint32_t poll_ms)
{
	const struct timeval period = { .tv_sec = poll_ms / 1000,
		.tv_usec = (suseconds_t)(poll_ms % 1000) * 1000 };
	uint64_t end_ns = clock_monotonic_ns() + poll_ms * 1000000ull;

	if (!poll_ms) {
		(void)event_del(engine->timer);
	} else if (!event_pending(engine->timer, EV_TIMEOUT, NULL) || end_ns < engine->timer_ns) {
		engine->timer_ns = end_ns;
		(void)event_add(engine->timer, &period);
	}
}

/* After anything happened: who wants to write, and when must somebody be polled? */
static void engine_rearm(struct engine *engine)
{
	uint32_t poll_ms = 0;

	engine_forget_left(engine);
	for (struct engine_client *client = engine->clients; client; client = client->next) {
		uint32_t ms = session_poll_ms(client->session);

		if (ms && (!poll_ms || ms < poll_ms))
			poll_ms = ms;
		if (client->left)
			continue;
		if (session_wants_write(client->session))
			(void)event_add(client->writable, NULL);
		if (session_wants_read(client->session))
			(void)event_add(client->readable, NULL);
		else
			(void)event_del(client->readable);
	}
	engine_set_timer(engine, poll_ms);
}

static void engine_on_readable(evutil_socket_t fd, short what, void *argument)
{
	struct engine_client *client = argument;
	struct engine *engine = client->engine;

	if (session_read(client->session) < 0)
		engine_client_leave(client);
	engine_rearm(engine);
	engine->answered_ns = clock_monotonic_ns();
}

static void engine_on_writable(evutil_socket_t fd, short what, void *argument)
{
	struct engine_client *client = argument;
	struct engine *engine = client->engine;

	if (session_write(client->session) < 0)
		engine_client_leave(client);
	engine_rearm(engine);
}

static void engine_on_timer(evutil_socket_t fd, short what, void *argument)
{
	struct engine *engine = argument;

	for (struct engine_client *client = engine->clients; client; client = client->next)
		if (session_poll(client->session) < 0 && !client->left)
			engine_client_leave(client);
	engine_rearm(engine);
}

static void engine_on_notify(evutil_socket_t fd, short what, void *argument)
{
	eventfd_t n;

	(void)eventfd_read(fd, &n); /* only to be told again later */
	engine_on_timer(fd, what, argument);
}

/* Serve a connection; @fd and @user are taken on success. */
static int engine_add_client(
	struct engine *engine, int fd, struct user *user, uid_t uid, bool read_only)
{
	const struct session_env env = { .notify_fd = engine->notify_fd,
		.registry = engine->registry,
		.compiler = engine->compiler,
		.sessions = &engine->sessions,
		.is_system = engine->system != NULL,
		.flow_ids = &engine->flow_ids,
		.user = user,
		.uid = uid,
		.read_only = read_only,
		.life_fd = engine->system ? engine->system->life_fd : -1 };
	_cleanup_(engine_client_freep) struct engine_client *client = calloc(1, sizeof(*client));
	int r;

	if (!client)
		return -ENOMEM;
	client->engine = engine;
	client->readable =
		event_new(engine->base, fd, EV_READ | EV_PERSIST, engine_on_readable, client);
	client->writable = event_new(engine->base, fd, EV_WRITE, engine_on_writable, client);
	if (!client->readable || !client->writable || event_add(client->readable, NULL) < 0)
		return -ENOMEM;
	r = session_new(&client->session, fd, &env);
	if (r < 0)
		return r;
	client->user = user;
	client->next = engine->clients;
	engine->clients = TAKE(client);
	engine->n_clients++;
	return 0;
}

/* ---- the loop ---- */

static void engine_deinit(struct engine *engine)
{
	while (engine->clients) {
		struct engine_client *client = engine->clients;

		engine->clients = client->next;
		engine_client_free(client);
	}
	registry_free(engine->registry);
	users_free(engine->users);
	compiler_free(engine->compiler);
	bin_free(engine->bin);
	for (size_t i = 0; i < ARRAY_SIZE(engine->others); i++)
		if (engine->others[i])
			event_free(engine->others[i]);
	if (engine->notified)
		event_free(engine->notified);
	if (engine->timer)
		event_free(engine->timer);
	if (engine->base)
		event_base_free(engine->base);
	cleanup_closep(&engine->notify_fd);
}

static int engine_init(struct engine *engine, const struct parent_engine *system)
{
	struct registry_args args = { .privileged_fd = system ? system->privileged_fd : -1,
		.area = system ? system->area : NULL,
		.area_bytes = system ? system->area_bytes : 0,
		.config = system ? system->config : NULL };
	int r;

	*engine = (struct engine){ .notify_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.flow_ids = { .n = ENGINE_FLOWS_BASE },
		.system = system };
	if (engine->notify_fd < 0)
		return -errno;
	args.notify_fd = engine->notify_fd;
	/* First what forks. */
	r = compiler_new(&engine->compiler, engine->notify_fd);
	if (r == 0 && system)
		r = bin_new(&engine->bin);
	args.compiler = engine->compiler;
	if (r == 0)
		r = registry_new(&engine->registry, &args);
	if (r == 0)
		r = users_new(&engine->users, system ? &system->config->quota : NULL);
	if (r < 0)
		return r;
	engine->base = event_base_new();
	if (!engine->base)
		return -ENOMEM;
	engine->notified = event_new(
		engine->base, engine->notify_fd, EV_READ | EV_PERSIST, engine_on_notify, engine);
	engine->timer = event_new(engine->base, -1, 0, engine_on_timer, engine);
	if (!engine->notified || !engine->timer || event_add(engine->notified, NULL) < 0)
		return -ENOMEM;
	return 0;
}

static int engine_loop(struct engine *engine)
{
	while (!event_base_got_break(engine->base)) {
		bool busy = clock_monotonic_ns() - engine->answered_ns < ENGINE_SPIN_NS;

		if (event_base_loop(engine->base, busy ? EVLOOP_NONBLOCK : EVLOOP_ONCE) < 0)
			return -EIO;
		if (busy)
			(void)sched_yield(); /* cannot fail */
	}
	return 0;
}

int engine_run_private(int fd)
{
	struct engine engine;
	struct user *user = NULL;
	struct error err = ERROR_INIT; /* it is the first */
	int r = engine_init(&engine, NULL);

	if (r == 0)
		r = users_enter(engine.users, getuid(), &user, &err);
	if (r == 0)
		r = engine_add_client(&engine, fd, user, getuid(), false);
	if (r < 0)
		(void)close(fd);
	else
		r = engine_loop(&engine);
	engine_deinit(&engine);
	return r;
}

/* ---- the system daemon ---- */

/* They wait until somebody has gone: the heartbeat looks again. */
static void engine_pause_accepting(struct engine *engine)
{
	(void)event_del(engine->others[ENGINE_LISTENS]);
	if (engine->others[ENGINE_LISTENS_READ_ONLY])
		(void)event_del(engine->others[ENGINE_LISTENS_READ_ONLY]);
}

/* It hears why, and an end. From then on nothing can come; where nothing has, closing is as
 * harmless as it looks. */
static void engine_refuse(struct engine *engine, int fd, uid_t uid, const struct error *why)
{
	int n_bytes = 1;

	session_refuse(fd, why);
	(void)shutdown(fd, SHUT_RDWR);
	if (ioctl(fd, FIONREAD, &n_bytes) == 0 && n_bytes == 0) {
		(void)close(fd);
	} else if (bin_throw(engine->bin, fd) < 0) {
		users_refuse(engine->users, uid, fd);
		engine_pause_accepting(engine);
	}
}

/* Who cannot be served, also for want of memory, is refused. */
static void engine_serve(struct engine *engine, int fd, bool read_only)
{
	struct user *user = NULL;
	struct ucred peer = { .uid = 0 };
	socklen_t peer_bytes = sizeof(peer);
	struct error why = ERROR_INIT;

	(void)getsockopt(
		fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_bytes); /* of ours it cannot fail */
	if (users_enter(engine->users, peer.uid, &user, &why) == 0 &&
		engine_add_client(engine, fd, user, peer.uid, read_only) == 0)
		return;
	user_leave(user);
	(void)error_set(
		&why, MAPI_OUT_OF_MEMORY, "the daemon is out of memory"); /* if nothing else */
	engine_refuse(engine, fd, peer.uid, &why);
}

static void engine_accept(struct engine *engine, int listening_fd, bool read_only)
{
	int fd;

	if (!closer_has_places(listening_fd)) {
		engine_pause_accepting(engine);
		return;
	}
	fd = accept4(listening_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		engine_serve(engine, fd, read_only);
	else if (errno == ENFILE)
		engine_pause_accepting(engine);
	/* else it has gone again */
}

static void engine_on_connection(evutil_socket_t fd, short what, void *argument)
{
	engine_accept(argument, fd, false);
}

static void engine_on_read_only(evutil_socket_t fd, short what, void *argument)
{
	engine_accept(argument, fd, true);
}

static void engine_on_end(evutil_socket_t signo, short what, void *argument)
{
	engine_end(argument);
}

static void engine_on_heartbeat(evutil_socket_t fd, short what, void *argument)
{
	struct engine *engine = argument;

	if (!compiler_works(engine->compiler)) {
		log_event(LOG_ERR, "the process that compiles expressions was ended by somebody");
		engine->failed = true;
		engine_end(engine);
	}
	privileged_tell(engine->system->privileged_fd, PRIVILEGED_ALIVE);
	registry_expire(engine->registry);
	users_expire(engine->users);
	(void)event_add(engine->others[ENGINE_LISTENS], NULL);
	if (engine->others[ENGINE_LISTENS_READ_ONLY])
		(void)event_add(engine->others[ENGINE_LISTENS_READ_ONLY], NULL);
}

static int engine_watch(struct engine *engine)
{
	const struct parent_engine *system = engine->system;
	const struct timeval period = { .tv_sec = ENGINE_ALIVE_S };

	engine->others[ENGINE_LISTENS] = event_new(engine->base, system->socket_fd,
		EV_READ | EV_PERSIST, engine_on_connection, engine);
	engine->others[ENGINE_ENDS] = evsignal_new(engine->base, SIGTERM, engine_on_end, engine);
	engine->others[ENGINE_BEATS] =
		event_new(engine->base, -1, EV_PERSIST, engine_on_heartbeat, engine);
	if (system->read_only_fd >= 0)
		engine->others[ENGINE_LISTENS_READ_ONLY] = event_new(engine->base,
			system->read_only_fd, EV_READ | EV_PERSIST, engine_on_read_only, engine);
	for (size_t i = 0; i < ARRAY_SIZE(engine->others); i++) {
		if (!engine->others[i] &&
			(i != ENGINE_LISTENS_READ_ONLY || system->read_only_fd >= 0))
			return -ENOMEM;
		if (engine->others[i] &&
			event_add(engine->others[i], i == ENGINE_BEATS ? &period : NULL) < 0)
			return -ENOMEM;
	}
	return 0;
}

int engine_run_system(const struct parent_engine *system)
{
	const uint32_t flows_base =
		ENGINE_FLOWS_BASE + system->restarts % ENGINE_LIVES * ENGINE_FLOWS_PER_LIFE;
	struct engine engine;
	int r = engine_init(&engine, system);

	engine.flow_ids = (struct session_ids){ .base = flows_base, .n = ENGINE_FLOWS_PER_LIFE };
	if (r == 0)
		r = engine_watch(&engine);
	if (r == 0) {
		privileged_tell(system->privileged_fd, PRIVILEGED_READY);
		r = engine_loop(&engine);
	}
	if (r < 0)
		(void)log_errno(LOG_ERR, r, "the engine cannot run");
	if (engine.failed) /* programs hear no orderly end: they go on with the next one (C2) */
		return 1;
	engine_deinit(&engine);
	return r < 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A system daemon that ends and comes again (semantics C2).
 *
 * Whoever finds it lost connects again and builds all flows anew, from what the program has said:
 * first all devices and flows, then all functions in the order in which they were applied, because
 * some refer to others, at last the connections. What comes of it is published when all is done;
 * descriptors of flows and of poll() keep their numbers, results begin at zero.
 *
 * Readers hold no lock. What they may still look at, functions and the engine whose memory these
 * point into, becomes the past of their flow. It is freed when nobody is inside a call about the
 * flow but parked threads (struct flow), which only look at the ring that they have marked as busy.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "client.h"
#include "wire/wake.h"

#define RESTART_PAUSE_MS_MAX 100
#define RESTART_HELLO_MS_MIN 250
/* A flow that has killed so many daemons while it was built is not tried again. */
#define RESTART_FATAL_MAX 3

/* A whole time has passed in vain: who asks next does not wait again. */
static _Atomic bool restart_gave_up;

/* ---- the past of a flow ---- */

static void restart_leave_engine(struct past *past)
{
	if (!past->engine)
		return;
	past->engine->n_users--;
	if (past->has_cell)
		past->engine->n_readers++; /* for as long as the flow is there */
	else
		past->engine = NULL;
}

/* One function at former daemons: the program may hold the last packet that it has got, and a
 * thread may be reading. */
static void restart_collect_function(struct flow *flow, unsigned int i)
{
	bool is_needed = !atomic_load(&atomic_load(&flow->functions[i])->was_read);

	for (struct past *past = flow->past; past; past = past->next) {
		struct applied *applied = i < past->n_functions ? past->functions[i] : NULL;

		if (!applied || atomic_load(&applied->is_busy))
			continue;
		if (is_needed && atomic_load(&applied->was_read)) {
			is_needed = false;
			ring_reader_close(applied->ring);
			continue;
		}
		past->functions[i] = applied_free(applied);
	}
}

/* Return: false if there is nothing left that anybody needs. */
static bool restart_is_needed(struct past *past, bool *ret_busy)
{
	bool is_needed = past->has_cell;

	*ret_busy = false;
	for (unsigned int i = 0; i < past->n_functions; i++) {
		if (!past->functions[i])
			continue;
		is_needed = true;
		*ret_busy = *ret_busy || atomic_load(&past->functions[i]->is_busy);
	}
	return is_needed;
}

/* Free what nobody can see any more. Under the lock. */
static void restart_collect(struct flow *flow)
{
	/* Who comes after this sees what was published before it: flow_get() continues its release
	 * sequence. */
	uint64_t refs = atomic_fetch_add(&flow->refs, 0);

	if ((uint32_t)refs - (uint32_t)(refs >> 32) != 1 || atomic_load(&flow->is_closed))
		return;
	for (unsigned int i = 0; i < atomic_load(&flow->n_functions); i++)
		restart_collect_function(flow, i);
	for (struct past **at = &flow->past; *at;) {
		struct past *past = *at;
		bool is_busy, is_needed = restart_is_needed(past, &is_busy);

		if (!is_busy && past->engine && !past->is_left) {
			restart_leave_engine(past);
			past->is_left = true;
		}
		if (is_needed) {
			at = &past->next;
			continue;
		}
		*at = past->next;
		free(past);
	}
}

void restart_close(struct flow *flow)
{
	for (const struct past *past = flow->past; past; past = past->next)
		for (unsigned int i = 0; i < past->n_functions; i++)
			if (past->functions[i] && past->functions[i]->ring)
				ring_reader_close(past->functions[i]->ring);
}

void restart_forget(struct flow *flow)
{
	while (flow->past) {
		struct past *past = flow->past;

		flow->past = past->next;
		for (unsigned int i = 0; i < past->n_functions; i++)
			applied_free(past->functions[i]);
		if (past->engine && past->is_left)
			past->engine->n_readers--;
		else if (past->engine)
			past->engine->n_users--;
		free(past);
	}
}

/* ---- descriptors for poll() ---- */

static int restart_poll_add(int poll_fd, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events };

	return epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event);
}

/* Return: 0, -1: out of kernel memory; then it tells less. */
static int restart_poll_enter(int poll_fd, const struct engine *engine, int news_fd)
{
	int r = restart_poll_add(poll_fd, news_fd, EPOLLIN);

	if (r == 0)
		r = restart_poll_add(poll_fd, engine->fd, EPOLLRDHUP);
	if (r == 0 && engine->life_fd >= 0)
		r = restart_poll_add(poll_fd, engine->life_fd, 0); /* EPOLLHUP comes unasked */
	return r;
}

int restart_poll_fd(int *poll_fd, const struct engine *engine, int news_fd)
{
	int fd;

	if (*poll_fd >= 0)
		return *poll_fd;
	fd = epoll_create1(EPOLL_CLOEXEC);
	if (fd >= 0 && restart_poll_enter(fd, engine, news_fd) == 0) {
		*poll_fd = fd;
		return fd;
	}
	client_fail(MAPI_SHM_ERR, "cannot make a descriptor to poll: %s", strerror(errno));
	if (fd >= 0)
		(void)close(fd);
	return -1;
}

/* The descriptor tells of another daemon now. */
static void restart_poll_leave(int poll_fd, const struct engine *engine, int news_fd)
{
	(void)epoll_ctl(poll_fd, EPOLL_CTL_DEL, news_fd, NULL);
	(void)epoll_ctl(poll_fd, EPOLL_CTL_DEL, engine->fd, NULL);
	(void)epoll_ctl(poll_fd, EPOLL_CTL_DEL, engine->life_fd, NULL);
}

/* ---- building again ---- */

/* One flow. */
struct restart {
	struct flow *flow;
	struct flow_device device;
	bool has_device;
	uint32_t id; /* 0: none */
	const struct results_flow *shared;
	int event_fd;
	bool is_failed;
	struct error cause;
	struct past *past; /* its functions are those at the new daemon until both change places */
};

/* One function of one of them. */
struct restart_step {
	uint64_t order;
	struct restart *of;
	unsigned int i;
};

static void restart_end(struct flow *flow, const struct error *cause)
{
	flow->id = 0;
	flow->end = *cause;
	atomic_store(&flow->is_end_told, true);
	atomic_store(&flow->is_over, true);
	if (atomic_load(&flow->event_fd) >= 0)
		wake_signal_now(atomic_load(&flow->event_fd));
}

/* A step of a flow has failed. Return: 0, the others go on; -1: this daemon is lost, too. */
static int restart_fail(struct restart *restart, struct engine *engine)
{
	struct flow *flow = restart->flow;

	client_take_error(&restart->cause);
	if (atomic_load(&engine->is_lost)) {
		if (++flow->n_fatal >= RESTART_FATAL_MAX)
			restart_end(flow, &restart->cause);
		return client_fail(MAPI_DAEMON_LOST, "the daemon ended unexpectedly, again");
	}
	if (restart->cause.code == 0)
		(void)error_set(&restart->cause, MCOM_UNKNOWN_ERROR, "%s",
			error_code_text(MCOM_UNKNOWN_ERROR));
	restart->is_failed = true;
	flow->id = 0; /* nobody may refer to it */
	if (restart->id != 0) {
		(void)flow_close_at_engine(engine, restart->id);
		client_clear_error();
	}
	return 0;
}

static int restart_create(struct restart *restart, struct engine *engine)
{
	struct flow *flow = restart->flow;
	unsigned int n_functions = atomic_load(&flow->n_functions);

	restart->past = calloc(
		1, sizeof(*restart->past) + n_functions * sizeof(restart->past->functions[0]));
	if (!restart->past) {
		client_fail(MAPI_OUT_OF_MEMORY, "out of memory");
		return restart_fail(restart, engine);
	}
	restart->past->n_functions = n_functions;
	if (flow_open_device(engine, flow->device_name, -1, &restart->device) < 0 ||
		flow_ask_new(engine, restart->device.id, flow->owns_device, &restart->id,
			&restart->shared) < 0)
		return restart_fail(restart, engine);
	flow->id = restart->id; /* for references */
	return 0;
}

static int restart_apply(const struct restart_step *step, struct engine *engine)
{
	struct restart *restart = step->of;
	struct flow *flow = restart->flow;
	const struct applied *old = atomic_load(&flow->functions[step->i]);
	struct args_message message;
	struct applied *applied = NULL;
	int r = -1;

	if (restart->is_failed)
		return 0;
	if (args_convert(&message, old->function->args, old->desc, old->function->directory,
		    (unsigned int)atomic_load(&flow->restarts) + 1) == 0)
		r = apply_ask(&applied, engine, restart->id, old->function, old->desc, &message);
	args_message_deinit(&message);
	restart->past->functions[step->i] = applied;
	if (r == 0 && applied->fid != old->fid)
		r = client_fail(MCOM_UNKNOWN_ERROR,
			"the daemon counts functions otherwise since it was restarted");
	return r < 0 ? restart_fail(restart, engine) : 0;
}

/* Somebody polls for results: the new daemon tells of them, too. */
static int restart_watch(struct restart *restart, struct engine *engine)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__FlowEvents events = WIRE__FLOW_EVENTS__INIT;

	events.flow = restart->id;
	request.call_case = WIRE__REQUEST__CALL_FLOW_EVENTS;
	request.flow_events = &events;
	if (engine_make_room(engine) < 0 || !engine_call(engine, &request, NULL, 0))
		return restart_fail(restart, engine);
	if (engine_take_fds(engine, &restart->event_fd, 1) < 0) {
		client_fail(MCOM_UNKNOWN_ERROR, "the daemon sent an unexpected reply");
		return restart_fail(restart, engine);
	}
	return 0;
}

static int restart_connect(struct restart *restart, struct engine *engine)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__FlowConnect connect = WIRE__FLOW_CONNECT__INIT;

	if (restart->is_failed || !atomic_load(&restart->flow->is_connected))
		return 0;
	connect.flow = restart->id;
	request.call_case = WIRE__REQUEST__CALL_FLOW_CONNECT;
	request.flow_connect = &connect;
	if (!engine_call(engine, &request, NULL, 0))
		return restart_fail(restart, engine);
	/* Only who is connected has polled, and can be asked about. */
	return atomic_load(&restart->flow->event_fd) >= 0 ? restart_watch(restart, engine) : 0;
}

/* ---- publishing ---- */

/* Time since the old daemon has said something. */
static uint64_t restart_gap_ns(const struct flow *flow)
{
	uint64_t published_ns = atomic_load(&flow->shared)->published_ns;
	uint64_t now_ns = clock_monotonic_ns();

	if (!atomic_load(&flow->is_connected) || published_ns == 0 || published_ns > now_ns)
		return 0;
	return now_ns - published_ns;
}

static void restart_publish_events(struct restart *restart, struct engine *engine)
{
	struct flow *flow = restart->flow;
	int event_fd = atomic_load(&flow->event_fd);

	if (event_fd < 0 || restart->event_fd < 0)
		return;
	wake_signal_now(event_fd);
	if (flow->poll_fd >= 0)
		restart_poll_leave(flow->poll_fd, flow->engine, event_fd);
	(void)dup3(restart->event_fd, event_fd, O_CLOEXEC);
	(void)close(restart->event_fd);
	restart->event_fd = -1;
	if (flow->poll_fd >= 0)
		(void)restart_poll_enter(flow->poll_fd, engine, event_fd);
	wake_signal_now(event_fd);
}

static void restart_publish_function(
	struct flow *flow, unsigned int i, struct applied **applied, struct engine *engine)
{
	struct applied *old = atomic_load(&flow->functions[i]);
	struct recipe *function = old->function;

	if (function->poll_fd >= 0 && old->ring && (*applied)->ring) {
		restart_poll_leave(function->poll_fd, flow->engine, ring_reader_fileno(old->ring));
		(void)restart_poll_enter(
			function->poll_fd, engine, ring_reader_fileno((*applied)->ring));
	}
	*applied = atomic_exchange(&flow->functions[i], *applied);
}

static void restart_publish(struct restart *restart, struct engine *engine)
{
	struct flow *flow = restart->flow;
	struct past *past = restart->past;

	if (restart->is_failed) {
		restart_end(flow, &restart->cause);
		return;
	}
	atomic_fetch_add(&flow->gap_ns, restart_gap_ns(flow));
	atomic_fetch_add(&flow->restarts, 1);
	restart_publish_events(restart, engine);
	for (unsigned int i = 0; i < past->n_functions; i++) {
		restart_publish_function(flow, i, &past->functions[i], engine);
		if (atomic_load(&past->functions[i]->cell))
			past->has_cell = true;
	}
	past->engine = flow->engine; /* which it uses from now on, instead of the flow */
	past->next = flow->past;
	flow->past = TAKE(restart->past);
	flow->device = restart->device.id;
	atomic_store(&flow->device_number, restart->device.number);
	flow->devtype = restart->device.devtype;
	flow->n_fatal = 0;
	atomic_store(&flow->is_end_told, false);
	atomic_store(&flow->shared, restart->shared);
	engine->n_users++;
	/* Last: who sees it also sees the functions. */
	atomic_store(&flow->engine, engine);
}

/* ---- all flows ---- */

struct restart_all {
	struct restart *restarts;
	unsigned int n_restarts;
	struct restart_step *steps;
	unsigned int n_steps;
};

static void restart_all_deinit(struct restart_all *all)
{
	for (unsigned int i = 0; i < all->n_restarts; i++) {
		struct restart *restart = &all->restarts[i];

		for (unsigned int k = 0; restart->past && k < restart->past->n_functions; k++)
			applied_free(restart->past->functions[k]);
		free(restart->past);
		if (restart->event_fd >= 0)
			(void)close(restart->event_fd);
	}
	free(all->restarts);
	free(all->steps);
}

static bool restart_is_wanted(struct flow *flow)
{
	struct engine *engine = flow ? atomic_load(&flow->engine) : NULL;

	return engine && engine->is_system && !atomic_load(&flow->is_over) &&
		engine_is_lost(engine);
}

static int restart_by_order(const void *a, const void *b)
{
	uint64_t x = ((const struct restart_step *)a)->order;
	uint64_t y = ((const struct restart_step *)b)->order;

	return (x > y) - (x < y);
}

/* What there is to do. Return: 0, -ENOMEM. */
static int restart_all_init(struct restart_all *all)
{
	struct flow *flow;

	*all = (struct restart_all){ .n_steps = 0 };
	for (unsigned int i = 0; i < CLIENT_FLOWS_MAX; i++) {
		flow = flow_in_slot(i);
		if (!restart_is_wanted(flow))
			continue;
		all->n_restarts++;
		all->n_steps += atomic_load(&flow->n_functions);
	}
	all->restarts = calloc(all->n_restarts + 1, sizeof(*all->restarts));
	all->steps = calloc(all->n_steps + 1, sizeof(*all->steps));
	if (!all->restarts || !all->steps) {
		all->n_restarts = 0;
		return -ENOMEM;
	}
	all->n_restarts = all->n_steps = 0;
	for (unsigned int i = 0; i < CLIENT_FLOWS_MAX; i++) {
		struct restart *restart = &all->restarts[all->n_restarts];

		flow = flow_in_slot(i);
		if (!restart_is_wanted(flow))
			continue;
		*restart = (struct restart){ .flow = flow, .event_fd = -1 };
		all->n_restarts++;
		for (unsigned int k = 0; k < atomic_load(&flow->n_functions); k++)
			all->steps[all->n_steps++] = (struct restart_step){
				.order = atomic_load(&flow->functions[k])->function->order,
				.of = restart,
				.i = k,
			};
	}
	qsort(all->steps, all->n_steps, sizeof(*all->steps), restart_by_order);
	return 0;
}

int restart_build_all(struct engine *engine)
{
	struct restart_all all;
	int r = 0;

	if (restart_all_init(&all) < 0) {
		atomic_store(&engine->is_lost, true); /* another time */
		r = client_fail(MAPI_OUT_OF_MEMORY, "out of memory");
	}
	for (unsigned int i = 0; r == 0 && i < all.n_restarts; i++)
		r = restart_create(&all.restarts[i], engine);
	for (unsigned int i = 0; r == 0 && i < all.n_steps; i++)
		r = restart_apply(&all.steps[i], engine);
	for (unsigned int i = 0; r == 0 && i < all.n_restarts; i++)
		r = restart_connect(&all.restarts[i], engine);
	for (unsigned int i = 0; r == 0 && i < all.n_restarts; i++)
		restart_publish(&all.restarts[i], engine);
	for (unsigned int i = 0; r == 0 && i < all.n_restarts; i++)
		restart_collect(all.restarts[i].flow);
	restart_all_deinit(&all);
	return r;
}

/* ---- who notices ---- */

bool restart_is_due(struct flow *flow)
{
	struct engine *engine = flow->engine;

	return engine->is_system && !atomic_load(&flow->is_over) && engine_is_lost(engine);
}

/* Under the lock. Return: 0, 1: later, -1 with this thread's error. */
static int restart_try(struct flow *flow, int hello_ms)
{
	struct engine *engine = flow->engine;
	int r;

	if (atomic_load(&flow->is_closed))
		return client_fail(MAPI_INVALID_FLOW, "the flow was closed");
	if (!atomic_load(&flow->is_over) && !engine->is_system)
		return client_fail(MAPI_DAEMON_LOST, "the daemon of this flow ended unexpectedly");
	if (!atomic_load(&flow->is_over) && engine_is_lost(engine)) {
		client_set_patience(hello_ms);
		r = client_reconnect();
		client_set_patience(0);
		if (!atomic_load(&flow->is_over) && (r < 0 || engine_is_lost(flow->engine)))
			return 1;
	}
	restart_collect(flow);
	atomic_store(&restart_gave_up, false);
	return atomic_load(&flow->is_over) ? client_fail_error(&flow->end) : 0;
}

int restart_recover(struct flow *flow, int timeout_ms)
{
	uint64_t now_ns = clock_monotonic_ns();
	uint64_t deadline_ns = now_ns;
	int pause_ms = 1, hello_ms = RESTART_HELLO_MS_MIN;
	int r;

	if (!atomic_load(&restart_gave_up))
		deadline_ns += (uint64_t)timeout_ms * 1000000u;
	flow_park(flow);
	for (;;) {
		struct client_lock lock;
		int left_ms;

		client_lock(&lock);
		r = restart_try(flow, hello_ms);
		client_unlock(&lock);
		now_ns = clock_monotonic_ns();
		if (r <= 0 || now_ns >= deadline_ns)
			break;
		left_ms = (int)((deadline_ns - now_ns) / 1000000u);
		(void)poll(NULL, 0, MIN(pause_ms, left_ms)); /* a signal may close the flow */
		pause_ms = MIN(pause_ms * 2, RESTART_PAUSE_MS_MAX);
		hello_ms = MIN(hello_ms * 2, MAX(left_ms, RESTART_HELLO_MS_MIN));
	}
	flow_unpark(flow);
	if (r <= 0)
		return r;
	atomic_store(&restart_gave_up, true);
	return client_fail(MAPI_DAEMON_LOST,
		"the daemon of this flow ended unexpectedly, and has not come again so far");
}

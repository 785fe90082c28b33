/* SPDX-License-Identifier: BSD-2-Clause */
/* Applying functions to a flow. */
#include <string.h>

#include "client.h"

/* In C++ this is a template; the library defines what C programs and old objects call. */
#undef mapi_apply_function

/* A call that kills the daemon is repeated so often. */
#define APPLY_TRIES 2

/* ---- what outlives a daemon ---- */

struct recipe *recipe_free(struct recipe *function)
{
	if (!function)
		return NULL;
	for (unsigned int i = 0; i < CLIENT_ARGS_MAX; i++)
		if (function->args[i].kind == ARG_TEXT)
			free((void *)(uintptr_t)function->args[i].text);
	if (function->poll_fd >= 0)
		(void)close(function->poll_fd);
	free(function->name);
	free(function->directory);
	free(function->buffer);
	free(function);
	return NULL;
}

/* Keep what the program has passed: it may change its strings. */
static struct recipe *recipe_new(const char *name, const struct mapi_function_desc *desc,
	const struct arg args[CLIENT_ARGS_MAX])
{
	_cleanup_(recipe_freep) struct recipe *function = calloc(1, sizeof(*function));

	if (!function)
		return NULL;
	function->poll_fd = -1;
	function->name = strdup(name);
	if (!function->name)
		return NULL;
	for (unsigned int i = 0; i < MIN(desc->n_args, (unsigned int)CLIENT_ARGS_MAX); i++) {
		char *copy = NULL;
		struct arg arg = args_check(args[i], &copy);

		if (arg.kind == ARG_TEXT && !copy) {
			copy = strdup(arg.text);
			if (!copy)
				return NULL;
			arg.text = copy;
		}
		function->args[i] = arg;
		/* Without it, "." is what a program that has moved on finds again, or not. */
		if (desc->args[i].type == MAPI_ARG_FILE && arg.kind == ARG_TEXT &&
			arg.text[0] != '/' && !function->directory)
			function->directory = getcwd(NULL, 0);
	}
	return TAKE(function);
}

/* ---- what a daemon makes of it ---- */

struct applied *applied_free(struct applied *applied)
{
	if (!applied)
		return NULL;
	ring_reader_free(applied->ring);
	free(applied);
	return NULL;
}

/* Take the descriptors of the ring, whether they can be used or not. */
static int applied_take_ring(struct applied *applied, struct engine *engine)
{
	int fds[RING_N_FDS];
	int r;

	if (engine_take_fds(engine, fds, RING_N_FDS) < 0)
		return client_fail(MAPI_SHM_ERR, "the daemon sent no ring");
	r = ring_reader_new(&applied->ring, fds);
	if (r < 0) {
		for (unsigned int i = 0; i < RING_N_FDS; i++)
			(void)close(fds[i]);
		return client_fail(
			MAPI_SHM_ERR, "cannot map the ring of the daemon: %s", strerror(-r));
	}
	return 0;
}

/* What the engine has answered becomes an applied function. */
static int applied_new(struct applied **ret, struct engine *engine, struct recipe *function,
	const Wire__ApplyReply *reply, const struct mapi_function_desc *desc)
{
	_cleanup_(applied_freep) struct applied *applied = calloc(1, sizeof(*applied));
	size_t result_bytes = reply->result_bytes;

	if (!applied)
		return client_fail(MAPI_OUT_OF_MEMORY, "out of memory");
	if (reply->has_ring && applied_take_ring(applied, engine) < 0)
		return -1;
	if (reply->function == 0 || reply->function > INT32_MAX ||
		result_bytes > RING_RECORD_BYTES_MAX || reply->n_slots > 65536)
		return client_fail(MCOM_UNKNOWN_ERROR, "the daemon sent an unexpected reply");
	applied->function = function;
	applied->engine = engine;
	applied->fid = (int)reply->function;
	applied->desc = desc;
	applied->result_bytes = result_bytes;
	applied->slot_bytes = results_slot_bytes(result_bytes);
	if (result_bytes > 0 && reply->n_slots > 0) {
		applied->n_slots = reply->n_slots;
		applied->slots = engine_results(engine, reply->slot_offset_bytes,
			(uint64_t)applied->slot_bytes * reply->n_slots);
		if (!applied->slots)
			return client_fail(MAPI_SHM_ERR, "the daemon sent an invalid place");
	}
	/* Never empty: programs read the result of functions that have none, too. */
	if (!function->buffer) {
		function->buffer = calloc(1, result_bytes + sizeof(uint64_t));
		function->result_bytes = result_bytes;
		function->result.res = function->buffer;
	}
	if (!function->buffer)
		return client_fail(MAPI_OUT_OF_MEMORY, "out of memory");
	/* The program was written for the struct that it got at first. */
	if (function->result_bytes != result_bytes)
		return client_fail(MCOM_UNKNOWN_ERROR,
			"%s has another result since the daemon was restarted", function->name);
	applied->no_wait = reply->no_wait;
	*ret = TAKE(applied);
	return 0;
}

int apply_ask(struct applied **ret, struct engine *engine, uint32_t id, struct recipe *function,
	const struct mapi_function_desc *desc, struct args_message *message)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__FlowApply apply = WIRE__FLOW_APPLY__INIT;
	const Wire__Reply *reply;

	if (args_translate(message, desc, flow_id_of, engine) < 0)
		return -1;
	apply.flow = id;
	apply.function = function->name;
	apply.n_args = message->n_values;
	apply.args = message->pointers;
	request.call_case = WIRE__REQUEST__CALL_FLOW_APPLY;
	request.flow_apply = &apply;
	if ((desc->flags & (MAPI_FUNCTION_PACKETS | MAPI_FUNCTION_BLOCKING)) && /* with a ring */
		engine_make_room(engine) < 0)
		return -1;
	reply = engine_call(engine, &request, message->fds, message->n_fds);
	if (!reply)
		return -1;
	if (reply->result_case != WIRE__REPLY__RESULT_APPLY)
		return client_fail(MCOM_UNKNOWN_ERROR, "the daemon sent an unexpected reply");
	return applied_new(ret, engine, function, reply->apply, desc);
}

/* Under the lock. @function: taken on success. Return: the function's id, or -1. */
static int apply_request(struct flow *flow, struct recipe **function,
	const struct mapi_function_desc *desc, struct args_message *message)
{
	static uint64_t last_order; /* guarded by the lock */
	unsigned int n_functions = atomic_load(&flow->n_functions);
	struct applied *applied = NULL;

	if (atomic_load(&flow->is_closed))
		return client_fail(MAPI_INVALID_FLOW, "the flow was closed");
	if (atomic_load(&flow->is_over))
		return client_fail_error(&flow->end);
	if (n_functions == CLIENT_FUNCTIONS_MAX)
		return client_fail(MFUNCT_COULD_NOT_APPLY_FUNCT,
			"a flow can have at most %d functions", CLIENT_FUNCTIONS_MAX);
	if (apply_ask(&applied, flow->engine, flow->id, *function, desc, message) < 0)
		return -1;
	(*function)->order = ++last_order;
	*function = NULL;
	atomic_store(&flow->functions[n_functions], applied);
	atomic_store_explicit(&flow->n_functions, n_functions + 1, memory_order_release);
	return applied->fid;
}

/* The checks that come before any argument is read. Return: a referenced flow, NULL: failed. */
static struct flow *apply_begin(
	int fd, const char *name, const struct mapi_function_desc **ret_desc)
{
	struct client_lock lock;
	struct flow *flow;

	if (client_enter() < 0)
		return NULL;
	if (fd <= 0) {
		client_fail(MAPI_INVALID_FID_FUNCID, "%d is not a flow", fd);
		return NULL;
	}
	if (!name) {
		client_fail(MFUNCT_COULD_NOT_APPLY_FUNCT, "the name of the function is NULL");
		return NULL;
	}
	flow = flow_find(fd);
	if (!flow)
		return NULL;
	if (atomic_load(&flow->is_connected)) {
		client_fail(MFUNCT_COULD_NOT_APPLY_FUNCT,
			"flow %d is connected: functions must be applied before", fd);
		flow_put(flow);
		return NULL;
	}
	for (unsigned int tries = 1;; tries++) {
		client_lock(&lock);
		*ret_desc = describe_find(flow->engine, name);
		client_unlock(&lock);
		if (*ret_desc)
			return flow;
		if (tries == APPLY_TRIES || !restart_is_due(flow) ||
			restart_recover(flow, RESTART_BLOCKING_MS) < 0)
			break;
	}
	flow_put(flow);
	return NULL;
}

static int apply_end(struct flow *flow, const char *name, const struct mapi_function_desc *desc,
	const struct arg args[CLIENT_ARGS_MAX])
{
	_cleanup_(recipe_freep) struct recipe *function = recipe_new(name, desc, args);
	struct args_message message;
	struct client_lock lock;
	int fid = -1;

	if (!function)
		client_fail(MAPI_OUT_OF_MEMORY, "out of memory");
	for (unsigned int tries = 1; function; tries++) {
		/* Opens files, so without the lock. */
		if (args_convert(&message, function->args, desc, NULL, 0) == 0) {
			client_lock(&lock);
			fid = apply_request(flow, &function, desc, &message);
			client_unlock(&lock);
		}
		args_message_deinit(&message);
		if (fid >= 0 || tries == APPLY_TRIES || !restart_is_due(flow) ||
			restart_recover(flow, RESTART_BLOCKING_MS) < 0)
			break;
	}
	flow_put(flow);
	return fid;
}

int mapi_apply_function_typed(int fd, unsigned long long types, const char *funct, ...)
{
	const struct mapi_function_desc *desc;
	struct arg args[CLIENT_ARGS_MAX];
	struct flow *flow = apply_begin(fd, funct, &desc);
	va_list ap;

	if (!flow)
		return -1;
	va_start(ap, funct);
	args_from_typed(args, types, &ap);
	va_end(ap);
	return apply_end(flow, funct, desc, args);
}

int mapi_apply_function(int fd, const char *funct, ...)
{
	const struct mapi_function_desc *desc;
	struct arg args[CLIENT_ARGS_MAX];
	struct flow *flow = apply_begin(fd, funct, &desc);
	va_list ap;

	if (!flow)
		return -1;
	va_start(ap, funct);
	args_from_plain(args, desc, &ap);
	va_end(ap);
	return apply_end(flow, funct, desc, args);
}

int mapi_apply_function_array(int fd, const char *funct, char **args, unsigned int n_args)
{
	const struct mapi_function_desc *desc;
	struct arg read_args[CLIENT_ARGS_MAX];
	struct flow *flow = apply_begin(fd, funct, &desc);

	if (!flow)
		return -1;
	args_from_array(read_args, args, n_args);
	return apply_end(flow, funct, desc, read_args);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * FlowApply: a function joins a flow. Its arguments are checked, its references found, its result
 * gets a place in the result area.
 *
 * A filter may have to be compiled first, which is not waited for: the request stays pending, and
 * is tried again from the beginning until the compiler knows.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "apply.h"
#include "mapi/errors.h"
#include "requests_private.h"

/* @source: a flow of the session, NULL: there is none. */
static int request_add_ref(struct plan_refs *refs, const struct session_flow *flow,
	const struct session_flow *source, long long fid, const struct mapi_function_desc *desc,
	const struct mapi_arg *arg, struct error *err)
{
	struct plan_instance *instance = source && fid > 0 && fid <= UINT32_MAX
		? request_instance(source, (uint32_t)fid)
		: NULL;
	const struct mapi_function_desc *of;

	/* A live device may have been opened with each of its flows. */
	if (!instance || source->device->device != flow->device->device)
		return error_set(err, arg->error_code,
			"%s: there is no function %lld in that flow on the same device", desc->name,
			fid);
	of = &instance->function->desc;
	if (arg->type == MAPI_ARG_FUNCTION && !(of->flags & MAPI_FUNCTION_REFERABLE))
		return error_set(err, arg->error_code,
			"%s: %s has no value that others can refer to", desc->name, of->name);
	if (!of->n_fields || (of->flags & MAPI_FUNCTION_BLOCKING))
		return error_set(err, arg->error_code,
			"%s: %s has no result that others can refer to", desc->name, of->name);
	if (refs->n == FUNCTION_REFS_MAX)
		return error_set(err, arg->error_code, "%s: more than %d references", desc->name,
			FUNCTION_REFS_MAX);
	refs->instances[refs->n++] = instance;
	return 0;
}

static struct session_flow *request_flow_numbered(const struct session *session, long long id)
{
	return id > 0 && id <= UINT32_MAX ? request_flow(session, (uint32_t)id) : NULL;
}

/* Return: false if there is no number at *text; it moves behind the number. */
static bool request_get_number(const char **text, long long *ret)
{
	char *end;

	*text += strspn(*text, " ");
	if (**text < '0' || **text > '9')
		return false;
	*ret = strtoll(*text, &end, 10);
	*text = end + strspn(end, " ");
	return true;
}

/* "fid@fd,fid@fd" */
static int request_add_list(struct plan_refs *refs, const struct session *session,
	const struct session_flow *flow, const struct mapi_function_desc *desc,
	const struct mapi_arg *arg, const char *text, struct error *err)
{
	const char *at = text;
	int r = 0;

	do {
		long long fid, fd;

		if (!request_get_number(&at, &fid) || *at++ != '@' ||
			!request_get_number(&at, &fd) || (*at && *at != ','))
			return error_set(err, arg->error_code,
				"%s: '%.80s' is no list of functions: write FUNCTION@FLOW, "
				"separated by commas",
				desc->name, text);
		r = request_add_ref(
			refs, flow, request_flow_numbered(session, fd), fid, desc, arg, err);
	} while (r == 0 && *at++);
	return r;
}

/* "fd,fd" */
static int request_add_flows(struct plan_refs *refs, const struct session *session,
	const struct mapi_function_desc *desc, const struct mapi_arg *arg, const char *text,
	struct error *err)
{
	const char *at = text;

	do {
		const struct session_flow *flow;
		long long fd;

		if (!request_get_number(&at, &fd) || (*at && *at != ','))
			return error_set(err, arg->error_code,
				"%s: '%.80s' is no list of flows: write their descriptors, "
				"separated by commas",
				desc->name, text);
		flow = request_flow_numbered(session, fd);
		if (!flow)
			return error_set(err, arg->error_code,
				"%s: '%.80s' names a flow that this program does not have at this "
				"daemon",
				desc->name, text);
		if (refs->n_flows == FUNCTION_REFS_MAX)
			return error_set(err, arg->error_code, "%s: more than %d flows", desc->name,
				FUNCTION_REFS_MAX);
		refs->flows[refs->n_flows++] = flow->id;
	} while (*at++);
	return 0;
}

/* What the arguments refer to. */
static int request_find_refs(struct plan_refs *refs, const struct session *session,
	const struct session_flow *flow, const struct mapi_function_desc *desc,
	const struct apply_values *values, struct error *err)
{
	const struct session_flow *source = NULL;
	int r = 0;

	refs->n = refs->n_flows = 0;
	for (unsigned int i = 0; i < desc->n_args && r == 0; i++) {
		const struct mapi_arg *arg = &desc->args[i];
		const struct function_value *value = &values->values[i];

		if (arg->type == MAPI_ARG_FLOW)
			source = request_flow_numbered(session, value->number);
		else if (arg->type == MAPI_ARG_FUNCTION)
			r = request_add_ref(refs, flow, source, value->number, desc, arg, err);
		else if (arg->type == MAPI_ARG_REFS)
			r = request_add_list(refs, session, flow, desc, arg, value->text, err);
		else if (arg->type == MAPI_ARG_FLOWS)
			r = request_add_flows(refs, session, desc, arg, value->text, err);
	}
	return r;
}

/* How long the result of an instance in the result area is; 0: it has none there. */
static size_t request_result_bytes(const struct function *f, const struct apply_values *values)
{
	if (!f->desc.result_bytes || (f->desc.flags & MAPI_FUNCTION_BLOCKING))
		return 0;
	return f->result_bytes_of ? f->result_bytes_of(values->values) : f->desc.result_bytes;
}

static void request_place_result(
	struct session *session, struct plan_instance *instance, uint64_t offset, size_t data_bytes)
{
	const struct function *f = instance->function;
	struct results_slot *slot = area_at(session->area, offset);

	slot->data_bytes = (uint32_t)data_bytes;
	if (f->read)
		f->read(instance->memory, instance->state, slot->data);
	else
		memcpy(slot->data, instance->state, data_bytes);
	instance->result = slot;
}

uint32_t request_result_bytes_of(const struct plan_instance *instance)
{
	const struct results_slot *slot = instance->result;

	return slot ? slot->data_bytes : instance->function->desc.result_bytes;
}

static int request_apply_reply(
	struct session *session, uint64_t id, const struct plan_instance *instance)
{
	const struct function *f = instance->function;
	const struct results_slot *slot = instance->result;
	struct ring *ring = f->ring ? f->ring(instance->memory) : NULL;
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__ApplyReply body = WIRE__APPLY_REPLY__INIT;
	int fds[RING_N_FDS];

	body.function = instance->fid;
	body.result_bytes = request_result_bytes_of(instance);
	if (slot) {
		body.slot_offset_bytes = session_offset(session, slot);
		body.n_slots = 1;
	}
	if (ring) {
		body.has_ring = true;
		body.no_wait = f->no_wait && f->no_wait(instance->memory);
		ring_fds(ring, fds);
	}
	reply.result_case = WIRE__REPLY__RESULT_APPLY;
	reply.apply = &body;
	return request_reply(session, id, &reply, fds, ring ? RING_N_FDS : 0);
}

/* In the client's own helper, so that nobody waits for another user's expression. */
static int request_compile(void *context, const char *expression, uint32_t linktype, bool may_wait,
	struct filter_program **ret, struct error *err)
{
	struct session_device *device = context;
	const struct bpf_insn *insns;
	int r;

	if (may_wait)
		return compiler_wait(device->compiler, expression, linktype,
			device_stop_flag(device->device), ret, err);
	r = compiler_ask(device->compiler, expression, linktype, ret, err);
	if (r != 0)
		return r == COMPILER_E_AGAIN ? PLAN_E_AGAIN : r;
	device->n_insns = filter_program_insns(*ret, &insns);
	r = request_charge_filter(device->user, device->n_insns, err);
	if (r < 0)
		*ret = filter_program_free(*ret);
	return r;
}

static int request_apply_checked(struct session *session, struct session_flow *flow,
	const struct function *f, const Wire__FlowApply *apply, const int *fds,
	struct plan_instance **ret, struct error *err)
{
	struct plan_device device = device_describe(flow->device->device);
	struct plan_refs refs;
	struct apply_values values;
	uint64_t offset = AREA_NONE;
	size_t result_bytes = 0, text_bytes = 0, charged_bytes;
	int r = apply_check(&values, &f->desc, apply, fds, err);

	/* The same with every daemon, whatever other programs do (T3). */
	flow->seed = session->seed ? session->seed : device.seed;
	device.seed = flow->seed ^ (uint64_t)flow->ordinal << 32;
	device.compiler =
		(struct plan_compiler){ .compile = request_compile, .context = flow->device };
	if (r == 0) {
		result_bytes = request_result_bytes(f, &values);
		text_bytes = request_text_bytes(f, values.values);
	}
	charged_bytes = request_charged_bytes(
		f, result_bytes, text_bytes, device_n_workers(flow->device->device));
	if (r == 0)
		r = request_charge(session, f, charged_bytes, result_bytes, text_bytes, err);
	/* First what can fail without a trace. */
	if (r == 0 && result_bytes) {
		offset = area_get(session->area, results_slot_bytes(result_bytes));
		if (offset == AREA_NONE)
			r = error_set(err, MAPI_QUOTA_EXCEEDED,
				"%s: the results of this program take all of their %u MiB",
				f->desc.name, SESSION_AREA_BYTES >> 20);
	}
	if (r == 0)
		r = request_find_refs(&refs, session, flow, &f->desc, &values, err);
	if (r == 0)
		r = plan_flow_apply(
			flow->device_flow.plan, f, values.values, &refs, &device, ret, err);
	if (r != 0) {
		area_put(session->area, offset, results_slot_bytes(result_bytes));
		return r;
	}
	session->apply.n_fds = 0; /* they are the function's now */
	flow->charged_bytes += charged_bytes;
	session->env.user->memory_bytes += charged_bytes;
	flow->result_bytes += result_bytes;
	session->env.user->result_bytes += result_bytes;
	if (f->search) {
		flow->search_bytes += (uint32_t)text_bytes;
		session->env.user->search_bytes += (uint32_t)text_bytes;
	}
	if (f->filter) {
		flow->filter_insns += flow->device->n_insns;
		session->env.user->filter_insns += flow->device->n_insns;
	}
	session->env.user->n_functions++;
	session->env.user->n_rings += f->ring != NULL;
	session->env.user->n_writers += f->draining != NULL;
	if (f->ring && f->ring((*ret)->memory))
		(void)ring_join(f->ring((*ret)->memory), session->rings);
	if (result_bytes)
		request_place_result(session, *ret, offset, result_bytes);
	return 0;
}

void request_apply_forget(struct session *session)
{
	for (unsigned int i = 0; i < session->apply.n_fds; i++)
		session_close_fd(session, session->apply.fds[i]);
	session->apply = (struct session_apply){ .message = NULL };
}

int request_apply_again(struct session *session, uint64_t id)
{
	const Wire__FlowApply *apply = session->apply.message;
	struct session_flow *flow = request_flow(session, apply->flow);
	const struct function *f = function_find(apply->function);
	struct plan_instance *instance = NULL;
	struct error err = ERROR_INIT;
	int r;

	if (!flow)
		r = error_set(&err, MAPI_INVALID_FLOW, "there is no flow %u", apply->flow);
	else if (!f)
		r = error_set(&err, MAPI_FUNCTION_NOT_FOUND, "there is no function '%.64s'",
			apply->function);
	else if (flow->connected)
		r = error_set(&err, MFUNCT_COULD_NOT_APPLY_FUNCT,
			"%s: the flow is connected already; apply functions before", f->desc.name);
	else if ((f->ring || session->apply.n_fds) && !closer_has_room(session_fd(session)))
		r = error_set(&err, MAPI_QUOTA_EXCEEDED,
			"%s: the daemon has no descriptors left (ulimit -n)", f->desc.name);
	else if (flow->device_flow.plan->n_instances >= SESSION_FUNCTIONS_MAX)
		r = error_set(&err, MAPI_QUOTA_EXCEEDED, "a flow may have %d functions",
			SESSION_FUNCTIONS_MAX);
	else
		r = request_apply_checked(
			session, flow, f, apply, session->apply.fds, &instance, &err);
	if (r == PLAN_E_AGAIN) {
		session_wait(session, SESSION_PENDING_COMPILE, id, NULL, apply->flow);
		return 0;
	}
	request_apply_forget(session);
	return r < 0 ? request_fail(session, id, r, &err)
		     : request_apply_reply(session, id, instance);
}

int request_flow_apply(struct session *session, uint64_t id, const Wire__FlowApply *apply)
{
	const struct function *f = function_find(apply->function);
	unsigned int n_fds = f ? apply_count_fds(&f->desc, apply) : 0;

	if (wire_conn_take_fds(session->conn, session->apply.fds, n_fds) < 0)
		return -EBADMSG;
	session->apply.message = apply;
	session->apply.n_fds = n_fds;
	return request_apply_again(session, id);
}

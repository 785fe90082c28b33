/* SPDX-License-Identifier: BSD-2-Clause */
/* See fake_engine.h. */
#undef NDEBUG
#include "fake_engine.h"

#include <assert.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "mapi/explain.h"

#define FAKE_AREA_BYTES (1u << 20)

struct fake_apply fake_last_apply;
_Atomic unsigned int fake_n_engines, fake_n_closed;
uint64_t fake_hello_seed, fake_hello_workers, fake_hello_batch_pkts;
bool fake_start_fails;
const struct fake_listed *fake_devices, *fake_flows;
const char *fake_refuses;
int fake_stall_fd = -1;
_Atomic unsigned int fake_n_stalled;

static struct fake {
	struct wire_conn *conn;
	pthread_t thread;
	bool is_running;
	int kill_fd;
	int listening_fd; /* -1: private */
	unsigned char *area;
	int area_fd;
	size_t area_used;
	uint32_t last_flow;
	uint32_t n_functions[4096]; /* of each flow */
	struct results_flow *heads[4096];
	int event_fd; /* 0: not asked for */
	uint64_t last_device;
	struct ring *rings[4096];
	unsigned int n_rings;
	struct results_flow *head;
	unsigned char *slots;
	size_t slot_bytes;
	uint64_t *cell;
	Wire__Request__CallCase fault_call;
	enum fake_fault fault;
} fake;

/* ---- what it describes ---- */

struct fake_arg {
	const char *name;
	char type;
	const char *default_text;
	long long min, max;
	int error_code;
};

static const struct fake_function {
	const char *name;
	struct fake_arg args[9];
	unsigned int result_bytes;
	unsigned int n_slots;
	unsigned int flags;
	bool has_ring;
} fake_functions[] = {
	{ .name = "PKT_COUNTER", .result_bytes = 8, .n_slots = 1 },
	{ .name = "BPF_FILTER", .args = { { "expression", 's', NULL, 0, 0, 7001 } } },
	{ .name = "STR_SEARCH",
		.args = { { "pattern", 's', NULL, 0, 0, 7001 },
			{ "offset", 'i', "0", 0, 65535, 7002 },
			{ "depth", 'i', "0", 0, 65535, 7003 } } },
	{ .name = "TO_BUFFER",
		.args = { { "wait", 'i', "0", 0, 1, 7001 } },
		.flags = MAPI_FUNCTION_PACKETS,
		.has_ring = true },
	{ .name = "TO_FILE",
		.args = { { "format", 'i', NULL, 0, 0, 7001 }, { "path", 'w', NULL, 0, 0, 6155 },
			{ "limit", 'l', "0", 0, 0, 7003 } } },
	{ .name = "STATS",
		.args = { { "fd", 'r', NULL, 0, 0, 7001 }, { "fid", 'f', NULL, 0, 0, 7001 },
			{ "interval", 's', "0", 0, 0, 7003 } } },
	{ .name = "REFS", .args = { { "refs", 'S', NULL, 0, 0, 7002 } } },
	{ .name = "CHAR", .args = { { "char", 'c', "65", 0, 0, 7001 } } },
	{ .name = "RECORDS",
		.result_bytes = 16,
		.flags = MAPI_FUNCTION_BLOCKING,
		.has_ring = true },
	{ .name = "MERGE", .result_bytes = 64, .n_slots = FAKE_MERGE_SLOTS },
};

static const struct fake_function *fake_find(const char *name)
{
	const char *colon = strchr(name, ':');

	name = colon ? colon + 1 : name;
	for (size_t i = 0; i < ARRAY_SIZE(fake_functions); i++)
		if (strncmp(fake_functions[i].name, name, strcspn(name, "!")) == 0 &&
			strlen(fake_functions[i].name) == strcspn(name, "!"))
			return &fake_functions[i];
	return NULL;
}

static void fake_reply(const Wire__Reply *reply, const int fds[], unsigned int n_fds)
{
	int r = wire_conn_put(fake.conn, &reply->base, fds, n_fds);

	while (r == WIRE_E_AGAIN) {
		struct pollfd pollfd = { .fd = wire_conn_fd(fake.conn), .events = POLLOUT };

		(void)poll(&pollfd, 1, -1);
		r = wire_conn_flush(fake.conn);
	}
}

static void fake_reply_done(uint64_t id)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__Empty empty = WIRE__EMPTY__INIT;

	reply.id = id;
	reply.result_case = WIRE__REPLY__RESULT_DONE;
	reply.done = &empty;
	fake_reply(&reply, NULL, 0);
}

static void fake_reply_error(uint64_t id, int code, const char *text)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__Error error = WIRE__ERROR__INIT;

	reply.id = id;
	error.code = code;
	error.text = (char *)(uintptr_t)text;
	reply.error = &error;
	fake_reply(&reply, NULL, 0);
}

static void fake_describe_fields(Wire__FunctionDesc *m, const struct fake_function *f)
{
	static const struct {
		unsigned int type, offset_bytes, merge;
	} merges[] = {
		{ MAPI_FIELD_U64, 0, MAPI_MERGE_SUM },
		{ MAPI_FIELD_U32, 8, MAPI_MERGE_MAX },
		{ MAPI_FIELD_I32, 12, MAPI_MERGE_MIN },
		{ MAPI_FIELD_F64, 16, MAPI_MERGE_SUM },
		{ MAPI_FIELD_U16, 24, MAPI_MERGE_LAST },
		{ MAPI_FIELD_F80, 32, MAPI_MERGE_SUM },
		{ MAPI_FIELD_I64, 48, MAPI_MERGE_MIN },
		{ MAPI_FIELD_TS, 56, MAPI_MERGE_MAX },
	};
	bool is_merge = strcmp(f->name, "MERGE") == 0;

	m->n_fields = f->n_slots == 0 ? 0 : is_merge ? ARRAY_SIZE(merges) : 1;
	m->fields = calloc(m->n_fields + 1, sizeof(*m->fields));
	for (size_t i = 0; i < m->n_fields; i++) {
		m->fields[i] = calloc(1, sizeof(**m->fields));
		wire__field_desc__init(m->fields[i]);
		m->fields[i]->name = (char *)(uintptr_t) "value";
		m->fields[i]->type = merges[is_merge ? i : 0].type;
		m->fields[i]->offset_bytes = merges[is_merge ? i : 0].offset_bytes;
		m->fields[i]->merge = merges[is_merge ? i : 0].merge;
	}
}

static Wire__FunctionDesc *fake_describe_one(const struct fake_function *f)
{
	static Wire__Choice choice = WIRE__CHOICE__INIT;
	static Wire__Choice *choices[] = { &choice };
	Wire__FunctionDesc *m = calloc(1, sizeof(*m));

	wire__function_desc__init(m);
	m->name = (char *)(uintptr_t)f->name;
	m->library = (char *)(uintptr_t) "stdflib";
	m->result_bytes = f->result_bytes;
	m->flags = f->flags;
	fake_describe_fields(m, f);
	m->args = calloc(ARRAY_SIZE(f->args), sizeof(*m->args));
	for (; f->args[m->n_args].name; m->n_args++) {
		const struct fake_arg *from = &f->args[m->n_args];
		Wire__ArgDesc *to = calloc(1, sizeof(*to));

		wire__arg_desc__init(to);
		to->name = (char *)(uintptr_t)from->name;
		to->type = (uint32_t)from->type;
		to->has_default = from->default_text != NULL;
		to->default_text =
			(char *)(uintptr_t)(from->default_text ? from->default_text : "");
		to->min = from->min;
		to->max = from->max;
		to->error_code = from->error_code;
		if (strcmp(f->name, "TO_BUFFER") == 0) {
			choice.name = (char *)(uintptr_t) "NOWAIT";
			choice.value = NOWAIT;
			to->choices = choices;
			to->n_choices = 1;
		}
		m->args[m->n_args] = to;
	}
	return m;
}

static void fake_describe(const Wire__Request *request)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__DescribeReply body = WIRE__DESCRIBE_REPLY__INIT;
	Wire__FunctionDesc *descs[ARRAY_SIZE(fake_functions)];

	if (*request->describe->name && !fake_find(request->describe->name)) {
		fake_reply_error(request->id, 6144, "no such function; did you mean another?");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(fake_functions); i++)
		descs[i] = fake_describe_one(&fake_functions[i]);
	reply.id = request->id;
	reply.result_case = WIRE__REPLY__RESULT_DESCRIBE;
	reply.describe = &body;
	body.n_functions = ARRAY_SIZE(descs);
	body.functions = descs;
	fake_reply(&reply, NULL, 0);
	for (size_t i = 0; i < ARRAY_SIZE(descs); i++) {
		for (size_t k = 0; k < descs[i]->n_args; k++)
			free(descs[i]->args[k]);
		for (size_t k = 0; k < descs[i]->n_fields; k++)
			free(descs[i]->fields[k]);
		free(descs[i]->args);
		free(descs[i]->fields);
		free(descs[i]);
	}
}

/* ---- requests ---- */

static size_t fake_area_get(size_t n_bytes)
{
	size_t offset = fake.area_used;

	fake.area_used +=
		(n_bytes + RESULTS_ALIGN_BYTES - 1) / RESULTS_ALIGN_BYTES * RESULTS_ALIGN_BYTES;
	if (fake.area_used > FAKE_AREA_BYTES) {
		fake.area_used = 0; /* tests with many flows do not look at their results */
		return fake_area_get(n_bytes);
	}
	memset(fake.area + offset, 0, n_bytes);
	return offset;
}

static void fake_hello(const Wire__Request *request, enum fake_fault fault)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__HelloReply body = WIRE__HELLO_REPLY__INIT;

	fake_hello_seed = request->hello->has_seed ? request->hello->seed : 0;
	fake_hello_workers = request->hello->workers;
	fake_hello_batch_pkts = request->hello->batch_pkts;
	reply.id = request->id;
	reply.result_case = WIRE__REPLY__RESULT_HELLO;
	reply.hello = &body;
	body.version = fault == FAKE_WRONG_VERSION ? 999 : WIRE_VERSION;
	body.results_bytes = fault == FAKE_BAD_OFFSET ? 2 * FAKE_AREA_BYTES : FAKE_AREA_BYTES;
	fake_reply(&reply, &fake.area_fd, fault == FAKE_NO_FDS ? 0 : 1);
}

static void fake_device_open(const Wire__Request *request)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__DeviceReply body = WIRE__DEVICE_REPLY__INIT;
	int fd;

	if (wire_conn_take_fds(fake.conn, &fd, 1) == 0) {
		close(fd);
	} else if (strncmp(request->device_open->name, "fake", 4) != 0) {
		fake_reply_error(request->id, 3200, "");
		return;
	}
	reply.id = request->id;
	reply.result_case = WIRE__REPLY__RESULT_DEVICE;
	reply.device = &body;
	body.device = ++fake.last_device;
	fake_reply(&reply, NULL, 0);
}

static void fake_flow_create(const Wire__Request *request, enum fake_fault fault)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__FlowReply body = WIRE__FLOW_REPLY__INIT;
	size_t offset = fake_area_get(sizeof(struct results_flow));

	fake.head = (struct results_flow *)(void *)(fake.area + offset);
	reply.id = request->id;
	reply.result_case = WIRE__REPLY__RESULT_FLOW;
	reply.flow = &body;
	body.flow = ++fake.last_flow;
	fake.n_functions[body.flow % ARRAY_SIZE(fake.n_functions)] = 0;
	fake.heads[body.flow % ARRAY_SIZE(fake.heads)] = fake.head;
	body.flow_offset_bytes = fault == FAKE_BAD_OFFSET ? FAKE_AREA_BYTES : offset;
	fake_reply(&reply, NULL, 0);
}

static void fake_note_apply(const Wire__FlowApply *apply)
{
	struct fake_apply *a = &fake_last_apply;
	int fd;

	*a = (struct fake_apply){ .n_args = (unsigned int)apply->n_args, .flow = apply->flow };
	for (unsigned int i = 0; i < a->n_args; i++) {
		const Wire__Value *v = apply->args[i];

		a->kinds[i] = v->kind_case;
		if (v->kind_case == WIRE__VALUE__KIND_NUMBER)
			a->numbers[i] = v->number;
		if (v->kind_case == WIRE__VALUE__KIND_LARGE)
			a->large[i] = v->large;
		if (v->kind_case == WIRE__VALUE__KIND_TEXT)
			(void)snprintf(a->texts[i], sizeof(a->texts[i]), "%s", v->text);
	}
	for (; wire_conn_take_fds(fake.conn, &fd, 1) == 0; a->n_fds++) {
		assert((fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY);
		assert(write(fd, "written", 7) == 7);
		close(fd);
	}
}

static void fake_flow_apply(const Wire__Request *request, enum fake_fault fault)
{
	const struct fake_function *f = fake_find(request->flow_apply->function);
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__ApplyReply body = WIRE__APPLY_REPLY__INIT;
	int fds[RING_N_FDS];

	fake_note_apply(request->flow_apply);
	if (fake_refuses && strcmp(f->name, fake_refuses) == 0) {
		fake_reply_error(request->id, 7001, "not any more");
		return;
	}
	if (strcmp(f->name, "BPF_FILTER") == 0 &&
		strcmp(request->flow_apply->args[0]->text, "syntax error") == 0) {
		fake_reply_error(request->id, 1025, "syntax error at 'error'");
		return;
	}
	reply.id = request->id;
	reply.result_case = WIRE__REPLY__RESULT_APPLY;
	reply.apply = &body;
	body.function =
		++fake.n_functions[request->flow_apply->flow % ARRAY_SIZE(fake.n_functions)];
	body.result_bytes = f->result_bytes;
	body.n_slots = f->n_slots;
	if (f->n_slots > 0) {
		size_t offset = fake_area_get(f->n_slots * results_slot_bytes(f->result_bytes));

		fake.slots = fake.area + offset;
		fake.slot_bytes = results_slot_bytes(f->result_bytes);
		body.slot_offset_bytes = fault == FAKE_BAD_OFFSET ? 1 : offset;
	}
	if (f->has_ring) {
		struct ring *ring;

		assert(fake.n_rings < ARRAY_SIZE(fake.rings));
		assert(ring_new(&ring, 65536, true) == 0);
		fake.rings[fake.n_rings++] = ring;
		ring_fds(ring, fds);
		body.has_ring = true;
		body.no_wait = strcmp(f->name, "TO_BUFFER") == 0 &&
			fake_last_apply.kinds[0] == WIRE__VALUE__KIND_NUMBER &&
			fake_last_apply.numbers[0] == NOWAIT;
	}
	fake_reply(&reply, fds, f->has_ring && fault != FAKE_NO_FDS ? RING_N_FDS : 0);
}

static void fake_flow_connect(const Wire__Request *request)
{
	struct results_flow *head =
		fake.heads[request->flow_connect->flow % ARRAY_SIZE(fake.heads)];

	results_write_begin(&head->seq);
	head->published_ns = clock_monotonic_ns();
	head->status = FLOW_ACTIVE;
	results_write_end(&head->seq);
	fake_reply_done(request->id);
}

static void fake_flow_events(const Wire__Request *request)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__Empty empty = WIRE__EMPTY__INIT;

	if (fake.listening_fd < 0) {
		fake_reply_done(request->id); /* it forgets the descriptor */
		return;
	}
	if (fake.event_fd > 0)
		close(fake.event_fd);
	fake.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	reply.id = request->id;
	reply.result_case = WIRE__REPLY__RESULT_DONE;
	reply.done = &empty;
	fake_reply(&reply, &fake.event_fd, 1);
}

static void fake_result_cell(const Wire__Request *request, enum fake_fault fault)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__CellReply body = WIRE__CELL_REPLY__INIT;
	size_t offset = fake_area_get(sizeof(uint64_t));

	fake.cell = (uint64_t *)(void *)(fake.area + offset);
	reply.id = request->id;
	reply.result_case = WIRE__REPLY__RESULT_CELL;
	reply.cell = &body;
	body.cell_offset_bytes = fault == FAKE_BAD_OFFSET ? FAKE_AREA_BYTES - 4 : offset;
	fake_reply(&reply, NULL, 0);
}

static void fake_flow_error(const Wire__Request *request)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__Error body = WIRE__ERROR__INIT;

	body.code = fake.head->error_code;
	body.text = (char *)(uintptr_t) "the file is damaged at offset 17";
	reply.id = request->id;
	reply.result_case = WIRE__REPLY__RESULT_FLOW_ERROR;
	reply.flow_error = &body;
	fake_reply(&reply, NULL, 0);
}

/* Return: NULL with an error reply. */
static const struct fake_listed *fake_find_listed(
	uint64_t request_id, const struct fake_listed *list, int id, bool next, int code)
{
	for (; list && list->id; list++)
		if (next ? list->id > id : list->id == id)
			return list;
	fake_reply_error(request_id, code, "not in the list");
	return NULL;
}

static void fake_list_device(const Wire__Request *request)
{
	const struct fake_listed *found = fake_find_listed(request->id, fake_devices,
		request->list_device->id, request->list_device->next, MAPI_DEVICE_INFO_ERR);
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__ListedDevice body = WIRE__LISTED_DEVICE__INIT;

	if (!found)
		return;
	body.id = found->id;
	body.device = (char *)(uintptr_t)found->device;
	body.driver = (char *)(uintptr_t) "fake";
	body.alias = (char *)(uintptr_t)found->alias;
	body.description = (char *)(uintptr_t) "a device";
	body.link_speed_mbps = found->functions;
	body.vlan = true;
	reply.id = request->id;
	reply.result_case = WIRE__REPLY__RESULT_LISTED_DEVICE;
	reply.listed_device = &body;
	fake_reply(&reply, NULL, 0);
}

static void fake_list_flow(const Wire__Request *request)
{
	const Wire__ListFlow *list = request->list_flow;
	const struct fake_listed *found = fake_find_listed(request->id, fake_flows, (int)list->id,
		list->next, list->next ? MAPI_FLOW_INFO_ERR : MAPI_INVALID_FLOW);
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__ListedFlow body = WIRE__LISTED_FLOW__INIT;

	if (!found)
		return;
	body.id = (uint32_t)found->id;
	body.uid = 4711;
	body.device_id = 12;
	body.device = (char *)(uintptr_t)found->device;
	body.functions = found->functions;
	body.start_ns = 7000000000u;
	body.status = FLOW_ACTIVE;
	reply.id = request->id;
	reply.result_case = WIRE__REPLY__RESULT_LISTED_FLOW;
	reply.listed_flow = &body;
	fake_reply(&reply, NULL, 0);
}

/* Every flow that is listed, and every other, has the functions 1 and 3. */
static void fake_list_function(const Wire__Request *request)
{
	const Wire__ListFunction *list = request->list_function;
	uint32_t fid = list->next ? (list->function < 1 ? 1 : 3) : list->function;
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__ListedFunction body = WIRE__LISTED_FUNCTION__INIT;

	if (fake_flows &&
		!fake_find_listed(
			request->id, fake_flows, (int)list->flow, false, MAPI_INVALID_FLOW))
		return;
	if ((list->next && list->function >= 3) || (fid != 1 && fid != 3)) {
		fake_reply_error(request->id, MAPI_FUNCTION_INFO_ERR, "no such function");
		return;
	}
	body.function = fid;
	body.name = (char *)(uintptr_t) "FAKE";
	body.library = (char *)(uintptr_t) "fakelib";
	body.pkts = 1000 + fid;
	body.passed_pkts = 500;
	body.result_bytes = 8;
	reply.id = request->id;
	reply.result_case = WIRE__REPLY__RESULT_LISTED_FUNCTION;
	reply.listed_function = &body;
	fake_reply(&reply, NULL, 0);
}

/* Only of devices that the client has opened, and of "fake9". */
static void fake_device_stats(const Wire__Request *request)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__DeviceStatsReply body = WIRE__DEVICE_STATS_REPLY__INIT;

	if (!request->device_stats->device && strcmp(request->device_stats->name, "fake9") != 0) {
		fake_reply_error(request->id, MAPI_STATS_ERROR, "nobody uses it");
		return;
	}
	body.pkts = ((uint64_t)1 << 32) + 7;
	body.ring_lost_pkts = 3;
	body.nic_lost_pkts = 2;
	reply.id = request->id;
	reply.result_case = WIRE__REPLY__RESULT_DEVICE_STATS;
	reply.device_stats = &body;
	fake_reply(&reply, NULL, 0);
}

static void fake_explain(const Wire__Request *request)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__ExplainReply body = WIRE__EXPLAIN_REPLY__INIT;

	body.tier = MAPI_TIER_KERNEL;
	body.kind = MAPI_WORK_SEARCH;
	body.order = MAPI_ORDER_AFFINITY;
	body.step = 2;
	body.n_steps = 5;
	body.domain = 1;
	body.together = 4;
	body.shared = 3;
	body.late = true;
	body.group = 6;
	body.instructions = 77;
	body.ns_per_pkt = 1.5;
	body.reason = (char *)(uintptr_t) "because";
	reply.id = request->id;
	reply.result_case = WIRE__REPLY__RESULT_EXPLAIN;
	reply.explain = &body;
	fake_reply(&reply, NULL, 0);
}

/* Return: false to end. */
static bool fake_misbehave(Wire__Request *request, enum fake_fault fault)
{
	int fd;

	while (wire_conn_take_fds(fake.conn, &fd, 1) == 0)
		close(fd);
	switch (fault) {
	case FAKE_DIES:
		return false;
	case FAKE_WRONG_ID:
		fake_reply_done(request->id + 1);
		return true;
	case FAKE_GARBAGE:
		assert(write(wire_conn_fd(fake.conn), "\0\0\0\4\377\377\377\377", 8) == 8);
		return true;
	case FAKE_WRONG_REPLY:
		fake_reply_done(request->id);
		return true;
	default:
		assert(!"unexpected");
		return false;
	}
}

static bool fake_answer(Wire__Request *request)
{
	enum fake_fault fault = FAKE_NO_FAULT;

	if (request->call_case == fake.fault_call && fake.fault != FAKE_NO_FAULT) {
		fault = fake.fault;
		fake.fault = FAKE_NO_FAULT;
		if (fault <= FAKE_WRONG_REPLY)
			return fake_misbehave(request, fault);
		if (fault == FAKE_STALLS) {
			struct pollfd pollfd = { .fd = fake_stall_fd, .events = POLLIN };

			atomic_fetch_add(&fake_n_stalled, 1);
			(void)poll(&pollfd, 1, -1);
		}
	}
	switch (request->call_case) {
	case WIRE__REQUEST__CALL_HELLO:
		fake_hello(request, fault);
		return true;
	case WIRE__REQUEST__CALL_DESCRIBE:
		fake_describe(request);
		return true;
	case WIRE__REQUEST__CALL_DEVICE_OPEN:
		fake_device_open(request);
		return true;
	case WIRE__REQUEST__CALL_FLOW_CREATE:
		fake_flow_create(request, fault);
		return true;
	case WIRE__REQUEST__CALL_FLOW_APPLY:
		fake_flow_apply(request, fault);
		return true;
	case WIRE__REQUEST__CALL_FLOW_CONNECT:
		fake_flow_connect(request);
		return true;
	case WIRE__REQUEST__CALL_FLOW_EVENTS:
		fake_flow_events(request);
		return true;
	case WIRE__REQUEST__CALL_RESULT_CELL:
		fake_result_cell(request, fault);
		return true;
	case WIRE__REQUEST__CALL_FLOW_ERROR:
		fake_flow_error(request);
		return true;
	case WIRE__REQUEST__CALL_LIST_DEVICE:
		fake_list_device(request);
		return true;
	case WIRE__REQUEST__CALL_LIST_FLOW:
		fake_list_flow(request);
		return true;
	case WIRE__REQUEST__CALL_LIST_FUNCTION:
		fake_list_function(request);
		return true;
	case WIRE__REQUEST__CALL_DEVICE_STATS:
		fake_device_stats(request);
		return true;
	case WIRE__REQUEST__CALL_EXPLAIN:
		fake_explain(request);
		return true;
	case WIRE__REQUEST__CALL_FLOW_CLOSE:
		atomic_fetch_add(&fake_n_closed, 1);
		fake_reply_done(request->id);
		return true;
	default:
		fake_reply_done(request->id);
		return true;
	}
}

/* One connection. Return: false: the engine is to end. */
static bool fake_serve(void)
{
	struct pollfd pollfds[] = { { .fd = wire_conn_fd(fake.conn), .events = POLLIN },
		{ .fd = fake.kill_fd, .events = POLLIN } };
	bool goes_on = true, is_killed = false;

	while (goes_on) {
		const uint8_t *frame;
		size_t n_bytes;
		int r = wire_conn_next(fake.conn, &frame, &n_bytes);

		if (r == WIRE_E_AGAIN) {
			(void)poll(pollfds, 2, -1);
			is_killed = pollfds[1].revents != 0;
			goes_on = !is_killed;
		} else if (r == 0) {
			Wire__Request *request = wire__request__unpack(NULL, n_bytes, frame);

			assert(request);
			goes_on = fake_answer(request);
			wire__request__free_unpacked(request, NULL);
		} else {
			goes_on = false;
		}
	}
	(void)shutdown(wire_conn_fd(fake.conn), SHUT_RDWR);
	return !is_killed;
}

static void *fake_run(void *data)
{
	struct pollfd pollfds[] = { { .fd = fake.listening_fd, .events = POLLIN },
		{ .fd = fake.kill_fd, .events = POLLIN } };

	if (fake.listening_fd < 0) {
		(void)fake_serve();
		return data;
	}
	do {
		fake.conn = wire_conn_free(fake.conn);
		(void)poll(pollfds, 2, -1);
		if (pollfds[1].revents)
			break;
		assert(wire_conn_new(&fake.conn,
			       accept4(fake.listening_fd, NULL, NULL, SOCK_CLOEXEC)) == 0);
	} while (fake_serve());
	return data;
}

void fake_engine_kill(void)
{
	uint64_t one = 1;

	if (!fake.is_running)
		return;
	if (fake.listening_fd >= 0)
		(void)shutdown(fake.listening_fd, SHUT_RDWR);
	(void)!write(fake.kill_fd + 1, &one, sizeof(one)); /* see fake_start() */
	pthread_join(fake.thread, NULL);
	fake.is_running = false;
	for (unsigned int i = 0; i < fake.n_rings; i++)
		ring_free(fake.rings[i]);
	wire_conn_free(fake.conn);
	munmap(fake.area, FAKE_AREA_BYTES);
	close(fake.area_fd);
	close(fake.kill_fd);
	close(fake.kill_fd + 1);
	if (fake.listening_fd >= 0)
		close(fake.listening_fd);
	if (fake.event_fd > 0)
		close(fake.event_fd);
	fake = (struct fake){ .fault_call = fake.fault_call, .fault = fake.fault };
}

void fake_engine_forget(void)
{
	fake = (struct fake){ .n_rings = 0 };
}

static void fake_start(struct wire_conn *conn, int listening_fd)
{
	int pipes[2];

	assert(pipe2(pipes, O_CLOEXEC) == 0);
	fake.kill_fd = fcntl(pipes[0], F_DUPFD_CLOEXEC, 500);
	assert(dup3(pipes[1], fake.kill_fd + 1, O_CLOEXEC) >= 0);
	close(pipes[0]);
	close(pipes[1]);
	fake.conn = conn;
	fake.listening_fd = listening_fd;
	fake.area_fd = memfd_create("results", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert(ftruncate(fake.area_fd, FAKE_AREA_BYTES) == 0);
	assert(fcntl(fake.area_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
	fake.area =
		mmap(NULL, FAKE_AREA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fake.area_fd, 0);
	assert(fake.area != MAP_FAILED);
	assert(pthread_create(&fake.thread, NULL, fake_run, NULL) == 0);
	fake.is_running = true;
}

/* Instead of start.c. */
int private_start(int *ret_fd)
{
	struct wire_conn *conn;
	int sockets[2];

	if (fake_start_fails)
		return client_fail(MCOM_INIT_SOCKET_ERROR, "not today");
	fake_engine_kill(); /* a dead one still has its memory */
	atomic_fetch_add(&fake_n_engines, 1);
	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0);
	assert(wire_conn_new(&conn, sockets[1]) == 0);
	fake_start(conn, -1);
	*ret_fd = sockets[0];
	return 0;
}

void fake_system_start(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	fake_engine_kill();
	atomic_fetch_add(&fake_n_engines, 1);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	(void)unlink(path);
	assert(bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
	assert(listen(fd, 8) == 0);
	fake_start(NULL, fd);
}

/* ---- what tests do to it, while it waits for a request ---- */

void fake_engine_fault(Wire__Request__CallCase call, enum fake_fault fault)
{
	fake.fault_call = call;
	fake.fault = fault;
}

struct ring *fake_last_ring(void)
{
	return fake.rings[fake.n_rings - 1];
}

void fake_write_slot(unsigned int i, uint64_t order, const void *data, size_t n_bytes)
{
	struct results_slot *slot = (void *)(fake.slots + i * fake.slot_bytes);

	results_write_begin(&slot->seq);
	slot->order = order;
	memcpy(slot->data, data, n_bytes);
	results_write_end(&slot->seq);
}

void fake_write_head(enum mapi_flow_status status, int error_code)
{
	results_write_begin(&fake.head->seq);
	fake.head->status = status;
	fake.head->error_code = error_code;
	fake.head->start_ns = 1000000000ull * 12345;
	fake.head->end_ns = status == FLOW_FINISHED ? 1000000000ull * 12346 : 0;
	fake.head->pkts = 42;
	fake.head->late_pkts = 3;
	for (unsigned int k = 0; k < RESULTS_N_LOSS; k++)
		fake.head->lost_pkts[k] = 10 + k;
	fake.head->done_bytes = 50;
	fake.head->total_bytes = 100;
	results_write_end(&fake.head->seq);
}

void fake_write_event(void)
{
	assert(eventfd_write(fake.event_fd, 1) == 0);
}

void fake_write_cell(uint64_t value)
{
	*fake.cell = value;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Devices, flows, functions and results of the fake engine: see fake_engine.h. */
#undef NDEBUG
#include "fake_engine_private.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/clock.h"

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

void fake_hello(const Wire__Request *request, enum fake_fault fault)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__HelloReply body = WIRE__HELLO_REPLY__INIT;
	const int fds[] = { fake.area_fd, fake.life_fds[0] };

	fake_hello_seed = request->hello->has_seed ? request->hello->seed : 0;
	fake_hello_workers = request->hello->workers;
	fake_hello_batch_pkts = request->hello->batch_pkts;
	reply.id = request->id;
	reply.result_case = WIRE__REPLY__RESULT_HELLO;
	reply.hello = &body;
	body.version = fault == FAKE_WRONG_VERSION ? 999 : WIRE_VERSION;
	body.results_bytes = fault == FAKE_BAD_OFFSET ? 2 * FAKE_AREA_BYTES : FAKE_AREA_BYTES;
	body.lifeline = request->hello->lifeline && fake.listening_fd >= 0;
	fake_reply(&reply, fds, fault == FAKE_NO_FDS ? 0 : body.lifeline ? 2 : 1);
}

void fake_device_open(const Wire__Request *request)
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

void fake_flow_create(const Wire__Request *request, enum fake_fault fault)
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

void fake_flow_apply(const Wire__Request *request, enum fake_fault fault)
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

void fake_flow_connect(const Wire__Request *request)
{
	struct results_flow *head =
		fake.heads[request->flow_connect->flow % ARRAY_SIZE(fake.heads)];

	results_write_begin(&head->seq);
	head->published_ns = clock_monotonic_ns();
	head->status = FLOW_ACTIVE;
	results_write_end(&head->seq);
	fake.is_connected[request->flow_connect->flow % ARRAY_SIZE(fake.heads)] = true;
	fake_reply_done(request->id);
}

void fake_flow_events(const Wire__Request *request)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__Empty empty = WIRE__EMPTY__INIT;

	if (fake.listening_fd < 0) {
		fake_reply_done(request->id); /* it forgets the descriptor */
		return;
	}
	if (!fake.is_connected[request->flow_events->flow % ARRAY_SIZE(fake.heads)]) {
		fake_reply_error(request->id, MAPI_FLOW_NOT_CONNECTED, "not connected");
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

void fake_result_cell(const Wire__Request *request, enum fake_fault fault)
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

void fake_flow_error(const Wire__Request *request)
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

/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of the fake engine: its state, and the answers that they give. */
#ifndef MAPI_CLIENT_FAKE_ENGINE_PRIVATE_H
#define MAPI_CLIENT_FAKE_ENGINE_PRIVATE_H

#include <pthread.h>

#include "fake_engine.h"

#define FAKE_AREA_BYTES (1u << 20)

struct fake {
	struct wire_conn *conn;
	pthread_t thread;
	bool is_running;
	int kill_fd;
	int listening_fd; /* -1: private */
	int life_fds[2]; /* of the system daemon: for clients, its own */
	_Atomic bool hangs; /* its end is told by these only */
	unsigned char *area;
	int area_fd;
	size_t area_used;
	uint32_t last_flow;
	uint32_t n_functions[4096]; /* of each flow */
	bool is_connected[4096];
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
};
extern struct fake fake;

struct fake_arg {
	const char *name;
	char type;
	const char *default_text;
	long long min, max;
	int error_code;
	bool legacy_optional;
};

struct fake_function {
	const char *name;
	struct fake_arg args[9];
	unsigned int result_bytes;
	unsigned int n_slots;
	unsigned int flags;
	bool has_ring;
};

/* fake_engine.c */
void fake_reply(const Wire__Reply *reply, const int fds[], unsigned int n_fds);
void fake_reply_done(uint64_t id);
void fake_reply_error(uint64_t id, int code, const char *text);

/* fake_describe.c: what it describes. */
const struct fake_function *fake_find(const char *name);
void fake_describe(const Wire__Request *request);

/* fake_flows.c: devices, flows, functions and results. */
void fake_hello(const Wire__Request *request, enum fake_fault fault);
void fake_device_open(const Wire__Request *request);
void fake_flow_create(const Wire__Request *request, enum fake_fault fault);
void fake_flow_apply(const Wire__Request *request, enum fake_fault fault);
void fake_flow_connect(const Wire__Request *request);
void fake_flow_events(const Wire__Request *request);
void fake_result_cell(const Wire__Request *request, enum fake_fault fault);
void fake_flow_error(const Wire__Request *request);

/* fake_list.c: what it lists and tells. */
void fake_list_device(const Wire__Request *request);
void fake_list_flow(const Wire__Request *request);
void fake_list_function(const Wire__Request *request);
void fake_device_stats(const Wire__Request *request);
void fake_explain(const Wire__Request *request);

#endif

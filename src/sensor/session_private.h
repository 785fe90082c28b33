/* SPDX-License-Identifier: BSD-2-Clause */
/* What a session is made of: shared by session.c, session_flow.c, session_pending.c and, through
 * requests_private.h, by those that answer requests. */
#ifndef MAPI_SENSOR_SESSION_PRIVATE_H
#define MAPI_SENSOR_SESSION_PRIVATE_H

#include "area.h"
#include "compiler.h"
#include "device.h"
#include "mapi.pb-c.h"
#include "session.h"
#include "users.h"
#include "wire/ring.h"
#include "wire/wire.h"

/**
 * struct session_device - a device that the client has opened
 * @closed:  the client is done with it; it goes with its last flow
 * @running: results may change
 * @entry:   it is the registry's, shared with others; NULL: its own
 * @compiler: the session's
 * @user:    the session's
 * @n_insns: of the filter that was compiled last for a flow that is not connected yet
 */
struct session_device {
	uint64_t id;
	unsigned int index; /* in session->devices */
	unsigned int n_flows;
	bool closed;
	bool running;
	struct registry_entry *entry;
	struct device *device;
	struct compiler_client *compiler;
	const struct user *user;
	unsigned int n_insns;
	struct session_device *next_released;
};

/**
 * struct session_flow - a flow that the client has made
 * @ordinal: the how-many-th flow of the client it is, from 1
 * @seed: as the client gave it, or the default
 * @start:   its device starts when it is connected
 * @told:    gates that wait for it know that it has come into the plan, or never will
 * @closed:  the client is done with it
 * @retiring: closed, but others refer to it: what does not serve them is on its way out
 * @charged_bytes: memory of its functions that its user is charged for, until it is given back
 * @search_bytes: characters of its searches, likewise
 * @filter_insns: instructions of its filters, likewise
 * @result_bytes: of its results, likewise
 * @needed:  others refer to it that are open, themselves or by others; as it was found last
 * @leaving: it is on its way out of the plan, and is freed when that has settled
 * @hanging: it has left, its device, too; only a thread of a function is still in the kernel
 */
struct session_flow {
	uint32_t id;
	uint32_t ordinal;
	uint64_t seed;
	unsigned int index; /* in session->flows */
	struct session_device *device;
	struct device_flow device_flow;
	uint64_t shared_offset;
	uint64_t charged_bytes;
	uint32_t search_bytes;
	uint32_t filter_insns;
	size_t result_bytes;
	bool start;
	bool connected;
	bool told;
	bool closed;
	bool retiring;
	bool needed;
	bool leaving;
	bool hanging;
};

/* A merged 8-byte cell (MAPI_REF). */
struct session_cell {
	struct session_flow *flow;
	const struct results_slot *slot;
	unsigned int field_offset_bytes;
	unsigned int field_bytes;
	uint64_t offset; /* of the cell in the area */
};

enum session_pending_kind {
	SESSION_PENDING_NONE,
	SESSION_PENDING_CONNECT,
	SESSION_PENDING_CLOSE,
	SESSION_PENDING_FLUSH,
	SESSION_PENDING_PREPARE, /* FlowConnect, or DeviceStart (no flow) */
	SESSION_PENDING_COMPILE, /* FlowApply: session->apply */
	SESSION_PENDING_OPEN, /* DeviceOpen: session->opening */
	_SESSION_PENDING_N
};

struct session_pending {
	enum session_pending_kind kind;
	uint64_t request_id;
	struct session_device *device;
	uint32_t flow_id;
	uint64_t epoch; /* CONNECT: of the device, with the flow. PREPARE: device_n_prepared() */
	struct device_moment begin;
	bool is_late; /* the time for it is over */
};

/**
 * struct session_apply - a FlowApply that is being answered, perhaps in several attempts
 * @message: in the session's arena, which holds one request at a time
 * @fds:     that came with it
 */
struct session_apply {
	const Wire__FlowApply *message;
	int fds[FUNCTION_ARGS_MAX];
	unsigned int n_fds;
};

/**
 * struct session_closing - the FlowClose that is being answered
 * @flow_id: 0: none
 * @error:   what the flow's functions could not hand on
 */
struct session_closing {
	uint32_t flow_id;
	struct error error;
};

struct session {
	struct wire_conn *conn;
	struct session_env env;
	struct session *next_session;
	bool left; /* the client has gone */
	bool unread; /* requests that have come are still to be answered */
	struct compiler_client *compiler;
	bool starved; /* the next one has descriptors for which there are no places */
	bool greeted;
	unsigned int n_workers; /* of its own devices */
	unsigned int live_workers; /* of live devices; 0: as configured */
	unsigned int batch_pkts;
	uint64_t seed;
	struct area *area;
	struct ring_group *rings;
	bool spilled;
	struct session_device **devices;
	unsigned int n_devices;
	uint64_t last_device_id;
	struct session_device *opening; /* that DeviceOpen waits for; NULL: none */
	struct session_device *released; /* to be freed when no answer waits for it */
	struct session_flow **flows;
	unsigned int n_flows;
	uint32_t n_flows_made; /* ever */
	struct session_cell *cells;
	unsigned int n_cells;
	struct session_pending pending;
	struct session_apply apply;
	struct session_closing closing;
	struct session_flow *preparing; /* that FlowConnect waits for; NULL: none */
	uint8_t *arena_bytes;
	size_t arena_n_bytes;
};

static inline uint64_t session_offset(const struct session *session, const void *at)
{
	return (uint64_t)((const uint8_t *)at - (const uint8_t *)area_at(session->area, 0));
}

/* session.c */
void session_close_fd(const struct session *session, int fd); /* that the client has sent */
void session_refresh_cells(struct session *session);
void session_refresh_cell(struct session *session, const struct session_cell *cell);
/* Whatever flow was to be connected: nothing is prepared for it any more. */
void session_forget_prepared(struct session *session);
void session_device_release(struct session *session, struct session_device *device);

/* session_flow.c. The client has closed the flow: it begins to leave, unless an open one refers to
 * it. */
void session_flow_close(struct session *session, struct session_flow *flow);
/* Free the flows whose leaving has settled; let those leave that nobody refers to any more. */
void session_sweep(struct session *session);
bool session_flow_closing(const struct session *session, uint32_t id);
/* Out of the plan and of its device, nobody waits for it: its functions hand on what they have kept
 * back. */
void session_flow_part(struct session *session, struct session_flow *flow);
void session_flow_free(struct session *session, struct session_flow *flow);

/* session_pending.c. The request is answered later. */
void session_wait(struct session *session, enum session_pending_kind kind, uint64_t request_id,
	struct session_device *device, uint32_t flow_id);
void session_wait_prepared(struct session *session, uint64_t request_id,
	struct session_device *device, struct session_flow *flow);
/* Answer it, if that can be done now. Return: 0, negative: the session is over. */
int session_answer_pending(struct session *session);

/* requests.c. Return: 0, negative: the session is over. */
int request_answer(struct session *session, const Wire__Request *request);
int request_done(struct session *session, uint64_t request_id);
int request_flushed(struct session *session, uint64_t request_id, bool is_late);
int request_closed(struct session *session, uint64_t request_id);
int request_connect(struct session *session, uint64_t request_id, uint32_t flow_id);
int request_start(struct session *session, uint64_t request_id, uint64_t device_id);
int request_open_again(struct session *session, uint64_t request_id);
void request_open_forget(struct session *session);

/* requests_apply.c. What session->apply says, once more. Return: as above. */
int request_apply_again(struct session *session, uint64_t request_id);
void request_apply_forget(struct session *session);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* What the answers to requests have in common: requests.c, requests_device.c, requests_flow.c,
 * requests_apply.c (FlowApply), requests_charge.c and requests_list.c (what there is, and how it
 * runs). */
#ifndef MAPI_SENSOR_REQUESTS_PRIVATE_H
#define MAPI_SENSOR_REQUESTS_PRIVATE_H

#include "session_private.h"

/* Return of all: 0, negative: the session is over. */
int request_reply(struct session *session, uint64_t request_id, Wire__Reply *reply, const int *fds,
	unsigned int n_fds);
int request_refuse(struct session *session, uint64_t request_id, const struct error *err);

/* Turn what a module returned into an error reply: -EINVAL has filled @err. */
int request_fail(struct session *session, uint64_t request_id, int r, struct error *err);

/* NULL if there is none, or it is closed. */
struct session_device *request_device(const struct session *session, uint64_t id);
struct session_flow *request_flow(const struct session *session, uint32_t id);
struct plan_instance *request_instance(const struct session_flow *flow, uint32_t fid);

/* There is none: an error reply. */
int request_no_device(struct session *session, uint64_t request_id);
int request_no_flow(struct session *session, uint64_t request_id, uint32_t id);

/* What a read of its result gives; a record, if it is read one by one. */
uint32_t request_result_bytes_of(const struct plan_instance *instance);

int request_device_open(struct session *session, uint64_t id, const Wire__DeviceOpen *open);
int request_device_start(struct session *session, uint64_t id, const Wire__DeviceStart *start);
int request_device_close(struct session *session, uint64_t id, const Wire__DeviceClose *close);
int request_flow_create(struct session *session, uint64_t id, const Wire__FlowCreate *create);
int request_flow_connect(struct session *session, uint64_t id, const Wire__FlowConnect *connect);
int request_flow_close(struct session *session, uint64_t id, const Wire__FlowClose *close);
int request_flow_flush(struct session *session, uint64_t id, const Wire__FlowFlush *flush);
int request_flow_error(struct session *session, uint64_t id, const Wire__FlowError *request);
int request_flow_events(struct session *session, uint64_t id, const Wire__FlowEvents *request);
int request_flow_interface(
	struct session *session, uint64_t id, const Wire__FlowInterface *request);
int request_result_cell(struct session *session, uint64_t id, const Wire__ResultCell *request);

/* What the list of devices calls it; 0: nothing. */
int request_device_number(const struct session *session, const struct session_device *device);
int request_list_device(struct session *session, uint64_t id, const Wire__ListDevice *list);
int request_list_flow(struct session *session, uint64_t id, const Wire__ListFlow *list);
int request_list_function(struct session *session, uint64_t id, const Wire__ListFunction *list);
int request_device_stats(struct session *session, uint64_t id, const Wire__DeviceStats *request);
int request_explain(struct session *session, uint64_t id, const Wire__Explain *request);
/* Memory that an instance is charged with. A state is kept for what is committed, and for what each
 * worker has in hand; a result whose length the arguments say takes it twice, where it is counted
 * and where it is read. */
size_t request_charged_bytes(
	const struct function *f, size_t result_bytes, size_t text_bytes, unsigned int n_workers);
/* Characters of its arguments. */
size_t request_text_bytes(const struct function *f, const struct function_value *values);
/* May this user have another instance? Return: 0, -EINVAL with @err filled. */
int request_charge(const struct session *session, const struct function *f, size_t charged_bytes,
	size_t result_bytes, size_t text_bytes, struct error *err);
/* May this user have another filter, of so many instructions? Return: as request_charge(). */
int request_charge_filter(const struct user *user, unsigned int n_insns, struct error *err);
int request_flow_apply(struct session *session, uint64_t id, const Wire__FlowApply *apply);

#endif

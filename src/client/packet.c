/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets of TO_BUFFER. */
#include "client.h"

/* Find a function with packets. Return: a referenced flow, NULL: failed. */
static struct flow *packet_begin(int fd, int fid)
{
	struct flow *flow;
	struct applied *applied = NULL;

	if (client_enter() < 0)
		return NULL;
	flow = flow_get(fd);
	if (flow)
		applied = flow_function(flow, fid);
	if (!applied || !(applied->desc->flags & MAPI_FUNCTION_PACKETS) || !applied->ring) {
		client_fail(MAPI_INVALID_FID_FUNCID,
			"there is no function %d of a flow %d that gives packets", fid, fd);
		goto failed;
	}
	if (flow_need_connected(flow) < 0)
		goto failed;
	return flow;
failed:
	if (flow)
		flow_put(flow);
	return NULL;
}

/* Return: 0, CLIENT_E_*, -1 with this thread's error. */
static int packet_next(struct flow *flow, int fid, const struct mapipkt **ret_pkt)
{
	const struct mapipkt *pkt;
	const void *record;
	size_t n_bytes;
	int r = client_next_record(flow, fid, &record, &n_bytes);

	if (r != 0)
		return r;
	pkt = record;
	if (n_bytes < offsetof(struct mapipkt, pkt) ||
		pkt->caplen > n_bytes - offsetof(struct mapipkt, pkt))
		return client_fail(MCOM_UNKNOWN_ERROR, "the packet ring is damaged");
	*ret_pkt = pkt;
	return 0;
}

struct mapipkt *mapi_get_next_pkt(int fd, int fid)
{
	const struct mapipkt *pkt = NULL;
	struct flow *flow = packet_begin(fd, fid);

	if (!flow)
		return NULL;
	if (packet_next(flow, fid, &pkt) > 0)
		client_clear_error();
	flow_put(flow);
	return (struct mapipkt *)(uintptr_t)pkt;
}

int mapi_loop(int fd, int fid, int cnt, mapi_handler callback)
{
	const struct mapipkt *pkt;
	struct flow *flow;
	int r = 0;

	if (client_enter() < 0)
		return -1;
	if (!callback)
		return client_fail(MFUNCT_INVALID_ARGUMENT_4, "the callback is NULL");
	flow = packet_begin(fd, fid);
	if (!flow)
		return -1;
	for (int n = 0; cnt <= 0 || n < cnt; n++) {
		r = packet_next(flow, fid, &pkt);
		if (r != 0)
			break;
		callback(pkt);
		if (cnt <= 0)
			n = -1; /* for ever */
	}
	flow_put(flow);
	if (r > 0)
		client_clear_error();
	return r < 0 ? -1 : 0;
}

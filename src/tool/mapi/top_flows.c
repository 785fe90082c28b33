/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The flows of mapi top: one that counts everything and holds the lists of addresses and ports, and
 * one per protocol. All are flows of one device, so packets are captured once.
 */
#include "top.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "mapi/errors.h"
#include "mapi/schema.h"
#include "mapi/topx.h"

/* Values of each list. Addresses and ports are sent by and sent to, so tables have up to twice as
 * many rows; everything beyond is still in the totals. */
#define TOP_LIST_MAX 100

#define TOP_TAGGED(filter) "vlan and (" filter " or (vlan and (" filter ")))"

/**
 * struct top_protocol - a row of the table of protocols: what passes either filter
 * @network: one of the network protocols; what is none of them has a row of its own, behind them
 *
 * Two flows, because there are link types without tags, where the second is no filter at all.
 */
struct top_protocol {
	const char *name;
	const char *filter;
	const char *tagged;
	bool network;
};

#define TOP_PROTOCOL(row_name, expression)                                               \
	{                                                                                \
		.name = row_name, .filter = expression, .tagged = TOP_TAGGED(expression) \
	}

#define TOP_NETWORK(row_name, expression)                                                 \
	{                                                                                 \
		.name = row_name, .filter = expression, .tagged = TOP_TAGGED(expression), \
		.network = true                                                           \
	}

static const struct top_protocol top_protocols[] = {
	TOP_NETWORK("IPv4", "ip"),
	TOP_NETWORK("IPv6", "ip6"),
	TOP_NETWORK("ARP", "arp"),
	TOP_PROTOCOL("TCP", "tcp"),
	TOP_PROTOCOL("UDP", "udp"),
	TOP_PROTOCOL("ICMP", "(icmp or icmp6)"),
	TOP_PROTOCOL("DNS", "port 53"),
	TOP_PROTOCOL("HTTP", "tcp port 80"),
	TOP_PROTOCOL("HTTPS", "tcp port 443"),
	TOP_PROTOCOL("QUIC", "udp port 443"),
	TOP_PROTOCOL("SSH", "tcp port 22"),
};

/* The row of what is none of the network protocols. A filter that the link type does not know takes
 * nothing away. It is no difference between rows: flows are connected, and read, one after the
 * other. */
#define TOP_OTHER "other"
static const char *const top_other_filters[] = { "not ip", "not ip6", "not arp",
	"not (" TOP_TAGGED("(ip or ip6 or arp)") ")" };

#define TOP_N_PARTS 2

static const struct top_flows_list {
	enum top_view view;
	enum top_list list;
	unsigned int direction;
	int protocol;
	int field;
} top_flows_lists[] = {
	{ TOP_VIEW_HOSTS, TOP_LIST_ADDRESSES, 0, TOPX_IP, TOPX_IP_SRCIP },
	{ TOP_VIEW_HOSTS, TOP_LIST_ADDRESSES, 1, TOPX_IP, TOPX_IP_DSTIP },
	{ TOP_VIEW_PORTS, TOP_LIST_TCP_PORTS, 0, TOPX_TCP, TOPX_TCP_SRCPORT },
	{ TOP_VIEW_PORTS, TOP_LIST_TCP_PORTS, 1, TOPX_TCP, TOPX_TCP_DSTPORT },
	{ TOP_VIEW_PORTS, TOP_LIST_UDP_PORTS, 0, TOPX_UDP, TOPX_UDP_SRCPORT },
	{ TOP_VIEW_PORTS, TOP_LIST_UDP_PORTS, 1, TOPX_UDP, TOPX_UDP_DSTPORT },
};

/* A flow that counts. @fd: -1: there is none, and nothing to count. */
struct top_counter {
	int fd;
	int pkts_fid;
	int bytes_fid;
};

struct top_flows {
	char *device; /* of a file, else NULL */
	struct top_counter total;
	struct top_counter other;
	struct top_counter protocols[ARRAY_SIZE(top_protocols)][TOP_N_PARTS];
	int lists[ARRAY_SIZE(top_flows_lists)]; /* function ids in the flow of @total; -1: none */
};

/* Create a flow of what passes the filter. */
static int top_counter_open(struct top_counter *ret, const struct top_flows *flows,
	const char *path, const char *filter)
{
	*ret = (struct top_counter){ .fd = mapi_create_flow(flows->device ? flows->device : path) };
	if (ret->fd < 0)
		return -EINVAL;
	if (filter && *filter && mapi_apply_function(ret->fd, "BPF_FILTER", filter) < 0)
		return -EINVAL;
	return 0;
}

/* What has passed is counted; the flow is not connected. */
static int top_counter_count(struct top_counter *counter)
{
	counter->pkts_fid = mapi_apply_function(counter->fd, "PKT_COUNTER");
	counter->bytes_fid = mapi_apply_function(counter->fd, "BYTE_COUNTER");
	return counter->pkts_fid < 0 || counter->bytes_fid < 0 ? -EINVAL : 0;
}

static void top_counter_close(struct top_counter *counter)
{
	if (counter->fd >= 0)
		(void)mapi_close_flow(counter->fd);
	counter->fd = -1;
}

static int top_flows_total(struct top_flows *flows, const char *path, const char *filter)
{
	bool has_top = mapi_describe_function("extraflib:TOP");
	unsigned int i;
	int r = top_counter_open(&flows->total, flows, path, filter);

	if (r == 0)
		r = top_counter_count(&flows->total);
	for (i = 0; i < ARRAY_SIZE(top_flows_lists) && r == 0; i++) {
		const struct top_flows_list *list = &top_flows_lists[i];

		flows->lists[i] = -1;
		if (!has_top)
			continue;
		flows->lists[i] = mapi_apply_function(flows->total.fd, "extraflib:TOP",
			TOP_LIST_MAX, list->protocol, list->field, SORT_BY_BYTES, 0);
		if (flows->lists[i] < 0)
			r = -EINVAL;
	}
	if (r == 0 && mapi_connect(flows->total.fd) < 0)
		r = -EINVAL;
	return r;
}

/* Return: 0, -EINVAL with the error filled. */
static int top_flows_other(
	struct top_flows *flows, const char *path, const char *filter, struct top_error *ret_error)
{
	struct top_counter *other = &flows->other;
	int r = top_counter_open(other, flows, path, filter);

	for (unsigned int i = 0; i < ARRAY_SIZE(top_other_filters) && r == 0; i++) {
		if (mapi_apply_function(other->fd, "BPF_FILTER", top_other_filters[i]) >= 0)
			continue;
		(void)mapi_read_error(&ret_error->code, ret_error->text);
		if (ret_error->code != PCAP_BPF_ERR)
			return -EINVAL;
	}
	if (r == 0 && (top_counter_count(other) < 0 || mapi_connect(other->fd) < 0))
		r = -EINVAL;
	if (r < 0)
		(void)mapi_read_error(&ret_error->code, ret_error->text);
	return r;
}

/* Link types differ in what a filter may ask for. What none of them knows is not there. */
static int top_flows_protocol(struct top_flows *flows, unsigned int i, const char *path,
	const char *filter, struct top_error *ret_error)
{
	const char *const filters[TOP_N_PARTS] = { top_protocols[i].filter,
		top_protocols[i].tagged };
	unsigned int j;

	for (j = 0; j < TOP_N_PARTS; j++) {
		struct top_counter *counter = &flows->protocols[i][j];

		if (top_counter_open(counter, flows, path, filter) == 0 &&
			mapi_apply_function(counter->fd, "BPF_FILTER", filters[j]) >= 0 &&
			top_counter_count(counter) == 0 && mapi_connect(counter->fd) == 0)
			continue;
		(void)mapi_read_error(&ret_error->code, ret_error->text);
		top_counter_close(counter);
		if (ret_error->code != PCAP_BPF_ERR)
			return -EINVAL;
	}
	return 0;
}

int top_flows_open(struct top_flows **ret, const char *path, bool live, const char *filter,
	struct top_error *ret_error)
{
	struct top_flows *flows = calloc(1, sizeof(*flows));
	unsigned int i;
	int r = 0;

	*ret_error = (struct top_error){ .code = MAPI_OUT_OF_MEMORY, .text = "Out of memory" };
	if (!flows)
		return -ENOMEM;
	flows->total.fd = flows->other.fd = -1;
	for (i = 0; i < ARRAY_SIZE(top_protocols); i++)
		flows->protocols[i][0].fd = flows->protocols[i][1].fd = -1;
	if (!live) {
		flows->device = mapi_create_offline_device(path, MFF_PCAP);
		r = flows->device ? 0 : -EINVAL;
	}
	if (r == 0)
		r = top_flows_total(flows, path, filter);
	if (r < 0)
		(void)mapi_read_error(&ret_error->code, ret_error->text);
	for (i = 0; i < ARRAY_SIZE(top_protocols) && r == 0; i++)
		r = top_flows_protocol(flows, i, path, filter, ret_error);
	if (r == 0)
		r = top_flows_other(flows, path, filter, ret_error);
	if (r < 0) {
		top_flows_close(flows);
		return r;
	}
	*ret = flows;
	return 0;
}

int top_flows_start(struct top_flows *flows)
{
	return flows->device && mapi_start_offline_device(flows->device) < 0 ? -EINVAL : 0;
}

struct top_flows *top_flows_close(struct top_flows *flows)
{
	unsigned int i, j;

	if (!flows)
		return NULL;
	top_counter_close(&flows->total);
	top_counter_close(&flows->other);
	for (i = 0; i < ARRAY_SIZE(top_protocols); i++)
		for (j = 0; j < TOP_N_PARTS; j++)
			top_counter_close(&flows->protocols[i][j]);
	if (flows->device && mapi_delete_offline_device(flows->device) < 0)
		free(flows->device);
	free(flows);
	return NULL;
}

void top_flows_flush(const struct top_flows *flows)
{
	unsigned int i, j;

	(void)mapi_flush(flows->total.fd);
	(void)mapi_flush(flows->other.fd);
	for (i = 0; i < ARRAY_SIZE(top_protocols); i++)
		for (j = 0; j < TOP_N_PARTS; j++)
			if (flows->protocols[i][j].fd >= 0)
				(void)mapi_flush(flows->protocols[i][j].fd);
}

static bool top_counter_finished(const struct top_counter *counter)
{
	struct mapi_result_status status = { .sz = sizeof(status) };

	/* A flow that can't tell has no more results to wait for. */
	return counter->fd < 0 ||
		mapi_result_status(counter->fd, counter->pkts_fid, 0, &status) < 0 ||
		status.status == FLOW_FINISHED || status.status == FLOW_CLOSED;
}

bool top_flows_finished(const struct top_flows *flows)
{
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(top_protocols); i++)
		for (j = 0; j < TOP_N_PARTS; j++)
			if (!top_counter_finished(&flows->protocols[i][j]))
				return false;
	return top_counter_finished(&flows->total) && top_counter_finished(&flows->other);
}

/* ---- reading ---- */

static int top_flows_number(int fd, int fid, uint64_t *ret)
{
	const mapi_results_t *result = mapi_read_results(fd, fid);

	if (!result || result->size < (int)sizeof(*ret))
		return -EINVAL;
	memcpy(ret, result->res, sizeof(*ret));
	return 0;
}

/* The losses of the worst flow: what is lost to the device is lost to all. */
static void top_flows_loss(int fd, int fid, struct mapi_result_status *status)
{
	struct mapi_result_status one = { .sz = sizeof(one) };
	unsigned int i;

	if (mapi_result_status(fd, fid, 0, &one) < 0)
		return;
	for (i = 0; i < MAPI_N_LOSS; i++)
		status->lost_pkts[i] = MAX(status->lost_pkts[i], one.lost_pkts[i]);
}

/* Add the counter, if there is one, to the row. */
static int top_flows_read_counter(
	const struct top_counter *counter, const char *name, struct top_sample *sample)
{
	uint64_t pkts = 0, bytes = 0;
	int r = 0;

	if (counter->fd >= 0) {
		r = top_flows_number(counter->fd, counter->pkts_fid, &pkts);
		if (r == 0)
			r = top_flows_number(counter->fd, counter->bytes_fid, &bytes);
		top_flows_loss(counter->fd, counter->bytes_fid, &sample->status);
	}
	return r < 0 ? r : top_table_add(&sample->tables[TOP_VIEW_PROTOCOLS], name, 0, pkts, bytes);
}

static int top_flows_read_protocols(const struct top_flows *flows, struct top_sample *sample)
{
	unsigned int i, j;
	int r = 0;

	for (i = 0; i < ARRAY_SIZE(top_protocols) && r == 0; i++) {
		if (i && top_protocols[i - 1].network && !top_protocols[i].network)
			r = top_flows_read_counter(&flows->other, TOP_OTHER, sample);
		for (j = 0; j < TOP_N_PARTS && r == 0; j++)
			r = top_flows_read_counter(
				&flows->protocols[i][j], top_protocols[i].name, sample);
	}
	return r;
}

static int top_flows_read_lists(const struct top_flows *flows, struct top_sample *sample)
{
	const mapi_results_t *result;
	unsigned int i;
	int r = 0;

	for (i = 0; i < ARRAY_SIZE(top_flows_lists) && r == 0; i++) {
		const struct top_flows_list *list = &top_flows_lists[i];

		if (flows->lists[i] < 0)
			continue;
		result = mapi_read_results(flows->total.fd, flows->lists[i]);
		if (!result)
			return -EINVAL;
		r = top_table_add_list(&sample->tables[list->view], list->list, list->direction,
			result->res, (size_t)result->size, TOP_LIST_MAX);
		top_flows_loss(flows->total.fd, flows->lists[i], &sample->status);
	}
	return r == -EBADMSG ? -EINVAL : r;
}

static uint64_t top_flows_now_ns(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now); /* cannot fail for these clocks */
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int top_flows_read(const struct top_flows *flows, struct top_sample *ret)
{
	struct top_sample sample = {
		.at_ns = top_flows_now_ns(CLOCK_MONOTONIC),
		.time_ns = top_flows_now_ns(CLOCK_REALTIME),
		.total = { .pps = -1, .bps = -1 },
		.status = { .sz = sizeof(sample.status) },
	};
	const struct top_counter *total = &flows->total;
	int r = top_flows_number(total->fd, total->pkts_fid, &sample.total.pkts[0]);

	if (r == 0)
		r = top_flows_number(total->fd, total->bytes_fid, &sample.total.bytes[0]);
	if (r == 0 && mapi_result_status(total->fd, total->bytes_fid, 0, &sample.status) < 0)
		r = -EINVAL;
	if (r == 0)
		r = top_flows_read_protocols(flows, &sample);
	if (r == 0)
		r = top_flows_read_lists(flows, &sample);
	if (r < 0) {
		top_sample_deinit(&sample);
		return r;
	}
	*ret = sample;
	return 0;
}

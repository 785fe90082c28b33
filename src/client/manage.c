/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a program can ask about libraries, functions and devices. Libraries have numbers from 0, and
 * so have the functions of each: both in the order in which the daemon describes them.
 */
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "mapi/explain.h"

/* The class of devices that every function runs on, by its historical number. */
#define MANAGE_DEVTYPE_ALL "1"

/* Programs were compiled with these layouts. */
#if defined(__x86_64__) && defined(__LP64__)
_Static_assert(sizeof(mapi_flow_info_t) == 296 && offsetof(mapi_flow_info_t, device) == 12 &&
		offsetof(mapi_flow_info_t, num_functions) == 268 &&
		offsetof(mapi_flow_info_t, start) == 272 &&
		offsetof(mapi_flow_info_t, end) == 280 && offsetof(mapi_flow_info_t, status) == 288,
	"mapi_flow_info_t");
_Static_assert(sizeof(mapi_function_info_t) == 800 && offsetof(mapi_function_info_t, name) == 4 &&
		offsetof(mapi_function_info_t, pkts) == 776 &&
		offsetof(mapi_function_info_t, passed_pkts) == 784 &&
		offsetof(mapi_function_info_t, result_size) == 792,
	"mapi_function_info_t");
_Static_assert(sizeof(mapi_device_info_t) == 1808 && offsetof(mapi_device_info_t, name) == 260 &&
		offsetof(mapi_device_info_t, alias) == 516 &&
		offsetof(mapi_device_info_t, description) == 772 &&
		offsetof(mapi_device_info_t, link_speed) == 1796,
	"mapi_device_info_t");
_Static_assert(sizeof(mapi_libfunct_info_t) == 1792 &&
		offsetof(mapi_libfunct_info_t, argdescr) == 1280 &&
		sizeof(mapi_lib_info_t) == 264 && offsetof(mapi_lib_info_t, functs) == 260,
	"descriptions of libraries");
_Static_assert(sizeof(mapi_results_t) == 24 && offsetof(mapi_results_t, size) == 16 &&
		sizeof(mapi_result_t) == 16 && sizeof(struct mapi_stat) == 524 &&
		offsetof(struct mapi_stat, dev) == 268,
	"results and statistics");
_Static_assert(sizeof(struct mapipkt) == 24 && offsetof(struct mapipkt, caplen) == 12 &&
		offsetof(struct mapipkt, pkt) == 20,
	"struct mapipkt");
#endif

/* ---- libraries and their functions ---- */

/* Return: 0; -1 with this thread's error: no daemon could be asked. */
static int manage_begin(void)
{
	if (client_enter_freely() < 0)
		return -1;
	client_clear_error();
	return mapi_describe_next_function(NULL) || client_error_code() == 0 ? 0 : -1;
}

/* Whether @desc is the first function of its library. */
static bool manage_is_first(const struct mapi_function_desc *desc)
{
	const struct mapi_function_desc *other = NULL;

	while ((other = mapi_describe_next_function(other)) && other != desc)
		if (strcmp(other->library, desc->library) == 0)
			return false;
	return true;
}

/* The first function of library @number. Return: NULL if there is none. */
static const struct mapi_function_desc *manage_library(int number)
{
	const struct mapi_function_desc *desc = NULL;

	if (number < 0)
		return NULL;
	while ((desc = mapi_describe_next_function(desc)))
		if (manage_is_first(desc) && number-- == 0)
			return desc;
	return NULL;
}

int mapi_get_library_info(int libnum, mapi_lib_info_t *info)
{
	const struct mapi_function_desc *first, *desc = NULL;

	if (!info)
		return client_fail(
			MFUNCT_INVALID_ARGUMENT_2, "the place for the information is NULL");
	if (manage_begin() < 0)
		return -1;
	first = manage_library(libnum);
	if (!first)
		return client_fail(INVALID_FLID, "there is no function library %d", libnum);
	*info = (mapi_lib_info_t){ .id = libnum };
	(void)snprintf(info->libname, sizeof(info->libname), "%s", first->library);
	while ((desc = mapi_describe_next_function(desc)))
		info->functs += strcmp(desc->library, first->library) == 0;
	return 0;
}

/* The number after @number; a list begins with whatever is negative. */
static int manage_next(int number)
{
	return number < 0 ? 0 : number < INT32_MAX ? number + 1 : number;
}

int mapi_get_next_library_info(int libnum, mapi_lib_info_t *info)
{
	return mapi_get_library_info(manage_next(libnum), info);
}

/* Historical letters: there a list of flows is a string like others. */
static void manage_argdescr(char *out, size_t out_bytes, const struct mapi_function_desc *desc)
{
	size_t n = MIN((size_t)desc->n_args, out_bytes - 1);

	for (size_t i = 0; i < n; i++) {
		enum mapi_arg_type type = desc->args[i].type;

		out[i] = (char)(type == MAPI_ARG_FLOWS ? MAPI_ARG_STRING : type);
	}
	out[n] = '\0';
}

int mapi_get_libfunct_info(int libnum, int fnum, mapi_libfunct_info_t *info)
{
	const struct mapi_function_desc *first, *desc = NULL;
	int n = fnum;

	if (!info)
		return client_fail(
			MFUNCT_INVALID_ARGUMENT_3, "the place for the information is NULL");
	if (manage_begin() < 0)
		return -1;
	first = manage_library(libnum);
	if (!first)
		return client_fail(INVALID_FLID, "there is no function library %d", libnum);
	while (n >= 0 && (desc = mapi_describe_next_function(desc)))
		n -= strcmp(desc->library, first->library) == 0;
	if (!desc)
		return client_fail(INVALID_FUNCID, "library %d, %s, has no function %d", libnum,
			first->library, fnum);
	*info = (mapi_libfunct_info_t){ .devtype = MANAGE_DEVTYPE_ALL };
	(void)snprintf(info->name, sizeof(info->name), "%s", desc->name);
	(void)snprintf(info->descr, sizeof(info->descr), "%s", desc->help);
	manage_argdescr(info->argdescr, sizeof(info->argdescr), desc);
	return 0;
}

int mapi_get_next_libfunct_info(int libnum, int fnum, mapi_libfunct_info_t *info)
{
	return mapi_get_libfunct_info(libnum, manage_next(fnum), info);
}

int mapi_get_libfunct_next_info(int libnum, int fnum, mapi_libfunct_info_t *info)
{
	return mapi_get_next_libfunct_info(libnum, fnum, info);
}

/* ---- functions of flows ---- */

static int manage_take_function(struct flow *flow, const Wire__Reply *reply, void *data)
{
	const Wire__ListedFunction *listed = reply->listed_function;
	mapi_function_info_t *info = data;

	(void)flow; /* NULL: of another program */
	if (reply->result_case != WIRE__REPLY__RESULT_LISTED_FUNCTION ||
		listed->function > INT32_MAX || listed->result_bytes > INT32_MAX)
		return client_fail(MCOM_UNKNOWN_ERROR, "the daemon sent an unexpected reply");
	*info = (mapi_function_info_t){
		.fid = (int)listed->function,
		.devtype = MANAGE_DEVTYPE_ALL,
		.pkts = listed->pkts,
		.passed_pkts = listed->passed_pkts,
		.result_size = (int)listed->result_bytes,
	};
	(void)snprintf(info->name, sizeof(info->name), "%s", listed->name);
	(void)snprintf(info->libname, sizeof(info->libname), "%s", listed->library);
	return 0;
}

/* The function of a flow of this program with the smallest id from @fid on; only @fid itself if
 * not @next. */
static struct applied *manage_find(const struct flow *flow, int fid, bool next)
{
	struct applied *found = NULL;

	if (!next)
		return flow_function(flow, fid);
	for (unsigned int i = 0; i < atomic_load(&flow->n_functions); i++) {
		struct applied *applied = atomic_load(&flow->functions[i]);

		if (applied->fid > fid && (!found || applied->fid < found->fid))
			found = applied;
	}
	return found;
}

static int manage_no_function(int fd, int fid, bool next)
{
	return client_fail(MAPI_FUNCTION_INFO_ERR, "flow %d has no function %s%d", fd,
		next ? "after " : "", fid);
}

static int manage_own_function(
	struct flow *flow, int fd, int fid, bool next, mapi_function_info_t *info)
{
	const struct applied *applied = manage_find(flow, fid, next);
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__ListFunction list = WIRE__LIST_FUNCTION__INIT;

	if (!applied)
		return manage_no_function(fd, fid, next);
	list.function = (uint32_t)applied->fid;
	request.call_case = WIRE__REQUEST__CALL_LIST_FUNCTION;
	request.list_function = &list;
	return flow_request(flow, &request, &list.flow, manage_take_function, info);
}

/* About a flow of another program, at the system daemon. Return: what @take returns; -1. */
static int manage_ask_listed(int fd, Wire__Request *request, Wire__Reply__ResultCase result,
	int (*take)(struct flow *flow, const Wire__Reply *reply, void *data), void *ret)
{
	const Wire__Reply *reply = NULL;
	struct client_lock lock;
	struct engine *engine;
	int r = -1;

	client_clear_error();
	client_lock(&lock);
	if (fd > 0)
		reply = list_ask(request, result, true, &engine);
	if (reply)
		r = take(NULL, reply, ret);
	client_unlock(&lock);
	return r;
}

static int manage_listed_function(int fd, int fid, bool next, mapi_function_info_t *info)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__ListFunction list = WIRE__LIST_FUNCTION__INIT;

	list.flow = fd > 0 ? (uint32_t)fd : 0;
	list.function = fid > 0 ? (uint32_t)fid : 0;
	list.next = next;
	request.call_case = WIRE__REQUEST__CALL_LIST_FUNCTION;
	request.list_function = &list;
	if (manage_ask_listed(fd, &request, WIRE__REPLY__RESULT_LISTED_FUNCTION,
		    manage_take_function, info) == 0)
		return 0;
	if (client_error_code() == MAPI_FUNCTION_INFO_ERR)
		return manage_no_function(fd, fid, next);
	return client_fail(MAPI_INIT_ERROR, "there is no flow %d", fd);
}

static int manage_function(int fd, int fid, bool next, mapi_function_info_t *info)
{
	_cleanup_(flow_putp) struct flow *flow = NULL;

	if (!info)
		return client_fail(
			MFUNCT_INVALID_ARGUMENT_3, "the place for the information is NULL");
	if (client_enter_freely() < 0)
		return -1;
	flow = flow_get(fd);
	return flow ? manage_own_function(flow, fd, fid, next, info)
		    : manage_listed_function(fd, fid, next, info);
}

int mapi_get_function_info(int fd, int fid, mapi_function_info_t *info)
{
	return manage_function(fd, fid, false, info);
}

int mapi_get_next_function_info(int fd, int fid, mapi_function_info_t *info)
{
	return manage_function(fd, fid, true, info);
}

static int manage_take_explanation(struct flow *flow, const Wire__Reply *reply, void *data)
{
	const Wire__ExplainReply *m = reply->explain;
	struct mapi_explanation *ret = data;

	(void)flow; /* NULL: of another program */
	if (reply->result_case != WIRE__REPLY__RESULT_EXPLAIN || m->tier > MAPI_TIER_CARD ||
		m->kind > MAPI_WORK_PROCESS || m->order > MAPI_ORDER_ALL)
		return client_fail(MCOM_UNKNOWN_ERROR, "the daemon sent an unexpected reply");
	*ret = (struct mapi_explanation){
		.tier = (enum mapi_tier)m->tier,
		.work = (enum mapi_work)m->kind,
		.order = (enum mapi_order)m->order,
		.late = m->late,
		.group = m->group,
		.step = m->step,
		.n_steps = m->n_steps,
		.domain = m->domain,
		.new_domain = m->new_domain,
		.together = m->together,
		.shared = m->shared,
		.instructions = m->instructions,
		.ns_per_pkt = m->ns_per_pkt,
		.has_seed = m->has_seed,
		.seed = m->seed,
	};
	(void)snprintf(ret->reason, sizeof(ret->reason), "%s", m->reason);
	return 0;
}

/* A flow of another program, at the system daemon. */
static int manage_explain_listed(int fd, int fid, struct mapi_explanation *ret)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__Explain explain = WIRE__EXPLAIN__INIT;
	int r;

	explain.flow = fd > 0 ? (uint32_t)fd : 0;
	explain.function = fid > 0 ? (uint32_t)fid : 0;
	request.call_case = WIRE__REQUEST__CALL_EXPLAIN;
	request.explain = &explain;
	r = manage_ask_listed(
		fd, &request, WIRE__REPLY__RESULT_EXPLAIN, manage_take_explanation, ret);
	return r == 0 || client_error_code() != 0 ? r : flow_unknown(fd);
}

static int manage_explain_own(struct flow *flow, int fd, int fid, struct mapi_explanation *ret)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__Explain explain = WIRE__EXPLAIN__INIT;
	const struct applied *applied = flow_function(flow, fid);

	if (!applied)
		return manage_no_function(fd, fid, false);
	if (flow_need_connected(flow) < 0)
		return -1;
	explain.function = (uint32_t)applied->fid;
	request.call_case = WIRE__REQUEST__CALL_EXPLAIN;
	request.explain = &explain;
	return flow_request(flow, &request, &explain.flow, manage_take_explanation, ret);
}

int mapi_explain(int fd, int fid, struct mapi_explanation *ret)
{
	_cleanup_(flow_putp) struct flow *flow = NULL;
	struct mapi_explanation explanation = { .sz = 0 };
	int r;

	if (!ret || ret->sz <= sizeof(ret->sz))
		return client_fail(MFUNCT_INVALID_ARGUMENT_3,
			"sz must be set to sizeof(struct mapi_explanation)");
	if (client_enter_freely() < 0)
		return -1;
	flow = flow_get(fd);
	r = flow ? manage_explain_own(flow, fd, fid, &explanation)
		 : manage_explain_listed(fd, fid, &explanation);
	if (r < 0)
		return -1;
	client_fill_sized(ret, ret->sz, &explanation, sizeof(explanation));
	return 0;
}

/* ---- devices ---- */

/* pcap_stats() counts what was dropped among what was received. Numbers of 32 bits wrap, as there:
 * differences are right. */
static int manage_take_stats(struct mapi_stat *stats, const char *dev, const Wire__Reply *reply)
{
	const Wire__DeviceStatsReply *m = reply->device_stats;

	if (reply->result_case != WIRE__REPLY__RESULT_DEVICE_STATS)
		return client_fail(MCOM_UNKNOWN_ERROR, "the daemon sent an unexpected reply");
	*stats = (struct mapi_stat){
		.ps_recv = (unsigned int)(m->pkts + m->ring_lost_pkts),
		.ps_drop = (unsigned int)m->ring_lost_pkts,
		.ps_ifdrop = (unsigned int)m->nic_lost_pkts,
		.hostname = "localhost",
	};
	(void)snprintf(stats->dev, sizeof(stats->dev), "%s", dev);
	return 1;
}

int mapi_stats(const char *dev, struct mapi_stat *stats)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__DeviceStats ask = WIRE__DEVICE_STATS__INIT;
	const Wire__Reply *reply;
	struct client_lock lock;
	struct engine *engine;
	const struct flow *flow;
	int r = -1;

	if (!dev)
		return client_fail(MAPI_DEVICE_INFO_ERR, "the device is NULL");
	if (!stats)
		return client_fail(
			MFUNCT_INVALID_ARGUMENT_2, "the place for the statistics is NULL");
	if (client_enter_freely() < 0)
		return -1;
	request.call_case = WIRE__REQUEST__CALL_DEVICE_STATS;
	request.device_stats = &ask;
	ask.name = (char *)(uintptr_t)dev;
	client_clear_error();
	client_lock(&lock);
	flow = flow_on_device(dev);
	if (flow) {
		ask.device = flow->device;
		reply = engine_call(flow->engine, &request, NULL, 0);
	} else {
		reply = list_ask(&request, WIRE__REPLY__RESULT_DEVICE_STATS, true, &engine);
	}
	if (reply)
		r = manage_take_stats(stats, dev, reply);
	client_unlock(&lock);
	if (r < 0 && client_error_code() == 0)
		return client_fail(MAPI_STATS_ERROR, "no flow uses the device '%s'", dev);
	return r;
}

char *mapi_get_devtype_of_flow(int fd)
{
	_cleanup_(flow_putp) struct flow *flow = flow_enter(fd);
	const char *devtype;
	struct client_lock lock;

	if (!flow)
		return NULL;
	client_lock(&lock);
	devtype = flow->devtype;
	client_unlock(&lock);
	return (char *)(uintptr_t)devtype; /* the historical type; nobody writes to it */
}

int mapi_is_sensor_down(int fd)
{
	_cleanup_(flow_putp) struct flow *flow = flow_enter(fd);

	if (!flow)
		return -1;
	return atomic_load(&flow->is_over) || engine_is_lost(atomic_load(&flow->engine));
}

void set_agent(void)
{
}

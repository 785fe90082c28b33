/* SPDX-License-Identifier: BSD-2-Clause */
/* mapi flows: who captures what on this machine. */
#include "verbs.h"

#include <pwd.h>
#include <stdio.h>
#include <time.h>

#include "mapi.h"
#include "mapi/errors.h"
#include "mapi/explain.h"

#include "arguments.h"
#include "csv.h"
#include "json.h"
#include "session.h"
#include "text.h"

static const char flows_intro[] =
	"usage: mapi flows [--json|--csv]\n"
	"\n"
	"Lists the flows that your programs have at the system daemon, on live devices,\n"
	"how many packets each of their functions has seen and passed on, where it runs,\n"
	"and the seed of those that go by chance; an administrator sees those of all\n"
	"users. No right to capture is needed.\n"
	"\n"
	"  mapi flows\n"
	"  sudo mapi flows\n"
	"  mapi flows --json\n"
	"\n";

static const struct verb_option flows_options[] = {
	ARGUMENTS_FORMAT_OPTIONS("flow"),
	VERB_OPTION_END,
};

static const char *flows_status(enum mapi_flow_status status)
{
	switch (status) {
	case FLOW_INIT:
		return "waiting";
	case FLOW_ACTIVE:
		return "active";
	case FLOW_FINISHED:
		return "finished";
	case FLOW_CLOSED:
		return "closed";
	}
	return "?";
}

/* The name of a user, or the number. */
static void flows_user(char *out, size_t out_bytes, uid_t uid)
{
	char bytes[4096];
	struct passwd passwd, *found = NULL;

	if (getpwuid_r(uid, &passwd, bytes, sizeof(bytes), &found) == 0 && found)
		(void)snprintf(out, out_bytes, "%s", found->pw_name);
	else
		(void)snprintf(out, out_bytes, "%u", uid);
}

/* What is known of a function of a flow. @e: sz is 0: nothing, the flow is not connected */
struct flows_function {
	mapi_function_info_t info;
	struct mapi_explanation e;
};

/* The one behind that with this number. Return: whether there is one. */
static bool flows_next(const mapi_flow_info_t *flow, struct flows_function *function)
{
	if (mapi_get_next_function_info(flow->fd, function->info.fid, &function->info) < 0)
		return false;
	function->e = (struct mapi_explanation){ .sz = sizeof(function->e) };
	if (mapi_explain(flow->fd, function->info.fid, &function->e) < 0)
		function->e.sz = 0;
	return true;
}

static const char *flows_tier(const struct flows_function *function)
{
	static const char *const names[] = {
		[MAPI_TIER_USER] = "user", [MAPI_TIER_KERNEL] = "kernel", [MAPI_TIER_CARD] = "card"
	};

	return function->e.sz ? names[function->e.tier] : NULL;
}

static void flows_print(const mapi_flow_info_t *flow)
{
	struct flows_function function = { .info = { .fid = 0 } };
	char user[64], start[40] = "-";
	struct tm tm;

	flows_user(user, sizeof(user), flow->uid);
	if (flow->start && localtime_r(&flow->start, &tm))
		(void)strftime(start, sizeof(start), "%Y-%m-%d %H:%M:%S", &tm);
	printf("%10d  %-12s  %-8s  %-19s  ", flow->fd, user, flows_status(flow->status), start);
	text_safe(stdout, flow->device);
	fputc('\n', stdout);
	while (flows_next(flow, &function)) {
		printf("%8d %-16s %-6s  %15llu seen %15llu passed\n", function.info.fid,
			function.info.name, function.e.sz ? flows_tier(&function) : "-",
			function.info.pkts, function.info.passed_pkts);
		if (function.e.has_seed)
			printf("%8s seed %llu\n", "", function.e.seed);
	}
}

static void flows_time_json(struct json *j, const char *key, time_t time)
{
	char text[TEXT_TIME_BYTES];

	text_rfc3339(text, (uint64_t)time * 1000000000u);
	json_string(j, key, time ? text : NULL);
}

static void flows_print_json(const mapi_flow_info_t *flow)
{
	struct flows_function function = { .info = { .fid = 0 } };
	struct json j = JSON_TO(stdout);
	char user[64];

	flows_user(user, sizeof(user), flow->uid);
	json_object(&j, NULL);
	json_i64(&j, "flow", flow->fd);
	json_u64(&j, "uid", flow->uid);
	json_string(&j, "user", user);
	json_string(&j, "device", flow->device);
	json_string(&j, "status", flows_status(flow->status));
	if (flow->devid >= 0)
		json_i64(&j, "device_id", flow->devid);
	else
		json_null(&j, "device_id");
	flows_time_json(&j, "start", flow->start);
	flows_time_json(&j, "end", flow->end);
	json_array(&j, "functions");
	while (flows_next(flow, &function)) {
		json_object(&j, NULL);
		json_i64(&j, "fid", function.info.fid);
		json_string(&j, "function", function.info.name);
		json_string(&j, "library", function.info.libname);
		json_u64(&j, "packets", function.info.pkts);
		json_u64(&j, "passed_packets", function.info.passed_pkts);
		json_string(&j, "tier", flows_tier(&function));
		json_string(&j, "reason", function.e.sz ? function.e.reason : NULL);
		if (function.e.has_seed)
			json_u64(&j, "seed", function.e.seed);
		else
			json_null(&j, "seed");
		json_end_object(&j);
	}
	json_end_array(&j);
	json_end_object(&j);
	json_line(&j);
}

/* One line per function. */
static void flows_print_csv(const mapi_flow_info_t *flow)
{
	struct flows_function function = { .info = { .fid = 0 } };
	char user[64], start[TEXT_TIME_BYTES] = "";
	struct csv c = CSV_TO(stdout);

	flows_user(user, sizeof(user), flow->uid);
	if (flow->start)
		text_rfc3339(start, (uint64_t)flow->start * 1000000000u);
	while (flows_next(flow, &function)) {
		csv_i64(&c, flow->fd);
		csv_u64(&c, flow->uid);
		csv_string(&c, user);
		csv_string(&c, flow->device);
		if (flow->devid >= 0)
			csv_i64(&c, flow->devid);
		else
			csv_string(&c, NULL);
		csv_string(&c, flows_status(flow->status));
		csv_string(&c, start);
		csv_i64(&c, function.info.fid);
		csv_string(&c, function.info.name);
		csv_string(&c, function.info.libname);
		csv_u64(&c, function.info.pkts);
		csv_u64(&c, function.info.passed_pkts);
		csv_string(&c, flows_tier(&function));
		if (function.e.has_seed)
			csv_u64(&c, function.e.seed);
		else
			csv_string(&c, NULL);
		csv_line(&c);
	}
}

static int flows_list(enum arguments_format format)
{
	static void (*const printers[])(const mapi_flow_info_t *flow) = {
		[ARGUMENTS_TEXT] = flows_print,
		[ARGUMENTS_JSON] = flows_print_json,
		[ARGUMENTS_CSV] = flows_print_csv,
	};
	mapi_flow_info_t flow = { .fd = 0 };
	char text[MAPI_ERRORSTR_LENGTH];
	bool is_first = true;
	int code = 0;

	if (format == ARGUMENTS_CSV)
		printf("flow,uid,user,device,device_id,status,start,fid,function,library,packets,"
		       "passed_packets,tier,seed\r\n");
	while (mapi_get_next_flow_info(flow.fd, &flow) == 0) {
		if (is_first && format == ARGUMENTS_TEXT)
			printf("%10s  %-12s  %-8s  %-19s  %s\n", "FLOW", "USER", "STATUS", "SINCE",
				"DEVICE");
		is_first = false;
		printers[format](&flow);
	}
	(void)mapi_read_error(&code, text);
	if (code == MAPI_FLOW_INFO_ERR) {
		if (is_first && format == ARGUMENTS_TEXT)
			fputs("mapi: no program of yours has a flow on a live device\n", stderr);
		return EXIT_OK;
	}
	fprintf(stderr, "mapi: the flows can't be listed: %s\n", text);
	return session_exit_code(code, text);
}

static int flows_run(int argc, char **argv)
{
	enum arguments_format format;

	if (arguments_only_format(&verb_flows, argc, argv, &format) != EXIT_OK)
		return EXIT_USAGE;
	return flows_list(format);
}

const struct verb verb_flows = {
	.name = "flows",
	.summary = "list the flows of your programs on live devices",
	.intro = flows_intro,
	.options = flows_options,
	.outro = "",
	.run = flows_run,
};

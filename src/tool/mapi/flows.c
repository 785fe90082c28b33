/* SPDX-License-Identifier: BSD-2-Clause */
/* mapi flows: who captures what on this machine. */
#include "verbs.h"

#include <pwd.h>
#include <stdio.h>
#include <time.h>

#include "mapi.h"
#include "mapi/errors.h"

#include "arguments.h"
#include "json.h"
#include "session.h"
#include "text.h"

static const char flows_help[] =
	"usage: mapi flows [--json]\n"
	"\n"
	"Lists the flows that your programs have at the system daemon, on live devices;\n"
	"an administrator sees those of all users. No right to capture is needed.\n"
	"\n"
	"  mapi flows\n"
	"  sudo mapi flows\n"
	"  mapi flows --json\n"
	"\n"
	"  --json   one object per line and flow\n";

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

static void flows_print(const mapi_flow_info_t *flow)
{
	char user[64], start[40] = "-";
	struct tm tm;

	flows_user(user, sizeof(user), flow->uid);
	if (flow->start && localtime_r(&flow->start, &tm))
		(void)strftime(start, sizeof(start), "%Y-%m-%d %H:%M:%S", &tm);
	printf("%10d  %-12s  %-8s  %9u  %-19s  ", flow->fd, user, flows_status(flow->status),
		flow->num_functions, start);
	text_safe(stdout, flow->device);
	fputc('\n', stdout);
}

static void flows_time_json(struct json *j, const char *key, time_t time)
{
	char text[TEXT_TIME_BYTES];

	text_rfc3339(text, (uint64_t)time * 1000000000u);
	json_string(j, key, time ? text : NULL);
}

static void flows_print_json(const mapi_flow_info_t *flow)
{
	struct json j = JSON_TO(stdout);
	char user[64];

	flows_user(user, sizeof(user), flow->uid);
	json_object(&j, NULL);
	json_i64(&j, "flow", flow->fd);
	json_u64(&j, "uid", flow->uid);
	json_string(&j, "user", user);
	json_string(&j, "device", flow->device);
	json_string(&j, "status", flows_status(flow->status));
	json_u64(&j, "functions", flow->num_functions);
	flows_time_json(&j, "start", flow->start);
	flows_time_json(&j, "end", flow->end);
	json_end_object(&j);
	json_line(&j);
}

static int flows_list(bool json)
{
	mapi_flow_info_t flow = { .fd = 0 };
	char text[MAPI_ERRORSTR_LENGTH];
	bool is_first = true;
	int code = 0;

	while (mapi_get_next_flow_info(flow.fd, &flow) == 0) {
		if (is_first && !json)
			printf("%10s  %-12s  %-8s  %9s  %-19s  %s\n", "FLOW", "USER", "STATUS",
				"FUNCTIONS", "SINCE", "DEVICE");
		is_first = false;
		(json ? flows_print_json : flows_print)(&flow);
	}
	(void)mapi_read_error(&code, text);
	if (code == MAPI_FLOW_INFO_ERR)
		return EXIT_OK;
	fprintf(stderr, "mapi: the flows can't be listed: %s\n", text);
	return session_exit_code(code, text);
}

static int flows_run(int argc, char **argv)
{
	bool json;

	return arguments_only_json(argc, argv, "flows", &json) < 0 ? EXIT_USAGE : flows_list(json);
}

const struct verb verb_flows = {
	.name = "flows",
	.summary = "list the flows of your programs on live devices",
	.help = flows_help,
	.run = flows_run,
};

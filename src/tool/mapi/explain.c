/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mapi explain: how the functions of pipelines would be executed. The flows are connected as "mapi
 * run" would connect them, on a device that is not started, and asked what became of them.
 */
#include "verbs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mapi/explain.h"

#include "arguments.h"
#include "csv.h"
#include "expressions.h"
#include "json.h"
#include "session.h"
#include "text.h"

static const char explain_intro[] =
	"usage: mapi explain [-r FILE|-i DEVICE] [options] [PIPELINE ... | filter ...]\n"
	"\n"
	"Tells how functions would be executed: where, in which order, on which packets,\n"
	"and what they share. Nothing is read or written. Without a device: Ethernet.\n"
	"\n"
	"  mapi explain 'BPF_FILTER(\"tcp\") | PKT_COUNTER' 'BPF_FILTER(\"tcp\") | CUT(60)'\n"
	"  mapi explain -r f.pcap tcp port 80\n"
	"  mapi explain -i eth0 --json 'PKTINFO(size) @s | STATS(s, \"1s\")'\n"
	"\n";

static const struct verb_option explain_options[] = {
	ARGUMENTS_OPTION_READ,
	{ 'i', "interface", "DEVICE", VERB_DEVICE, "as on this live device" },
	{ 'e', "expr", "PIPELINE", VERB_FUNCTION,
		"a pipeline; may be given several times, ';' separates several" },
	ARGUMENTS_OPTION_FILTER_FILE,
	ARGUMENTS_FORMAT_OPTIONS("function"),
	VERB_OPTION_END,
};

static const char *const explain_tiers[] = {
	[MAPI_TIER_USER] = "user", [MAPI_TIER_KERNEL] = "kernel", [MAPI_TIER_CARD] = "card"
};
static const char *const explain_works[] = {
	[MAPI_WORK_FILTER] = "filter",
	[MAPI_WORK_SEARCH] = "search",
	[MAPI_WORK_TRANSFORM] = "transform",
	[MAPI_WORK_PROCESS] = "process",
};
static const char *const explain_orders[] = {
	[MAPI_ORDER_FREE] = "free", [MAPI_ORDER_AFFINITY] = "affinity", [MAPI_ORDER_ALL] = "all"
};

static const char *explain_name(const char *const *names, size_t n_names, unsigned int value)
{
	return value < n_names ? names[value] : "?";
}

#define EXPLAIN_NAME(names, value) \
	explain_name(names, sizeof(names) / sizeof(names[0]), (unsigned int)(value))

/* ---- text ---- */

/* What is special about it, in a few words. */
static void explain_how(char *out, size_t out_bytes, const struct mapi_explanation *e)
{
	char group[48] = "";

	if (e->group)
		(void)snprintf(group, sizeof(group), "packet by packet, circle %u", e->group);
	switch (e->work) {
	case MAPI_WORK_FILTER:
	case MAPI_WORK_SEARCH:
		(void)snprintf(out, out_bytes, "1 of %u %s, %u alike", e->together,
			e->work == MAPI_WORK_FILTER ? "filters" : "searches", e->shared);
		break;
	case MAPI_WORK_TRANSFORM:
		(void)snprintf(
			out, out_bytes, "makes packets %u, for %u", e->new_domain, e->shared);
		break;
	case MAPI_WORK_PROCESS:
		(void)snprintf(out, out_bytes, "%s", group);
		break;
	}
}

static void explain_step(const struct pipeline_step *step, const struct mapi_explanation *e)
{
	char name[40], how[96], packets[24] = "captured";
	const char *workers = !e->late ? "parallel" : "in turn";

	(void)snprintf(name, sizeof(name), "%s%s%s", step->desc->name, step->label ? " @" : "",
		step->label ? step->label : "");
	if (e->domain)
		(void)snprintf(packets, sizeof(packets), "made %u", e->domain);
	explain_how(how, sizeof(how), e);
	printf("%4u  %-18s %-6s  %-8s  %-*s%s%s\n", e->step, name,
		EXPLAIN_NAME(explain_tiers, e->tier), workers, *how ? 8 : 0, packets,
		*how ? "  " : "", how);
}

/* Every cause once. */
static void explain_reason(
	const struct mapi_explanation *e, char told[MAPI_STR_LENGTH], bool is_first)
{
	unsigned int column;

	if (!is_first && strcmp(told, e->reason) == 0)
		return;
	column = (unsigned int)printf("      %s: ", EXPLAIN_NAME(explain_tiers, e->tier));
	text_wrap(stdout, e->reason, column);
	if (e->instructions)
		printf("%*sin a program of %u instructions", (int)column, "", e->instructions);
	if (e->instructions && e->ns_per_pkt > 0)
		printf(", %.0f ns per packet", e->ns_per_pkt);
	if (e->instructions)
		fputc('\n', stdout);
	(void)snprintf(told, MAPI_STR_LENGTH, "%s", e->reason);
}

static void explain_seed(const struct pipeline_step *step, const struct mapi_explanation *e)
{
	if (e->has_seed)
		printf("      %s goes by chance, with seed %llu\n", step->desc->name, e->seed);
}

/* ---- JSON, CSV ---- */

static void explain_step_json(const struct pipeline_step *step, const struct mapi_explanation *e)
{
	struct json j = JSON_TO(stdout);

	json_object(&j, NULL);
	json_u64(&j, "flow", step->number + 1u);
	json_i64(&j, "fid", step->fid);
	json_string(&j, "function", step->desc->name);
	json_string(&j, "label", step->label);
	json_u64(&j, "step", e->step);
	json_u64(&j, "steps", e->n_steps);
	json_string(&j, "tier", EXPLAIN_NAME(explain_tiers, e->tier));
	json_string(&j, "reason", e->reason);
	json_string(&j, "work", EXPLAIN_NAME(explain_works, e->work));
	json_string(&j, "order", EXPLAIN_NAME(explain_orders, e->order));
	json_bool(&j, "late", e->late);
	json_u64(&j, "group", e->group);
	json_u64(&j, "domain", e->domain);
	json_u64(&j, "new_domain", e->new_domain);
	json_u64(&j, "together", e->together);
	json_u64(&j, "shared", e->shared);
	if (e->instructions)
		json_u64(&j, "instructions", e->instructions);
	else
		json_null(&j, "instructions");
	if (e->ns_per_pkt > 0)
		json_f64(&j, "ns_per_packet", e->ns_per_pkt);
	else
		json_null(&j, "ns_per_packet");
	if (e->has_seed)
		json_u64(&j, "seed", e->seed);
	else
		json_null(&j, "seed");
	json_end_object(&j);
	json_line(&j);
}

static void explain_step_csv(const struct pipeline_step *step, const struct mapi_explanation *e)
{
	struct csv c = CSV_TO(stdout);

	csv_u64(&c, step->number + 1u);
	csv_i64(&c, step->fid);
	csv_string(&c, step->desc->name);
	csv_string(&c, step->label);
	csv_u64(&c, e->step);
	csv_u64(&c, e->n_steps);
	csv_string(&c, EXPLAIN_NAME(explain_tiers, e->tier));
	csv_string(&c, e->reason);
	csv_string(&c, EXPLAIN_NAME(explain_works, e->work));
	csv_string(&c, EXPLAIN_NAME(explain_orders, e->order));
	csv_bool(&c, e->late);
	csv_u64(&c, e->group);
	csv_u64(&c, e->domain);
	csv_u64(&c, e->new_domain);
	csv_u64(&c, e->together);
	csv_u64(&c, e->shared);
	if (e->instructions)
		csv_u64(&c, e->instructions);
	else
		csv_string(&c, NULL);
	csv_f64(&c, e->ns_per_pkt > 0 ? e->ns_per_pkt : NAN);
	if (e->has_seed)
		csv_u64(&c, e->seed);
	else
		csv_string(&c, NULL);
	csv_line(&c);
}

/* ---- the run ---- */

static int explain_pipeline(
	const struct pipeline *pipeline, unsigned int number, enum arguments_format format)
{
	static void (*const printers[])(
		const struct pipeline_step *step, const struct mapi_explanation *e) = {
		[ARGUMENTS_TEXT] = explain_step,
		[ARGUMENTS_JSON] = explain_step_json,
		[ARGUMENTS_CSV] = explain_step_csv,
	};
	struct mapi_explanation *all = calloc(pipeline->n_steps, sizeof(*all));
	char told[MAPI_STR_LENGTH];
	unsigned int i;

	if (!all)
		return EXIT_DEVICE;
	if (format == ARGUMENTS_TEXT)
		printf("flow %u\n%4s  %-18s %-6s  %-8s  %s\n", number, "STEP", "FUNCTION", "WHERE",
			"WORKERS", "PACKETS");
	for (i = 0; i < pipeline->n_steps; i++) {
		const struct pipeline_step *step = pipeline->steps[i];

		all[i].sz = sizeof(all[i]);
		if (mapi_explain(step->fd, step->fid, &all[i]) < 0) {
			free(all);
			return session_fail(step);
		}
		printers[format](step, &all[i]);
	}
	for (i = 0; i < pipeline->n_steps && format == ARGUMENTS_TEXT; i++)
		explain_reason(&all[i], told, i == 0);
	for (i = 0; i < pipeline->n_steps && format == ARGUMENTS_TEXT; i++)
		explain_seed(pipeline->steps[i], &all[i]);
	free(all);
	return EXIT_OK;
}

/* Files that functions would write stay as they are. */
static int explain_keep_files(struct pipeline_set *set)
{
	unsigned int i, j;

	for (i = 0; i < set->n_order; i++)
		for (j = 0; j < set->order[i]->n_args; j++) {
			struct pipeline_arg *arg = &set->order[i]->args[j];

			if (set->order[i]->desc->args[j].type != MAPI_ARG_FILE)
				continue;
			free(arg->text);
			arg->text = strdup("/dev/null");
			if (!arg->text)
				return EXIT_DEVICE;
		}
	return EXIT_OK;
}

/* A capture file of Ethernet without packets. Return: its descriptor, -1. */
static int explain_nothing(char *out, size_t out_bytes)
{
	static const struct {
		uint32_t magic;
		uint16_t major, minor;
		uint32_t zone, digits, snaplen, linktype;
	} head = { .magic = 0xa1b2c3d4, .major = 2, .minor = 4, .snaplen = 262144, .linktype = 1 };
	int fd = memfd_create("no packets", MFD_CLOEXEC);

	if (fd < 0 || write(fd, &head, sizeof(head)) != (ssize_t)sizeof(head)) {
		perror("mapi: a file in memory");
		return -1;
	}
	(void)snprintf(out, out_bytes, "/proc/self/fd/%d", fd);
	return fd;
}

static int explain_session(struct session *session, const struct arguments *arguments)
{
	const char *input = arguments->input;
	char nothing[40];
	int fd = input ? -1 : explain_nothing(nothing, sizeof(nothing)), code;
	unsigned int i;

	if (!input && fd < 0)
		return EXIT_DEVICE;
	code = session_connect(session, input ? input : nothing, arguments->live);
	if (code == EXIT_OK && arguments->format == ARGUMENTS_CSV)
		printf("flow,fid,function,label,step,steps,tier,reason,work,order,late,group,"
		       "domain,new_domain,together,shared,instructions,ns_per_packet,seed\r\n");
	for (i = 0; i < session->set.n_pipelines && code == EXIT_OK; i++)
		code = explain_pipeline(&session->set.pipelines[i], i + 1, arguments->format);
	if (fd >= 0)
		(void)close(fd);
	return code;
}

/* To look at what comes through a pipe is to wait for it, and to take it out. */
static bool explain_is_pipe(const char *path)
{
	struct stat st;

	return !strcmp(path, "-") ||
		(stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) &&
			!S_ISBLK(st.st_mode));
}

static int explain_run(int argc, char **argv)
{
	char **pipelines = calloc((size_t)argc, sizeof(char *));
	struct arguments arguments = { .input = NULL };
	struct expressions words = {
		.pipelines = pipelines, .arguments = &arguments, .verb = &verb_explain
	};
	struct session session = SESSION_INIT;
	int option, code = EXIT_OK;

	if (!pipelines)
		return EXIT_DEVICE;
	while (code == EXIT_OK && (option = verb_getopt(&verb_explain, argc, argv)) != -1) {
		if (option == 'e')
			pipelines[words.n_pipelines++] = optarg;
		else
			code = arguments_take(&arguments, &verb_explain, option, optarg);
	}
	if (code == EXIT_OK && arguments.input && !arguments.live &&
		explain_is_pipe(arguments.input))
		code = verb_usage(&verb_explain,
			"explain reads nothing, so -r names a file, no pipe; without "
			"-r, Ethernet is supposed");
	words.words = argv + optind;
	words.n_words = argc - optind;
	if (code == EXIT_OK && !mapi_describe_next_function(NULL))
		code = session_fail(NULL);
	if (code == EXIT_OK)
		code = expressions_build(&words, &session.set);
	if (code == EXIT_OK)
		code = expressions_resolve(&session.set);
	if (code == EXIT_OK)
		code = explain_keep_files(&session.set);
	if (code == EXIT_OK)
		code = explain_session(&session, &arguments);
	session_deinit(&session);
	free(pipelines);
	return code;
}

const struct verb verb_explain = {
	.name = "explain",
	.summary = "tell how the functions of pipelines are executed",
	.intro = explain_intro,
	.options = explain_options,
	.outro = "\nmapi-explain(1) has the meaning of the columns.\n",
	.word = VERB_FILTER,
	.run = explain_run,
};

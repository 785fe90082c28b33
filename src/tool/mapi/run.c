/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mapi run: pipelines (or a filter) run over a capture file or a live device, results printed at
 * the end or every so often, as aligned lines or as JSON, one object per line.
 */
#include "verbs.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "arguments.h"
#include "csv.h"
#include "expressions.h"
#include "json.h"
#include "result.h"
#include "session.h"
#include "text.h"

/* What the command line says. */
struct run_options {
	struct arguments arguments;
	const char *output;
	const char *max_pkts;
	uint64_t interval_ms;
	char **expressions;
	unsigned int n_expressions;
	bool quiet;
	bool verbose;
};

/* What printing a result needs. */
struct run_printer {
	const struct run_options *options;
	const struct session *session;
	struct result_table table;
	uint64_t read_ns; /* when results are read, since the Unix epoch */
	int code;
};

static const char run_intro[] =
	"usage: mapi run -r FILE|-i DEVICE [options] [PIPELINE ... | filter words ...]\n"
	"\n"
	"Reads a capture file, or captures until Ctrl-C, and prints the results of\n"
	"functions: those of the pipelines, or how many packets and bytes match a filter.\n"
	"\n"
	"  mapi run -r f.pcap tcp port 80\n"
	"  mapi run -r f.pcap 'BPF_FILTER(\"tcp\") | STR_SEARCH(\"www\") | PKT_COUNTER'\n"
	"  mapi run -i eth0 --duration 10 -e 'PKTINFO(size) @s | STATS(s)' ip6\n"
	"\n";

enum run_option { RUN_INTERVAL = VERB_LONG };

static const struct verb_option run_options[] = {
	ARGUMENTS_OPTION_READ,
	ARGUMENTS_OPTION_INTERFACE,
	ARGUMENTS_OPTION_DURATION("with -i: end after so long"),
	{ RUN_INTERVAL, "interval", "SEC", VERB_ANYTHING,
		"with -i: print the results so far every so often" },
	{ 'e', "expr", "PIPELINE", VERB_FUNCTION,
		"a pipeline; may be given several times, ';' separates several" },
	ARGUMENTS_OPTION_FILTER_FILE,
	{ 'w', "write", "FILE", VERB_FILE, "also write the packets that pass (.pcapng or pcap)" },
	{ 'c', NULL, "N", VERB_ANYTHING, "with -w: write at most N packets" },
	ARGUMENTS_FORMAT_OPTIONS("result"),
	ARGUMENTS_OPTION_WORKERS,
	ARGUMENTS_OPTION_SEED,
	ARGUMENTS_OPTION_PRECISION("of times in a pcap file that is written"),
	ARGUMENTS_OPTION_COLOUR,
	{ 'q', "quiet", NULL, VERB_NOTHING, "no progress bar" },
	{ 'v', "verbose", NULL, VERB_NOTHING, "more about the run" },
	{ 'n', NULL, NULL, VERB_NOTHING, NULL },
	VERB_OPTION_END,
};

static int run_take_option(struct run_options *o, int option, const char *value)
{
	unsigned long long number;

	switch (option) {
	case 'e':
		o->expressions[o->n_expressions++] = (char *)value;
		return EXIT_OK;
	case 'w':
		o->output = value;
		return EXIT_OK;
	case 'c':
		o->max_pkts = value;
		return arguments_number("-c", value, ULLONG_MAX, &number) < 0 ? EXIT_USAGE
									      : EXIT_OK;
	case 'n':
		return EXIT_OK; /* names are never looked up; accepted out of habit */
	case 'q':
		o->quiet = true;
		return EXIT_OK;
	case 'v':
		o->verbose = true;
		return EXIT_OK;
	case RUN_INTERVAL:
		return arguments_seconds("--interval", value, &o->interval_ms) < 0 ? EXIT_USAGE
										   : EXIT_OK;
	default:
		return arguments_take(&o->arguments, &verb_run, option, value);
	}
}

static int run_parse_options(struct run_options *o, int argc, char **argv)
{
	int option, code = EXIT_OK;

	while (code == EXIT_OK && (option = verb_getopt(&verb_run, argc, argv)) != -1)
		code = run_take_option(o, option, optarg);
	if (code != EXIT_OK)
		return code;
	if (arguments_need_input(&o->arguments, &verb_run) != EXIT_OK)
		return EXIT_USAGE;
	if (!o->arguments.live && o->interval_ms)
		return verb_usage(&verb_run, "--interval is for live devices (-i)");
	if (o->max_pkts && !o->output)
		return verb_usage(
			&verb_run, "-c limits what -w writes; without -w it means nothing");
	if (o->output && !strcmp(o->output, "-"))
		return verb_usage(
			&verb_run, "standard output is for results; use \"mapi dump -w -\"");
	return EXIT_OK;
}

/* -w writes the packets of the pipeline. */
static int run_add_output(const struct run_options *o, struct pipeline_set *set)
{
	struct pipeline_error error = { .text = "" };
	const char *file[3] = { NULL, NULL, o->max_pkts };
	int r;

	if (!o->output)
		return EXIT_OK;
	if (set->n_pipelines > 1)
		return verb_usage(
			&verb_run, "-w writes the packets of one pipeline; use TO_FILE in each");
	if (arguments_output(o->output, o->arguments.live ? "" : o->arguments.input,
		    o->arguments.precision, &file[1], &file[0]) < 0)
		return EXIT_USAGE;
	r = pipeline_add_step(set, 0, false, "TO_FILE", file, o->max_pkts ? 3 : 2, NULL,
		mapi_describe_next_function, &error);
	return r < 0 ? expressions_failed(&error, r) : EXIT_OK;
}

/* Packets that nobody takes would stop the run for ever: a full buffer makes a file wait. */
static int run_refuse_packets(const struct pipeline_set *set)
{
	unsigned int i;

	for (i = 0; i < set->n_order; i++) {
		const struct pipeline_step *step = set->order[i];

		if (!(step->desc->flags & MAPI_FUNCTION_PACKETS))
			continue;
		fprintf(stderr, "mapi: %s hands packets to a program, \"run\" shows results\n",
			step->desc->name);
		if (step->place.source)
			text_caret(
				stderr, "  ", step->place.source, step->place.at, step->place.len);
		fprintf(stderr, "\"mapi dump\" prints packets\n");
		return EXIT_USAGE;
	}
	return EXIT_OK;
}

static uint64_t run_now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void run_print_json(const struct run_printer *printer, const struct pipeline_step *step,
	const mapi_results_t *result, const struct mapi_result_status *status)
{
	struct json j = JSON_TO(stdout);
	char ts[TEXT_TIME_BYTES];

	json_object(&j, NULL);
	json_string(&j, "device", printer->session->path);
	if (printer->session->live) {
		text_rfc3339(ts, printer->read_ns);
		json_string(&j, "time", ts);
	}
	json_u64(&j, "flow", step->number + 1u);
	json_string(&j, "function", step->desc->name);
	json_string(&j, "label", step->label);
	json_i64(&j, "fid", step->fid);
	text_rfc3339(ts, status->last_ts_ns);
	json_string(&j, "ts", status->last_ts_ns ? ts : NULL); /* no packet, no time */
	result_value_json(&j, "value", step->desc, result->res, (size_t)result->size);
	result_loss_json(&j, "loss", status->lost_pkts);
	if (printer->session->live) {
		json_u64(&j, "outages", status->outages);
		json_u64(&j, "changes", status->changes);
		json_u64(&j, "restarts", status->restarts);
		json_u64(&j, "gap_ns", status->gap_ns);
		json_u64(&j, "clock_steps", status->clock_steps);
		json_bool(&j, "behind", status->behind);
		json_u64(&j, "times_behind", status->times_behind);
	}
	if (status->error) {
		json_object(&j, "error");
		json_i64(&j, "code", status->error);
		json_string(&j, "text", status->error_text);
		json_end_object(&j);
	} else {
		json_null(&j, "error");
	}
	json_end_object(&j);
	json_line(&j);
}

/* One line per field; of lists, with the number of the record. */
static void run_print_csv(const struct run_printer *printer, const struct pipeline_step *step,
	const mapi_results_t *result, const struct mapi_result_status *status)
{
	struct csv c = CSV_TO(stdout);
	char ts[TEXT_TIME_BYTES], read[TEXT_TIME_BYTES] = "", value[96];
	unsigned long long lost_pkts = 0;
	struct result_item item = { .desc = step->desc };

	if (printer->session->live)
		text_rfc3339(read, printer->read_ns);
	text_rfc3339(ts, status->last_ts_ns);
	for (unsigned int i = 0; i < MAPI_N_LOSS; i++)
		lost_pkts += status->lost_pkts[i];
	while (result_next_item(&item, result->res, (size_t)result->size)) {
		csv_string(&c, printer->session->path);
		csv_string(&c, read);
		csv_u64(&c, step->number + 1u);
		csv_string(&c, step->desc->name);
		csv_string(&c, step->label);
		csv_i64(&c, step->fid);
		csv_string(&c, status->last_ts_ns ? ts : NULL);
		if (item.record)
			csv_u64(&c, item.record);
		else
			csv_string(&c, NULL);
		csv_string(&c, item.field->name);
		result_field_text(value, sizeof(value), item.field, item.at);
		csv_string(&c, value);
		csv_string(&c, item.field->unit);
		csv_u64(&c, lost_pkts);
		csv_i64(&c, status->error);
		csv_line(&c);
	}
}

static void run_print_result(
	struct run_printer *printer, const struct pipeline_step *step, const mapi_results_t *result)
{
	struct mapi_result_status status = { .sz = sizeof(status) };
	char name[96], *at = name, *end = name + sizeof(name);

	if (result->size < 0 || !result_is_whole(step->desc, (size_t)result->size))
		return;
	(void)mapi_result_status(step->fd, step->fid, 0, &status);
	if (printer->options->arguments.format == ARGUMENTS_JSON) {
		run_print_json(printer, step, result, &status);
		return;
	}
	if (printer->options->arguments.format == ARGUMENTS_CSV) {
		run_print_csv(printer, step, result, &status);
		return;
	}
	*name = '\0';
	if (printer->session->set.n_pipelines > 1)
		at += snprintf(at, (size_t)(end - at), "%u: ", step->number + 1);
	if (step->label)
		at += snprintf(at, (size_t)(end - at), "%.40s/", step->label);
	(void)snprintf(at, (size_t)(end - at), "%.40s", step->desc->name);
	if (result_table_add(&printer->table, name, step->desc, result->res, (size_t)result->size) <
		0)
		printer->code = EXIT_DEVICE;
}

static void run_on_record(
	const struct pipeline_step *step, const mapi_results_t *record, void *data)
{
	struct run_printer *printer = data;

	printer->read_ns = run_now_ns();
	run_print_result(printer, step, record);
	if (printer->options->arguments.format == ARGUMENTS_TEXT) {
		result_table_print(&printer->table, stdout,
			text_colour_wanted(printer->options->arguments.colour, STDOUT_FILENO));
		result_table_deinit(&printer->table);
	}
}

static void run_print_results(struct run_printer *printer)
{
	const struct pipeline_set *set = &printer->session->set;
	unsigned int i, j;

	printer->read_ns = run_now_ns();
	for (i = 0; i < set->n_pipelines; i++)
		for (j = 0; j < set->pipelines[i].n_steps; j++) {
			const struct pipeline_step *step = set->pipelines[i].steps[j];
			const mapi_results_t *result;

			/* Records are printed as they come; of an implied TO_FILE nobody asks. */
			if (!step->desc->n_fields || (step->desc->flags & MAPI_FUNCTION_BLOCKING) ||
				(!step->place.source && !strcmp(step->desc->name, "TO_FILE")))
				continue;
			result = mapi_read_results(step->fd, step->fid);
			if (result)
				run_print_result(printer, step, result);
			else
				printer->code = session_fail(step);
		}
	result_table_print(&printer->table, stdout,
		text_colour_wanted(printer->options->arguments.colour, STDOUT_FILENO));
	result_table_deinit(&printer->table);
}

/* One moment of a live run. */
static void run_on_interval(void *data)
{
	struct run_printer *printer = data;
	char time[TEXT_TIME_BYTES];

	if (printer->options->arguments.format == ARGUMENTS_TEXT) {
		text_rfc3339(time, run_now_ns());
		printf("%.19sZ\n", time);
	}
	run_print_results(printer);
	(void)fflush(stdout); /* a failure stays in the stream and is found at the end */
}

/* Of a live device the number of packets is known nowhere else, so it is always said. */
static void run_print_account(const struct session *session, bool verbose)
{
	struct mapi_result_status status;
	char lost[256];
	unsigned int i;

	for (i = 0; i < session->set.n_pipelines; i++) {
		status = (struct mapi_result_status){ .sz = sizeof(status) };
		(void)session_finished(session->set.pipelines[i].steps[0], &status);
		result_loss_text(lost, sizeof(lost), status.lost_pkts);
		if (session->live)
			fprintf(stderr, "mapi: flow %u: %llu packets captured, %s\n", i + 1,
				status.pkts, *lost ? lost : "0 lost");
		else if (*lost)
			fprintf(stderr, "mapi: flow %u: packets %s\n", i + 1, lost);
		if (status.restarts)
			fprintf(stderr,
				"mapi: flow %u: %llu restarts of the daemon, blind for %.1f s\n",
				i + 1, status.restarts, (double)status.gap_ns / 1e9);
		if (verbose)
			fprintf(stderr,
				"mapi: flow %u: %llu packets of the device, %llu of them late\n",
				i + 1, status.pkts, status.late_pkts);
	}
}

static int run_session(const struct run_options *o, struct session *session)
{
	struct run_printer printer = { .options = o, .session = session };
	struct progress progress;
	int code = session_start(session, o->arguments.input, o->arguments.live), error, stopped;

	if (code != EXIT_OK)
		return code;
	if (o->arguments.format == ARGUMENTS_CSV)
		printf("device,time,flow,function,label,fid,ts,record,field,value,unit,lost_"
		       "packets,"
		       "error\r\n");
	session->on_record = run_on_record;
	session->on_interval = run_on_interval;
	session->duration_ms = o->arguments.duration_ms;
	session->interval_ms = o->interval_ms;
	session->data = &printer;
	if (o->arguments.live && !o->quiet)
		session_tell_listening(o->arguments.input);
	progress_begin(&progress, o->quiet || o->arguments.live);
	code = session_wait(session, &progress);
	progress_end(&progress);
	run_print_results(&printer);
	errno = 0;
	if ((fflush(stdout) != 0 || ferror(stdout)) && errno != EPIPE) {
		fprintf(stderr, "mapi: standard output: %s\n",
			errno ? strerror(errno) : "not all could be written");
		printer.code = EXIT_DEVICE;
	}
	if (code == EXIT_INTERRUPTED && !o->quiet)
		fprintf(stderr, "mapi: interrupted; results cover what was read\n");
	if (!o->quiet)
		run_print_account(session, o->verbose);
	error = session_report(session);
	stopped = session_stop(session);
	if (stopped > error)
		error = stopped;
	return code != EXIT_OK ? code : error != EXIT_OK ? error : printer.code;
}

static int run_run(int argc, char **argv)
{
	struct run_options o = { .expressions = calloc((size_t)argc, sizeof(char *)) };
	struct session session = SESSION_INIT;
	struct expressions words;
	int code;

	if (!o.expressions)
		return EXIT_DEVICE;
	code = run_parse_options(&o, argc, argv);
	words = (struct expressions){ .pipelines = o.expressions,
		.n_pipelines = o.n_expressions,
		.words = argv + optind,
		.n_words = argc - optind,
		.arguments = &o.arguments,
		.verb = &verb_run };
	if (code == EXIT_OK && session_environment(o.arguments.workers, o.arguments.seed) < 0)
		code = EXIT_DEVICE;
	if (code == EXIT_OK && !mapi_describe_next_function(NULL))
		code = session_fail(NULL);
	if (code == EXIT_OK)
		code = expressions_build(&words, &session.set);
	if (code == EXIT_OK)
		code = run_add_output(&o, &session.set);
	if (code == EXIT_OK)
		code = expressions_resolve(&session.set);
	if (code == EXIT_OK)
		code = run_refuse_packets(&session.set);
	if (code == EXIT_OK)
		code = run_session(&o, &session);
	session_deinit(&session);
	free(o.expressions);
	return code;
}

const struct verb verb_run = {
	.name = "run",
	.summary = "run pipelines of functions, or a filter, over a capture or a device",
	.intro = run_intro,
	.options = run_options,
	.outro = "\n\"mapi functions\" lists the functions; mapi-run(1) has the language."
		 "\n",
	.word = VERB_FILTER,
	.run = run_run,
};

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mapi dump: the packets of a capture file or a live device that match a filter, printed one per
 * line, as JSON, or written to another capture file; with tcpdump's options.
 */
#include "verbs.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "arguments.h"
#include "facts.h"
#include "linktype.h"
#include "print.h"
#include "result.h"
#include "session.h"
#include "text.h"

#define DUMP_POLL_MS 50
#define DUMP_PKTS_PER_SIGNAL_CHECK 256u

/* What the command line says. */
struct dump_options {
	struct arguments arguments;
	const char *output;
	const char *snaplen;
	const char *linktype;
	const char *max_text;
	unsigned long long max_pkts; /* ULLONG_MAX: all */
	struct print_options print;
	unsigned int hex, hex_ascii, times;
	bool count;
	bool line_buffered;
};

/* The daemon is asked once per interface; interfaces that share a place here, again and again. */
#define DUMP_INTERFACES 64u

struct dump_interface {
	bool is_known;
	unsigned int ifindex;
	uint32_t linktype;
};

struct dump {
	const struct dump_options *options;
	struct session session;
	uint32_t linktype; /* of -y */
	struct dump_interface interfaces[DUMP_INTERFACES];
	struct print_state state;
	unsigned long long n_pkts;
};

static const char dump_intro[] =
	"usage: mapi dump -r FILE|-i DEVICE [options] [filter words ...]\n"
	"\n"
	"Prints the packets of a capture file, or of a device until Ctrl-C, that match a\n"
	"filter, or writes them to a capture file.\n"
	"\n"
	"  mapi dump -r f.pcap tcp port 80\n"
	"  mapi dump -i eth0 -c 10 -e -X udp port 53\n"
	"  mapi dump -r f.pcap.zst -w web.pcapng tcp port 443\n"
	"\n";

enum dump_option { DUMP_COUNT = VERB_LONG };

static const struct verb_option dump_options[] = {
	ARGUMENTS_OPTION_READ,
	ARGUMENTS_OPTION_INTERFACE,
	ARGUMENTS_OPTION_DURATION("with -i: end after so long"),
	ARGUMENTS_OPTION_FILTER_FILE,
	{ 'c', NULL, "N", VERB_ANYTHING, "stop after N packets" },
	{ 's', "snapshot-length", "N", VERB_ANYTHING, "keep the first N bytes of each packet" },
	{ 't', NULL, NULL, VERB_NOTHING,
		"no time; -tt Unix, -ttt delta, -tttt date, -ttttt since first" },
	{ 'e', NULL, NULL, VERB_NOTHING, "the link header, too" },
	{ 'v', NULL, NULL, VERB_NOTHING, "more of each packet; -vv still more" },
	{ 'q', NULL, NULL, VERB_NOTHING, "less of each packet" },
	{ 'x', NULL, NULL, VERB_NOTHING, "bytes in hexadecimal; -xx with link header" },
	{ 'X', NULL, NULL, VERB_NOTHING, "bytes in hexadecimal and ASCII; -XX with link header" },
	{ 'A', NULL, NULL, VERB_NOTHING, "bytes in ASCII" },
	{ '#', "number", NULL, VERB_NOTHING, "numbers of packets" },
	{ 'l', NULL, NULL, VERB_NOTHING, "flush each line" },
	{ DUMP_COUNT, "count", NULL, VERB_NOTHING, "print only how many packets match" },
	ARGUMENTS_OPTION_JSON("one object per packet"),
	{ 'w', "write", "FILE", VERB_FILE,
		"write instead: pcapng if it ends in .pcapng, else pcap; - too" },
	ARGUMENTS_OPTION_PRECISION("of printed times, and of a pcap file that is written"),
	{ 'y', "linktype", "TYPE", VERB_ANYTHING,
		"of this link type (EN10MB ...), whatever the file says" },
	ARGUMENTS_OPTION_WORKERS,
	ARGUMENTS_OPTION_SEED,
	ARGUMENTS_OPTION_COLOUR,
	{ 'S', "absolute-tcp-sequence-numbers", NULL, VERB_NOTHING, NULL },
	{ 'U', NULL, NULL, VERB_NOTHING, NULL },
	{ 'n', NULL, NULL, VERB_NOTHING, NULL },
	{ 'p', NULL, NULL, VERB_NOTHING, NULL },
	{ 'K', NULL, NULL, VERB_NOTHING, NULL },
	VERB_OPTION_END,
};

/* Options of the line. Return: false if it is none of them. */
static bool dump_take_print_option(struct dump_options *o, int option)
{
	switch (option) {
	case 't':
		o->times++;
		return true;
	case 'e':
		o->print.link = true;
		return true;
	case 'v':
		o->print.verbose++;
		return true;
	case 'q':
		o->print.quick = true;
		return true;
	case 'x':
		o->hex++;
		return true;
	case 'X':
		o->hex_ascii++;
		return true;
	case 'A':
		o->print.bytes = PRINT_BYTES_ASCII;
		return true;
	case '#':
		o->print.number = true;
		return true;
	case 'l':
	case 'U':
		o->line_buffered = true;
		return true;
	case 'n': /* names are never looked up, numbers never relative: accepted out of habit */
	case 'S':
	case 'p':
	case 'K':
		return true;
	case DUMP_COUNT:
		o->count = true;
		return true;
	default:
		return false;
	}
}

static int dump_take_option(struct dump_options *o, int option, const char *value)
{
	unsigned long long number;
	int r = 0;

	if (dump_take_print_option(o, option))
		return EXIT_OK;
	switch (option) {
	case 'w':
		o->output = value;
		break;
	case 'c':
		o->max_text = value;
		r = arguments_number("-c", value, ULLONG_MAX - 1, &o->max_pkts);
		break;
	case 's':
		/* 0 is tcpdump's word for the whole packet. */
		o->snaplen = strcmp(value, "0") != 0 ? value : NULL;
		r = o->snaplen ? arguments_number("-s", value, 262144, &number) : 0;
		break;
	case 'y':
		o->linktype = value;
		break;
	default:
		return arguments_take(&o->arguments, &verb_dump, option, value);
	}
	return r < 0 ? EXIT_USAGE : EXIT_OK;
}

static int dump_parse_options(struct dump_options *o, int argc, char **argv)
{
	int option, code = EXIT_OK;

	*o = (struct dump_options){ .max_pkts = ULLONG_MAX };
	while (code == EXIT_OK && (option = verb_getopt(&verb_dump, argc, argv)) != -1)
		code = dump_take_option(o, option, optarg);
	if (code != EXIT_OK)
		return code;
	if (arguments_need_input(&o->arguments, &verb_dump) != EXIT_OK)
		return EXIT_USAGE;
	if (o->output && (o->arguments.format == ARGUMENTS_JSON || o->count))
		return verb_usage(&verb_dump,
			"-w writes packets; --json and --count print: one or the other");
	if (o->times >= _PRINT_TIME_N)
		return verb_usage(&verb_dump, "-t at most five times");
	o->print.time = (enum print_time)o->times;
	o->print.digits = o->arguments.precision == ARGUMENTS_PRECISION_NANO ? 9 : 6;
	o->print.colour = text_colour_wanted(o->arguments.colour, STDOUT_FILENO);
	if (o->hex_ascii)
		o->print.bytes = PRINT_BYTES_HEX_ASCII;
	else if (o->hex)
		o->print.bytes = PRINT_BYTES_HEX;
	o->print.bytes_link = o->hex > 1 || o->hex_ascii > 1;
	return EXIT_OK;
}

/* ---- the pipeline: filter, cut, and what takes the packets ---- */

static int dump_add(struct dump *d, const char *name, const char *const *args, unsigned int n_args,
	const char *source)
{
	struct pipeline_error error = { .text = "" };
	int r = pipeline_add_step(&d->session.set, 0, false, name, args, n_args, source,
		mapi_describe_next_function, &error);

	if (r == -ENOMEM)
		fprintf(stderr, "mapi: out of memory\n");
	else if (r < 0) {
		fputs("mapi: ", stderr);
		pipeline_error_print(stderr, &error);
	}
	return r < 0 ? EXIT_DEVICE : EXIT_OK;
}

static int dump_build_pipeline(struct dump *d, const char *filter)
{
	const struct dump_options *o = d->options;
	const char *nowait = "1", *file[3] = { NULL, NULL, o->max_text };
	struct pipeline_error error;
	int code = EXIT_OK;

	if (filter && *filter)
		code = dump_add(d, "BPF_FILTER", &filter, 1, filter);
	if (code == EXIT_OK && o->snaplen)
		code = dump_add(d, "CUT", &o->snaplen, 1, NULL);
	if (code == EXIT_OK && (o->count || o->output))
		code = dump_add(d, "PKT_COUNTER", NULL, 0, NULL);
	if (code == EXIT_OK && o->output) {
		if (arguments_output(o->output, o->arguments.live ? "" : o->arguments.input,
			    o->arguments.precision, &file[1], &file[0]) < 0)
			return EXIT_USAGE;
		code = dump_add(d, "TO_FILE", file, o->max_text ? 3 : 2, NULL);
	} else if (code == EXIT_OK && !o->count) {
		code = dump_add(d, "TO_BUFFER", &nowait, 1, NULL);
	}
	if (code == EXIT_OK && pipeline_resolve(&d->session.set, &error) < 0)
		code = EXIT_DEVICE; /* no references: only memory can be missing */
	return code;
}

static const struct pipeline_step *dump_last_step(const struct dump *d)
{
	const struct pipeline *pipeline = &d->session.set.pipelines[0];

	return pipeline->steps[pipeline->n_steps - 1];
}

/* ---- printing ---- */

static uint32_t dump_linktype(struct dump *d, const struct mapipkt *pkt)
{
	struct dump_interface *interface = &d->interfaces[pkt->ifindex % DUMP_INTERFACES];
	int linktype;

	if (d->options->linktype)
		return d->linktype;
	if (interface->is_known && interface->ifindex == pkt->ifindex)
		return interface->linktype;
	linktype = mapi_get_linktype(dump_last_step(d)->fd, pkt->ifindex);
	if (linktype < 0) { /* only if the daemon is lost: the packets before that are printed */
		(void)mapi_read_error(&linktype, NULL);
		return FACTS_LINK_ETHERNET;
	}
	*interface = (struct dump_interface){
		.is_known = true,
		.ifindex = pkt->ifindex,
		.linktype = linktype_canonical((uint32_t)linktype),
	};
	return interface->linktype;
}

static void dump_print(struct dump *d, const struct mapipkt *pkt)
{
	struct print_packet packet = { .number = ++d->n_pkts,
		.ts_ns = text_ns_from_ts(pkt->ts),
		.linktype = dump_linktype(d, pkt),
		.cap_bytes = pkt->caplen,
		.wire_bytes = pkt->wlen,
		.data = &pkt->pkt };

	if (d->options->arguments.format == ARGUMENTS_JSON)
		print_packet_json(stdout, &packet);
	else
		print_packet(stdout, &d->options->print, &d->state, &packet);
	if (d->options->line_buffered)
		(void)fflush(stdout); /* a failure stays in the stream and is found at the end */
}

/* Nothing to read now. Return: whether there is something to read, or the end. */
static bool dump_wait(struct dump *d, const struct pipeline_step *step, bool *ret_interrupted)
{
	struct pollfd fds[] = {
		{ .fd = mapi_fileno(step->fd, step->fid), .events = POLLIN },
		{ .fd = d->session.signal_fd, .events = POLLIN },
	};

	(void)fflush(stdout);
	(void)poll(fds, 2, DUMP_POLL_MS);
	if (fds[1].revents & POLLIN)
		*ret_interrupted = session_interrupted(&d->session);
	return fds[0].fd < 0 || fds[0].revents;
}

/* A live capture ends at a moment: packets from before that are printed, later ones are not. */
struct dump_end {
	uint64_t at_ms; /* of the clock of session_now_ms() */
	uint64_t last_ns; /* time of the latest packet to be printed; 0: not ended */
};

static bool dump_ends(struct dump *d, struct dump_end *end, bool interrupted)
{
	struct timespec now;

	if (end->last_ns || (!interrupted && session_now_ms() < end->at_ms))
		return end->last_ns;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	end->last_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	session_flush(&d->session);
	return true;
}

/* Nothing there. Return: whether that is the end. */
static bool dump_is_over(const struct pipeline_step *step, bool readable)
{
	char text[MAPI_ERRORSTR_LENGTH];
	int code;

	(void)mapi_read_error(&code, text);
	return code || (readable && session_finished(step, NULL));
}

/* The packets have ended when the descriptor is readable, there is no packet, and the flow says
 * that it is over: a full buffer may have spilled packets that arrive after that. */
static int dump_print_packets(struct dump *d)
{
	const struct pipeline_step *step = dump_last_step(d);
	const struct dump_options *o = d->options;
	struct dump_end end = { .at_ms = UINT64_MAX };
	bool readable = false, interrupted = false, ended = false;
	const struct mapipkt *pkt;

	if (o->arguments.duration_ms)
		end.at_ms = session_now_ms() + o->arguments.duration_ms;
	while (d->n_pkts < o->max_pkts && (o->arguments.live || !interrupted)) {
		pkt = mapi_get_next_pkt(step->fd, step->fid);
		if (pkt && ended && text_ns_from_ts(pkt->ts) > end.last_ns)
			break;
		if (pkt) {
			readable = false;
			dump_print(d, pkt);
			if (d->n_pkts % DUMP_PKTS_PER_SIGNAL_CHECK)
				continue;
			interrupted |= session_interrupted(&d->session);
		} else if (ended || dump_is_over(step, readable)) {
			break;
		} else {
			readable = dump_wait(d, step, &interrupted);
		}
		ended = o->arguments.live && dump_ends(d, &end, interrupted);
	}
	return interrupted && !o->arguments.live ? EXIT_INTERRUPTED : EXIT_OK;
}

/* ---- counting and writing ---- */

/* The file has all the packets it may have? */
static bool dump_has_enough(void *data)
{
	const struct dump *d = data;
	const struct pipeline_step *step = dump_last_step(d);
	const mapi_results_t *running = mapi_read_results(step->fd, step->fid);
	int value = 1;

	if (running && running->size >= (int)sizeof(value))
		memcpy(&value, running->res, sizeof(value));
	return !value;
}

/* A live device has no end at which the count could be cut. */
static bool dump_has_counted(void *data)
{
	const struct dump *d = data;
	const struct pipeline_step *step = dump_last_step(d);
	const mapi_results_t *count = mapi_read_results(step->fd, step->fid);
	unsigned long long n = 0;

	if (count && count->size >= (int)sizeof(n))
		memcpy(&n, count->res, sizeof(n));
	return n >= d->options->max_pkts;
}

static int dump_wait_for_end(struct dump *d)
{
	const struct pipeline *pipeline = &d->session.set.pipelines[0];
	const struct pipeline_step *counter =
		pipeline->steps[pipeline->n_steps - (d->options->output ? 2 : 1)];
	const mapi_results_t *result;
	struct progress progress;
	int code;

	d->session.data = d;
	d->session.duration_ms = d->options->arguments.duration_ms;
	if (d->options->output && d->options->max_text)
		d->session.enough = dump_has_enough;
	else if (d->options->arguments.live && d->options->max_text)
		d->session.enough = dump_has_counted;
	progress_begin(&progress, d->options->print.quick || d->options->arguments.live);
	code = session_wait(&d->session, &progress);
	progress_end(&progress);
	result = mapi_read_results(counter->fd, counter->fid);
	if (!result)
		return session_fail(NULL);
	memcpy(&d->n_pkts, result->res, sizeof(d->n_pkts));
	if (d->n_pkts > d->options->max_pkts)
		d->n_pkts = d->options->max_pkts;
	if (d->options->count)
		printf("%llu packet%s\n", d->n_pkts, d->n_pkts == 1 ? "" : "s");
	return code;
}

/* ---- the end ---- */

static void dump_summary(const struct dump *d)
{
	struct mapi_result_status status = { .sz = sizeof(status) };
	char lost[256];

	bool finished = session_finished(dump_last_step(d), &status);

	result_loss_text(lost, sizeof(lost), status.lost_pkts);
	if (d->options->count && !d->options->arguments.live && !*lost)
		return; /* it has been said */
	fprintf(stderr, "%llu packet%s %s\n", d->n_pkts, d->n_pkts == 1 ? "" : "s",
		d->options->output          ? status.error ? "to be written" : "written"
			: d->options->count ? "counted"
					    : "printed");
	if (d->options->arguments.live)
		fprintf(stderr, "%llu packet%s captured\n", status.pkts,
			status.pkts == 1 ? "" : "s");
	else if (finished) /* else the number is that of a moment ago, and nobody's concern */
		fprintf(stderr, "%llu packet%s read\n", status.pkts, status.pkts == 1 ? "" : "s");
	fprintf(stderr, "%s%s\n", *lost ? "packets " : "0 packets lost", lost);
	if (status.restarts)
		fprintf(stderr, "%llu restarts of the daemon, blind for %.1f s\n", status.restarts,
			(double)status.gap_ns / 1e9);
}

/* Nobody reads what we write to standard output through the daemon? Then end as the shell expects.
 */
static void dump_end_if_pipe_closed(const struct dump *d)
{
	struct mapi_result_status status = { .sz = sizeof(status) };

	if (!d->options->output || strcmp(d->options->output, "-") != 0)
		return;
	(void)session_finished(dump_last_step(d), &status);
	if (status.error && strstr(status.error_text, strerror(EPIPE)))
		(void)raise(SIGPIPE);
}

static int dump_session(struct dump *d)
{
	int code = session_start(
		    &d->session, d->options->arguments.input, d->options->arguments.live),
	    error, stopped;

	if (code != EXIT_OK)
		return code;
	if (d->options->arguments.live)
		session_tell_listening(d->options->arguments.input);
	code = d->options->output || d->options->count ? dump_wait_for_end(d)
						       : dump_print_packets(d);
	errno = 0;
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "mapi: standard output: %s\n",
			errno ? strerror(errno) : "not all could be written");
		return EXIT_DEVICE;
	}
	dump_end_if_pipe_closed(d);
	if (!d->options->print.quick)
		dump_summary(d);
	error = session_report(&d->session);
	stopped = session_stop(&d->session);
	if (stopped > error)
		error = stopped;
	return code != EXIT_OK ? code : error;
}

static int dump_run(int argc, char **argv)
{
	struct dump_options o;
	struct dump d = { .options = &o, .session = SESSION_INIT };
	char *filter = NULL;
	int code = dump_parse_options(&o, argc, argv);

	if (code != EXIT_OK)
		return code;
	if (session_environment(o.arguments.workers, o.arguments.seed) < 0)
		return EXIT_DEVICE;
	if (o.linktype && linktype_parse(o.linktype, &d.linktype) < 0)
		return verb_usage(
			&verb_dump, "-y wants a link type: EN10MB, RAW, LINUX_SLL ... or a number");
	if (!mapi_describe_next_function(NULL))
		code = session_fail(NULL);
	if (code == EXIT_OK)
		code = arguments_filter(
			&o.arguments, &verb_dump, argv + optind, argc - optind, &filter);
	if (code == EXIT_OK)
		code = dump_build_pipeline(&d, filter);
	if (code == EXIT_OK)
		code = dump_session(&d);
	session_deinit(&d.session);
	free(filter);
	return code;
}

const struct verb verb_dump = {
	.name = "dump",
	.summary = "print packets, or write them to a capture file",
	.intro = dump_intro,
	.options = dump_options,
	.outro = "\nmapi-dump(1) has the format of the lines, and exit codes.\n",
	.word = VERB_FILTER,
	.run = dump_run,
};

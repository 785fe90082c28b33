/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mapi util: what part of a link is used, and how much is free, interval by interval.
 *
 * Two counters, each recorded by a BUCKET: so intervals follow the time of the packets, on files as
 * on live devices. A link is used by more than the bytes that are captured: on Ethernet every frame
 * also takes 4 bytes of check sequence, 8 of preamble and 12 of gap (IEEE 802.3, clauses 3 and 4).
 */
#include "verbs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "mapi/bucket.h"
#include "mapi/stats.h"

#include "arguments.h"
#include "csv.h"
#include "expressions.h"
#include "host.h"
#include "json.h"
#include "result.h"
#include "session.h"
#include "text.h"
#include "util_series.h"

#define UTIL_INTERVAL_MS 1000u
#define UTIL_ETHERNET 1 /* LINKTYPE_ */
#define UTIL_ETHERNET_BYTES 24u
#define UTIL_NS_MIN 1000000u /* of a part of an interval that has a rate */

static const char util_intro[] =
	"usage: mapi util -i DEVICE|-r FILE [options] [filter words ...]\n"
	"\n"
	"Shows what part of a link is used and how much is free, for every interval,\n"
	"until Ctrl-C or the end of the file.\n"
	"\n"
	"  mapi util -i eth0\n"
	"  mapi util -i eth0 --link-speed 100M --interval 60 --csv\n"
	"  mapi util -r f.pcap --link-speed 1G port 443\n"
	"\n";

enum util_option { UTIL_INTERVAL = VERB_LONG, UTIL_SPEED, UTIL_OVERHEAD };

static const struct verb_option util_options[] = {
	ARGUMENTS_OPTION_INTERFACE,
	ARGUMENTS_OPTION_READ,
	ARGUMENTS_OPTION_FILTER_FILE,
	{ UTIL_SPEED, "link-speed", "SPEED", VERB_ANYTHING,
		"10G, 2.5G, 100M ... (default: that of the device)" },
	{ UTIL_INTERVAL, "interval", "SEC", VERB_ANYTHING, "how long each is (default: 1)" },
	ARGUMENTS_OPTION_DURATION("with -i: end after so long"),
	{ UTIL_OVERHEAD, "overhead", "N", VERB_ANYTHING,
		"bytes that each packet takes besides (default: 24 on Ethernet)" },
	ARGUMENTS_FORMAT_OPTIONS("interval"),
	VERB_OPTION_END,
};

enum util_counter { UTIL_BYTES, UTIL_PKTS, _UTIL_COUNTER_N };

/**
 * struct util - a run
 * @speed_bps: 0: not known
 * @begin_ns:  of a live device: since when all packets are counted
 * @end_ns:    of the last whole interval; 0: there is none
 * @n_missing: intervals since the first one of which a record was lost
 * @total_ns, @total_bytes, @total_pkts, @max_used_bps: of what was shown
 */
struct util {
	struct arguments arguments;
	uint64_t interval_ms;
	double speed_bps;
	bool has_overhead;
	unsigned long long overhead_bytes;
	struct session session;
	const struct pipeline_step *counters[_UTIL_COUNTER_N];
	const struct pipeline_step *buckets[_UTIL_COUNTER_N];
	const struct pipeline_step *times;
	struct util_series series[_UTIL_COUNTER_N];
	uint64_t begin_ns;
	uint64_t end_ns;
	uint64_t n_missing;
	uint64_t total_ns;
	uint64_t total_bytes;
	uint64_t total_pkts;
	double max_used_bps;
	unsigned long long n_rows;
};

/* ---- rows ---- */

static void util_bits(char *out, size_t out_bytes, double bps)
{
	static const char *const units[] = { "b/s", "kb/s", "Mb/s", "Gb/s", "Tb/s" };
	unsigned int i = 0;

	while (bps >= 999.5 && i + 1 < sizeof(units) / sizeof(units[0])) {
		bps /= 1000;
		i++;
	}
	(void)snprintf(out, out_bytes, "%.*f %s",
		bps < 9.995 && i           ? 2
			: bps < 99.95 && i ? 1
					   : 0,
		bps, units[i]);
}

struct util_row {
	uint64_t begin_ns;
	uint64_t ns;
	uint64_t bytes;
	uint64_t pkts;
	double bps; /* of the bytes */
	double used_bps; /* of the link */
};

static void util_percent(char *out, size_t out_bytes, const struct util *u, double used_bps)
{
	if (u->speed_bps > 0)
		(void)snprintf(out, out_bytes, "%.2f %%", 100 * used_bps / u->speed_bps);
	else
		(void)snprintf(out, out_bytes, "-");
}

static double util_free_bps(const struct util *u, double used_bps)
{
	return u->speed_bps > used_bps ? u->speed_bps - used_bps : 0;
}

/* Of a time in a table: with hundredths of seconds, and thousandths if intervals have them. */
static int util_time_len(const struct util *u)
{
	return (int)strlen("2026-11-22T03:22:00.12") + (u->interval_ms % 10 ? 1 : 0);
}

static void util_print_text(const struct util *u, const struct util_row *row)
{
	char time[TEXT_TIME_BYTES], bits[24], used[24], rest[24] = "-";

	if (u->n_rows == 1)
		printf("%-*s  %11s  %9s  %11s  %11s\n", util_time_len(u) + 1, "TIME", "BITS",
			"USED", "FREE", "PACKETS/S");
	text_rfc3339(time, row->begin_ns);
	(void)snprintf(time + util_time_len(u), 2, "Z");
	util_bits(bits, sizeof(bits), row->bps);
	util_percent(used, sizeof(used), u, row->used_bps);
	if (u->speed_bps > 0)
		util_bits(rest, sizeof(rest), util_free_bps(u, row->used_bps));
	printf("%-*s  %11s  %9s  %11s  %11.0f\n", util_time_len(u) + 1, time, bits, used, rest,
		(double)row->pkts * 1e9 / (double)row->ns);
}

static void util_print_json(const struct util *u, const struct util_row *row)
{
	struct json j = JSON_TO(stdout);
	char time[TEXT_TIME_BYTES];

	text_rfc3339(time, row->begin_ns);
	json_object(&j, NULL);
	json_string(&j, "device", u->arguments.input);
	json_string(&j, "time", time);
	json_f64(&j, "seconds", (double)row->ns / 1e9);
	json_u64(&j, "bytes", row->bytes);
	json_u64(&j, "packets", row->pkts);
	json_f64(&j, "bits_per_s", row->bps);
	json_f64(&j, "packets_per_s", (double)row->pkts * 1e9 / (double)row->ns);
	json_f64(&j, "used_bits_per_s", row->used_bps);
	if (u->speed_bps > 0) {
		json_f64(&j, "link_bits_per_s", u->speed_bps);
		json_f64(&j, "used_percent", 100 * row->used_bps / u->speed_bps);
		json_f64(&j, "free_bits_per_s", util_free_bps(u, row->used_bps));
	} else {
		json_null(&j, "link_bits_per_s");
		json_null(&j, "used_percent");
		json_null(&j, "free_bits_per_s");
	}
	json_end_object(&j);
	json_line(&j);
}

static void util_print_csv(const struct util *u, const struct util_row *row)
{
	struct csv c = CSV_TO(stdout);
	char time[TEXT_TIME_BYTES];
	bool known = u->speed_bps > 0;

	if (u->n_rows == 1)
		printf("device,time,seconds,bytes,packets,bits_per_s,packets_per_s,used_bits_per_s,"
		       "link_bits_per_s,used_percent,free_bits_per_s\r\n");
	text_rfc3339(time, row->begin_ns);
	csv_string(&c, u->arguments.input);
	csv_string(&c, time);
	csv_f64(&c, (double)row->ns / 1e9);
	csv_u64(&c, row->bytes);
	csv_u64(&c, row->pkts);
	csv_f64(&c, row->bps);
	csv_f64(&c, (double)row->pkts * 1e9 / (double)row->ns);
	csv_f64(&c, row->used_bps);
	csv_f64(&c, known ? u->speed_bps : NAN);
	csv_f64(&c, known ? 100 * row->used_bps / u->speed_bps : NAN);
	csv_f64(&c, known ? util_free_bps(u, row->used_bps) : NAN);
	csv_line(&c);
}

static void util_show(struct util *u, uint64_t begin_ns, uint64_t ns, uint64_t bytes, uint64_t pkts)
{
	static void (*const printers[])(const struct util *u, const struct util_row *row) = {
		[ARGUMENTS_TEXT] = util_print_text,
		[ARGUMENTS_JSON] = util_print_json,
		[ARGUMENTS_CSV] = util_print_csv,
	};
	double used_bytes = (double)bytes + (double)pkts * (double)u->overhead_bytes;
	struct util_row row = {
		.begin_ns = begin_ns,
		.ns = ns,
		.bytes = bytes,
		.pkts = pkts,
		.bps = (double)bytes * 8e9 / (double)ns,
		.used_bps = used_bytes * 8e9 / (double)ns,
	};

	u->n_rows++;
	printers[u->arguments.format](u, &row);
	(void)fflush(stdout); /* a failure stays in the stream and is found at the end */
	u->total_ns += ns;
	u->total_bytes += bytes;
	u->total_pkts += pkts;
	if (row.used_bps > u->max_used_bps)
		u->max_used_bps = row.used_bps;
}

/* ---- records ---- */

static void util_on_record(
	const struct pipeline_step *step, const mapi_results_t *record, void *data)
{
	struct util *u = data;
	uint64_t interval_ns = u->interval_ms * 1000000u;
	struct bucket_data bucket;
	struct util_pair pair;

	if (record->size < (int)sizeof(bucket))
		return;
	memcpy(&bucket, record->res, sizeof(bucket));
	util_series_add(&u->series[step == u->buckets[UTIL_PKTS] ? UTIL_PKTS : UTIL_BYTES],
		text_ns_from_ts(bucket.timestamp), interval_ns, bucket.data);
	while (util_series_pair(u->series, interval_ns, &pair)) {
		if (u->end_ns && pair.begin_ns > u->end_ns)
			u->n_missing += (pair.begin_ns - u->end_ns) / interval_ns;
		util_show(u, pair.begin_ns, interval_ns, pair.values[UTIL_BYTES],
			pair.values[UTIL_PKTS]);
		u->end_ns = pair.begin_ns + interval_ns;
	}
}

static uint64_t util_count(const struct pipeline_step *step)
{
	const mapi_results_t *result = mapi_read_results(step->fd, step->fid);
	unsigned long long value = 0;

	if (result && result->size >= (int)sizeof(value))
		memcpy(&value, result->res, sizeof(value));
	return value;
}

/* Of a file: what has come since the last whole interval. */
static void util_show_rest(struct util *u)
{
	struct mapi_result_status status = { .sz = sizeof(status) };
	uint64_t bytes = util_count(u->counters[UTIL_BYTES]);
	uint64_t pkts = util_count(u->counters[UTIL_PKTS]);
	uint64_t begin_ns = u->end_ns;

	(void)session_finished(u->counters[UTIL_PKTS], &status);
	if (!begin_ns) {
		const mapi_results_t *result = mapi_read_results(u->times->fd, u->times->fid);
		stats_t stats;

		if (!result || result->size < (int)sizeof(stats))
			return;
		memcpy(&stats, result->res, sizeof(stats));
		/* A double knows the time to a quarter of a microsecond. */
		begin_ns = (text_ns_from_ts((unsigned long long)stats.min) + 500) / 1000 * 1000;
	}
	if (pkts && status.last_ts_ns > begin_ns + UTIL_NS_MIN)
		util_show(u, begin_ns, status.last_ts_ns - begin_ns, bytes, pkts);
	else if (pkts)
		fprintf(stderr, "mapi: the last %llu packets took no time\n",
			(unsigned long long)pkts);
}

/* Of a live device that was not listened to for a whole interval, or was silent: what there was. */
static void util_show_part(struct util *u)
{
	uint64_t now_ns = clock_realtime_ns();

	if (!u->n_rows && now_ns > u->begin_ns + UTIL_NS_MIN)
		util_show(u, u->begin_ns, now_ns - u->begin_ns, util_count(u->counters[UTIL_BYTES]),
			util_count(u->counters[UTIL_PKTS]));
}

static void util_summary(const struct util *u)
{
	double used_bytes =
		(double)u->total_bytes + (double)u->total_pkts * (double)u->overhead_bytes;
	char mean[24], percent[24], max[24];

	if (u->arguments.format != ARGUMENTS_TEXT || !u->total_ns)
		return;
	util_bits(mean, sizeof(mean), (double)u->total_bytes * 8e9 / (double)u->total_ns);
	util_percent(percent, sizeof(percent), u, used_bytes * 8e9 / (double)u->total_ns);
	util_percent(max, sizeof(max), u, u->max_used_bps);
	printf("%-*s  %11s  %9s  (greatest: %s)\n", util_time_len(u) + 1, "mean", mean, percent,
		max);
}

/* ---- the run ---- */

/* The speed of a live device in bit/s, as the configuration or the kernel knows it; 0: unknown. */
static double util_device_speed(const char *device)
{
	mapi_device_info_t info = { .id = -1 };
	struct host_interface *interfaces;
	unsigned int n, i;
	double mbps = 0;

	while (mbps <= 0 && mapi_get_next_device_info(info.id, &info) == 0)
		if (!strcmp(info.device, device) || !strcmp(info.alias, device))
			mbps = info.link_speed;
	(void)mapi_read_error(&(int){ 0 }, NULL);
	if (mbps > 0 || host_interfaces(&interfaces, &n) < 0)
		return mbps * 1e6;
	for (i = 0; i < n; i++)
		if (!strcmp(interfaces[i].name, device))
			mbps = interfaces[i].speed_mbps;
	free(interfaces);
	return mbps * 1e6;
}

/* "10G", "2.5G", "100M"; without a letter Mbit/s, as in mapi.conf. */
static int util_speed(const char *text, double *ret_bps)
{
	static const char letters[] = "kMGT";
	static const double factors[] = { 1e3, 1e6, 1e9, 1e12 };
	char *end;
	double value = strtod(text, &end), factor = 1e6;
	const char *letter = *end ? strchr(letters, *end == 'K' ? 'k' : *end) : NULL;

	if (letter) {
		factor = factors[letter - letters];
		end++;
	}
	if (!strchr("0123456789", *text) || *end || !(value > 0) || value * factor > 1e15)
		return verb_usage(
			&verb_util, "--link-speed is a number with k, M, G or T, e.g. 2.5G");
	*ret_bps = value * factor;
	return EXIT_OK;
}

static int util_take_option(struct util *u, int option, const char *value)
{
	int r = 0;

	switch (option) {
	case UTIL_SPEED:
		return util_speed(value, &u->speed_bps);
	case UTIL_INTERVAL:
		r = arguments_seconds("--interval", value, &u->interval_ms);
		break;
	case UTIL_OVERHEAD:
		u->has_overhead = true;
		r = strcmp(value, "0") != 0
			? arguments_number("--overhead", value, 1000, &u->overhead_bytes)
			: 0;
		break;
	default:
		return arguments_take(&u->arguments, &verb_util, option, value);
	}
	return r < 0 ? EXIT_USAGE : EXIT_OK;
}

static int util_build(struct util *u, char *const *words, int n_words)
{
	char pipeline[256];
	char *const pipelines[] = { pipeline };
	const struct expressions expressions = { .pipelines = pipelines,
		.n_pipelines = 1,
		.words = words,
		.n_words = n_words,
		.arguments = &u->arguments,
		.verb = &verb_util };
	const struct pipeline *built;
	int code;

	(void)snprintf(pipeline, sizeof(pipeline),
		"BYTE_COUNTER @bytes | PKT_COUNTER @packets | BUCKET(bytes, \"%llums\") | "
		"BUCKET(packets, \"%llums\")%s",
		(unsigned long long)u->interval_ms, (unsigned long long)u->interval_ms,
		u->arguments.live ? "" : " | PKTINFO(ts) @time | STATS(time)");
	code = expressions_build(&expressions, &u->session.set);
	if (code == EXIT_OK && u->session.set.n_pipelines > 1)
		return verb_usage(
			&verb_util, "words after the options are a filter, not pipelines");
	if (code == EXIT_OK)
		code = expressions_resolve(&u->session.set);
	if (code != EXIT_OK)
		return code;
	built = &u->session.set.pipelines[0];
	for (unsigned int i = 0; i < _UTIL_COUNTER_N; i++) {
		u->counters[i] = built->steps[built->n_front + i];
		u->buckets[i] = built->steps[built->n_front + _UTIL_COUNTER_N + i];
	}
	if (!u->arguments.live)
		u->times = built->steps[built->n_steps - 1];
	return EXIT_OK;
}

static int util_session(struct util *u)
{
	struct mapi_result_status status = { .sz = sizeof(status) };
	struct progress progress;
	int code = session_start(&u->session, u->arguments.input, u->arguments.live), error;
	char lost[256];

	if (code != EXIT_OK)
		return code;
	u->begin_ns = clock_realtime_ns();
	if (!u->has_overhead && mapi_get_linktype(u->counters[0]->fd, 0) == UTIL_ETHERNET)
		u->overhead_bytes = UTIL_ETHERNET_BYTES;
	(void)mapi_read_error(&(int){ 0 }, NULL);
	if (!(u->speed_bps > 0))
		fputs("mapi: the speed of the link is not known; --link-speed says it\n", stderr);
	if (u->arguments.live)
		session_tell_listening(u->arguments.input);
	u->session.on_record = util_on_record;
	u->session.duration_ms = u->arguments.duration_ms;
	u->session.data = u;
	progress_begin(&progress, true);
	code = session_wait(&u->session, &progress);
	progress_end(&progress);
	if (code == EXIT_OK && u->arguments.live)
		util_show_part(u);
	else if (code == EXIT_OK)
		util_show_rest(u);
	util_summary(u);
	(void)session_finished(u->counters[UTIL_PKTS], &status);
	result_loss_text(lost, sizeof(lost), status.lost_pkts);
	if (u->arguments.live || *lost)
		fprintf(stderr, "mapi: %llu packets captured, %s\n", status.pkts,
			*lost ? lost : "0 lost");
	if (u->n_missing)
		fprintf(stderr,
			"mapi: %llu intervals are not shown: of a long silence, or not read in "
			"time\n",
			(unsigned long long)u->n_missing);
	error = session_report(&u->session);
	return code != EXIT_OK ? code : error;
}

static int util_run(int argc, char **argv)
{
	struct util *u = calloc(1, sizeof(*u));
	int option, code = EXIT_OK;

	if (!u)
		return EXIT_DEVICE;
	u->session = SESSION_INIT;
	u->interval_ms = UTIL_INTERVAL_MS;
	while (code == EXIT_OK && (option = verb_getopt(&verb_util, argc, argv)) != -1)
		code = util_take_option(u, option, optarg);
	if (code == EXIT_OK)
		code = arguments_need_input(&u->arguments, &verb_util);
	if (code == EXIT_OK && !mapi_describe_next_function(NULL))
		code = session_fail(NULL);
	if (code == EXIT_OK)
		code = util_build(u, argv + optind, argc - optind);
	if (code == EXIT_OK && !(u->speed_bps > 0) && u->arguments.live)
		u->speed_bps = util_device_speed(u->arguments.input);
	if (code == EXIT_OK)
		code = util_session(u);
	session_deinit(&u->session);
	free(u);
	return code;
}

const struct verb verb_util = {
	.name = "util",
	.summary = "what part of a link is used, and how much is free",
	.intro = util_intro,
	.options = util_options,
	.outro = "\nmapi-util(1) has what counts as used.\n",
	.word = VERB_FILTER,
	.run = util_run,
};

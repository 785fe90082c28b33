/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random pipelines on an interface (semantics T2). Many cases run at the same time while a capture
 * is sent over a cable and recorded; what they then say must be what they say of the recording, and
 * that must be what the plain machine says.
 *
 * A live device's time goes on after its last packet, a recording's does not. So all periods are
 * multiples of LIVE_GRID_NS, the last packet comes when they have just begun, and a case that was
 * not done when the next one ended is drawn again, among fewer.
 */
#include "engine.h"

#include <mapi.h>
#include <mapi/to_file.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "flows.h"

#define LIVE_CASES_MAX 24u /* at the same time */
#define LIVE_PKTS_MAX 300u
#define LIVE_FRAME_BYTES_MAX 1514u
#define LIVE_SPAN_NS 1000000000u /* what a capture takes here */
#define LIVE_GRID_NS 200000000u
#define LIVE_LAST_NS 5000000u /* after a point of the grid */

/* @done_ns: when all of it had been read */
struct live_case {
	struct model_case c;
	struct engine engine;
	struct model_results results;
	uint64_t done_ns;
	bool failed;
};

static uint64_t live_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void live_wait_until(uint64_t ns)
{
	const struct timespec then = { .tv_sec = (time_t)(ns / 1000000000u),
		.tv_nsec = (long)(ns % 1000000000u) };

	while (clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &then, NULL) != 0)
		;
}

/* ---- drawing ---- */

/* Whole frames of Ethernet, one after the other within LIVE_SPAN_NS. */
bool model_live_prepare(struct model_capture *capture)
{
	uint64_t first_ns = UINT64_MAX, last_ns = 0;
	unsigned int n = 0;

	if (pcap_datalink(capture->pcap) != DLT_EN10MB)
		return false;
	for (unsigned int i = 0; i < capture->n_pkts && n < LIVE_PKTS_MAX; i++) {
		struct model_packet *pkt = &capture->pkts[i];

		if (pkt->cap_bytes < 60 || pkt->cap_bytes > LIVE_FRAME_BYTES_MAX ||
			pkt->cap_bytes != pkt->wire_bytes)
			continue;
		if (pkt->ts_ns < last_ns)
			pkt->ts_ns = last_ns;
		last_ns = pkt->ts_ns;
		if (n == 0)
			first_ns = last_ns;
		capture->pkts[n++] = *pkt;
	}
	capture->n_pkts = n;
	for (unsigned int i = 0; i < n; i++)
		capture->pkts[i].ts_ns = (uint64_t)((double)(capture->pkts[i].ts_ns - first_ns) /
			(double)(last_ns - first_ns + 1) * LIVE_SPAN_NS);
	return n > 1;
}

static bool live_has_lines(const struct model_case *c)
{
	for (unsigned int i = 0; i < c->n_flows; i++)
		for (unsigned int k = 0; k < c->flows[i].n_functions; k++)
			if (c->flows[i].functions[k].kind == MODEL_RES2FILE)
				return true;
	return false;
}

/* Periods onto the grid, and the interface's number; chance depends on the numbers of flows, which
 * are others on the recording. */
static void live_suit(struct model_case *c, unsigned int interface)
{
	for (unsigned int i = 0; i < c->n_flows; i++) {
		for (unsigned int k = 0; k < c->flows[i].n_functions; k++) {
			struct model_function *f = &c->flows[i].functions[k];

			if (f->kind == MODEL_CHANCE)
				f->number = f->number < 50 ? 0 : 100;
			if (f->kind == MODEL_INTERFACE && f->number == 0)
				f->number = (int)interface;
			if (!model_has_period(f) || f->kind == MODEL_TOP)
				continue;
			snprintf(f->text, sizeof(f->text), "%llums",
				(1 + strtoull(f->text, NULL, 10) % 5) * (LIVE_GRID_NS / 1000000u));
			if (f->kind == MODEL_THRESHOLD) /* in microseconds there */
				memcpy(f->text + strlen(f->text) - 2, "000us", sizeof("000us"));
		}
	}
}

/* ---- a round ---- */

/* The capture, then one of its packets when periods have just begun. Return: 0, -1. */
static int live_send(const struct model_capture *capture, const char *interface)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET,
		.sll_ifindex = (int)if_nametoindex(interface) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	uint64_t begin_ns = live_now_ns(), span_ns;

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		perror(interface);
		return -1;
	}
	for (unsigned int n = 0; n <= capture->n_pkts; n++) {
		const struct model_packet *pkt = &capture->pkts[n % capture->n_pkts];
		uint64_t at_ns = begin_ns + pkt->ts_ns;

		span_ns = live_now_ns() - begin_ns + LIVE_GRID_NS;
		if (n == capture->n_pkts)
			at_ns = begin_ns + span_ns / LIVE_GRID_NS * LIVE_GRID_NS + LIVE_LAST_NS;
		live_wait_until(at_ns);
		if (send(fd, pkt->data, pkt->cap_bytes, 0) != (ssize_t)pkt->cap_bytes) {
			perror("send");
			close(fd);
			return -1;
		}
	}
	close(fd);
	return 0;
}

static void live_read(struct live_case *l)
{
	l->failed = engine_read_rings(&l->engine, &l->results) < 0 ||
		engine_read_results(&l->engine, &l->results) < 0;
	l->done_ns = live_now_ns();
}

/* What RES2FILE saves at the end came after it was asked how many lines there are. */
static void live_count_last_lines(struct live_case *l)
{
	for (unsigned int i = 0; i < l->c.n_flows; i++)
		for (unsigned int k = 0; k < l->c.flows[i].n_functions; k++)
			l->results.of[i][k].value +=
				l->c.flows[i].functions[k].kind == MODEL_RES2FILE &&
				strcmp(l->c.flows[i].functions[k].text, "-1") == 0;
}

static void live_close(struct live_case *l)
{
	if (engine_close(&l->engine) < 0)
		l->failed = true;
	engine_read_files(&l->engine, &l->results);
	live_count_last_lines(l);
}

/* What may go on after the last packet first; a file does so until its flow is closed. */
static void live_finish(struct live_case cases[], unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (!live_has_lines(&cases[i].c))
			live_read(&cases[i]);
	for (unsigned int i = 0; i < n; i++) {
		if (!live_has_lines(&cases[i].c))
			continue;
		live_read(&cases[i]);
		live_close(&cases[i]);
		cases[i].done_ns = live_now_ns();
	}
	for (unsigned int i = 0; i < n; i++)
		if (!live_has_lines(&cases[i].c))
			live_close(&cases[i]);
}

static int live_failed(const char *what)
{
	flows_error(what);
	return -1;
}

/* Return: a flow that records, -1. */
static int live_record(const char *device, const char *path)
{
	int fd = mapi_create_flow(device);

	if (fd < 0 || mapi_apply_function(fd, "TO_FILE", MFF_PCAPNG, path, 0ULL) < 0 ||
		mapi_connect(fd) < 0)
		return live_failed("recording");
	return fd;
}

static int live_go(struct live_case cases[], unsigned int n, const struct model_capture *capture,
	const struct model_cable *cable, const char *path)
{
	int recorder = live_record(cable->in, path), r = 0;

	if (recorder < 0)
		return -1;
	for (unsigned int i = 0; r == 0 && i < n; i++) {
		cases[i].engine = (struct engine){
			.c = &cases[i].c, .device = cable->in, .live = true, .number = i + 1
		};
		r = engine_make(&cases[i].engine);
	}
	if (r == 0)
		r = live_send(capture, cable->out);
	if (r == 0 && mapi_flush(recorder) < 0)
		r = live_failed("mapi_flush");
	if (r == 0)
		live_finish(cases, n);
	if (mapi_close_flow(recorder) < 0)
		r = live_failed("mapi_close_flow");
	return r;
}

/* ---- comparison ---- */

static uint64_t live_lost(const struct live_case *l)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < l->c.n_flows; i++)
		for (unsigned int k = 0; k < l->c.flows[i].n_functions; k++)
			n += l->results.of[i][k].lost_pkts;
	return n;
}

/* REGEXP may give up packets for want of time, and its flow says so. */
static bool live_may_lose(const struct model_case *c)
{
	for (unsigned int i = 0; i < c->n_flows; i++)
		for (unsigned int k = 0; k < c->flows[i].n_functions; k++)
			if (c->flows[i].functions[k].kind == MODEL_REGEXP)
				return true;
	return false;
}

/* Return: 1 done, 0 to be drawn again, -1 it differs. */
static int live_compare(struct live_case *l, const struct model_capture *recording,
	const struct model_cable *cable, struct model_totals *totals)
{
	struct model_results plain, offline;
	unsigned int differences;

	if (l->failed || model_plain_run(&plain, &l->c, recording) < 0)
		return -1;
	if (plain.next_end_ns < l->done_ns) {
		totals->late++;
		return 0;
	}
	if (live_lost(l) > 0) {
		totals->lost++;
		return live_may_lose(&l->c) ? 1 : -1;
	}
	totals->cases++;
	if (model_engine_run(&offline, &l->c, recording) < 0)
		return -1;
	differences = model_compare(&l->c, &plain, &offline, totals);
	for (unsigned int i = 0; i < l->c.n_flows; i++)
		for (unsigned int k = 0; k < l->c.flows[i].n_functions; k++)
			offline.of[i][k].known = offline.of[i][k].pkts_known =
				offline.of[i][k].passed_known = true;
	if (differences == 0) {
		differences = model_compare(&l->c, &offline, &l->results, totals);
		if (differences)
			printf("differs: \"plain machine\" is the recording, \"engine\" %s\n",
				cable->in);
	}
	return differences ? -1 : 1;
}

/* Return: how many were done. */
static unsigned int live_round(struct live_case cases[], unsigned int n,
	const struct model_capture *capture, const struct model_cable *cable,
	struct model_totals *totals)
{
	struct model_capture recording;
	unsigned int done = 0;
	char path[64];

	snprintf(path, sizeof(path), "model-%d.pcapng", (int)getpid());
	if (live_go(cases, n, capture, cable, path) < 0 ||
		model_capture_read(&recording, path) < 0) {
		totals->differences++;
		return n;
	}
	totals->pkts += recording.n_pkts;
	if (recording.n_pkts != capture->n_pkts + 1) {
		printf("differs: %u of %u packets were recorded\n", recording.n_pkts,
			capture->n_pkts + 1);
		totals->differences++;
	}
	for (unsigned int i = 0; i < n; i++) {
		int r = live_compare(&cases[i], &recording, cable, totals);

		done += r != 0;
		if (r >= 0)
			continue;
		totals->differences++;
		printf("differs: case %llu: live, %s\n", (unsigned long long)cases[i].c.seed,
			capture->path);
		model_case_print(&cases[i].c);
		fflush(stdout);
	}
	model_capture_free(&recording);
	unlink(path);
	return done;
}

void model_live(struct model_capture captures[], unsigned int n_captures,
	const struct model_cable *cable, const struct model_drawing *drawing,
	struct model_totals *totals)
{
	struct live_case *cases = calloc(LIVE_CASES_MAX, sizeof(*cases));
	unsigned int n_at_once = LIVE_CASES_MAX, interface = if_nametoindex(cable->in);
	uint64_t seed = drawing->seed, end = drawing->n_cases;

	for (uint64_t done = 0; cases && done < end;) {
		const struct model_capture *capture = &captures[seed % n_captures];
		unsigned int n = 0, in_time;

		while (n < n_at_once && n < end - done) {
			unsigned int order[MODEL_FLOWS_MAX];
			struct model_results results;

			model_case_draw(
				&cases[n].c, seed++, capture, drawing->filters, drawing->n_filters);
			if (engine_connect_order(&cases[n].c, order) &&
				model_plain_run(&results, &cases[n].c, capture) == 0)
				live_suit(&cases[n++].c, interface);
		}
		in_time = live_round(cases, n, capture, cable, totals);
		done += in_time;
		/* Fewer are read sooner. */
		if (in_time < n && n_at_once > 1)
			n_at_once = (n_at_once + 1) / 2;
		else if (in_time == n)
			n_at_once = LIVE_CASES_MAX;
		if (totals->late > 2 * end) {
			printf("differs: this machine is too slow\n");
			totals->differences++;
			break;
		}
	}
	free(cases);
}

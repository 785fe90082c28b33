/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program that reads several flows in one loop, by the descriptors of mapi_fileno().
 *
 * usage: poller DEVICE FLOWS
 *
 * Of four flows one keeps what is sent to UDP port 9, one keeps what is sent to port 10 (nothing
 * is), and two count the former. It prints "ready" when all are connected, and does what its
 * standard input says, line by line, each with a line that says what has come of it:
 *
 *   packets N  wait in poll(), and read what is readable, until each flow has got N more:
 *              "packets N wakes N empty N", where "empty" counts descriptors that were readable
 *              while there was no packet
 *   still      "still poll N select N epoll N": how many are readable for each of these calls,
 * after a while in which none should become so killed     the daemon was: wait until all are
 * readable, and call about each: "killed readable N restarts N failed N", restarts of all flows
 * together
 *
 * Exit status: 0, 1 if something has failed that may not.
 */
#include <mapi.h>
#include <mapi/errors.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include "../process.h"

#define POLLER_FLOWS_MAX 64u
#define POLLER_STILL_MS 300
#define POLLER_WAIT_S 20

enum poller_kind { POLLER_KEEPS, POLLER_KEEPS_NOTHING, POLLER_COUNTS, _POLLER_KIND_N = 4 };

struct poller_flow {
	enum poller_kind kind;
	int fd, fid;
	unsigned long long got; /* since it was asked for */
	unsigned long long counted; /* of a counter, before that */
	unsigned long long restarts;
};

static struct poller_flow poller_flows[POLLER_FLOWS_MAX];
static struct pollfd poller_fds[POLLER_FLOWS_MAX];
static unsigned int poller_n;

static void poller_fail(const char *what)
{
	char text[MAPI_ERRORSTR_LENGTH] = "";

	mapi_read_error(NULL, text);
	fprintf(stderr, "poller: %s: %s\n", what, text);
	exit(1);
}

static void poller_open(struct poller_flow *flow, const char *device)
{
	flow->fd = mapi_create_flow(device);
	if (mapi_apply_function(flow->fd, "BPF_FILTER",
		    flow->kind == POLLER_KEEPS_NOTHING ? "udp port 10" : "udp port 9") < 0)
		poller_fail("BPF_FILTER");
	flow->fid = flow->kind < POLLER_COUNTS ? mapi_apply_function(flow->fd, "TO_BUFFER", 1)
					       : mapi_apply_function(flow->fd, "PKT_COUNTER");
	if (flow->fid < 0 || mapi_connect(flow->fd) < 0)
		poller_fail("connect");
}

static unsigned long long poller_count(const struct poller_flow *flow)
{
	const mapi_results_t *result = mapi_read_results(flow->fd, flow->fid);

	if (!result)
		poller_fail("mapi_read_results");
	return *(const unsigned long long *)result->res;
}

/* Its descriptor is readable. Return: how many packets there were, 1 for a result. */
static unsigned int poller_read(struct poller_flow *flow)
{
	unsigned int n = 0;

	if (flow->kind >= POLLER_COUNTS) {
		flow->got = poller_count(flow) - flow->counted;
		return 1;
	}
	while (mapi_get_next_pkt(flow->fd, flow->fid))
		n++;
	flow->got += n;
	return n;
}

static bool poller_all_have(unsigned long long wanted)
{
	for (unsigned int i = 0; i < poller_n; i++)
		if (poller_flows[i].kind != POLLER_KEEPS_NOTHING && poller_flows[i].got < wanted)
			return false;
	return true;
}

static void poller_packets(unsigned long long wanted)
{
	double begin = process_seconds();
	unsigned int n_wakes = 0, n_empty = 0;

	while (!poller_all_have(wanted) && process_seconds() - begin < POLLER_WAIT_S) {
		n_wakes += poll(poller_fds, poller_n, 1000) > 0;
		for (unsigned int i = 0; i < poller_n; i++)
			if (poller_fds[i].revents)
				n_empty += poller_read(&poller_flows[i]) == 0;
	}
	for (unsigned int i = 0; i < poller_n; i++) {
		struct poller_flow *flow = &poller_flows[i];

		if (flow->kind != POLLER_KEEPS_NOTHING && flow->got != wanted)
			printf("flow %u has got %llu\n", i, flow->got);
		flow->counted += flow->kind >= POLLER_COUNTS ? flow->got : 0;
		flow->got = 0;
	}
	printf("packets %llu wakes %u empty %u\n", wanted, n_wakes, n_empty);
}

static int poller_select(void)
{
	struct timeval none = { .tv_sec = 0 };
	fd_set set;
	int last = 0;

	FD_ZERO(&set);
	for (unsigned int i = 0; i < poller_n; i++) {
		FD_SET(poller_fds[i].fd, &set);
		last = poller_fds[i].fd > last ? poller_fds[i].fd : last;
	}
	return select(last + 1, &set, NULL, NULL, &none);
}

static int poller_epoll(void)
{
	struct epoll_event events[POLLER_FLOWS_MAX], event = { .events = EPOLLIN };
	int fd = epoll_create1(EPOLL_CLOEXEC), n;

	for (unsigned int i = 0; i < poller_n; i++)
		if (epoll_ctl(fd, EPOLL_CTL_ADD, poller_fds[i].fd, &event) < 0)
			poller_fail("epoll_ctl");
	n = epoll_wait(fd, events, POLLER_FLOWS_MAX, 0);
	close(fd);
	return n;
}

/* Results that have come since are read once more: what was counted is published some time later.
 */
static void poller_still(void)
{
	double begin = process_seconds();
	int n;

	while (process_seconds() - begin < POLLER_WAIT_S &&
		poll(poller_fds, poller_n, POLLER_STILL_MS) > 0)
		for (unsigned int i = 0; i < poller_n; i++)
			if (poller_fds[i].revents)
				(void)poller_read(&poller_flows[i]);
	n = poll(poller_fds, poller_n, POLLER_STILL_MS);
	printf("still poll %d select %d epoll %d\n", n, poller_select(), poller_epoll());
}

/* A call that the daemon answers. Return: whether it does; on a slow machine it may not be done. */
static bool poller_flush(int fd)
{
	int code = 0;

	return mapi_flush(fd) == 0 ||
		(mapi_read_error(&code, NULL) == 0 && code == MAPI_FLUSH_INCOMPLETE);
}

static void poller_killed(void)
{
	struct mapi_result_status status = { .sz = sizeof(status) };
	double begin = process_seconds();
	unsigned long long restarts = 0;
	unsigned int n_failed = 0;
	int n = 0;

	while (n < (int)poller_n && process_seconds() - begin < POLLER_WAIT_S) {
		n = poll(poller_fds, poller_n, 100);
		if (n < (int)poller_n)
			process_pause_us(1000);
	}
	for (unsigned int i = 0; i < poller_n; i++) {
		struct poller_flow *flow = &poller_flows[i];

		n_failed += !poller_flush(flow->fd) ||
			mapi_result_status(flow->fd, flow->fid, 0, &status) < 0;
		restarts += status.restarts;
		if (mapi_fileno(flow->fd, flow->fid) != poller_fds[i].fd)
			poller_fail("another descriptor");
		flow->got = flow->counted = 0;
	}
	printf("killed readable %d restarts %llu failed %u\n", n, restarts, n_failed);
}

int main(int argc, char *argv[])
{
	char line[64];

	poller_n = argc > 2 ? (unsigned int)atoi(argv[2]) : 0;
	if (poller_n == 0 || poller_n > POLLER_FLOWS_MAX)
		return 1;
	for (unsigned int i = 0; i < poller_n; i++) {
		poller_flows[i].kind = (enum poller_kind)(i % _POLLER_KIND_N);
		poller_open(&poller_flows[i], argv[1]);
		poller_fds[i] = (struct pollfd){
			.fd = mapi_fileno(poller_flows[i].fd, poller_flows[i].fid),
			.events = POLLIN,
		};
		if (poller_fds[i].fd < 0)
			poller_fail("mapi_fileno");
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("ready");
	while (fgets(line, sizeof(line), stdin)) {
		if (strncmp(line, "packets ", 8) == 0)
			poller_packets(strtoull(line + 8, NULL, 10));
		else if (strcmp(line, "still\n") == 0)
			poller_still();
		else if (strcmp(line, "killed\n") == 0)
			poller_killed();
	}
	for (unsigned int i = 0; i < poller_n; i++)
		if (mapi_close_flow(poller_flows[i].fd) < 0)
			poller_fail("mapi_close_flow");
	return 0;
}

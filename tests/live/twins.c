/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random flows with two daemons at the same time: what one runs in the kernel, the other runs on
 * packets that it is handed. They say the same, after each of some rounds, in which captures are
 * sent over a cable while other flows come and go.
 *
 * usage: twins IN OUT KERNEL_SOCKET USER_SOCKET ordered|free SEED CASES CAPTURE...
 *
 * IN is the device, OUT the interface at the other end of the cable, the sockets those of the
 * daemons. With "free" functions do not depend on the order of packets. Case N has seed SEED + N.
 * Flows are connected and closed while no packet is under way, because two daemons do not do so at
 * the same packet otherwise; those that churn are not compared.
 *
 * Prints what differs, and how much of what the kernel could do stayed in the daemon. Exit status:
 * 0, 1 if something differs or fails.
 */
#include "twins.h"

#include <errno.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../model/model.h"
#include "../process.h"

#define TWINS_FRAME_BYTES_MAX 1514u
#define TWINS_CAPTURES_MAX 256u
#define TWINS_ANSWER_BYTES 65536
#define TWINS_ROUND_PKTS 150u
#define TWINS_ROUND_PKTS_MAX 20000u /* while other flows come and go */
#define TWINS_PACE_US 40 /* then */

enum { TWINS_KERNEL, TWINS_USER, _TWINS_SIDE_N };

struct twins_program {
	pid_t pid;
	FILE *to, *from;
	char answer[TWINS_ANSWER_BYTES];
};

static struct twins {
	struct twins_program sides[_TWINS_SIDE_N];
	struct model_capture *captures;
	unsigned int n_captures;
	int fd; /* sends */
	unsigned long long n_sent;
	unsigned long n_compared, n_differences, n_lost;
	unsigned long n_able, n_kernel, n_beside; /* functions, whenever they were asked for */
} twins;

/* ---- the two programs ---- */

static void twins_start(
	struct twins_program *p, const char *device, const char *socket, bool ordered)
{
	int to[2], from[2];

	if (pipe(to) < 0 || pipe(from) < 0)
		exit(1);
	fflush(stdout);
	p->pid = fork();
	if (p->pid < 0)
		exit(1);
	if (p->pid == 0) {
		close(to[1]);
		close(from[0]);
		setenv("MAPI_SOCKET", socket, 1);
		twins_side(device, ordered, fdopen(to[0], "r"), fdopen(from[1], "w"));
	}
	close(to[0]);
	close(from[1]);
	p->to = fdopen(to[1], "w");
	p->from = fdopen(from[0], "r");
	if (!p->to || !p->from)
		exit(1);
}

/* The lines up to "."; a program that fails says so, and that is the end. */
static void twins_answer(struct twins_program *p)
{
	size_t n = 0;
	char *line = p->answer;

	for (;;) {
		line = p->answer + n;
		if (!fgets(line, (int)(sizeof(p->answer) - n), p->from)) {
			printf("differs: a program has ended: %s\n", p->answer);
			exit(1);
		}
		if (strcmp(line, ".\n") == 0)
			break;
		n += strlen(line);
	}
	*line = '\0';
	if (strncmp(p->answer, "failed", 6) == 0) {
		printf("differs: %s: %s", p == &twins.sides[TWINS_KERNEL] ? "kernel" : "user",
			p->answer);
		exit(1);
	}
}

static void twins_say(const char *command, unsigned long long a, unsigned long long b)
{
	for (unsigned int i = 0; i < _TWINS_SIDE_N; i++) {
		fprintf(twins.sides[i].to, "%s %llu %llu\n", command, a, b);
		fflush(twins.sides[i].to);
	}
}

static void twins_ask(const char *command, unsigned long long a, unsigned long long b)
{
	twins_say(command, a, b);
	for (unsigned int i = 0; i < _TWINS_SIDE_N; i++)
		twins_answer(&twins.sides[i]);
}

/* Whether both have something to say: in between they are silent. */
static bool twins_have_answered(void)
{
	struct pollfd fds[_TWINS_SIDE_N];

	for (unsigned int i = 0; i < _TWINS_SIDE_N; i++)
		fds[i] = (struct pollfd){ .fd = fileno(twins.sides[i].from), .events = POLLIN };
	return poll(fds, _TWINS_SIDE_N, 0) == _TWINS_SIDE_N;
}

/* ---- packets ---- */

static bool twins_prepare(struct model_capture *capture)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < capture->n_pkts; i++)
		if (capture->pkts[i].cap_bytes >= 14 &&
			capture->pkts[i].cap_bytes <= TWINS_FRAME_BYTES_MAX)
			capture->pkts[n++] = capture->pkts[i];
	capture->n_pkts = n;
	return n > 0 && pcap_datalink(capture->pcap) == DLT_EN10MB;
}

static void twins_captures(char *paths[], unsigned int n_paths)
{
	twins.captures = calloc(TWINS_CAPTURES_MAX, sizeof(*twins.captures));
	for (unsigned int i = 0; twins.captures && i < n_paths; i++) {
		struct model_capture *capture = &twins.captures[twins.n_captures];

		if (twins.n_captures == TWINS_CAPTURES_MAX ||
			model_capture_read(capture, paths[i]) < 0)
			continue;
		if (twins_prepare(capture))
			twins.n_captures++;
		else
			model_capture_free(capture);
	}
}

/* From one processor, so that all who listen get them in the same order. */
static void twins_open(const char *interface)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET,
		.sll_ifindex = (int)if_nametoindex(interface) };
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	twins.fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (twins.fd < 0 || bind(twins.fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		sched_setaffinity(0, sizeof(one), &one) < 0) {
		perror(interface);
		exit(1);
	}
}

static void twins_send(const struct model_packet *pkt)
{
	while (send(twins.fd, pkt->data, pkt->cap_bytes, 0) < 0) {
		if (errno != ENOBUFS) {
			perror("send");
			exit(1);
		}
		process_pause_us(100);
	}
	twins.n_sent++;
}

/* @churning: until that has been answered, too */
static void twins_round(const struct model_capture *capture, uint64_t *state, bool churning)
{
	unsigned int at = twins_below(state, capture->n_pkts);

	for (unsigned int n = 0; n < TWINS_ROUND_PKTS || churning; n++) {
		twins_send(&capture->pkts[at++ % capture->n_pkts]);
		if (!churning)
			continue;
		process_pause_us(TWINS_PACE_US);
		if (n >= TWINS_ROUND_PKTS_MAX || twins_have_answered())
			churning = false;
	}
}

/* ---- a case ---- */

/* How much of what could be in the kernel is there. @round: the flows that run */
static void twins_account(const struct twins_case *c, unsigned int round)
{
	unsigned int flow, function, kernel;
	bool all = false;
	char *save = NULL, *text = twins.sides[TWINS_KERNEL].answer;

	for (unsigned int i = 0; i < c->n_flows; i++)
		all |= c->flows[i].first <= round && c->flows[i].last >= round &&
			twins_wants_all(&c->flows[i]);
	for (const char *line = strtok_r(text, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save)) {
		if (sscanf(line, "%u %u %u", &flow, &function, &kernel) != 3)
			continue;
		twins.n_kernel += kernel;
		if (!kernel && !twins_is_able(&c->flows[flow], function))
			continue;
		if (!kernel && all)
			twins.n_beside++;
		else
			twins.n_able++;
		if (!kernel && !all)
			printf("stayed: %s\n", line);
	}
}

/* Return: whether both say the same. */
static bool twins_agree(void)
{
	char *kernel = twins.sides[TWINS_KERNEL].answer, *user = twins.sides[TWINS_USER].answer;
	char *save_kernel = NULL, *save_user = NULL;
	const char *a = strtok_r(kernel, "\n", &save_kernel);
	const char *b = strtok_r(user, "\n", &save_user);
	bool agree = true;

	for (; a || b;
		a = strtok_r(NULL, "\n", &save_kernel), b = strtok_r(NULL, "\n", &save_user)) {
		twins.n_compared++;
		if (a && b && strcmp(a, b) == 0)
			continue;
		agree = false;
		printf("differs: kernel: %s\n         user:   %s\n", a ? a : "-", b ? b : "-");
	}
	return agree;
}

/* All that was sent has come to both. */
static void twins_reach(void)
{
	twins_ask("reach", twins.n_sent, 0);
	for (unsigned int i = 0; i < _TWINS_SIDE_N; i++) {
		unsigned long long came = 0, lost = 0;

		(void)sscanf(twins.sides[i].answer, "came %llu lost %llu", &came, &lost);
		if (came == twins.n_sent && lost == 0)
			continue;
		printf("differs: %llu sent, %s: %s", twins.n_sent, i ? "user" : "kernel",
			twins.sides[i].answer);
		exit(1);
	}
}

static bool twins_case(uint64_t seed, bool ordered)
{
	const struct model_capture *capture = &twins.captures[seed % twins.n_captures];
	uint64_t state = seed;
	struct twins_case c;
	bool agree = true;

	twins_case_draw(&c, seed, ordered);
	twins_ask("case", seed, 0);
	for (unsigned int round = 0; agree && round < c.n_rounds; round++) {
		for (unsigned int i = 0; i < c.n_flows; i++)
			if (c.flows[i].first == round)
				twins_ask("connect", i, 0);
		twins_ask("tiers", 0, 0);
		twins_account(&c, round);
		if (c.churn[round])
			twins_say("churn", seed, c.churn[round]);
		twins_round(capture, &state, c.churn[round]);
		for (unsigned int i = 0; c.churn[round] && i < _TWINS_SIDE_N; i++)
			twins_answer(&twins.sides[i]);
		twins_reach();
		twins_ask("read", round, 0);
		agree = twins_agree();
		for (unsigned int i = 0; i < c.n_flows; i++)
			if (c.flows[i].last == round)
				twins_ask("close", i, 0);
	}
	twins_ask("end", 0, 0);
	if (!agree) {
		printf("differs: case %llu, %s\n", (unsigned long long)seed, capture->path);
		twins_case_print(&c);
	}
	return agree;
}

int main(int argc, char *argv[])
{
	unsigned long long seed, n_cases;
	bool ordered;
	int status;

	if (argc < 9) {
		fprintf(stderr,
			"usage: twins IN OUT KERNEL_SOCKET USER_SOCKET ordered|free SEED "
			"CASES CAPTURE...\n");
		return 2;
	}
	ordered = strcmp(argv[5], "ordered") == 0;
	seed = strtoull(argv[6], NULL, 10);
	n_cases = strtoull(argv[7], NULL, 10);
	setenv("MAPI_SEED", "7", 1);
	twins_captures(argv + 8, (unsigned int)argc - 8);
	if (twins.n_captures == 0)
		return 2;
	twins_start(&twins.sides[TWINS_KERNEL], argv[1], argv[3], ordered);
	twins_start(&twins.sides[TWINS_USER], argv[1], argv[4], ordered);
	twins_ask("reach", 0, 0);
	twins_open(argv[2]);
	for (unsigned long long n = 0; n < n_cases; n++)
		if (!twins_case(seed + n, ordered))
			twins.n_differences++;
	/* The second has what the first is told by, too. */
	for (unsigned int i = 0; i < _TWINS_SIDE_N; i++)
		fclose(twins.sides[i].to);
	for (unsigned int i = 0; i < _TWINS_SIDE_N; i++) {
		if (waitpid(twins.sides[i].pid, &status, 0) < 0 || status != 0)
			twins.n_differences++;
	}
	printf("seed %llu: %llu cases on %u captures, %llu packets, %lu results compared, %lu "
	       "cases differ\n",
		seed, n_cases, twins.n_captures, twins.n_sent, twins.n_compared,
		twins.n_differences);
	printf("functions that the kernel could do: %lu, there %lu; and %lu beside others that "
	       "want all packets\n",
		twins.n_able, twins.n_kernel, twins.n_beside);
	return twins.n_differences > 0;
}

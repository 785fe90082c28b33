/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hostile client of the system daemon.
 *
 * usage: hostile KIND SECONDS DEVICE
 *
 * KIND: connect  as many connections as it gets, up to 10,000, held
 *       half     connections that begin a message and never end it
 *       garbage  random bytes, over and over
 *       flood    good questions, whose answers it never reads
 *       ring     a packet ring whose writable page is filled with random bytes while packets come
 *       stopped  a program with a packet ring that stops (SIGSTOP) instead of reading
 *       killed   programs that are killed (-9) at random moments of their calls
 *       compile  programs with expressions that take longer to compile than they may
 *       linger   sockets among its messages, which take long to close
 *       refused  such sockets in thousands of connections beyond what it may have
 *       fuse     files, as root: of a file system of its own that never answers; is user 65533 then
 *       untaken  packet rings by the thousand, which it never takes
 *       spy      everything that can be asked about a flow, about flows of others
 *       resize   its shared memory, cut, grown, and with holes
 *
 * MAPI_SOCKET is the daemon's. Prints what it did. Exit status: 0, 1: it had success, 2 for wrong
 * usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <mapi.h>
#include <mapi/explain.h>
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/un.h>

#include "../process.h"
#include "hostile.h"

#define HOSTILE_CONNECTIONS 10000
#define HOSTILE_PROGRAMS 20

double hostile_end;
const char *hostile_device;
static uint64_t hostile_state = 88172645463325252u;

static uint64_t hostile_random(void)
{
	hostile_state ^= hostile_state << 13;
	hostile_state ^= hostile_state >> 7;
	hostile_state ^= hostile_state << 17;
	return hostile_state;
}

int hostile_connect(int flags)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", getenv("MAPI_SOCKET"));
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

void hostile_rest(void)
{
	while (process_seconds() < hostile_end)
		process_pause_us(1000);
}

static void hostile_hold(const void *bytes, size_t n_bytes)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < HOSTILE_CONNECTIONS && process_seconds() < hostile_end; i++) {
		int fd = hostile_connect(SOCK_NONBLOCK);

		if (fd < 0)
			continue;
		n++;
		(void)!send(fd, bytes, n_bytes, MSG_NOSIGNAL);
	}
	printf("%u connections\n", n);
	hostile_rest();
}

static void hostile_garbage(void)
{
	uint64_t bytes[512];
	unsigned int n = 0;

	while (process_seconds() < hostile_end) {
		int fd = hostile_connect(0);
		size_t n_bytes = hostile_random() % sizeof(bytes);

		if (fd < 0)
			continue;
		for (size_t i = 0; i < sizeof(bytes) / 8; i++)
			bytes[i] = hostile_random();
		if (hostile_random() % 2) /* a length that can be */
			memcpy(bytes, "\0\0\0\x40", 4);
		(void)!send(fd, bytes, n_bytes, MSG_NOSIGNAL);
		close(fd);
		n++;
	}
	printf("%u garbled connections\n", n);
}

static void hostile_flood(void)
{
	/* Hello {version 2}, then Describe {} over and over: frames as libmapi sends them. */
	static const unsigned char hello[] = { 0, 0, 0, 6, 0x08, 0x01, 0x12, 0x02, 0x08, 0x02 };
	static const unsigned char describe[] = { 0, 0, 0, 4, 0x08, 0x02, 0x1a, 0x00 };
	int fd = hostile_connect(SOCK_NONBLOCK);
	unsigned long n = 0;

	if (fd < 0)
		return;
	(void)!send(fd, hello, sizeof(hello), MSG_NOSIGNAL);
	while (process_seconds() < hostile_end) {
		if (send(fd, describe, sizeof(describe), MSG_NOSIGNAL) > 0) {
			n++;
			continue;
		}
		if (errno != EAGAIN)
			break;
		process_pause_us(100);
	}
	printf("%lu questions\n", n);
	hostile_rest();
}

static int hostile_flow(void)
{
	int fd = mapi_create_flow(hostile_device);

	if (fd > 0 && mapi_apply_function(fd, "TO_BUFFER", 0) > 0 && mapi_connect(fd) == 0)
		return fd;
	return -1;
}

static void hostile_ring(void)
{
	int fd = hostile_flow();
	unsigned long begin, n = 0;
	uint64_t *page = NULL;
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "r");

	while (!page && maps && fgets(line, sizeof(line), maps))
		if (strstr(line, "mapi-ring") && strstr(line, "rw") &&
			sscanf(line, "%lx-", &begin) == 1)
			page = (uint64_t *)begin;
	if (fd < 0 || !page)
		return;
	for (; process_seconds() < hostile_end; n++) {
		for (unsigned int i = 0; i < 4096 / 8; i++)
			page[i] =
				hostile_random() % 3 ? hostile_random() : hostile_random() % 100000;
	}
	printf("%lu times all of a ring's page\n", n);
}

/* What wakes this program, so that waking it waits: counters full, blocking, timers set to never.
 */
static unsigned int hostile_wedge(void)
{
	static const struct itimerspec never = { .it_value = { .tv_sec = 1000000 } };
	static const uint64_t full = UINT64_MAX - 1;
	unsigned int n = 0;

	for (int fd = 3; fd < 64; fd++) {
		char path[64], kind[64] = "";
		uint64_t count;

		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, kind, sizeof(kind) - 1) < 0 ||
			(strcmp(kind, "anon_inode:[eventfd]") != 0 &&
				strcmp(kind, "anon_inode:[timerfd]") != 0))
			continue;
		(void)fcntl(fd, F_SETFL, O_NONBLOCK);
		(void)!read(fd, &count, sizeof(count));
		(void)!write(fd, &full, sizeof(full));
		(void)timerfd_settime(fd, 0, &never, NULL);
		(void)fcntl(fd, F_SETFL, 0);
		n++;
	}
	return n;
}

static void hostile_blocking(void)
{
	int fd = mapi_create_flow(hostile_device);
	int counter = mapi_apply_function(fd, "PKT_COUNTER");
	int buffer = mapi_apply_function(fd, "TO_BUFFER", NOWAIT);
	unsigned int n = 0;

	if (mapi_connect(fd) < 0 || mapi_fileno(fd, counter) < 0 || mapi_fileno(fd, buffer) < 0)
		return;
	while (process_seconds() < hostile_end) {
		n = hostile_wedge();
		process_pause_us(1000);
	}
	printf("%u descriptors that block\n", n);
	if (n < 2)
		printf("FAILED: too few descriptors were found\n");
}

/* Every call that there is about flows. */
static void hostile_calls(void)
{
	struct mapi_result_status status = { .sz = sizeof(status) };
	struct mapi_explanation explanation = { .sz = sizeof(explanation) };
	mapi_function_info_t function;
	mapi_device_info_t device;
	mapi_flow_info_t flow;
	struct mapi_stat stat;
	int fd = mapi_create_flow(hostile_device), counter, buffer;

	(void)mapi_apply_function(fd, "BPF_FILTER", "udp");
	counter = mapi_apply_function(fd, "PKT_COUNTER");
	buffer = mapi_apply_function(fd, "TO_BUFFER", NOWAIT);
	(void)mapi_connect(fd);
	(void)mapi_fileno(fd, buffer);
	(void)mapi_wait(fd, 1);
	(void)mapi_get_next_pkt(fd, buffer);
	(void)mapi_flush(fd);
	(void)mapi_read_results(fd, counter);
	(void)mapi_result_status(fd, counter, 0, &status);
	(void)mapi_get_flow_info(fd, &flow);
	(void)mapi_get_next_flow_info(0, &flow);
	(void)mapi_get_function_info(fd, counter, &function);
	(void)mapi_get_next_device_info(-1, &device);
	(void)mapi_stats(hostile_device, &stat);
	(void)mapi_explain(fd, counter, &explanation);
	(void)mapi_close_flow(fd);
}

static void hostile_killed(void)
{
	unsigned int n = 0;

	for (; process_seconds() < hostile_end; n++) {
		pid_t pid = fork();

		if (pid < 0)
			continue;
		if (pid == 0)
			for (;;)
				hostile_calls();
		process_pause_us((long)(hostile_random() % 50000));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	printf("%u killed\n", n);
}

static void hostile_compile(void)
{
	static char text[8192];
	pid_t pids[HOSTILE_PROGRAMS];
	size_t used = 0;

	for (unsigned int i = 0; i < 400; i++)
		used += (size_t)snprintf(
			text + used, sizeof(text) - used, "%sport %u", i ? " or " : "", 7 * i + 1);
	for (unsigned int i = 0; i < HOSTILE_PROGRAMS; i++) {
		pids[i] = fork();
		while (pids[i] == 0) {
			int fd = mapi_create_flow(hostile_device);

			(void)mapi_apply_function(fd, "BPF_FILTER", text);
			(void)mapi_close_flow(fd);
		}
	}
	hostile_rest();
	for (unsigned int i = 0; i < HOSTILE_PROGRAMS; i++) {
		if (pids[i] < 0)
			continue;
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	printf("%d programs\n", HOSTILE_PROGRAMS);
}

static void hostile_many(void)
{
	hostile_hold("", 0);
}

static void hostile_half(void)
{
	hostile_hold("\0\0\1", 3);
}

int main(int argc, char *argv[])
{
	static const struct {
		const char *name;
		void (*attack)(void);
	} kinds[] = {
		{ "connect", hostile_many },
		{ "half", hostile_half },
		{ "garbage", hostile_garbage },
		{ "flood", hostile_flood },
		{ "ring", hostile_ring },
		{ "blocking", hostile_blocking },
		{ "killed", hostile_killed },
		{ "compile", hostile_compile },
		{ "linger", hostile_linger },
		{ "refused", hostile_refused },
		{ "fuse", hostile_fuse },
		{ "untaken", hostile_untaken },
		{ "resize", hostile_resize },
		{ "spy", hostile_spy },
	};
	struct rlimit limit;

	if (argc != 4 || !getenv("MAPI_SOCKET")) {
		fprintf(stderr, "usage: hostile KIND SECONDS DEVICE\n");
		return 2;
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	hostile_end = process_seconds() + atof(argv[2]);
	hostile_device = argv[3];
	hostile_state ^= (uint64_t)getpid() << 32;
	if (strcmp(argv[1], "stopped") == 0 && hostile_flow() > 0)
		raise(SIGSTOP);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(argv[1], kinds[i].name) == 0)
			kinds[i].attack();
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Random calls of the whole API: see abuse.c. */
#include <errno.h>
#include <fcntl.h>
#include <mapi/errors.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abuse.h"

_Thread_local uint64_t abuse_state;

uint32_t abuse_random(uint32_t below)
{
	uint64_t z = abuse_state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (uint32_t)((z ^ (z >> 31)) >> 32) % below;
}

static void abuse_wrong(const char *what, int got, int wanted)
{
	fprintf(stderr, "abuse: WRONG: %s: error %d, wanted %d\n", what, got, wanted);
	_exit(3);
}

/* The call must have failed with @code, or because the daemon was killed. */
static void abuse_expect(const char *what, bool failed, int code)
{
	char text[MAPI_ERRORSTR_LENGTH];
	int got = 0;

	mapi_read_error(&got, text);
	if (failed && (got == code || (got == MAPI_DAEMON_LOST && abuse.killed)))
		return;
	abuse_wrong(what, failed ? got : 0, code);
}

static int abuse_flow(void)
{
	static const int nonsense[] = { 0, -1, -2147483647 - 1, 2147483647, 4096, 4097, 100000 };

	if (abuse_random(20) == 0)
		return nonsense[abuse_random(7)];
	return abuse.flows[abuse_random(ABUSE_FLOWS)];
}

static int abuse_function(unsigned int *ret_flow)
{
	static const int nonsense[] = { 0, -1, -2147483647 - 1, 2147483647, 257, 9 };
	unsigned int slot = abuse_random(ABUSE_FLOWS);

	*ret_flow = slot;
	if (abuse_random(15) == 0)
		return nonsense[abuse_random(6)];
	return abuse_random(3) ? abuse.functions[slot] : 1 + (int)abuse_random(4);
}

static void abuse_nonsense(void)
{
	static const int fds[] = { 0, -1, -2147483647 - 1, 2147483647, 1000000 };
	int fd = fds[abuse_random(5)], code = 0;
	mapi_flow_info_t info;

	if (mapi_connect(fd) != -1)
		abuse_wrong("connect", 0, MAPI_INVALID_FLOW);
	mapi_read_error(&code, NULL);
	if (code == MAPI_INIT_ERROR)
		return;
	if (code != MAPI_INVALID_FLOW)
		abuse_wrong("connect", code, MAPI_INVALID_FLOW);
	abuse_expect("close", mapi_close_flow(fd) == -1, MAPI_INVALID_FLOW);
	abuse_expect("read_results", !mapi_read_results(fd, 1), MAPI_INVALID_FLOW);
	abuse_expect("get_next_pkt", !mapi_get_next_pkt(fd, 1), MAPI_INVALID_FID_FUNCID);
	abuse_expect("loop", mapi_loop(fd, 1, 1, NULL) == -1, MFUNCT_INVALID_ARGUMENT_4);
	abuse_expect("get_flow_info", mapi_get_flow_info(fd, &info) == -1, MAPI_INVALID_FLOW);
	abuse_expect(
		"get_flow_info", mapi_get_flow_info(fd, NULL) == -1, MFUNCT_INVALID_ARGUMENT_2);
	abuse_expect("get_scope_size", mapi_get_scope_size(fd) == -1, MAPI_INVALID_FLOW);
	abuse_expect("flush", mapi_flush(fd) == -1, MAPI_INVALID_FLOW);
	abuse_expect("fileno", mapi_fileno(fd, 1) == -1, MAPI_INVALID_FLOW);
	abuse_expect("apply", mapi_apply_function(fd, "PKT_COUNTER") == -1,
		fd <= 0 ? MAPI_INVALID_FID_FUNCID : MAPI_INVALID_FLOW);
	abuse_expect("create_flow", mapi_create_flow(NULL) == -1, MAPI_DEVICE_INFO_ERR);
	if (mapi_read_error(NULL, NULL) != -1)
		abuse_wrong("read_error", 0, -1);
}

/* Any record, on a pipe that may never end. */
static void abuse_feed(void)
{
	uint8_t bytes[4096];
	unsigned int n = abuse.n_pipes;
	int file, to;
	ssize_t n_bytes;

	if (n == 0)
		return;
	to = abuse.pipes[abuse_random(n)][1];
	file = open(abuse.captures[0], O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return;
	if (abuse_random(2))
		(void)lseek(file, 24, SEEK_SET);
	n_bytes = read(file, bytes, abuse_random(sizeof(bytes)));
	if (n_bytes > 0)
		(void)!write(to, bytes, (size_t)n_bytes);
	close(file);
}

static const char *abuse_path(char path[64])
{
	switch (abuse_random(12)) {
	case 0:
		return "/dev/null";
	case 1:
		return "absent.pcap";
	case 2:
		return "/";
	case 3:
		return "";
	case 4:
	case 5:
		if (abuse.n_pipes == 0)
			break;
		snprintf(path, 64, "/proc/self/fd/%d", abuse.pipes[abuse_random(abuse.n_pipes)][0]);
		return path;
	default:
		break;
	}
	return abuse.captures[abuse_random(abuse.n_captures)];
}

/* The name of a device that may be gone meanwhile. */
static const char *abuse_device(char name[MAPI_STR_LENGTH])
{
	(void)pthread_mutex_lock(&abuse.names_lock);
	memcpy(name, abuse.device_names[abuse_random(ABUSE_DEVICES)], MAPI_STR_LENGTH);
	(void)pthread_mutex_unlock(&abuse.names_lock);
	return name;
}

static void abuse_create(void)
{
	unsigned int slot = abuse_random(ABUSE_FLOWS);
	char path[64], name[MAPI_STR_LENGTH];
	int fd;

	if (abuse_random(2))
		fd = mapi_create_flow(abuse_device(name));
	else
		fd = mapi_create_offline_flow(abuse_path(path), (int)abuse_random(6) - 1);
	if (fd <= 0)
		return;
	abuse.functions[slot] = 0;
	fd = atomic_exchange(&abuse.flows[slot], fd);
	if (fd > 0 && (abuse_random(8) || abuse.n_forgotten >= ABUSE_FORGOTTEN_MAX / 2))
		(void)mapi_close_flow(fd);
	else if (fd > 0)
		abuse.forgotten[abuse.n_forgotten++ % ABUSE_FORGOTTEN_MAX] = fd;
}

static void abuse_create_device(void)
{
	unsigned int slot = abuse_random(ABUSE_DEVICES);
	char path[64];
	char *name = mapi_create_offline_device(abuse_path(path), MFF_PCAP);

	if (!name)
		return;
	(void)pthread_mutex_lock(&abuse.names_lock);
	snprintf(abuse.device_names[slot], sizeof(abuse.device_names[slot]), "%s", name);
	(void)pthread_mutex_unlock(&abuse.names_lock);
	name = atomic_exchange(&abuse.devices[slot], name);
	if (name && mapi_delete_offline_device(name) < 0)
		free(name);
}

static void abuse_delete_device(void)
{
	char *name = atomic_exchange(&abuse.devices[abuse_random(ABUSE_DEVICES)], NULL);

	if (name && mapi_delete_offline_device(name) < 0)
		free(name);
}

static int abuse_apply_one(int fd)
{
	static const char *const filters[] = { "tcp", "udp port 53", "ip", "not ((", "",
		"ip6 or arp" };
	static const char *const files[] = { "/dev/full", "/dev/null", "out.pcap", "/",
		"stuck.pipe" };
	unsigned int source;
	int fid = abuse_function(&source);
	char *args[] = { (char[]){ "1" }, NULL, (char[]){ "x" } };

	switch (abuse_random(15)) {
	case 0:
		return mapi_apply_function(fd, "BPF_FILTER", filters[abuse_random(6)]);
	case 1:
		return mapi_apply_function(fd, "STR_SEARCH", "www||GET", 0, 1500);
	case 2:
		return mapi_apply_function(fd, "PKT_COUNTER");
	case 3:
		return mapi_apply_function(fd, "BYTE_COUNTER", 1, 2, 3);
	case 4:
	case 5:
	case 6:
		return mapi_apply_function(fd, "TO_BUFFER", (int)abuse_random(2));
	case 7:
		return mapi_apply_function(fd, "TO_FILE", (int)abuse_random(3),
			files[abuse_random(5)], (int)abuse_random(50));
	case 8:
		return mapi_apply_function(fd, "PKTINFO", 1 + (int)abuse_random(6));
	case 9:
		return mapi_apply_function(fd, "STATS", (int)abuse.flows[source], fid, "0");
	case 10:
		return mapi_apply_function(
			fd, "SAMPLE", (int)abuse_random(100), (int)abuse_random(5));
	case 11:
		return mapi_apply_function(fd, "CUT", (int)abuse_random(2000));
	case 12:
		return mapi_apply_function_array(fd, "SAMPLE", args, abuse_random(4));
	case 13:
		return mapi_apply_function(fd, "HASH", 0);
	default:
		return mapi_apply_function(fd, abuse_random(2) ? "NO_SUCH" : NULL);
	}
}

static void abuse_apply(void)
{
	unsigned int slot = abuse_random(ABUSE_FLOWS);
	int fid = abuse_apply_one(abuse_random(20) ? abuse.flows[slot] : abuse_flow());

	if (fid > 0 && abuse_random(2))
		abuse.functions[slot] = fid;
}

static void abuse_close(void)
{
	unsigned int slot = abuse_random(ABUSE_FLOWS);

	if (abuse_random(3) == 0)
		(void)mapi_close_flow(abuse_flow());
	else
		(void)mapi_close_flow(abuse.flows[slot]); /* the number stays: stale from now on */
}

static void abuse_fork(const struct mapipkt *pkt);

static void abuse_callback(const struct mapipkt *pkt)
{
	volatile unsigned char sum = 0;

	for (unsigned int i = 0; i < pkt->caplen; i++)
		sum = (unsigned char)(sum + (&pkt->pkt)[i]);
	switch (abuse_random(40)) {
	case 0:
		abuse_close();
		break;
	case 1:
		abuse_create();
		break;
	case 2:
		abuse_delete_device();
		break;
	case 3:
		abuse_feed();
		break;
	case 4:
		if (abuse.traits & ABUSE_FORK)
			abuse_fork(pkt);
		break;
	default:
		break;
	}
	for (unsigned int i = 0; i < pkt->caplen; i++) /* it stays readable */
		sum = (unsigned char)(sum + (&pkt->pkt)[i]);
}

static void abuse_read(void)
{
	struct mapi_result_status status = { .sz = abuse_random(2) ? sizeof(status)
								   : abuse_random(200) };
	unsigned int slot;
	int fid = abuse_function(&slot), fd = abuse.flows[slot];
	mapi_results_t *result;
	void *at;

	switch (abuse_random(5)) {
	case 0:
		at = mapi_read_results(fd, fid, abuse_random(2) ? MAPI_REF : MAPI_COPY);
		if (at)
			(void)*(volatile unsigned char *)at;
		break;
	case 1:
		if (status.sz > sizeof(status))
			status.sz = 0;
		(void)mapi_result_status(fd, fid, (int)abuse_random(3) - 1, &status);
		(void)mapi_result_status(fd, fid, 0, NULL);
		break;
	default:
		result = mapi_read_results(fd, fid);
		if (result && result->size > 0)
			(void)*(volatile unsigned char *)result->res;
		break;
	}
}

static void abuse_packets(void)
{
	unsigned int slot;
	int fid = abuse_function(&slot), fd = abuse.flows[slot];
	struct pollfd pollfd = { .fd = -1, .events = POLLIN };
	struct mapipkt *pkt;

	switch (abuse_random(4)) {
	case 0:
		(void)mapi_loop(fd, fid, (int)abuse_random(40) - 5, abuse_callback);
		break;
	case 1:
		pollfd.fd = mapi_fileno(fd, fid);
		if (pollfd.fd >= 0)
			(void)poll(&pollfd, 1, 5);
		break;
	default:
		for (unsigned int i = abuse_random(30); i > 0; i--) {
			pkt = mapi_get_next_pkt(fd, fid);
			if (!pkt)
				break;
			if (!abuse.over)
				(void)*(volatile unsigned char *)&pkt->pkt;
		}
		break;
	}
}

static void abuse_info(void)
{
	mapi_flow_info_t info;

	(void)mapi_get_flow_info(abuse_flow(), &info);
	(void)mapi_is_remote(abuse_flow());
	(void)mapi_get_scope_size(abuse_flow());
	(void)mapi_flush(abuse_flow());
	(void)mapi_authenticate(abuse_flow(), NULL, NULL, NULL);
}

void abuse_step(void)
{
	char name[MAPI_STR_LENGTH];

	switch (abuse_random(36)) {
	case 0:
	case 1:
	case 2:
		abuse_create();
		break;
	case 3:
	case 4:
		abuse_create_device();
		break;
	case 5:
		abuse_delete_device();
		break;
	case 6:
		(void)mapi_start_offline_device(abuse_random(10) ? abuse_device(name) : NULL);
		break;
	case 7:
	case 8:
		abuse_close();
		break;
	case 9:
		if (!(abuse.traits & ABUSE_SIGNALS)) /* a handler's calls change the error, too */
			abuse_nonsense();
		break;
	case 10:
		abuse_info();
		break;
	case 11:
		abuse_feed();
		break;
	case 12:
		if (abuse.traits & ABUSE_FORK)
			abuse_fork(NULL);
		break;
	case 13:
	case 14:
	case 15:
	case 16:
		abuse_packets();
		break;
	case 17:
	case 18:
	case 19:
	case 20:
		abuse_read();
		break;
	case 21:
	case 22:
	case 23:
	case 24:
	case 25:
		(void)mapi_connect(abuse_flow());
		break;
	case 26:
		if ((abuse.traits & ABUSE_EXIT) && abuse_random(20) == 0) {
			if (abuse_random(2))
				_exit(0);
			raise(SIGKILL);
		}
		break;
	case 27:
		if ((abuse.traits & ABUSE_KILL) && !abuse.killed && abuse_random(3) == 0)
			abuse_kill_daemons();
		break;
	default:
		abuse_apply();
		break;
	}
}

/* A child uses what it has inherited. */
static void abuse_fork(const struct mapipkt *pkt)
{
	pid_t pid;

	if (abuse.n_pipes >= ABUSE_PIPES && abuse_random(3))
		return;
	(void)pthread_mutex_lock(&abuse.names_lock);
	pid = fork();
	(void)pthread_mutex_unlock(&abuse.names_lock);
	if (pid < 0)
		return;
	if (pid == 0) {
		/* The parent's signals are not ours to time. */
		setitimer(ITIMER_REAL, &(struct itimerval){ .it_interval = { 0 } }, NULL);
		abuse.traits = 0;
		abuse_state ^= 0x5555;
		for (unsigned int i = 0; i < 20; i++) {
			abuse_read();
			(void)mapi_close_flow(abuse_flow());
			if (abuse_random(4) == 0)
				abuse_create();
		}
		for (unsigned int i = 0; pkt && i < pkt->caplen; i++) /* a callback's own packet */
			(void)*(volatile const unsigned char *)(&pkt->pkt + i);
		_exit(0);
	}
	if (abuse_random(2))
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
}

void abuse_close_all(void)
{
	for (unsigned int i = 0; i < ABUSE_FLOWS; i++)
		(void)mapi_close_flow(abuse.flows[i]);
	for (unsigned int i = 0; i < ABUSE_FORGOTTEN_MAX; i++)
		if (abuse.forgotten[i] > 0)
			(void)mapi_close_flow(abuse.forgotten[i]);
}

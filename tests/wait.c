/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Waiting for flows: mapi_wait() and mapi_fileno() on a capture that comes through a FIFO, piece by
 * piece, so that the flow runs for as long as we like; mapi_get_linktype().
 *
 * usage: wait CAPTURE     (a pcap file of more than ten Ethernet packets)
 */
#include <fcntl.h>
#include <mapi/errors.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "flows.h"
#include "process.h"

#define WAIT_PATIENCE_MS 10000

static unsigned char wait_capture[1 << 20];
static size_t wait_capture_bytes, wait_record[12]; /* where the first records begin */
static unsigned int wait_failures;
static volatile sig_atomic_t wait_n_signals;

static void wait_check(bool good, const char *what)
{
	printf("%s: %s\n", good ? "ok" : "FAILED", what);
	wait_failures += !good;
}

/* @got is to be -1, with this thread's error @code. */
static void wait_check_error(int got, int code, const char *what)
{
	char text[MAPI_ERRORSTR_LENGTH] = "";
	int error = 0;

	mapi_read_error(&error, text);
	wait_check(got == -1 && error == code && *text, what);
	if (got != -1 || error != code)
		printf("  got %d, error %d: %s\n", got, error, text);
}

static int wait_load(const char *path)
{
	FILE *file = fopen(path, "re");
	size_t at = 24;

	if (!file)
		return -1;
	wait_capture_bytes = fread(wait_capture, 1, sizeof(wait_capture), file);
	fclose(file);
	for (unsigned int i = 0; i < 12 && at + 16 <= wait_capture_bytes; i++) {
		unsigned int cap_bytes;

		wait_record[i] = at;
		memcpy(&cap_bytes, wait_capture + at + 8, sizeof(cap_bytes));
		at += 16 + cap_bytes;
	}
	return wait_record[11] ? 0 : -1;
}

static void wait_write(int fifo, size_t from, size_t to)
{
	if (write(fifo, wait_capture + from, to - from) != (ssize_t)(to - from))
		wait_check(false, "write to the FIFO");
}

static unsigned long long wait_count(int fd, int fid)
{
	const mapi_results_t *result = mapi_read_results(fd, fid);

	return result ? *(unsigned long long *)result->res : ~0ull;
}

static bool wait_is_readable(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, timeout_ms) > 0 && (p.revents & POLLIN);
}

/* ---- a whole file ---- */

static void wait_file(const char *path)
{
	int fd = mapi_create_offline_flow(path, MFF_PCAP);
	int fid = mapi_apply_function(fd, "PKT_COUNTER");

	wait_check_error(mapi_wait(fd, 0), MAPI_FLOW_NOT_CONNECTED, "mapi_wait before connect");
	wait_check_error(
		mapi_fileno(fd, fid), MAPI_FLOW_NOT_CONNECTED, "mapi_fileno before connect");
	wait_check_error(mapi_wait(fd + 1, -1), MAPI_INVALID_FLOW, "mapi_wait without a flow");
	if (mapi_connect(fd) < 0)
		flows_error("mapi_connect");
	wait_check_error(mapi_fileno(fd, fid + 1), MAPI_INVALID_FID_FUNCID, "mapi_fileno, bad fid");
	wait_check(mapi_wait(fd, -1) == 1, "mapi_wait at the end of a file");
	wait_check(mapi_wait(fd, 0) == 1, "mapi_wait after the end");
	wait_check(wait_count(fd, fid) > 10, "results at the end");
	wait_check(mapi_get_linktype(fd, 0) == 1, "link type of Ethernet");
	wait_check_error(mapi_get_linktype(fd, 999), MAPI_DEVICE_INFO_ERR, "no such interface");
	wait_check_error(mapi_get_linktype(fd + 1, 0), MAPI_INVALID_FLOW, "link type, no flow");
	mapi_close_flow(fd);
	wait_check_error(mapi_wait(fd, -1), MAPI_INVALID_FLOW, "mapi_wait after close");
}

/* What MAPI_REF points to is exact at the end, too, and not only some time later. */
static void wait_references(const char *path)
{
	unsigned int n_wrong = 0;

	for (unsigned int i = 0; i < 100; i++) {
		char *device = mapi_create_offline_device(path, MFF_PCAP);
		int fd = mapi_create_flow(device);
		int fid = mapi_apply_function(fd, "PKT_COUNTER");
		const volatile unsigned long long *ref = NULL;

		if (mapi_connect(fd) == 0)
			ref = mapi_read_results(fd, fid, MAPI_REF);
		if (mapi_start_offline_device(device) < 0)
			flows_error("mapi_start_offline_device");
		n_wrong += !ref || mapi_wait(fd, -1) != 1 || *ref != wait_count(fd, fid);
		mapi_close_flow(fd);
		mapi_delete_offline_device(device);
	}
	wait_check(n_wrong == 0, "references at the end");
	if (n_wrong)
		printf("  %u were wrong\n", n_wrong);
}

/* ---- a flow that goes on ---- */

static void wait_news(int fifo, int fd, int fid)
{
	int news = mapi_fileno(fd, fid);
	double end = process_seconds() + WAIT_PATIENCE_MS / 1000;
	unsigned long long n = wait_count(fd, fid);
	bool quiet;

	wait_check(news >= 0 && news == mapi_fileno(fd, fid), "mapi_fileno of a counter");
	wait_write(fifo, 0, wait_record[5]);
	while (n != 5 && process_seconds() < end && wait_is_readable(news, WAIT_PATIENCE_MS))
		n = wait_count(fd, fid);
	wait_check(n == 5, "five packets, each look after an event");
	/* One more publication may follow the look that saw the fifth packet. */
	do {
		n = wait_count(fd, fid);
		quiet = !wait_is_readable(news, 30);
	} while (!quiet && process_seconds() < end);
	wait_check(quiet && n == 5, "emptied by mapi_read_results, quiet without packets");
	wait_write(fifo, wait_record[5], wait_record[10]);
	wait_check(wait_is_readable(news, WAIT_PATIENCE_MS), "readable with more packets");
}

static void wait_timeout(int fd)
{
	double begun = process_seconds();

	wait_check(mapi_wait(fd, 0) == 0, "mapi_wait without patience");
	wait_check(mapi_wait(fd, 40) == 0, "mapi_wait, time is over");
	wait_check(process_seconds() - begun >= 0.04, "not before its time");
}

static void wait_on_signal(int signo)
{
	(void)signo;
	wait_n_signals++;
}

static void wait_signal(int fd)
{
	/* Again and again: the first may come before the wait. */
	const struct itimerval often = { { .tv_usec = 5000 }, { .tv_usec = 5000 } }, never = { 0 };
	struct sigaction action = { .sa_handler = wait_on_signal, .sa_flags = SA_RESTART };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	wait_check(mapi_wait(fd, -1) == 0 && wait_n_signals > 0, "a signal ends mapi_wait with 0");
	setitimer(ITIMER_REAL, &never, NULL);
}

struct wait_thread {
	int fd;
	_Atomic int tid;
};

static void *wait_in_thread(void *data)
{
	struct wait_thread *thread = data;

	thread->tid = (int)syscall(SYS_gettid);
	wait_check_error(mapi_wait(thread->fd, -1), MAPI_INVALID_FLOW,
		"closed by another thread while mapi_wait waits");
	return NULL;
}

/* Close the flow when the other thread sleeps, that is, waits. */
static void wait_close(int fd)
{
	struct wait_thread thread = { .fd = fd };
	double end = process_seconds() + WAIT_PATIENCE_MS / 1000;
	pthread_t id;
	char path[64], state = 0;

	if (pthread_create(&id, NULL, wait_in_thread, &thread) != 0)
		exit(2);
	while (state != 'S' && process_seconds() < end) {
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", thread.tid);
		file = thread.tid ? fopen(path, "re") : NULL;
		if (file && fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
			state = 0;
		if (file)
			fclose(file);
	}
	wait_check(mapi_close_flow(fd) == 0, "mapi_close_flow");
	pthread_join(id, NULL);
}

static void wait_fifo(bool to_end)
{
	char folder[] = "/tmp/mapi-wait-XXXXXX", path[64];
	int fifo, fd, fid;

	if (!mkdtemp(folder))
		exit(2);
	snprintf(path, sizeof(path), "%s/fifo", folder);
	if (mkfifo(path, 0600) < 0)
		exit(2);
	fifo = open(path, O_RDWR | O_CLOEXEC);
	fd = mapi_create_offline_flow(path, MFF_PCAP);
	unlink(path);
	rmdir(folder);
	fid = mapi_apply_function(fd, "PKT_COUNTER");
	if (fifo < 0 || fid < 0 || mapi_connect(fd) < 0)
		wait_check(flows_error("a flow on a FIFO") == 0, "a flow on a FIFO");
	if (!to_end) {
		wait_timeout(fd);
		wait_signal(fd);
		wait_close(fd);
		close(fifo);
		return;
	}
	wait_news(fifo, fd, fid);
	wait_write(fifo, wait_record[10], wait_record[11]);
	close(fifo);
	wait_check(mapi_wait(fd, WAIT_PATIENCE_MS) == 1, "mapi_wait at the end of a FIFO");
	wait_check(wait_count(fd, fid) == 11, "eleven packets came through");
	mapi_close_flow(fd);
}

int main(int argc, char *argv[])
{
	if (argc != 2 || wait_load(argv[1]) < 0) {
		fprintf(stderr, "usage: wait CAPTURE\n");
		return 2;
	}
	wait_file(argv[1]);
	wait_references(argv[1]);
	wait_fifo(false);
	wait_fifo(true);
	printf("%u failures\n", wait_failures);
	return wait_failures != 0;
}

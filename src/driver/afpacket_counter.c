/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A thread that asks the kernel what an interface has dropped. Such a question has to wait for
 * whoever changes interfaces, which may take long; who wants to know must not. (/proc/net/dev keeps
 * nobody waiting, but it goes by names, which may mean another interface by now, and has one number
 * for what the card and what the stack have dropped.)
 *
 * It asks when it is asked, ten times a second at most. Together with the interface it reads what
 * the machine's queues have dropped (/proc/net/softnet_stat): packets of interfaces whose driver
 * does not poll (NAPI) go through them before they reach the taps.
 */
#include "afpacket_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/thread.h"

#define AFPACKET_COUNTER_NS 100000000u /* between two questions */
#define AFPACKET_COUNTER_PATIENCE_NS 3000000u /* for the answer */

/**
 * struct afpacket_counter - the thread
 * @lock:    guards what follows
 * @changed: somebody asks, or there is an answer, or it is over
 * @asks:    for @ifindex and @binding; false when it has been answered
 * @asked_ns: when the last question was put
 */
struct afpacket_counter {
	int query_fd;
	int queues_fd;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool over;
	bool asks;
	int ifindex;
	uint64_t binding;
	uint64_t asked_ns;
	struct afpacket_reading last;
};

/* What the second number of each line says, one for each processor, in hexadecimal. */
static uint64_t afpacket_counter_queues(int fd)
{
	char text[4096];
	uint64_t sum = 0;
	size_t held = 0;
	ssize_t n;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return 0;
	while ((n = read(fd, text + held, sizeof(text) - 1 - held)) > 0) {
		char *line = text, *end;

		text[held + (size_t)n] = '\0';
		while ((end = strchr(line, '\n'))) {
			unsigned int dropped;

			if (sscanf(line, "%*x %x", &dropped) == 1)
				sum += dropped;
			line = end + 1;
		}
		held = strlen(line);
		memmove(text, line, held);
	}
	return sum;
}

/* The question that was asked. Return: whether there is an answer. */
static bool afpacket_counter_read(const struct afpacket_counter *counter, int ifindex,
	uint64_t binding, struct afpacket_reading *ret)
{
	*ret = (struct afpacket_reading){ .ifindex = ifindex, .binding = binding };
	ret->queues_before = afpacket_counter_queues(counter->queues_fd);
	if (afpacket_link_counts(counter->query_fd, ifindex, &ret->counts) < 0)
		return false;
	ret->queues_after = afpacket_counter_queues(counter->queues_fd);
	return true;
}

static void *afpacket_counter_main(void *argument)
{
	struct afpacket_counter *counter = argument;

	(void)pthread_mutex_lock(&counter->lock);
	while (!counter->over) {
		struct afpacket_reading reading;
		int ifindex = counter->ifindex;
		uint64_t binding = counter->binding;
		bool is_read;

		if (!counter->asks) {
			(void)pthread_cond_wait(&counter->changed, &counter->lock);
			continue;
		}
		(void)pthread_mutex_unlock(&counter->lock);
		is_read = afpacket_counter_read(counter, ifindex, binding, &reading);
		(void)pthread_mutex_lock(&counter->lock);
		counter->asks = false;
		if (is_read) {
			reading.n = counter->last.n + 1;
			counter->last = reading;
		}
		(void)pthread_cond_broadcast(&counter->changed);
	}
	(void)pthread_mutex_unlock(&counter->lock);
	return NULL;
}

void afpacket_counter_ask(struct afpacket_counter *counter, int ifindex, uint64_t binding,
	struct afpacket_reading *ret)
{
	uint64_t now_ns = clock_monotonic_ns(), until_ns = now_ns + AFPACKET_COUNTER_PATIENCE_NS;
	const struct timespec until = { .tv_sec = (time_t)(until_ns / 1000000000u),
		.tv_nsec = (long)(until_ns % 1000000000u) };

	(void)pthread_mutex_lock(&counter->lock);
	if (!counter->asks &&
		(counter->asked_ns == 0 || now_ns - counter->asked_ns >= AFPACKET_COUNTER_NS)) {
		counter->asks = true;
		counter->ifindex = ifindex;
		counter->binding = binding;
		counter->asked_ns = now_ns;
		(void)pthread_cond_broadcast(&counter->changed);
		while (counter->asks &&
			pthread_cond_timedwait(&counter->changed, &counter->lock, &until) == 0)
			;
	}
	*ret = counter->last;
	(void)pthread_mutex_unlock(&counter->lock);
}

int afpacket_counter_new(struct afpacket_counter **ret, int query_fd, int queues_fd)
{
	struct afpacket_counter *counter = calloc(1, sizeof(*counter));
	pthread_condattr_t monotonic;
	int r = -ENOMEM;

	if (counter) {
		counter->query_fd = query_fd;
		counter->queues_fd = queues_fd;
		(void)pthread_mutex_init(&counter->lock, NULL); /* these cannot fail on Linux */
		(void)pthread_condattr_init(&monotonic);
		(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
		(void)pthread_cond_init(&counter->changed, &monotonic);
		r = thread_start(&counter->thread, afpacket_counter_main, counter);
	}
	if (r < 0) {
		(void)close(query_fd);
		(void)close(queues_fd);
		free(counter);
		return r;
	}
	*ret = counter;
	return 0;
}

struct afpacket_counter *afpacket_counter_free(struct afpacket_counter *counter)
{
	if (!counter)
		return NULL;
	(void)pthread_mutex_lock(&counter->lock);
	counter->over = true;
	(void)pthread_cond_broadcast(&counter->changed);
	(void)pthread_mutex_unlock(&counter->lock);
	(void)pthread_join(counter->thread, NULL);
	(void)pthread_cond_destroy(&counter->changed);
	(void)pthread_mutex_destroy(&counter->lock);
	cleanup_closep(&counter->query_fd);
	cleanup_closep(&counter->queues_fd);
	free(counter);
	return NULL;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One expression and one helper: see compiler.h.
 *
 * A helper is asked one question at a time. Where anything is not as it should be - no answer in
 * time, an end, an answer of another form, something said unasked - it is killed, and the next
 * question goes to a new one.
 */
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include <pcap/bpf.h>

#include "base/clock.h"
#include "base/spin.h"
#include "compiler_private.h"
#include "mapi/errors.h"

#define TASK_CANCEL_MS 10 /* how often a thread looks whether its answer is still wanted */
#define TASK_SPIN_US 100 /* an ordinary expression */
#define TASK_PAUSE_MS 10
#define TASK_ANSWER_BYTES_MAX (FILTER_INSNS_MAX * sizeof(struct bpf_insn))

static bool task_poll(const struct compiler_helper *helper, int timeout_ms)
{
	struct pollfd p = { .fd = helper->child.fd, .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

/* A helper that may be asked. Return: 0, or as of nursery_fork(). */
static int task_prepare(
	const struct compiler_task *task, struct compiler_helper *helper, struct nursery *nursery)
{
	int r;

	/* Something said unasked, or an end. */
	if (helper->child.fd >= 0 && (helper->uid != task->uid || task_poll(helper, 0)))
		nursery_kill(&helper->child);
	if (helper->child.fd >= 0)
		return 0;
	r = nursery_fork(nursery, &helper->child);
	helper->uid = task->uid;
	helper->proven = false;
	return r == -EPIPE ? -ENOTCONN : r;
}

/* It fits into the socket's buffer, which is empty. If the helper has ended, that will show when
 * its answer is wanted. */
static void task_send(const struct compiler_task *task, const struct compiler_helper *helper)
{
	struct iovec iov[] = { { .iov_base = (void *)(uintptr_t)&task->question,
				       .iov_len = sizeof(task->question) },
		{ .iov_base = task->expression, .iov_len = task->question.n_bytes } };
	const struct msghdr msg = { .msg_iov = iov, .msg_iovlen = ARRAY_SIZE(iov) };

	(void)sendmsg(helper->child.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Return: 0, -ECANCELED, -ETIMEDOUT, -EPIPE. */
static int task_receive(const struct compiler_task *task, const struct compiler_helper *helper,
	uint64_t deadline_ns, void *bytes, size_t n_bytes)
{
	uint8_t *at = bytes;

	while (n_bytes > 0) {
		ssize_t n = recv(helper->child.fd, at, n_bytes, MSG_DONTWAIT);

		if (n > 0) {
			at += n;
			n_bytes -= (size_t)n;
			continue;
		}
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			return -EPIPE;
		if (atomic_load_explicit(&task->over, memory_order_relaxed))
			return -ECANCELED;
		if (clock_monotonic_ns() >= deadline_ns)
			return -ETIMEDOUT;
		if (!spin_poll(helper->child.fd, POLLIN, TASK_SPIN_US))
			(void)task_poll(helper, TASK_CANCEL_MS);
	}
	return 0;
}

static bool task_is_head(const struct compiler_answer *head)
{
	switch (head->code) {
	case 0:
		return head->n_bytes > 0 && head->n_bytes <= TASK_ANSWER_BYTES_MAX &&
			head->n_bytes % sizeof(struct bpf_insn) == 0;
	case PCAP_BPF_ERR:
		return head->n_bytes < ERROR_TEXT_BYTES;
	default: /* COMPILER_NO_MEMORY, or a lie: no other helper would know more */
		return false;
	}
}

/* The words of libpcap, or of who speaks in its place. */
static int task_refuse(char *text, struct error *err)
{
	for (char *c = text; *c; c++)
		if (iscntrl((unsigned char)*c))
			*c = '?';
	return error_set(err, PCAP_BPF_ERR, "%s", text);
}

/* Return: 0; -EINVAL: the expression is; others: the helper is done with. */
static int task_take(
	struct compiler_task *task, const struct compiler_helper *helper, uint64_t deadline_ns)
{
	_cleanup_(cleanup_freep) uint8_t *body = NULL;
	struct compiler_answer head;
	int r = task_receive(task, helper, deadline_ns, &head, sizeof(head));

	if (r == 0 && !task_is_head(&head))
		r = -EBADMSG;
	if (r < 0)
		return r;
	body = calloc(1, (size_t)head.n_bytes + 1);
	if (!body)
		return -ENOMEM;
	r = task_receive(task, helper, deadline_ns, body, head.n_bytes);
	if (r < 0)
		return r;
	if (head.code == PCAP_BPF_ERR)
		return task_refuse((char *)body, &task->err);
	/* calloc() has aligned it */
	r = filter_program_new(&task->program, (const struct bpf_insn *)(const void *)body,
		(unsigned int)(head.n_bytes / sizeof(struct bpf_insn)));
	return r == -EINVAL ? -EBADMSG : r;
}

static int task_try(struct compiler_task *task, struct compiler_helper *helper,
	struct nursery *nursery, uint64_t deadline_ns)
{
	int r = task_prepare(task, helper, nursery);

	/* Descriptors that others of this user have sent must be received first. */
	while (r == -ETOOMANYREFS && clock_monotonic_ns() < deadline_ns) {
		(void)poll(NULL, 0, TASK_PAUSE_MS);
		r = task_prepare(task, helper, nursery);
	}
	if (r < 0)
		return r;
	task_send(task, helper);
	r = task_take(task, helper, deadline_ns);
	if (r < 0 && r != -EINVAL)
		nursery_kill(&helper->child);
	else
		helper->proven = true;
	return r;
}

void compiler_task_run(
	struct compiler_task *task, struct compiler_helper *helper, struct nursery *nursery)
{
	const uint64_t deadline_ns = clock_monotonic_ns() + COMPILER_TIME_MAX_MS * 1000000ull;

	task->r = task_try(task, helper, nursery, deadline_ns);
	/* One that has answered before has ended: perhaps it was killed for something else, or
	 * before it had read this question. So it is put to a new one, within the same time. */
	if (task->r == -EPIPE && helper->proven)
		task->r = task_try(task, helper, nursery, deadline_ns);
	if (task->r == -EBADMSG)
		task->r = -EPIPE;
	if (task->r < 0 && task->r != -EINVAL)
		(void)compiler_fail(task->r, &task->err);
}

int compiler_fail(int r, struct error *err)
{
	char cause[128];

	if (r == -ETIMEDOUT)
		error_set(err, PCAP_BPF_ERR,
			"pcap filter: the expression takes longer than %d seconds to compile; make "
			"it shorter, split it into several BPF_FILTERs (flows), or give addresses "
			"instead of names",
			COMPILER_TIME_MAX_MS / 1000);
	else if (r == -EPIPE)
		error_set(err, PCAP_BPF_ERR,
			"pcap filter: the expression takes too much memory to compile, or libpcap "
			"has failed on it; make it shorter, or split it into several BPF_FILTERs "
			"(flows)");
	else if (r == -ECANCELED)
		error_set(err, PCAP_BPF_ERR, "pcap filter: the device was closed meanwhile");
	else if (r == -ENOTCONN)
		error_set(err, PCAP_BPF_ERR,
			"pcap filter: the process that compiles expressions (" NURSERY_PROCESS_NAME
			") has ended; start the program again");
	else if (r != -ENOMEM)
		error_set(err, PCAP_BPF_ERR, "pcap filter: no process to compile it in: %s",
			strerror_r(-r, cause, sizeof(cause)));
	return r;
}

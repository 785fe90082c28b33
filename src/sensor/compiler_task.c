/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One expression or database, and one helper: see compiler.h.
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
#define TASK_PROGRAM_BYTES_MAX (FILTER_INSNS_MAX * sizeof(struct bpf_insn))

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

static const void *task_body(const struct compiler_task *task)
{
	return task->expression ? (const void *)task->expression : task->source;
}

/* Not longer than until there is an answer or an end: a helper that does not listen any more. */
static void task_send_rest(const struct compiler_task *task, const struct compiler_helper *helper,
	uint64_t deadline_ns, size_t sent_bytes)
{
	const uint8_t *bytes = task_body(task);

	while (sent_bytes < task->question.n_bytes && clock_monotonic_ns() < deadline_ns &&
		!atomic_load_explicit(&task->over, memory_order_relaxed)) {
		struct pollfd p = { .fd = helper->child.fd, .events = POLLIN | POLLOUT };
		ssize_t n;

		if (poll(&p, 1, TASK_CANCEL_MS) == 1 && p.revents & ~POLLOUT)
			return;
		n = send(helper->child.fd, bytes + sent_bytes, task->question.n_bytes - sent_bytes,
			MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return;
		sent_bytes += n > 0 ? (size_t)n : 0;
	}
}

/* An expression fits into the socket's buffer, which is empty. If the helper has ended, that will
 * show when its answer is wanted. */
static void task_send(const struct compiler_task *task, const struct compiler_helper *helper,
	uint64_t deadline_ns)
{
	struct iovec iov[] = { { .iov_base = (void *)(uintptr_t)&task->question,
				       .iov_len = sizeof(task->question) },
		{ .iov_base = (void *)(uintptr_t)task_body(task),
			.iov_len = task->question.n_bytes } };
	const struct msghdr msg = { .msg_iov = iov, .msg_iovlen = ARRAY_SIZE(iov) };
	ssize_t n = sendmsg(helper->child.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n > (ssize_t)sizeof(task->question))
		task_send_rest(task, helper, deadline_ns, (size_t)n - sizeof(task->question));
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

static bool task_is_head(const struct compiler_task *task, const struct compiler_answer *head)
{
	switch (head->code) {
	case 0:
		if (task->question.kind == COMPILER_SEARCH)
			return head->n_bytes > 0 && head->n_bytes <= COMPILER_DATABASE_BYTES_MAX;
		return head->n_bytes > 0 && head->n_bytes <= TASK_PROGRAM_BYTES_MAX &&
			head->n_bytes % sizeof(struct bpf_insn) == 0;
	case COMPILER_WRONG:
		return head->n_bytes < ERROR_TEXT_BYTES;
	default: /* COMPILER_NO_MEMORY, or a lie: no other helper would know more */
		return false;
	}
}

/* The words of libpcap or vectorscan, or of who speaks in their place. */
static int task_refuse(struct compiler_task *task, char *text)
{
	for (char *c = text; *c; c++)
		if (iscntrl((unsigned char)*c))
			*c = '?';
	return error_set(&task->err,
		task->question.kind == COMPILER_SEARCH ? MFUNCT_COULD_NOT_INIT_FUNCT : PCAP_BPF_ERR,
		"%s", text);
}

/* Return: 0, -EBADMSG, -ENOMEM. */
static int task_accept(struct compiler_task *task, const uint8_t *body, size_t n_bytes)
{
	int r;

	if (task->question.kind == COMPILER_SEARCH)
		return search_set_complete(task->set, body, n_bytes);
	/* calloc() has aligned it */
	r = filter_program_new(&task->program, (const struct bpf_insn *)(const void *)body,
		(unsigned int)(n_bytes / sizeof(struct bpf_insn)));
	return r == -EINVAL ? -EBADMSG : r;
}

/* Return: 0; -EINVAL: the expression is; others: the helper is done with. */
static int task_take(
	struct compiler_task *task, const struct compiler_helper *helper, uint64_t deadline_ns)
{
	_cleanup_(cleanup_freep) uint8_t *body = NULL;
	struct compiler_answer head;
	int r = task_receive(task, helper, deadline_ns, &head, sizeof(head));

	if (r == 0 && !task_is_head(task, &head))
		r = -EBADMSG;
	if (r < 0)
		return r;
	body = calloc(1, (size_t)head.n_bytes + 1);
	if (!body)
		return -ENOMEM;
	r = task_receive(task, helper, deadline_ns, body, head.n_bytes);
	if (r < 0)
		return r;
	if (head.code == COMPILER_WRONG)
		return task_refuse(task, (char *)body);
	return task_accept(task, body, head.n_bytes);
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
	task_send(task, helper, deadline_ns);
	r = task_take(task, helper, deadline_ns);
	if (r < 0 && r != -EINVAL)
		nursery_kill(&helper->child);
	else
		helper->proven = true;
	return r;
}

/* More than is for a helper: only who has a daemon to himself may search for so much. */
static int task_build_here(struct compiler_task *task)
{
	_cleanup_(cleanup_freep) uint8_t *database = NULL;
	size_t n_bytes;
	int r = search_database_build(
		task->source, task->question.n_bytes, &database, &n_bytes, &task->err);

	return r < 0 ? r : search_set_complete(task->set, database, n_bytes);
}

void compiler_task_run(
	struct compiler_task *task, struct compiler_helper *helper, struct nursery *nursery)
{
	const bool searches = task->question.kind == COMPILER_SEARCH;
	const uint64_t deadline_ns = clock_monotonic_ns() +
		(searches ? COMPILER_SEARCH_TIME_MAX_MS : COMPILER_TIME_MAX_MS) * 1000000ull;

	if (searches && task->question.n_bytes == 0)
		return; /* it is complete */
	if (searches && task->question.n_bytes > COMPILER_SOURCE_BYTES_MAX)
		task->r = task_build_here(task);
	else
		task->r = task_try(task, helper, nursery, deadline_ns);
	/* One that has answered before has ended: perhaps it was killed for something else, or
	 * before it had read this question. So it is put to a new one, within the same time. */
	if (task->r == -EPIPE && helper->proven)
		task->r = task_try(task, helper, nursery, deadline_ns);
	if (task->r == -EBADMSG)
		task->r = -EPIPE;
	if (task->r < 0 && task->r != -EINVAL)
		(void)compiler_fail((enum compiler_kind)task->question.kind, task->r, &task->err);
}

static const char *task_cause(int r)
{
	switch (r) {
	case -ETIMEDOUT:
		return "it takes too long; search for less in one program";
	case -EPIPE:
		return "it takes too much time or memory; search for less in one program";
	case -ENOTCONN:
		return "the process for that (" NURSERY_PROCESS_NAME
		       ") has ended; start the program again";
	default:
		return "there is no process for it";
	}
}

int compiler_fail(enum compiler_kind kind, int r, struct error *err)
{
	char cause[128];

	if (kind == COMPILER_SEARCH && r != -ENOMEM)
		error_set(err, MFUNCT_COULD_NOT_INIT_FUNCT,
			"The search for strings cannot be prepared: %s", task_cause(r));
	else if (r == -ETIMEDOUT)
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

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parent's side of the compiler: see compiler.h.
 *
 * A helper is asked one question at a time. Where anything is not as it should be - no answer in
 * time, an end, an answer of another form, something said unasked - it is killed, and the next
 * question goes to a new one.
 */
#include "compiler.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <pcap/bpf.h>

#include "base/clock.h"
#include "base/spin.h"
#include "compiler_private.h"
#include "mapi/errors.h"

#define COMPILER_PATIENCE_MS 5 /* of compiler_ask(): a new process and an ordinary expression */
/* At intervals of a millisecond: it dies at once, but for a sanitizer's memory. */
#define COMPILER_REAPS (COMPILER_SANITIZED ? 5000 : 50)
#define COMPILER_CANCEL_MS 10
#define COMPILER_SPIN_US 100 /* an ordinary expression */
#define COMPILER_ANSWER_BYTES_MAX (FILTER_INSNS_MAX * sizeof(struct bpf_insn))

/**
 * struct compiler_helper - a helper process and what it was asked
 * @pid:        0: there is none
 * @proven:     it has answered an earlier question
 * @question:   that has not been answered yet; NULL: none
 * @n_head_bytes, @n_body_bytes: how much of the answer has come
 */
struct compiler_helper {
	pid_t pid;
	int fd;
	bool proven;
	struct compiler_question *question;
	uint64_t deadline_ns;
	struct compiler_answer head;
	size_t n_head_bytes;
	uint8_t *body;
	size_t n_body_bytes;
};

struct compiler {
	struct compiler_helper asked; /* the control thread's */
	pthread_mutex_t lock;
	struct compiler_helper awaited; /* GUARDED_BY(lock) */
};

int compiler_new(struct compiler **ret)
{
	struct compiler *compiler = calloc(1, sizeof(*compiler));

	if (!compiler)
		return -ENOMEM;
	(void)pthread_mutex_init(&compiler->lock, NULL); /* cannot fail on Linux */
	*ret = compiler;
	return 0;
}

/* ---- one helper ---- */

static void compiler_forget(struct compiler_helper *helper)
{
	free(helper->question);
	helper->question = NULL;
	free(helper->body);
	helper->body = NULL;
}

static void compiler_end(struct compiler_helper *helper)
{
	compiler_forget(helper);
	if (!helper->pid)
		return;
	(void)close(helper->fd);
	(void)kill(helper->pid, SIGKILL); /* it is ours, and not reaped yet */
	/* One that hangs in the kernel, in closing what it has inherited, stays until we end. */
	for (unsigned int i = 0; i < COMPILER_REAPS && waitpid(helper->pid, NULL, WNOHANG) == 0;
		i++)
		(void)poll(NULL, 0, 1);
	helper->pid = 0;
}

struct compiler *compiler_free(struct compiler *compiler)
{
	if (!compiler)
		return NULL;
	compiler_end(&compiler->asked);
	compiler_end(&compiler->awaited);
	(void)pthread_mutex_destroy(&compiler->lock);
	free(compiler);
	return NULL;
}

static int compiler_start(struct compiler_helper *helper)
{
	/* "Parent" means the thread that forks: only the first thread ends with the process. */
	bool with_parent = gettid() == getpid();
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	helper->pid = fork();
	if (helper->pid == 0)
		compiler_helper_main(fds[1], with_parent);
	if (helper->pid < 0) {
		int r = -errno;

		helper->pid = 0;
		(void)close(fds[0]);
		(void)close(fds[1]);
		return r;
	}
	(void)close(fds[1]);
	helper->fd = fds[0];
	return 0;
}

/* Wait until something has come, or the end. */
static bool compiler_poll(const struct compiler_helper *helper, short events, int timeout_ms)
{
	struct pollfd p = { .fd = helper->fd, .events = events };

	return poll(&p, 1, timeout_ms) == 1;
}

/* If the helper has ended, or does not read, that will show when its answer is wanted. */
static void compiler_send(const struct compiler_helper *helper)
{
	const uint8_t *at = (const uint8_t *)helper->question;
	size_t n_bytes = sizeof(*helper->question) + helper->question->n_bytes;

	while (n_bytes > 0) {
		ssize_t n = send(helper->fd, at, n_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n >= 0) {
			at += n;
			n_bytes -= (size_t)n;
		} else if (errno == EAGAIN) {
			if (clock_monotonic_ns() >= helper->deadline_ns)
				return;
			(void)compiler_poll(helper, POLLOUT, COMPILER_CANCEL_MS);
		} else if (errno != EINTR) {
			return;
		}
	}
}

/* Put a question to the helper, to a new one if it has ended. */
static int compiler_put(struct compiler_helper *helper, const char *expression, uint32_t linktype)
{
	size_t n_bytes = strlen(expression);
	struct compiler_question *question;
	int r = 0;

	/* Half an answer to another question, something said unasked, an end. */
	if (helper->pid && (helper->question || compiler_poll(helper, POLLIN, 0)))
		compiler_end(helper);
	question = malloc(sizeof(*question) + n_bytes + 1);
	if (!question)
		return -ENOMEM;
	*question =
		(struct compiler_question){ .linktype = linktype, .n_bytes = (uint32_t)n_bytes };
	memcpy(question->expression, expression, n_bytes + 1);
	helper->question = question;
	helper->deadline_ns = clock_monotonic_ns() + COMPILER_TIME_MAX_MS * 1000000ull;
	helper->n_head_bytes = helper->n_body_bytes = 0;
	helper->proven = helper->pid != 0;
	if (!helper->pid)
		r = compiler_start(helper);
	if (r == 0)
		compiler_send(helper);
	return r;
}

/* A helper that has answered before ends: perhaps it was killed for something else, or before it
 * had read this question. So it is put to a new one, within the same time. */
static int compiler_put_again(struct compiler_helper *helper)
{
	struct compiler_question *question = TAKE(helper->question);
	int r;

	compiler_end(helper);
	helper->question = question;
	helper->n_head_bytes = helper->n_body_bytes = 0;
	helper->proven = false;
	r = compiler_start(helper);
	if (r == 0)
		compiler_send(helper);
	return r < 0 ? r : COMPILER_E_AGAIN;
}

/* ---- answers ---- */

static int compiler_check_head(const struct compiler_answer *head)
{
	switch (head->code) {
	case 0:
		return head->n_bytes > 0 && head->n_bytes <= COMPILER_ANSWER_BYTES_MAX &&
				head->n_bytes % sizeof(struct bpf_insn) == 0
			? 0
			: -EPIPE;
	case PCAP_BPF_ERR:
		return head->n_bytes < ERROR_TEXT_BYTES ? 0 : -EPIPE;
	case COMPILER_NO_MEMORY:
		return head->n_bytes == 0 ? 0 : -EPIPE;
	default:
		return -EPIPE;
	}
}

/* Take what has come of the answer. Return: 0: all; COMPILER_E_AGAIN, -EPIPE, -ENOMEM. */
static int compiler_receive(struct compiler_helper *helper)
{
	for (;;) {
		bool in_head = helper->n_head_bytes < sizeof(helper->head);
		size_t *n_bytes = in_head ? &helper->n_head_bytes : &helper->n_body_bytes;
		size_t all_bytes = in_head ? sizeof(helper->head) : helper->head.n_bytes;
		uint8_t *bytes = in_head ? (uint8_t *)&helper->head : helper->body;
		ssize_t n;

		if (*n_bytes == all_bytes)
			return 0;
		n = recv(helper->fd, bytes + *n_bytes, all_bytes - *n_bytes, MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return COMPILER_E_AGAIN;
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EPIPE;
		*n_bytes += (size_t)n;
		if (!in_head || *n_bytes < all_bytes)
			continue;
		if (compiler_check_head(&helper->head) < 0)
			return -EPIPE;
		helper->body = malloc(MAX(helper->head.n_bytes, (uint32_t)1));
		if (!helper->body)
			return -ENOMEM;
	}
}

/* The words of libpcap, or of who speaks in its place. */
static int compiler_refuse(const struct compiler_helper *helper, struct error *err)
{
	char text[ERROR_TEXT_BYTES] = "";

	memcpy(text, helper->body, helper->head.n_bytes);
	for (char *c = text; *c; c++)
		if (iscntrl((unsigned char)*c))
			*c = '?';
	return error_set(err, PCAP_BPF_ERR, "%s", text);
}

/* An answer is complete. */
static int compiler_take(
	const struct compiler_helper *helper, struct filter_program **ret, struct error *err)
{
	int r;

	if (helper->head.code == PCAP_BPF_ERR)
		return compiler_refuse(helper, err);
	if (helper->head.code == COMPILER_NO_MEMORY)
		return -EPIPE;
	/* malloc() has aligned it */
	r = filter_program_new(ret, (const struct bpf_insn *)(const void *)helper->body,
		(unsigned int)(helper->head.n_bytes / sizeof(struct bpf_insn)));
	return r == -EINVAL ? -EPIPE : r;
}

static int compiler_fail(int r, struct error *err)
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
	else if (r != -ENOMEM)
		error_set(err, PCAP_BPF_ERR, "pcap filter: no process to compile it in: %s",
			strerror_r(-r, cause, sizeof(cause)));
	return r;
}

/* Wait for at most @patience_ms. Return: as compiler_ask(). */
static int compiler_get(struct compiler_helper *helper, int patience_ms,
	struct filter_program **ret, struct error *err)
{
	int r;

	if (patience_ms > 0 && !spin_poll(helper->fd, POLLIN, COMPILER_SPIN_US))
		(void)compiler_poll(helper, POLLIN, patience_ms);
	r = compiler_receive(helper);
	if (r == -EPIPE && helper->proven)
		r = compiler_put_again(helper);
	if (r == COMPILER_E_AGAIN) {
		if (clock_monotonic_ns() < helper->deadline_ns)
			return r;
		r = -ETIMEDOUT;
	} else if (r == 0) {
		r = compiler_take(helper, ret, err);
		if (r == 0 || r == -EINVAL) {
			compiler_forget(helper);
			return r;
		}
	}
	compiler_end(helper);
	return compiler_fail(r, err);
}

int compiler_ask(struct compiler *compiler, const char *expression, uint32_t linktype,
	struct filter_program **ret, struct error *err)
{
	struct compiler_helper *helper = &compiler->asked;
	int patience_ms = 0, r = 0;

	if (!helper->question || helper->question->linktype != linktype ||
		strcmp(helper->question->expression, expression) != 0) {
		if (strlen(expression) > FILTER_EXPRESSION_MAX)
			return filter_compile(ret, expression, linktype, err); /* refuses it */
		r = compiler_put(helper, expression, linktype);
		patience_ms = COMPILER_PATIENCE_MS;
	}
	if (r < 0) {
		compiler_end(helper);
		return compiler_fail(r, err);
	}
	return compiler_get(helper, patience_ms, ret, err);
}

int compiler_wait(struct compiler *compiler, const char *expression, uint32_t linktype,
	const _Atomic bool *cancel, struct filter_program **ret, struct error *err)
{
	struct compiler_helper *helper = &compiler->awaited;
	int r;

	if (strlen(expression) > FILTER_EXPRESSION_MAX)
		return filter_compile(ret, expression, linktype, err); /* refuses it */
	(void)pthread_mutex_lock(&compiler->lock);
	r = compiler_put(helper, expression, linktype);
	if (r < 0) {
		compiler_end(helper);
		r = compiler_fail(r, err);
	} else {
		r = COMPILER_E_AGAIN;
	}
	while (r == COMPILER_E_AGAIN) {
		if (atomic_load_explicit(cancel, memory_order_relaxed)) {
			compiler_end(helper);
			r = compiler_fail(-ECANCELED, err);
		} else {
			r = compiler_get(helper, COMPILER_CANCEL_MS, ret, err);
		}
	}
	(void)pthread_mutex_unlock(&compiler->lock);
	return r;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The queue of the compiler and its threads: see compiler.h.
 *
 * Users take turns by start-time fair queueing: a task stands in a round, the one after that of its
 * user's task before it, or the current one; tasks are done round by round. So whoever asks now
 * waits for one task of each other user at most, however many those have asked for.
 */
#include "compiler.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/thread.h"
#include "compiler_private.h"

#define COMPILER_CANCEL_NS 10000000

enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_DONE };

/* A task and its place in the queue, whose lock guards it but the task, which is its thread's
 * while that works on it. */
struct compiler_job {
	struct compiler_job *next;
	uint64_t round;
	enum job_state state;
	struct compiler_task task;
};

struct compiler_thread {
	struct compiler *compiler;
	pthread_t thread;
	struct compiler_job *job; /* GUARDED_BY(lock); NULL: idle */
};

struct compiler {
	struct nursery *nursery;
	int notify_fd;
	pthread_mutex_t lock;
	pthread_cond_t queued;
	pthread_cond_t done;
	struct compiler_job *queue; /* GUARDED_BY(lock), as all that follows; by round */
	uint64_t round; /* of the task that was begun last */
	bool over;
	struct compiler_thread threads[COMPILER_HELPERS_MAX];
	unsigned int n_threads;
};

struct compiler_client {
	struct compiler *compiler;
	uid_t uid;
	struct compiler_job *asked; /* NULL: nothing */
};

/* ---- jobs ---- */

static struct compiler_job *job_free(struct compiler_job *job)
{
	if (!job)
		return NULL;
	filter_program_free(job->task.program);
	search_set_free(job->task.set);
	free(job->task.expression);
	free(job->task.source);
	free(job);
	return NULL;
}

static int job_new(struct compiler_job **ret, uid_t uid, const char *expression, uint32_t linktype)
{
	struct compiler_job *job = calloc(1, sizeof(*job));

	if (!job)
		return -ENOMEM;
	job->task = (struct compiler_task){ .uid = uid,
		.err = ERROR_INIT,
		.question = { .linktype = linktype, .n_bytes = (uint32_t)strlen(expression) },
		.expression = strdup(expression) };
	if (!job->task.expression) {
		job_free(job);
		return -ENOMEM;
	}
	*ret = job;
	return 0;
}

/* @set: taken. */
static int job_new_search(struct compiler_job **ret, uid_t uid, struct search_set *set)
{
	struct compiler_job *job = calloc(1, sizeof(*job));
	size_t n_bytes = 0;
	int r;

	if (!job) {
		search_set_free(set);
		return -ENOMEM;
	}
	job->task = (struct compiler_task){
		.uid = uid, .err = ERROR_INIT, .question = { .kind = COMPILER_SEARCH }, .set = set
	};
	r = search_set_source(set, &job->task.source, &n_bytes);
	if (r == 0 && n_bytes > UINT32_MAX)
		r = -ENOMEM;
	if (r < 0) {
		job_free(job);
		return r;
	}
	job->task.question.n_bytes = (uint32_t)n_bytes;
	*ret = job;
	return 0;
}

/* What was answered; the job is done with. */
static int job_take(struct compiler_job *job, struct filter_program **ret, struct error *err)
{
	int r = job->task.r;

	if (r == 0)
		*ret = TAKE(job->task.program);
	else
		*err = job->task.err;
	job_free(job);
	return r;
}

/* ---- the queue; with the lock held ---- */

static unsigned int compiler_n_running(const struct compiler *compiler, uid_t uid)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < compiler->n_threads; i++)
		n += compiler->threads[i].job && compiler->threads[i].job->task.uid == uid;
	return n;
}

static bool compiler_may_run(const struct compiler *compiler, const struct compiler_job *job)
{
	return compiler_n_running(compiler, job->task.uid) < COMPILER_USER_MAX;
}

/* Return: the place that points to the next job whose turn it is; NULL: none. */
static struct compiler_job **compiler_next(struct compiler *compiler)
{
	for (struct compiler_job **at = &compiler->queue; *at; at = &(*at)->next)
		if (compiler_may_run(compiler, *at))
			return at;
	return NULL;
}

static void compiler_enqueue(struct compiler *compiler, struct compiler_job *job)
{
	struct compiler_job **at;

	job->round = compiler->round;
	for (const struct compiler_job *other = compiler->queue; other; other = other->next)
		if (other->task.uid == job->task.uid)
			job->round = MAX(job->round, other->round + 1);
	for (unsigned int i = 0; i < compiler->n_threads; i++) {
		const struct compiler_job *other = compiler->threads[i].job;

		if (other && other->task.uid == job->task.uid)
			job->round = MAX(job->round, other->round + 1);
	}
	for (at = &compiler->queue; *at && (*at)->round <= job->round; at = &(*at)->next)
		;
	job->next = *at;
	*at = job;
}

static void compiler_unqueue(struct compiler *compiler, const struct compiler_job *job)
{
	for (struct compiler_job **at = &compiler->queue; *at; at = &(*at)->next)
		if (*at == job) {
			*at = job->next;
			return;
		}
}

/* ---- threads ---- */

static void *compiler_main(void *argument)
{
	struct compiler_thread *self = argument;
	struct compiler *compiler = self->compiler;
	struct compiler_helper helper = { .child = NURSERY_CHILD_NONE };
	struct compiler_job **next, *job;

	(void)pthread_mutex_lock(&compiler->lock);
	for (;;) {
		while (!(next = compiler_next(compiler)) && !compiler->over)
			(void)pthread_cond_wait(&compiler->queued, &compiler->lock);
		if (!next)
			break;
		job = *next;
		*next = job->next;
		job->state = JOB_RUNNING;
		compiler->round = job->round;
		self->job = job;
		(void)pthread_mutex_unlock(&compiler->lock);
		compiler_task_run(&job->task, &helper, compiler->nursery);
		(void)pthread_mutex_lock(&compiler->lock);
		self->job = NULL;
		job->state = JOB_DONE;
		if (atomic_load_explicit(&job->task.over, memory_order_relaxed))
			job_free(job);
		(void)eventfd_write(compiler->notify_fd, 1); /* full: it will be looked at */
		(void)pthread_cond_broadcast(&compiler->done);
		(void)pthread_cond_broadcast(&compiler->queued); /* its user may have another */
	}
	(void)pthread_mutex_unlock(&compiler->lock);
	nursery_kill(&helper.child);
	return NULL;
}

/* One more if there are fewer idle ones than jobs for them. With the lock held. Return: 0; negative
 * errno: there is none at all. */
static int compiler_add_thread(struct compiler *compiler)
{
	struct compiler_thread *thread = &compiler->threads[compiler->n_threads];
	unsigned int n_jobs = 0, n_idle = 0;
	int r;

	for (const struct compiler_job *job = compiler->queue; job; job = job->next)
		n_jobs += compiler_may_run(compiler, job);
	for (unsigned int i = 0; i < compiler->n_threads; i++)
		n_idle += !compiler->threads[i].job;
	if (n_jobs <= n_idle || compiler->n_threads == COMPILER_HELPERS_MAX)
		return 0;
	*thread = (struct compiler_thread){ .compiler = compiler };
	r = thread_start(&thread->thread, compiler_main, thread);
	if (r == 0)
		compiler->n_threads++;
	return compiler->n_threads ? 0 : r;
}

/* Queue a job. Return: 0; negative errno: it is no more. */
static int compiler_put(struct compiler *compiler, struct compiler_job *job)
{
	int r;

	(void)pthread_mutex_lock(&compiler->lock);
	compiler_enqueue(compiler, job);
	r = compiler_add_thread(compiler);
	if (r < 0)
		compiler_unqueue(compiler, job);
	(void)pthread_cond_signal(&compiler->queued);
	(void)pthread_mutex_unlock(&compiler->lock);
	if (r < 0)
		job_free(job);
	return r;
}

/* Queue a question. Return: 0, negative errno. */
static int compiler_put_filter(struct compiler_client *client, const char *expression,
	uint32_t linktype, struct compiler_job **ret)
{
	struct compiler_job *job;
	int r = job_new(&job, client->uid, expression, linktype);

	if (r == 0)
		r = compiler_put(client->compiler, job);
	if (r == 0)
		*ret = job;
	return r;
}

/* Nobody wants the answer any more. With the lock held. */
static void compiler_abandon(struct compiler *compiler, struct compiler_job *job)
{
	if (job->state == JOB_RUNNING) {
		atomic_store_explicit(&job->task.over, true, memory_order_relaxed);
		return; /* its thread frees it */
	}
	if (job->state == JOB_QUEUED)
		compiler_unqueue(compiler, job);
	job_free(job);
}

/* ---- the compiler ---- */

int compiler_new(struct compiler **ret, int notify_fd)
{
	_cleanup_(cleanup_freep) struct compiler *compiler = calloc(1, sizeof(*compiler));
	pthread_condattr_t monotonic;
	int r = compiler ? nursery_new(&compiler->nursery, compiler_helper_main) : -ENOMEM;

	if (r < 0)
		return r;
	compiler->notify_fd = notify_fd;
	(void)pthread_mutex_init(&compiler->lock, NULL); /* these cannot fail on Linux */
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&compiler->queued, NULL);
	(void)pthread_cond_init(&compiler->done, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	*ret = TAKE(compiler);
	return 0;
}

struct compiler *compiler_free(struct compiler *compiler)
{
	if (!compiler)
		return NULL;
	(void)pthread_mutex_lock(&compiler->lock);
	compiler->over = true;
	(void)pthread_cond_broadcast(&compiler->queued);
	(void)pthread_mutex_unlock(&compiler->lock);
	for (unsigned int i = 0; i < compiler->n_threads; i++)
		(void)pthread_join(compiler->threads[i].thread, NULL);
	nursery_free(compiler->nursery);
	(void)pthread_cond_destroy(&compiler->done);
	(void)pthread_cond_destroy(&compiler->queued);
	(void)pthread_mutex_destroy(&compiler->lock);
	free(compiler);
	return NULL;
}

bool compiler_works(const struct compiler *compiler)
{
	return nursery_lives(compiler->nursery);
}

/* ---- clients ---- */

int compiler_client_new(struct compiler_client **ret, struct compiler *compiler, uid_t uid)
{
	struct compiler_client *client = calloc(1, sizeof(*client));

	if (!client)
		return -ENOMEM;
	*client = (struct compiler_client){ .compiler = compiler, .uid = uid };
	*ret = client;
	return 0;
}

static void client_abandon(struct compiler_client *client)
{
	struct compiler_job *job = TAKE(client->asked);

	if (!job)
		return;
	(void)pthread_mutex_lock(&client->compiler->lock);
	compiler_abandon(client->compiler, job);
	(void)pthread_mutex_unlock(&client->compiler->lock);
}

struct compiler_client *compiler_client_free(struct compiler_client *client)
{
	if (!client)
		return NULL;
	client_abandon(client);
	free(client);
	return NULL;
}

bool compiler_has_answered(struct compiler_client *client)
{
	bool answered;

	if (!client->asked)
		return true;
	(void)pthread_mutex_lock(&client->compiler->lock);
	answered = client->asked->state == JOB_DONE;
	(void)pthread_mutex_unlock(&client->compiler->lock);
	return answered;
}

int compiler_ask(struct compiler_client *client, const char *expression, uint32_t linktype,
	struct filter_program **ret, struct error *err)
{
	const struct compiler_task *task = client->asked ? &client->asked->task : NULL;
	int r;

	/* These stay as they are while a thread works on it. */
	if (task && task->expression && task->question.linktype == linktype &&
		strcmp(task->expression, expression) == 0)
		return compiler_has_answered(client) ? job_take(TAKE(client->asked), ret, err)
						     : COMPILER_E_AGAIN;
	client_abandon(client);
	if (strlen(expression) > FILTER_EXPRESSION_MAX)
		return filter_compile(ret, expression, linktype, err); /* refuses it */
	r = compiler_put_filter(client, expression, linktype, &client->asked);
	return r < 0 ? compiler_fail(COMPILER_FILTER, r, err) : COMPILER_E_AGAIN;
}

int compiler_build(struct compiler_client *client, struct search_set *set, struct error *err)
{
	struct compiler_job *job;
	int r;

	client_abandon(client);
	r = job_new_search(&job, client->uid, set);
	if (r == 0)
		r = compiler_put(client->compiler, job);
	if (r < 0)
		return compiler_fail(COMPILER_SEARCH, r, err);
	client->asked = job;
	return 0;
}

int compiler_built(struct compiler_client *client, struct search_set **ret, struct error *err)
{
	struct search_set *set;

	if (!compiler_has_answered(client))
		return COMPILER_E_AGAIN;
	set = TAKE(client->asked->task.set);
	if (client->asked->task.r == 0)
		*ret = TAKE(set);
	search_set_free(set);
	return job_take(TAKE(client->asked), &(struct filter_program *){ NULL }, err);
}

/* With the lock held. Return: whether the job is done. */
static bool compiler_await(
	struct compiler *compiler, const struct compiler_job *job, const _Atomic bool *cancel)
{
	while (job->state != JOB_DONE) {
		struct timespec until;

		if (atomic_load_explicit(cancel, memory_order_relaxed))
			return false;
		(void)clock_gettime(CLOCK_MONOTONIC, &until); /* cannot fail */
		until.tv_nsec += COMPILER_CANCEL_NS;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		(void)pthread_cond_timedwait(&compiler->done, &compiler->lock, &until);
	}
	return true;
}

int compiler_wait(struct compiler_client *client, const char *expression, uint32_t linktype,
	const _Atomic bool *cancel, struct filter_program **ret, struct error *err)
{
	struct compiler *compiler = client->compiler;
	struct compiler_job *job;
	bool done;
	int r;

	if (strlen(expression) > FILTER_EXPRESSION_MAX)
		return filter_compile(ret, expression, linktype, err); /* refuses it */
	r = compiler_put_filter(client, expression, linktype, &job);
	if (r < 0)
		return compiler_fail(COMPILER_FILTER, r, err);
	(void)pthread_mutex_lock(&compiler->lock);
	done = compiler_await(compiler, job, cancel);
	if (!done)
		compiler_abandon(compiler, job);
	(void)pthread_mutex_unlock(&compiler->lock);
	return done ? job_take(job, ret, err) : compiler_fail(COMPILER_FILTER, -ECANCELED, err);
}

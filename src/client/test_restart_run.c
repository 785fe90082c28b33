/* SPDX-License-Identifier: BSD-2-Clause */
/* See test_restart_run.h. */
#undef NDEBUG
#include "test_restart_run.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

void restart_prepare(void)
{
	test_folder_make();
	setenv("MAPI_SOCKET", test_socket_path, 1);
}

void restart_daemon(void)
{
	fake_engine_kill();
	fake_system_start(test_socket_path);
}

int restart_flow(const char *name, int *ret_fid)
{
	int fd = mapi_create_flow("fake0");

	if (fd < 0)
		assert_error(0);
	*ret_fid = mapi_apply_function(fd, name);
	assert_true(*ret_fid > 0);
	assert_int_equal(mapi_connect(fd), 0);
	return fd;
}

unsigned long long restart_value(int fd, int fid)
{
	mapi_results_t *r = mapi_read_results(fd, fid);

	if (!r)
		assert_error(0);
	assert_non_null(r);
	return *(unsigned long long *)r->res;
}

void restart_put_pkt(unsigned int n)
{
	struct {
		struct mapipkt head;
	} pkt = { .head = { .ts = n, .caplen = 4, .wlen = n } };

	assert_int_equal(
		ring_write(fake_last_ring(), &pkt, offsetof(struct mapipkt, pkt), "abcd", 4, NULL),
		0);
}

struct mapi_result_status restart_status(int fd, int fid)
{
	struct mapi_result_status s = { .sz = sizeof(s) };

	assert_int_equal(mapi_result_status(fd, fid, 0, &s), 0);
	return s;
}

void *restart_wait_for_pkts(void *data)
{
	struct restart_waiter *w = data;

	w->code = 0;
	atomic_store(&w->tid, gettid());
	while (atomic_load(&w->n_pkts) < w->n_wanted) {
		const struct mapipkt *pkt = mapi_get_next_pkt(w->fd, w->fid);

		if (!pkt) {
			mapi_read_error(&w->code, NULL);
			break;
		}
		assert_int_equal(pkt->caplen, 4);
		atomic_fetch_add(&w->n_pkts, 1);
	}
	return NULL;
}

void restart_await_pkts(struct restart_waiter *w, unsigned int n)
{
	while (atomic_load(&w->n_pkts) < n)
		(void)poll(NULL, 0, 1);
}

void restart_await(int fd, int fid, unsigned int n)
{
	while (restart_status(fd, fid).restarts < n)
		(void)poll(NULL, 0, 1);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Code for the kernel, from the engine to the parent: what is loaded, refused, limited. Mostly
 * needs CAP_BPF.
 */
#undef NDEBUG
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/build.h"
#include "base/clock.h"
#include "privileged_private.h"
#include "test_privileged_private.h"

static bool test_scribbles;

int __real_kernel_code_unflatten(struct kernel_code **ret, const void *bytes, size_t n_bytes);
int __wrap_kernel_code_unflatten(struct kernel_code **ret, const void *bytes, size_t n_bytes);

/* An engine that changes its mind while the parent looks. */
int __wrap_kernel_code_unflatten(struct kernel_code **ret, const void *bytes, size_t n_bytes)
{
	if (test_scribbles)
		memset(test_area, 0x55, sizeof(test_area));
	return __real_kernel_code_unflatten(ret, bytes, n_bytes);
}

static bool test_is_late;

int __real_kernel_code_load_into(const struct kernel_code *code, uint64_t until_ns,
	const struct kernel_memory *memory, struct kernel_fds *ret, struct error *err);
int __wrap_kernel_code_load_into(const struct kernel_code *code, uint64_t until_ns,
	const struct kernel_memory *memory, struct kernel_fds *ret, struct error *err);

/* The parent gives up before the engine that asks does; or a verifier that has taken that long. */
int __wrap_kernel_code_load_into(const struct kernel_code *code, uint64_t until_ns,
	const struct kernel_memory *memory, struct kernel_fds *ret, struct error *err)
{
	assert(until_ns <= clock_monotonic_ns() + UINT64_C(4000000000));
	return __real_kernel_code_load_into(
		code, test_is_late ? clock_monotonic_ns() : until_ns, memory, ret, err);
}

static int test_load(int fd, const struct kernel_code *code, struct kernel_fds *ret)
{
	struct error err = ERROR_INIT;
	int r = privileged_load(fd, test_area, sizeof(test_area), code, ret, &err);

	assert_int_equal(r == 0, err.code == 0);
	if (r < 0)
		print_message("%s\n", err.text);
	return r;
}

/* Return: may this process load? */
static bool test_can_load(void)
{
	struct kernel_code *code = test_code(KERNEL_SOCKET, 0);
	struct kernel_fds fds;
	struct error err = ERROR_INIT;
	int r = kernel_code_load(code, &fds, &err);

	kernel_code_free(code);
	if (r == 0)
		kernel_fds_close(&fds);
	else
		print_message("SKIP: %s\n", err.text);
	return r == 0;
}

/* Skips where nothing can be loaded. @ret_n_before: descriptors. Return: the engine's end. */
static int test_begin(struct test_parent *parent, unsigned int *ret_n_before)
{
	if (!test_has_kernel() || !test_can_load())
		skip();
	*ret_n_before = test_n_fds();
	return test_parent_start(parent, false);
}

static void test_loads(void **state)
{
	struct test_parent parent;
	unsigned int n_before;
	int fd;

	fd = test_begin(&parent, &n_before);
	for (unsigned int kind = 0; kind < 4; kind++) {
		struct kernel_code *code = test_code(KERNEL_SOCKET, kind % 2);
		struct kernel_program *program;
		struct kernel_count counts[2];
		struct kernel_fds fds;
		struct error err = ERROR_INIT;

		test_scribbles = kind > 1;
		assert_int_equal(test_load(fd, code, &fds), 0);
		assert_true(fds.chain >= 0);
		assert_int_equal(fcntl(fds.program, F_GETFD), FD_CLOEXEC);
		assert_int_equal(kernel_program_new(&program, code, &fds, &err), 0);
		kernel_program_read(program, counts, 2);
		assert_int_equal(counts[0].pkts + counts[1].pkts, 0);
		kernel_program_free(program);
		kernel_code_free(code);
	}
	test_scribbles = false;
	test_parent_end(&parent, fd);
	assert_int_equal(test_n_fds(), n_before);
}

/* Code that samples comes with numbers: the same for all programs of an engine. */
static void test_numbers_of_samples(void **state)
{
	const struct kernel_sampling sampling = { .rule = { .mode = SAMPLING_PERIODIC, .value = 3 },
		.cell = 7 };
	const struct kernel_options options = { .hook = KERNEL_SOCKET, .samplings = &sampling };
	const struct filter_program *filters[1];
	struct filter_program *filter;
	struct sampling_turns *turns[2];
	struct kernel_fds fds[2];
	struct kernel_code *code;
	struct test_parent parent;
	struct error err = ERROR_INIT;
	unsigned int n_before;
	int fd;

	if (!test_has_kernel() || !test_can_load())
		skip();
	assert_int_equal(filter_compile(&filter, "udp", 1, &err), 0);
	filters[0] = filter;
	assert_int_equal(kernel_code_new(&code, &options, filters, 1), 0);
	filter_program_free(filter);
	n_before = test_n_fds();
	fd = test_parent_start(&parent, false);
	for (unsigned int i = 0; i < ARRAY_SIZE(fds); i++) {
		assert_int_equal(test_load(fd, code, &fds[i]), 0);
		assert_int_equal(fcntl(fds[i].turns, F_GETFD), FD_CLOEXEC);
		turns[i] = mmap(NULL, KERNEL_TURNS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
			fds[i].turns, 0);
		assert_true(turns[i] != MAP_FAILED);
	}
	turns[0][7].next = 77;
	assert_int_equal(turns[1][7].next, 77);
	for (unsigned int i = 0; i < ARRAY_SIZE(fds); i++) {
		(void)munmap(turns[i], KERNEL_TURNS_BYTES);
		kernel_fds_close(&fds[i]);
	}
	test_parent_end(&parent, fd);
	/* The next engine has others. */
	fd = test_parent_start(&parent, false);
	assert_int_equal(test_load(fd, code, &fds[0]), 0);
	turns[0] = mmap(NULL, KERNEL_TURNS_BYTES, PROT_READ, MAP_SHARED, fds[0].turns, 0);
	assert_true(turns[0] != MAP_FAILED);
	assert_int_equal(turns[0][7].next, 0);
	(void)munmap(turns[0], KERNEL_TURNS_BYTES);
	kernel_fds_close(&fds[0]);
	test_parent_end(&parent, fd);
	kernel_code_free(code);
	assert_int_equal(test_n_fds(), n_before);
	(void)state;
}

/* @ret_fds: untouched if none came. */
static void test_receive(int fd, struct privileged_reply *ret, int ret_fds[PRIVILEGED_LOAD_FDS])
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(PRIVILEGED_LOAD_FDS * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = ret, .iov_len = sizeof(*ret) };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };

	assert_int_equal(recvmsg(fd, &msg, MSG_CMSG_CLOEXEC), sizeof(*ret));
	assert_false(msg.msg_flags & MSG_CTRUNC);
	assert_int_equal(ret->n_fds, CMSG_FIRSTHDR(&msg) ? PRIVILEGED_LOAD_FDS : 0);
	if (ret->n_fds)
		memcpy(ret_fds, CMSG_DATA(CMSG_FIRSTHDR(&msg)), ret->n_fds * sizeof(int));
}

/* As an engine that was conquered asks: for @area_bytes of counters. Return: of the reply. */
static int test_load_large(int fd, size_t area_bytes, int ret_fds[PRIVILEGED_LOAD_FDS])
{
	struct privileged_request request = { .op = PRIVILEGED_LOAD };
	struct kernel_code *code = test_code(KERNEL_SOCKET, 1);
	struct privileged_reply reply;
	uint32_t head[5];

	request.n_bytes = (uint32_t)kernel_code_flatten(code, test_area, sizeof(test_area));
	kernel_code_free(code);
	memcpy(head, test_area, sizeof(head));
	head[3] = (uint32_t)((area_bytes / head[2] & ~(size_t)63) - head[4]) / 32; /* slots */
	head[3] &= ~1u;
	head[4] += 32 * head[3];
	head[3] += 2;
	memcpy(test_area, head, sizeof(head));
	assert_int_equal(send(fd, &request, sizeof(request), 0), sizeof(request));
	test_receive(fd, &reply, ret_fds);
	return reply.code;
}

static void test_close_all(int fds[PRIVILEGED_LOAD_FDS])
{
	for (unsigned int i = 0; i < PRIVILEGED_LOAD_FDS; i++)
		(void)close(fds[i]);
}

/* What an engine keeps has an end; what it says it does not use is used again, even if it does. */
static void test_loads_are_limited(void **state)
{
	const size_t large = 8 << 20;
	int fds[32][PRIVILEGED_LOAD_FDS];
	struct test_parent parent;
	unsigned int n_before, n = 0;
	uint8_t *counters;
	int fd, r;

	fd = test_begin(&parent, &n_before);
	while ((r = test_load_large(fd, large, fds[n])) == 0)
		assert_true(++n < ARRAY_SIZE(fds));
	assert_int_equal(r, -ENOSPC);
	assert_in_range(n, 5, PRIVILEGED_COUNTERS_BYTES_MAX / large);
	/* One is not used any more, it says, and keeps its counters. */
	counters = mmap(NULL, large, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0][1], 0);
	assert_true(counters != MAP_FAILED);
	memset(counters, 0x77, large);
	(void)close(fds[0][2]);
	for (unsigned int i = 0; i < 3; i++) {
		int more[PRIVILEGED_LOAD_FDS];

		assert_int_equal(test_load_large(fd, large, more), 0);
		assert_int_equal(test_load_large(fd, large, fds[n]), -ENOSPC);
		assert_int_equal(counters[0], 0);
		assert_int_equal(counters[large - 1], 0);
		counters[0] = 1;
		test_close_all(more);
	}
	(void)munmap(counters, large);
	assert_int_equal(close(fds[0][0]) | close(fds[0][1]), 0);
	for (unsigned int i = 1; i < n; i++)
		test_close_all(fds[i]);
	test_parent_end(&parent, fd);
	assert_int_equal(test_n_fds(), n_before);
}

/* More counters at once than a machine of this size needs; for CPUs that it does not have. */
static void test_large_counters(void **state)
{
	struct test_parent parent;
	int fd, fds[PRIVILEGED_LOAD_FDS];

	if (!test_has_kernel())
		skip();
	fd = test_parent_start(&parent, false);
	assert_int_equal(test_load_large(fd, (size_t)17 << 20, fds), -EBADMSG);
	test_parent_end(&parent, fd);
}

/* Memory of this process, in KiB. */
static unsigned long test_resident_kb(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%*u %lu", &pages), 1);
	(void)fclose(file);
	return pages * (unsigned long)sysconf(_SC_PAGESIZE) / 1024;
}

/* Programs one after the other, some of them at the same time. */
static void test_many_loads(void **state)
{
	const char *is_long = getenv("MAPI_TEST_LONG");
	unsigned int n_loads = is_long ? 10000 : 500, n_warm = 100, n_fds = 0;
	struct kernel_fds kept[5] = { KERNEL_FDS_INIT, KERNEL_FDS_INIT, KERNEL_FDS_INIT,
		KERNEL_FDS_INIT, KERNEL_FDS_INIT };
	struct kernel_code *codes[2];
	struct test_parent parent;
	unsigned long resident_kb = 0;
	size_t area_bytes = 0;
	uint64_t begin_ns;
	int fd;

	if (!test_has_kernel() || !test_can_load())
		skip();
	codes[0] = test_code(KERNEL_SOCKET, 0);
	codes[1] = test_code(KERNEL_SOCKET, 1);
	fd = test_parent_start(&parent, false);
	begin_ns = clock_monotonic_ns();
	for (unsigned int i = 0; i < n_loads; i++) {
		struct kernel_fds *at = &kept[i % ARRAY_SIZE(kept)];

		kernel_fds_close(at);
		assert_int_equal(test_load(fd, codes[i % 2], at), 0);
		if (i == n_warm) {
			n_fds = test_n_fds();
			resident_kb = test_resident_kb();
			area_bytes = parent.loads.area_bytes;
		}
		if (i > n_warm) { /* two or three chains; the parent may be closing what it sent */
			assert_in_range(test_n_fds(), n_fds - 4, n_fds + 4);
			assert_int_equal(parent.loads.area_bytes, area_bytes);
		}
	}
	print_message("%u programs, %.0f per second\n", n_loads,
		n_loads * 1e9 / (double)(clock_monotonic_ns() - begin_ns));
	if (!BUILD_SANITIZED) /* which keeps what was freed for a while */
		assert_true(test_resident_kb() <= resident_kb + 1024);
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		kernel_fds_close(&kept[i]);
	test_parent_end(&parent, fd);
	kernel_code_free(codes[0]);
	kernel_code_free(codes[1]);
}

/* An engine that asks, and takes nothing of what it is sent, is ended. */
static void test_answers_not_taken(void **state)
{
	struct privileged_request request = { .op = PRIVILEGED_LOAD };
	struct test_parent parent;
	struct kernel_code *code;
	unsigned int n_before;
	int fd;

	if (!test_has_kernel() || !test_can_load())
		skip();
	n_before = test_n_fds();
	code = test_code(KERNEL_SOCKET, 1);
	request.n_bytes = (uint32_t)kernel_code_flatten(code, test_area, sizeof(test_area));
	kernel_code_free(code);
	fd = test_parent_start(&parent, false);
	while (atomic_load(&parent.lives))
		if (send(fd, &request, sizeof(request), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			(void)poll(NULL, 0, 1);
	assert_int_equal(pthread_join(parent.thread, NULL), 0);
	assert_int_equal(parent.outcome, -EBADMSG);
	assert_true(parent.loads.n <= PRIVILEGED_LOADS_MAX);
	privileged_loads_clear(&parent.loads);
	(void)close(fd);
	(void)close(parent.fd);
	assert_int_equal(test_n_fds(), n_before);
}

/* The parent has more to do than to wait for the verifier. */
static void test_slow_code(void **state)
{
	struct kernel_fds fds = KERNEL_FDS_INIT;
	struct test_parent parent;
	unsigned int n_before;
	int fd;

	fd = test_begin(&parent, &n_before);
	for (unsigned int kind = 0; kind < 2; kind++) {
		struct kernel_code *code = test_code(KERNEL_SOCKET, kind);

		test_is_late = true;
		assert_int_equal(test_load(fd, code, &fds), -ETIME);
		test_is_late = false;
		assert_int_equal(fds.program, -1);
		assert_int_equal(test_load(fd, code, &fds), 0);
		kernel_fds_close(&fds);
		kernel_code_free(code);
	}
	test_parent_end(&parent, fd);
	assert_int_equal(test_n_fds(), n_before);
}

/* Code that is not for an engine, or not ours: said so, and the engine lives on. */
static void test_bad_code(void **state)
{
	struct privileged_request request = { .op = PRIVILEGED_LOAD, .serial = 9 };
	struct kernel_code *code;
	struct test_parent parent;
	struct privileged_reply reply;
	struct kernel_fds fds = KERNEL_FDS_INIT;
	unsigned int n_before = test_n_fds();
	size_t n_bytes;
	int fd;

	if (!test_has_kernel())
		skip();
	fd = test_parent_start(&parent, false);
	code = test_code(KERNEL_SOCKET, 0);
	n_bytes = kernel_code_flatten(code, test_area, sizeof(test_area));
	kernel_code_free(code);
	/* garbage; one instruction other than ours; a byte less */
	for (unsigned int kind = 0; kind < 3; kind++) {
		request.n_bytes = (uint32_t)(kind == 2 ? n_bytes - 1 : n_bytes);
		if (kind == 0)
			memset(test_area, 0xff, 8);
		if (kind == 1) /* ends with exit */
			test_area[n_bytes - 8] = 0;
		assert_int_equal(send(fd, &request, sizeof(request), 0), sizeof(request));
		assert_int_equal(recv(fd, &reply, sizeof(reply), 0), sizeof(reply));
		assert_true(reply.code < 0 && reply.n_fds == 0 && reply.text[0]);
		assert_int_equal(reply.code, kind == 1 ? -EINVAL : -EBADMSG);
		assert_int_equal(reply.serial, 9);
		code = test_code(KERNEL_SOCKET, 0);
		(void)kernel_code_flatten(code, test_area, sizeof(test_area));
		kernel_code_free(code);
	}
	test_parent_end(&parent, fd);
	assert_int_equal(test_n_fds(), n_before);
	assert_int_equal(fds.program, -1);
}

/* Programs for interfaces are verified as anybody's, too, and let all packets pass. */
static void test_code_of_interfaces(void **state)
{
	static const enum kernel_hook hooks[] = { KERNEL_TC, KERNEL_XDP };
	struct test_parent parent;
	int fd;

	if (!test_has_kernel() || !test_can_load())
		skip();
	fd = test_parent_start(&parent, false);
	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++) {
		struct kernel_code *code = test_code(hooks[i], 0);
		struct kernel_fds fds = KERNEL_FDS_INIT;

		assert_int_equal(test_load(fd, code, &fds), 0);
		kernel_code_free(code);
		kernel_fds_close(&fds);
	}
	test_parent_end(&parent, fd);
}

/* A program that discards is loaded only where the configuration has packets end somewhere. */
static void test_code_that_discards(void **state)
{
	const struct kernel_options options = {
		.hook = KERNEL_XDP, .is_distrusted = true, .has_frags = true, .discards = true
	};
	struct config config = test_config(true);
	struct config_device device = config.devices[0];
	struct privileged_loads loads = { .n = 0 };
	int fds[PRIVILEGED_LOAD_FDS_MAX];
	struct error err = ERROR_INIT;
	struct kernel_code *code;
	unsigned int n_fds = 0, n_before = test_n_fds();
	size_t n_bytes;

	if (!test_has_kernel())
		skip();
	assert_int_equal(kernel_code_new(&code, &options, NULL, 0), 0);
	n_bytes = kernel_code_flatten(code, test_area, sizeof(test_area));
	kernel_code_free(code);
	assert_int_equal(
		privileged_load_foreign(&config, &loads, test_area, n_bytes, fds, &n_fds, &err),
		-EPERM);
	assert_non_null(strstr(err.text, "discard=yes"));
	assert_int_equal(loads.n, 0);
	if (!test_can_load())
		skip();
	device.dedicated = device.discard = true;
	config.devices = &device;
	config.n_devices = 1;
	err = ERROR_INIT;
	if (privileged_load_foreign(&config, &loads, test_area, n_bytes, fds, &n_fds, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(n_fds, PRIVILEGED_LOAD_FDS);
	test_close_all(fds);
	privileged_loads_clear(&loads);
	assert_int_equal(test_n_fds(), n_before);
	(void)state;
}

/* A root is put to interfaces that the configuration names, and XDP to those that it says so of. */
static void test_roots_are_for_devices(void **state)
{
	unsigned int n_before = test_n_fds();
	char others[KERNEL_TEXT_BYTES];
	struct kernel_root root = KERNEL_ROOT_INIT;
	struct test_parent parent;
	struct error err = ERROR_INIT;
	int fd;

	if (!test_has_kernel())
		skip();
	fd = test_parent_start(&parent, true);
	assert_true(privileged_attach(fd, "no-such0", KERNEL_WAY_TCX, &root, others, &err) < 0);
	assert_true(err.text[0]);
	err = ERROR_INIT;
	assert_true(privileged_attach(fd, "lo", KERNEL_WAY_XDP_GENERIC, &root, others, &err) < 0);
	assert_non_null(strstr(err.text, "dedicated=yes"));
	err = ERROR_INIT;
	assert_true(privileged_look(fd, "no-such0", 1, others, &err) < 0);
	assert_true(err.text[0]);
	memset(others, 'x', sizeof(others));
	assert_int_equal(privileged_look(fd, "lo", 1, others, &err), 0);
	assert_string_equal(others, ""); /* nobody is before a program that is not there */
	test_parent_end(&parent, fd);
	assert_int_equal(root.slots, -1);
	assert_int_equal(test_n_fds(), n_before);
}

/* Requests that no engine of ours makes: it is ended. */
static void test_bad_loads(void **state)
{
	for (unsigned int kind = 0; kind < 3; kind++) {
		struct privileged_request request = { .op = PRIVILEGED_LOAD, .n_bytes = 8 };
		struct test_parent parent;
		int fd = test_parent_start(&parent, false);

		if (kind == 0)
			request.n_bytes = sizeof(test_area) + 1;
		if (kind == 1)
			request.n_bytes = 0;
		if (kind == 2)
			request.name[255] = 1;
		assert_int_equal(send(fd, &request, sizeof(request), 0), sizeof(request));
		assert_int_equal(pthread_join(parent.thread, NULL), 0);
		assert_int_equal(parent.outcome, -EBADMSG);
		(void)close(parent.fd);
		(void)close(fd);
	}
}

/* A code that does not fit is not sent. */
static void test_large_code(void **state)
{
	struct kernel_fds fds = KERNEL_FDS_INIT;
	struct error err = ERROR_INIT;
	struct kernel_code *code;

	if (!test_has_kernel())
		skip();
	code = test_code(KERNEL_SOCKET, 0);
	assert_int_equal(privileged_load(-1, test_area, 100, code, &fds, &err), -EINVAL);
	assert_non_null(strstr(err.text, "more than 100 bytes"));
	kernel_code_free(code);
}

/* An engine that does not know the limit. */
static void test_too_many_instructions(void **state)
{
	static struct filter_program *filters[1500];
	static unsigned char bytes[4u << 20];
	const struct kernel_options options = { .hook = KERNEL_SOCKET };
	const struct config config = test_config(true);
	struct error err = ERROR_INIT;
	struct kernel_code *code;
	struct privileged_loads loads = { .n = 0 };
	int fds[PRIVILEGED_LOAD_FDS_MAX];
	unsigned int n_fds;
	size_t n_bytes;

	if (!test_has_kernel())
		skip();
	for (unsigned int i = 0; i < ARRAY_SIZE(filters); i++) {
		char text[32];

		(void)snprintf(text, sizeof(text), "host 10.1.%u.%u", i / 250, i % 250);
		assert_int_equal(filter_compile(&filters[i], text, 1, &err), 0);
	}
	assert_int_equal(
		kernel_code_new(&code, &options, (const struct filter_program *const *)filters,
			ARRAY_SIZE(filters)),
		0);
	assert_true(kernel_code_stats(code).n_insns > PRIVILEGED_LOAD_INSNS_MAX);
	n_bytes = kernel_code_flatten(code, bytes, sizeof(bytes));
	assert_true(n_bytes <= sizeof(bytes));
	assert_int_equal(
		privileged_load_foreign(&config, &loads, bytes, n_bytes, fds, &n_fds, &err),
		-EINVAL);
	assert_non_null(strstr(err.text, "more than 65536 instructions"));
	kernel_code_free(code);
	for (unsigned int i = 0; i < ARRAY_SIZE(filters); i++)
		filter_program_free(filters[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loads),
		cmocka_unit_test(test_numbers_of_samples),
		cmocka_unit_test(test_loads_are_limited),
		cmocka_unit_test(test_large_counters),
		cmocka_unit_test(test_many_loads),
		cmocka_unit_test(test_answers_not_taken),
		cmocka_unit_test(test_slow_code),
		cmocka_unit_test(test_bad_code),
		cmocka_unit_test(test_code_of_interfaces),
		cmocka_unit_test(test_code_that_discards),
		cmocka_unit_test(test_roots_are_for_devices),
		cmocka_unit_test(test_bad_loads),
		cmocka_unit_test(test_large_code),
		cmocka_unit_test(test_too_many_instructions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

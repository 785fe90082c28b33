/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets that end in the program that has counted them: by BPF_PROG_RUN what it says of them, and
 * that it never says so of a packet that it does not count; and in a network namespace of this
 * test's own, on a veth pair, what comes through, and which roots take such a program.
 */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "driver/test_veth.h"
#include "kernel_private.h"
#include "test_filters.h"
#include "test_run.h"

#define N_SENT 20u

static const char *const texts[] = { "", "udp", "tcp port 80", "ip[8] = 64" };
#define N_FILTERS ARRAY_SIZE(texts)

static struct test_filters filters;

/* UDP to port 53. */
static const uint8_t frame[100] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0, 0x45, 0, 0, 86, 0,
	0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 1, 0, 0, 4, 0, 0, 53, 0, 66 };

static int setup(void **state)
{
	(void)state;
	test_filters_init(&filters, texts, N_FILTERS);
	(void)test_veth_enter();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	test_filters_deinit(&filters);
	return 0;
}

/* @ret_chain: a descriptor of its further pages; NULL: not wanted */
static struct kernel_program *load(const struct kernel_options *options, int *ret_chain)
{
	struct kernel_program *program = NULL;
	struct error err = ERROR_INIT;
	struct kernel_code *code = test_filters_code(&filters, options);
	struct kernel_fds fds;

	assert_int_equal(kernel_code_discards(code), options->discards);
	if (kernel_code_load(code, &fds, &err) < 0)
		fail_msg("%s", err.text);
	if (ret_chain)
		*ret_chain = dup(fds.chain);
	assert_int_equal(kernel_program_new(&program, code, &fds, &err), 0);
	kernel_code_free(code);
	return program;
}

static const struct kernel_options discards = {
	.hook = KERNEL_XDP, .has_frags = true, .discards = true
};

static struct kernel_program *load_discarding(void)
{
	return load(&discards, NULL);
}

static struct kernel_program *load_passing(void)
{
	const struct kernel_options passes = { .hook = KERNEL_XDP };

	return load(&passes, NULL);
}

static uint64_t counted(const struct kernel_program *program)
{
	struct kernel_count counts[N_FILTERS];

	kernel_program_read(program, counts, N_FILTERS);
	assert_int_equal(counts[0].pkts, counts[1].pkts);
	assert_int_equal(counts[0].pkts, counts[3].pkts);
	assert_int_equal(counts[2].pkts, 0);
	return counts[0].pkts;
}

static void expect(const struct kernel_program *program, int verdict, uint64_t n_counted)
{
	const struct test_packet packet = { .data = frame, .n_bytes = sizeof(frame) };
	int says = -1;

	assert_int_equal(test_run(kernel_program_fd(program), KERNEL_XDP, &packet, &says), 0);
	assert_int_equal(says, verdict);
	assert_int_equal(counted(program), n_counted);
}

static void packets_end_once_they_are_counted(void **state)
{
	struct kernel_options options = discards;

	(void)state;
	test_veth_need();
	for (options.page_max = 0; options.page_max < 3; options.page_max++) {
		struct kernel_program *program = load(&options, NULL);

		expect(program, XDP_PASS, 1);
		kernel_program_discard(program, true);
		expect(program, XDP_DROP, 2);
		expect(program, XDP_DROP, 3);
		kernel_program_discard(program, false);
		expect(program, XDP_PASS, 4);
		kernel_program_free(program);
	}
}

/* For others, that is nothing that could be said. */
static void packets_of_other_programs_pass(void **state)
{
	struct kernel_program *program;

	(void)state;
	test_veth_need();
	program = load_passing();
	kernel_program_discard(program, true);
	expect(program, XDP_PASS, 1);
	kernel_program_free(program);
}

/* On a CPU without counters, and where the pages that count are not there any more. */
static void packets_that_are_not_counted_pass(void **state)
{
	struct kernel_options options = discards;
	const uint32_t second = 1;
	struct kernel_program *program;
	cpu_set_t before, last;
	int chain, cpu;

	(void)state;
	test_veth_need();
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	for (cpu = CPU_SETSIZE - 1; !CPU_ISSET(cpu, &before);)
		cpu--;
	options.n_cpus = (unsigned int)cpu;
	if (options.n_cpus > 0) {
		CPU_ZERO(&last);
		CPU_SET(cpu, &last);
		program = load(&options, NULL);
		kernel_program_discard(program, true);
		assert_int_equal(sched_setaffinity(0, sizeof(last), &last), 0);
		expect(program, XDP_PASS, 0);
		assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
		kernel_program_free(program);
	}
	options.n_cpus = 0;
	options.page_max = 2;
	program = load(&options, &chain);
	kernel_program_discard(program, true);
	expect(program, XDP_DROP, 1);
	assert_int_equal(bpf_map_delete_elem(chain, &second), 0);
	{
		const struct test_packet packet = { .data = frame, .n_bytes = sizeof(frame) };
		int says = -1;

		assert_int_equal(
			test_run(kernel_program_fd(program), KERNEL_XDP, &packet, &says), 0);
		assert_int_equal(says, XDP_PASS);
	}
	(void)close(chain);
	kernel_program_free(program);
}

/* What the kernel says of a program in a root. */
static int put(bool root_discards, const struct kernel_program *program)
{
	struct kernel_root root;
	char others[KERNEL_TEXT_BYTES];
	struct error err = ERROR_INIT;
	int r;

	if (kernel_root_attach(&root, if_nametoindex("b"), KERNEL_WAY_XDP_NATIVE, root_discards, -1,
		    others, &err) < 0)
		fail_msg("%s", err.text);
	r = kernel_root_put(&root, program, &err);
	kernel_root_close(&root);
	return r;
}

static void roots_keep_to_their_kind(void **state)
{
	struct kernel_program *discarding, *passing;

	(void)state;
	test_veth_need();
	discarding = load_discarding();
	passing = load_passing();
	assert_int_equal(put(true, discarding), 0);
	assert_int_equal(put(false, passing), 0);
	assert_true(put(false, discarding) < 0);
	assert_true(put(true, passing) < 0);
	kernel_program_free(discarding);
	kernel_program_free(passing);
}

static unsigned int received(int fd)
{
	uint8_t bytes[sizeof(frame)];
	unsigned int n = 0;

	while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) == sizeof(frame))
		n += memcmp(bytes, frame, sizeof(frame)) == 0;
	return n;
}

/* Each packet is counted, and either ends or comes to who listens. */
static void packets_end_or_come(void **state)
{
	struct kernel_program *program;
	struct kernel_root root;
	char others[KERNEL_TEXT_BYTES];
	struct error err = ERROR_INIT;
	int from, to;

	(void)state;
	test_veth_need();
	program = load_discarding();
	if (kernel_root_attach(&root, if_nametoindex("b"), KERNEL_WAY_XDP_NATIVE, true, -1, others,
		    &err) < 0 ||
		kernel_root_put(&root, program, &err) < 0)
		fail_msg("%s", err.text);
	from = test_veth_socket("a", 0);
	to = test_veth_socket("b", ETH_P_IP);
	for (unsigned int round = 0; round < 4; round++) {
		uint64_t end_ns = clock_monotonic_ns() + 5000000000u;
		unsigned int n_come = 0, n_wanted = round % 2 ? 0 : N_SENT;

		kernel_program_discard(program, round % 2);
		for (unsigned int i = 0; i < N_SENT; i++)
			assert_int_equal(send(from, frame, sizeof(frame), 0), sizeof(frame));
		while ((counted(program) < N_SENT * (round + 1) || n_come < n_wanted) &&
			clock_monotonic_ns() < end_ns) {
			(void)poll(NULL, 0, 1);
			n_come += received(to);
		}
		n_come += received(to);
		assert_int_equal(counted(program), N_SENT * (round + 1));
		assert_int_equal(n_come, n_wanted);
	}
	(void)close(from);
	(void)close(to);
	kernel_root_close(&root);
	kernel_program_free(program);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_end_once_they_are_counted),
		cmocka_unit_test(packets_of_other_programs_pass),
		cmocka_unit_test(packets_that_are_not_counted_pass),
		cmocka_unit_test(roots_keep_to_their_kind),
		cmocka_unit_test(packets_end_or_come),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

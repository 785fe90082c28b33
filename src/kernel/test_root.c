/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Roots at an interface, in a network namespace of this test's own, on a veth pair: what stands in
 * their slots is replaced under traffic, and each packet is counted once; there is room for
 * programs of other kinds, before what counts and instead of it.
 */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "driver/test_veth.h"
#include "kernel_private.h"
#include "mapi/errors.h"
#include "test_run.h"

#define N_PROGRAMS 16u
#define N_REPLACEMENTS 1000u
#define N_ON_THEIR_WAY 64u /* a veth has room for 256 */

static bool is_here;

/* UDP to port 53. */
static const uint8_t frame[100] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0, 0x45, 0, 0, 86, 0,
	0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 1, 0, 0, 4, 0, 0, 53, 0, 66 };
static const struct test_packet packet = { .data = frame, .n_bytes = sizeof(frame) };

static int setup(void **state)
{
	(void)state;
	is_here = test_veth_enter();
	return 0;
}

static void need_namespace(void)
{
	if (is_here)
		return;
	print_message("skip: needs root for a network namespace of its own\n");
	skip();
}

/* It counts all packets. */
static struct kernel_program *load(enum kernel_hook hook, struct kernel_turns *turns)
{
	const struct kernel_options options = { .hook = hook, .has_root = hook == KERNEL_TC };
	struct kernel_program *program = NULL;
	struct filter_program *filter;
	struct error err = ERROR_INIT;

	assert_int_equal(filter_compile(&filter, "", 1, &err), 0);
	if (kernel_program_make(&program, NULL, &options,
		    (const struct filter_program *const *)&filter, 1, kernel_turns_load, turns,
		    &err) < 0)
		fail_msg("%s", err.text);
	filter_program_free(filter);
	return program;
}

static uint64_t counted(const struct kernel_program *program)
{
	struct kernel_count count;

	kernel_program_read(program, &count, 1);
	return count.pkts;
}

/* Return: false if this kernel has no such place. */
static bool attach(struct kernel_root *ret, enum kernel_way way, struct kernel_turns *turns)
{
	char others[KERNEL_TEXT_BYTES];
	struct error err = ERROR_INIT;
	int super_fd = -1, r = 0;

	if (kernel_way_hook(way) == KERNEL_TC)
		r = super_fd = kernel_turns_super(turns, &err);
	if (r >= 0)
		r = kernel_root_attach(
			ret, if_nametoindex("b"), way, false, super_fd, others, &err);
	if (r >= 0)
		return true;
	print_message("not here: %s: %s\n", kernel_way_name(way), err.text);
	assert_true(kernel_way_hook(way) == KERNEL_TC);
	return false;
}

/* ---- replacing ---- */

struct sender {
	_Atomic bool must_end;
	_Atomic uint64_t n_counted;
	uint64_t n_sent;
};

/* No more at a time than an interface has room for. */
static void *sender_run(void *argument)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
		.sll_ifindex = (int)if_nametoindex("a") };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	struct sender *s = argument;

	assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	while (!atomic_load(&s->must_end)) {
		if (s->n_sent < atomic_load(&s->n_counted) + N_ON_THEIR_WAY)
			s->n_sent += send(fd, frame, sizeof(frame), 0) == sizeof(frame);
		else
			(void)sched_yield();
	}
	(void)close(fd);
	return NULL;
}

static uint64_t count_all(struct kernel_program *const programs[N_PROGRAMS])
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < N_PROGRAMS; i++)
		sum += counted(programs[i]);
	return sum;
}

/* Each packet is counted by the program before or by the one after, however often they change. */
static void replacing_loses_and_repeats_nothing(void **state)
{
	struct kernel_turns *turns;

	(void)state;
	need_namespace();
	assert_int_equal(kernel_turns_new(&turns), 0);
	for (enum kernel_way way = 0; way < _KERNEL_WAY_N; way++) {
		struct kernel_program *programs[N_PROGRAMS];
		struct sender sender = { .n_sent = 0 };
		struct error err = ERROR_INIT;
		struct kernel_root root;
		pthread_t thread;
		uint64_t end_ns;

		if (!attach(&root, way, turns))
			continue;
		for (unsigned int i = 0; i < N_PROGRAMS; i++)
			programs[i] = load(kernel_way_hook(way), turns);
		assert_int_equal(kernel_root_put(&root, programs[0], &err), 0);
		assert_int_equal(pthread_create(&thread, NULL, sender_run, &sender), 0);
		end_ns = clock_monotonic_ns() + 60000000000u;
		for (unsigned int i = 1; i <= N_REPLACEMENTS; i++) {
			uint64_t before = count_all(programs);

			assert_int_equal(kernel_root_put(&root, programs[i % N_PROGRAMS], &err), 0);
			atomic_store(&sender.n_counted, before);
			while (count_all(programs) == before && clock_monotonic_ns() < end_ns)
				(void)sched_yield();
		}
		atomic_store(&sender.must_end, true);
		assert_int_equal(pthread_join(thread, NULL), 0);
		while (count_all(programs) < sender.n_sent && clock_monotonic_ns() < end_ns)
			(void)poll(NULL, 0, 1);
		print_message("%s: %u replacements, %lu packets sent\n", kernel_way_name(way),
			N_REPLACEMENTS, (unsigned long)sender.n_sent);
		assert_int_equal(count_all(programs), sender.n_sent);
		assert_true(sender.n_sent >= N_REPLACEMENTS);
		kernel_root_close(&root);
		for (unsigned int i = 0; i < N_PROGRAMS; i++)
			kernel_program_free(programs[i]);
	}
	kernel_turns_free(turns);
}

/* ---- room ---- */

/* A program as somebody else may have it: it calls what stands in slot @next, or else says
 * @verdict. Return: its descriptor. */
static int stranger(const struct kernel_root *root, enum kernel_hook hook, int next, int verdict)
{
	const struct bpf_insn insns[] = {
		INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_2, BPF_PSEUDO_MAP_FD, 0, root->slots),
		INSN(0, 0, 0, 0, 0),
		MOV_IMM(BPF_REG_3, next),
		CALL(BPF_FUNC_tail_call),
		MOV_IMM(BPF_REG_0, verdict),
		EXIT(),
	};
	int fd = bpf_prog_load(
		kernel_load_type(hook), "stranger", "Dual BSD/GPL", insns, ARRAY_SIZE(insns), NULL);

	assert_true(fd >= 0);
	return fd;
}

static void slot_put(const struct kernel_root *root, uint32_t slot, int fd)
{
	if (fd < 0)
		assert_int_equal(bpf_map_delete_elem(root->slots, &slot), 0);
	else
		assert_int_equal(bpf_map_update_elem(root->slots, &slot, &fd, BPF_ANY), 0);
}

/* What the root says of a packet. */
static int verdict_of(const struct kernel_root *root, enum kernel_hook hook)
{
	int fd = bpf_prog_get_fd_by_id(kernel_root_id(root)), verdict = -1;

	assert_true(fd >= 0);
	assert_int_equal(test_run(fd, hook, &packet, &verdict), 0);
	(void)close(fd);
	return verdict;
}

static void rooms(const struct kernel_root *root, enum kernel_hook hook, struct kernel_turns *turns)
{
	enum { DROP = 2, DROP_XDP = 1 };
	struct kernel_program *counts = load(hook, turns);
	int passes = kernel_frame_verdict(hook), drops = hook == KERNEL_XDP ? DROP_XDP : DROP;
	int blocks = stranger(root, hook, KERNEL_ROOT_SLOTS, drops);
	int injected = stranger(root, hook, KERNEL_ROOT_SLOTS - 2, drops);
	struct error err = ERROR_INIT;

	/* Nobody; one that counts, in any slot. */
	assert_int_equal(verdict_of(root, hook), passes);
	for (uint32_t slot = 0; slot < KERNEL_ROOT_SLOTS; slot++) {
		slot_put(root, slot, kernel_program_fd(counts));
		assert_int_equal(verdict_of(root, hook), passes);
		assert_int_equal(counted(counts), slot + 1);
		slot_put(root, slot, -1);
	}
	/* One that comes before, and has the other count; without it, that is the end. */
	slot_put(root, KERNEL_ROOT_SLOTS - 2, kernel_program_fd(counts));
	slot_put(root, 0, injected);
	assert_int_equal(verdict_of(root, hook), passes);
	assert_int_equal(counted(counts), KERNEL_ROOT_SLOTS + 1);
	slot_put(root, KERNEL_ROOT_SLOTS - 2, -1);
	assert_int_equal(verdict_of(root, hook), drops);
	/* A firewall, alone, until what counts takes its slot. */
	slot_put(root, KERNEL_ROOT_COUNTS, blocks);
	assert_int_equal(verdict_of(root, hook), drops);
	assert_int_equal(kernel_root_put(root, counts, &err), 0);
	assert_int_equal(verdict_of(root, hook), passes);
	assert_int_equal(counted(counts), KERNEL_ROOT_SLOTS + 2);
	(void)close(blocks);
	(void)close(injected);
	kernel_program_free(counts);
}

static void roots_leave_room(void **state)
{
	struct kernel_turns *turns;

	(void)state;
	need_namespace();
	assert_int_equal(kernel_turns_new(&turns), 0);
	for (enum kernel_way way = 0; way < _KERNEL_WAY_N; way++) {
		struct kernel_root root;

		if (!attach(&root, way, turns))
			continue;
		rooms(&root, kernel_way_hook(way), turns);
		kernel_root_close(&root);
	}
	kernel_turns_free(turns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replacing_loses_and_repeats_nothing),
		cmocka_unit_test(roots_leave_room),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The interpreter: it ends, and knows what it does not know. test_oracle.c compares it at large. */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "filter_private.h"
#include "test_reference.h"

#define S(code, k) BPF_STMT(code, k)
#define J(code, k, jt, jf) BPF_JUMP(code, k, jt, jf)

static const uint8_t bytes_64[64] = { 0x45, 1, 2, 3 };

/* As one of a set; the interpreter and, where it ends, libpcap's must agree. */
static bool decide(const struct filter_program *program, const uint8_t *data, uint32_t cap_bytes,
	uint32_t wire_bytes)
{
	static struct packet_batch batch;
	struct reference reference = reference_of(program);
	bool right = reference_decide(&reference, data, wire_bytes, cap_bytes) ==
		FILTER_INTERPRET_ACCEPT;
	struct packet_mask mask;
	struct filter_set *set;
	void *scratch;

	batch.n = 1;
	batch.data[0] = data;
	batch.cap_bytes[0] = cap_bytes;
	batch.wire_bytes[0] = wire_bytes;
	assert_int_equal(filter_set_new(&set, &program, 1), 0);
	scratch = aligned_alloc(64, (filter_set_scratch_bytes(set) + 63) & ~(size_t)63);
	assert_non_null(scratch);
	filter_set_run(set, scratch, &batch, &mask);
	assert_int_equal(packet_mask_test(&mask, 0), right);
	free(scratch);
	filter_set_free(set);
	return right;
}

static struct filter_program *compile(const char *text)
{
	struct error err = ERROR_INIT;
	struct filter_program *program = NULL;

	assert_int_equal(filter_compile(&program, text, 1, &err), 0);
	return program;
}

/*
 * An authentication header 40 bytes behind the start of the IPv6 header, 4 * (8 + 2) bytes long:
 * libpcap's loop goes on at 40, not at 40 + 40.
 */
static const uint8_t endless_packet[14 + 40 + 40] = {
	[12] = 0x86, 0xdd, 0x60, [14 + 6] = 51, [14 + 40] = 51, 8
};

/* This is why there is an interpreter: if libpcap's ends one day, ours may go. */
static void libpcap_does_not_end(void **state)
{
	struct filter_program *program = compile("ip6 protochain 6");
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		const struct itimerval soon = { .it_value = { .tv_usec = 200000 } };

		/* of processor time: the machine may be busy */
		(void)signal(SIGVTALRM, SIG_DFL);
		(void)setitimer(ITIMER_VIRTUAL, &soon, NULL);
		(void)bpf_filter(program->insns, endless_packet, sizeof(endless_packet),
			sizeof(endless_packet));
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGVTALRM);
	filter_program_free(program);
}

static void endless_loops_are_cut(void **state)
{
	const struct bpf_insn itself[] = { S(BPF_JMP | BPF_JA, 0xffffffff), S(BPF_RET | BPF_K, 1) };
	uint8_t ending[sizeof(endless_packet)];
	struct filter_program *program = compile("ip6 protochain 6");

	(void)alarm(60); /* instead of a test that hangs */
	assert_int_equal(filter_interpret(program, endless_packet, 94, 94, FILTER_DIRECTION_IN),
		FILTER_INTERPRET_ENDLESS);
	assert_false(decide(program, endless_packet, 94, 94));
	/* another protocol follows; another length leads out of the packet */
	memcpy(ending, endless_packet, sizeof(ending));
	ending[14 + 40] = 6;
	assert_true(decide(program, ending, 94, 94));
	ending[14 + 40] = 51;
	ending[14 + 41] = 18;
	assert_false(decide(program, ending, 94, 94));
	filter_program_free(program);

	assert_int_equal(filter_program_new(&program, itself, ARRAY_SIZE(itself)), 0);
	assert_int_equal(filter_interpret(program, bytes_64, 64, 64, FILTER_DIRECTION_IN),
		FILTER_INTERPRET_ENDLESS);
	assert_false(decide(program, bytes_64, 64, 64));
	filter_program_free(program);
	(void)alarm(0);
}

/* A loop that ends: it counts from the packet's first bytes down to 0. */
static void loops_end_within_their_bound(void **state)
{
	const struct bpf_insn insns[] = { S(BPF_LD | BPF_H | BPF_ABS, 0),
		J(BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 0), S(BPF_ALU | BPF_SUB | BPF_K, 1),
		S(BPF_ALU | BPF_ADD | BPF_K, 0), S(BPF_JMP | BPF_JA, 0xfffffffc),
		S(BPF_RET | BPF_K, 1) };
	const uint16_t n_turns = FILTER_INTERPRET_REPEATED_MAX / 4;
	const uint8_t last[] = { n_turns >> 8, n_turns & 0xff };
	const uint8_t beyond[] = { n_turns >> 8, (n_turns & 0xff) + 1 };
	struct filter_program *program;

	assert_int_equal(filter_program_new(&program, insns, ARRAY_SIZE(insns)), 0);
	assert_true(decide(program, (const uint8_t[2]){ 0, 9 }, 2, 2));
	assert_true(decide(program, last, 2, 2));
	assert_false(decide(program, beyond, 2, 2));
	assert_int_equal(filter_interpret(program, beyond, 2, 2, FILTER_DIRECTION_IN),
		FILTER_INTERPRET_ENDLESS);
	filter_program_free(program);
}

/* libpcap's interpreter aborts on them, or divides by zero. filter_program_new() takes none. */
static void unknown_instructions_reject(void **state)
{
	unsigned int n_known = 0;

	for (uint32_t code = 0; code <= UINT16_MAX; code++) {
		const struct bpf_insn insns[] = { { .code = (uint16_t)code, .k = 0 },
			S(BPF_RET | BPF_K, 1), S(BPF_RET | BPF_K, 1) };
		struct filter_program *unchecked, *checked = NULL;
		bool is_known = filter_program_new(&checked, insns, ARRAY_SIZE(insns)) == 0;

		assert_int_equal(filter_program_copy(&unchecked, insns, ARRAY_SIZE(insns)), 0);
		if (is_known)
			(void)decide(checked, bytes_64, 64, 64);
		else if (code != FILTER_INSN_PART) /* ours alone */
			assert_int_equal(
				filter_interpret(unchecked, bytes_64, 64, 64, FILTER_DIRECTION_IN),
				FILTER_INTERPRET_REJECT);
		n_known += is_known;
		filter_program_free(unchecked);
		filter_program_free(checked);
	}
	assert_int_equal(n_known, 47); /* without the divisions by the constant 0 */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(libpcap_does_not_end),
		cmocka_unit_test(endless_loops_are_cut),
		cmocka_unit_test(loops_end_within_their_bound),
		cmocka_unit_test(unknown_instructions_reject),
	};

	return cmocka_run_group_tests_name("filter interpret", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The emitter of the kernel tier: the input makes some filters and options; whatever comes out must
 * pass the structural check, within the time and memory that a user may cost. Loading is left to
 * the tests: a fuzzer needs no rights.
 *
 * A filter is a program of instructions, six bytes each; an expression, one word per byte; one of a
 * few patterns with numbers, of which many make a set whose values are searched; or a part of all
 * flows, joined to another filter. Then with allocations that fail; and as bytes for another
 * process, some of which the input changes.
 */
#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codes.h"
#include "fault.h"
#include "input.h"
#include "kernel/kernel.h"
#include "packet/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

#define FUZZ_FILTERS_MAX 40u
#define FUZZ_INSNS_MAX 48u
#define FUZZ_CPUS 4 /* that this machine may have */
#define FUZZ_FAULTS 4u
#define FUZZ_CHANGES 16u
#define FUZZ_PATTERN_FLOW 0xf0 /* and above */

static const char *const fuzz_words[] = { "and", "or", "not", "(", ")", "ip", "ip6", "tcp", "udp",
	"icmp", "arp", "vlan", "mpls", "src", "dst", "host 10.0.0.1", "net 10.0.0.0/8", "port 80",
	"port 443", "port 53", "portrange 1-99", "portrange 50-1000", "host ::1", "proto 6",
	"ether[0]", "ip[2:2]", "tcp[13]", "udp[4:2]", "ip[ip[0]:4]", "len", "0", "1", "40", "255",
	"0x8100", "65535", "&", "|", "^", "+", "-", "*", "/", "%", "<<", ">>", "=", "!=", "<", ">",
	"inbound", "outbound", "multicast", "broadcast", "tcp port 80", "tcp port 22" };

/* Small numbers, and those close to what instructions can hold, decide most. */
static uint32_t input_constant(struct input *in)
{
	uint32_t how = input_byte(in), k = input_byte(in);

	switch (how % 6) {
	case 0:
		return 1u << (k % 32);
	case 1:
		return -k;
	case 2:
		return k << (how / 8);
	case 3:
		return 0x7000 - 4 + k % 8;
	default:
		return k % 64;
	}
}

static int input_program(struct input *in, struct filter_program **ret)
{
	struct bpf_insn insns[FUZZ_INSNS_MAX + 1];
	unsigned int n_wanted = input_byte(in) % FUZZ_INSNS_MAX, n = 0;

	while (n < n_wanted && in->left) {
		struct bpf_insn *insn = &insns[n++];

		*insn = (struct bpf_insn){ .code = fuzz_codes[input_byte(in) %
						   (sizeof(fuzz_codes) / sizeof(*fuzz_codes))] };
		insn->jt = input_byte(in) % 8;
		insn->jf = input_byte(in) % 8;
		insn->k = input_constant(in);
		if (insn->code == BPF_ST || insn->code == BPF_STX ||
			BPF_MODE(insn->code) == BPF_MEM)
			insn->k %= 4;
	}
	insns[n++] = (struct bpf_insn)BPF_STMT(BPF_RET | BPF_A, 0);
	return filter_program_new(ret, insns, n);
}

static int input_expression(struct input *in, struct filter_program **ret)
{
	char text[32 * 24] = "";
	struct error err = ERROR_INIT;

	for (unsigned int n = input_byte(in) % 32; n > 0 && in->left; n--) {
		strcat(text,
			fuzz_words[input_byte(in) % (sizeof(fuzz_words) / sizeof(*fuzz_words))]);
		strcat(text, " ");
	}
	return filter_compile(ret, text, 1, &err);
}

/* Packets of the part @a of all flows that another filter accepts, which comes first where @b is
 * even. */
static int pattern_flow(uint8_t which, uint8_t a, uint8_t b, struct filter_program **ret)
{
	static const char *const texts[] = { "", "tcp port 80", "inbound", "outbound and ip6",
		"not inbound", "vlan and udp", "host 10.0.0.1", "len > 100" };
	_cleanup_(filter_program_freep) struct filter_program *flow = NULL, *other = NULL;

	if (filter_program_flow(&flow, a * DECODE_FLOW_PARTS / UINT8_MAX) < 0 ||
		filter_compile(&other, texts[which % ARRAY_SIZE(texts)], 1, NULL) < 0)
		abort();
	return filter_program_join(ret,
		(const struct filter_program *[]){ b & 1 ? flow : other, b & 1 ? other : flow }, 2);
}

static int input_pattern(struct input *in, struct filter_program **ret)
{
	uint8_t which = input_byte(in), a = input_byte(in), b = input_byte(in);
	struct error err = ERROR_INIT;
	char text[128];

	if (which >= FUZZ_PATTERN_FLOW)
		return pattern_flow(which, a, b, ret);
	switch (which % 8) {
	case 0:
	case 1:
		(void)snprintf(text, sizeof(text), "tcp port %u", a);
		break;
	case 2:
		(void)snprintf(text, sizeof(text), "src host 10.0.0.%u", a);
		break;
	case 3:
		(void)snprintf(text, sizeof(text), "host 10.0.%u.%u and not port %u", a, b, a);
		break;
	case 4:
		(void)snprintf(text, sizeof(text), "tcp dst portrange %u-%u", a, a + b);
		break;
	case 5:
		(void)snprintf(text, sizeof(text), "udp port %u and port %u", a, b);
		break;
	case 6:
		(void)snprintf(text, sizeof(text), "not tcp src port %u and ip[8] != %u", a, b);
		break;
	default:
		(void)snprintf(text, sizeof(text), "ip6 and port %u and not host fe80::%x", a, b);
		break;
	}
	return filter_compile(ret, text, 1, &err);
}

int __wrap_libbpf_num_possible_cpus(void);

/* On any machine. */
int __wrap_libbpf_num_possible_cpus(void)
{
	return FUZZ_CPUS;
}

/* Without memory at some moment: nothing is left, and nothing half done is called a success. */
static void fuzz_without_memory(const struct kernel_options *options,
	const struct filter_program *const programs[], unsigned int n, unsigned int n_allocations,
	unsigned int first)
{
	struct error err = ERROR_INIT;
	struct kernel_code *code;

	for (unsigned int i = 0; i < FUZZ_FAULTS && n_allocations > 0; i++) {
		bool failed;
		int r;

		fault_arm(1 + (first + i * n_allocations / FUZZ_FAULTS) % n_allocations);
		r = kernel_code_new(&code, options, programs, n);
		failed = fault_disarm(NULL);
		if (r == 0 && kernel_code_check(code, &err) < 0)
			abort();
		if (r == 0)
			kernel_code_free(code);
		else if (r != -ENOMEM || !failed)
			abort();
	}
}

/* What a process without rights has written; memory may run out at the allocation of that number.
 */
static void fuzz_foreign(const uint8_t *bytes, size_t n_bytes, unsigned int fault)
{
	struct error err = ERROR_INIT;
	struct kernel_code *code;
	int r;

	fault_arm(fault);
	r = kernel_code_unflatten(&code, bytes, n_bytes);
	if (r == 0) {
		(void)kernel_code_check(code, &err);
		kernel_code_free(code);
	}
	if (fault_disarm(NULL) ? r == -EBADMSG : r == -ENOMEM)
		abort();
}

/* Changes are of single bytes: of the head, or of an instruction in front or behind. */
static void fuzz_flat(struct input *in, const struct kernel_code *code)
{
	size_t n_bytes = kernel_code_flatten(code, NULL, 0);
	uint8_t *bytes = malloc(n_bytes), *again = malloc(n_bytes);
	struct error err = ERROR_INIT;
	struct kernel_code *same;

	if (!bytes || !again || kernel_code_flatten(code, bytes, n_bytes) != n_bytes ||
		kernel_code_unflatten(&same, bytes, n_bytes) < 0)
		abort();
	if (kernel_code_check(same, &err) < 0 || kernel_code_hook(same) != kernel_code_hook(code) ||
		kernel_code_flatten(same, again, n_bytes) != n_bytes ||
		memcmp(bytes, again, n_bytes) != 0)
		abort();
	kernel_code_free(same);
	free(again);
	for (unsigned int n = 0; n < FUZZ_CHANGES && in->left; n++) {
		size_t at = input_byte(in) | (size_t)input_byte(in) << 8;

		bytes[at & 1 ? n_bytes - 1 - at % n_bytes : at / 2 % n_bytes] ^= input_byte(in);
		fuzz_foreign(bytes, n_bytes, input_byte(in) % 8);
	}
	fuzz_foreign(bytes, n_bytes - 1, 0);
	free(bytes);
}

static void fuzz_emit(
	struct input *in, const struct filter_program *const programs[], unsigned int n)
{
	struct kernel_sampling samplings[FUZZ_FILTERS_MAX];
	bool deliver[FUZZ_FILTERS_MAX];
	uint8_t chosen = input_byte(in), more = input_byte(in);
	struct kernel_options options = { .hook = chosen % _KERNEL_HOOK_N,
		.n_cpus = 1 + (chosen >> 6) % FUZZ_CPUS,
		.snaplen_bytes = 100,
		.is_separate = more & 4,
		.no_long_jumps = more & 8,
		.page_max = more >> 4 };
	struct error err = ERROR_INIT;
	struct kernel_code *code;
	struct kernel_stats stats;
	unsigned int n_allocations;

	for (unsigned int i = 0; i < n; i++) {
		uint8_t flags = input_byte(in);

		deliver[i] = flags & 1;
		samplings[i] = (struct kernel_sampling){ .cell = flags };
		if (flags & 2)
			samplings[i].rule =
				(struct sampling){ .mode = flags & 4 ? SAMPLING_PERIODIC
								     : SAMPLING_BY_CHANCE,
					.value = 1 + input_byte(in) % 100,
					.seed = UINT64_C(0x8000000080000000) * flags };
	}
	if (options.hook == KERNEL_SOCKET) {
		options.deliver = more & 1 ? deliver : NULL;
		options.undelivered = more & 2;
		options.skip_outgoing = chosen & 32;
		options.is_raw = chosen & 16;
	}
	if (!options.deliver || options.undelivered)
		options.samplings = samplings;
	options.has_frags = options.hook == KERNEL_XDP && more & 2;
	options.discards = options.has_frags && chosen & 32;
	fault_arm(0);
	if (kernel_code_new(&code, &options, programs, n) < 0)
		abort();
	(void)fault_disarm(&n_allocations);
	if (kernel_code_check(code, &err) < 0)
		abort();
	stats = kernel_code_stats(code);
	for (unsigned int i = 0; i < n; i++)
		stats.n_lowered -= kernel_code_reason(code, i) == KERNEL_LOWERED;
	if (stats.n_lowered != 0 || stats.n_slots > 2 * n)
		abort();
	fuzz_without_memory(&options, programs, n, n_allocations, input_byte(in));
	fuzz_flat(in, code);
	kernel_code_free(code);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
	struct input in = { .at = data, .left = n_bytes };
	struct filter_program *programs[FUZZ_FILTERS_MAX];
	unsigned int n = 0;

	fuzz_foreign(data, n_bytes, 0);
	for (unsigned int left = input_byte(&in) % (FUZZ_FILTERS_MAX + 1); left > 0; left--) {
		unsigned int kind = input_byte(&in) % 8;
		int r = kind == 0   ? input_program(&in, &programs[n])
			: kind == 1 ? input_expression(&in, &programs[n])
				    : input_pattern(&in, &programs[n]);

		n += r == 0;
	}
	fuzz_emit(&in, (const struct filter_program *const *)programs, n);
	while (n > 0)
		filter_program_free(programs[--n]);
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The filter engine against the interpreter, and that against libpcap's: the input makes up to four
 * programs and some packets; whatever program is accepted must decide each packet alike, and end.
 *
 * A program is one of: instructions, six bytes each; one of a few compiled expressions with some
 * fields changed; an expression, one word per byte (words, not characters: no look-up of random
 * host names); an expression joined to a part of all flows. Packets may have a direction, which
 * libpcap's interpreter is not told: programs that ask for it are left to ours.
 */
#include <stdlib.h>
#include <string.h>

#include "codes.h"
#include "filter/filter_private.h"
#include "filter/test_reference.h"
#include "input.h"
#include "packet/decode.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

#define FUZZ_PROGRAMS_MAX 4
#define FUZZ_INSNS_MAX 64
#define FUZZ_KIND_FLOW 0xf0 /* and above */

static const char *const fuzz_texts[] = { "tcp port 80", "ip6 protochain 6",
	"vlan and udp portrange 1-99", "not host 10.0.0.1 and ip[2:2] - ((ip[0] & 0xf) << 2) > 40",
	"tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420", "ip[ip[9]:2] / ip[8] % 7 = len",
	"mpls and (ip or ip6) and not icmp6", "pppoes and ip6 and src port 53" };

static const char *const fuzz_words[] = { "and", "or", "not", "(", ")", "ip", "ip6", "tcp", "udp",
	"icmp", "icmp6", "arp", "ether", "vlan", "mpls", "pppoes", "src", "dst", "host", "net",
	"port", "portrange", "proto", "protochain", "1.2.3.4", "10.0.0.0/8", "::1", "fe80::/10",
	"80", "1-99", "0", "1", "2", "4", "6", "255", "0x800", "0xffffffff", "[", "]", ":", "&",
	"|", "^", "+", "-", "*", "/", "%", "<<", ">>", "=", "!=", "<", ">", "<=", ">=", "len",
	"less", "greater", "multicast", "broadcast", "\\tcp", "\\icmp", "tcp-syn", "tcpflags",
	"icmptype", "sctp", "igmp", "link", "12", "inbound", "outbound", "0xfffff004",
	"ff:ff:ff:ff:ff:ff" };

static struct filter_program *fuzz_bases[ARRAY_SIZE(fuzz_texts)];
static struct packet_batch fuzz_batch;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	for (size_t i = 0; i < ARRAY_SIZE(fuzz_texts); i++) {
		if (filter_compile(&fuzz_bases[i], fuzz_texts[i], 1, NULL) < 0)
			abort();
	}
	return 0;
}

/* Small numbers, numbers of one bit, and those close below 2^32 decide most. */
static uint32_t input_constant(struct input *in)
{
	uint32_t how = input_byte(in), k = input_byte(in);

	switch (how % 8) {
	case 0:
		return 1u << (k % 32);
	case 1:
		return -k;
	case 2:
		return k << (how / 8);
	case 3:
		return k * 0x01010101u;
	case 4:
		return k << 8 | how;
	default:
		return k % 64;
	}
}

static struct bpf_insn input_insn(struct input *in)
{
	uint8_t code = input_byte(in);
	struct bpf_insn insn = { .code = code };

	if (code < 4 * ARRAY_SIZE(fuzz_codes))
		insn.code = fuzz_codes[code % ARRAY_SIZE(fuzz_codes)];
	insn.jt = input_byte(in) % 8;
	insn.jf = input_byte(in) % 8;
	insn.k = input_constant(in);
	if (BPF_OP(insn.code) == BPF_LSH || BPF_OP(insn.code) == BPF_RSH)
		insn.k %= 33;
	if (insn.code == BPF_ST || insn.code == BPF_STX || BPF_MODE(insn.code) == BPF_MEM)
		insn.k %= 3;
	if (insn.code == (BPF_JMP | BPF_JA))
		insn.k = insn.k % 16 < 13 ? insn.k % 5 : -(insn.k % 16);
	return insn;
}

static int input_insns(struct input *in, struct filter_program **ret)
{
	struct bpf_insn insns[FUZZ_INSNS_MAX + 4];
	const struct bpf_insn *taken;
	uint8_t first = input_byte(in);
	unsigned int n = 0, n_insns = first % FUZZ_INSNS_MAX;
	int r;

	for (unsigned int slot = 0; slot < 3; slot++)
		insns[n++] = (struct bpf_insn)BPF_STMT(BPF_ST, slot);
	while (n < n_insns + 3 && in->left)
		insns[n++] = input_insn(in);
	insns[n++] = (struct bpf_insn)BPF_STMT(BPF_RET | BPF_A, 0);
	/* Some read what they have not written. */
	r = first & FUZZ_INSNS_MAX ? filter_program_new(ret, insns, n)
				   : filter_program_new(ret, insns + 3, n -= 3);
	if (r == 0 &&
		(filter_program_insns(*ret, &taken) != n ||
			memcmp(taken, insns + (first & FUZZ_INSNS_MAX ? 0 : 3),
				n * sizeof(insns[0])) != 0))
		abort();
	return r;
}

static int input_changed(struct input *in, struct filter_program **ret)
{
	const struct filter_program *base = fuzz_bases[input_byte(in) % ARRAY_SIZE(fuzz_bases)];
	struct bpf_insn insns[512];

	memcpy(insns, base->insns, base->n_insns * sizeof(insns[0]));
	for (unsigned int n = input_byte(in) % 6; n > 0; n--) {
		struct bpf_insn *insn = &insns[input_byte(in) % base->n_insns];

		switch (input_byte(in) % 4) {
		case 0:
			*insn = input_insn(in);
			break;
		case 1:
			insn->jt = input_byte(in);
			break;
		case 2:
			insn->jf = input_byte(in);
			break;
		default:
			insn->k = input_constant(in);
			break;
		}
	}
	return filter_program_new(ret, insns, base->n_insns);
}

/* What is refused whatever the expression: its length, and link types that do not exist. */
static void check_refused(void)
{
	static char text[FILTER_EXPRESSION_MAX + 2];
	struct filter_program *program = NULL;
	struct error err = ERROR_INIT;

	memset(text, ' ', sizeof(text) - 1);
	if (filter_compile(&program, text, 1, &err) >= 0 || program || err.code == 0)
		abort();
	err = ERROR_INIT;
	if (filter_compile(&program, "ip", UINT32_MAX, &err) >= 0 || program || err.code == 0)
		abort();
	if (filter_dlt(1) != 1 || filter_dlt(UINT32_MAX) != -1)
		abort();
}

static int input_expression(struct input *in, struct filter_program **ret)
{
	static const uint32_t linktypes[] = { 1, 101, 113, 105, 0, 147 };
	uint8_t chosen = input_byte(in);
	uint32_t linktype = linktypes[chosen % ARRAY_SIZE(linktypes)];
	char text[64 * 20] = "";
	struct error err = ERROR_INIT;

	if (chosen == 255)
		check_refused();
	/* A control character is refused, and must not come back in the message. */
	if (chosen == 254)
		strcat(text, "\001 ");
	for (unsigned int n = input_byte(in) % 64; n > 0 && in->left; n--) {
		strcat(text, fuzz_words[input_byte(in) % ARRAY_SIZE(fuzz_words)]);
		strcat(text, " ");
	}
	if (filter_compile(ret, text, linktype, &err) < 0) {
		if (err.code == 0 || !err.text[0] || strpbrk(err.text, "\001\n"))
			abort();
		return -1;
	}
	return 0;
}

/* Packets of a part of all flows that an expression accepts. */
static int input_flow(struct input *in, struct filter_program **ret)
{
	unsigned int n_parts = input_byte(in) * DECODE_FLOW_PARTS / UINT8_MAX;
	bool is_first = input_byte(in) & 1;
	_cleanup_(filter_program_freep) struct filter_program *flow = NULL, *other = NULL;

	if (filter_program_flow(&flow, n_parts) < 0)
		abort();
	if (input_expression(in, &other) < 0)
		return -1;
	if (filter_program_join(ret,
		    (const struct filter_program *[]){
			    is_first ? flow : other, is_first ? other : flow },
		    2) < 0)
		abort();
	return 0;
}

static void input_packets(struct input *in)
{
	fuzz_batch.n = 0;
	do {
		uint32_t cap_bytes = input_byte(in);
		uint8_t *data, more;

		cap_bytes = MIN(cap_bytes, in->left);
		data = malloc(cap_bytes ? cap_bytes : 1);
		if (!data)
			abort();
		if (cap_bytes)
			memcpy(data, in->at, cap_bytes);
		in->at += cap_bytes;
		in->left -= cap_bytes;
		fuzz_batch.data[fuzz_batch.n] = data;
		fuzz_batch.cap_bytes[fuzz_batch.n] = cap_bytes;
		more = input_byte(in);
		fuzz_batch.flags[fuzz_batch.n] = (uint8_t)((more & 1 ? PACKET_OUTBOUND : 0) |
			(more & 2 ? PACKET_INBOUND : 0));
		fuzz_batch.wire_bytes[fuzz_batch.n++] = cap_bytes + more / 8;
	} while (in->left && fuzz_batch.n < PACKET_BATCH_MAX);
}

static bool fuzz_is_right(const struct reference *reference, unsigned int packet)
{
	const uint8_t *data = fuzz_batch.data[packet];
	uint32_t wire_bytes = fuzz_batch.wire_bytes[packet];
	uint32_t cap_bytes = fuzz_batch.cap_bytes[packet];

	if (filter_program_asks_direction(reference->program))
		return filter_interpret(reference->program, data, wire_bytes, cap_bytes,
			       filter_direction(&fuzz_batch, packet)) == FILTER_INTERPRET_ACCEPT;
	return reference_decide(reference, data, wire_bytes, cap_bytes) == FILTER_INTERPRET_ACCEPT;
}

static void fuzz_compare(struct filter_program *const programs[], unsigned int n)
{
	struct packet_mask masks[FUZZ_PROGRAMS_MAX];
	struct reference references[FUZZ_PROGRAMS_MAX];
	struct filter_set *set;
	void *scratch;

	if (filter_set_new(&set, (const struct filter_program *const *)programs, n) < 0)
		abort();
	scratch = aligned_alloc(64, (filter_set_scratch_bytes(set) + 63) & ~(size_t)63);
	if (!scratch)
		abort();
	memset(scratch, 0xc3, filter_set_scratch_bytes(set));
	for (unsigned int f = 0; f < n; f++)
		references[f] = reference_of(programs[f]);
	for (const struct filter_compare_ops *const *ops = filter_compare_list(); *ops; ops++) {
		set->compare = *ops;
		filter_set_run(set, scratch, &fuzz_batch, masks);
		for (unsigned int i = 0; i < n * fuzz_batch.n; i++) {
			unsigned int f = i % n, p = i / n;

			if (packet_mask_test(&masks[f], p) != fuzz_is_right(&references[f], p))
				abort();
		}
	}
	free(scratch);
	filter_set_free(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
	struct input in = { .at = data, .left = n_bytes };
	struct filter_program *programs[FUZZ_PROGRAMS_MAX];
	uint8_t first = input_byte(&in);
	unsigned int n = 0;

	fuzz_batch.is_live = first & 0x80;
	for (unsigned int left = 1 + first % FUZZ_PROGRAMS_MAX; left > 0; left--) {
		uint8_t kind = input_byte(&in);
		int r = kind >= FUZZ_KIND_FLOW ? input_flow(&in, &programs[n])
			: kind % 3 == 0        ? input_insns(&in, &programs[n])
			: kind % 3 == 1        ? input_changed(&in, &programs[n])
					       : input_expression(&in, &programs[n]);

		n += r == 0;
	}
	input_packets(&in);
	if (n)
		fuzz_compare(programs, n);
	while (n > 0)
		filter_program_free(programs[--n]);
	for (unsigned int i = 0; i < fuzz_batch.n; i++)
		free((void *)(uintptr_t)fuzz_batch.data[i]);
	return 0;
}

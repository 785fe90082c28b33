/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the headers of a super-packet end, at an interface (semantics P3).
 *
 * Behind UDP or GRE there may be a tunnel, and then each segment on the wire has the headers of the
 * packet in it, too. A packet socket is told where those end (virtio_net_hdr), a program is not:
 * its context shows the size of segments and nothing more. The kernel knows it all the same. It
 * leaves the innermost checksum of what is to be cut, or was put together, to be finished for each
 * segment (CHECKSUM_PARTIAL): its header begins at csum_start, and csum_offset says of which kind
 * it is.
 *
 * To read that takes the kernel's own struct sk_buff, whose layout its type information tells, one
 * call (bpf_cast_to_kern_ctx(), Linux 6.2) and CAP_PERFMON. What counts has neither to be trusted
 * nor to be larger for it: the root, which the loading process makes by itself, reads it, and
 * leaves the result in memory that it shares with the programs in its slots, a cell for each CPU.
 * No other packet comes in between, because a program is not interrupted by one.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "kernel_private.h"
#include "mapi/errors.h"

#define SUPER_CHECKSUM_PARTIAL 3 /* <linux/skbuff.h> of the kernel */
#define SUPER_TCP_CHECKSUM_AT 16
#define SUPER_UDP_CHECKSUM_AT 6
#define SUPER_UDP_BYTES 8
#define SUPER_TCP_BYTES 20 /* without options */

/* struct super_field - of struct sk_buff. @n_bits: of a bit field; 0: it is none */
struct super_field {
	uint32_t at_bits;
	uint32_t n_bits;
	uint32_t n_bytes;
};

/* struct super_layout - what this kernel's type information says. @cast: the function's number */
struct super_layout {
	int cast;
	struct super_field head, data, ip_summed, csum_start, csum_offset;
};

/* Looks for a member, also in structs and unions without a name. */
static bool super_find(const struct btf *btf, const struct btf_type *in, uint32_t at_bits,
	const char *name, struct super_field *ret)
{
	for (uint32_t i = 0; i < btf_vlen(in); i++) {
		const struct btf_member *member = btf_members(in) + i;
		const struct btf_type *type = btf__type_by_id(btf, member->type);
		const char *its = btf__name_by_offset(btf, member->name_off);
		uint32_t its_bits = at_bits + btf_member_bit_offset(in, i);

		if (its && its[0] == '\0' && type && btf_is_composite(type) &&
			super_find(btf, type, its_bits, name, ret))
			return true;
		if (!its || strcmp(its, name) != 0)
			continue;
		*ret = (struct super_field){ .at_bits = its_bits,
			.n_bits = btf_member_bitfield_size(in, i),
			.n_bytes = (uint32_t)MAX(btf__resolve_size(btf, member->type), 0) };
		return true;
	}
	return false;
}

static bool super_read_layout(const struct btf *btf, struct super_layout *ret)
{
	const struct {
		const char *name;
		struct super_field *field;
		uint32_t n_bits, n_bytes;
	} wanted[] = {
		{ "head", &ret->head, 0, 8 },
		{ "data", &ret->data, 0, 8 },
		{ "ip_summed", &ret->ip_summed, 2, 1 },
		{ "csum_start", &ret->csum_start, 0, 2 },
		{ "csum_offset", &ret->csum_offset, 0, 2 },
	};
	int skb = btf__find_by_name_kind(btf, "sk_buff", BTF_KIND_STRUCT);

	ret->cast = btf__find_by_name_kind(btf, "bpf_cast_to_kern_ctx", BTF_KIND_FUNC);
	if (skb < 0 || ret->cast < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		const struct super_field *field = wanted[i].field;

		if (!super_find(btf, btf__type_by_id(btf, (uint32_t)skb), 0, wanted[i].name,
			    wanted[i].field) ||
			field->n_bits != wanted[i].n_bits || field->n_bytes != wanted[i].n_bytes ||
			(field->n_bits == 0 && field->at_bits % 8) ||
			field->at_bits % 8 + field->n_bits > 8 || field->at_bits / 8 > INT16_MAX)
			return false;
	}
	return true;
}

static int super_layout(struct super_layout *ret, struct error *err)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool is_known;

	if (!btf)
		return error_set(err, MFUNCT_NOT_SUPPORTED,
			"super-packets in tunnels cannot be counted at the interface: the kernel "
			"has no type information (/sys/kernel/btf/vmlinux): %s",
			strerror(errno));
	is_known = super_read_layout(btf, ret);
	btf__free(btf);
	if (!is_known)
		return error_set(err, MFUNCT_NOT_SUPPORTED,
			"super-packets in tunnels cannot be counted at the interface: this kernel "
			"does not let programs see its packets (bpf_cast_to_kern_ctx, Linux 6.2)");
	return 0;
}

int kernel_super_open(struct error *err)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "mapi_super", sizeof(uint32_t),
		KERNEL_SUPER_STRIDE * kernel_n_cpus(), 1, NULL);

	return fd >= 0
		? fd
		: kernel_load_fail(err, "making memory for super-packets in the kernel", errno);
}

static int16_t super_at(const struct super_field *field)
{
	return (int16_t)(field->at_bits / 8);
}

/* r7 = this CPU's cell; goes to @done if there is none. Nothing is known yet. */
static void super_cell(struct kernel_asm *c, int fd, uint32_t done)
{
	kernel_asm_put(c, CALL(BPF_FUNC_get_smp_processor_id));
	kernel_asm_jump(c, IF64_IMM(BPF_JGE, BPF_REG_0, (int32_t)kernel_n_cpus()), done);
	kernel_asm_put(c, ALU_IMM(BPF_MUL, BPF_REG_0, KERNEL_SUPER_STRIDE));
	kernel_asm_put(c, INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_7, BPF_PSEUDO_MAP_VALUE, 0, fd));
	kernel_asm_put(c, INSN(0, 0, 0, 0, 0));
	kernel_asm_put(c, ALU_REG(BPF_ADD, BPF_REG_7, BPF_REG_0));
	kernel_asm_put(c, STORE_IMM(BPF_W, BPF_REG_7, 0, 0));
}

/* r8 = where the innermost header begins in the packet, r9 = where in it its checksum is; or goes
 * to @done. */
static void super_checksum(struct kernel_asm *c, const struct super_layout *layout, uint32_t done)
{
	uint32_t bit = layout->ip_summed.at_bits % 8, n_bits = layout->ip_summed.n_bits;
	uint32_t shift = BYTE_ORDER == LITTLE_ENDIAN ? bit : 8 - bit - n_bits;

	kernel_asm_put(c, MOV_REG(BPF_REG_1, REG_CTX));
	kernel_asm_put(c, INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, 0, layout->cast));
	kernel_asm_put(c, LOAD(BPF_B, BPF_REG_1, BPF_REG_0, super_at(&layout->ip_summed)));
	kernel_asm_put(c, ALU32_IMM(BPF_RSH, BPF_REG_1, shift));
	kernel_asm_put(c, ALU32_IMM(BPF_AND, BPF_REG_1, (1u << n_bits) - 1));
	kernel_asm_jump(c, IF_IMM(BPF_JNE, BPF_REG_1, SUPER_CHECKSUM_PARTIAL), done);
	kernel_asm_put(c, LOAD(BPF_H, BPF_REG_8, BPF_REG_0, super_at(&layout->csum_start)));
	kernel_asm_put(c, LOAD(BPF_H, BPF_REG_9, BPF_REG_0, super_at(&layout->csum_offset)));
	kernel_asm_put(c, LOAD(BPF_DW, BPF_REG_1, BPF_REG_0, super_at(&layout->head)));
	kernel_asm_put(c, LOAD(BPF_DW, BPF_REG_2, BPF_REG_0, super_at(&layout->data)));
	kernel_asm_put(c, ALU_REG(BPF_SUB, BPF_REG_2, BPF_REG_1));
	/* Within a packet, so it is no less than one byte, and no more than 65,535. */
	kernel_asm_jump(c, IF64_REG(BPF_JLE, BPF_REG_8, BPF_REG_2), done);
	kernel_asm_put(c, ALU_REG(BPF_SUB, BPF_REG_8, BPF_REG_2));
}

int kernel_super_tell(struct kernel_asm *c, int fd, struct error *err)
{
	uint32_t done = kernel_asm_label(c), known = kernel_asm_label(c);
	struct super_layout layout;
	int r = super_layout(&layout, err);

	if (r < 0)
		return r;
	kernel_asm_put(
		c, LOAD(BPF_W, BPF_REG_1, REG_CTX, (int16_t)offsetof(struct __sk_buff, gso_size)));
	kernel_asm_jump(c, IF_IMM(BPF_JEQ, BPF_REG_1, 0), done);
	super_cell(c, fd, done);
	super_checksum(c, &layout, done);
	kernel_asm_put(c, MOV_IMM(BPF_REG_0, SUPER_UDP_BYTES));
	kernel_asm_jump(c, IF_IMM(BPF_JEQ, BPF_REG_9, SUPER_UDP_CHECKSUM_AT), known);
	kernel_asm_jump(c, IF_IMM(BPF_JNE, BPF_REG_9, SUPER_TCP_CHECKSUM_AT), done);
	kernel_asm_put(c, MOV_REG(BPF_REG_1, REG_CTX));
	kernel_asm_put(c, MOV_REG(BPF_REG_2, BPF_REG_8));
	kernel_asm_put(c, ALU_IMM(BPF_ADD, BPF_REG_2, 12)); /* its length, in words */
	kernel_asm_put(c, MOV_REG(BPF_REG_3, BPF_REG_10));
	kernel_asm_put(c, ALU_IMM(BPF_ADD, BPF_REG_3, -8));
	kernel_asm_put(c, MOV_IMM(BPF_REG_4, 1));
	kernel_asm_put(c, CALL(BPF_FUNC_skb_load_bytes));
	kernel_asm_jump(c, IF64_IMM(BPF_JNE, BPF_REG_0, 0), done);
	kernel_asm_put(c, LOAD(BPF_B, BPF_REG_0, BPF_REG_10, -8));
	kernel_asm_put(c, ALU32_IMM(BPF_RSH, BPF_REG_0, 4));
	kernel_asm_put(c, ALU32_IMM(BPF_LSH, BPF_REG_0, 2));
	kernel_asm_jump(c, IF_IMM(BPF_JGE, BPF_REG_0, SUPER_TCP_BYTES), known);
	kernel_asm_put(c, MOV_IMM(BPF_REG_0, SUPER_TCP_BYTES));
	kernel_asm_place(c, known);
	kernel_asm_put(c, ALU_REG(BPF_ADD, BPF_REG_8, BPF_REG_0));
	kernel_asm_put(c, STORE(BPF_W, BPF_REG_7, BPF_REG_8, 0));
	kernel_asm_place(c, done);
	return 0;
}

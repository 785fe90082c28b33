/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What stands around the decisions of a page: finding the CPU's area and the packet's first bytes,
 * counting, going on to the next page, ends.
 *
 * The window is the packet itself where that is long enough, in one piece and complete. Else its
 * first bytes are copied to the area, and a VLAN tag that the kernel keeps beside the packet is put
 * back there (P1): whatever reads the window sees the packet as it was on the wire, and all other
 * loads go through a function that knows how much to skip.
 */
#include "kernel_private.h"

#include <linux/if_packet.h>

#define SKB_AT(member) ((int16_t)offsetof(struct __sk_buff, member))
#define XDP_AT(member) ((int16_t)offsetof(struct xdp_md, member))

#define FRAME_ADDRESSES_BYTES 12 /* the tag stands behind them */
#define FRAME_TAG_BYTES 4
#define FRAME_ETHERNET_BYTES 14

static bool frame_is_xdp(const struct kernel_emit *e)
{
	return e->options->hook == KERNEL_XDP;
}

int16_t kernel_frame_slot(struct kernel_emit *e, uint32_t slot, size_t member, uint8_t *reg)
{
	int64_t at =
		(int64_t)(sizeof(struct kernel_area) + slot * sizeof(struct kernel_slot) + member) -
		AREA_BIAS;

	if (at <= INT16_MAX) {
		*reg = REG_AREA;
		return (int16_t)at;
	}
	emit_put(e, MOV_REG(BPF_REG_5, REG_AREA));
	emit_put(e, ALU_IMM(BPF_ADD, BPF_REG_5, (int32_t)at));
	*reg = BPF_REG_5;
	return 0;
}

void kernel_frame_mark(struct kernel_emit *e, uint32_t slot)
{
	uint8_t reg;
	int16_t at = kernel_frame_slot(e, slot, offsetof(struct kernel_slot, mark), &reg);

	emit_put(e, LOAD(BPF_DW, BPF_REG_1, REG_AREA, AREA_AT(seq)));
	emit_put(e, STORE(BPF_DW, reg, BPF_REG_1, at));
}

/* A counter of the slot += @more, a register or, if that is 0, one. */
static void frame_add(struct kernel_emit *e, uint32_t slot, size_t member, uint8_t more)
{
	uint8_t reg;
	int16_t at = kernel_frame_slot(e, slot, member, &reg);

	emit_put(e, LOAD(BPF_DW, BPF_REG_1, reg, at));
	emit_put(e, more ? ALU_REG(BPF_ADD, BPF_REG_1, more) : ALU_IMM(BPF_ADD, BPF_REG_1, 1));
	emit_put(e, STORE(BPF_DW, reg, BPF_REG_1, at));
}

void kernel_frame_count(struct kernel_emit *e, uint32_t slot)
{
	if (frame_is_xdp(e)) {
		frame_add(e, slot, offsetof(struct kernel_slot, pkts), 0);
	} else {
		emit_put(e, LOAD(BPF_DW, BPF_REG_2, REG_AREA, AREA_AT(pkts)));
		frame_add(e, slot, offsetof(struct kernel_slot, pkts), BPF_REG_2);
		frame_add(e, slot, offsetof(struct kernel_slot, units), 0);
	}
	frame_add(e, slot, offsetof(struct kernel_slot, bytes), REG_BYTES);
}

/* The slot whose mark says that filter @slot has accepted. */
static uint32_t frame_leader(const struct kernel_emit *e, uint32_t slot)
{
	uint32_t i = 0;

	while (e->samples[i].filter != slot)
		i++;
	return e->samples[i].leader;
}

void kernel_frame_accept(struct kernel_emit *e, uint32_t slot, bool check)
{
	uint32_t skip = ASM_NOWHERE;
	uint8_t reg;

	if (check) {
		int16_t at = kernel_frame_slot(e, slot, offsetof(struct kernel_slot, mark), &reg);

		skip = kernel_asm_label(&e->code);
		emit_put(e, LOAD(BPF_DW, BPF_REG_1, REG_AREA, AREA_AT(seq)));
		emit_put(e, LOAD(BPF_DW, BPF_REG_2, reg, at));
		emit_jump(e, IF64_REG(BPF_JEQ, BPF_REG_1, BPF_REG_2), skip);
	}
	if (e->options->undelivered && e->actions[slot] & ACTION_DELIVER) {
		emit_goto(e, e->delivered);
	} else {
		if (e->actions[slot] & ACTION_SAMPLE)
			kernel_frame_mark(e, frame_leader(e, slot));
		if (e->actions[slot] & ACTION_COUNT && slot >= e->n_early)
			kernel_frame_count(e, slot);
		if (e->actions[slot] & ACTION_DELIVER)
			emit_put(e, STORE_IMM(BPF_W, REG_AREA, AREA_AT(deliver), 1));
	}
	if (check)
		emit_place(e, skip);
}

/* r9 = this CPU's area. */
static void frame_area(struct kernel_emit *e, const struct kernel_frame_page *page, uint32_t end)
{
	emit_put(e, MOV_REG(REG_CTX, BPF_REG_1));
	emit_put(e, CALL(BPF_FUNC_get_smp_processor_id));
	emit_jump(e, IF64_IMM(BPF_JGE, BPF_REG_0, (int32_t)page->n_cpus), end);
	if (page->n_cpus > 1)
		emit_put(e, ALU_IMM(BPF_MUL, BPF_REG_0, (int32_t)page->stride_bytes));
	else
		emit_put(e, MOV_IMM(BPF_REG_0, 0));
	/* The loader fills in the map's descriptor. */
	emit_put(e, INSN(BPF_LD | BPF_IMM | BPF_DW, REG_AREA, BPF_PSEUDO_MAP_VALUE, 0, 0));
	emit_put(e, INSN(0, 0, 0, 0, 0));
	emit_put(e, ALU_REG(BPF_ADD, REG_AREA, BPF_REG_0));
	emit_put(e, ALU_IMM(BPF_ADD, REG_AREA, AREA_BIAS));
}

/* Copies @bytes of the packet (0: r4) from @from to the window. */
static void frame_copy(struct kernel_emit *e, int from, int to, int bytes)
{
	emit_put(e, MOV_REG(BPF_REG_1, REG_CTX));
	emit_put(e, MOV_IMM(BPF_REG_2, from));
	emit_put(e, MOV_REG(BPF_REG_3, REG_AREA));
	emit_put(e, ALU_IMM(BPF_ADD, BPF_REG_3, AREA_AT(window) + to));
	if (bytes)
		emit_put(e, MOV_IMM(BPF_REG_4, bytes));
	emit_put(e, CALL(frame_is_xdp(e) ? BPF_FUNC_xdp_load_bytes : BPF_FUNC_skb_load_bytes));
}

/* r4 = the smaller of r4 and @max; goes to @nothing if r4 is 0. */
static void frame_bound(struct kernel_emit *e, int max, uint32_t nothing)
{
	uint32_t fits = kernel_asm_label(&e->code);

	emit_jump(e, IF_IMM(BPF_JLT, BPF_REG_4, 1), nothing);
	emit_jump(e, IF_IMM(BPF_JLE, BPF_REG_4, max), fits);
	emit_put(e, MOV_IMM(BPF_REG_4, max));
	emit_place(e, fits);
}

/* The window is a copy; with the tag put back, if there is one. */
static void frame_window_copy(struct kernel_emit *e)
{
	uint32_t untagged = kernel_asm_label(&e->code), done = kernel_asm_label(&e->code);

	emit_put(e, STORE_IMM(BPF_W, REG_AREA, AREA_AT(is_copy), 1));
	if (!frame_is_xdp(e)) {
		emit_put(e, LOAD(BPF_W, BPF_REG_4, REG_AREA, AREA_AT(shift)));
		emit_jump(e, IF_IMM(BPF_JEQ, BPF_REG_4, 0), untagged);
		frame_copy(e, 0, 0, FRAME_ADDRESSES_BYTES);
		emit_put(e, LOAD(BPF_W, BPF_REG_1, REG_CTX, SKB_AT(vlan_proto)));
		emit_put(e,
			STORE(BPF_H, REG_AREA, BPF_REG_1, AREA_AT(window) + FRAME_ADDRESSES_BYTES));
		emit_put(e, LOAD(BPF_W, BPF_REG_1, REG_CTX, SKB_AT(vlan_tci)));
		emit_put(e, TO_BE(BPF_REG_1, 16));
		emit_put(e,
			STORE(BPF_H, REG_AREA, BPF_REG_1,
				AREA_AT(window) + FRAME_ADDRESSES_BYTES + 2));
		emit_put(e, LOAD(BPF_W, BPF_REG_4, REG_CTX, SKB_AT(len)));
		/* In 32 bits, as the bounds: Linux 6.1 does not conclude from them that all 64 bits
		 * are no negative number. */
		emit_put(e, ALU32_IMM(BPF_SUB, BPF_REG_4, FRAME_ADDRESSES_BYTES));
		frame_bound(e, (int)WINDOW_BYTES - FRAME_ADDRESSES_BYTES - FRAME_TAG_BYTES, done);
		frame_copy(e, FRAME_ADDRESSES_BYTES, FRAME_ADDRESSES_BYTES + FRAME_TAG_BYTES, 0);
		emit_goto(e, done);
		emit_place(e, untagged);
	}
	emit_put(e, LOAD(BPF_W, BPF_REG_4, REG_AREA, AREA_AT(len)));
	frame_bound(e, (int)WINDOW_BYTES, done);
	frame_copy(e, 0, 0, 0);
	emit_place(e, done);
	emit_put(e, MOV_REG(REG_WINDOW, REG_AREA));
	emit_put(e, ALU_IMM(BPF_ADD, REG_WINDOW, AREA_AT(window)));
}

/* r7 = the packet's first bytes; goes to @copy if they cannot be read in place. */
static void frame_window_in_place(struct kernel_emit *e, uint32_t copy)
{
	int16_t data = frame_is_xdp(e) ? XDP_AT(data) : SKB_AT(data);
	int16_t data_end = frame_is_xdp(e) ? XDP_AT(data_end) : SKB_AT(data_end);

	emit_put(e, LOAD(BPF_W, REG_WINDOW, REG_CTX, data));
	emit_put(e, LOAD(BPF_W, BPF_REG_2, REG_CTX, data_end));
	emit_put(e, MOV_REG(BPF_REG_3, REG_WINDOW));
	emit_put(e, ALU_IMM(BPF_ADD, BPF_REG_3, (int32_t)e->direct_bytes));
	emit_jump(e, IF64_REG(BPF_JGT, BPF_REG_3, BPF_REG_2), copy);
	emit_put(e, STORE_IMM(BPF_W, REG_AREA, AREA_AT(is_copy), 0));
}

/* Writes r8 to memory, from where it comes back as any number, whatever the path: what adds to
 * addresses is followed with each range of a register by itself, without CAP_PERFMON. */
static void frame_forget_bytes(struct kernel_emit *e, int16_t at)
{
	emit_put(e, STORE(BPF_W, REG_AREA, REG_BYTES, at));
	emit_put(e, LOAD(BPF_W, REG_BYTES, REG_AREA, at));
}

static void frame_length_xdp(struct kernel_emit *e)
{
	if (e->options->has_frags || e->options->is_distrusted) {
		emit_put(e, MOV_REG(BPF_REG_1, REG_CTX));
		emit_put(e, CALL(BPF_FUNC_xdp_get_buff_len));
		emit_put(e, MOV_REG(REG_BYTES, BPF_REG_0));
	} else {
		emit_put(e, LOAD(BPF_W, BPF_REG_1, REG_CTX, XDP_AT(data)));
		emit_put(e, LOAD(BPF_W, REG_BYTES, REG_CTX, XDP_AT(data_end)));
		emit_put(e, ALU_REG(BPF_SUB, REG_BYTES, BPF_REG_1));
	}
	frame_forget_bytes(e, AREA_AT(len));
}

/* How much of the packet filters see. */
static void frame_cut(struct kernel_emit *e)
{
	uint32_t fits = kernel_asm_label(&e->code);

	emit_put(e, MOV_REG(BPF_REG_1, REG_BYTES));
	emit_jump(e, IF_IMM(BPF_JLE, BPF_REG_1, e->options->snaplen_bytes), fits);
	emit_put(e, ALU32_IMM(BPF_MOV, BPF_REG_1, e->options->snaplen_bytes));
	emit_place(e, fits);
	emit_put(e, STORE(BPF_W, REG_AREA, BPF_REG_1, AREA_AT(cap)));
}

/* The length, and whether a tag is missing: then the window is a copy. */
static void frame_length_skb(struct kernel_emit *e)
{
	uint32_t untagged = kernel_asm_label(&e->code);

	emit_put(e, LOAD(BPF_W, REG_BYTES, REG_CTX, SKB_AT(len)));
	emit_put(e, STORE_IMM(BPF_W, REG_AREA, AREA_AT(shift), 0));
	emit_put(e, STORE_IMM(BPF_DW, REG_AREA, AREA_AT(pkts), 1));
	if (!e->options->is_raw) {
		emit_put(e, LOAD(BPF_W, BPF_REG_1, REG_CTX, SKB_AT(vlan_present)));
		emit_jump(e, IF_IMM(BPF_JEQ, BPF_REG_1, 0), untagged);
		emit_jump(e, IF_IMM(BPF_JLT, REG_BYTES, FRAME_ETHERNET_BYTES), untagged);
		emit_put(e, ALU_IMM(BPF_ADD, REG_BYTES, FRAME_TAG_BYTES));
		emit_put(e, STORE_IMM(BPF_W, REG_AREA, AREA_AT(shift), FRAME_TAG_BYTES));
	}
	emit_place(e, untagged);
	frame_forget_bytes(e, AREA_AT(len));
	if (e->options->is_cut)
		frame_cut(e);
}

/* r0 = @bytes of the packet at @transport + @k, in host order, by the slow function. */
static void frame_read(struct kernel_emit *e, int k, int bytes)
{
	static const uint8_t sizes[] = { [1] = BPF_B, [2] = BPF_H };

	e->uses_slow = true;
	emit_put(e, LOAD(BPF_W, BPF_REG_2, REG_AREA, AREA_AT(transport)));
	emit_put(e, ALU32_IMM(BPF_ADD, BPF_REG_2, k));
	emit_put(e, MOV_REG(BPF_REG_1, REG_CTX));
	emit_put(e, MOV_REG(BPF_REG_3, REG_AREA));
	emit_put(e, MOV_IMM(BPF_REG_4, bytes));
	emit_jump(e, CALL_LABEL(), e->slow);
	emit_put(e, LOAD(sizes[bytes], BPF_REG_0, REG_AREA, AREA_AT(temp)));
	if (bytes == 2)
		emit_put(e, TO_BE(BPF_REG_0, 16));
}

/* @transport += r0 */
static void frame_advance(struct kernel_emit *e)
{
	emit_put(e, LOAD(BPF_W, BPF_REG_1, REG_AREA, AREA_AT(transport)));
	emit_put(e, ALU32_REG(BPF_ADD, BPF_REG_1, BPF_REG_0));
	emit_put(e, STORE(BPF_W, REG_AREA, BPF_REG_1, AREA_AT(transport)));
}

/* @transport = 2 bytes, of a type or not, before the IP header, of which the version is told by
 * where this goes. */
static void frame_find_network(struct kernel_emit *e, uint32_t ip, uint32_t ip6, uint32_t unknown)
{
	if (e->options->is_raw) {
		emit_put(e, STORE_IMM(BPF_W, REG_AREA, AREA_AT(transport), -2));
		frame_read(e, 2, 1);
		emit_put(e, ALU32_IMM(BPF_RSH, BPF_REG_0, 4));
		emit_jump(e, IF_IMM(BPF_JEQ, BPF_REG_0, 4), ip);
		emit_jump(e, IF_IMM(BPF_JEQ, BPF_REG_0, 6), ip6);
		emit_goto(e, unknown);
		return;
	}
	emit_put(e, STORE_IMM(BPF_W, REG_AREA, AREA_AT(transport), FRAME_ADDRESSES_BYTES));
	for (unsigned int tags = 0; tags < 3; tags++) {
		frame_read(e, 0, 2);
		emit_jump(e, IF_IMM(BPF_JEQ, BPF_REG_0, 0x0800), ip);
		emit_jump(e, IF_IMM(BPF_JEQ, BPF_REG_0, 0x86dd), ip6);
		if (tags < 2) {
			uint32_t tag = kernel_asm_label(&e->code);

			emit_jump(e, IF_IMM(BPF_JEQ, BPF_REG_0, 0x8100), tag);
			emit_jump(e, IF_IMM(BPF_JNE, BPF_REG_0, 0x88a8), unknown);
			emit_place(e, tag);
			emit_put(e, MOV_IMM(BPF_REG_0, FRAME_TAG_BYTES));
			frame_advance(e);
		}
	}
	emit_goto(e, unknown);
}

/* @transport = where the transport header begins, r0 = its protocol; or goes to @unknown. Nothing
 * is kept in a column yet: the first serves as scratch. */
static void frame_find_transport(struct kernel_emit *e, uint32_t unknown)
{
	uint32_t ip = kernel_asm_label(&e->code), ip6 = kernel_asm_label(&e->code),
		 done = kernel_asm_label(&e->code);

	frame_find_network(e, ip, ip6, unknown);
	emit_place(e, ip);
	frame_read(e, 2, 1);
	emit_put(e, ALU32_IMM(BPF_AND, BPF_REG_0, 0xf));
	emit_put(e, ALU32_IMM(BPF_LSH, BPF_REG_0, 2));
	emit_put(e, STORE(BPF_W, REG_AREA, BPF_REG_0, AREA_AT(columns)));
	frame_read(e, 2 + 9, 1);
	emit_put(e, MOV_REG(BPF_REG_2, BPF_REG_0));
	emit_put(e, LOAD(BPF_W, BPF_REG_0, REG_AREA, AREA_AT(columns)));
	emit_goto(e, done);
	emit_place(e, ip6);
	frame_read(e, 2 + 6, 1);
	emit_put(e, MOV_REG(BPF_REG_2, BPF_REG_0));
	emit_put(e, MOV_IMM(BPF_REG_0, 40));
	emit_place(e, done);
	emit_put(e, ALU32_IMM(BPF_ADD, BPF_REG_0, 2));
	frame_advance(e);
	emit_put(e, MOV_REG(BPF_REG_0, BPF_REG_2));
}

/* r1 = bytes of all headers, as the root says; or goes to @untold. */
static void frame_super_told(
	struct kernel_emit *e, const struct kernel_frame_page *page, uint32_t untold)
{
	emit_put(e, CALL(BPF_FUNC_get_smp_processor_id));
	emit_jump(e, IF64_IMM(BPF_JGE, BPF_REG_0, (int32_t)page->n_cpus), untold);
	if (page->n_cpus > 1)
		emit_put(e, ALU_IMM(BPF_MUL, BPF_REG_0, KERNEL_SUPER_STRIDE));
	else
		emit_put(e, MOV_IMM(BPF_REG_0, 0));
	/* The loader fills in the map's descriptor. */
	emit_put(e, INSN(BPF_LD | BPF_IMM | BPF_DW, REG_SUPER, BPF_PSEUDO_MAP_VALUE, 0, 0));
	emit_put(e, INSN(0, 0, 0, 0, 0));
	emit_put(e, ALU_REG(BPF_ADD, REG_SUPER, BPF_REG_0));
	emit_put(e, LOAD(BPF_W, BPF_REG_1, REG_SUPER, 0));
	emit_jump(e, IF_IMM(BPF_JEQ, BPF_REG_1, 0), untold);
	emit_put(e, LOAD(BPF_W, BPF_REG_2, REG_AREA, AREA_AT(shift)));
	emit_put(e, ALU32_REG(BPF_ADD, BPF_REG_1, BPF_REG_2));
}

/* The same from the packet itself; or goes to @unknown. */
static void frame_super_found(struct kernel_emit *e, uint32_t unknown)
{
	uint32_t udp = kernel_asm_label(&e->code), found = kernel_asm_label(&e->code);

	frame_find_transport(e, unknown);
	emit_jump(e, IF_IMM(BPF_JEQ, BPF_REG_0, 17), e->options->undelivered ? unknown : udp);
	emit_jump(e, IF_IMM(BPF_JNE, BPF_REG_0, 6), unknown);
	frame_read(e, 12, 1);
	emit_put(e, ALU32_IMM(BPF_RSH, BPF_REG_0, 4));
	emit_put(e, ALU32_IMM(BPF_LSH, BPF_REG_0, 2));
	emit_goto(e, found);
	emit_place(e, udp);
	emit_put(e, MOV_IMM(BPF_REG_0, 8));
	emit_place(e, found);
	frame_advance(e);
}

/*
 * A super-packet counts as the packets that it was, or will be, on the wire: each has the headers
 * again (P3). Where the kernel has not counted them, they are all of gso_size but the last.
 *
 * What headers those are is known of TCP: behind UDP there may be a tunnel, of which programs are
 * told by a root only (super.c). Who delivers packets has as much to go by (virtio_net_hdr), so it
 * is given all others; and all of them where packets are cut, because there the headers may be,
 * too.
 */
static void frame_super(struct kernel_emit *e, const struct kernel_frame_page *page)
{
	bool delivers = e->options->undelivered;
	uint32_t done = kernel_asm_label(&e->code), unknown = kernel_asm_label(&e->code);
	uint32_t counted = kernel_asm_label(&e->code), untold = kernel_asm_label(&e->code);
	uint32_t headers = kernel_asm_label(&e->code);

	emit_put(e, LOAD(BPF_W, BPF_REG_1, REG_CTX, SKB_AT(gso_size)));
	emit_jump(e, IF_IMM(BPF_JEQ, BPF_REG_1, 0), done);
	if (delivers && e->options->is_cut) {
		emit_goto(e, e->delivered);
		emit_place(e, done);
		return;
	}
	if (e->options->has_root) {
		frame_super_told(e, page, untold);
		emit_goto(e, headers);
		emit_place(e, untold);
	}
	frame_super_found(e, unknown);
	emit_place(e, headers);
	emit_put(e, LOAD(BPF_W, BPF_REG_2, REG_CTX, SKB_AT(gso_segs)));
	emit_jump(e, IF_IMM(BPF_JNE, BPF_REG_2, 0), counted);
	emit_put(e, MOV_REG(BPF_REG_2, REG_BYTES));
	emit_jump(e, IF_REG(BPF_JLE, BPF_REG_2, BPF_REG_1), unknown);
	emit_put(e, ALU32_REG(BPF_SUB, BPF_REG_2, BPF_REG_1));
	emit_put(e, LOAD(BPF_W, BPF_REG_3, REG_CTX, SKB_AT(gso_size)));
	emit_put(e, ALU32_REG(BPF_ADD, BPF_REG_2, BPF_REG_3));
	emit_put(e, ALU32_IMM(BPF_SUB, BPF_REG_2, 1));
	emit_put(e, ALU32_REG(BPF_DIV, BPF_REG_2, BPF_REG_3));
	emit_place(e, counted);
	emit_put(e, STORE(BPF_DW, REG_AREA, BPF_REG_2, AREA_AT(pkts)));
	emit_put(e, ALU_IMM(BPF_SUB, BPF_REG_2, 1));
	emit_put(e, ALU_REG(BPF_MUL, BPF_REG_2, BPF_REG_1));
	emit_put(e, ALU_REG(BPF_ADD, REG_BYTES, BPF_REG_2));
	frame_forget_bytes(e, AREA_AT(temp));
	emit_goto(e, done);
	emit_place(e, unknown);
	if (delivers)
		emit_goto(e, e->delivered);
	emit_put(e, LOAD(BPF_DW, BPF_REG_1, REG_AREA, AREA_AT(unparsed)));
	emit_put(e, ALU_IMM(BPF_ADD, BPF_REG_1, 1));
	emit_put(e, STORE(BPF_DW, REG_AREA, BPF_REG_1, AREA_AT(unparsed)));
	emit_put(e, LOAD(BPF_W, BPF_REG_1, REG_CTX, SKB_AT(gso_segs)));
	emit_jump(e, IF_IMM(BPF_JEQ, BPF_REG_1, 0), done);
	emit_put(e, STORE(BPF_DW, REG_AREA, BPF_REG_1, AREA_AT(pkts)));
	emit_place(e, done);
}

/* The window is in the area already, since the first page. */
static bool frame_window_is_copied(
	const struct kernel_emit *e, const struct kernel_frame_page *page)
{
	return emit_reads_copy(e) && page->index > 0;
}

static void frame_window(struct kernel_emit *e, const struct kernel_frame_page *page)
{
	uint32_t copy = kernel_asm_label(&e->code), done = kernel_asm_label(&e->code);

	if (frame_window_is_copied(e, page)) {
		emit_put(e, MOV_REG(REG_WINDOW, REG_AREA));
		emit_put(e, ALU_IMM(BPF_ADD, REG_WINDOW, AREA_AT(window)));
		return;
	}
	if (!emit_reads_copy(e)) {
		if (!frame_is_xdp(e)) {
			emit_put(e, LOAD(BPF_W, BPF_REG_1, REG_AREA, AREA_AT(shift)));
			emit_jump(e, IF_IMM(BPF_JNE, BPF_REG_1, 0), copy);
		}
		frame_window_in_place(e, copy);
		emit_goto(e, done);
	}
	emit_place(e, copy);
	frame_window_copy(e);
	emit_place(e, done);
}

/* @seq += 1: odd while counters change, so that a reader sees that it must read again. */
static void frame_step(struct kernel_emit *e)
{
	emit_put(e, LOAD(BPF_DW, BPF_REG_1, REG_AREA, AREA_AT(seq)));
	emit_put(e, ALU_IMM(BPF_ADD, BPF_REG_1, 1));
	emit_put(e, STORE(BPF_DW, REG_AREA, BPF_REG_1, AREA_AT(seq)));
}

/* Is delivering a flag that is looked at in the end? Else it ends at once. */
static bool frame_has_flag(const struct kernel_emit *e)
{
	return e->options->deliver && !e->options->undelivered;
}

static void frame_deliver(struct kernel_emit *e)
{
	emit_put(e, ALU32_IMM(BPF_MOV, BPF_REG_0, e->options->snaplen_bytes));
	emit_put(e, EXIT());
}

void kernel_frame_begin(struct kernel_emit *e, const struct kernel_frame_page *page, uint32_t end)
{
	if (page->index == 0 && e->options->skip_outgoing) {
		emit_put(e, LOAD(BPF_W, BPF_REG_2, BPF_REG_1, SKB_AT(pkt_type)));
		emit_jump(e, IF_IMM(BPF_JEQ, BPF_REG_2, PACKET_OUTGOING), end);
	}
	frame_area(e, page, end);
	if (page->index == 0) {
		frame_step(e);
		if (frame_has_flag(e))
			emit_put(e, STORE_IMM(BPF_W, REG_AREA, AREA_AT(deliver), 0));
		if (frame_is_xdp(e))
			frame_length_xdp(e);
		else
			frame_length_skb(e);
	} else if (page->index <= page->counts_from) {
		emit_put(e, LOAD(BPF_W, REG_BYTES, REG_AREA, AREA_AT(len)));
	} else {
		emit_put(e, LOAD(BPF_DW, REG_BYTES, REG_AREA, AREA_AT(bytes)));
	}
	frame_window(e, page);
}

void kernel_frame_counts(struct kernel_emit *e, const struct kernel_frame_page *page)
{
	if (page->index != page->counts_from)
		return;
	if (!frame_is_xdp(e))
		frame_super(e, page);
	if (page->index + 1 < page->n_pages)
		emit_put(e, STORE(BPF_DW, REG_AREA, REG_BYTES, AREA_AT(bytes)));
}

/* r1 context, r2 offset, r3 area, r4 bytes -> @temp */
static void frame_slow(struct kernel_emit *e)
{
	uint32_t packet = kernel_asm_label(&e->code);

	emit_place(e, e->slow);
	emit_put(e, MOV_REG(BPF_REG_6, BPF_REG_1));
	emit_put(e, MOV_REG(BPF_REG_9, BPF_REG_3));
	/* From memory, it is any number, not one here and another there: else the verifier, without
	 * CAP_PERFMON, refuses to add it to an address. */
	emit_put(e, STORE(BPF_W, BPF_REG_9, BPF_REG_2, AREA_AT(temp)));
	emit_put(e, LOAD(BPF_W, BPF_REG_2, BPF_REG_9, AREA_AT(temp)));
	emit_put(e, LOAD(BPF_W, BPF_REG_0, BPF_REG_9, AREA_AT(is_copy)));
	emit_jump(e, IF_IMM(BPF_JEQ, BPF_REG_0, 0), packet);
	emit_jump(e, IF_IMM(BPF_JGT, BPF_REG_2, WINDOW_BYTES - 4), packet);
	emit_put(e, ALU_REG(BPF_ADD, BPF_REG_3, BPF_REG_2));
	emit_put(e, LOAD(BPF_W, BPF_REG_0, BPF_REG_3, AREA_AT(window)));
	emit_put(e, STORE(BPF_W, BPF_REG_9, BPF_REG_0, AREA_AT(temp)));
	emit_put(e, MOV_IMM(BPF_REG_0, 0));
	emit_put(e, EXIT());
	emit_place(e, packet);
	if (!frame_is_xdp(e)) {
		emit_put(e, LOAD(BPF_W, BPF_REG_0, BPF_REG_9, AREA_AT(shift)));
		emit_put(e, ALU32_REG(BPF_SUB, BPF_REG_2, BPF_REG_0));
	}
	emit_put(e, MOV_REG(BPF_REG_3, BPF_REG_9));
	emit_put(e, ALU_IMM(BPF_ADD, BPF_REG_3, AREA_AT(temp)));
	emit_put(e, CALL(frame_is_xdp(e) ? BPF_FUNC_xdp_load_bytes : BPF_FUNC_skb_load_bytes));
	emit_put(e, MOV_IMM(BPF_REG_0, 0));
	emit_put(e, EXIT());
}

int kernel_frame_verdict(enum kernel_hook hook)
{
	static const int verdicts[_KERNEL_HOOK_N] = {
		[KERNEL_SOCKET] = 0,
		[KERNEL_TC] = -1, /* TCX_NEXT, TC_ACT_UNSPEC */
		[KERNEL_XDP] = XDP_PASS,
	};

	return verdicts[hook];
}

/* It has been counted, and ends there if user space says so; else goes to @end. Not where a page is
 * to follow: that is missing if control comes here. */
static void frame_discard(struct kernel_emit *e, const struct kernel_frame_page *page, uint32_t end)
{
	if (!e->options->discards || page->index + 1 < page->n_pages)
		return;
	emit_put(e, LOAD(BPF_W, BPF_REG_1, REG_AREA, AREA_AT(discard)));
	emit_jump(e, IF_IMM(BPF_JEQ, BPF_REG_1, 0), end);
	emit_put(e, MOV_IMM(BPF_REG_0, XDP_DROP));
	emit_put(e, EXIT());
}

void kernel_frame_end(struct kernel_emit *e, const struct kernel_frame_page *page, uint32_t end)
{
	if (page->index + 1 < page->n_pages) {
		emit_put(e, MOV_REG(BPF_REG_1, REG_CTX));
		emit_put(e, INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_2, BPF_PSEUDO_MAP_FD, 0, 0));
		emit_put(e, INSN(0, 0, 0, 0, 0));
		emit_put(e, MOV_IMM(BPF_REG_3, (int32_t)page->index + 1));
		emit_put(e, CALL(BPF_FUNC_tail_call));
	}
	emit_place(e, e->foreign);
	frame_step(e);
	if (frame_has_flag(e)) {
		emit_put(e, LOAD(BPF_W, BPF_REG_1, REG_AREA, AREA_AT(deliver)));
		emit_jump(e, IF_IMM(BPF_JEQ, BPF_REG_1, 0), end);
		frame_deliver(e);
	}
	frame_discard(e, page, end);
	emit_place(e, end);
	emit_put(e, MOV_IMM(BPF_REG_0, kernel_frame_verdict(e->options->hook)));
	emit_put(e, EXIT());
	emit_place(e, e->delivered);
	frame_step(e);
	frame_deliver(e);
	if (e->uses_part)
		kernel_part_put(&e->code, e->part);
	if (e->uses_slow)
		frame_slow(e);
}

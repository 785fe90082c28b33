/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A root at an interface: see kernel.h.
 *
 * The root tries its slots in their order and, when all are empty, does with the packet what would
 * be done without it. It never changes, and so its links need not; what counts is changed by an
 * update of the array, which takes some microseconds, also in XDP. The array takes programs of one
 * type only, that of the root; and of those that see packets of several buffers, or of the others,
 * as the root does.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kernel_private.h"
#include "mapi/errors.h"

#define ROOT_OTHERS_MAX 64u /* as many as the kernel allows at a place */

/* <linux/bpf.h> of Linux 6.6 */
#define ROOT_TCX_INGRESS 46
#define ROOT_TCX_EGRESS 47

static const struct {
	const char *name;
	enum kernel_hook hook;
	unsigned int n_places;
	enum kernel_place places[KERNEL_ROOT_LINKS_MAX];
} root_ways[_KERNEL_WAY_N] = {
	[KERNEL_WAY_TCX] = { "TCX", KERNEL_TC, 2, { KERNEL_TCX_INGRESS, KERNEL_TCX_EGRESS } },
	[KERNEL_WAY_TCX_INGRESS] = { "TCX ingress", KERNEL_TC, 1, { KERNEL_TCX_INGRESS } },
	[KERNEL_WAY_XDP_NATIVE] = { "native XDP", KERNEL_XDP, 1, { KERNEL_XDP_NATIVE } },
	[KERNEL_WAY_XDP_GENERIC] = { "generic XDP", KERNEL_XDP, 1, { KERNEL_XDP_GENERIC } },
};

enum kernel_hook kernel_way_hook(enum kernel_way way)
{
	return root_ways[way].hook;
}

const char *kernel_way_name(enum kernel_way way)
{
	return root_ways[way].name;
}

/* Ends with what a program in a slot says or, without one, with what is said without the root. */
static void root_slots(struct kernel_asm *c, enum kernel_hook hook, int slots)
{
	for (unsigned int i = 0; i < KERNEL_ROOT_SLOTS; i++) {
		kernel_asm_put(c, MOV_REG(BPF_REG_1, REG_CTX));
		kernel_asm_put(
			c, INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_2, BPF_PSEUDO_MAP_FD, 0, slots));
		kernel_asm_put(c, INSN(0, 0, 0, 0, 0));
		kernel_asm_put(c, MOV_IMM(BPF_REG_3, (int32_t)i));
		kernel_asm_put(c, CALL(BPF_FUNC_tail_call));
	}
	kernel_asm_put(c, MOV_IMM(BPF_REG_0, kernel_frame_verdict(hook)));
	kernel_asm_put(c, EXIT());
}

/* Return: the descriptor of the program, or a negative errno. */
static int root_load(
	enum kernel_hook hook, int slots, bool has_frags, int super_fd, struct error *err)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = has_frags ? LOAD_F_XDP_HAS_FRAGS : 0);
	struct kernel_asm c = { .n = 0 };
	int r = 0;

	kernel_asm_put(&c, MOV_REG(REG_CTX, BPF_REG_1));
	if (hook == KERNEL_TC)
		r = kernel_super_tell(&c, super_fd, err);
	if (r == 0) {
		root_slots(&c, hook, slots);
		r = kernel_asm_finish(&c, false);
	}
	if (r == 0) {
		r = bpf_prog_load(
			kernel_load_type(hook), "mapi_root", LOAD_LICENSE, c.insns, c.n, &opts);
		if (r < 0)
			r = kernel_load_fail(err, "loading a program into the kernel", errno);
	}
	kernel_asm_deinit(&c);
	return r;
}

/* ---- programs of others ---- */

static void root_name(uint32_t id, char ret[BPF_OBJ_NAME_LEN])
{
	struct bpf_prog_info info = { .type = 0 };
	uint32_t n_bytes = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id);

	memcpy(ret, "?", sizeof("?")); /* where it may not be looked at */
	if (fd < 0)
		return;
	if (bpf_obj_get_info_by_fd(fd, &info, &n_bytes) == 0)
		memcpy(ret, info.name, BPF_OBJ_NAME_LEN);
	(void)close(fd);
}

static const struct {
	enum bpf_attach_type type;
	const char *name;
} root_lists[] = {
	[KERNEL_TCX_INGRESS] = { (enum bpf_attach_type)ROOT_TCX_INGRESS, "TCX ingress" },
	[KERNEL_TCX_EGRESS] = { (enum bpf_attach_type)ROOT_TCX_EGRESS, "TCX egress" },
};

/* Whether there is such a place. That is asked first: what else a root takes there is younger than
 * Linux 6.1, too, and says less. */
static int root_has_place(unsigned int ifindex, enum kernel_place place, struct error *err)
{
	uint32_t n = 0;

	if (place > KERNEL_TCX_EGRESS ||
		bpf_prog_query((int)ifindex, root_lists[place].type, 0, NULL, NULL, &n) == 0 ||
		errno != EINVAL)
		return 0;
	return error_set(err, MFUNCT_NOT_SUPPORTED, "TCX needs Linux 6.6 (CONFIG_NET_XGRESS)");
}

/* Appends what is at a place: all of it, or what is before program @until. */
static void root_others(
	unsigned int ifindex, enum kernel_place place, const uint32_t *until, char *text)
{
	uint32_t ids[ROOT_OTHERS_MAX], n = ROOT_OTHERS_MAX, end = 0;

	if (bpf_prog_query((int)ifindex, root_lists[place].type, 0, NULL, ids, &n) < 0)
		return;
	while (until && end < n && ids[end] != *until)
		end++;
	if (until && end == n)
		return; /* it is at another place */
	for (uint32_t i = 0; i < (until ? end : n); i++) {
		char name[BPF_OBJ_NAME_LEN];
		size_t len = strlen(text);

		root_name(ids[i], name);
		(void)snprintf(text + len, KERNEL_TEXT_BYTES - len, "%s%s: program %u (%.*s)",
			len ? ", " : "", root_lists[place].name, ids[i], BPF_OBJ_NAME_LEN, name);
	}
}

uint32_t kernel_root_id(const struct kernel_root *root)
{
	struct bpf_link_info info = { .type = 0 };
	uint32_t n_bytes = sizeof(info);

	if (root->n_links == 0 || bpf_obj_get_info_by_fd(root->links[0], &info, &n_bytes) < 0)
		return 0;
	return info.prog_id;
}

void kernel_root_before(unsigned int ifindex, uint32_t id, char ret_others[KERNEL_TEXT_BYTES])
{
	ret_others[0] = '\0';
	for (enum kernel_place place = KERNEL_TCX_INGRESS; place <= KERNEL_TCX_EGRESS; place++)
		root_others(ifindex, place, &id, ret_others);
}

/* ---- the root ---- */

void kernel_root_close(struct kernel_root *root)
{
	for (unsigned int i = 0; i < KERNEL_ROOT_LINKS_MAX; i++)
		cleanup_closep(&root->links[i]);
	cleanup_closep(&root->slots);
	*root = KERNEL_ROOT_INIT;
}

int kernel_root_attach(struct kernel_root *ret, unsigned int ifindex, enum kernel_way way,
	bool discards, int super_fd, char ret_others[KERNEL_TEXT_BYTES], struct error *err)
{
	enum kernel_hook hook = root_ways[way].hook;
	struct kernel_root root = KERNEL_ROOT_INIT;
	_cleanup_(cleanup_closep) int program = -1;
	int r = root_has_place(ifindex, root_ways[way].places[0], err);

	ret_others[0] = '\0';
	if (r < 0)
		return r;
	root.slots = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "mapi_slots", sizeof(uint32_t),
		sizeof(uint32_t), KERNEL_ROOT_SLOTS, NULL);
	if (root.slots < 0)
		return kernel_load_fail(err, "making an array of programs", errno);
	program = root_load(hook, root.slots, discards && hook == KERNEL_XDP, super_fd, err);
	if (program < 0) {
		kernel_root_close(&root);
		return program;
	}
	for (unsigned int i = 0; i < root_ways[way].n_places; i++) {
		enum kernel_place place = root_ways[way].places[i];
		int link;

		if (place <= KERNEL_TCX_EGRESS) /* else it would be the only one */
			root_others(ifindex, place, NULL, ret_others);
		link = kernel_attach_fd(program, ifindex, place, err);
		if (link < 0) {
			kernel_root_close(&root);
			return link;
		}
		root.links[root.n_links++] = link;
	}
	*ret = root;
	return 0;
}

int kernel_root_put(
	const struct kernel_root *root, const struct kernel_program *program, struct error *err)
{
	const uint32_t slot = KERNEL_ROOT_COUNTS;
	int fd = kernel_program_fd(program);

	if (bpf_map_update_elem(root->slots, &slot, &fd, BPF_ANY) < 0)
		return kernel_load_fail(err, "replacing a program in the kernel", errno);
	return 0;
}

bool kernel_root_is_attached(const struct kernel_root *root)
{
	for (unsigned int i = 0; i < root->n_links; i++) {
		/* Younger than the headers of Debian 12: the interface of a TCX link stands where
		 * that of an XDP link does. */
		struct bpf_link_info info = { .type = 0 };
		uint32_t n_bytes = sizeof(info);

		if (bpf_obj_get_info_by_fd(root->links[i], &info, &n_bytes) < 0 ||
			info.xdp.ifindex == 0)
			return false;
	}
	return root->n_links > 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A root at an interface: see kernel.h.
 *
 * The root tries its slots in their order and, when all are empty, does with the packet what would
 * be done without it. It never changes, and so its links need not; what counts is changed by an
 * update of the array, which takes some microseconds, also in XDP. The array takes programs of one
 * type only, that of the root.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
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

/* What programs in the slots say does not count: a function calls them, and comes back. */
static void root_slots_and_fate(struct kernel_asm *c, enum kernel_hook hook, int slots, int fate)
{
	uint32_t function = kernel_asm_label(c), goes_on = kernel_asm_label(c);

	kernel_asm_jump(c, CALL_LABEL(), function);
	kernel_asm_put(
		c, INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_1, BPF_PSEUDO_MAP_VALUE, 0, fate));
	kernel_asm_put(c, INSN(0, 0, 0, 0, 0));
	kernel_asm_put(c, LOAD(BPF_W, BPF_REG_1, BPF_REG_1, 0));
	kernel_asm_put(c, MOV_IMM(BPF_REG_0, kernel_frame_verdict(hook)));
	kernel_asm_jump(c, IF_IMM(BPF_JEQ, BPF_REG_1, 0), goes_on);
	kernel_asm_put(c, MOV_IMM(BPF_REG_0, XDP_DROP));
	kernel_asm_place(c, goes_on);
	kernel_asm_put(c, EXIT());
	kernel_asm_place(c, function);
	kernel_asm_put(c, MOV_REG(REG_CTX, BPF_REG_1));
	root_slots(c, hook, slots);
}

/* The kernel wants to be told what functions return that call programs. Return: a descriptor of the
 * types of the root and of its function, or -1 with errno set. */
static int root_types(struct bpf_func_info infos[2])
{
	struct btf *btf = btf__new_empty();
	const void *bytes = NULL;
	uint32_t n_bytes = 0;
	int type, fd = -1;

	if (!btf)
		return -1;
	type = btf__add_int(btf, "int", sizeof(int), BTF_INT_SIGNED);
	type = type < 0 ? type : btf__add_func_proto(btf, type);
	infos[0].type_id = (uint32_t)btf__add_func(btf, "mapi_root", BTF_FUNC_GLOBAL, type);
	infos[1].type_id = (uint32_t)btf__add_func(btf, "mapi_slots", BTF_FUNC_STATIC, type);
	bytes = btf__raw_data(btf, &n_bytes);
	if (bytes)
		fd = bpf_btf_load(bytes, n_bytes, NULL);
	btf__free(btf);
	return fd;
}

/* Where the function begins: behind the end of what is before it. */
static uint32_t root_function(const struct kernel_asm *c)
{
	uint32_t i = 0;

	while (c->insns[i].code != (BPF_JMP | BPF_EXIT))
		i++;
	return i + 1;
}

/* Return: the descriptor of the program, or -1 with errno set. */
static int root_load_code(const struct kernel_asm *c, enum kernel_hook hook, bool has_function)
{
	struct bpf_func_info infos[2] = { { .insn_off = 0 } };
	_cleanup_(cleanup_closep) int types = -1;
	LIBBPF_OPTS(bpf_prog_load_opts, opts);

	if (has_function) {
		infos[1].insn_off = root_function(c);
		types = root_types(infos);
		if (types < 0)
			return -1;
		opts.prog_btf_fd = (uint32_t)types;
		opts.func_info = infos;
		opts.func_info_cnt = 2;
		opts.func_info_rec_size = sizeof(infos[0]);
	}
	return bpf_prog_load(
		kernel_load_type(hook), "mapi_root", LOAD_LICENSE, c->insns, c->n, &opts);
}

/* Return: the descriptor of the program, or a negative errno. */
static int root_load(
	enum kernel_hook hook, const struct kernel_root *root, int super_fd, struct error *err)
{
	struct kernel_asm c = { .n = 0 };
	int r = 0;

	kernel_asm_put(&c, MOV_REG(REG_CTX, BPF_REG_1));
	if (hook == KERNEL_TC)
		r = kernel_super_tell(&c, super_fd, err);
	if (r == 0) {
		if (root->fate >= 0)
			root_slots_and_fate(&c, hook, root->slots, root->fate);
		else
			root_slots(&c, hook, root->slots);
		r = kernel_asm_finish(&c, false);
	}
	if (r == 0) {
		r = root_load_code(&c, hook, root->fate >= 0);
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
	cleanup_closep(&root->fate);
	*root = KERNEL_ROOT_INIT;
}

/* The arrays of a root. Return: 0, negative errno with @err filled. */
static int root_arrays(struct kernel_root *root, bool discards, struct error *err)
{
	root->slots = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "mapi_slots", sizeof(uint32_t),
		sizeof(uint32_t), KERNEL_ROOT_SLOTS, NULL);
	if (root->slots < 0)
		return kernel_load_fail(err, "making an array of programs", errno);
	if (!discards)
		return 0;
	root->fate = bpf_map_create(
		BPF_MAP_TYPE_ARRAY, "mapi_fate", sizeof(uint32_t), sizeof(uint32_t), 1, NULL);
	return root->fate < 0 ? kernel_load_fail(err, "making a switch", errno) : 0;
}

int kernel_root_attach(struct kernel_root *ret, unsigned int ifindex, enum kernel_way way,
	bool discards, int super_fd, char ret_others[KERNEL_TEXT_BYTES], struct error *err)
{
	struct kernel_root root = KERNEL_ROOT_INIT;
	_cleanup_(cleanup_closep) int program = -1;
	int r;

	ret_others[0] = '\0';
	r = root_arrays(&root, discards && root_ways[way].hook == KERNEL_XDP, err);
	if (r == 0)
		r = program = root_load(root_ways[way].hook, &root, super_fd, err);
	if (r < 0) {
		kernel_root_close(&root);
		return r;
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

int kernel_root_discard(const struct kernel_root *root, bool discard, struct error *err)
{
	const uint32_t key = 0, value = discard;

	if (root->fate >= 0 && bpf_map_update_elem(root->fate, &key, &value, BPF_ANY) < 0)
		return kernel_load_fail(err, "telling a program in the kernel", errno);
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

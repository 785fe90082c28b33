/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel tier of a build without libbpf: there is none, and who asks is told. Nothing is ever
 * made, so what works on something made is never called.
 */
#include <errno.h>
#include <string.h>

#include "kernel.h"
#include "mapi/errors.h"

static int absent_fail(struct error *err)
{
	(void)error_set(err, MFUNCT_NOT_SUPPORTED,
		"this build runs nothing in the kernel: build it with -Dkernel=enabled");
	return -ENOTSUP;
}

const char *kernel_reason_text(enum kernel_reason reason)
{
	(void)reason;
	return "this build runs nothing in the kernel";
}

int kernel_code_new(struct kernel_code **ret, const struct kernel_options *options,
	const struct filter_program *const programs[], unsigned int n_programs)
{
	(void)ret, (void)options, (void)programs, (void)n_programs;
	return -ENOTSUP;
}

struct kernel_code *kernel_code_free(struct kernel_code *code)
{
	(void)code;
	return NULL;
}

enum kernel_hook kernel_code_hook(const struct kernel_code *code)
{
	(void)code;
	return _KERNEL_HOOK_N;
}

struct kernel_stats kernel_code_stats(const struct kernel_code *code)
{
	(void)code;
	return (struct kernel_stats){ 0 };
}

bool kernel_code_samples(const struct kernel_code *code)
{
	(void)code;
	return false;
}

enum kernel_reason kernel_code_reason(const struct kernel_code *code, unsigned int i)
{
	(void)code, (void)i;
	return _KERNEL_REASON_N;
}

int kernel_code_check(const struct kernel_code *code, struct error *err)
{
	(void)code;
	return absent_fail(err);
}

void kernel_fds_close(struct kernel_fds *fds)
{
	*fds = KERNEL_FDS_INIT;
}

int kernel_code_load(const struct kernel_code *code, struct kernel_fds *ret, struct error *err)
{
	(void)code, (void)ret;
	return absent_fail(err);
}

unsigned int kernel_n_cpus(void)
{
	return 1;
}

size_t kernel_code_area_bytes(const struct kernel_code *code)
{
	(void)code;
	return 0;
}

int kernel_area_new(size_t area_bytes, struct error *err)
{
	(void)area_bytes;
	return absent_fail(err);
}

int kernel_code_load_into(const struct kernel_code *code, uint64_t until_ns,
	const struct kernel_memory *memory, struct kernel_fds *ret, struct error *err)
{
	(void)until_ns, (void)memory;
	return kernel_code_load(code, ret, err);
}

size_t kernel_code_flatten(const struct kernel_code *code, void *bytes, size_t room_bytes)
{
	(void)code, (void)bytes, (void)room_bytes;
	return 0;
}

int kernel_code_unflatten(struct kernel_code **ret, const void *bytes, size_t n_bytes)
{
	(void)ret, (void)bytes, (void)n_bytes;
	return -EBADMSG;
}

int kernel_turns_new(struct kernel_turns **ret)
{
	*ret = NULL;
	return 0;
}

struct kernel_turns *kernel_turns_free(struct kernel_turns *turns)
{
	(void)turns;
	return NULL;
}

int kernel_turns_get(struct kernel_turns *turns)
{
	(void)turns;
	return -1;
}

void kernel_turns_put(struct kernel_turns *turns, int cell)
{
	(void)turns, (void)cell;
}

struct sampling_turns *kernel_turns_at(struct kernel_turns *turns, int cell)
{
	(void)turns, (void)cell;
	return NULL;
}

int kernel_turns_open(struct error *err)
{
	return absent_fail(err);
}

int kernel_turns_map(struct kernel_turns *turns, int fd, struct error *err)
{
	(void)turns, (void)fd;
	return absent_fail(err);
}

int kernel_turns_load(
	void *argument, const struct kernel_code *code, struct kernel_fds *ret, struct error *err)
{
	(void)argument;
	return kernel_code_load(code, ret, err);
}

int kernel_program_new(struct kernel_program **ret, const struct kernel_code *code,
	const struct kernel_fds *fds, struct error *err)
{
	(void)ret, (void)code, (void)fds;
	return absent_fail(err);
}

int kernel_program_load(
	struct kernel_program **ret, const struct kernel_code *code, struct error *err)
{
	(void)ret, (void)code;
	return absent_fail(err);
}

int kernel_program_make(struct kernel_program **ret, struct kernel_code **ret_code,
	const struct kernel_options *options, const struct filter_program *const programs[],
	unsigned int n_programs, kernel_load_fn *load, void *argument, struct error *err)
{
	(void)ret, (void)ret_code, (void)options, (void)programs, (void)n_programs;
	(void)load, (void)argument;
	return absent_fail(err);
}

struct kernel_program *kernel_program_free(struct kernel_program *program)
{
	(void)program;
	return NULL;
}

int kernel_program_fd(const struct kernel_program *program)
{
	(void)program;
	return -1;
}

void kernel_program_read(
	const struct kernel_program *program, struct kernel_count ret[], unsigned int n)
{
	(void)program;
	memset(ret, 0, n * sizeof(*ret));
}

uint64_t kernel_program_unparsed(const struct kernel_program *program)
{
	(void)program;
	return 0;
}

void kernel_program_discard(struct kernel_program *program, bool discard)
{
	(void)program, (void)discard;
}

uint64_t kernel_program_cost_ns(const struct kernel_program *program)
{
	(void)program;
	return 0;
}

int kernel_attach_socket(const struct kernel_program *program, int socket_fd, struct error *err)
{
	(void)program, (void)socket_fd;
	return absent_fail(err);
}

int kernel_attach_interface(int *ret_link_fd, const struct kernel_program *program,
	unsigned int ifindex, enum kernel_place place, struct error *err)
{
	(void)ret_link_fd, (void)program, (void)ifindex, (void)place;
	return absent_fail(err);
}

int kernel_link_replace(int link_fd, const struct kernel_program *program, struct error *err)
{
	(void)link_fd, (void)program;
	return absent_fail(err);
}

bool kernel_has_long_jumps(void)
{
	return false;
}

enum kernel_hook kernel_way_hook(enum kernel_way way)
{
	(void)way;
	return _KERNEL_HOOK_N;
}

const char *kernel_way_name(enum kernel_way way)
{
	(void)way;
	return "";
}

int kernel_root_attach(struct kernel_root *ret, unsigned int ifindex, enum kernel_way way,
	bool discards, int super_fd, char ret_others[KERNEL_TEXT_BYTES], struct error *err)
{
	(void)ret, (void)ifindex, (void)way, (void)discards, (void)super_fd, (void)ret_others;
	return absent_fail(err);
}

int kernel_super_open(struct error *err)
{
	return absent_fail(err);
}

int kernel_turns_super(struct kernel_turns *turns, struct error *err)
{
	(void)turns;
	return absent_fail(err);
}

bool kernel_code_has_root(const struct kernel_code *code)
{
	(void)code;
	return false;
}

bool kernel_code_discards(const struct kernel_code *code)
{
	(void)code;
	return false;
}

uint32_t kernel_root_id(const struct kernel_root *root)
{
	(void)root;
	return 0;
}

void kernel_root_before(unsigned int ifindex, uint32_t id, char ret_others[KERNEL_TEXT_BYTES])
{
	(void)ifindex, (void)id;
	ret_others[0] = '\0';
}

void kernel_root_close(struct kernel_root *root)
{
	(void)root;
}

int kernel_root_put(
	const struct kernel_root *root, const struct kernel_program *program, struct error *err)
{
	(void)root, (void)program;
	return absent_fail(err);
}

bool kernel_root_is_attached(const struct kernel_root *root)
{
	(void)root;
	return false;
}

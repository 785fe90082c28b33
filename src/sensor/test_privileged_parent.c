/* SPDX-License-Identifier: BSD-2-Clause */
/* See test_privileged_private.h. */
#undef NDEBUG
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "test_privileged_private.h"

/* ---- a configuration ---- */

static struct config_device test_devices[] = {
	{ .device = (char[]){ "eth7" },
		.alias = (char[]){ "uplink" },
		.driver_name = "afpacket",
		.ring_bytes = 1 << 20,
		.snaplen_bytes = 96,
		.no_promisc = true },
	{ .device = (char[]){ "replay" },
		.alias = (char[]){ "" },
		.driver_name = "tracedir",
		.trace_dir = (char[]){ "/srv/traces" } },
};

struct config test_config(bool any_interface)
{
	static char path[] = "/etc/mapi/mapi.conf";

	return (struct config){ .path = path,
		.any_interface = any_interface,
		.devices = test_devices,
		.n_devices = ARRAY_SIZE(test_devices) };
}

/* ---- the parent ---- */

uint8_t test_area[TEST_AREA_BYTES];

static void *test_parent_main(void *argument)
{
	struct test_parent *parent = argument;
	struct pollfd p = { .fd = parent->fd, .events = POLLIN };
	enum privileged_op op;

	do {
		assert(poll(&p, 1, -1) == 1);
		parent->outcome = privileged_answer(parent->fd, &parent->config, test_area,
			sizeof(test_area), &parent->loads, NULL, &op);
	} while (parent->outcome == 0);
	atomic_store(&parent->lives, false);
	return NULL;
}

int test_parent_start(struct test_parent *parent, bool any_interface)
{
	int fds[2];

	*parent = (struct test_parent){ .config = test_config(any_interface), .lives = true };
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	parent->fd = fds[0];
	assert_int_equal(pthread_create(&parent->thread, NULL, test_parent_main, parent), 0);
	return fds[1];
}

void test_parent_ended(struct test_parent *parent, int fd, int outcome)
{
	(void)close(fd);
	assert_int_equal(pthread_join(parent->thread, NULL), 0);
	assert_int_equal(parent->outcome, outcome);
	privileged_loads_clear(&parent->loads);
	(void)close(parent->fd);
}

void test_parent_end(struct test_parent *parent, int fd)
{
	test_parent_ended(parent, fd, -EPIPE);
}

unsigned int test_n_fds(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(directory);
	while (readdir(directory))
		n++;
	(void)closedir(directory);
	return n;
}

struct kernel_code *test_code(enum kernel_hook hook, unsigned int page_max)
{
	static const char *const texts[] = { "tcp port 80", "udp and ip[30] = 7" };
	struct kernel_options options = {
		.hook = hook, .page_max = page_max, .is_distrusted = hook != KERNEL_SOCKET
	};
	struct filter_program *filters[2];
	struct kernel_code *code;

	for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
		struct error err = ERROR_INIT;

		assert_int_equal(filter_compile(&filters[i], texts[i], 1, &err), 0);
	}
	assert_int_equal(
		kernel_code_new(&code, &options, (const struct filter_program *const *)filters, 2),
		0);
	for (size_t i = 0; i < ARRAY_SIZE(filters); i++)
		filter_program_free(filters[i]);
	return code;
}

bool test_has_kernel(void)
{
	if (kernel_is_built())
		return true;
	print_message("SKIP: built without the kernel tier\n");
	return false;
}

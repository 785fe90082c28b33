/* SPDX-License-Identifier: BSD-2-Clause */
/* See test_veth.h. */
#undef NDEBUG
#include "test_veth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

static bool veth_is_here;

static bool veth_command(const char *arguments)
{
	char command[256];
	uid_t euid = geteuid();
	int status;

	(void)snprintf(
		command, sizeof(command), "PATH=$PATH:/usr/sbin:/sbin ip %s 2>&1", arguments);
	if (seteuid(0) < 0)
		return false;
	status = system(command);
	return seteuid(euid) == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void test_veth_ip(const char *arguments)
{
	if (!veth_command(arguments))
		fail_msg("ip %s failed", arguments);
}

void test_veth_await_running(const char *name)
{
	uint64_t end_ns = clock_monotonic_ns() + 5000000000u;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_flags = 0 };

	(void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	do
		assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &request), 0);
	while (!(request.ifr_flags & IFF_RUNNING) && clock_monotonic_ns() < end_ns &&
		poll(NULL, 0, 1) == 0);
	assert_true(request.ifr_flags & IFF_RUNNING);
	(void)close(fd);
}

void test_veth_up(void)
{
	test_veth_ip("link set dev a up");
	test_veth_ip("link set dev b up");
	test_veth_await_running("a");
	test_veth_await_running("b");
}

bool test_veth_enter(void)
{
	int fd;

	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0)
		return false;
	/* Else the kernel sends packets of its own. */
	fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		(void)!write(fd, "1", 1); /* or there is no IPv6 */
		(void)close(fd);
	}
	if (!veth_command("link set lo up") ||
		!veth_command("link add name a type veth peer name b"))
		return false;
	test_veth_up();
	veth_is_here = true;
	return true;
}

void test_veth_need(void)
{
	if (veth_is_here)
		return;
	print_message("skip: needs root for a network namespace of its own\n");
	skip();
}

void test_veth_bind(int fd, const char *name, uint16_t protocol)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
		.sll_protocol = htons(protocol),
		.sll_ifindex = (int)if_nametoindex(name) };

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
}

int test_veth_socket(const char *name, uint16_t protocol)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	test_veth_bind(fd, name, protocol);
	return fd;
}

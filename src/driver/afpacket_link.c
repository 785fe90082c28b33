/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Questions to the kernel about interfaces, over rtnetlink: one question gives name, index, type,
 * state, MTU and counters, and needs no file system and no right. Replies come from the kernel
 * alone; they are read within their bounds all the same.
 */
#include "afpacket_private.h"

#include <errno.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"

/* Virtual functions make replies long; those whose counters do not fit are no reply. */
#define AFPACKET_REPLY_BYTES 32768

int afpacket_linktype(uint16_t type, uint32_t *ret)
{
	switch (type) {
	case ARPHRD_ETHER:
	case ARPHRD_LOOPBACK:
		*ret = AFPACKET_LINKTYPE_ETHERNET;
		return 0;
	case ARPHRD_NONE:
	case ARPHRD_RAWIP:
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
		*ret = AFPACKET_LINKTYPE_RAW;
		return 0;
	}
	return -ENOENT;
}

int afpacket_link_open(bool events)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK,
		.nl_groups = events ? RTMGRP_LINK : 0 };
	_cleanup_(cleanup_closep) int fd = -1;
	int ret;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	ret = fd;
	fd = -1;
	return ret;
}

static int afpacket_link_ask(int fd, int ifindex, const char *name)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg info;
		struct rtattr attr;
		char name[IFNAMSIZ];
	} request = {
		.head = {
			.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)),
			.nlmsg_type = RTM_GETLINK,
			.nlmsg_flags = NLM_F_REQUEST,
		},
		.info = { .ifi_family = AF_UNSPEC, .ifi_index = ifindex },
	};

	if (ifindex == 0) {
		if (strlen(name) >= IFNAMSIZ)
			return -ENODEV;
		memcpy(request.name, name, strlen(name));
		request.attr =
			(struct rtattr){ .rta_len = RTA_LENGTH(IFNAMSIZ), .rta_type = IFLA_IFNAME };
		request.head.nlmsg_len = sizeof(request);
	}
	return send(fd, &request, request.head.nlmsg_len, 0) < 0 ? -errno : 0;
}

/* What came in before the interface's taps, or would have. What a driver has dropped for lack of
 * memory is missing from what it gives to the stack as much as what the card had no room for. */
static uint64_t afpacket_link_lost(const void *data, size_t n_bytes)
{
	struct rtnl_link_stats64 stats = { .rx_packets = 0 };

	memcpy(&stats, data, MIN(n_bytes, sizeof(stats)));
	return stats.rx_dropped + stats.rx_missed_errors + stats.rx_fifo_errors;
}

static void afpacket_link_attr(
	uint16_t type, const void *data, size_t n_bytes, struct afpacket_link *ret)
{
	if (type == IFLA_IFNAME)
		memcpy(ret->name, data, MIN(n_bytes, sizeof(ret->name) - 1));
	else if (type == IFLA_MTU && n_bytes >= sizeof(ret->mtu_bytes))
		memcpy(&ret->mtu_bytes, data, sizeof(ret->mtu_bytes));
	else if (type == IFLA_STATS64)
		ret->lost_pkts = afpacket_link_lost(data, n_bytes);
}

static int afpacket_link_read(const struct nlmsghdr *head, struct afpacket_link *ret)
{
	const struct ifinfomsg *info = NLMSG_DATA(head);
	const uint8_t *at = (const uint8_t *)(info + 1);
	size_t left;

	if (head->nlmsg_len < NLMSG_LENGTH(sizeof(*info)))
		return -EBADMSG;
	*ret = (struct afpacket_link){
		.ifindex = info->ifi_index, .type = info->ifi_type, .flags = info->ifi_flags
	};
	left = head->nlmsg_len - NLMSG_LENGTH(sizeof(*info));
	while (left >= sizeof(struct rtattr)) {
		struct rtattr attr;

		memcpy(&attr, at, sizeof(attr));
		if (attr.rta_len < sizeof(attr) || attr.rta_len > left)
			return -EBADMSG;
		afpacket_link_attr(
			attr.rta_type, at + RTA_LENGTH(0), attr.rta_len - RTA_LENGTH(0), ret);
		at += MIN(RTA_ALIGN(attr.rta_len), left);
		left -= MIN(RTA_ALIGN(attr.rta_len), left);
	}
	return 0;
}

int afpacket_link_get(int fd, int ifindex, const char *name, struct afpacket_link *ret)
{
	_Alignas(struct nlmsghdr) char reply[AFPACKET_REPLY_BYTES];
	const struct nlmsghdr *head = (const struct nlmsghdr *)reply;
	ssize_t n;
	int r;

	/* What a broken-off question may have left. */
	while (recv(fd, reply, sizeof(reply), MSG_DONTWAIT) > 0)
		;
	r = afpacket_link_ask(fd, ifindex, name);
	if (r < 0)
		return r;
	n = recv(fd, reply, sizeof(reply), MSG_DONTWAIT); /* is there when send() returns */
	if (n < 0)
		return -errno;
	if (!NLMSG_OK(head, (size_t)n))
		return -EBADMSG;
	if (head->nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *error = NLMSG_DATA(head);

		if (head->nlmsg_len < NLMSG_LENGTH(sizeof(*error)) || error->error >= 0)
			return -EBADMSG;
		return error->error;
	}
	return head->nlmsg_type == RTM_NEWLINK ? afpacket_link_read(head, ret) : -EBADMSG;
}

/* "  name: bytes packets errs drop fifo ...", of what was received. Missed packets are in drop.
 * Return: whether the line is that of @name. */
static bool afpacket_link_line(const char *line, const char *name, uint64_t *ret)
{
	unsigned long long drop, fifo;
	size_t n = strlen(name);

	line += strspn(line, " ");
	if (strncmp(line, name, n) != 0 || line[n] != ':')
		return false;
	if (sscanf(line + n + 1, " %*u %*u %*u %llu %llu", &drop, &fifo) != 2)
		return false;
	*ret = drop + fifo;
	return true;
}

int afpacket_link_lost_now(int fd, const char *name, uint64_t *ret)
{
	char text[4096];
	size_t held = 0;
	ssize_t n;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	while ((n = read(fd, text + held, sizeof(text) - 1 - held)) > 0) {
		char *line = text, *end;

		text[held + (size_t)n] = '\0';
		while ((end = strchr(line, '\n'))) {
			*end = '\0';
			if (afpacket_link_line(line, name, ret))
				return 0;
			line = end + 1;
		}
		held = strlen(line);
		memmove(text, line, held);
	}
	return n < 0 ? -errno : -ENODEV;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Questions to the kernel about interfaces, over rtnetlink: one question gives name, index, type,
 * state and MTU, another counters; they need no file system and no right. Replies come from the
 * kernel alone; they are read within their bounds all the same.
 */
#include "afpacket_private.h"

#include <errno.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
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

/* What a broken-off question may have left. */
static void afpacket_link_drain(int fd)
{
	char ignored[256];

	while (recv(fd, ignored, sizeof(ignored), MSG_DONTWAIT) > 0)
		;
}

/* The answer is there when send() returns. @ret_head: within @reply, of the type @type, and its
 * data are as long as it says. */
static int afpacket_link_answer(int fd, void *reply, size_t reply_bytes, uint16_t type)
{
	const struct nlmsghdr *head = reply;
	ssize_t n = recv(fd, reply, reply_bytes, MSG_DONTWAIT);

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
	return head->nlmsg_type == type ? 0 : -EBADMSG;
}

static void afpacket_link_attr(
	uint16_t type, const void *data, size_t n_bytes, struct afpacket_link *ret)
{
	if (type == IFLA_IFNAME)
		memcpy(ret->name, data, MIN(n_bytes, sizeof(ret->name) - 1));
	else if (type == IFLA_MTU && n_bytes >= sizeof(ret->mtu_bytes))
		memcpy(&ret->mtu_bytes, data, sizeof(ret->mtu_bytes));
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
	int r;

	afpacket_link_drain(fd);
	r = afpacket_link_ask(fd, ifindex, name);
	if (r == 0)
		r = afpacket_link_answer(fd, reply, sizeof(reply), RTM_NEWLINK);
	return r < 0 ? r : afpacket_link_read((const struct nlmsghdr *)reply, ret);
}

/*
 * Of linux/if_link.h: what a card has no room for is in rx_missed_errors; where a driver uses
 * rx_fifo_errors or rx_over_errors for that, it is one or the other, or both for the same packets.
 */
static void afpacket_link_count(const void *data, size_t n_bytes, struct afpacket_counts *ret)
{
	struct rtnl_link_stats64 stats = { .rx_packets = 0 };

	memcpy(&stats, data, MIN(n_bytes, sizeof(stats)));
	*ret = (struct afpacket_counts){ .missed_pkts = stats.rx_missed_errors +
			MAX(stats.rx_fifo_errors, stats.rx_over_errors),
		.dropped_pkts = stats.rx_dropped };
}

int afpacket_link_counts(int fd, int ifindex, struct afpacket_counts *ret)
{
	const struct {
		struct nlmsghdr head;
		struct if_stats_msg stats;
	} request = {
		.head = {
			.nlmsg_len = sizeof(request),
			.nlmsg_type = RTM_GETSTATS,
			.nlmsg_flags = NLM_F_REQUEST,
		},
		.stats = { .ifindex = (uint32_t)ifindex,
			.filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64) },
	};
	struct {
		struct nlmsghdr head;
		struct if_stats_msg stats;
		struct rtattr attr;
		char data[1024];
	} reply;
	size_t n_bytes;
	int r;

	afpacket_link_drain(fd);
	if (send(fd, &request, sizeof(request), 0) < 0)
		return -errno;
	r = afpacket_link_answer(fd, &reply, sizeof(reply), RTM_NEWSTATS);
	if (r < 0)
		return r;
	n_bytes = reply.head.nlmsg_len - offsetof(__typeof__(reply), attr);
	if (reply.head.nlmsg_len < offsetof(__typeof__(reply), data) ||
		reply.attr.rta_type != IFLA_STATS_LINK_64 || reply.attr.rta_len < RTA_LENGTH(0) ||
		reply.attr.rta_len > n_bytes)
		return -EBADMSG;
	afpacket_link_count(reply.data, reply.attr.rta_len - RTA_LENGTH(0), ret);
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* See host.h. Rights: host_rights.c. */
#include "host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/if_arp.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST_ROUTE_UP 0x1u /* linux/route.h: RTF_UP */
#define HOST_ROUTE_REJECT 0x200u /* RTF_REJECT */
#define HOST_LINE_BYTES 512

/* Kinds that name no bearer one would know by a name. */
#define HOST_ARPHRD_IEEE80211 801u
#define HOST_ARPHRD_IEEE80211_RADIOTAP 803u

bool host_line(const char *path, char *out, size_t out_bytes)
{
	FILE *in = fopen(path, "re");
	bool ok = in && fgets(out, (int)out_bytes, in);

	if (in)
		(void)fclose(in);
	if (ok)
		out[strcspn(out, "\n")] = '\0';
	else
		*out = '\0';
	return ok;
}

int host_route4(FILE *in, char ret_name[IF_NAMESIZE])
{
	char line[HOST_LINE_BYTES], name[IF_NAMESIZE];
	unsigned int destination, flags, metric, mask;
	unsigned long best = ULONG_MAX;

	while (fgets(line, sizeof(line), in)) {
		if (sscanf(line, "%15s %x %*x %x %*d %*d %u %x", name, &destination, &flags,
			    &metric, &mask) != 5)
			continue;
		if (destination || mask || !(flags & HOST_ROUTE_UP) ||
			(flags & HOST_ROUTE_REJECT) || metric >= best)
			continue;
		best = metric;
		memcpy(ret_name, name, IF_NAMESIZE);
	}
	return best == ULONG_MAX ? -ENOENT : 0;
}

int host_route6(FILE *in, char ret_name[IF_NAMESIZE])
{
	char line[HOST_LINE_BYTES], destination[33], name[IF_NAMESIZE];
	unsigned int prefix_len, metric, flags;
	unsigned long best = ULONG_MAX;

	while (fgets(line, sizeof(line), in)) {
		if (sscanf(line, "%32s %x %*s %*x %*s %x %*x %*x %x %15s", destination, &prefix_len,
			    &metric, &flags, name) != 5)
			continue;
		/* The kernel keeps an unreachable default route on lo. */
		if (prefix_len || strspn(destination, "0") != 32 || !(flags & HOST_ROUTE_UP) ||
			(flags & HOST_ROUTE_REJECT) || metric >= best)
			continue;
		best = metric;
		memcpy(ret_name, name, IF_NAMESIZE);
	}
	return best == ULONG_MAX ? -ENOENT : 0;
}

int host_default_device(char ret_name[IF_NAMESIZE])
{
	FILE *in = fopen("/proc/net/route", "re");
	int r = -ENOENT;

	if (in) {
		r = host_route4(in, ret_name);
		(void)fclose(in);
	}
	if (r < 0 && (in = fopen("/proc/net/ipv6_route", "re"))) {
		r = host_route6(in, ret_name);
		(void)fclose(in);
	}
	return r;
}

const char *host_kind(unsigned int type, bool wireless)
{
	switch (type) {
	case ARPHRD_ETHER:
		return wireless ? "wifi" : "ethernet";
	case ARPHRD_LOOPBACK:
		return "loopback";
	case HOST_ARPHRD_IEEE80211:
	case HOST_ARPHRD_IEEE80211_RADIOTAP:
		return "wifi";
	case ARPHRD_PPP:
		return "ppp";
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
		return "tunnel";
	case ARPHRD_NONE:
	case ARPHRD_RAWIP:
		return "ip";
	default:
		return "other";
	}
}

/* A number of /sys/class/net/NAME/WHAT. Return: -1 if it has none. */
static long host_number(const char *name, const char *what)
{
	char path[128], line[64], *end;
	long value;

	(void)snprintf(path, sizeof(path), "/sys/class/net/%s/%s", name, what);
	if (!host_line(path, line, sizeof(line)))
		return -1;
	value = strtol(line, &end, 0);
	return end == line ? -1 : value;
}

static void host_link_text(struct host_interface *interface, const struct sockaddr_ll *link)
{
	size_t n = 0;
	unsigned int i, sum = 0;

	for (i = 0; i < link->sll_halen && i < 6; i++)
		sum |= link->sll_addr[i];
	for (i = 0; sum && i < link->sll_halen && i < 6; i++)
		n += (size_t)snprintf(interface->link + n, sizeof(interface->link) - n, "%s%02x",
			i ? ":" : "", link->sll_addr[i]);
}

/* Whatever needs one of the old requests. */
static void host_ask(struct host_interface *interface, int fd)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	struct ifreq request = { .ifr_mtu = 0 };

	memcpy(request.ifr_name, interface->name, sizeof(request.ifr_name));
	if (ioctl(fd, SIOCGIFMTU, &request) == 0)
		interface->mtu = (unsigned int)request.ifr_mtu;
	request.ifr_data = (void *)&info;
	if (ioctl(fd, SIOCETHTOOL, &request) == 0)
		(void)snprintf(interface->driver, sizeof(interface->driver), "%.31s", info.driver);
}

static void host_describe(
	struct host_interface *interface, unsigned int type, unsigned int flags, int fd)
{
	char path[128];
	long number;

	host_ask(interface, fd);
	(void)snprintf(path, sizeof(path), "/sys/class/net/%s/phy80211", interface->name);
	interface->kind = host_kind(type, access(path, F_OK) == 0);
	if (flags & IFF_LOOPBACK)
		interface->kind = "loopback";
	if (!(flags & IFF_UP))
		interface->state = "down";
	else
		interface->state = flags & IFF_RUNNING ? "up" : "no carrier";
	interface->promiscuous = flags & IFF_PROMISC;
	number = host_number(interface->name, "flags");
	if (number >= 0) /* what getifaddrs() tells leaves out who only counts */
		interface->promiscuous = number & IFF_PROMISC;
	number = host_number(interface->name, "speed");
	interface->speed_mbps = number > 0 ? (unsigned int)number : 0;
}

static void host_add_address(struct host_interface *interface, const struct sockaddr *address)
{
	const void *from = address->sa_family == AF_INET
		? (const void *)&((const struct sockaddr_in *)(const void *)address)->sin_addr
		: (const void *)&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
	unsigned int n = interface->n_addresses;

	if (n < HOST_ADDRESSES_MAX &&
		!inet_ntop(address->sa_family, from, interface->addresses[n], HOST_ADDRESS_BYTES))
		return;
	interface->n_addresses++;
}

static struct host_interface *host_find(
	struct host_interface *interfaces, unsigned int n, const char *name)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (!strcmp(interfaces[i].name, name))
			return &interfaces[i];
	return NULL;
}

static int host_compare(const void *a, const void *b)
{
	const struct host_interface *x = a, *y = b;

	return (x->index > y->index) - (x->index < y->index);
}

int host_interfaces(struct host_interface **ret, unsigned int *ret_n)
{
	struct host_interface *interfaces = NULL, *interface;
	const struct sockaddr_ll *link;
	struct ifaddrs *list, *at;
	unsigned int n = 0, n_links = 0;
	int fd;

	if (getifaddrs(&list) < 0)
		return -errno;
	for (at = list; at; at = at->ifa_next)
		n_links += at->ifa_addr && at->ifa_addr->sa_family == AF_PACKET;
	interfaces = calloc(n_links + 1u, sizeof(*interfaces));
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	for (at = list; at && interfaces; at = at->ifa_next) {
		if (!at->ifa_addr || at->ifa_addr->sa_family != AF_PACKET)
			continue;
		interface = &interfaces[n++];
		(void)snprintf(interface->name, sizeof(interface->name), "%s", at->ifa_name);
		interface->index = if_nametoindex(at->ifa_name);
		link = (const struct sockaddr_ll *)(void *)at->ifa_addr;
		host_link_text(interface, link);
		host_describe(interface, link->sll_hatype, at->ifa_flags, fd);
	}
	for (at = list; at && interfaces; at = at->ifa_next) {
		interface = host_find(interfaces, n, at->ifa_name);
		if (interface && at->ifa_addr &&
			(at->ifa_addr->sa_family == AF_INET || at->ifa_addr->sa_family == AF_INET6))
			host_add_address(interface, at->ifa_addr);
	}
	if (fd >= 0)
		(void)close(fd);
	freeifaddrs(list);
	if (!interfaces)
		return -ENOMEM;
	qsort(interfaces, n, sizeof(*interfaces), host_compare);
	*ret = interfaces;
	*ret_n = n;
	return 0;
}

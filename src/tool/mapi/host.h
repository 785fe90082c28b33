/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tool knows about the machine it runs on without asking a daemon: interfaces, the default
 * route, the rights of this process. Read from the kernel; nothing is changed.
 */
#ifndef MAPI_TOOL_HOST_H
#define MAPI_TOOL_HOST_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define HOST_ADDRESSES_MAX 32
#define HOST_ADDRESS_BYTES 64

/**
 * struct host_interface - one network interface
 * @kind:       "ethernet", "loopback", "wifi", "tunnel", "ppp", "ip", "other"
 * @link:       link address as text, empty if it has none
 * @driver:     of the kernel, as it names itself; empty if it does not
 * @state:      "up", "no carrier", "down"
 * @speed_mbps: 0: unknown
 * @n_addresses: all; HOST_ADDRESSES_MAX of them are kept
 */
struct host_interface {
	char name[IF_NAMESIZE];
	unsigned int index;
	const char *kind;
	char link[24];
	char driver[32];
	const char *state;
	bool promiscuous;
	unsigned int mtu;
	unsigned int speed_mbps;
	char addresses[HOST_ADDRESSES_MAX][HOST_ADDRESS_BYTES];
	unsigned int n_addresses;
};

/* All interfaces of this network namespace by index. The caller frees. Return: 0, negative errno.
 */
int host_interfaces(struct host_interface **ret, unsigned int *ret_n);

/* "wifi", "ethernet" ... of an ARPHRD_ value. */
const char *host_kind(unsigned int type, bool wireless);

/* The interface of the IPv4 or, without one, the IPv6 default route with the lowest metric. Return:
 * 0, -ENOENT. */
int host_default_device(char ret_name[IF_NAMESIZE]);

/* The same from what /proc/net/route and /proc/net/ipv6_route hold. */
int host_route4(FILE *in, char ret_name[IF_NAMESIZE]);
int host_route6(FILE *in, char ret_name[IF_NAMESIZE]);

/* Capabilities by their numbers in linux/capability.h. */
#define HOST_CAP(number) (UINT64_C(1) << (number))

/* Of this process, effective; 0 if they can't be read. */
uint64_t host_capabilities(void);

enum host_daemon {
	HOST_DAEMON_OK, /* accepts connections of this process */
	HOST_DAEMON_NONE, /* no socket, or nobody listens at it */
	HOST_DAEMON_DENIED /* it is there, not for this user */
};

/**
 * struct host_rights - may this process capture?
 * @raw:    it may open packet sockets itself
 * @daemon: else the system daemon may do it
 * @path:   of its socket
 * @group:  whose members may use it
 * @member: this user is listed in the group; @active: this process has it
 */
struct host_rights {
	bool raw;
	enum host_daemon daemon;
	char path[128];
	char group[64];
	bool member;
	bool active;
};

void host_rights(struct host_rights *ret);

static inline bool host_may_capture(const struct host_rights *rights)
{
	return rights->raw || rights->daemon == HOST_DAEMON_OK;
}

/* What to do in order to capture: one sentence, empty if nothing needs to be done. */
void host_advice(char *out, size_t out_bytes, const struct host_rights *rights);

/* The first line of a small file, without its end. Return: whether there is one. */
bool host_line(const char *path, char *out, size_t out_bytes);

#endif

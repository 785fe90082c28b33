/* SPDX-License-Identifier: BSD-2-Clause */
/* What mapi doctor finds out about rights, and about a device. */
#include "base/release.h"
#include "doctor.h"

#include <linux/capability.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

/* ---- rights ---- */

/* Those that matter here. CAP_PERFMON and CAP_BPF have their own names since 5.8. */
static const struct doctor_cap {
	unsigned int number;
	const char *name;
} doctor_caps[] = {
	{ CAP_NET_RAW, "NET_RAW" },
	{ CAP_NET_ADMIN, "NET_ADMIN" },
	{ CAP_IPC_LOCK, "IPC_LOCK" },
	{ CAP_SYS_ADMIN, "SYS_ADMIN" },
	{ 38, "PERFMON" },
	{ 39, "BPF" },
};

static void doctor_capabilities(struct doctor *d)
{
	char names[128] = "";
	size_t n = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(doctor_caps); i++)
		if (d->capabilities & HOST_CAP(doctor_caps[i].number))
			n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s", n ? " " : "",
				doctor_caps[i].name);
	if (d->rights.raw)
		doctor_add(d, "capabilities", DOCTOR_OK, NULL, NULL, "%s", names);
	else if (d->rights.daemon == HOST_DAEMON_OK)
		doctor_add(d, "capabilities", DOCTOR_OK, NULL, NULL,
			"%s; the system daemon captures", *names ? names : "none");
	else
		doctor_add(d, "capabilities", DOCTOR_MISSING,
			"Without CAP_NET_RAW this process can't capture by itself.",
			"sudo, or the system daemon", "%s", *names ? names : "none");
}

static void doctor_daemon(struct doctor *d)
{
	static const char cost[] = "Each program captures for itself, and needs the right to.";
	const struct host_rights *rights = &d->rights;
	char advice[256];

	host_advice(advice, sizeof(advice), rights);
	switch (rights->daemon) {
	case HOST_DAEMON_OK:
		doctor_add(
			d, "system daemon", DOCTOR_OK, NULL, NULL, "answers at %s", rights->path);
		break;
	case HOST_DAEMON_NONE:
		doctor_add(d, "system daemon", rights->raw ? DOCTOR_NOTE : DOCTOR_MISSING, cost,
			*advice ? advice : "systemctl start mapid", "nobody listens at %s",
			rights->path);
		break;
	case HOST_DAEMON_DENIED:
		doctor_add(d, "system daemon", rights->raw ? DOCTOR_NOTE : DOCTOR_MISSING, cost,
			advice, "not for this user: %s", rights->path);
		break;
	}
	if (rights->active || rights->raw)
		doctor_add(d, "group", DOCTOR_OK, NULL, NULL, "%s%s",
			rights->active ? "member of " : "not needed by this user: ", rights->group);
	else
		doctor_add(d, "group", DOCTOR_NOTE, "The system daemon may refuse this user.", NULL,
			"not a member of %s", rights->group);
}

void doctor_rights(struct doctor *d)
{
	doctor_capabilities(d);
	doctor_daemon(d);
}

/* ---- device ---- */

/* Offloads of a device and what they do to what is captured. */
static const struct doctor_offload {
	const char *name;
	unsigned int request;
	unsigned int flag; /* 0: the value is a truth */
	const char *option; /* of ethtool -K */
	const char *cost; /* NULL: none worth a note */
	const char *told; /* the rest of it, where the kernel tells of super-packets; NULL: none */
} doctor_offloads[] = {
	{ "GRO", ETHTOOL_GGRO, 0, "gro", "Received packets may be captured merged into larger ones",
		"; counters know, and recordings in pcapng, other functions see the merged one." },
	{ "LRO", ETHTOOL_GFLAGS, ETH_FLAG_LRO, "lro",
		"Received packets are merged for good; what arrived can't be told.", NULL },
	{ "GSO", ETHTOOL_GGSO, 0, "gso", "Sent packets are captured before they are cut to size",
		"; counters know, and recordings in pcapng." },
	{ "TSO", ETHTOOL_GTSO, 0, "tso", "Sent packets are captured before they are cut to size",
		"; counters know, and recordings in pcapng." },
	{ "TX checksums", ETHTOOL_GTXCSUM, 0, "tx",
		"Checksums of sent packets are captured unfinished.", NULL },
	{ "VLAN tags", ETHTOOL_GFLAGS, ETH_FLAG_RXVLAN, "rxvlan", NULL, NULL }, /* put back by us */
};

static void doctor_offload(struct doctor *d, int fd, const struct doctor_offload *offload)
{
	struct ethtool_value value = { .cmd = offload->request };
	struct ifreq request = { .ifr_data = (void *)&value };
	const char *told = offload->told;
	char fix[128], cost[192];
	bool on;

	(void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", d->device);
	if (ioctl(fd, SIOCETHTOOL, &request) < 0)
		return;
	on = offload->flag ? value.data & offload->flag : value.data;
	(void)snprintf(fix, sizeof(fix), "to see packets as on the wire: ethtool -K %s %s off",
		d->device, offload->option);
	if (told && d->release < RELEASE_SUPER_PACKETS)
		told = "; how they are counted: super-packets, above.";
	(void)snprintf(
		cost, sizeof(cost), "%s%s", offload->cost ? offload->cost : "", told ? told : "");
	if (on && offload->cost)
		doctor_add(d, offload->name, DOCTOR_NOTE, cost, fix, "on");
	else
		doctor_add(d, offload->name, DOCTOR_OK, NULL, NULL, "%s%s", on ? "on" : "off",
			on ? "; put back where they were. XDP sees none, so it is not used" : "");
}

/* What a card keeps until the kernel takes it. Devices that are none (veth, lo) say nothing. */
static void doctor_card_ring(struct doctor *d, int fd)
{
	struct ethtool_ringparam ring = { .cmd = ETHTOOL_GRINGPARAM };
	struct ifreq request = { .ifr_data = (void *)&ring };
	char fix[128];

	(void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", d->device);
	if (ioctl(fd, SIOCETHTOOL, &request) < 0 || !ring.rx_max_pending) {
		doctor_add(
			d, "card's ring", DOCTOR_OK, NULL, NULL, "none that the driver tells of");
		return;
	}
	(void)snprintf(fix, sizeof(fix), "ethtool -G %s rx %u", d->device, ring.rx_max_pending);
	if (ring.rx_pending < ring.rx_max_pending)
		doctor_add(d, "card's ring", DOCTOR_NOTE,
			"Packets that come while it is full are lost (nic).", fix,
			"%u of %u packets", ring.rx_pending, ring.rx_max_pending);
	else
		doctor_add(d, "card's ring", DOCTOR_OK, NULL, NULL, "%u packets", ring.rx_pending);
}

static const struct host_interface *doctor_find(
	const char *name, const struct host_interface *interfaces, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (!strcmp(interfaces[i].name, name))
			return &interfaces[i];
	return NULL;
}

static void doctor_interface(struct doctor *d, const struct host_interface *interface)
{
	unsigned int i;
	int fd;

	if (!strcmp(interface->state, "down"))
		doctor_add(d, "device", DOCTOR_NOTE, "Nothing arrives until it is up.",
			"ip link set up", "%s: down", interface->name);
	else
		doctor_add(d, "device", !strcmp(interface->state, "up") ? DOCTOR_OK : DOCTOR_NOTE,
			NULL, NULL, "%s: %s, %s, MTU %u%s%s", interface->name, interface->kind,
			interface->state, interface->mtu, *interface->driver ? ", driver " : "",
			interface->driver);
	doctor_add(d, "promiscuous", DOCTOR_OK, NULL, NULL, "%s",
		interface->promiscuous ? "on already: someone captures, or it belongs to a bridge"
				       : "off; capture turns it on while it runs");
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	for (i = 0; i < ARRAY_SIZE(doctor_offloads) && fd >= 0; i++)
		doctor_offload(d, fd, &doctor_offloads[i]);
	if (fd >= 0) {
		doctor_card_ring(d, fd);
		(void)close(fd);
	}
	doctor_places(d, interface->index);
}

void doctor_device(struct doctor *d)
{
	struct host_interface *interfaces;
	const struct host_interface *interface;
	unsigned int n;

	if (!d->device) {
		doctor_add(d, "default device", DOCTOR_NOTE,
			"\"mapi top\" and this program want a device to be named.", "-i DEVICE",
			"there is no default route");
		return;
	}
	if (host_interfaces(&interfaces, &n) < 0)
		return;
	interface = doctor_find(d->device, interfaces, n);
	if (interface)
		doctor_interface(d, interface);
	else if (*d->driver)
		doctor_add(d, "device", DOCTOR_OK, NULL, NULL,
			"%s: no interface; driver %s of mapid", d->device, d->driver);
	else
		doctor_add(d, "device", DOCTOR_MISSING, "Nothing can be captured there.",
			"\"mapi devices\" lists what there is", "%s: no such interface", d->device);
	free(interfaces);
}

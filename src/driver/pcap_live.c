/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The driver of whatever libpcap opens and the driver afpacket does not: "usbmon1", "bluetooth0",
 * "nflog", "dbus-system", cards that libpcap was built for ("dag0"), and any device that is written
 * "pcap:NAME" or configured with driver=pcap.
 *
 * claim() collects what libpcap has into a chunk of copies, because libpcap lends a packet only
 * until its callback returns. What libpcap does not tell is not there: the direction of a packet,
 * and what a super-packet stands for.
 *
 * There is no prepare(): libpcap cannot open a device in one process for another. So for the engine
 * of the system daemon, which has no rights, another process reads them (relay.h): with this
 * driver.
 *
 * A device that goes away (its interface is removed, its card pulled out) or is down is opened
 * again as soon as it can be. What it missed meanwhile nobody knows; the outage is counted.
 */
#include "driver.h"

#include <errno.h>
#include <net/if.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "copy_private.h"
#include "mapi/errors.h"
#include "wire/wake.h"

#define PCAP_LIVE_PREFIX "pcap:"
#define PCAP_LIVE_RING_BYTES (16u << 20) /* libpcap's own default is 2 MiB */
#define PCAP_LIVE_INTERFACES_MAX 16 /* link types that a device has had */
#define PCAP_LIVE_MS 1000000u /* nanoseconds */
#define PCAP_LIVE_LOOK_NS (100u * PCAP_LIVE_MS) /* at counters and interface */
#define PCAP_LIVE_RETRY_NS (250u * PCAP_LIVE_MS)

/**
 * struct driver_source - a device opened through libpcap
 * @device:     as libpcap calls it
 * @is_netdev:  it is a network interface, whose state can be asked for
 * @ask_fd:     a socket for that
 * @handle_lock: for wake(); @handle is changed by claim() only. NULL: the device cannot be opened
 * @select_fd:  -1: cannot be waited for
 * @has_more:   libpcap may have packets that it has read already
 * @snaplen_bytes: no packet is longer
 * @ps_drop, @ps_ifdrop: the handle's counters when they were looked at last
 */
struct driver_source {
	char *device;
	struct driver_options options;
	bool is_netdev;
	int ask_fd;
	int wake_fd;
	_Atomic bool woken;
	pthread_mutex_t handle_lock;
	pcap_t *handle;
	int select_fd;
	bool has_more;
	bool micros;
	uint32_t snaplen_bytes;
	uint16_t ifindex;
	unsigned int netdev_index;
	uint64_t look_ns;
	uint64_t retry_ns;
	uint32_t ps_drop;
	uint32_t ps_ifdrop;
	_Atomic uint64_t ring_lost_pkts;
	_Atomic uint64_t nic_lost_pkts;
	_Atomic uint64_t outages;
	_Atomic enum driver_state state;
	_Atomic unsigned int n_interfaces;
	struct driver_interface interfaces[PCAP_LIVE_INTERFACES_MAX];
	struct copy_pool pool;
};

static bool pcap_live_match(const struct driver_open_args *args)
{
	if (args->fd >= 0)
		return false;
	if (args->options && args->options->driver)
		return strcmp(args->options->driver, "pcap") == 0;
	return args->name[0] !=
		'\0'; /* the last of the list: what else there may be, libpcap knows */
}

/* As libpcap calls it. */
static const char *pcap_live_device(const char *name)
{
	return strncmp(name, PCAP_LIVE_PREFIX, strlen(PCAP_LIVE_PREFIX)) == 0
		? name + strlen(PCAP_LIVE_PREFIX)
		: name;
}

/* ---- opening and closing the handle ---- */

/* The LINKTYPE_ of a handle, which libpcap tells only to files. Return: -EINVAL if there is none.
 */
static int pcap_live_linktype(pcap_t *handle, uint32_t *ret)
{
	struct pcap_file_header header = { .linktype = 0 };
	FILE *file = fmemopen(&header, sizeof(header), "wb");
	pcap_dumper_t *dumper;
	int r;

	if (!file)
		return -ENOMEM;
	(void)setvbuf(file, NULL, _IONBF, 0);
	dumper = pcap_dump_fopen(handle, file);
	if (!dumper) {
		(void)fclose(file);
		return -EINVAL;
	}
	r = pcap_dump_flush(dumper);
	pcap_dump_close(dumper);
	*ret = header.linktype & 0xffff; /* above: the length of a check sum */
	return r == 0 ? 0 : -EINVAL;
}

/* The number of the interface with this link type. Return: 0, -ENOSPC. */
static int pcap_live_interface_add(struct driver_source *source, uint32_t linktype)
{
	unsigned int n = atomic_load_explicit(&source->n_interfaces, memory_order_relaxed);
	struct driver_interface *interface;
	uint16_t i = 0;

	while (i < n && source->interfaces[i].linktype != linktype)
		i++;
	if (i == PCAP_LIVE_INTERFACES_MAX)
		return -ENOSPC;
	source->ifindex = i;
	if (i < n)
		return 0;
	interface = &source->interfaces[i];
	*interface = (struct driver_interface){ .linktype = linktype,
		.snaplen_bytes = source->options.snaplen_bytes,
		.ts_units_per_s = 1000000000u };
	(void)snprintf(interface->name, sizeof(interface->name), "%s", source->device);
	/* Pairs with pcap_live_interface(). */
	atomic_store_explicit(&source->n_interfaces, n + 1, memory_order_release);
	return 0;
}

/* libpcap's words in one line. @device: @name without what says that libpcap opens it. */
static int pcap_live_refuse(
	const char *name, const char *device, int outcome, const char *words, struct error *err)
{
	/* Without the right libpcap does not tell what is missing from what is forbidden. */
	bool may_be_missing = strcmp(device, "any") != 0 && if_nametoindex(device) == 0;
	char text[PCAP_ERRBUF_SIZE];

	if (words[0] == '\0')
		words = pcap_statustostr(outcome);
	(void)snprintf(text, sizeof(text), "%s", words);
	for (char *at = text; *at; at++)
		if (*at == '\n')
			*at = ' ';
	if (outcome == PCAP_ERROR_PERM_DENIED || outcome == PCAP_ERROR_PROMISC_PERM_DENIED)
		return error_set(err, MAPI_NO_PERMISSION,
			"%s: %sno right to capture through libpcap (%s): be root, or have a system "
			"daemon that was started as root",
			name,
			may_be_missing ? "there is no such interface; for other devices there is "
				       : "",
			text);
	return error_set(err, MAPID_NO_DRIVER, "%s: libpcap cannot open it: %s%s", name, text,
		outcome == PCAP_ERROR_NO_SUCH_DEVICE ? driver_file_advice(name) : "");
}

static int pcap_live_set_up(struct driver_source *source, pcap_t *handle)
{
	uint64_t ring_bytes =
		source->options.ring_bytes ? source->options.ring_bytes : PCAP_LIVE_RING_BYTES;
	int snaplen = source->options.snaplen_bytes
		? (int)MIN(source->options.snaplen_bytes, PACKET_CAP_BYTES_MAX)
		: (int)PACKET_CAP_BYTES_MAX;
	int r;

	/* These fail only for a handle that is active, the last also for a device without. */
	(void)pcap_set_snaplen(handle, snaplen);
	(void)pcap_set_promisc(handle, !source->options.no_promisc);
	/* What was captured when claim() began is there when it ends. */
	(void)pcap_set_timeout(handle, DRIVER_IDLE_MS / 2);
	(void)pcap_set_buffer_size(handle, (int)MIN(ring_bytes, (uint64_t)INT32_MAX));
	(void)pcap_set_tstamp_precision(handle, PCAP_TSTAMP_PRECISION_NANO);
	r = pcap_activate(handle);
	if (r < 0)
		return r;
	/* A header that also tells the interface, as tcpdump asks for; older libraries have none.
	 */
	if (strcmp(source->device, "any") == 0)
		(void)pcap_set_datalink(handle, DLT_LINUX_SLL2);
	source->snaplen_bytes = (uint32_t)snaplen;
	source->micros = pcap_get_tstamp_precision(handle) != PCAP_TSTAMP_PRECISION_NANO;
	return 0;
}

/* Return: 0; PCAP_ERROR_IFACE_NOT_UP; -EINVAL with @err filled. */
static int pcap_live_handle_open(struct driver_source *source, const char *name, struct error *err)
{
	char errbuf[PCAP_ERRBUF_SIZE] = "";
	pcap_t *handle = pcap_create(source->device, errbuf);
	uint32_t linktype;
	int r;

	if (!handle)
		return pcap_live_refuse(name, source->device, PCAP_ERROR, errbuf, err);
	r = pcap_live_set_up(source, handle);
	if (r == PCAP_ERROR_IFACE_NOT_UP) {
		pcap_close(handle);
		return r;
	}
	if (r < 0) {
		r = pcap_live_refuse(name, source->device, r, pcap_geterr(handle), err);
	} else if (pcap_live_linktype(handle, &linktype) < 0 ||
		pcap_live_interface_add(source, linktype) < 0) {
		r = error_set(err, MAPID_NO_DRIVER,
			"%s: packets of its kind cannot be kept in capture files (DLT %d)", name,
			pcap_datalink(handle));
	}
	if (r < 0) {
		pcap_close(handle);
		return r;
	}
	/* Where this is not possible claim() waits in libpcap, which is told the time to wait. */
	(void)pcap_setnonblock(handle, 1, errbuf);
	source->select_fd = pcap_get_selectable_fd(handle);
	source->has_more = false;
	source->ps_drop = source->ps_ifdrop = 0;
	source->netdev_index = if_nametoindex(source->device);
	source->is_netdev = source->is_netdev || source->netdev_index > 0;
	(void)pthread_mutex_lock(&source->handle_lock);
	source->handle = handle;
	(void)pthread_mutex_unlock(&source->handle_lock);
	atomic_store_explicit(&source->state, DRIVER_UP, memory_order_relaxed);
	return 0;
}

static void pcap_live_count(struct driver_source *source)
{
	struct pcap_stat stat;

	if (!source->handle || pcap_stats(source->handle, &stat) < 0)
		return; /* a device that does not count */
	/* They wrap at 32 bits. */
	atomic_fetch_add_explicit(&source->ring_lost_pkts,
		(uint32_t)(stat.ps_drop - source->ps_drop), memory_order_relaxed);
	atomic_fetch_add_explicit(&source->nic_lost_pkts,
		(uint32_t)(stat.ps_ifdrop - source->ps_ifdrop), memory_order_relaxed);
	source->ps_drop = stat.ps_drop;
	source->ps_ifdrop = stat.ps_ifdrop;
}

static void pcap_live_handle_close(struct driver_source *source)
{
	pcap_t *handle = source->handle;

	pcap_live_count(source);
	(void)pthread_mutex_lock(&source->handle_lock);
	source->handle = NULL;
	(void)pthread_mutex_unlock(&source->handle_lock);
	source->select_fd = -1;
	if (handle)
		pcap_close(handle);
}

/* ---- the state of the device ---- */

static void pcap_live_set_state(struct driver_source *source, enum driver_state state)
{
	enum driver_state old =
		atomic_exchange_explicit(&source->state, state, memory_order_relaxed);

	if (old == DRIVER_UP && state != DRIVER_UP)
		atomic_fetch_add_explicit(&source->outages, 1, memory_order_relaxed);
}

static void pcap_live_lose(struct driver_source *source, enum driver_state state)
{
	pcap_live_handle_close(source);
	pcap_live_set_state(source, state);
	source->retry_ns = clock_monotonic_ns() + PCAP_LIVE_RETRY_NS;
}

static void pcap_live_retry(struct driver_source *source)
{
	struct error unheard = ERROR_INIT;
	uint64_t now_ns = clock_monotonic_ns();
	int r;

	if (now_ns < source->retry_ns)
		return;
	source->retry_ns = now_ns + PCAP_LIVE_RETRY_NS;
	r = pcap_live_handle_open(source, source->device, &unheard);
	if (r == PCAP_ERROR_IFACE_NOT_UP)
		pcap_live_set_state(source, DRIVER_DOWN);
	else if (r < 0)
		pcap_live_set_state(source, DRIVER_GONE);
}

/* Interfaces: libpcap does not tell of all that happens to them. */
static void pcap_live_look_at_netdev(struct driver_source *source)
{
	struct ifreq request = { .ifr_flags = 0 };

	if (!source->is_netdev || source->ask_fd < 0)
		return;
	(void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", source->device);
	if (ioctl(source->ask_fd, SIOCGIFFLAGS, &request) < 0 ||
		if_nametoindex(source->device) != source->netdev_index)
		pcap_live_lose(source, DRIVER_GONE); /* or it is another one by now */
	else
		pcap_live_set_state(source, request.ifr_flags & IFF_UP ? DRIVER_UP : DRIVER_DOWN);
}

static void pcap_live_look(struct driver_source *source)
{
	uint64_t now_ns = clock_monotonic_ns();

	if (!source->handle || now_ns < source->look_ns)
		return;
	source->look_ns = now_ns + PCAP_LIVE_LOOK_NS;
	pcap_live_count(source);
	pcap_live_look_at_netdev(source);
}

/* ---- packets ---- */

struct pcap_live_take {
	struct driver_source *source;
	struct copy_chunk *chunk;
};

static void pcap_live_packet(u_char *user, const struct pcap_pkthdr *header, const u_char *bytes)
{
	struct pcap_live_take *take = (struct pcap_live_take *)(void *)user;
	/* tv_usec are nanoseconds if the handle has them. */
	struct copy_packet packet = { .ts_ns = (uint64_t)header->ts.tv_sec * 1000000000u +
			(uint64_t)header->ts.tv_usec * (take->source->micros ? 1000u : 1u),
		.cap_bytes = MIN(header->caplen, take->source->snaplen_bytes),
		.wire_bytes = MAX(header->len, header->caplen) };

	if (!copy_add(take->chunk, &packet, bytes))
		atomic_fetch_add_explicit(&take->source->ring_lost_pkts, 1, memory_order_relaxed);
}

/* Some devices of libpcap (nflog) take it for an error that there is nothing to be read. */
static bool pcap_live_is_readable(const struct driver_source *source)
{
	struct pollfd poll_fd = { .fd = source->select_fd, .events = POLLIN };

	return source->has_more || source->select_fd < 0 ||
		pcap_get_required_select_timeout(source->handle) || poll(&poll_fd, 1, 0) != 0;
}

/* What is there now, as far as it fits. Return: 0; PCAP_ERROR: the device is gone. */
static int pcap_live_collect(struct driver_source *source, struct copy_chunk *chunk)
{
	struct pcap_live_take take = { .source = source, .chunk = chunk };
	unsigned int room;

	while ((room = copy_room(chunk, source->snaplen_bytes)) > 0 &&
		pcap_live_is_readable(source)) {
		unsigned int before = chunk->n;
		int r = pcap_dispatch(source->handle, (int)room, pcap_live_packet, (u_char *)&take);

		if (r < 0 && r != PCAP_ERROR_BREAK)
			return r;
		source->has_more = chunk->n - before == room;
		if (chunk->n == before)
			break;
	}
	return 0;
}

static void pcap_live_wait(struct driver_source *source, uint64_t until_ns, bool again)
{
	struct pollfd polls[] = { { .fd = source->wake_fd, .events = POLLIN },
		{ .fd = source->select_fd, .events = POLLIN } };
	uint64_t now_ns = clock_monotonic_ns();
	const struct timeval *most =
		source->handle ? pcap_get_required_select_timeout(source->handle) : NULL;
	uint64_t wait_ns = now_ns < until_ns ? until_ns - now_ns : 0;
	struct timespec wait;
	bool looks = source->handle && source->select_fd < 0;

	/* A device that cannot be waited for is looked at often; so is one that says it is readable
	 * and is not. */
	if (looks || again)
		wait_ns = MIN(wait_ns, (uint64_t)PCAP_LIVE_MS);
	if (most)
		wait_ns = MIN(wait_ns,
			(uint64_t)most->tv_sec * 1000000000u + (uint64_t)most->tv_usec * 1000u);
	wait = (struct timespec){ .tv_nsec = (long)wait_ns };
	(void)ppoll(polls, again || source->select_fd < 0 ? 1 : 2, &wait, NULL);
}

/* Return: as claim(). */
static int pcap_live_fill(struct driver_source *source, struct copy_chunk *chunk)
{
	uint64_t until_ns = clock_monotonic_ns() + DRIVER_IDLE_MS * (uint64_t)PCAP_LIVE_MS;
	bool again = false;

	for (;;) {
		if (atomic_load_explicit(&source->woken, memory_order_relaxed))
			return DRIVER_E_END;
		pcap_live_look(source);
		if (!source->handle)
			pcap_live_retry(source);
		if (source->handle) {
			chunk->ifindex = source->ifindex;
			chunk->linktype = source->interfaces[source->ifindex].linktype;
			if (pcap_live_collect(source, chunk) < 0)
				pcap_live_lose(source, DRIVER_GONE);
		}
		if (chunk->n > 0)
			return 0;
		if (clock_monotonic_ns() >= until_ns)
			return DRIVER_E_IDLE;
		pcap_live_wait(source, until_ns, again);
		again = !again;
	}
}

static int pcap_live_claim(struct driver_source *source, struct driver_chunk *chunk)
{
	return copy_claim(&source->pool, source, pcap_live_fill, chunk);
}

/* ---- the source ---- */

static void pcap_live_wake(struct driver_source *source)
{
	atomic_store_explicit(&source->woken, true, memory_order_relaxed);
	wake_signal(source->wake_fd);
	(void)pthread_mutex_lock(&source->handle_lock);
	if (source->handle)
		pcap_breakloop(source->handle); /* one that waits by itself */
	(void)pthread_mutex_unlock(&source->handle_lock);
}

static void pcap_live_stats(const struct driver_source *source, struct driver_stats *ret)
{
	*ret = (struct driver_stats){
		.nic_lost_pkts = atomic_load_explicit(&source->nic_lost_pkts, memory_order_relaxed),
		.ring_lost_pkts =
			atomic_load_explicit(&source->ring_lost_pkts, memory_order_relaxed),
		.n_interfaces = atomic_load_explicit(&source->n_interfaces, memory_order_acquire),
		.state = atomic_load_explicit(&source->state, memory_order_relaxed),
		.outages = atomic_load_explicit(&source->outages, memory_order_relaxed),
	};
}

static int pcap_live_interface(
	const struct driver_source *source, unsigned int index, struct driver_interface *ret)
{
	/* Pairs with pcap_live_interface_add(): what is counted is complete, and stays. */
	if (index >= atomic_load_explicit(&source->n_interfaces, memory_order_acquire))
		return -ENOENT;
	*ret = source->interfaces[index];
	return 0;
}

static struct driver_source *pcap_live_close(struct driver_source *source)
{
	if (!source)
		return NULL;
	pcap_live_handle_close(source);
	copy_pool_deinit(&source->pool);
	(void)pthread_mutex_destroy(&source->handle_lock);
	cleanup_closep(&source->ask_fd);
	cleanup_closep(&source->wake_fd);
	free(source->device);
	free(source);
	return NULL;
}
DEFINE_CLEANUP(struct driver_source *, pcap_live_close);

static int pcap_live_new(struct driver_source **ret, const struct driver_open_args *args)
{
	_cleanup_(pcap_live_closep) struct driver_source *source = calloc(1, sizeof(*source));

	if (!source)
		return -ENOMEM;
	(void)pthread_mutex_init(&source->handle_lock, NULL);
	source->select_fd = -1;
	source->ask_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0); /* without: nobody asks */
	source->wake_fd = wake_new(false);
	source->device = strdup(pcap_live_device(args->name));
	if (copy_pool_init(&source->pool, args) < 0 || !source->device || source->wake_fd < 0)
		return -ENOMEM;
	if (args->options)
		source->options = *args->options;
	source->options.driver = source->options.trace_dir = NULL; /* the caller's */
	*ret = TAKE(source);
	return 0;
}

/* Of a queue libpcap reads packets that wait for it: it lets each go on, which takes CAP_NET_ADMIN.
 */
static int pcap_live_relays(const struct driver_open_args *args, struct error *err)
{
	static const char queue[] = "nfqueue";

	if (strncmp(pcap_live_device(args->name), queue, strlen(queue)) != 0)
		return 0;
	return error_set(err, MAPID_NO_DRIVER,
		"%s: packets of a queue wait until they are let go on, for which the process that "
		"captures has no right; use nflog",
		args->name);
}

static int pcap_live_open(
	struct driver_source **ret, const struct driver_open_args *args, struct error *err)
{
	_cleanup_(pcap_live_closep) struct driver_source *source = NULL;
	int r;

	for (unsigned int i = 0; i < args->n_fds; i++)
		(void)close(args->fds[i]); /* nobody gives one: driver_find() */
	r = pcap_live_new(&source, args);
	if (r < 0)
		return r;
	r = pcap_live_handle_open(source, args->name, err);
	if (r == PCAP_ERROR_IFACE_NOT_UP) {
		atomic_store_explicit(&source->state, DRIVER_DOWN, memory_order_relaxed);
		source->is_netdev = true;
		source->retry_ns = clock_monotonic_ns() + PCAP_LIVE_RETRY_NS;
	} else if (r < 0) {
		return r;
	}
	*ret = TAKE(source);
	return 0;
}

const struct driver driver_pcap = {
	.name = "pcap",
	.real_time = true,
	.match = pcap_live_match,
	.relays = pcap_live_relays,
	.open = pcap_live_open,
	.claim = pcap_live_claim,
	.next_batch = copy_next_batch,
	.rewind = copy_rewind,
	.release = copy_release,
	.wake = pcap_live_wake,
	.stats = pcap_live_stats,
	.interface = pcap_live_interface,
	.close = pcap_live_close,
};

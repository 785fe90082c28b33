/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The driver of Linux interfaces: packet sockets (AF_PACKET) whose packets come through memory that
 * is shared with the kernel. What this file and its neighbours do:
 *
 * Rights. prepare() makes one socket per worker, bound to the interface but deaf, three rtnetlink
 * sockets and the counters of the machine's queues; the first are all that takes CAP_NET_RAW.
 * open() gives each socket a program and a ring and lets packets in. Binding again, later, takes no
 * right either: an interface that is removed and made again is captured again by a process that
 * could not have begun to (afpacket_watch.c).
 *
 * Chunks are blocks of the ring. claim() takes the next block that the kernel has handed over; of
 * several rings those parts of blocks that come next in time (afpacket_merge.c). The packets stay
 * in the blocks until release(). Who claims waits in epoll_wait() for at
 * most DRIVER_IDLE_MS; no other call of a worker enters the kernel. It hears of a ring's socket
 * when a block has been handed over, not as long as one is out (EPOLLET): before it waits it has
 * seen that no block is ready.
 *
 * Several workers have a ring each. Every socket sees all packets, and its program keeps those of
 * its share (afpacket_filter.c, also on why not PACKET_FANOUT); both directions of a flow are in
 * one share. Any worker may claim from any ring.
 *
 * The view (semantics P1) is that of the wire: the tag that the kernel keeps beside a packet is put
 * back in place; outgoing packets are seen, except on loopback, where each would be seen twice. A
 * super-packet (P3) says what it stands for. Times are the kernel's, in nanoseconds
 * (afpacket_frame.c).
 *
 * Losses (L2): the kernel counts packets for which a ring had no room; so, by name, it does SCTP
 * super-packets, which its virtio_net_hdr cannot express. What the interface itself lost is read
 * from its own counters, ten times a second at most. One of them also has packets that were
 * captured and that the stack then found no use for: how many those may be, we count
 * (afpacket_frame.c), and whoever asks for the counters finds out what was lost.
 *
 * Connections that deliver results to other machines over a captured interface must not be
 * captured: each result would make packets that make results. When there are such connections,
 * afpacket_filter_make() is where their packets are left out, before they take room in the ring.
 */
#include "afpacket_private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "filter/filter.h"
#include "mapi/errors.h"
#include "wire/wake.h"

#define AFPACKET_EVENTS_MAX 8 /* heard of at once; the rest with the next call */
#define AFPACKET_CHUNKS_MIN 4 /* workers hold one each */

/* What an event is about. */
enum afpacket_event {
	AFPACKET_EVENT_RING, /* a ring's socket: a block, or an error */
	AFPACKET_EVENT_LINK, /* some interface has changed */
	AFPACKET_EVENT_WAKE, /* woken is set */
	_AFPACKET_EVENT_N
};

/**
 * struct driver_source - an open interface
 * @rings:  n_rings, one per worker
 * @merge:  of the rings
 * @epoll_fd: for claim(): the rings' sockets, the watch's events, @wake_fd
 */
struct driver_source {
	struct afpacket_watch *watch;
	struct afpacket_ring *rings;
	unsigned int n_rings;
	struct afpacket_merge merge;
	int epoll_fd;
	int wake_fd;
	_Atomic bool woken;
	uint64_t next_seq;
	struct afpacket_frames frames;
	struct afpacket_filter filter; /* of the last ring */
	struct filter_program *
		*own; /* of each ring, for the kernel tier; NULL: there is one ring */
	uint32_t snaplen_bytes; /* as asked for; 0: whole packets */
};

/* Return: 0, -ENODEV if it is no interface or none for this driver, -errno. */
static int afpacket_find(const char *name, struct afpacket_link *ret, uint32_t *ret_linktype)
{
	_cleanup_(cleanup_closep) int fd = -1;
	int r;

	if (name[0] == '\0' || strlen(name) >= IFNAMSIZ || strchr(name, '/'))
		return -ENODEV;
	fd = afpacket_link_open(false);
	if (fd < 0)
		return fd;
	r = afpacket_link_get(fd, 0, name, ret);
	if (r < 0)
		return r;
	return afpacket_linktype(ret->type, ret_linktype) < 0 ? -EAFNOSUPPORT : 0;
}

static bool afpacket_match(const struct driver_open_args *args)
{
	struct afpacket_link link;
	uint32_t linktype;

	if (args->fd >= 0)
		return false;
	if (args->options && args->options->driver)
		return strcmp(args->options->driver, "afpacket") == 0;
	return afpacket_find(args->name, &link, &linktype) == 0;
}

static unsigned int afpacket_n_rings(const struct driver_open_args *args)
{
	return MIN(MAX(args->n_workers, 1u), AFPACKET_RINGS_MAX + 0u);
}

static int afpacket_refuse(const char *name, int r, struct error *err)
{
	if (r == -ENODEV)
		return error_set(err, MAPID_NO_DRIVER,
			"%s: no such interface; mapi devices lists those that there are", name);
	if (r == -EAFNOSUPPORT)
		return error_set(err, MAPID_NO_DRIVER,
			"%s: packets of this kind of interface are not for the driver afpacket",
			name);
	if (r == -EPERM || r == -EACCES)
		return error_set(err, MAPI_NO_PERMISSION,
			"%s: you may not capture; be in the group that the system daemon serves "
			"(group= in mapi.conf), or have CAP_NET_RAW (be root)",
			name);
	return error_set(err, MAPID_NO_DRIVER, "%s: cannot be captured: %s", name, strerror(-r));
}

/* The counters of the machine's queues; without /proc something that has none. */
static int afpacket_queues_open(void)
{
	int fd = open("/proc/net/softnet_stat", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Return: a deaf socket that is bound to the interface, -errno. */
static int afpacket_socket(int ifindex, bool promisc)
{
	_cleanup_(cleanup_closep) int fd =
		socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r, ret;

	if (fd < 0)
		return -errno;
	r = afpacket_bind(fd, ifindex, 0);
	if (r == 0 && promisc)
		r = afpacket_promisc(fd, ifindex);
	if (r < 0)
		return r;
	ret = fd;
	fd = -1;
	return ret;
}

static int afpacket_prepare(const struct driver_open_args *args, int ret_fds[DRIVER_FDS_MAX],
	unsigned int *ret_n_fds, struct error *err)
{
	bool promisc = !args->options || !args->options->no_promisc;
	unsigned int n_rings = afpacket_n_rings(args);
	unsigned int n = 0;
	struct afpacket_link link;
	uint32_t linktype;
	int r = afpacket_find(args->name, &link, &linktype);

	while (r >= 0 && n < n_rings + AFPACKET_FDS_EXTRA) {
		if (n < n_rings)
			r = afpacket_socket(link.ifindex, promisc);
		else if (n < n_rings + 3)
			r = afpacket_link_open(n == n_rings);
		else
			r = afpacket_queues_open();
		if (r >= 0)
			ret_fds[n++] = r;
	}
	if (r < 0) {
		while (n > 0)
			(void)close(ret_fds[--n]);
		return afpacket_refuse(args->name, r, err);
	}
	*ret_n_fds = n;
	return 0;
}

static struct driver_source *afpacket_close(struct driver_source *source)
{
	if (!source)
		return NULL;
	for (unsigned int i = 0; i < source->n_rings; i++)
		afpacket_ring_deinit(&source->rings[i]);
	afpacket_merge_deinit(&source->merge);
	for (unsigned int i = 0; source->own && i < source->n_rings; i++)
		filter_program_free(source->own[i]);
	free(source->own);
	source->watch = afpacket_watch_free(source->watch);
	cleanup_closep(&source->epoll_fd);
	cleanup_closep(&source->wake_fd);
	free(source->rings);
	free(source);
	return NULL;
}
DEFINE_CLEANUP(struct driver_source *, afpacket_close);

/* Return: 0, -ENOMEM: no room for another event. */
static int afpacket_expect(
	const struct driver_source *source, int fd, uint32_t how, enum afpacket_event what)
{
	struct epoll_event event = { .events = EPOLLIN | how, .data.u32 = (uint32_t)what };

	return epoll_ctl(source->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -ENOMEM : 0;
}

static int afpacket_new(struct driver_source **ret, struct afpacket_watch *watch)
{
	_cleanup_(afpacket_closep) struct driver_source *source = calloc(1, sizeof(*source));
	int r = 0;

	if (!source) {
		(void)afpacket_watch_free(watch);
		return -ENOMEM;
	}
	source->watch = watch;
	source->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	source->wake_fd = wake_new(false);
	source->rings = calloc(watch->n_fds, sizeof(source->rings[0]));
	if (source->epoll_fd < 0 || source->wake_fd < 0 || !source->rings)
		return -ENOMEM;
	for (unsigned int i = 0; r == 0 && i < watch->n_fds; i++)
		r = afpacket_expect(source, watch->fds[i], EPOLLET, AFPACKET_EVENT_RING);
	if (r == 0)
		r = afpacket_expect(source, watch->events_fd, 0, AFPACKET_EVENT_LINK);
	if (r == 0)
		r = afpacket_expect(source, source->wake_fd, 0, AFPACKET_EVENT_WAKE);
	if (r < 0)
		return r;
	*ret = TAKE(source);
	return 0;
}

/* What is each ring's own, as programs of the kernel tier see packets. */
static int afpacket_share(struct driver_source *source)
{
	struct afpacket_filter filter = source->filter;
	int r = 0;

	if (source->n_rings < 2)
		return 0;
	filter.is_wire = true;
	filter.skip_outgoing = false;
	source->own = calloc(source->n_rings, sizeof(source->own[0]));
	if (!source->own)
		return -ENOMEM;
	for (filter.share = 0; r == 0 && filter.share < source->n_rings; filter.share++) {
		struct sock_filter code[AFPACKET_FILTER_MAX];
		unsigned int n = afpacket_filter_make(&filter, code);

		r = filter_program_new(
			&source->own[filter.share], (const struct bpf_insn *)code, n);
	}
	return r;
}

static int afpacket_start(struct driver_source *source, const struct driver_open_args *args,
	const struct afpacket_link *link, struct error *err)
{
	const struct driver_options *options = args->options;
	struct afpacket_watch *watch = source->watch;
	struct afpacket_filter filter = {
		.linktype = watch->linktype,
		.snaplen_bytes = PACKET_CAP_BYTES_MAX,
		.skip_outgoing =
			link->type == ARPHRD_LOOPBACK || (options && options->incoming_only),
		.n_shares = watch->n_fds,
	};
	int r = 0;

	if (options && options->snaplen_bytes > 0) {
		filter.snaplen_bytes = MIN(options->snaplen_bytes, PACKET_CAP_BYTES_MAX);
		source->snaplen_bytes = filter.snaplen_bytes;
	}
	watch->promisc = !options || !options->no_promisc;
	source->frames = (struct afpacket_frames){ .linktype = watch->linktype,
		.snaplen_bytes = filter.snaplen_bytes,
		.batch_pkts = args->batch_pkts,
		.has_ipv6 = access("/proc/net/if_inet6", F_OK) == 0 };
	for (unsigned int i = 0; r == 0 && i < watch->n_fds; i++) {
		filter.share = i;
		r = afpacket_ring_init(&source->rings[i], watch->fds[i], &filter,
			options ? options->ring_bytes : 0, args->name, err);
		if (r == 0)
			source->n_rings++;
	}
	if (r == 0)
		r = afpacket_merge_init(&source->merge, source->rings, source->n_rings,
			MAX(args->n_workers, AFPACKET_CHUNKS_MIN + 0u));
	if (r < 0)
		return r;
	source->filter = filter;
	r = afpacket_share(source);
	if (r == 0)
		r = afpacket_watch_start(watch);
	return r < 0 ? afpacket_refuse(args->name, r, err) : 0;
}

static int afpacket_open(
	struct driver_source **ret, const struct driver_open_args *args, struct error *err)
{
	_cleanup_(afpacket_closep) struct driver_source *source = NULL;
	struct afpacket_watch *watch;
	struct afpacket_link link;
	int fds[DRIVER_FDS_MAX];
	unsigned int n_fds = MIN(args->n_fds, (unsigned int)DRIVER_FDS_MAX);
	int r = 0;

	if (n_fds > 0)
		memcpy(fds, args->fds, n_fds * sizeof(fds[0]));
	else
		r = afpacket_prepare(args, fds, &n_fds, err);
	if (r < 0)
		return r;
	if (n_fds <= AFPACKET_FDS_EXTRA) {
		while (n_fds > 0)
			(void)close(fds[--n_fds]);
		return afpacket_refuse(args->name, -EBADF, err);
	}
	r = afpacket_watch_new(&watch, fds, n_fds, args->name, &link, err);
	if (r == 0)
		r = afpacket_new(&source, watch);
	if (r == 0)
		r = afpacket_start(source, args, &link, err);
	if (r < 0)
		return r;
	*ret = TAKE(source);
	return 0;
}

/* Sleep until there may be a block, or @timeout_ms have passed; follow the interface. */
static void afpacket_wait(struct driver_source *source, int timeout_ms)
{
	struct epoll_event events[AFPACKET_EVENTS_MAX];
	int n = epoll_wait(source->epoll_fd, events, AFPACKET_EVENTS_MAX, timeout_ms);
	bool changed = false;

	if (n <= 0) {
		afpacket_watch_idle(source->watch);
		return;
	}
	for (int i = 0; i < n; i++)
		changed = changed || events[i].data.u32 == AFPACKET_EVENT_LINK ||
			events[i].events & (EPOLLERR | EPOLLHUP);
	if (changed)
		afpacket_watch_drain(source->watch);
}

static int afpacket_claim(struct driver_source *source, struct driver_chunk *chunk)
{
	const uint64_t limit_ns = DRIVER_IDLE_MS * 1000000ull;
	uint64_t start_ns = clock_monotonic_ns(), now_ns = start_ns;
	struct afpacket_chunk *mine;
	int r;

	for (;;) {
		uint64_t passed_ns = now_ns - start_ns;

		if (atomic_load_explicit(&source->woken, memory_order_relaxed))
			return DRIVER_E_END;
		r = afpacket_merge_claim(&source->merge, now_ns, &mine);
		if (r == 0)
			break;
		if (r == AFPACKET_E_HELD)
			afpacket_wait(source, AFPACKET_BLOCK_MS);
		else if (passed_ns < limit_ns)
			afpacket_wait(source, (int)((limit_ns - passed_ns + 999999) / 1000000));
		else
			return DRIVER_E_IDLE;
		now_ns = clock_monotonic_ns();
	}
	*chunk = (struct driver_chunk){ .seq = source->next_seq++, .impl = mine };
	return 0;
}

static int afpacket_next_batch(
	struct driver_source *source, struct driver_chunk *chunk, struct packet_batch *batch)
{
	struct afpacket_frames frames = source->frames;

	frames.mtu_bytes = atomic_load_explicit(&source->watch->mtu_bytes, memory_order_relaxed);
	return afpacket_chunk_next(chunk->impl, &frames, batch);
}

static void afpacket_rewind(struct driver_source *source, struct driver_chunk *chunk)
{
	afpacket_chunk_start(chunk->impl);
}

static void afpacket_release(struct driver_source *source, struct driver_chunk *chunk)
{
	afpacket_merge_release(chunk->impl);
}

static int afpacket_selects(
	const struct driver_source *source, struct driver_select *ret, struct error *err)
{
	*ret = (struct driver_select){ .snaplen_bytes = source->filter.snaplen_bytes,
		.is_cut = source->snaplen_bytes > 0,
		.is_raw = source->filter.linktype == AFPACKET_LINKTYPE_RAW,
		.skip_outgoing = source->filter.skip_outgoing,
		.has_ipv6 = source->frames.has_ipv6,
		.n_programs = source->n_rings,
		.own = (const struct filter_program *const *)source->own };
	return 0;
}

/* Ring by ring: a packet is the same ring's by all programs. */
static int afpacket_select(struct driver_source *source, const int program_fds[], struct error *err)
{
	struct afpacket_filter filter = source->filter;
	int r = 0;

	for (filter.share = 0; r == 0 && filter.share < source->n_rings; filter.share++) {
		const struct afpacket_ring *ring = &source->rings[filter.share];

		r = program_fds ? afpacket_ring_select(ring, program_fds[filter.share])
				: afpacket_ring_filter(ring, &filter);
	}
	return r == 0
		? 0
		: error_set(err, MFUNCT_NOT_SUPPORTED,
			  "the kernel refuses a program for the capture ring: %s", strerror(-r));
}

static int afpacket_listen(struct driver_source *source, bool listens)
{
	return afpacket_watch_listen(source->watch, listens);
}

static void afpacket_wake(struct driver_source *source)
{
	atomic_store_explicit(&source->woken, true, memory_order_relaxed);
	wake_signal(source->wake_fd);
}

static void afpacket_stats(const struct driver_source *source, struct driver_stats *ret)
{
	afpacket_watch_stats(source->watch, ret);
	for (unsigned int i = 0; i < source->n_rings; i++)
		afpacket_ring_count(&source->rings[i], &ret->drops);
}

static int afpacket_interface(
	const struct driver_source *source, unsigned int index, struct driver_interface *ret)
{
	if (index > 0)
		return -ENOENT;
	*ret = (struct driver_interface){ .linktype = source->frames.linktype,
		.snaplen_bytes = source->snaplen_bytes,
		.ts_units_per_s = 1000000000,
		.skips_outgoing = source->filter.skip_outgoing,
		.tells_direction = true };
	afpacket_watch_name(source->watch, ret->name, sizeof(ret->name));
	return 0;
}

const struct driver driver_afpacket = {
	.name = "afpacket",
	.lossless = false,
	.real_time = true,
	.match = afpacket_match,
	.prepare = afpacket_prepare,
	.open = afpacket_open,
	.claim = afpacket_claim,
	.next_batch = afpacket_next_batch,
	.rewind = afpacket_rewind,
	.release = afpacket_release,
	.select = afpacket_select,
	.selects = afpacket_selects,
	.listen = afpacket_listen,
	.wake = afpacket_wake,
	.stats = afpacket_stats,
	.interface = afpacket_interface,
	.close = afpacket_close,
};

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The driver that replays a directory of captures as if they were traffic now, again and again.
 *
 * The files are read by the file driver, in the order of their names. A packet is due when as much
 * time has passed since the packet before it as in the capture, and carries the present time; so
 * distances between packets are kept. Exceptions, because captures hold any time one can think of:
 *
 *   - a pause longer than TRACEDIR_PAUSE_MAX_NS is cut to that
 *   - between two files a pause is kept if it may be one: 0 to TRACEDIR_FILES_PAUSE_MAX_NS
 *   - times that run backwards do so here; such packets are due at once
 *   - a pass over the directory takes at least TRACEDIR_PASS_MIN_NS
 *
 * It behaves like a live device: it waits for nobody. A packet that is not claimed within
 * TRACEDIR_LATE_NS of its time is lost and counted, as by a ring that is full.
 *
 * A file that is damaged is replayed up to the damage; one that is no capture is passed over. Files
 * are opened once, by prepare(), which may be another process with other rights; so there are at
 * most as many as it can hand over. Symbolic links are not followed: who may write to the directory
 * must not choose what a privileged process opens.
 */
#include "tracedir_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "copy_private.h"
#include "mapi/errors.h"
#include "wire/wake.h"

#define TRACEDIR_S_NS 1000000000u
#define TRACEDIR_PAUSE_MAX_NS (3600 * (int64_t)TRACEDIR_S_NS)
#define TRACEDIR_FILES_PAUSE_MAX_NS (60 * (int64_t)TRACEDIR_S_NS)
#define TRACEDIR_PASS_MIN_NS TRACEDIR_S_NS
#define TRACEDIR_IDLE_NS (DRIVER_IDLE_MS * 1000000u)
#define TRACEDIR_LINKTYPES_MAX 64
#define TRACEDIR_LOOK_PKTS 65536u /* so many are looked at in one claim */

/**
 * struct driver_source - a directory that is replayed
 * @fds:      n_files capture files
 * @next_file: to be read when @file is at its end; n_files: the pass is over
 * @file:     the file driver's, or NULL
 * @chunk, @batch, @at: what has been read of it, as far as @has_chunk
 * @started:  the first pass has begun
 * @next_pass_ns: the pass after this one does not begin before. Monotonic, as @due_ns
 * @pass_stamp_ns: time that the first packet of the pass carries
 * @stamp_ns: time that the packet at @at will carry, if @has_due
 * @due_ns:   ... and when
 * @shift_ns: from the one to the other
 * @last_ts_ns: time in its file of the packet before; @has_last: there was one in this pass
 * @new_file: ... but in another file
 */
struct driver_source {
	char *name;
	const struct tracedir_clock *clock;
	int fds[DRIVER_FDS_MAX];
	unsigned int n_files;
	unsigned int next_file;
	int wake_fd;
	_Atomic bool woken;

	struct driver_source *file;
	bool has_chunk;
	struct driver_chunk chunk;
	struct packet_batch batch;
	unsigned int at;

	bool started;
	uint64_t next_pass_ns;
	uint64_t pass_stamp_ns;
	uint64_t stamp_ns;
	uint64_t due_ns;
	uint64_t shift_ns;
	uint64_t last_ts_ns;
	bool has_last;
	bool has_due;
	bool new_file;

	_Atomic uint64_t lost_pkts;
	_Atomic unsigned int n_linktypes;
	uint32_t linktypes[TRACEDIR_LINKTYPES_MAX];
	struct copy_pool pool;
};

static bool tracedir_match(const struct driver_open_args *args)
{
	const struct driver_options *options = args->options;

	if (args->fd >= 0 || !options)
		return false;
	return options->driver ? strcmp(options->driver, "tracedir") == 0
			       : options->trace_dir != NULL;
}

/* ---- the files ---- */

static int tracedir_wanted(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void tracedir_close_fds(int *fds, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		cleanup_closep(&fds[i]);
		fds[i] = -1;
	}
}

/* The regular files among @names. Return: how many; -EINVAL with @err filled. */
static int tracedir_open_files(const char *dir, int dir_fd, struct dirent **names, int n_names,
	int ret_fds[DRIVER_FDS_MAX], struct error *err)
{
	unsigned int n = 0;

	for (int i = 0; i < n_names; i++) {
		/* O_NONBLOCK: a pipe must not make us wait. */
		int fd = openat(dir_fd, names[i]->d_name,
			O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
		struct stat st;

		if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
			cleanup_closep(&fd);
			continue;
		}
		if (n == DRIVER_FDS_MAX) {
			(void)close(fd);
			tracedir_close_fds(ret_fds, n);
			return error_set(err, MAPID_NO_DRIVER,
				"%s: more than %d files; join some (mergecap)", dir,
				DRIVER_FDS_MAX);
		}
		ret_fds[n++] = fd;
	}
	if (n == 0)
		return error_set(err, MAPID_NO_DRIVER, "%s: no file in it can be read", dir);
	return (int)n;
}

static int tracedir_prepare(const struct driver_open_args *args, int ret_fds[DRIVER_FDS_MAX],
	unsigned int *ret_n_fds, struct error *err)
{
	const char *dir = args->options ? args->options->trace_dir : NULL;
	_cleanup_(cleanup_closep) int dir_fd = -1;
	struct dirent **names = NULL;
	int n_names, r;

	if (!dir)
		return error_set(err, MAPID_NO_DRIVER,
			"%s: no directory of captures: trace_dir= is missing in mapi.conf",
			args->name);
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	n_names = dir_fd < 0 ? -1 : scandirat(dir_fd, ".", &names, tracedir_wanted, alphasort);
	if (n_names < 0)
		return error_set(err, errno == EACCES ? MAPI_NO_PERMISSION : MAPID_NO_DRIVER,
			"%s: %s cannot be read: %s", args->name, dir, strerror(errno));
	r = tracedir_open_files(dir, dir_fd, names, n_names, ret_fds, err);
	for (int i = 0; i < n_names; i++)
		free(names[i]);
	free(names);
	if (r < 0)
		return r;
	*ret_n_fds = (unsigned int)r;
	return 0;
}

/* Start a file from its beginning. Return: as open() of the file driver. */
static int tracedir_file_open(struct driver_source *source, unsigned int i, struct error *err)
{
	char name[32];
	struct driver_open_args args = {
		.name = name, .batch_pkts = source->pool.batch_pkts, .n_workers = 1
	};

	(void)snprintf(name, sizeof(name), "file %u", i + 1);
	/* The file driver takes a descriptor at its start for a whole file. */
	if (lseek(source->fds[i], 0, SEEK_SET) != 0)
		return error_set(err, PCAP_OPEN_ERR, "%s: %s", name, strerror(errno));
	args.fd = fcntl(source->fds[i], F_DUPFD_CLOEXEC, 0);
	if (args.fd < 0)
		return error_set(err, PCAP_OPEN_ERR, "%s: %s", name, strerror(errno));
	return driver_file.open(&source->file, &args, err);
}

static void tracedir_file_close(struct driver_source *source)
{
	if (source->has_chunk)
		driver_file.release(source->file, &source->chunk);
	source->has_chunk = false;
	source->batch.n = source->at = 0;
	source->file = driver_file.close(source->file);
}

/* The number of a link type among the interfaces. Return: -ENOSPC if there are too many. */
static int tracedir_linktype(struct driver_source *source, uint32_t linktype)
{
	unsigned int n = atomic_load_explicit(&source->n_linktypes, memory_order_relaxed);

	for (unsigned int i = 0; i < n; i++)
		if (source->linktypes[i] == linktype)
			return (int)i;
	if (n == TRACEDIR_LINKTYPES_MAX)
		return -ENOSPC;
	source->linktypes[n] = linktype;
	/* Pairs with tracedir_interface(). */
	atomic_store_explicit(&source->n_linktypes, n + 1, memory_order_release);
	return (int)n;
}

/* Fill @batch from the open file. Return: 0, DRIVER_E_END. */
static int tracedir_file_next(struct driver_source *source)
{
	for (;;) {
		bool last;

		if (!source->has_chunk) {
			if (driver_file.claim(source->file, &source->chunk) != 0)
				return DRIVER_E_END;
			source->has_chunk = true;
		}
		source->at = 0;
		if (driver_file.next_batch(source->file, &source->chunk, &source->batch) == 0)
			return 0;
		source->batch.n = 0;
		/* Damage ends a file like its end. */
		last = source->chunk.last || source->chunk.error.code;
		driver_file.release(source->file, &source->chunk);
		source->has_chunk = false;
		if (last)
			return DRIVER_E_END;
	}
}

/* Make sure that there is a packet at @at. Return: 0, DRIVER_E_END: the pass is over. */
static int tracedir_next(struct driver_source *source)
{
	while (source->at == source->batch.n) {
		struct error unheard = ERROR_INIT;

		if (source->file && tracedir_file_next(source) == 0)
			break;
		tracedir_file_close(source);
		if (source->next_file == source->n_files)
			return DRIVER_E_END;
		/* One that cannot be read now may be readable in the next pass. */
		(void)tracedir_file_open(source, source->next_file++, &unheard);
		source->new_file = true;
	}
	return 0;
}

/* ---- time ---- */

static void tracedir_pass(struct driver_source *source, uint64_t now_ns)
{
	source->started = true;
	source->next_file = 0;
	source->has_last = source->has_due = false;
	source->due_ns = now_ns;
	source->pass_stamp_ns = source->stamp_ns = source->clock->realtime_ns();
	source->shift_ns = source->stamp_ns - now_ns;
	source->next_pass_ns = now_ns + TRACEDIR_PASS_MIN_NS;
}

/* When the packet at @at is due, and its stamp. */
static void tracedir_set_due(struct driver_source *source)
{
	uint64_t ts_ns = source->batch.ts_ns[source->at];
	/* Of any two times; those that are too far apart are cut. */
	int64_t pause_ns = source->has_last ? (int64_t)(ts_ns - source->last_ts_ns) : 0;

	if (source->new_file && (pause_ns < 0 || pause_ns > TRACEDIR_FILES_PAUSE_MAX_NS))
		pause_ns = 0;
	pause_ns = MIN(MAX(pause_ns, -TRACEDIR_PAUSE_MAX_NS), TRACEDIR_PAUSE_MAX_NS);
	/* However often time runs backwards. */
	if ((int64_t)(source->stamp_ns - source->pass_stamp_ns) + pause_ns < -TRACEDIR_PAUSE_MAX_NS)
		pause_ns = 0;
	source->stamp_ns += (uint64_t)pause_ns;
	if ((int64_t)(source->stamp_ns - source->shift_ns - source->due_ns) > 0)
		source->due_ns = source->stamp_ns - source->shift_ns;
	source->last_ts_ns = ts_ns;
	source->has_last = source->has_due = true;
	source->new_file = false;
}

/* ---- packets ---- */

/* Take the packet at @at over, or count it as lost. Return: whether it was dealt with; else it is
 * for the next chunk. */
static bool tracedir_take(struct driver_source *source, struct copy_chunk *c, uint64_t now_ns)
{
	const struct packet_batch *batch = &source->batch;
	unsigned int i = source->at;
	struct copy_packet packet = { .ts_ns = source->stamp_ns,
		.cap_bytes = batch->cap_bytes[i],
		.wire_bytes = batch->wire_bytes[i] };
	int number = tracedir_linktype(source, batch->linktype);

	if (number < 0 || source->due_ns + TRACEDIR_LATE_NS < now_ns) {
		atomic_fetch_add_explicit(&source->lost_pkts, 1, memory_order_relaxed);
		return true;
	}
	if (c->n > 0 && c->linktype != batch->linktype)
		return false;
	c->linktype = batch->linktype;
	c->ifindex = (uint16_t)number;
	return copy_add(c, &packet, batch->data[i]);
}

/* Collect what is due. Return: when to look again, monotonic. */
static uint64_t tracedir_collect(struct driver_source *source, struct copy_chunk *c)
{
	uint64_t now_ns = source->clock->monotonic_ns();

	for (unsigned int i = 0; i < TRACEDIR_LOOK_PKTS; i++) {
		if (!source->has_due && tracedir_next(source) == DRIVER_E_END) {
			if (source->started && now_ns < source->next_pass_ns)
				return source->next_pass_ns;
			tracedir_pass(source, now_ns);
			continue;
		}
		if (!source->has_due)
			tracedir_set_due(source);
		if (source->due_ns > now_ns)
			return source->due_ns;
		if (!tracedir_take(source, c, now_ns))
			return now_ns;
		source->at++;
		source->has_due = false;
	}
	return now_ns;
}

/* Return: as claim(). */
static int tracedir_fill(struct driver_source *source, struct copy_chunk *c)
{
	uint64_t until_ns = source->clock->monotonic_ns() + TRACEDIR_IDLE_NS;

	for (;;) {
		uint64_t next_ns, now_ns;

		if (atomic_load_explicit(&source->woken, memory_order_relaxed))
			return DRIVER_E_END;
		next_ns = tracedir_collect(source, c);
		if (c->n > 0)
			return 0;
		now_ns = source->clock->monotonic_ns();
		if (now_ns >= until_ns)
			return DRIVER_E_IDLE;
		next_ns = MIN(next_ns, until_ns);
		if (next_ns > now_ns)
			source->clock->wait(source->wake_fd, next_ns - now_ns);
	}
}

static int tracedir_claim(struct driver_source *source, struct driver_chunk *chunk)
{
	return copy_claim(&source->pool, source, tracedir_fill, chunk);
}

/* ---- the source ---- */

static void tracedir_wake(struct driver_source *source)
{
	atomic_store_explicit(&source->woken, true, memory_order_relaxed);
	wake_signal(source->wake_fd);
}

static void tracedir_stats(const struct driver_source *source, struct driver_stats *ret)
{
	*ret = (struct driver_stats){
		.ring_lost_pkts = atomic_load_explicit(&source->lost_pkts, memory_order_relaxed),
		.n_interfaces = atomic_load_explicit(&source->n_linktypes, memory_order_acquire),
	};
}

/* One interface per link type: the files do not say that they are of one place. */
static int tracedir_interface(
	const struct driver_source *source, unsigned int index, struct driver_interface *ret)
{
	/* Pairs with tracedir_linktype(). */
	if (index >= atomic_load_explicit(&source->n_linktypes, memory_order_acquire))
		return -ENOENT;
	*ret = (struct driver_interface){ .linktype = source->linktypes[index],
		.ts_units_per_s = TRACEDIR_S_NS };
	(void)snprintf(ret->name, sizeof(ret->name), "%s", source->name);
	return 0;
}

static struct driver_source *tracedir_close(struct driver_source *source)
{
	if (!source)
		return NULL;
	tracedir_file_close(source);
	tracedir_close_fds(source->fds, source->n_files);
	copy_pool_deinit(&source->pool);
	cleanup_closep(&source->wake_fd);
	free(source->name);
	free(source);
	return NULL;
}
DEFINE_CLEANUP(struct driver_source *, tracedir_close);

/* Which files are captures. Return: 0, -ENOMEM, -EINVAL with @err filled if none is. */
static int tracedir_probe(struct driver_source *source, struct error *err)
{
	struct error first = ERROR_INIT;
	unsigned int n = 0;

	for (unsigned int i = 0; i < source->n_files; i++) {
		struct driver_interface interface;
		int fd, r = tracedir_file_open(source, i, &first);

		if (r == -ENOMEM)
			return r;
		if (r < 0) {
			tracedir_close_fds(&source->fds[i], 1);
			continue;
		}
		if (driver_file.interface(source->file, 0, &interface) == 0)
			(void)tracedir_linktype(source, interface.linktype);
		tracedir_file_close(source);
		fd = source->fds[i];
		source->fds[i] = -1;
		source->fds[n++] = fd;
	}
	if (n == 0) {
		source->n_files = 0;
		return error_set(err, MAPID_NO_DRIVER,
			"%s: no file in its directory is a capture; the first that is none: %s",
			source->name, first.text);
	}
	source->n_files = n;
	source->next_file = n; /* no pass has begun */
	return 0;
}

static int tracedir_new(struct driver_source **ret, const struct driver_open_args *args,
	const struct tracedir_clock *clock, const int *fds, unsigned int n_fds)
{
	struct driver_source *source = calloc(1, sizeof(*source));

	if (!source) {
		for (unsigned int i = 0; i < n_fds; i++)
			(void)close(fds[i]);
		return -ENOMEM;
	}
	memcpy(source->fds, fds, n_fds * sizeof(fds[0]));
	source->n_files = n_fds;
	source->clock = clock;
	source->wake_fd = wake_new(false);
	source->name = strdup(args->name);
	if (copy_pool_init(&source->pool, args) < 0 || !source->name || source->wake_fd < 0) {
		(void)tracedir_close(source);
		return -ENOMEM;
	}
	*ret = source;
	return 0;
}

int tracedir_open_clock(struct driver_source **ret, const struct driver_open_args *args,
	const struct tracedir_clock *clock, struct error *err)
{
	_cleanup_(tracedir_closep) struct driver_source *source = NULL;
	int own[DRIVER_FDS_MAX];
	const int *fds = args->fds;
	unsigned int n_fds = args->n_fds;
	int r;

	if (n_fds == 0) {
		r = tracedir_prepare(args, own, &n_fds, err);
		if (r < 0)
			return r;
		fds = own;
	}
	r = tracedir_new(&source, args, clock, fds, n_fds);
	if (r == 0)
		r = tracedir_probe(source, err);
	if (r < 0)
		return r;
	*ret = TAKE(source);
	return 0;
}

static void tracedir_wait(int wake_fd, uint64_t wait_ns)
{
	struct pollfd poll = { .fd = wake_fd, .events = POLLIN };
	struct timespec wait = { .tv_sec = (time_t)(wait_ns / TRACEDIR_S_NS),
		.tv_nsec = (long)(wait_ns % TRACEDIR_S_NS) };

	(void)ppoll(&poll, 1, &wait, NULL);
}

static int tracedir_open(
	struct driver_source **ret, const struct driver_open_args *args, struct error *err)
{
	static const struct tracedir_clock clock = { .monotonic_ns = clock_monotonic_ns,
		.realtime_ns = clock_realtime_ns,
		.wait = tracedir_wait };

	return tracedir_open_clock(ret, args, &clock, err);
}

const struct driver driver_tracedir = {
	.name = "tracedir",
	.match = tracedir_match,
	.prepare = tracedir_prepare,
	.open = tracedir_open,
	.claim = tracedir_claim,
	.next_batch = copy_next_batch,
	.rewind = copy_rewind,
	.release = copy_release,
	.wake = tracedir_wake,
	.stats = tracedir_stats,
	.interface = tracedir_interface,
	.close = tracedir_close,
};

/* SPDX-License-Identifier: BSD-2-Clause */
/* See test_afpacket_private.h. */
#undef NDEBUG
#include "test_afpacket_private.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

void test_frame_put(struct test_frame *frame, const void *bytes, size_t n)
{
	assert_true(frame->n + n <= sizeof(frame->bytes));
	memcpy(frame->bytes + frame->n, bytes, n);
	frame->n += n;
}

void test_frame_u16(struct test_frame *frame, uint16_t host)
{
	uint16_t be = htons(host);

	test_frame_put(frame, &be, sizeof(be));
}

void test_frame_ethernet(struct test_frame *frame)
{
	/* Nobody's address: the stack ignores the packet. */
	test_frame_put(frame, "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02", 12);
}

static void test_frame_ipv4(
	struct test_frame *frame, size_t ip_bytes, uint8_t proto, uint32_t src, uint32_t dst)
{
	const uint8_t ttl_proto[] = { 64, proto };
	uint32_t addresses[2] = { htonl(src), htonl(dst) };

	test_frame_u16(frame, ETH_P_IP);
	test_frame_u16(frame, 0x4500);
	test_frame_u16(frame, (uint16_t)ip_bytes);
	test_frame_u16(frame, 0); /* identification */
	test_frame_u16(frame, 0x4000);
	test_frame_put(frame, ttl_proto, sizeof(ttl_proto));
	test_frame_u16(frame, 0); /* checksum */
	test_frame_put(frame, addresses, sizeof(addresses));
}

void test_frame_udp(struct test_frame *frame, uint32_t no, size_t n_bytes, unsigned int flow)
{
	uint32_t here = 0x0a000000 + flow / 2, there = 0x0a010000;
	uint16_t port = (uint16_t)(1000 + flow / 2);
	bool back = flow % 2;
	size_t ip_at = frame->n + 2;

	test_frame_ipv4(
		frame, n_bytes - ip_at, IPPROTO_UDP, back ? there : here, back ? here : there);
	test_frame_u16(frame, back ? 53 : port);
	test_frame_u16(frame, back ? port : 53);
	test_frame_u16(frame, (uint16_t)(n_bytes - ip_at - 20));
	test_frame_u16(frame, 0);
	test_frame_put(frame, &no, sizeof(no));
	assert_true(frame->n <= n_bytes);
	for (; frame->n < n_bytes; frame->n++)
		frame->bytes[frame->n] = (uint8_t)(frame->n * 3 + no);
}

void test_frame_tcp(struct test_frame *frame, size_t payload_bytes)
{
	static const uint8_t tcp[20] = { 4, 0, 4, 1, 0, 0, 0, 1, 0, 0, 0, 1, 5 << 4, 0x10, 1, 0 };

	test_frame_ipv4(frame, 40 + payload_bytes, IPPROTO_TCP, 0x0a000001, 0x0a010000);
	test_frame_put(frame, tcp, sizeof(tcp));
	for (size_t i = 0; i < payload_bytes; i++)
		frame->bytes[frame->n++] = (uint8_t)i;
}

/* Closing such a socket takes milliseconds, so that they are kept. */
static int test_sender(bool vnet)
{
	static int fds[2] = { -1, -1 };
	uid_t euid = geteuid();
	const int one = 1;

	if (fds[vnet] >= 0)
		return fds[vnet];
	assert_int_equal(seteuid(0), 0);
	fds[vnet] = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	assert_int_equal(seteuid(euid), 0);
	assert_true(fds[vnet] >= 0);
	if (vnet)
		assert_int_equal(
			setsockopt(fds[vnet], SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)), 0);
	return fds[vnet];
}

bool test_try_send(
	const char *name, const struct test_frame *frame, const struct virtio_net_hdr *vnet)
{
	static uint8_t bytes[TEST_FRAME_BYTES + sizeof(*vnet)];
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
		.sll_ifindex = (int)if_nametoindex(name) };
	size_t n = vnet ? sizeof(*vnet) : 0;

	if (vnet)
		memcpy(bytes, vnet, n);
	memcpy(bytes + n, frame->bytes, frame->n);
	n += frame->n;
	return sendto(test_sender(vnet != NULL), bytes, n, 0, (struct sockaddr *)&to, sizeof(to)) ==
		(ssize_t)n;
}

void test_send(const char *name, const struct test_frame *frame, const struct virtio_net_hdr *vnet)
{
	if (!test_try_send(name, frame, vnet))
		fail_msg("sending on %s: %s", name, strerror(errno));
}

size_t test_send_udp(const char *name, uint32_t no, size_t n_bytes, unsigned int flow)
{
	struct test_frame frame = { .n = 0 };

	test_frame_ethernet(&frame);
	test_frame_udp(&frame, no, n_bytes, flow * 2 + (strcmp(name, "a") != 0));
	test_send(name, &frame, NULL);
	return frame.n;
}

void test_capture_open(struct test_capture *c, const char *name,
	const struct driver_options *options, unsigned int n_workers)
{
	struct driver_open_args args = { .name = name,
		.fd = -1,
		.batch_pkts = 256,
		.n_workers = n_workers,
		.options = options };
	struct error err = ERROR_INIT;

	*c = (struct test_capture){ .source = NULL };
	if (driver_afpacket.open(&c->source, &args, &err) < 0)
		fail_msg("%s", err.text);
}

void test_capture_open_without_right(
	struct test_capture *c, const char *name, unsigned int n_workers)
{
	int fds[DRIVER_FDS_MAX];
	struct driver_open_args args = {
		.name = name, .fd = -1, .batch_pkts = 7, .n_workers = n_workers, .fds = fds
	};
	struct error err = ERROR_INIT;

	*c = (struct test_capture){ .source = NULL };
	if (driver_afpacket.prepare(&args, fds, &args.n_fds, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(seteuid(65534), 0);
	assert_true(socket(AF_PACKET, SOCK_RAW, 0) < 0);
	if (driver_afpacket.open(&c->source, &args, &err) < 0)
		fail_msg("%s", err.text);
}

void test_capture_close(struct test_capture *c)
{
	c->source = driver_afpacket.close(c->source);
	assert_int_equal(seteuid(0), 0);
}

/* Of packet @i of @batch: the number that test_frame_udp() gave it, and its flow. */
static void test_capture_udp(
	struct test_capture *c, const struct packet_batch *batch, unsigned int i, unsigned int ring)
{
	const uint8_t *data = batch->data[i];
	uint16_t port;
	uint32_t no;

	if (batch->cap_bytes[i] < 46 || data[12] != 8 || data[13] != 0 || data[23] != IPPROTO_UDP)
		return;
	memcpy(&no, data + 42, sizeof(no));
	c->numbers += no;
	port = (uint16_t)MAX(data[34] << 8 | data[35], data[36] << 8 | data[37]);
	if (port >= 1000 && port < 1064)
		c->rings[port - 1000] |= 1u << ring;
}

static void test_capture_keep(
	struct test_capture *c, const struct packet_batch *batch, unsigned int i)
{
	uint32_t n = batch->cap_bytes[i];

	if (!c->copy)
		return;
	assert_true(c->copy_bytes + sizeof(n) + n <= TEST_COPY_BYTES);
	memcpy(c->copy + c->copy_bytes, &n, sizeof(n));
	memcpy(c->copy + c->copy_bytes + sizeof(n), batch->data[i], n);
	c->copy_bytes += sizeof(n) + n;
}

/* The ring that packet @data of a chunk came by: the first that was ever met, or another. */
static unsigned int test_capture_ring(
	struct test_capture *c, const struct driver_chunk *chunk, const uint8_t *data)
{
	const struct afpacket_chunk *mine = chunk->impl;
	const struct afpacket_ring *ring = NULL;
	unsigned int no = 0;

	for (unsigned int i = 0; i < mine->n_slices && !ring; i++) {
		const struct afpacket_ring *r = mine->slices[i].ring;

		if (data >= r->map && data < r->map + r->n_blocks * r->block_bytes)
			ring = r;
	}
	while (no < 2 && c->ring[no] && c->ring[no] != ring)
		no++;
	assert_true(ring && no < 2);
	c->ring[no] = ring;
	return no;
}

static void test_capture_batch(
	struct test_capture *c, const struct driver_chunk *chunk, const struct packet_batch *batch)
{
	assert_true(batch->is_live);
	assert_int_equal(batch->linktype, AFPACKET_LINKTYPE_ETHERNET);
	for (unsigned int i = 0; i < batch->n; i++) {
		c->pkts++;
		c->wire_pkts += batch->wire_pkts[i];
		c->wire_bytes += batch->wire_bytes[i];
		c->all_wire_bytes += batch->all_wire_bytes[i];
		c->cap_bytes += batch->cap_bytes[i];
		c->outbound += batch->flags[i] & PACKET_OUTBOUND;
		c->disordered += batch->ts_ns[i] < c->last_ts_ns;
		assert_true(batch->has_super || batch->wire_pkts[i] == 1);
		assert_true(batch->ts_ns[i] <= clock_realtime_ns());
		c->last_ts_ns = batch->ts_ns[i];
		c->last_flags = batch->flags[i];
		c->last_bytes = MIN(batch->cap_bytes[i], sizeof(c->last));
		memcpy(c->last, batch->data[i], c->last_bytes);
		test_capture_udp(c, batch, i, test_capture_ring(c, chunk, batch->data[i]));
		test_capture_keep(c, batch, i);
	}
}

static uint64_t test_capture_walk(struct driver_source *source, struct driver_chunk *chunk)
{
	static struct packet_batch batch;
	uint64_t sum = 0;

	while (driver_afpacket.next_batch(source, chunk, &batch) == 0) {
		for (unsigned int i = 0; i < batch.n; i++) {
			sum = sum * 31 + batch.wire_bytes[i] + batch.flags[i];
			sum = sum * 31 + batch.wire_pkts[i] + batch.all_wire_bytes[i];
			for (uint32_t b = 0; b < batch.cap_bytes[i]; b++)
				sum = sum * 31 + batch.data[i][b];
		}
	}
	return sum;
}

void test_capture_chunk(struct test_capture *c, struct driver_chunk *chunk)
{
	static struct packet_batch batch;
	uint64_t sum;

	while (driver_afpacket.next_batch(c->source, chunk, &batch) == 0)
		test_capture_batch(c, chunk, &batch);
	driver_afpacket.rewind(c->source, chunk);
	sum = test_capture_walk(c->source, chunk);
	driver_afpacket.rewind(c->source, chunk);
	assert_true(sum == test_capture_walk(c->source, chunk));
}

void test_capture_idle(struct test_capture *c)
{
	struct driver_chunk chunk;
	int r = driver_afpacket.claim(c->source, &chunk);

	if (r == 0) {
		test_capture_chunk(c, &chunk);
		driver_afpacket.release(c->source, &chunk);
		return;
	}
	assert_int_equal(r, DRIVER_E_IDLE);
}

void test_capture_read(struct test_capture *c, uint64_t n_pkts)
{
	uint64_t end_ns = clock_monotonic_ns() + 5000000000u;

	while (c->pkts < n_pkts && clock_monotonic_ns() < end_ns)
		test_capture_idle(c);
	test_capture_idle(c);
}

bool test_capture_knows_super(const struct test_capture *c)
{
	int on = 0;
	socklen_t n_bytes = sizeof(on);
	struct afpacket_watch *const *watch = (struct afpacket_watch *const *)c->source;

	/* The first member of the source. */
	return getsockopt((*watch)->fds[0], SOL_PACKET, PACKET_VNET_HDR, &on, &n_bytes) == 0 && on;
}

static void test_tcpdump_run(const char *name, int file_fd, int talk_fd)
{
	char file[32];

	(void)snprintf(file, sizeof(file), "/proc/self/fd/%d", file_fd);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	(void)dup2(talk_fd, STDERR_FILENO);
	/* Its ring has slots of a fixed size: small ones, so that it loses nothing. */
	(void)execlp("tcpdump", "tcpdump", "-n", "-i", name, "-U", "--immediate-mode", "-Z", "root",
		"-s", "2000", "-B", "16384", "-w", file, (char *)NULL);
	_exit(127);
}

bool test_tcpdump_start(const char *name, pid_t *ret_pid, int *ret_fd)
{
	char talk[512] = "";
	size_t n = 0;
	ssize_t more;
	int ends[2];

	*ret_fd = memfd_create("tcpdump", 0);
	assert_true(*ret_fd >= 0 && pipe2(ends, O_CLOEXEC) == 0);
	*ret_pid = fork();
	assert_true(*ret_pid >= 0);
	if (*ret_pid == 0)
		test_tcpdump_run(name, *ret_fd, ends[1]);
	(void)close(ends[1]);
	do {
		more = read(ends[0], talk + n, sizeof(talk) - 1 - n);
		n += more > 0 ? (size_t)more : 0;
	} while (more > 0 && !strstr(talk, "listening on"));
	if (more > 0) {
		/* The pipe stays: it talks once more at the end. */
		return true;
	}
	(void)close(ends[0]);
	(void)close(*ret_fd);
	(void)waitpid(*ret_pid, NULL, 0);
	return false;
}

void test_tcpdump_end(pid_t pid, int fd, uint8_t *ret, size_t n_bytes)
{
	uint64_t end_ns = clock_monotonic_ns() + 5000000000u;
	struct stat st = { .st_size = 0 };

	while (st.st_size < (off_t)n_bytes && clock_monotonic_ns() < end_ns)
		assert_int_equal(fstat(fd, &st) | poll(NULL, 0, 1), 0);
	(void)kill(pid, SIGTERM);
	(void)waitpid(pid, NULL, 0);
	assert_int_equal(pread(fd, ret, n_bytes, 0), n_bytes);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, n_bytes);
	(void)close(fd);
}

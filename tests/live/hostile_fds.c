/* SPDX-License-Identifier: BSD-2-Clause */
/* What hostile programs do with descriptors, in the daemon's own protocol. */
#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../process.h"
#include "hostile_wire.h"
#include "wire/ring.h"
#include "wire/test_send.h"

#define FDS_LINGER_S 8
#define FDS_CONNECTIONS 300 /* more than a user may have */
#define FDS_REFUSED 3000
#define FDS_USER 65533

/* ---- sockets that linger ---- */

/* Full of what nobody reads; whoever closes the last descriptor of it waits for @FDS_LINGER_S. */
static int fds_lingering(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct linger linger = { .l_onoff = 1, .l_linger = FDS_LINGER_S };
	const int least_bytes = 1;
	socklen_t n_bytes = sizeof(address);
	static char bytes[65536];
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(listening, SOL_SOCKET, SO_RCVBUF, &least_bytes, sizeof(least_bytes));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &least_bytes, sizeof(least_bytes));
	if (bind(listening, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(listening, 1) < 0 ||
		getsockname(listening, (struct sockaddr *)&address, &n_bytes) < 0 ||
		connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		accept4(listening, NULL, NULL, SOCK_CLOEXEC) < 0) /* stays open, unread */
		return -1;
	while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(listening);
	return fd;
}

static const unsigned char fds_hello[] = { 0, 0, 0, 6, 0x08, 0x01, 0x12, 0x02, 0x08, 0x02 };

/* The daemon gets the last descriptor: ours is closed while the message is under way. Return:
 * whether it is. */
static bool fds_pass_lingering(int socket_fd, unsigned int n)
{
	const struct linger at_once = { .l_onoff = 0 };
	int fd = fds_lingering();
	bool sent = fd >= 0 && test_send_copies(socket_fd, fds_hello, sizeof(fds_hello), fd, n);

	if (fd >= 0 && !sent)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	if (fd >= 0)
		close(fd);
	return sent;
}

void hostile_linger(void)
{
	static const unsigned int n[] = { 1, 2, 17, 253 };
	unsigned int passed = 0;
	int held[FDS_CONNECTIONS];

	for (unsigned int i = 0; i < 4; i++) {
		int fd = hostile_connect(0);

		passed += fds_pass_lingering(fd, n[i]);
	}
	/* Some of these are refused before anything is read. */
	for (unsigned int i = 0; i < FDS_CONNECTIONS; i++) {
		held[i] = hostile_connect(SOCK_NONBLOCK);
		if (i % 20 == 0 || i > 290)
			passed += fds_pass_lingering(held[i], 1);
	}
	/* And this one is never read, because it ends before. */
	for (unsigned int i = 0; i < 20; i++) {
		int fd = hostile_connect(0);

		(void)!send(fd, "\0\0\0\1x", 5, MSG_NOSIGNAL);
		passed += fds_pass_lingering(fd, 1);
		close(fd);
	}
	printf("%u sockets that linger\n", passed);
	hostile_rest();
}

/* Connections beyond what a user may have, with such a socket among their messages. */
void hostile_refused(void)
{
	struct rlimit limit = { 0 };
	unsigned int n = 0;

	/* The kernel counts what is under way, too. */
	(void)getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	for (unsigned int i = 0; i < FDS_CONNECTIONS; i++)
		(void)hostile_connect(SOCK_NONBLOCK);
	while (n < FDS_REFUSED) {
		int fd = hostile_connect(0);

		/* Whether that was faster than the refusal: else nobody has the socket. */
		n += fds_pass_lingering(fd, 1);
		close(fd);
	}
	printf("%u refused connections\n", n);
	fflush(stdout);
	hostile_end = process_seconds() + 1;
	hostile_rest();
}

/* ---- a file system that does not answer ---- */

static int fds_fuse_fd;

static void fds_fuse_reply(uint64_t unique, const void *bytes, size_t n_bytes, int error)
{
	char reply[256];
	const struct fuse_out_header head = {
		.len = (uint32_t)(sizeof(head) + n_bytes), .error = error, .unique = unique
	};

	memcpy(reply, &head, sizeof(head));
	if (n_bytes)
		memcpy(reply + sizeof(head), bytes, n_bytes);
	(void)!write(fds_fuse_fd, reply, head.len);
}

/* One file, number 2, in the root. */
static struct fuse_attr fds_fuse_attr(uint64_t number)
{
	return (struct fuse_attr){
		.ino = number, .mode = number == 1 ? S_IFDIR | 0777 : S_IFREG | 0666, .nlink = 1
	};
}

/* Enough to open the file; who writes to it, closes it or asks after it waits for ever. */
static void fds_fuse_serve(void)
{
	static char request[1 << 20];
	const struct fuse_in_header *head = (const void *)request;
	struct fuse_init_out init = { .major = 7,
		.minor = 31,
		.max_write = 4096,
		.max_background = 64,
		.congestion_threshold = 48 };
	struct fuse_entry_out entry = { .nodeid = 2, .attr = fds_fuse_attr(2) };
	struct fuse_attr_out attr = { .attr_valid = 0 };
	struct fuse_open_out open_ = { .fh = 1, .open_flags = FOPEN_DIRECT_IO };

	while (read(fds_fuse_fd, request, sizeof(request)) > 0) {
		attr.attr = fds_fuse_attr(head->nodeid);
		if (head->opcode == FUSE_INIT)
			fds_fuse_reply(head->unique, &init, sizeof(init), 0);
		else if (head->opcode == FUSE_LOOKUP)
			fds_fuse_reply(head->unique, &entry, sizeof(entry), 0);
		else if (head->opcode == FUSE_GETATTR && head->nodeid == 1)
			fds_fuse_reply(head->unique, &attr, sizeof(attr), 0);
		else if (head->opcode == FUSE_OPEN)
			fds_fuse_reply(head->unique, &open_, sizeof(open_), 0);
		else if (head->opcode == FUSE_ACCESS)
			fds_fuse_reply(head->unique, NULL, 0, -ENOSYS);
	}
	_exit(0);
}

/* The mount is only ours; its server is a process of its own, so that we can end. Return: the file,
 * -1 if it cannot be. */
static int fds_fuse_open(pid_t *ret_server)
{
	char options[128];

	fds_fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fds_fuse_fd < 0 || unshare(CLONE_NEWNS) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	(void)mkdir("fuse", 0755);
	snprintf(options, sizeof(options),
		"fd=%d,rootmode=40000,user_id=%d,group_id=%d,allow_other", fds_fuse_fd, FDS_USER,
		FDS_USER);
	if (mount("hostile", "fuse", "fuse", MS_NOSUID | MS_NODEV, options) < 0 ||
		setresgid(FDS_USER, FDS_USER, FDS_USER) < 0 ||
		setresuid(FDS_USER, FDS_USER, FDS_USER) < 0)
		return -1;
	*ret_server = fork();
	if (*ret_server == 0)
		fds_fuse_serve();
	close(fds_fuse_fd);
	return open("fuse/file", O_WRONLY | O_CLOEXEC);
}

/* Files that are only sent; one that is written to. Its memory stays on this user's account. */
void hostile_fuse(void)
{
	struct wire_conn *conn;
	pid_t server = 0;
	int fd = fds_fuse_open(&server), first, second;
	uint32_t flow;

	if (fd < 0) {
		printf("skipped: no FUSE here: %s\n", strerror(errno));
		return;
	}
	for (unsigned int i = 1; i <= 253; i = 2 * i + 3) {
		int socket_fd = hostile_connect(0);

		(void)test_send_copies(socket_fd, fds_hello, sizeof(fds_hello), fd, i);
		close(socket_fd);
	}
	conn = hostile_greet(NULL);
	flow = conn ? hostile_flow_new(conn) : 0;
	if (!flow) {
		printf("FAILED: no flow\n");
		exit(1);
	}
	first = hostile_flow_apply(conn, flow, "TO_FILE", &fd, 1);
	if (first == 0)
		first = hostile_flow_connect(conn, flow);
	printf("connected %d\n", first);
	fflush(stdout);
	process_pause_us(1000000); /* packets come */
	first = hostile_flow_close(conn, flow);
	flow = hostile_flow_new(conn);
	second = hostile_flow_apply(conn, flow, "TO_FILE", &fd, 1);
	printf("closing gives %d, another file %d\n", first, second);
	fflush(stdout);
	hostile_rest();
	kill(server, SIGKILL); /* and what waits for it goes on */
}

/* ---- answers that nobody takes ---- */

void hostile_untaken(void)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__FlowApply apply = WIRE__FLOW_APPLY__INIT;
	struct wire_conn *conn = hostile_greet(NULL);
	unsigned long n = 0;
	size_t n_bytes;
	uint8_t frame[256];
	uint32_t length_be;

	if (!conn)
		return;
	apply.flow = hostile_flow_new(conn);
	apply.function = (char[]){ "TO_BUFFER" };
	request.call_case = WIRE__REQUEST__CALL_FLOW_APPLY;
	request.flow_apply = &apply;
	n_bytes = wire__request__pack(&request, frame + 4);
	length_be = htobe32((uint32_t)n_bytes);
	memcpy(frame, &length_be, 4);
	while (process_seconds() < hostile_end)
		if (send(wire_conn_fd(conn), frame, n_bytes + 4, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
			n++;
		else
			process_pause_us(100);
	printf("%lu rings that nobody takes\n", n);
}

/* ---- shared memory ---- */

static void fds_must_fail(bool failed, const char *what)
{
	if (failed)
		return;
	printf("FAILED: %s\n", what);
	exit(1);
}

/* The daemon's memory has the length that it has; holes in a ring are the program's loss. */
void hostile_resize(void)
{
	int area_fd = -1, fds[RING_N_FDS];
	struct wire_conn *conn = hostile_greet(&area_fd);
	uint32_t flow = conn ? hostile_flow_new(conn) : 0;
	struct stat st;
	unsigned long n = 0;

	if (!flow || hostile_flow_apply(conn, flow, "TO_BUFFER", NULL, 0) != 0 ||
		wire_conn_take_fds(conn, fds, RING_N_FDS) < 0 ||
		hostile_flow_connect(conn, flow) != 0) {
		printf("FAILED: no ring\n");
		exit(1);
	}
	fds_must_fail(ftruncate(fds[0], 0) < 0, "a ring was cut");
	fds_must_fail(fstat(fds[0], &st) == 0 && ftruncate(fds[0], 2 * st.st_size) < 0,
		"a ring was grown");
	fds_must_fail(ftruncate(area_fd, 0) < 0, "results were cut");
	fds_must_fail(
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, area_fd, 0) == MAP_FAILED,
		"results can be written");
	fds_must_fail(pwrite(area_fd, &n, sizeof(n), 0) < 0, "results were written");
	fds_must_fail(fallocate(area_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 65536) < 0,
		"results have a hole");
	for (; process_seconds() < hostile_end; n++)
		(void)fallocate(fds[0], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, st.st_size);
	printf("%lu holes\n", n);
}

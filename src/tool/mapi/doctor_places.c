/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where at an interface programs of the kernel may stand, and which do now, ours and those of
 * others: packet sockets, TCX, XDP. Only asked: nothing is attached.
 */
#include "doctor.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/packet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* <linux/bpf.h> of Linux 6.6 */
#define DOCTOR_TCX_INGRESS 46u
#define DOCTOR_TCX_EGRESS 47u

/* As src/kernel calls what it loads. */
#define DOCTOR_OURS "mapi_"

#define DOCTOR_PROGRAMS_MAX 64u
#define DOCTOR_SOCKETS_MAX 256u

/* Of a list for people: words, separated by commas, as far as there is room. */
struct doctor_words {
	char text[160];
	unsigned int n_left_out;
};

static __attribute__((format(printf, 2, 3))) void doctor_word(
	struct doctor_words *words, const char *format, ...)
{
	size_t n = strlen(words->text);
	char word[96];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(word, sizeof(word), format, args);
	va_end(args);
	if (n + strlen(word) + sizeof(", ") > sizeof(words->text) || words->n_left_out)
		words->n_left_out++;
	else
		(void)snprintf(
			words->text + n, sizeof(words->text) - n, "%s%s", n ? ", " : "", word);
}

static int doctor_bpf_call(unsigned int command, union bpf_attr *attr)
{
	return (int)syscall(__NR_bpf, command, attr, sizeof(*attr));
}

/* "?" where it may not be looked at. */
static void doctor_program_name(uint32_t id, char ret[BPF_OBJ_NAME_LEN + 1])
{
	struct bpf_prog_info info = { .type = 0 };
	union bpf_attr by_id = { .prog_id = id };
	union bpf_attr attr = { .info = { .info_len = sizeof(info), .info = (uintptr_t)&info } };
	int fd = doctor_bpf_call(BPF_PROG_GET_FD_BY_ID, &by_id);

	(void)snprintf(ret, BPF_OBJ_NAME_LEN + 1, "?");
	if (fd < 0)
		return;
	attr.info.bpf_fd = (uint32_t)fd;
	if (doctor_bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attr) == 0 && info.name[0])
		(void)snprintf(ret, BPF_OBJ_NAME_LEN + 1, "%.*s", BPF_OBJ_NAME_LEN, info.name);
	(void)close(fd);
}

/* Return: whether it is one of MAPI's. */
static bool doctor_program(struct doctor_words *words, const char *where, uint32_t id)
{
	char name[BPF_OBJ_NAME_LEN + 1];
	bool is_ours;

	doctor_program_name(id, name);
	is_ours = strncmp(name, DOCTOR_OURS, sizeof(DOCTOR_OURS) - 1) == 0;
	doctor_word(words, "%s program %u (%s%s)", where, id, name, is_ours ? ", MAPI" : "");
	return is_ours;
}

/* ---- TCX ---- */

/* The programs at a place, in the order in which they see packets. Return: 0, negative errno. */
static int doctor_query(unsigned int index, uint32_t type, uint32_t ids[], uint32_t *n)
{
	union bpf_attr attr = { .query = { .target_fd = index,
					.attach_type = type,
					.prog_ids = (uintptr_t)ids,
					.prog_cnt = *n } };

	if (doctor_bpf_call(BPF_PROG_QUERY, &attr) < 0)
		return -errno;
	*n = MIN(attr.query.prog_cnt, *n);
	return 0;
}

/* Types of the kernel name what was built into it. Return: -ENOENT if nobody may look. */
static int doctor_has_type(const char *name)
{
	size_t name_bytes = strlen(name) + 1, n_bytes = 0, max_bytes = 1u << 25;
	_cleanup_(cleanup_freep) char *bytes = malloc(max_bytes);
	FILE *in = fopen("/sys/kernel/btf/vmlinux", "re");

	if (!in)
		return -ENOENT;
	if (bytes)
		n_bytes = fread(bytes, 1, max_bytes, in);
	(void)fclose(in);
	for (char *at = bytes, *end = bytes + n_bytes;
		(at = memmem(at, (size_t)(end - at), name, name_bytes)); at++)
		if (at > bytes && at[-1] == '\0')
			return 1;
	return 0;
}

int doctor_tcx(unsigned int index)
{
	uint32_t ids[DOCTOR_PROGRAMS_MAX], n = DOCTOR_PROGRAMS_MAX;
	int r = doctor_query(index, DOCTOR_TCX_INGRESS, ids, &n);

	if (r == 0 || r == -ENOSPC)
		return 1;
	return r == -EPERM || r == -ENODEV ? doctor_has_type("tcx_link") : 0;
}

static void doctor_place_tcx(struct doctor *d, unsigned int index)
{
	static const struct {
		uint32_t type;
		const char *name;
	} ways[] = { { DOCTOR_TCX_INGRESS, "in:" }, { DOCTOR_TCX_EGRESS, "out:" } };
	struct doctor_words words = { .text = "" };
	bool has_others_first = false;
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		uint32_t ids[DOCTOR_PROGRAMS_MAX], n = DOCTOR_PROGRAMS_MAX;
		int r = doctor_query(index, ways[i].type, ids, &n);
		bool is_other = false;

		if (r == -EPERM) {
			doctor_add(d, "at TCX", DOCTOR_OK, NULL, NULL,
				"not seen: that takes CAP_NET_ADMIN (sudo mapi doctor)");
			return;
		}
		if (r < 0)
			return; /* there is no TCX, which is told */
		for (j = 0; j < n; j++) {
			if (!doctor_program(&words, ways[i].name, ids[j]))
				is_other = true;
			else
				has_others_first |= is_other;
		}
	}
	if (words.n_left_out)
		(void)snprintf(words.text + strlen(words.text),
			sizeof(words.text) - strlen(words.text), " ...");
	doctor_add(d, "at TCX", has_others_first ? DOCTOR_NOTE : DOCTOR_OK,
		has_others_first ? "Packets that a program before ours takes are not counted."
				 : NULL,
		has_others_first ? "attach that of the others behind (bpftool net attach)" : NULL,
		"%s", *words.text ? words.text : "no programs");
}

/* ---- XDP ---- */

struct doctor_xdp_programs {
	uint32_t native, generic, hardware;
};

/* As RTA_NEXT, which loses what is known of the alignment. */
static const struct rtattr *doctor_next_attribute(const struct rtattr *a, int *left)
{
	size_t n_bytes = RTA_ALIGN(a->rta_len);

	*left -= (int)n_bytes;
	return (const void *)((const char *)a + n_bytes);
}

static void doctor_xdp_attributes(
	const struct rtattr *nested, struct doctor_xdp_programs *ret_programs)
{
	int left = (int)RTA_PAYLOAD(nested);

	for (const struct rtattr *a = RTA_DATA(nested); RTA_OK(a, left);
		a = doctor_next_attribute(a, &left)) {
		uint32_t value = 0;

		if (RTA_PAYLOAD(a) < sizeof(value))
			continue;
		memcpy(&value, RTA_DATA(a), sizeof(value));
		if (a->rta_type == IFLA_XDP_DRV_PROG_ID)
			ret_programs->native = value;
		else if (a->rta_type == IFLA_XDP_SKB_PROG_ID)
			ret_programs->generic = value;
		else if (a->rta_type == IFLA_XDP_HW_PROG_ID)
			ret_programs->hardware = value;
	}
}

/* Return: 0, negative errno if the kernel does not tell. */
static int doctor_xdp_query(unsigned int index, struct doctor_xdp_programs *ret_programs)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg link;
	} request = { .head = { .nlmsg_len = sizeof(request),
			      .nlmsg_type = RTM_GETLINK,
			      .nlmsg_flags = NLM_F_REQUEST },
		.link = { .ifi_family = AF_UNSPEC, .ifi_index = (int)index } };
	_cleanup_(cleanup_closep) int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	_Alignas(struct nlmsghdr) char answer[32768];
	const struct nlmsghdr *head = (const void *)answer;
	const struct rtattr *a;
	ssize_t n;
	int left;

	*ret_programs = (struct doctor_xdp_programs){ .native = 0 };
	if (fd < 0 || send(fd, &request, sizeof(request), 0) < 0)
		return -errno;
	n = recv(fd, answer, sizeof(answer), 0);
	if (n < 0)
		return -errno;
	if (!NLMSG_OK(head, (size_t)n) || head->nlmsg_type != RTM_NEWLINK)
		return -ENODEV;
	left = (int)IFLA_PAYLOAD(head);
	a = (const void *)((const char *)NLMSG_DATA(head) + NLMSG_ALIGN(sizeof(request.link)));
	for (; RTA_OK(a, left); a = doctor_next_attribute(a, &left))
		if ((a->rta_type & NLA_TYPE_MASK) == IFLA_XDP)
			doctor_xdp_attributes(a, ret_programs);
	return 0;
}

static void doctor_place_xdp(struct doctor *d, unsigned int index)
{
	struct doctor_words words = { .text = "" };
	struct doctor_xdp_programs programs;
	bool has_other = false;

	if (doctor_xdp_query(index, &programs) < 0)
		return;
	if (programs.native)
		has_other |= !doctor_program(&words, "native:", programs.native);
	if (programs.generic)
		has_other |= !doctor_program(&words, "generic:", programs.generic);
	if (programs.hardware)
		has_other |= !doctor_program(&words, "on the card:", programs.hardware);
	has_other &= d->capabilities != 0; /* else names are not told */
	doctor_add(d, "at XDP", has_other ? DOCTOR_NOTE : DOCTOR_OK,
		has_other ? "There is room for one: MAPI counts elsewhere (TCX, packet socket)."
			  : NULL,
		NULL, "%s", *words.text ? words.text : "no program");
}

/* ---- packet sockets ---- */

/* Those of an interface, by the numbers of their files, and how many are known to be whose.
 * @rings_bytes: between the kernel and who reads each; 0: not known, or none */
struct doctor_sockets {
	unsigned long inodes[DOCTOR_SOCKETS_MAX];
	uint64_t rings_bytes[DOCTOR_SOCKETS_MAX];
	unsigned int n;
	unsigned int n_known;
	struct doctor_words words;
};

static int doctor_sockets_read(unsigned int index, struct doctor_sockets *ret)
{
	FILE *in = fopen("/proc/net/packet", "re");
	char line[256];

	*ret = (struct doctor_sockets){ .n = 0 };
	if (!in)
		return -errno;
	while (fgets(line, sizeof(line), in) && ret->n < DOCTOR_SOCKETS_MAX) {
		unsigned int of;
		unsigned long inode;

		if (sscanf(line, "%*s %*s %*s %*s %u %*s %*s %*s %lu", &of, &inode) == 2 &&
			(of == index || of == 0))
			ret->inodes[ret->n++] = inode;
	}
	(void)fclose(in);
	return 0;
}

static void doctor_socket_ring(struct doctor_sockets *sockets, const struct nlmsghdr *head)
{
	const struct packet_diag_msg *message = NLMSG_DATA(head);
	int left = (int)NLMSG_PAYLOAD(head, sizeof(*message));
	const struct rtattr *a = (const void *)(message + 1);
	struct packet_diag_ring ring = { .pdr_block_size = 0 };

	for (; RTA_OK(a, left); a = doctor_next_attribute(a, &left))
		if (a->rta_type == PACKET_DIAG_RX_RING && RTA_PAYLOAD(a) >= sizeof(ring))
			memcpy(&ring, RTA_DATA(a), sizeof(ring));
	for (unsigned int i = 0; i < sockets->n; i++)
		if (sockets->inodes[i] == message->pdiag_ino)
			sockets->rings_bytes[i] = (uint64_t)ring.pdr_block_size * ring.pdr_block_nr;
}

/* Return: whether more of the answer may come. */
static bool doctor_sockets_answer(
	struct doctor_sockets *sockets, const char *answer, size_t n_bytes)
{
	size_t at = 0;

	while (at + sizeof(struct nlmsghdr) <= n_bytes) {
		const struct nlmsghdr *head = (const void *)(answer + at);

		if (!NLMSG_OK(head, n_bytes - at) || head->nlmsg_type != SOCK_DIAG_BY_FAMILY)
			return false; /* the end, or the kernel does not tell */
		if (head->nlmsg_len >= NLMSG_LENGTH(sizeof(struct packet_diag_msg)))
			doctor_socket_ring(sockets, head);
		at += NLMSG_ALIGN(head->nlmsg_len);
	}
	return n_bytes > 0;
}

/* sock_diag(7). Without CONFIG_PACKET_DIAG the kernel does not tell. */
static void doctor_sockets_rings(struct doctor_sockets *sockets)
{
	struct {
		struct nlmsghdr head;
		struct packet_diag_req diag;
	} request = { .head = { .nlmsg_len = sizeof(request),
			      .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			      .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.diag = { .sdiag_family = AF_PACKET, .pdiag_show = PACKET_SHOW_RING_CFG } };
	_cleanup_(cleanup_closep) int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	_Alignas(struct nlmsghdr) char answer[32768];
	ssize_t n;

	if (fd < 0 || send(fd, &request, sizeof(request), 0) < 0)
		return;
	do
		n = recv(fd, answer, sizeof(answer), 0);
	while (n > 0 && doctor_sockets_answer(sockets, answer, (size_t)n));
}

/* How many of the sockets the process holds; what their rings take is added up. */
static unsigned int doctor_sockets_of(
	const struct doctor_sockets *sockets, const char *pid, uint64_t *rings_bytes)
{
	char path[64], target[64];
	const struct dirent *entry;
	unsigned int n = 0, i;
	DIR *folder;

	(void)snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	folder = opendir(path);
	while (folder && (entry = readdir(folder))) {
		ssize_t len = readlinkat(dirfd(folder), entry->d_name, target, sizeof(target) - 1);
		unsigned long inode;

		if (len < 0)
			continue;
		target[len] = '\0';
		if (sscanf(target, "socket:[%lu]", &inode) != 1)
			continue;
		for (i = 0; i < sockets->n; i++) {
			if (sockets->inodes[i] != inode)
				continue;
			*rings_bytes += sockets->rings_bytes[i];
			n++;
		}
	}
	if (folder)
		(void)closedir(folder);
	return n;
}

static void doctor_sockets_holders(struct doctor_sockets *sockets)
{
	DIR *folder = opendir("/proc");
	const struct dirent *entry;

	while (folder && (entry = readdir(folder))) {
		char path[64], name[32], rings[48] = "";
		uint64_t rings_bytes = 0;
		unsigned int n;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		n = doctor_sockets_of(sockets, entry->d_name, &rings_bytes);
		if (!n)
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%.20s/comm", entry->d_name);
		(void)host_line(path, name, sizeof(name));
		if (rings_bytes)
			(void)snprintf(rings, sizeof(rings), " with %s of %.4g MiB",
				n == 1 ? "a ring" : "rings",
				(double)rings_bytes / (double)(1u << 20));
		doctor_word(&sockets->words, "%u of %s (process %.20s)%s", n, name, entry->d_name,
			rings);
		sockets->n_known += n;
	}
	if (folder)
		(void)closedir(folder);
}

static void doctor_place_sockets(struct doctor *d, unsigned int index)
{
	struct doctor_sockets sockets;

	if (doctor_sockets_read(index, &sockets) < 0)
		return;
	doctor_sockets_rings(&sockets);
	doctor_sockets_holders(&sockets);
	if (!sockets.n)
		doctor_add(d, "packet sockets", DOCTOR_OK, NULL, NULL, "none");
	else
		doctor_add(d, "packet sockets", DOCTOR_OK, NULL, NULL, "%u%s%s%s", sockets.n,
			*sockets.words.text ? ": " : "", sockets.words.text,
			sockets.words.n_left_out              ? " ..."
				: !sockets.n_known            ? "; sudo tells whose"
				: sockets.n_known < sockets.n ? "; sudo tells whose others are"
							      : "");
}

void doctor_places(struct doctor *d, unsigned int index)
{
	doctor_place_sockets(d, index);
	doctor_place_tcx(d, index);
	doctor_place_xdp(d, index);
}

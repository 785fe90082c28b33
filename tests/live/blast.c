/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blast IFACE COUNT [-s SIZE] [--vlan] [--flows N]
 *
 * Sends COUNT numbered UDP frames of SIZE bytes (60) as fast as it can, and prints how many were
 * sent and their bytes: "sent 100000 packets 6000000 bytes". The UDP payload begins with the
 * frame's number, from 0, 8 bytes, big-endian. With --vlan frames carry tag 42 (SIZE includes it).
 * Frames belong to N flows (16) in turn, 10.9.0.x port 10000 + x to 10.9.255.1 port 9. A frame for
 * which there is no room on the way out is sent again, so that sent means sent.
 *
 * Needs CAP_NET_RAW. To be used in network namespaces of tests.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BLAST_BURST 64
#define BLAST_BYTES_MAX 9216

struct blast {
	uint64_t count;
	size_t size_bytes;
	bool vlan;
	unsigned int n_flows;
	int fd;
	struct sockaddr_ll to;
};

static uint8_t blast_frames[BLAST_BURST][BLAST_BYTES_MAX];

static void blast_put16(uint8_t *at, unsigned int v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static void blast_checksum(uint8_t *ip)
{
	uint32_t sum = 0;

	blast_put16(ip + 10, 0);
	for (unsigned int i = 0; i < 20; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum += sum >> 16;
	blast_put16(ip + 10, ~sum & 0xffff);
}

static size_t blast_headers(const struct blast *blast)
{
	return 14 + (blast->vlan ? 4 : 0) + 20 + 8;
}

static void blast_make(const struct blast *blast, uint8_t *frame, uint64_t no)
{
	static const uint8_t addresses[12] = { 2, 0, 0, 0, 9, 2, 2, 0, 0, 0, 9, 1 };
	unsigned int flow = (unsigned int)(no % blast->n_flows);
	size_t ip_at = blast_headers(blast) - 28;
	size_t ip_bytes = blast->size_bytes - ip_at;
	uint8_t *ip = frame + ip_at;

	memcpy(frame, addresses, sizeof(addresses));
	if (blast->vlan) {
		blast_put16(frame + 12, ETHERTYPE_VLAN);
		blast_put16(frame + 14, 42);
	}
	blast_put16(ip - 2, ETHERTYPE_IP);
	memset(ip, 0, 28);
	ip[0] = 0x45;
	blast_put16(ip + 2, (unsigned int)ip_bytes);
	ip[6] = 0x40; /* do not fragment */
	ip[8] = 64;
	ip[9] = IPPROTO_UDP;
	blast_put16(ip + 12, 10 << 8 | 9);
	blast_put16(ip + 14, flow);
	blast_put16(ip + 16, 10 << 8 | 9);
	blast_put16(ip + 18, 255 << 8 | 1);
	blast_checksum(ip);
	blast_put16(ip + 20, 10000 + flow);
	blast_put16(ip + 22, 9);
	blast_put16(ip + 24, (unsigned int)(ip_bytes - 20));
	for (unsigned int i = 0; i < 8; i++)
		ip[28 + i] = (uint8_t)(no >> (56 - 8 * i));
}

/* Return: 0, or the errno of what made it stop; @ret_sent frames have been sent. */
static int blast_send(struct blast *blast, uint64_t *ret_sent)
{
	struct mmsghdr messages[BLAST_BURST];
	struct iovec vectors[BLAST_BURST];

	*ret_sent = 0;
	while (*ret_sent < blast->count) {
		uint64_t left = blast->count - *ret_sent;
		unsigned int n = left < BLAST_BURST ? (unsigned int)left : BLAST_BURST;
		int sent;

		for (unsigned int i = 0; i < n; i++) {
			blast_make(blast, blast_frames[i], *ret_sent + i);
			vectors[i] = (struct iovec){ .iov_base = blast_frames[i],
				.iov_len = blast->size_bytes };
			messages[i] = (struct mmsghdr){ .msg_hdr = { .msg_name = &blast->to,
								.msg_namelen = sizeof(blast->to),
								.msg_iov = &vectors[i],
								.msg_iovlen = 1 } };
		}
		sent = sendmmsg(blast->fd, messages, n, 0);
		if (sent > 0)
			*ret_sent += (unsigned int)sent;
		else if (errno == ENOBUFS || errno == EAGAIN)
			(void)poll(&(struct pollfd){ .fd = blast->fd, .events = POLLOUT }, 1, 10);
		else if (errno != EINTR)
			return errno;
	}
	return 0;
}

static int blast_usage(void)
{
	(void)fputs("usage: blast IFACE COUNT [-s SIZE] [--vlan] [--flows N]\n", stderr);
	return 2;
}

static bool blast_number(const char *text, uint64_t max, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	return !errno && *end == '\0' && end != text && *ret <= max;
}

/* Return: whether the arguments make sense. */
static bool blast_arguments(struct blast *blast, int argc, char *argv[])
{
	uint64_t number;

	if (argc < 3 || !blast_number(argv[2], UINT64_MAX, &blast->count))
		return false;
	for (int i = 3; i < argc; i++) {
		if (strcmp(argv[i], "--vlan") == 0) {
			blast->vlan = true;
		} else if (strcmp(argv[i], "-s") == 0 && i + 1 < argc &&
			blast_number(argv[i + 1], BLAST_BYTES_MAX, &number)) {
			blast->size_bytes = number;
			i++;
		} else if (strcmp(argv[i], "--flows") == 0 && i + 1 < argc &&
			blast_number(argv[i + 1], 50000, &number) && number > 0) {
			blast->n_flows = (unsigned int)number;
			i++;
		} else {
			return false;
		}
	}
	return blast->size_bytes >= blast_headers(blast) + 8;
}

int main(int argc, char *argv[])
{
	struct blast blast = { .size_bytes = 60, .n_flows = 16, .to = { .sll_family = AF_PACKET } };
	uint64_t sent;
	int error;

	if (!blast_arguments(&blast, argc, argv))
		return blast_usage();
	blast.to.sll_ifindex = (int)if_nametoindex(argv[1]);
	blast.fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (blast.to.sll_ifindex == 0 || blast.fd < 0) {
		(void)fprintf(stderr, "blast: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	error = blast_send(&blast, &sent);
	if (error)
		(void)fprintf(stderr, "blast: %s: %s\n", argv[1], strerror(error));
	(void)printf("sent %" PRIu64 " packets %" PRIu64 " bytes\n", sent, sent * blast.size_bytes);
	return error ? 1 : 0;
}

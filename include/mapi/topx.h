/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arguments and result of TOP: mapi_extraflib(3).
 *
 * The result is an unsigned int, the number of records, directly followed by the records; so they
 * begin at offset 4 and are not aligned. Programs have always read them as
 *
 *	unsigned int *n = result->res;
 *	struct topx_result *record = (struct topx_result *)(n + 1);
 *
 * which suits the processors of the time; memcpy() suits all.
 */
#ifndef MAPI_TOPX_H
#define MAPI_TOPX_H

#include <netinet/in.h>
#include <sys/socket.h>

#define TOPX_MAX_X 1000

#define TOPX_IP 1
#define TOPX_TCP 2
#define TOPX_UDP 3
#define TOPX_ICMP 4 /* refused: it has no fields here */

#define SORT_BY_PACKETS 1
#define SORT_BY_BYTES 2

enum topx_field {
	TOPX_IP_TOS = 1,
	TOPX_IP_LENGTH = 2,
	TOPX_IP_ID = 3,
	TOPX_IP_OFFSET = 4,
	TOPX_IP_TTL = 5,
	TOPX_IP_PROTOCOL = 6,
	TOPX_IP_CHECKSUM = 7,
	TOPX_IP_SRCIP = 8,
	TOPX_IP_DSTIP = 9,
	TOPX_TCP_SRCPORT = 10,
	TOPX_TCP_DSTPORT = 11,
	TOPX_TCP_SEQ = 12,
	TOPX_TCP_ACK = 13,
	TOPX_TCP_FLAGS = 14,
	TOPX_TCP_WIN = 15,
	TOPX_TCP_CRC = 16,
	TOPX_TCP_URGENT = 17,
	TOPX_UDP_SRCPORT = 18,
	TOPX_UDP_DSTPORT = 19,
	TOPX_UDP_LENGTH = 20,
	TOPX_UDP_CHECKSUM = 21
};

/* One value and what came with it; the records are sorted, most first. */
struct topx_result {
	unsigned int value; /* host byte order, but IPv4 addresses as in struct in_addr; 0: IPv6 */
	struct in6_addr addr6; /* IPv6 address, else 0 */
	sa_family_t family; /* of an address: AF_INET, AF_INET6; else 0 */
	unsigned int count; /* packets; stays at the largest number */
	unsigned long long bytecount; /* bytes on the wire */
	unsigned int last_rst_secs; /* beginning of the interval, time of packets: in spite of its
				     * name microseconds since the Unix epoch, modulo 2^32 */
};

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* What HASHSAMP keeps of the packets that it passes: mapi_stdflib(3). */
#ifndef MAPI_HASHSAMP_H
#define MAPI_HASHSAMP_H

/* Bits of struct sample.tcp_flags; not those of the TCP header. */
#define HASHSAMP_SYN 1
#define HASHSAMP_ACK 2
#define HASHSAMP_RST 4
#define HASHSAMP_FIN 8
#define HASHSAMP_PSH 16

/* All numbers in host byte order; source_ip and dest_ip are 0 for IPv6, sequence and tcp_flags for
 * UDP. timestamp is 32.32 fixed point seconds since the Unix epoch. */
struct sample {
	unsigned int source_ip;
	unsigned int dest_ip;
	unsigned int sourceport;
	unsigned int destport;
	unsigned int sequence;
	unsigned int tcp_flags;
	unsigned int protocol;
	unsigned long long timestamp;
};

#endif

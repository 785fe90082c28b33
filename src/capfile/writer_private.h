/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the capture file writer share: see writer.h. */
#ifndef MAPI_CAPFILE_WRITER_PRIVATE_H
#define MAPI_CAPFILE_WRITER_PRIVATE_H

#include <stddef.h>

#include "output.h"
#include "writer.h"

#define WRITER_INTERFACES_MAX 65536u

#define WRITER_LINKTYPE_ETHERNET 1u /* of a file that gets no packet */

/**
 * struct writer_interface - a described interface of a pcapng file; its number is its place
 * @n_pkts, @ts_ns: its packets so far, time of the last one
 * @lost_pkts:      packets of it that are missing in the file
 */
struct writer_interface {
	uint32_t linktype;
	uint16_t ifindex;
	uint64_t n_pkts;
	uint64_t lost_pkts;
	uint64_t ts_ns;
};

/**
 * struct capfile_writer - see writer.h
 * @linktype:      pcap: of the file, once @begun
 * @begun:         the file header has been written
 * @recent:        pcapng: interface of the last packet, most often that of the next
 */
struct capfile_writer {
	struct output *output;
	char *device;
	char *comment;
	enum capfile_format format;
	uint32_t snaplen_bytes;
	uint32_t linktype;
	bool keep_ifindex;
	bool begun;
	struct writer_interface *interfaces;
	unsigned int n_interfaces;
	unsigned int recent;
};

/* writer_pcapng.c */
int writer_pcapng_begin(struct capfile_writer *writer, struct error *err);
int writer_pcapng_end(struct capfile_writer *writer, struct error *err);
int writer_pcapng_packet(
	struct capfile_writer *writer, const struct capfile_packet *packet, struct error *err);
int writer_pcapng_drops(
	struct capfile_writer *writer, uint16_t ifindex, uint64_t lost_pkts, struct error *err);
int writer_pcapng_counts(struct capfile_writer *writer, bool lossless, struct error *err);

#endif

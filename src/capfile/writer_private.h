/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the capture file writer share: see writer.h. */
#ifndef MAPI_CAPFILE_WRITER_PRIVATE_H
#define MAPI_CAPFILE_WRITER_PRIVATE_H

#include <stdatomic.h>
#include <stddef.h>

#include "writer.h"

#define WRITER_BUFFER_BYTES (64u << 10)
#define WRITER_RECORDS_MAX 2048u
#define WRITER_PARTS_MAX 8u
#define WRITER_INTERFACES_MAX 65536u
#define WRITER_RECORD_PACKET 0x80000000u /* a record that is a packet */

struct writer_part {
	const void *bytes;
	size_t n_bytes;
};

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
 * @cancelled:     capfile_writer_cancel() was called; @deadline_ns: wait no longer than that
 * @failed:        errno of the first failure; nothing is written afterwards
 * @written_bytes: handed to the kernel
 * @recent:        pcapng: interface of the last packet, most often that of the next
 * @lost_pkts:     that were in @buffer when writing failed, and are not in the file
 * @record_ends:   ends of the records within @buffer, so that a failure can cut between them; with
 *                 WRITER_RECORD_PACKET
 */
struct capfile_writer {
	int fd;
	char *path;
	char *device;
	char *comment;
	enum capfile_format format;
	uint32_t snaplen_bytes;
	uint32_t linktype;
	bool regular;
	bool keep_ifindex;
	bool begun;
	_Atomic bool cancelled;
	uint64_t deadline_ns;
	int failed;
	uint64_t written_bytes;
	uint64_t lost_pkts;
	struct writer_interface *interfaces;
	unsigned int n_interfaces;
	unsigned int recent;
	size_t n_buffered;
	unsigned int n_records;
	uint32_t record_ends[WRITER_RECORDS_MAX];
	uint8_t buffer[WRITER_BUFFER_BYTES];
};

/* Append one record made of parts. @is_packet: of a packet. Return: 0, -EINVAL with @err filled. */
int writer_put(struct capfile_writer *writer, const struct writer_part *parts, unsigned int n_parts,
	bool is_packet, struct error *err);

/* writer_pcapng.c */
int writer_pcapng_begin(struct capfile_writer *writer, struct error *err);
int writer_pcapng_end(struct capfile_writer *writer, struct error *err);
int writer_pcapng_packet(
	struct capfile_writer *writer, const struct capfile_packet *packet, struct error *err);
int writer_pcapng_drops(
	struct capfile_writer *writer, uint16_t ifindex, uint64_t lost_pkts, struct error *err);
int writer_pcapng_counts(struct capfile_writer *writer, bool lossless, struct error *err);

#endif

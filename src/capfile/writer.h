/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing capture files: pcap with microseconds or nanoseconds, and pcapng with interface,
 * statistics (drops) and comment blocks. Output goes to a descriptor through a buffer; nothing is
 * lost silently: every failed write is reported, and what was written before it is a valid file.
 *
 * Sources: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.
 */
#ifndef MAPI_CAPFILE_WRITER_H
#define MAPI_CAPFILE_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

enum capfile_format { CAPFILE_PCAP_US, CAPFILE_PCAP_NS, CAPFILE_PCAPNG, _CAPFILE_FORMAT_N };

struct capfile_writer;

/**
 * struct capfile_writer_args - how to write
 * @fd:            open for writing; taken on success; see output_new()
 * @path:          for messages; copied
 * @format:        of the file
 * @snaplen_bytes: of the header; 0: PACKET_CAP_BYTES_MAX
 * @device:        pcapng: prefix of interface names; may be NULL
 * @comment:       pcapng: comment of the section; may be NULL
 * @keep_ifindex:  pcapng: number the interfaces as the packets do, describing unused ones before
 *                 them; else in the order of their first packets. Where one interface has several
 *                 link types, only the first gets its number
 */
struct capfile_writer_args {
	int fd;
	const char *path;
	enum capfile_format format;
	uint32_t snaplen_bytes;
	const char *device;
	const char *comment;
	bool keep_ifindex;
};

/* The file header of pcap is written with the first packet, which decides the link type; a file
 * that gets no packet has LINKTYPE_ETHERNET. Return: 0, -EINVAL with @err (9003) filled, -ENOMEM.
 */
int capfile_writer_new(
	struct capfile_writer **ret, const struct capfile_writer_args *args, struct error *err);

/**
 * struct capfile_packet - one packet to be written
 * @flags:     pcapng: PACKET_INBOUND, PACKET_OUTBOUND, PACKET_CHECKSUM_OPEN (epb_flags)
 * @wire_pkts, @all_wire_bytes: pcapng: what a super-packet stands for (a comment); 0, 1: itself
 * @lost_pkts: pcapng: packets of this interface that are missing between its last one and this one
 *             (epb_dropcount)
 * @comment:   pcapng: of this packet; NULL: none
 */
struct capfile_packet {
	const uint8_t *data;
	uint32_t cap_bytes;
	uint32_t wire_bytes;
	uint32_t linktype;
	uint16_t ifindex;
	uint64_t ts_ns;
	uint64_t lost_pkts;
	uint8_t flags;
	uint16_t wire_pkts;
	uint32_t all_wire_bytes;
	const char *comment;
};

/* Append one packet. A pcap file holds one link type: another one is refused with a text that names
 * pcapng. Return: 0, -EINVAL with @err filled (9003: the text names path, cause and bytes written).
 */
int capfile_write(
	struct capfile_writer *writer, const struct capfile_packet *packet, struct error *err);

/* pcapng: @lost_pkts packets of this interface are missing after the last one that was written of
 * it; capfile_write_counts() will tell. Other formats: nothing. Return: as capfile_write(). */
int capfile_write_drops(
	struct capfile_writer *writer, uint16_t ifindex, uint64_t lost_pkts, struct error *err);

/* pcapng: complete the section with a statistics block for each interface that packets were written
 * or are missing of: isb_ifrecv, both together; isb_ifdrop, the missing ones; time of the last one
 * written. @lossless: whether "none is missing" is known; if not, isb_ifdrop is there only if some
 * are. Other formats: nothing. To be called once, after the last packet. Return: as
 * capfile_write(). */
int capfile_write_counts(struct capfile_writer *writer, bool lossless, struct error *err);

/* Hand everything to the kernel. */
int capfile_writer_flush(struct capfile_writer *writer, struct error *err);

/* Any thread: a pipe whose reader does not read is waited for a moment only, now and ever after;
 * then writing fails. A reader that reads gets everything. Takes NULL. */
void capfile_writer_cancel(struct capfile_writer *writer);

/* After a failure: packets that capfile_write() had taken, and of which the file or pipe did not
 * get all bytes. */
uint64_t capfile_writer_lost_pkts(const struct capfile_writer *writer);

/* As output_abandon(). */
void capfile_writer_abandon(struct capfile_writer *writer);

/* Flush, close, free; takes NULL. Return: as capfile_write(). */
int capfile_writer_close(struct capfile_writer *writer, struct error *err);

#endif

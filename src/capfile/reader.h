/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading capture files: pcap, pcapng, ERF. This module knows the formats and nothing about where
 * the bytes come from: it walks the records of a span of memory, mapped file or read buffer alike.
 *
 * A struct capfile_file holds what the head of the file says (it never changes afterwards) and
 * the table of interfaces (it only grows). A struct capfile_cursor holds what the records before a
 * place mean for those behind it; for pcap and ERF that is nothing, so that reading may start at
 * any record. Two passes exist, and capfile_read(), which is both at once:
 *
 *   capfile_scan()  in order, once over the whole file, by one caller at a time: checks every
 *                   record, learns interfaces, finds where the complete records of a span end
 *   capfile_walk()  over what a scan has passed, or any run of pcap records: fills batches. Any
 *                   number of threads at once. Checks all bounds again, because a mapped file can
 *                   change under it
 *
 * Sources: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng, "Endace Extensible Record Format".
 * Where files in the wild differ from these, libpcap's reading is followed, so that counts agree.
 */
#ifndef MAPI_CAPFILE_READER_H
#define MAPI_CAPFILE_READER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/build.h"
#include "base/error.h"
#include "packet/packet.h"

/* As many bytes from the start of a file always suffice to recognise it. */
#define CAPFILE_PROBE_BYTES 8192u

#define CAPFILE_INTERFACES_MAX 65536u
#define CAPFILE_SUPPORTED "supported are " MAPI_CAPTURE_FORMATS

enum capfile_outcome {
	CAPFILE_E_STOP = 1, /* the next record starts at or behind span->stop */
	CAPFILE_E_MORE, /* the record at span->at is not complete: span->need_bytes */
	CAPFILE_E_DAMAGED, /* the record at span->at is impossible; the error says why */
	CAPFILE_E_PRIVATE, /* capfile_scan(): records must be rewritten, the span is read-only */
	CAPFILE_E_UNKNOWN, /* capfile_file_open(): not a capture file */
	_CAPFILE_E_N
};

enum capfile_kind { CAPFILE_KIND_PCAP, CAPFILE_KIND_PCAPNG, CAPFILE_KIND_ERF, _CAPFILE_KIND_N };

struct capfile_interface {
	uint32_t linktype;
	uint32_t snaplen_bytes; /* in force, never 0 */
	uint64_t ts_units_per_s;
	int64_t ts_offset_s;
	char name[64];
};

struct capfile_interface_block;

/**
 * struct capfile_file - what the head of a file says
 * @header_bytes:  of the file header of pcap: the first record is there
 * @record_bytes:  pcap: length of a record header
 * @linktype:      pcap
 * @record_max_bytes: longer captured data is damage
 * @snaplen_bytes: pcap: captured data is cut here
 * @frac_ns:       pcap: unit of the fraction of a second
 * @plain:         pcap: records need nothing but reading (all but a few rare files)
 * @must_rewrite:  pcap: headers in front of the packets are in the byte order of a foreign host,
 *                 so that records must be read into private memory and changed there
 * @n_interfaces:  written by capfile_scan() with release order; readable by any thread
 */
struct capfile_file {
	enum capfile_kind kind;
	bool swapped;
	bool lengths_swapped;
	bool lengths_maybe_swapped;
	bool plain;
	bool must_rewrite;
	uint32_t header_bytes;
	uint32_t record_bytes;
	uint32_t linktype;
	uint32_t record_max_bytes;
	uint32_t snaplen_bytes;
	uint32_t frac_ns;
	_Atomic unsigned int n_interfaces;
	struct capfile_interface_block *_Atomic blocks[CAPFILE_INTERFACES_MAX / 256];
};

/**
 * struct capfile_cursor - what the records so far mean for the next (pcapng: the section)
 * @first_interface: number within the file of the section's first interface
 * @packet_max_bytes: what the most generous link type so far allows
 * All zero at the start of a file.
 */
struct capfile_cursor {
	bool swapped;
	uint32_t first_interface;
	uint32_t n_interfaces;
	uint32_t packet_max_bytes;
};

/**
 * struct capfile_span - memory to be read
 * @bytes, @end:   what is there
 * @at:            next record, moved by scan and walk
 * @stop:          records that start here or later belong to somebody else; at most @end
 * @offset:        of @bytes[0] within the file, for messages
 * @more:          bytes behind @end may come: a record that is not complete is no damage
 * @rewrite:       @bytes may be written through (capfile_scan() only)
 * @need_bytes:    set with CAPFILE_E_MORE: so many bytes from @at must be there to go on
 */
struct capfile_span {
	const uint8_t *bytes;
	size_t at;
	size_t stop;
	size_t end;
	uint64_t offset;
	bool more;
	bool rewrite;
	size_t need_bytes;
};

/**
 * capfile_file_open() - recognise a file by its first bytes
 * @ret:     all zero when called first for a file; to be emptied by capfile_file_deinit(), unless
 *           this fails. capfile_interface_get() may be called meanwhile
 * @bytes:   start of the (uncompressed) file
 * @n_bytes: how many; fewer than CAPFILE_PROBE_BYTES only if the file is shorter or @more is true
 * @more:    bytes may follow
 * @name:    for messages
 *
 * Return: 0; CAPFILE_E_MORE if bytes are missing for a decision; CAPFILE_E_UNKNOWN if it is no
 * capture file; -EINVAL with @err (1026) filled if it is one that cannot be read; -ENOMEM.
 */
int capfile_file_open(struct capfile_file *ret, const void *bytes, size_t n_bytes, bool more,
	const char *name, struct error *err);

void capfile_file_deinit(struct capfile_file *format);

/**
 * capfile_interface_get() - one interface of the file
 * Return: the interface, valid as long as the format; NULL if there is none of this number (yet).
 */
const struct capfile_interface *capfile_interface_get(
	const struct capfile_file *format, unsigned int index);

/**
 * capfile_scan() - pass over the records of a span, in order
 * @n_pkts: increased by the number of packets passed
 * @name:   for messages
 *
 * Return: CAPFILE_E_STOP (also at the end of the span when every record is complete),
 * CAPFILE_E_MORE, CAPFILE_E_DAMAGED with @err (9001) filled, CAPFILE_E_PRIVATE, -ENOMEM.
 */
int capfile_scan(struct capfile_file *format, struct capfile_cursor *cursor,
	struct capfile_span *span, uint64_t *n_pkts, const char *name, struct error *err);

/**
 * capfile_walk() - fill a batch from the records of a span
 * @batch:    n, linktype and the arrays are filled (0 packets are possible)
 * @max_pkts: 1 .. PACKET_BATCH_MAX
 *
 * Return: 0 if the batch is full or the link type changes; else as capfile_scan(). Packets may have
 * been found with every outcome.
 */
int capfile_walk(const struct capfile_file *format, struct capfile_cursor *cursor,
	struct capfile_span *span, struct packet_batch *batch, unsigned int max_pkts,
	const char *name, struct error *err);

/**
 * capfile_read() - scan and walk in one
 *
 * For a reader that is alone: as capfile_walk() over what no scan has passed, learning interfaces
 * as capfile_scan() does. May be repeated from an earlier place with the cursor of that place.
 *
 * Return: as capfile_walk(); CAPFILE_E_PRIVATE, -ENOMEM.
 */
int capfile_read(struct capfile_file *format, struct capfile_cursor *cursor,
	struct capfile_span *span, struct packet_batch *batch, unsigned int max_pkts,
	const char *name, struct error *err);

/**
 * capfile_guess() - find a place where pcap records probably start
 * @span: search from @at, before @stop
 *
 * A guess only: whoever uses it must compare it with where the records before really end.
 *
 * Return: the position within the span; span->stop if there is no likely one.
 */
size_t capfile_guess(const struct capfile_file *format, const struct capfile_span *span);

#endif

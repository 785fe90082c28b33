/* SPDX-License-Identifier: BSD-2-Clause */
/* Capture files of any format: recognising them, their interfaces, and the two passes. See
 * reader.h; each format has a file of its own. */
#include "reader_private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

struct capfile_interface_block {
	struct capfile_interface interfaces[256];
};

uint32_t capfile_cap_max(uint32_t linktype)
{
	switch (linktype) {
	case CAPFILE_LINKTYPE_DBUS:
		return 128u << 20;
	case CAPFILE_LINKTYPE_EBHSCR:
		return 8u << 20;
	case CAPFILE_LINKTYPE_USBPCAP:
		return 1u << 20;
	default:
		return PACKET_CAP_BYTES_MAX;
	}
}

uint32_t capfile_snaplen(uint32_t linktype, uint32_t snaplen_bytes)
{
	if (snaplen_bytes == 0 || snaplen_bytes > INT32_MAX)
		return capfile_cap_max(linktype);
	return snaplen_bytes;
}

int capfile_bad(struct capfile_record *record, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(record->why, sizeof(record->why), fmt, ap);
	va_end(ap);
	return CAPFILE_E_DAMAGED;
}

int capfile_damaged(const struct capfile_span *span, const struct capfile_record *record,
	const char *name, struct error *err)
{
	(void)error_set(err, MAPI_CAPTURE_DAMAGED, "%s: damaged at offset %llu: %s", name,
		(unsigned long long)(span->offset + span->at), record->why);
	return CAPFILE_E_DAMAGED;
}

int capfile_interface_add(struct capfile_file *format, const struct capfile_interface *add)
{
	unsigned int n = atomic_load_explicit(&format->n_interfaces, memory_order_relaxed);
	struct capfile_interface_block *block;

	if (n == CAPFILE_INTERFACES_MAX)
		return CAPFILE_E_DAMAGED;
	block = atomic_load_explicit(&format->blocks[n / 256], memory_order_relaxed);
	if (!block) {
		block = calloc(1, sizeof(*block));
		if (!block)
			return -ENOMEM;
		atomic_store_explicit(&format->blocks[n / 256], block, memory_order_relaxed);
	}
	block->interfaces[n % 256] = *add;
	/* Pairs with the acquire in capfile_interface_get(). */
	atomic_store_explicit(&format->n_interfaces, n + 1, memory_order_release);
	return 0;
}

const struct capfile_interface *capfile_interface_get(
	const struct capfile_file *format, unsigned int index)
{
	const struct capfile_interface_block *block;

	if (index >= atomic_load_explicit(&format->n_interfaces, memory_order_acquire))
		return NULL;
	block = atomic_load_explicit(&format->blocks[index / 256], memory_order_relaxed);
	return &block->interfaces[index % 256];
}

int capfile_file_open(struct capfile_file *ret, const void *bytes, size_t n_bytes, bool more,
	const char *name, struct error *err)
{
	int r;

	r = capfile_pcap_open(ret, bytes, n_bytes, more, name, err);
	if (r == CAPFILE_E_UNKNOWN)
		r = capfile_pcapng_open(ret, bytes, n_bytes, more, name, err);
	if (r == CAPFILE_E_UNKNOWN)
		r = capfile_erf_open(ret, bytes, n_bytes, more);
	if (r != 0)
		capfile_file_deinit(ret);
	return r;
}

void capfile_file_deinit(struct capfile_file *format)
{
	for (size_t i = 0; i < ARRAY_SIZE(format->blocks); i++) {
		free(atomic_load_explicit(&format->blocks[i], memory_order_relaxed));
		atomic_store_explicit(&format->blocks[i], NULL, memory_order_relaxed);
	}
	atomic_store_explicit(&format->n_interfaces, 0, memory_order_relaxed);
}

static int capfile_record(const struct capfile_file *format, const struct capfile_cursor *cursor,
	const uint8_t *at, size_t left, struct capfile_record *ret)
{
	if (format->kind == CAPFILE_KIND_ERF)
		return capfile_erf_record(at, left, ret);
	return capfile_pcapng_record(format, cursor, at, left, ret);
}

/* A record is not complete, and nothing will come: damage. */
static int capfile_cut_off(const struct capfile_span *span, struct capfile_record *record)
{
	size_t left = span->end - span->at;

	return capfile_bad(
		record, "the record needs %zu bytes, the file ends after %zu", record->bytes, left);
}

static int capfile_outcome(int r, struct capfile_span *span, struct capfile_record *record,
	const char *name, struct error *err)
{
	if (r == CAPFILE_E_MORE) {
		span->need_bytes = record->bytes;
		if (span->more)
			return r;
		r = capfile_cut_off(span, record);
	}
	if (r == CAPFILE_E_DAMAGED)
		return capfile_damaged(span, record, name, err);
	return r;
}

static int capfile_scan_blocks(struct capfile_file *format, struct capfile_cursor *cursor,
	struct capfile_span *span, uint64_t *n_pkts, struct capfile_record *record)
{
	while (span->at < span->stop) {
		const uint8_t *at = span->bytes + span->at;
		int r = capfile_record(format, cursor, at, span->end - span->at, record);

		if (r != 0)
			return r;
		if (record->packet) {
			if (cursor->swapped && capfile_swap_wanted(record->linktype)) {
				if (!span->rewrite)
					return CAPFILE_E_PRIVATE;
				capfile_swap(record->linktype, (uint8_t *)record->data,
					record->cap_bytes, record->wire_bytes);
			}
			*n_pkts += 1;
		} else if (format->kind == CAPFILE_KIND_PCAPNG) {
			r = capfile_pcapng_enter(format, cursor, at, record->bytes, record);
			if (r != 0)
				return r;
		}
		span->at += record->bytes;
	}
	return CAPFILE_E_STOP;
}

int capfile_scan(struct capfile_file *format, struct capfile_cursor *cursor,
	struct capfile_span *span, uint64_t *n_pkts, const char *name, struct error *err)
{
	struct capfile_record record;
	int r;

	if (format->kind == CAPFILE_KIND_PCAP)
		r = capfile_pcap_scan(format, span, n_pkts, &record);
	else
		r = capfile_scan_blocks(format, cursor, span, n_pkts, &record);
	return capfile_outcome(r, span, &record, name, err);
}

void capfile_batch_tell(struct packet_batch *batch, const struct capfile_record *r)
{
	unsigned int n = batch->n - 1;

	for (unsigned int i = batch->is_live ? n : 0; i <= n; i++) {
		batch->flags[i] = 0;
		batch->wire_pkts[i] = 1;
		batch->all_wire_bytes[i] = batch->wire_bytes[i];
	}
	batch->is_live = true;
	if (!r->tells)
		return;
	batch->flags[n] = r->flags;
	batch->wire_pkts[n] = r->wire_pkts;
	batch->all_wire_bytes[n] = r->all_wire_bytes;
	batch->has_super = batch->has_super || r->wire_pkts > 1;
}

/* @grow: the format, if interfaces are to be learnt; else a scan has been here. */
static inline __attribute__((always_inline)) int capfile_walk_blocks(
	const struct capfile_file *format, struct capfile_file *grow, struct capfile_cursor *cursor,
	struct capfile_span *span, struct packet_batch *batch, unsigned int max_pkts,
	struct capfile_record *record)
{
	size_t fetched = 0;

	while (batch->n < max_pkts) {
		const uint8_t *at;
		int r;

		if (span->at >= span->stop)
			return CAPFILE_E_STOP;
		at = span->bytes + span->at;
		fetched = capfile_fetch(span, span->at, fetched);
		r = capfile_record(format, cursor, at, span->end - span->at, record);
		if (r != 0)
			return r;
		if (record->packet) {
			if (batch->n > 0 && record->linktype != batch->linktype)
				return 0;
			if (grow && cursor->swapped && capfile_swap_wanted(record->linktype))
				return CAPFILE_E_PRIVATE;
			batch->linktype = record->linktype;
			capfile_batch_add(batch, record);
		} else if (format->kind == CAPFILE_KIND_PCAPNG) {
			r = capfile_pcapng_enter(grow, cursor, at, record->bytes, record);
			if (r != 0)
				return r;
		}
		span->at += record->bytes;
	}
	return 0;
}

int capfile_walk(const struct capfile_file *format, struct capfile_cursor *cursor,
	struct capfile_span *span, struct packet_batch *batch, unsigned int max_pkts,
	const char *name, struct error *err)
{
	struct capfile_record record;
	int r;

	batch->n = 0;
	batch->is_live = batch->has_super = false;
	if (format->kind == CAPFILE_KIND_PCAP)
		r = capfile_pcap_walk(format, span, batch, max_pkts, &record);
	else
		r = capfile_walk_blocks(format, NULL, cursor, span, batch, max_pkts, &record);
	return capfile_outcome(r, span, &record, name, err);
}

int capfile_read(struct capfile_file *format, struct capfile_cursor *cursor,
	struct capfile_span *span, struct packet_batch *batch, unsigned int max_pkts,
	const char *name, struct error *err)
{
	struct capfile_record record;
	int r;

	if (format->kind == CAPFILE_KIND_PCAP)
		return capfile_walk(format, cursor, span, batch, max_pkts, name, err);
	batch->n = 0;
	batch->is_live = batch->has_super = false;
	r = capfile_walk_blocks(format, format, cursor, span, batch, max_pkts, &record);
	return capfile_outcome(r, span, &record, name, err);
}

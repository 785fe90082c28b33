/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables of mapi top: filled from results, rates, order. See top.h. */
#include "top.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "mapi/topx.h"

void top_sample_deinit(struct top_sample *sample)
{
	unsigned int i;

	for (i = 0; i < _TOP_VIEW_N; i++)
		free(sample->tables[i].rows);
	*sample = (struct top_sample){ .at_ns = 0 };
}

static struct top_row *top_table_find(const struct top_table *table, const char *name)
{
	unsigned int i;

	for (i = 0; i < table->n_rows; i++)
		if (!strcmp(table->rows[i].name, name))
			return &table->rows[i];
	return NULL;
}

int top_table_add(struct top_table *table, const char *name, unsigned int direction, uint64_t pkts,
	uint64_t bytes)
{
	struct top_row *row = top_table_find(table, name);

	if (!row) {
		struct top_row *rows = reallocarray(table->rows, table->n_rows + 1u, sizeof(*rows));

		if (!rows)
			return -ENOMEM;
		table->rows = rows;
		row = &rows[table->n_rows++];
		*row = (struct top_row){ .pps = -1, .bps = -1 };
		(void)snprintf(row->name, sizeof(row->name), "%s", name);
	}
	row->pkts[direction] += pkts;
	row->bytes[direction] += bytes;
	return 0;
}

static void top_table_name(
	char name[TOP_NAME_BYTES], enum top_list list, const struct topx_result *record)
{
	struct in_addr v4 = { .s_addr = record->value }; /* in network order already */

	*name = '\0';
	if (list != TOP_LIST_ADDRESSES)
		(void)snprintf(name, TOP_NAME_BYTES, "%u/%s", record->value,
			list == TOP_LIST_TCP_PORTS ? "tcp" : "udp");
	else if (record->family == AF_INET6)
		(void)inet_ntop(AF_INET6, &record->addr6, name, TOP_NAME_BYTES);
	else
		(void)inet_ntop(AF_INET, &v4, name, TOP_NAME_BYTES);
}

int top_table_add_list(struct top_table *table, enum top_list list, unsigned int direction,
	const void *result, size_t result_bytes, unsigned int max)
{
	const char *at = (const char *)result + sizeof(unsigned int);
	struct topx_result record;
	char name[TOP_NAME_BYTES];
	unsigned int n, i;
	int r = 0;

	if (result_bytes < sizeof(n))
		return -EBADMSG;
	memcpy(&n, result, sizeof(n));
	if (n > (result_bytes - sizeof(n)) / sizeof(record))
		return -EBADMSG;
	for (i = 0; i < n && r == 0; i++, at += sizeof(record)) {
		memcpy(&record, at, sizeof(record));
		top_table_name(name, list, &record);
		r = top_table_add(table, name, direction, record.count, record.bytecount);
	}
	table->cut |= n >= max;
	return r;
}

/* ---- rates ---- */

static uint64_t top_row_pkts(const struct top_row *row)
{
	return row->pkts[0] + row->pkts[1];
}

static uint64_t top_row_bytes(const struct top_row *row)
{
	return row->bytes[0] + row->bytes[1];
}

/* Of a value that was not in the list before it is not known how much of it is new, unless the list
 * held all values. */
static void top_row_rate(
	struct top_row *row, const struct top_row *before, bool was_cut, double seconds)
{
	uint64_t pkts = before ? top_row_pkts(before) : 0,
		 bytes = before ? top_row_bytes(before) : 0;

	row->pps = row->bps = -1;
	if ((!before && was_cut) || pkts > top_row_pkts(row) || bytes > top_row_bytes(row))
		return;
	row->pps = (double)(top_row_pkts(row) - pkts) / seconds;
	row->bps = (double)(top_row_bytes(row) - bytes) * 8 / seconds;
}

void top_rates(struct top_sample *sample, const struct top_sample *before)
{
	double seconds;
	unsigned int i, j;

	if (!before || before->at_ns >= sample->at_ns)
		return;
	seconds = (double)(sample->at_ns - before->at_ns) / 1e9;
	top_row_rate(&sample->total, &before->total, false, seconds);
	for (i = 0; i < _TOP_VIEW_N; i++)
		for (j = 0; j < sample->tables[i].n_rows; j++) {
			struct top_row *row = &sample->tables[i].rows[j];

			top_row_rate(row, top_table_find(&before->tables[i], row->name),
				before->tables[i].cut, seconds);
		}
}

/* ---- order ---- */

static int top_compare(const struct top_row *x, const struct top_row *y, enum top_sort sort)
{
	double x_rate = sort == TOP_SORT_BYTES ? x->bps : x->pps;
	double y_rate = sort == TOP_SORT_BYTES ? y->bps : y->pps;
	uint64_t x_total = sort == TOP_SORT_BYTES ? top_row_bytes(x) : top_row_pkts(x);
	uint64_t y_total = sort == TOP_SORT_BYTES ? top_row_bytes(y) : top_row_pkts(y);

	if (x_rate != y_rate)
		return x_rate < y_rate ? 1 : -1;
	if (x_total != y_total)
		return x_total < y_total ? 1 : -1;
	return strcmp(x->name, y->name);
}

static int top_compare_bytes(const void *x, const void *y)
{
	return top_compare(x, y, TOP_SORT_BYTES);
}

static int top_compare_pkts(const void *x, const void *y)
{
	return top_compare(x, y, TOP_SORT_PKTS);
}

void top_sort(struct top_sample *sample, enum top_sort sort)
{
	unsigned int i;

	for (i = TOP_VIEW_HOSTS; i < _TOP_VIEW_N; i++)
		if (sample->tables[i].n_rows)
			qsort(sample->tables[i].rows, sample->tables[i].n_rows,
				sizeof(struct top_row),
				sort == TOP_SORT_BYTES ? top_compare_bytes : top_compare_pkts);
}

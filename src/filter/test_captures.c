/* SPDX-License-Identifier: BSD-2-Clause */
/* See test_captures.h. */
#undef NDEBUG
#include "test_captures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>

/* nftw() has no argument for its callback. */
static struct captures *captures_found;

const char *captures_folder(void)
{
	const char *folder = getenv("MAPI_PCAPS");

	return folder ? folder : MAPI_PCAPS_DEFAULT;
}

static int captures_visit(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	struct captures *c = captures_found;

	(void)st;
	(void)ftw;
	if (flag != FTW_F)
		return 0;
	c->paths = realloc(c->paths, (c->n + 1) * sizeof(*c->paths));
	assert_non_null(c->paths);
	c->paths[c->n] = strdup(path);
	assert_non_null(c->paths[c->n]);
	c->n++;
	return 0;
}

static int captures_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void captures_add(struct captures *c, const char *folder)
{
	captures_found = c;
	(void)nftw(folder, captures_visit, 16, FTW_PHYS);
	if (c->n)
		qsort(c->paths, c->n, sizeof(*c->paths), captures_compare);
}

void captures_clear(struct captures *c)
{
	for (unsigned int i = 0; i < c->n; i++)
		free(c->paths[i]);
	free(c->paths);
	*c = (struct captures){ 0 };
}

void captures_read(const char *path, unsigned int n_max, captures_packet_fn *fn, void *context)
{
	char message[PCAP_ERRBUF_SIZE];
	pcap_t *file = pcap_open_offline(path, message);
	struct pcap_pkthdr *header;
	const uint8_t *data;

	if (!file)
		return;
	for (unsigned int i = 0; i < n_max && pcap_datalink(file) == DLT_EN10MB; i++) {
		if (pcap_next_ex(file, &header, &data) != 1)
			break;
		fn(context, header, data);
	}
	pcap_close(file);
}

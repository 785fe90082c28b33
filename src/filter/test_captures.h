/* SPDX-License-Identifier: BSD-2-Clause */
/* The captures that tests of filters look at: all files below some folders. */
#ifndef MAPI_FILTER_TEST_CAPTURES_H
#define MAPI_FILTER_TEST_CAPTURES_H

#include <stdint.h>

/* struct captures - paths of files, each time in the same order */
struct captures {
	char **paths;
	unsigned int n;
};

/* The folder of captures that do not come with the project: $MAPI_PCAPS, or one beside it. */
const char *captures_folder(void);

/* Adds the files below @folder, if there is such a folder. Fails the test without memory. */
void captures_add(struct captures *c, const char *folder);

void captures_clear(struct captures *c);

struct pcap_pkthdr;

typedef void captures_packet_fn(
	void *context, const struct pcap_pkthdr *header, const uint8_t *data);

/* Calls @fn with up to @n_max packets of a capture of Ethernet; of another, with none. */
void captures_read(const char *path, unsigned int n_max, captures_packet_fn *fn, void *context);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Formats of TO_FILE beside the historical ones of mapi.h: mapi_stdflib(3). */
#ifndef MAPI_TO_FILE_H
#define MAPI_TO_FILE_H

#define MFF_PCAPNG_STR "MFF_PCAPNG"
#define MFF_PCAP_NS_STR "MFF_PCAP_NS"

enum mapi_more_file_formats {
	MFF_PCAPNG = 100, /* pcapng: nanoseconds, any mix of link types */
	MFF_PCAP_NS = 101 /* pcap with nanoseconds */
};

#endif

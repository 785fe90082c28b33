/* SPDX-License-Identifier: BSD-2-Clause */
/* The properties of a packet that PKTINFO gives: mapi_stdflib(3). */
#ifndef MAPI_PKTINFO_H
#define MAPI_PKTINFO_H

enum pktinfo {
	PKT_TS = 0, /* time of capture, 32.32 fixed point seconds since the Unix epoch */
	PKT_SIZE = 1 /* bytes on the wire */
};

#endif

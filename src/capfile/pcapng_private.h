/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What reader and writer of pcapng must agree on beyond the draft (draft-ietf-opsawg-pcapng).
 *
 * The format has no place for what a super-packet stands for (semantics P3), and a private option
 * would need a number of its own. So it is said in a comment of the packet, which is also what
 * somebody needs who finds a packet of 60 kB in his Ethernet. Only exactly this text is believed.
 */
#ifndef MAPI_CAPFILE_PCAPNG_PRIVATE_H
#define MAPI_CAPFILE_PCAPNG_PRIVATE_H

#define PCAPNG_SUPER_TEXT "stands for %u packets, %u bytes on the wire"
#define PCAPNG_SUPER_TEXT_BYTES 64u

/* epb_flags */
#define PCAPNG_FLAG_INBOUND (1u << 0)
#define PCAPNG_FLAG_OUTBOUND (1u << 1)
#define PCAPNG_FLAG_CHECKSUM_OPEN (1u << 9)

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* The version of the kernel, for what nothing else tells. */
#ifndef MAPI_BASE_RELEASE_H
#define MAPI_BASE_RELEASE_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/utsname.h>

/*
 * Since when packet sockets are told what super-packets stand for. Kernels before have no word for
 * those of UDP in a virtio_net_hdr and drop such a packet instead of giving it to a socket that
 * wants that header (virtio_net_hdr_from_skb()). They count it, but a monitor had better see it.
 * Nothing that a socket can be asked tells the difference.
 */
#define RELEASE_SUPER_PACKETS 6002u

/* "6.18.0-arm64" is 6018. 0: not a version. */
static inline unsigned int release_number(const char *text)
{
	unsigned int major, minor;

	return sscanf(text, "%u.%u", &major, &minor) == 2 && minor < 1000 ? major * 1000 + minor
									  : 0;
}

/* Whether this kernel is that one or a later one. @number: as of release_number() */
static inline bool release_reaches(unsigned int number)
{
	struct utsname name;

	return uname(&name) == 0 && release_number(name.release) >= number;
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* The drivers, in order of preference. A new driver is one file and one line here. The last one
 * takes every name; a build may be without it. */
#include "driver.h"

#include <string.h>

#include "base/build.h"
#include "base/cleanup.h"
#include "relay.h"

static const struct driver *const drivers[] = {
	&driver_file,
	&driver_afpacket,
	&driver_tracedir,
#if MAPI_WITH_PCAP_LIVE
	&driver_pcap,
#endif
};

const struct driver *driver_find(const struct driver_open_args *args)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(drivers); i++)
		if (drivers[i]->match(args))
			return drivers[i]->relays && args->n_fds ? &driver_relay : drivers[i];
	return NULL;
}

const char *driver_file_advice(const char *name)
{
	return strpbrk(name, "/.") ? "; capture files are opened with mapi_create_offline_device()"
				   : "";
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Who loads programs into the kernel for a daemon: itself, with the rights of its user, or the
 * parent that it has. */
#ifndef MAPI_SENSOR_LOADER_H
#define MAPI_SENSOR_LOADER_H

#include "device.h"
#include "registry.h"

/* @args: of all devices; outlive what is loaded. */
struct device_loader loader_get(const struct registry_args *args);

#endif

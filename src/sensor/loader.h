/* SPDX-License-Identifier: BSD-2-Clause */
/* Who loads programs into the kernel for a daemon: itself, with the rights of its user, or the
 * parent that it has. */
#ifndef MAPI_SENSOR_LOADER_H
#define MAPI_SENSOR_LOADER_H

#include "device.h"

/* @privileged_fd: of the parent; -1: the daemon has none. */
struct device_loader loader_get(int privileged_fd);

#endif

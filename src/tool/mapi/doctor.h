/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of mapi doctor: what is looked at (doctor_*.c), and how it is said (doctor.c). */
#ifndef MAPI_TOOL_DOCTOR_H
#define MAPI_TOOL_DOCTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "host.h"

enum doctor_state {
	DOCTOR_OK,
	DOCTOR_NOTE, /* works, but one should know */
	DOCTOR_MISSING, /* something does not work, or is slower */
	_DOCTOR_STATE_N
};

/**
 * struct doctor_finding - one line
 * @name: what was looked at, static
 * @text: what was found
 * @cost: what the absence costs; empty if it is all right
 * @fix:  what to do; may be empty
 */
struct doctor_finding {
	const char *name;
	enum doctor_state state;
	char text[256];
	char cost[192];
	char fix[256];
};

/**
 * struct doctor - all that is looked at, and what was found
 * @device:  NULL: the interface of the default route, if there is one
 * @named:   what the daemon calls the device of that alias
 * @driver:  of the daemon, which serves @device; empty: it is not known there
 * @release: of the kernel: major * 1000 + minor
 */
struct doctor {
	const char *device;
	char default_name[IF_NAMESIZE];
	char named[256];
	char driver[64];
	unsigned int release;
	uint64_t capabilities;
	struct host_rights rights;
	struct doctor_finding findings[48];
	unsigned int n_findings;
};

/* Add a line. Unlike printf(), formats are only for @text. */
struct doctor_finding *doctor_add(struct doctor *d, const char *name, enum doctor_state state,
	const char *cost, const char *fix, const char *format, ...)
	__attribute__((format(printf, 6, 7)));

void doctor_kernel(struct doctor *d); /* doctor_kernel.c: version, features, limits, clock */
void doctor_rights(struct doctor *d); /* doctor_device.c: capabilities, daemon, group */
void doctor_device(struct doctor *d); /* doctor_device.c: the device and its offloads */

/* What stands at the interface @index now: packet sockets, programs at TCX and XDP. */
void doctor_places(struct doctor *d, unsigned int index);

/* Whether the kernel has TCX: asked about the interface @index or, without the right to, what was
 * built into it. Return: 1, 0, or negative errno: not known. */
int doctor_tcx(unsigned int index);

#endif

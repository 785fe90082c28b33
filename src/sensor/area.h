/* SPDX-License-Identifier: BSD-2-Clause */
/* The writer's side of the result area (wire/results.h): one sealed memfd per client. */
#ifndef MAPI_SENSOR_AREA_H
#define MAPI_SENSOR_AREA_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define AREA_NONE UINT64_MAX

struct area;

/* @bytes: size of the area; pages cost memory only once they are used. Return: 0, negative errno.
 */
int area_new(struct area **ret, size_t bytes);
struct area *area_free(struct area *area); /* takes NULL */
DEFINE_CLEANUP(struct area *, area_free);

int area_fd(const struct area *area); /* borrowed */
size_t area_bytes(const struct area *area);

/* Zeroed memory, aligned to RESULTS_ALIGN_BYTES. Return: its offset, AREA_NONE if the area is full.
 */
uint64_t area_get(struct area *area, size_t bytes);
void area_put(struct area *area, uint64_t offset, size_t bytes);

void *area_at(const struct area *area, uint64_t offset);

#endif

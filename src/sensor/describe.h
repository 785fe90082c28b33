/* SPDX-License-Identifier: BSD-2-Clause */
/* Function descriptors as messages. */
#ifndef MAPI_SENSOR_DESCRIBE_H
#define MAPI_SENSOR_DESCRIBE_H

#include "base/error.h"
#include "mapi.pb-c.h"

/**
 * describe_functions() - answer a Describe request
 * @ret:  to be freed by describe_free(); its strings are borrowed from the descriptors
 * @name: one function, or "" for all
 * @err:  6144 with a suggestion
 *
 * Return: 0, -EINVAL with @err filled, -ENOMEM.
 */
int describe_functions(Wire__DescribeReply *ret, const char *name, struct error *err);
void describe_free(Wire__DescribeReply *reply);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* From the arguments of a message to the checked values that a function's open() gets. */
#ifndef MAPI_SENSOR_APPLY_H
#define MAPI_SENSOR_APPLY_H

#include "base/error.h"
#include "function/function.h"
#include "mapi.pb-c.h"

/* struct apply_values - one call's values; numbers that arrived as text are numbers here. */
struct apply_values {
	struct function_value values[FUNCTION_ARGS_MAX];
	char texts[FUNCTION_ARGS_MAX][32]; /* numbers that arrived where a text is wanted */
};

/**
 * apply_check() - check arguments against their descriptions
 * @ret:  one value per argument of @desc; texts are borrowed from @args, @desc and @ret itself
 * @desc: of the function
 * @args: as they came; missing ones take their defaults, more than there are, are ignored
 * @fds:  descriptors of the FILE arguments that are given, in order; borrowed
 * @err:  the error code that the argument's description names; its text names argument and bounds
 *
 * Return: 0, -EINVAL with @err filled.
 */
int apply_check(struct apply_values *ret, const struct mapi_function_desc *desc,
	const Wire__FlowApply *args, const int *fds, struct error *err);

/* How many descriptors a call brings: one for each FILE argument that is given. */
unsigned int apply_count_fds(const struct mapi_function_desc *desc, const Wire__FlowApply *args);

#endif

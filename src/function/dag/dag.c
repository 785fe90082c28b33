/* SPDX-License-Identifier: BSD-2-Clause */
/* The list of the functions of this library, in the order in which users see them. */
#include "dag.h"

#include "base/cleanup.h"

const struct function *const dag_functions[] = {
	&dag_interface,
};

const unsigned int dag_n_functions = ARRAY_SIZE(dag_functions);

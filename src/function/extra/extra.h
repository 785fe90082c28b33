/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The extra function library, "extraflib": one file per function; extra.c is the list. A new
 * function: write its file, declare its descriptor here, add it to the list in extra.c.
 */
#ifndef MAPI_FUNCTION_EXTRA_EXTRA_H
#define MAPI_FUNCTION_EXTRA_EXTRA_H

#include "function/function.h"

#define EXTRA_LIBRARY "extraflib"

extern const struct function extra_regexp;
extern const struct function extra_top;

extern const struct function *const extra_functions[];
extern const unsigned int extra_n_functions;

#endif

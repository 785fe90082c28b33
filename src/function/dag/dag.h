/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The function library of capture cards, "dagflib": one file per function; dag.c is the list. A new
 * function: write its file, declare its descriptor here, add it to the list in dag.c.
 */
#ifndef MAPI_FUNCTION_DAG_DAG_H
#define MAPI_FUNCTION_DAG_DAG_H

#include "function/function.h"

#define DAG_LIBRARY "dagflib"

extern const struct function dag_interface;

extern const struct function *const dag_functions[];
extern const unsigned int dag_n_functions;

#endif

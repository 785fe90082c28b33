/* SPDX-License-Identifier: BSD-2-Clause */
/* The operations of BINOP: mapi_stdflib(3). */
#ifndef MAPI_BINOP_H
#define MAPI_BINOP_H

#define BINOP_ADD 0
#define BINOP_SUB 1

#endif

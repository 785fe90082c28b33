/* SPDX-License-Identifier: BSD-2-Clause */
/* How RES2FILE writes a result: mapi_stdflib(3). */
#ifndef MAPI_RES2FILE_H
#define MAPI_RES2FILE_H

enum res2file_format {
	R2F_RAW, /* the bytes of the result as they are in memory */
	R2F_ULLSTR, /* a value, decimal */
	R2F_ULLSEC, /* a value in 32.32 fixed point, as seconds with 12 decimals */
	R2F_STATS /* of STATS: count, sum, sum of squares, maximum, minimum */
};

#endif

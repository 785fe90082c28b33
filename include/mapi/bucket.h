/* SPDX-License-Identifier: BSD-2-Clause */
/* The records of BUCKET: mapi_stdflib(3). */
#ifndef MAPI_BUCKET_H
#define MAPI_BUCKET_H

struct bucket_data {
	unsigned long long timestamp; /* of the beginning: 32.32 fixed point Unix seconds */
	unsigned long long data; /* the value at the end; 0 if no packet came */
};

#endif

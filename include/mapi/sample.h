/* SPDX-License-Identifier: BSD-2-Clause */
/* The modes of SAMPLE: mapi_stdflib(3). */
#ifndef MAPI_SAMPLE_H
#define MAPI_SAMPLE_H

enum sample_mode {
	PERIODIC = 2,
	PROBABILISTIC = 3,
	DETERMINISTIC = PERIODIC /* as older manuals call it */
};

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* The list of the functions of this library, in the order in which users see them. */
#include "extra.h"

#include "base/build.h"
#include "base/cleanup.h"

const struct function *const extra_functions[] = {
#if MAPI_WITH_PCRE2
	&extra_regexp,
#endif
	&extra_top,
};

const unsigned int extra_n_functions = ARRAY_SIZE(extra_functions);

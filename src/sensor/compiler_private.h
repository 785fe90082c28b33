/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two ends of the compiler's socketpair say to each other: compiler.c asks,
 * compiler_helper.c answers. Both are one binary, so structs travel as they are. */
#ifndef MAPI_SENSOR_COMPILER_PRIVATE_H
#define MAPI_SENSOR_COMPILER_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "compiler.h"

/* @n_bytes: of the expression, without the NUL that ends it in memory */
struct compiler_question {
	uint32_t linktype;
	uint32_t n_bytes;
	char expression[];
};

/* Followed by instructions if code is 0, by the text of an error if it is PCAP_BPF_ERR, by nothing
 * if it is COMPILER_NO_MEMORY. */
struct compiler_answer {
	int32_t code;
	uint32_t n_bytes;
};

#define COMPILER_NO_MEMORY (-1)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COMPILER_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define COMPILER_SANITIZED 1
#endif
#endif
#ifndef COMPILER_SANITIZED
#define COMPILER_SANITIZED 0
#endif

/* compiler_helper.c: the life of a helper, in the child after fork(). @with_parent: die with the
 * thread that has forked. */
_Noreturn void compiler_helper_main(int fd, bool with_parent);

#endif

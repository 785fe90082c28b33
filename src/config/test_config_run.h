/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of mapi.conf share: files made of text, what was noted, and what was refused. */
#ifndef MAPI_CONFIG_TEST_CONFIG_RUN_H
#define MAPI_CONFIG_TEST_CONFIG_RUN_H

#include "config_private.h"

/* What the last load has told, and in which lines. */
struct test_notes {
	unsigned int n;
	unsigned int lines[600];
	char texts[600][256];
};
extern struct test_notes test_notes;

extern char test_path[64]; /* of the file made last; it stays until the next one */

void test_make_file(const char *bytes, size_t n_bytes);
void test_make_text(const char *text);
struct config *test_load_bytes(const char *bytes, size_t n_bytes);
struct config *test_load(const char *text);
void test_refused_bytes(const char *bytes, size_t n_bytes, unsigned int line, const char *words);
void test_refused(const char *text, unsigned int line, const char *words);
void test_noted(unsigned int i, unsigned int line, const char *words);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* The captures that tests of filters look at: all files below some folders. */
#ifndef MAPI_FILTER_TEST_CAPTURES_H
#define MAPI_FILTER_TEST_CAPTURES_H

/* struct captures - paths of files, each time in the same order */
struct captures {
	char **paths;
	unsigned int n;
};

/* The folder of captures that do not come with the project: $MAPI_PCAPS, or one beside it. */
const char *captures_folder(void);

/* Adds the files below @folder, if there is such a folder. Fails the test without memory. */
void captures_add(struct captures *c, const char *folder);

void captures_clear(struct captures *c);

#endif

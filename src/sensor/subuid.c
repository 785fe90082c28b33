/* SPDX-License-Identifier: BSD-2-Clause */
/* Subordinate users: see subuid.h. */
#include "subuid.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A decimal number with one of @ends behind it, or the end of the text. Return: what is behind it;
 * NULL: there is none. */
static const char *subuid_number(const char *text, const char *ends, uint64_t *ret)
{
	char *end;

	if (*text < '0' || *text > '9')
		return NULL;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	if (errno || !strchr(ends, *end)) /* which also finds the end */
		return NULL;
	return *end ? end + 1 : end;
}

/* Whether the line is a range that has @uid. */
static bool subuid_has(const char *line, uid_t uid, uid_t *ret_first)
{
	const char *at = strchr(line, ':');
	uint64_t first, n;

	at = at ? subuid_number(at + 1, ":", &first) : NULL;
	at = at ? subuid_number(at, "\n", &n) : NULL;
	if (!at || first > UINT32_MAX || uid < first || uid - first >= n)
		return false;
	*ret_first = (uid_t)first;
	return true;
}

uid_t subuid_account(const char *path, uid_t uid)
{
	char line[256];
	FILE *file = fopen(path, "re");
	uid_t account = uid;

	while (file && fgets(line, sizeof(line), file))
		if (subuid_has(line, uid, &account))
			break;
	if (file)
		(void)fclose(file); /* nothing was written */
	return account;
}

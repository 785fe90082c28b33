/* SPDX-License-Identifier: BSD-2-Clause */
/* See interfaces.h. */
#include "interfaces.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static int interfaces_compare(const void *a, const void *b)
{
	const struct if_nameindex *x = a, *y = b;

	return (x->if_index > y->if_index) - (x->if_index < y->if_index);
}

static struct if_nameindex *interfaces_present(
	const struct interfaces *interfaces, unsigned int kernels)
{
	const struct if_nameindex key = { .if_index = kernels };

	return bsearch(
		&key, interfaces->present, interfaces->n_present, sizeof(key), interfaces_compare);
}

/* A copy of what has numbers, with room for @n. Return: NULL: no memory. */
static unsigned int *interfaces_copy(const struct interfaces *interfaces, unsigned int n)
{
	unsigned int *copy = calloc(n + 1u, sizeof(*copy));

	if (copy && interfaces->n_kernels)
		memcpy(copy, interfaces->kernels, interfaces->n_kernels * sizeof(*copy));
	return copy;
}

/* Numbers of those that have gone become free, those that have come take them. */
static void interfaces_number(struct interfaces *interfaces, bool *known)
{
	unsigned int i, ours = 0;

	for (i = 0; i < interfaces->n_kernels; i++) {
		const struct if_nameindex *one =
			interfaces_present(interfaces, interfaces->kernels[i]);

		if (one)
			known[one - interfaces->present] = true;
		else
			interfaces->kernels[i] = 0;
	}
	for (i = 0; i < interfaces->n_present; i++) {
		if (known[i])
			continue;
		while (interfaces->kernels[ours])
			ours++;
		interfaces->kernels[ours] = interfaces->present[i].if_index;
	}
}

int interfaces_read(struct interfaces *interfaces)
{
	struct if_nameindex *present = if_nameindex();
	unsigned int n_present = 0, n_kernels, *kernels;
	bool *known;

	if (!present)
		return -errno;
	while (present[n_present].if_name)
		n_present++;
	n_kernels = interfaces->n_kernels + n_present;
	kernels = interfaces_copy(interfaces, n_kernels);
	known = calloc(n_present + 1u, sizeof(*known));
	if (!kernels || !known) {
		free(kernels);
		free(known);
		if_freenameindex(present);
		return -ENOMEM;
	}
	interfaces_deinit(interfaces);
	qsort(present, n_present, sizeof(*present), interfaces_compare);
	*interfaces = (struct interfaces){ .present = present,
		.n_present = n_present,
		.kernels = kernels,
		.n_kernels = n_kernels };
	interfaces_number(interfaces, known);
	while (interfaces->n_kernels && !kernels[interfaces->n_kernels - 1])
		interfaces->n_kernels--;
	free(known);
	return 0;
}

void interfaces_deinit(struct interfaces *interfaces)
{
	if (interfaces->present)
		if_freenameindex(interfaces->present);
	free(interfaces->kernels);
	*interfaces = (struct interfaces){ .present = NULL };
}

const char *interfaces_at(
	const struct interfaces *interfaces, int number, bool next, int *ret_number)
{
	unsigned int i = next ? (unsigned int)(number < 0 ? 0 : number + 1u) : (unsigned int)number;

	while (next && i < interfaces->n_kernels && !interfaces->kernels[i])
		i++;
	if (i >= interfaces->n_kernels || !interfaces->kernels[i])
		return NULL;
	*ret_number = (int)i;
	return interfaces_present(interfaces, interfaces->kernels[i])->if_name;
}

int interfaces_find(const struct interfaces *interfaces, const char *name)
{
	unsigned int i;

	for (i = 0; i < interfaces->n_kernels; i++)
		if (interfaces->kernels[i] &&
			!strcmp(interfaces_present(interfaces, interfaces->kernels[i])->if_name,
				name))
			return (int)i;
	return -1;
}

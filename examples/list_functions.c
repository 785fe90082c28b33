/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * List the function libraries and their functions: name, letters of the arguments, what it does.
 *
 *	list_functions [LIBRARY]
 */
#include <mapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
	char text[MAPI_ERRORSTR_LENGTH];
	mapi_libfunct_info_t function;
	mapi_lib_info_t library;
	int libnum, fnum, code, n = 0;

	for (libnum = -1; mapi_get_next_library_info(libnum, &library) == 0; libnum = library.id) {
		if (argc > 1 && strcmp(argv[1], library.libname) != 0)
			continue;
		printf("%s, functions: %u\n", library.libname, library.functs);
		n++;
		for (fnum = -1; mapi_get_libfunct_next_info(library.id, fnum, &function) == 0;
			fnum++)
			printf("  %-14s %-9s %s\n", function.name, function.argdescr,
				function.descr);
	}
	if (n > 0)
		return EXIT_SUCCESS;
	mapi_read_error(&code, text);
	fprintf(stderr, "no library: error %d: %s\n", code, text);
	return EXIT_FAILURE;
}

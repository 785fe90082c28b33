/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * replay DIRECTORY... - give every file of a corpus to a fuzz target, once, as a unit test: what
 * was found stays fixed, with any compiler and without a fuzzer. Directories that are absent are
 * passed over; no input at all is a failure.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Of targets that need it. */
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

/* Exactly as long as the file, so that sanitizers see a step over its end. Return: 0, -1. */
static int replay_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *bytes = NULL;
	struct stat st;
	size_t n;
	int r = -1;

	if (!file)
		return -1;
	if (fstat(fileno(file), &st) == 0 && S_ISREG(st.st_mode)) {
		n = (size_t)st.st_size;
		bytes = malloc(n ? n : 1);
		if (bytes && fread(bytes, 1, n, file) == n) {
			(void)LLVMFuzzerTestOneInput(bytes, n);
			r = 0;
		}
	}
	free(bytes);
	(void)fclose(file);
	return r;
}

static unsigned int replay_directory(const char *name)
{
	DIR *directory = opendir(name);
	const struct dirent *entry;
	unsigned int n = 0;

	if (!directory)
		return 0;
	while ((entry = readdir(directory))) {
		char path[4096];

		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", name, entry->d_name);
		/* Known before it runs, should it end the program. */
		printf("%s\n", path);
		(void)fflush(stdout);
		if (replay_file(path) < 0) {
			fprintf(stderr, "replay: cannot read %s\n", path);
			exit(1);
		}
		n++;
	}
	(void)closedir(directory);
	return n;
}

int main(int argc, char **argv)
{
	unsigned int n = 0;

	if (LLVMFuzzerInitialize)
		(void)LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++)
		n += replay_directory(argv[i]);
	printf("%u inputs\n", n);
	return n == 0;
}

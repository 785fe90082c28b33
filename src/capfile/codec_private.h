/* SPDX-License-Identifier: BSD-2-Clause */
/* Decoders of compressed streams, one table entry each: see stream.h for what they serve. */
#ifndef MAPI_CAPFILE_CODEC_PRIVATE_H
#define MAPI_CAPFILE_CODEC_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CODEC_MAGIC_BYTES 6u

enum codec_outcome {
	CODEC_E_FRAME_END = 1, /* a frame has ended; what follows starts a new one */
	_CODEC_E_N
};

/* struct codec_io - bytes in and out; run() moves the pointers and lowers the counts. */
struct codec_io {
	const uint8_t *in;
	size_t n_in;
	uint8_t *out;
	size_t n_out;
	bool eof; /* nothing follows @in */
};

/**
 * struct codec - one format of compression
 * @open:  Return: 0, -ENOMEM
 * @run:   Return: 0, CODEC_E_FRAME_END, -EBADMSG (also again, when called again), -ENOMEM
 * @close: never gets NULL
 */
struct codec {
	const char *name;
	uint8_t magic[CODEC_MAGIC_BYTES];
	uint8_t mask[CODEC_MAGIC_BYTES];
	int (*open)(void **ret);
	int (*run)(void *state, struct codec_io *io);
	void (*close)(void *state);
};

/* The decoder for a stream that starts with these bytes; NULL: not compressed. */
const struct codec *codec_find(const uint8_t *bytes, size_t n_bytes);

#endif

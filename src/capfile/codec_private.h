/* SPDX-License-Identifier: BSD-2-Clause */
/* Compressed streams: one table entry per format (codec.c), one file per decoder (codec_*.c). */
#ifndef MAPI_CAPFILE_CODEC_PRIVATE_H
#define MAPI_CAPFILE_CODEC_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CODEC_MAGIC_BYTES 6u
/* What a stream decides about memory is limited, by what the usual programs write: 128 MiB. */
#define CODEC_MEMORY_LOG2 27
/*
 * libzstd and liblz4 say how much input completes their next step, a block at most, and begin with
 * a magic number. They get no more at a time: what they have written when they find damage they do
 * not tell, so a call that ran over many blocks would lose all of them.
 */
#define CODEC_FIRST_STEP_BYTES 4u

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
 * struct codec_ops - a decoder
 * @open:  Return: 0, -ENOMEM
 * @run:   Return: 0, CODEC_E_FRAME_END, -EBADMSG (also again, when called again), -ENOMEM
 * @close: never gets NULL
 */
struct codec_ops {
	int (*open)(void **ret);
	int (*run)(void *state, struct codec_io *io);
	void (*close)(void *state);
};

/**
 * struct codec - one format of compression
 * @option: the part of the build that decodes it (base/build.h)
 * @ops:    NULL: this build was made without
 */
struct codec {
	const char *name;
	const char *option;
	uint8_t magic[CODEC_MAGIC_BYTES];
	uint8_t mask[CODEC_MAGIC_BYTES];
	const struct codec_ops *ops;
};

extern const struct codec_ops codec_gzip;
extern const struct codec_ops codec_lz4;
extern const struct codec_ops codec_xz;
extern const struct codec_ops codec_zstd;

/* The format of a stream that starts with these bytes; NULL: not compressed. */
const struct codec *codec_find(const uint8_t *bytes, size_t n_bytes);

#endif

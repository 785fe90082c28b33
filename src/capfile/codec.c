/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decoders over zlib, libzstd, liblzma and liblz4. All are limited in memory, because the stream
 * decides how much they ask for: 128 MiB, which covers what the usual programs write.
 *
 * Sources of the magic numbers: RFC 1952, RFC 8878, "The .xz File Format" 1.1, lz4_Frame_format.md.
 */
#include "codec_private.h"

#include <errno.h>
#include <stdlib.h>

#include <lz4frame.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "base/cleanup.h"

#define CODEC_MEMORY_LOG2 27 /* 128 MiB */
#define CODEC_FIRST_STEP_BYTES 4u /* a magic number */

static int codec_gzip_open(void **ret)
{
	z_stream *z = calloc(1, sizeof(*z));

	if (!z)
		return -ENOMEM;
	if (inflateInit2(z, 16 + MAX_WBITS) != Z_OK) { /* 16: only with a gzip header */
		free(z);
		return -ENOMEM;
	}
	*ret = z;
	return 0;
}

static int codec_gzip_run(void *state, struct codec_io *io)
{
	z_stream *z = state;
	int r;

	z->next_in = (Bytef *)(uintptr_t)io->in; /* zlib does not write there */
	z->avail_in = (uInt)MIN(io->n_in, 1u << 30);
	z->next_out = io->out;
	z->avail_out = (uInt)MIN(io->n_out, 1u << 30);
	r = inflate(z, Z_NO_FLUSH);
	io->n_in -= (size_t)(z->next_in - io->in);
	io->in = z->next_in;
	io->n_out -= (size_t)(z->next_out - io->out);
	io->out = z->next_out;
	if (r == Z_STREAM_END) {
		(void)inflateReset(z);
		return CODEC_E_FRAME_END;
	}
	if (r == Z_MEM_ERROR)
		return -ENOMEM;
	return r == Z_OK || r == Z_BUF_ERROR ? 0 : -EBADMSG;
}

static void codec_gzip_close(void *state)
{
	(void)inflateEnd(state);
	free(state);
}

/*
 * libzstd and liblz4 say how much input completes their next step, a block at most. They get no
 * more at a time: what they have written when they find damage they do not tell, so a call that ran
 * over many blocks would lose all of them.
 */
struct codec_zstd {
	ZSTD_DCtx *context;
	size_t step_bytes;
};

static int codec_zstd_open(void **ret)
{
	struct codec_zstd *z = calloc(1, sizeof(*z));

	if (!z)
		return -ENOMEM;
	z->context = ZSTD_createDCtx();
	if (!z->context) {
		free(z);
		return -ENOMEM;
	}
	(void)ZSTD_DCtx_setParameter(z->context, ZSTD_d_windowLogMax, CODEC_MEMORY_LOG2);
	z->step_bytes = CODEC_FIRST_STEP_BYTES;
	*ret = z;
	return 0;
}

static int codec_zstd_run(void *state, struct codec_io *io)
{
	struct codec_zstd *z = state;
	ZSTD_inBuffer in = { io->in, MIN(io->n_in, z->step_bytes), 0 };
	ZSTD_outBuffer out = { io->out, io->n_out, 0 };
	size_t r = ZSTD_decompressStream(z->context, &out, &in);

	io->in += in.pos;
	io->n_in -= in.pos;
	io->out += out.pos;
	io->n_out -= out.pos;
	if (ZSTD_isError(r))
		return -EBADMSG;
	z->step_bytes = r ? r : CODEC_FIRST_STEP_BYTES;
	return r == 0 ? CODEC_E_FRAME_END : 0;
}

static void codec_zstd_close(void *state)
{
	struct codec_zstd *z = state;

	(void)ZSTD_freeDCtx(z->context);
	free(z);
}

static int codec_xz_open(void **ret)
{
	lzma_stream *z = calloc(1, sizeof(*z));

	if (!z)
		return -ENOMEM;
	*z = (lzma_stream)LZMA_STREAM_INIT;
	if (lzma_stream_decoder(z, 1ULL << CODEC_MEMORY_LOG2, LZMA_CONCATENATED) != LZMA_OK) {
		free(z);
		return -ENOMEM;
	}
	*ret = z;
	return 0;
}

static int codec_xz_run(void *state, struct codec_io *io)
{
	lzma_stream *z = state;
	lzma_ret r;

	z->next_in = io->in;
	z->avail_in = io->n_in;
	z->next_out = io->out;
	z->avail_out = io->n_out;
	r = lzma_code(z, io->eof ? LZMA_FINISH : LZMA_RUN);
	io->in = z->next_in;
	io->n_in = z->avail_in;
	io->out = z->next_out;
	io->n_out = z->avail_out;
	if (r == LZMA_STREAM_END)
		return CODEC_E_FRAME_END;
	if (r == LZMA_MEM_ERROR)
		return -ENOMEM;
	return r == LZMA_OK || r == LZMA_BUF_ERROR ? 0 : -EBADMSG;
}

static void codec_xz_close(void *state)
{
	lzma_end(state);
	free(state);
}

struct codec_lz4 {
	LZ4F_dctx *context;
	size_t step_bytes;
};

static int codec_lz4_open(void **ret)
{
	struct codec_lz4 *z = calloc(1, sizeof(*z));

	if (!z)
		return -ENOMEM;
	if (LZ4F_isError(LZ4F_createDecompressionContext(&z->context, LZ4F_VERSION))) {
		free(z);
		return -ENOMEM;
	}
	z->step_bytes = CODEC_FIRST_STEP_BYTES;
	*ret = z;
	return 0;
}

static int codec_lz4_run(void *state, struct codec_io *io)
{
	struct codec_lz4 *z = state;
	size_t n_in = MIN(io->n_in, z->step_bytes), n_out = io->n_out;
	size_t r = LZ4F_decompress(z->context, io->out, &n_out, io->in, &n_in, NULL);

	if (LZ4F_isError(r))
		return -EBADMSG;
	io->in += n_in;
	io->n_in -= n_in;
	io->out += n_out;
	io->n_out -= n_out;
	z->step_bytes = r ? r : CODEC_FIRST_STEP_BYTES;
	return r == 0 ? CODEC_E_FRAME_END : 0;
}

static void codec_lz4_close(void *state)
{
	struct codec_lz4 *z = state;

	(void)LZ4F_freeDecompressionContext(z->context);
	free(z);
}

static const struct codec codecs[] = {
	{ .name = "gzip",
		.magic = { 0x1f, 0x8b, 0x08 },
		.mask = { 0xff, 0xff, 0xff },
		.open = codec_gzip_open,
		.run = codec_gzip_run,
		.close = codec_gzip_close },
	{ .name = "zstd",
		.magic = { 0x28, 0xb5, 0x2f, 0xfd },
		.mask = { 0xff, 0xff, 0xff, 0xff },
		.open = codec_zstd_open,
		.run = codec_zstd_run,
		.close = codec_zstd_close },
	/* A skippable frame first: pzstd writes such files. */
	{ .name = "zstd",
		.magic = { 0x50, 0x2a, 0x4d, 0x18 },
		.mask = { 0xf0, 0xff, 0xff, 0xff },
		.open = codec_zstd_open,
		.run = codec_zstd_run,
		.close = codec_zstd_close },
	{ .name = "xz",
		.magic = { 0xfd, '7', 'z', 'X', 'Z', 0x00 },
		.mask = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
		.open = codec_xz_open,
		.run = codec_xz_run,
		.close = codec_xz_close },
	{ .name = "lz4",
		.magic = { 0x04, 0x22, 0x4d, 0x18 },
		.mask = { 0xff, 0xff, 0xff, 0xff },
		.open = codec_lz4_open,
		.run = codec_lz4_run,
		.close = codec_lz4_close },
};

const struct codec *codec_find(const uint8_t *bytes, size_t n_bytes)
{
	for (size_t c = 0; c < ARRAY_SIZE(codecs); c++) {
		size_t i;

		for (i = 0; i < CODEC_MAGIC_BYTES; i++) {
			uint8_t byte = i < n_bytes ? bytes[i] : 0;

			if ((byte & codecs[c].mask[i]) != codecs[c].magic[i] ||
				(codecs[c].mask[i] && i >= n_bytes))
				break;
		}
		if (i == CODEC_MAGIC_BYTES)
			return &codecs[c];
	}
	return NULL;
}

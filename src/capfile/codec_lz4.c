/* SPDX-License-Identifier: BSD-2-Clause */
/* Decoder of LZ4 frames (lz4_Frame_format.md), by liblz4. */
#include "codec_private.h"

#include <errno.h>
#include <stdlib.h>

#include <lz4frame.h>

#include "base/cleanup.h"

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

const struct codec_ops codec_lz4 = {
	.open = codec_lz4_open,
	.run = codec_lz4_run,
	.close = codec_lz4_close,
};

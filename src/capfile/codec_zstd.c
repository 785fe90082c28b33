/* SPDX-License-Identifier: BSD-2-Clause */
/* Decoder of Zstandard (RFC 8878), by libzstd. */
#include "codec_private.h"

#include <errno.h>
#include <stdlib.h>

#include <zstd.h>

#include "base/cleanup.h"

/* @step_bytes: see CODEC_FIRST_STEP_BYTES */
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

const struct codec_ops codec_zstd = {
	.open = codec_zstd_open,
	.run = codec_zstd_run,
	.close = codec_zstd_close,
};

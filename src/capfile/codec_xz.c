/* SPDX-License-Identifier: BSD-2-Clause */
/* Decoder of xz ("The .xz File Format" 1.1), by liblzma. */
#include "codec_private.h"

#include <errno.h>
#include <stdlib.h>

#include <lzma.h>

#include "base/cleanup.h"

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

const struct codec_ops codec_xz = {
	.open = codec_xz_open,
	.run = codec_xz_run,
	.close = codec_xz_close,
};

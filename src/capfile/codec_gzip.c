/* SPDX-License-Identifier: BSD-2-Clause */
/* Decoder of gzip (RFC 1952), by zlib. */
#include "codec_private.h"

#include <errno.h>
#include <stdlib.h>

#include <zlib.h>

#include "base/cleanup.h"

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

const struct codec_ops codec_gzip = {
	.open = codec_gzip_open,
	.run = codec_gzip_run,
	.close = codec_gzip_close,
};

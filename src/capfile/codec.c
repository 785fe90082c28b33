/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The formats of compression, recognised by their first bytes also where this build has no decoder.
 *
 * Sources of the magic numbers: RFC 1952, RFC 8878, "The .xz File Format" 1.1, lz4_Frame_format.md.
 */
#include "codec_private.h"

#include "base/build.h"
#include "base/cleanup.h"

#if MAPI_WITH_ZLIB
#define CODEC_GZIP &codec_gzip
#else
#define CODEC_GZIP NULL
#endif
#if MAPI_WITH_ZSTD
#define CODEC_ZSTD &codec_zstd
#else
#define CODEC_ZSTD NULL
#endif
#if MAPI_WITH_LZMA
#define CODEC_XZ &codec_xz
#else
#define CODEC_XZ NULL
#endif
#if MAPI_WITH_LZ4
#define CODEC_LZ4 &codec_lz4
#else
#define CODEC_LZ4 NULL
#endif

static const struct codec codecs[] = {
	{ .name = "gzip",
		.option = "zlib",
		.magic = { 0x1f, 0x8b, 0x08 },
		.mask = { 0xff, 0xff, 0xff },
		.ops = CODEC_GZIP },
	{ .name = "zstd",
		.option = "zstd",
		.magic = { 0x28, 0xb5, 0x2f, 0xfd },
		.mask = { 0xff, 0xff, 0xff, 0xff },
		.ops = CODEC_ZSTD },
	/* A skippable frame first: pzstd writes such files. */
	{ .name = "zstd",
		.option = "zstd",
		.magic = { 0x50, 0x2a, 0x4d, 0x18 },
		.mask = { 0xf0, 0xff, 0xff, 0xff },
		.ops = CODEC_ZSTD },
	{ .name = "xz",
		.option = "lzma",
		.magic = { 0xfd, '7', 'z', 'X', 'Z', 0x00 },
		.mask = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
		.ops = CODEC_XZ },
	{ .name = "lz4",
		.option = "lz4",
		.magic = { 0x04, 0x22, 0x4d, 0x18 },
		.mask = { 0xff, 0xff, 0xff, 0xff },
		.ops = CODEC_LZ4 },
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

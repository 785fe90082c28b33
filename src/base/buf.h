/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A bounded cursor over bytes that nobody vouches for.
 *
 * Every get reads only if all its bytes are there; after the first failure the cursor is failed,
 * all later gets give 0, and buf_ok() is false. So a parser reads a whole structure and asks once.
 */
#ifndef MAPI_BASE_BUF_H
#define MAPI_BASE_BUF_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buf {
	const uint8_t *at;
	const uint8_t *end;
	bool failed;
};

/* @bytes may be NULL if there are none. */
static inline struct buf buf_from(const void *bytes, size_t n_bytes)
{
	const uint8_t *at = (const uint8_t *)bytes;

	return (struct buf){ .at = at, .end = n_bytes ? at + n_bytes : at };
}

static inline bool buf_ok(const struct buf *b)
{
	return !b->failed;
}

static inline size_t buf_left(const struct buf *b)
{
	return b->failed ? 0 : (size_t)(b->end - b->at);
}

/* Borrow the next @n_bytes and step over them; NULL (and failed) if there are fewer. */
static inline const uint8_t *buf_take(struct buf *b, size_t n_bytes)
{
	const uint8_t *at = b->at;

	if (b->failed || n_bytes > (size_t)(b->end - b->at)) {
		b->failed = true;
		return NULL;
	}
	b->at += n_bytes;
	return at;
}

static inline uint8_t buf_get_u8(struct buf *b)
{
	const uint8_t *p = buf_take(b, 1);

	return p ? *p : 0;
}

#define BUF_GET(name, type, convert)                          \
	static inline type name(struct buf *b)                \
	{                                                     \
		const uint8_t *p = buf_take(b, sizeof(type)); \
		type v = 0;                                   \
                                                              \
		if (p)                                        \
			memcpy(&v, p, sizeof(v));             \
		return convert(v);                            \
	}
BUF_GET(buf_get_be16, uint16_t, be16toh)
BUF_GET(buf_get_be32, uint32_t, be32toh)
BUF_GET(buf_get_be64, uint64_t, be64toh)
BUF_GET(buf_get_le16, uint16_t, le16toh)
BUF_GET(buf_get_le32, uint32_t, le32toh)
BUF_GET(buf_get_le64, uint64_t, le64toh)
#undef BUF_GET

/* Peeks at a place known to be readable, for code that has checked its bounds. */
static inline uint16_t buf_peek_be16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return be16toh(v);
}

static inline uint32_t buf_peek_be32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

#endif

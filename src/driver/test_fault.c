/* SPDX-License-Identifier: BSD-2-Clause */
/* A system that fails when a test wants it: see test_fault.h. */
#include "test_fault.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/types.h>

#include <lz4frame.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

struct test_fault test_fault;

/* Names that the linker makes: the library's functions, and ours in their place. */
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
ssize_t __real_read(int fd, void *bytes, size_t n);
ssize_t __real_pread(int fd, void *bytes, size_t n, off_t at);
int __real_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __real_inflateInit2_(z_stream *z, int bits, const char *version, int size);
ZSTD_DCtx *__real_ZSTD_createDCtx(void);
lzma_ret __real_lzma_stream_decoder(lzma_stream *z, uint64_t limit, uint32_t flags);
LZ4F_errorCode_t __real_LZ4F_createDecompressionContext(LZ4F_dctx **ret, unsigned int version);

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);
ssize_t __wrap_read(int fd, void *bytes, size_t n);
ssize_t __wrap_pread(int fd, void *bytes, size_t n, off_t at);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __wrap_inflateInit2_(z_stream *z, int bits, const char *version, int size);
ZSTD_DCtx *__wrap_ZSTD_createDCtx(void);
lzma_ret __wrap_lzma_stream_decoder(lzma_stream *z, uint64_t limit, uint32_t flags);
LZ4F_errorCode_t __wrap_LZ4F_createDecompressionContext(LZ4F_dctx **ret, unsigned int version);

static bool test_fault_now(unsigned int *in)
{
	return *in > 0 && --*in == 0;
}

static bool test_fault_alloc(void)
{
	if (!test_fault_now(&test_fault.alloc_in))
		return false;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t n)
{
	return test_fault_alloc() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return test_fault_alloc() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return test_fault_alloc() ? NULL : __real_realloc(p, n);
}

char *__wrap_strdup(const char *s)
{
	return test_fault_alloc() ? NULL : __real_strdup(s);
}

static bool test_fault_read(void)
{
	if (test_fault.piece_bytes > 0 && test_fault.n_calls++ % 3 == 0) {
		errno = EINTR;
		return true;
	}
	if (!test_fault_now(&test_fault.read_in))
		return false;
	errno = EIO;
	return true;
}

ssize_t __wrap_read(int fd, void *bytes, size_t n)
{
	if (test_fault_read())
		return -1;
	if (test_fault.piece_bytes > 0 && n > test_fault.piece_bytes)
		n = test_fault.piece_bytes;
	return __real_read(fd, bytes, n);
}

ssize_t __wrap_pread(int fd, void *bytes, size_t n, off_t at)
{
	return test_fault_read() ? -1 : __real_pread(fd, bytes, n, at);
}

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	int r;

	if (test_fault.before_poll)
		test_fault.before_poll();
	if (test_fault.piece_bytes > 0 && test_fault.n_calls++ % 3 == 0) {
		if (timeout_ms == 0) {
			for (nfds_t i = 0; i < n; i++)
				fds[i].revents = 0;
			return 0;
		}
		errno = EINTR;
		return -1;
	}
	r = __real_poll(fds, n, timeout_ms);
	if (r > 0 && test_fault.after_poll)
		test_fault.after_poll();
	return r;
}

int __wrap_inflateInit2_(z_stream *z, int bits, const char *version, int size)
{
	return test_fault_alloc() ? Z_MEM_ERROR : __real_inflateInit2_(z, bits, version, size);
}

ZSTD_DCtx *__wrap_ZSTD_createDCtx(void)
{
	return test_fault_alloc() ? NULL : __real_ZSTD_createDCtx();
}

lzma_ret __wrap_lzma_stream_decoder(lzma_stream *z, uint64_t limit, uint32_t flags)
{
	return test_fault_alloc() ? LZMA_MEM_ERROR : __real_lzma_stream_decoder(z, limit, flags);
}

LZ4F_errorCode_t __wrap_LZ4F_createDecompressionContext(LZ4F_dctx **ret, unsigned int version)
{
	return test_fault_alloc() ? (LZ4F_errorCode_t)-1
				  : __real_LZ4F_createDecompressionContext(ret, version);
}

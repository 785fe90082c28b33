/* SPDX-License-Identifier: BSD-2-Clause */
/* How TO_FILE writes on a live device: packets through an output queue into a capture file. */
#ifndef MAPI_FUNCTION_STD_TO_FILE_PRIVATE_H
#define MAPI_FUNCTION_STD_TO_FILE_PRIVATE_H

#include "capfile/writer.h"
#include "output_queue_private.h"

#define STD_FILE_QUEUE_BYTES (32u << 20)

/* @writer: taken on success only. The rest as std_queue_new(). */
int std_file_queue_new(
	struct std_queue **ret, struct capfile_writer *writer, const char *path, size_t n_bytes);

/* As std_queue_put(); its comment and lost_pkts are not looked at. */
bool std_file_queue_put(struct std_queue *queue, const struct capfile_packet *packet);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TO_FILE: writes packets to a capture file (capfile/writer.h). The client's process opens the
 * file, so it is created with that user's rights and in that program's directory.
 *
 * On a file the worker writes itself: files wait for their readers (semantics L1). On a live device
 * nothing may wait, so packets go through a queue to a thread that writes (to_file_private.h), in
 * the order in which the device's packets were committed. The limit counts packets that the queue
 * took: they are those that get into the file.
 *
 * So that functions say of the file what they said live (semantics T2), MFF_PCAPNG then numbers its
 * interfaces as the device does, and keeps the direction of a packet and what it stands for on the
 * wire. The other formats have no place for these.
 *
 * The historical format MFF_PCAP has microseconds: a nanosecond source loses digits in it.
 * MFF_PCAP_NS and MFF_PCAPNG keep them, and MFF_PCAPNG any mix of link types.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "capfile/writer.h"
#include "mapi.h"
#include "mapi/errors.h"
#include "mapi/to_file.h"
#include "std.h"
#include "std_private.h"
#include "to_file_private.h"

/* Of the historical enum mapi_file_formats (mapi.h); the rest of it is for cards. */
#define STD_TO_FILE_MFF_PCAP 0
#define STD_TO_FILE_MFF_RAW 1

/* What the result says while packets are being written; programs of the time compare it with 0. */
#define STD_TO_FILE_RUNNING 11

#define STD_TO_FILE_COMMENT_BYTES 4200 /* the device may be a long path */

struct std_to_file_instance {
	struct capfile_writer *writer; /* a file; NULL: the queue's */
	struct std_queue *queue; /* a live device */
	uint64_t max_pkts; /* 0: no limit */
	bool complete; /* what ends the file has been written */
};

struct std_to_file_state {
	int32_t running; /* the result; live, whether packets are still taken */
	uint64_t written_pkts; /* live: taken by the queue */
};

static int std_to_file_format(long long number, enum capfile_format *ret, struct error *err)
{
	switch (number) {
	case STD_TO_FILE_MFF_PCAP:
	case STD_TO_FILE_MFF_RAW: /* historically the same file */
		*ret = CAPFILE_PCAP_US;
		return 0;
	case MFF_PCAP_NS:
		*ret = CAPFILE_PCAP_NS;
		return 0;
	case MFF_PCAPNG:
		*ret = CAPFILE_PCAPNG;
		return 0;
	}
	return error_set(err, MFUNCT_COULD_NOT_APPLY_FUNCT,
		"TO_FILE cannot write format %lld; use MFF_PCAP (0), MFF_PCAPNG (%d) or "
		"MFF_PCAP_NS (%d)",
		number, MFF_PCAPNG, MFF_PCAP_NS);
}

static int std_to_file_open(const struct function_open *open, struct error *err)
{
	struct std_to_file_instance *instance = open->instance;
	const struct function_value *path = &open->args[1];
	char comment[STD_TO_FILE_COMMENT_BYTES];
	struct capfile_writer_args args = {
		.path = path->text, .device = open->device, .comment = comment
	};
	struct capfile_writer *writer = NULL;
	int r;

	(void)snprintf(comment, sizeof(comment), "mapi TO_FILE of %s", open->device);

	r = std_to_file_format(open->args[0].number, &args.format, err);
	if (r < 0)
		return r;
	if (path->fd < 0)
		return error_set(
			err, MAPI_ERROR_FILE, "TO_FILE got no open file for '%.200s'", path->text);
	args.fd = path->fd;
	args.keep_ifindex = !open->lossless;
	instance->max_pkts = open->args[2].large;
	r = capfile_writer_new(&writer, &args, err);
	if (r < 0)
		return r;
	if (open->lossless) {
		instance->writer = writer;
		return 0;
	}
	r = std_file_queue_new(&instance->queue, writer, path->text, STD_FILE_QUEUE_BYTES);
	if (r == 0)
		return 0;
	capfile_writer_abandon(writer);
	if (r == -ENOMEM)
		return r;
	return error_set(err, MFUNCT_COULD_NOT_INIT_FUNCT, "TO_FILE: no queue for '%.200s': %s",
		path->text, strerror(-r));
}

/* All packets have been written: clients may read the file as soon as they know. */
static void std_to_file_end(struct std_to_file_instance *self, struct error *err)
{
	if (!self->complete && capfile_write_counts(self->writer, true, err) < 0)
		return;
	self->complete = true;
	(void)capfile_writer_flush(self->writer, err);
}

static int std_to_file_complete(void *instance, struct error *err)
{
	struct std_to_file_instance *self = instance;

	if (self->queue)
		return std_queue_finish(self->queue, err);
	/* What is still buffered must not make the daemon wait for the reader of a pipe. */
	capfile_writer_cancel(self->writer);
	std_to_file_end(self, err);
	/* If that has failed, closing fails again, and the first cause stays in @err. */
	return capfile_writer_close(TAKE(self->writer), err);
}

/* After complete() there is nothing left to do. */
static void std_to_file_close(void *instance)
{
	struct std_to_file_instance *self = instance;

	(void)std_queue_close(self->queue, NULL);
	capfile_writer_cancel(self->writer);
	(void)capfile_writer_close(self->writer, NULL);
}

static void std_to_file_cancel(void *instance)
{
	struct std_to_file_instance *self = instance;

	if (self->queue)
		std_queue_hurry(self->queue);
	capfile_writer_cancel(self->writer);
}

/* The workers have left: no packet will follow. */
static bool std_to_file_draining(void *instance)
{
	struct std_to_file_instance *self = instance;

	if (!self->queue)
		return false;
	std_queue_end(self->queue);
	return std_queue_is_draining(self->queue);
}

static bool std_to_file_busy(void *instance)
{
	const struct std_to_file_instance *self = instance;

	return self->queue && !std_queue_is_done(self->queue);
}

static void std_to_file_lost(const void *instance, const void *state, uint64_t lost_pkts[])
{
	const struct std_to_file_instance *self = instance;

	if (self->queue)
		lost_pkts[MAPI_LOSS_QUEUE] += std_queue_lost(self->queue);
}

static void std_to_file_init(const void *instance, void *state)
{
	struct std_to_file_state *s = state;

	s->running = STD_TO_FILE_RUNNING;
}

static struct capfile_packet std_to_file_packet(const struct packet_batch *batch, unsigned int i)
{
	struct capfile_packet ret = {
		.data = batch->data[i],
		.cap_bytes = batch->cap_bytes[i],
		.wire_bytes = batch->wire_bytes[i],
		.linktype = batch->linktype,
		.ifindex = batch->ifindex[i],
		.ts_ns = batch->ts_ns[i],
	};

	if (batch->is_live) {
		ret.flags = batch->flags[i];
		ret.wire_pkts = batch->wire_pkts[i];
		ret.all_wire_bytes = batch->all_wire_bytes[i];
	}
	return ret;
}

/* Live: hand over what there is room for. A failure of the thread ends the flow, also when no
 * packet is taken any more. */
static void std_to_file_queue_up(const struct function_call *call,
	const struct std_to_file_instance *self, struct std_to_file_state *s,
	const struct packet_mask *mine)
{
	if (std_queue_failed(self->queue, call->error)) {
		s->running = 0;
		return;
	}
	if (!s->running || packet_mask_empty(mine))
		return;
	packet_mask_for_each (i, mine) {
		struct capfile_packet packet = std_to_file_packet(call->batch, i);

		if (!std_file_queue_put(self->queue, &packet))
			continue;
		if (++s->written_pkts != self->max_pkts)
			continue;
		std_queue_end(self->queue);
		s->running = 0;
		return;
	}
	std_queue_publish(self->queue);
}

/* After a failed write the flow ends; until it has, nothing more is tried. */
static void std_to_file_process(const struct function_call *call, void *instance, void *state,
	struct packet_mask *selection)
{
	struct std_to_file_instance *self = instance;
	struct std_to_file_state *s = state;
	struct packet_mask mine = std_selected(call, selection);

	if (self->queue) {
		std_to_file_queue_up(call, self, s, &mine);
		return;
	}
	if (!s->running)
		return;
	packet_mask_for_each (i, &mine) {
		struct capfile_packet packet = std_to_file_packet(call->batch, i);

		if (capfile_write(self->writer, &packet, call->error) < 0) {
			s->running = 0;
			return;
		}
		if (++s->written_pkts != self->max_pkts)
			continue;
		std_to_file_end(self, call->error);
		s->running = 0;
		return;
	}
}

static void std_to_file_finish(const struct function_call *call, void *instance, void *state)
{
	struct std_to_file_instance *self = instance;

	if (self->queue)
		std_queue_end(self->queue); /* what still fails, who closes the flow hears */
	else
		std_to_file_end(self, call->error);
}

/* Live, the file is complete some time after the limit has been reached. */
static void std_to_file_read(const void *instance, const void *state, void *ret_result)
{
	const struct std_to_file_instance *self = instance;
	const struct std_to_file_state *s = state;
	int32_t running = s->running;

	if (self->queue && !running && !std_queue_is_done(self->queue))
		running = STD_TO_FILE_RUNNING;
	memcpy(ret_result, &running, sizeof(running));
}

static const struct mapi_choice std_to_file_choices[] = {
	{ .name = "MFF_PCAP", .value = STD_TO_FILE_MFF_PCAP },
	{ .name = "MFF_RAW", .value = STD_TO_FILE_MFF_RAW },
	{ .name = MFF_PCAPNG_STR, .value = MFF_PCAPNG },
	{ .name = MFF_PCAP_NS_STR, .value = MFF_PCAP_NS },
};

static const struct mapi_arg std_to_file_args[] = {
	{
		.name = "format",
		.type = MAPI_ARG_INT,
		.error_code = MFUNCT_COULD_NOT_APPLY_FUNCT,
		.choices = std_to_file_choices,
		.n_choices = ARRAY_SIZE(std_to_file_choices),
		.help = "MFF_PCAP: microseconds; MFF_PCAP_NS: nanoseconds; MFF_PCAPNG: nanoseconds "
			"and "
			"any mix of link types; MFF_RAW: as MFF_PCAP.",
	},
	{
		.name = "path",
		.type = MAPI_ARG_FILE,
		.error_code = MAPI_ERROR_FILE,
		.help = "The file; an existing one is overwritten.",
	},
	{
		.name = "max_packets",
		.type = MAPI_ARG_ULL,
		.default_text = "0",
		.error_code = MFUNCT_INVALID_ARGUMENT_3,
		.help = "How many packets are written; 0: all.",
	},
};

static const struct mapi_field std_to_file_fields[] = {
	{
		.name = "running",
		.type = MAPI_FIELD_I32,
		.offset_bytes = offsetof(struct std_to_file_state, running),
		.merge = MAPI_MERGE_MAX,
		.unit = "",
		.help = "11 while packets are written, 0 when the limit is reached and the file is "
			"complete.",
	},
};

const struct function std_to_file = {
	.abi = FUNCTION_ABI,
	.struct_bytes = sizeof(struct function),
	.desc = {
		.name = "TO_FILE",
		.library = STD_LIBRARY,
		.help = "Writes the packets to a capture file.",
		.example = "BPF_FILTER(\"udp\") | TO_FILE(pcap, /dev/null)",
		.args = std_to_file_args,
		.n_args = ARRAY_SIZE(std_to_file_args),
		.fields = std_to_file_fields,
		.n_fields = ARRAY_SIZE(std_to_file_fields),
		.result_bytes = sizeof(int32_t),
	},
	.order = FUNCTION_ORDER,
	.follows_time = true, /* a failure is reported although nothing passes the filters */
	.live_bytes = STD_FILE_QUEUE_BYTES,
	.instance_bytes = sizeof(struct std_to_file_instance),
	.state_bytes = sizeof(struct std_to_file_state),
	.open = std_to_file_open,
	.complete = std_to_file_complete,
	.close = std_to_file_close,
	.cancel = std_to_file_cancel,
	.process = std_to_file_process,
	.init = std_to_file_init,
	.read = std_to_file_read,
	.finish = std_to_file_finish,
	.draining = std_to_file_draining,
	.busy = std_to_file_busy,
	.lost = std_to_file_lost,
};

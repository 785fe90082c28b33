/* SPDX-License-Identifier: BSD-2-Clause */
/* The memory of a relay: relay.c writes it, relay_source.c reads it. */
#ifndef MAPI_DRIVER_RELAY_PRIVATE_H
#define MAPI_DRIVER_RELAY_PRIVATE_H

#include <stdatomic.h>
#include <stdint.h>

#include "relay.h"

#define RELAY_MAGIC 0x4d524c59u
#define RELAY_LAYOUT 1u
#define RELAY_INTERFACES_MAX 16u
#define RELAY_BYTES_MIN (1u << 20) /* the longest packet takes half of it at most */
#define RELAY_BYTES (16u << 20)

/* Descriptors: those of the ring come first (RING_N_FDS). */
#define RELAY_FD_SHARED 3
#define RELAY_FD_LEASE 4

/* As struct driver_interface. */
struct relay_interface {
	uint32_t linktype;
	uint32_t snaplen_bytes;
	uint64_t ts_units_per_s;
	char name[64];
};

/**
 * struct relay_shared - what the engine can only read
 * @state:        enum driver_state
 * @n_interfaces: of @interfaces, those that are complete, and stay
 * @outages, @nic_lost_pkts, @ring_lost_pkts: of the device, as of struct driver_stats, of all
 *                readers together
 * @unread_pkts:  lost because the engine has not read
 * @asked_ns:     the monotonic time at which the device was asked last that had no packets then:
 * all that it had before are in the ring
 */
struct relay_shared {
	uint32_t magic;
	uint32_t layout;
	_Atomic uint32_t state;
	_Atomic uint32_t n_interfaces;
	_Atomic uint64_t outages;
	_Atomic uint64_t nic_lost_pkts;
	_Atomic uint64_t ring_lost_pkts;
	_Atomic uint64_t unread_pkts;
	_Atomic uint64_t asked_ns;
	struct relay_interface interfaces[RELAY_INTERFACES_MAX];
};

/* A record of the ring: this, then the captured bytes. */
struct relay_packet {
	uint64_t ts_ns;
	uint32_t wire_bytes;
	uint32_t interface; /* of @interfaces */
};

_Static_assert(sizeof(struct relay_packet) == 16, "no padding that would tell of memory");
_Static_assert(sizeof(struct relay_interface) == 80, "no padding that would tell of memory");

#endif

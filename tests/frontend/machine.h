/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine without a processor: memory in a memory file, virtqueues of a network card in it, and the connection to the
 * back end that serves them.
 *
 * Buffers: queue 2k (to the guest) has one descriptor per entry with a buffer of rx_buffer bytes; queue 2k+1 (from the
 * guest) has entries of tx_buffer bytes.
 */
#ifndef SLUICE_TESTS_MACHINE_H
#define SLUICE_TESTS_MACHINE_H

#include "ring.h"
#include "vmm.h"

enum {
	MACHINE_PAIRS_MAX = 4,
	MACHINE_QUEUES_MAX = 2 * MACHINE_PAIRS_MAX,
	MACHINE_REGIONS_MAX = VHOST_USER_TABLE_MAX,
};

/* Guest physical address of the first byte of memory. */
#define MACHINE_GPA 0x100000ULL

struct machine_config {
	uint32_t pairs;
	uint32_t num;       /* entries of each queue */
	uint32_t rx_buffer; /* bytes */
	uint32_t tx_buffer; /* bytes */
	uint32_t regions;   /* that the memory is shared in, adjoining */
	uint64_t features;  /* that are acknowledged where offered */
	uint64_t protocol;  /* likewise */
	bool has_slots;     /* regions are added one by one, where the back end can */
};

struct machine_queue {
	struct ring ring;
	uint8_t *buffers; /* num of them */
	int kick_fd;
	int call_fd;
};

struct machine {
	struct machine_config cfg;
	struct vmm vmm;
	uint64_t features; /* negotiated */
	int memory_fd;
	uint8_t *memory;
	size_t memory_size;
	int inflight_fd; /* kept for a back end to come; -1: none */
	uint64_t inflight[3];
	struct machine_queue queues[MACHINE_QUEUES_MAX];
};

/* A sensible one: one pair of 256, everything that this machine can do. */
struct machine_config machine_config_default(void);

/* Memory and empty queues. 0 or -errno. */
int machine_init(struct machine *m, const struct machine_config *cfg);
void machine_fini(struct machine *m);

static inline uint64_t machine_gpa(const struct machine *m, const void *at)
{
	return MACHINE_GPA + (uint64_t)((const uint8_t *)at - m->memory);
}

static inline uint64_t machine_uva(const void *at)
{
	return (uint64_t)(uintptr_t)at;
}

static inline uint8_t *machine_buffer(const struct machine *m, uint32_t queue, uint32_t i)
{
	return m->queues[queue].buffers +
	       (size_t)i * (queue % 2 == 0 ? m->cfg.rx_buffer : m->cfg.tx_buffer);
}

/* The parts of what follows on a connection that vmm has: features, memory, each queue. Rings begin, or go on behind what
 * the driver has seen used. 0 or -errno. */
int machine_negotiate(struct machine *m);
int machine_share_memory(struct machine *m);
int machine_start_queue(struct machine *m, uint32_t queue);

/* All of it, for all queues. */
int machine_start(struct machine *m);

/* Stops all queues in good order. 0 or -errno. */
int machine_stop(struct machine *m);

/* Makes all buffers of a queue to the guest available. */
void machine_fill_rx(struct machine *m, uint32_t queue);

/* Notifies the back end. */
void machine_kick(const struct machine *m, uint32_t queue);

static inline bool machine_has(const struct machine *m, unsigned int feature)
{
	return (m->features & 1ULL << feature) != 0;
}

/* Bytes of the virtio-net header. */
uint32_t machine_hdr(const struct machine *m);

#endif

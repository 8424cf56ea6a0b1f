/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program at one end of a connection, in the guest or on the remote host: what it writes and when,
 * how fast it reads, how it ends. It works on any stream (struct sim_stream_ops).
 */
#ifndef SLUICE_TESTS_SIM_APP_H
#define SLUICE_TESTS_SIM_APP_H

#include "sim.h"

enum sim_start {
	SIM_START_OPEN,     /* writes as soon as the connection stands */
	SIM_START_RECEIVED, /* ... when start_at bytes have been read */
	SIM_START_EOF,      /* ... when the other side has ended */
};

enum sim_close {
	SIM_CLOSE_SENT,     /* ends its direction behind the last byte written */
	SIM_CLOSE_EOF,      /* ... when the other side has ended too */
	SIM_CLOSE_NEVER,    /* leaves the connection open */
	SIM_RESET_SENT,     /* resets the connection when everything is written */
	SIM_RESET_RECEIVED, /* ... when close_at bytes have been read */
};

struct sim_app_plan {
	uint32_t seed;     /* of what it writes */
	uint64_t send_len; /* bytes in all */
	enum sim_start start;
	uint64_t start_at;
	uint32_t send_chunk;  /* bytes written at once; 0: as many as fit */
	uint64_t send_gap_ns; /* pause between two writes */
	uint32_t read_chunk;  /* bytes read at once; 0: all there are */
	uint64_t read_gap_ns; /* pause between two reads */
	uint64_t stall_at;    /* when so many bytes are read, it does not read on ... */
	uint64_t stall_ns;    /* ... for this time; 0: no stall; SIM_NEVER: ever */
	enum sim_close close;
	uint64_t close_at;
	uint64_t close_delay_ns; /* between the reason to end, and the end */
};

struct sim_stream_ops {
	/* Takes up to len bytes, returns how many. */
	size_t (*write)(void *stream, size_t len);
	/* Bytes that wait to be read, and taking them. */
	size_t (*readable)(void *stream);
	void (*read)(void *stream, size_t len);
	/* Everything was read, and the other side has ended. */
	bool (*is_at_eof)(void *stream);
	void (*shutdown)(void *stream);
	void (*reset)(void *stream);
};

struct sim_app {
	struct sim *sim;
	struct sim_app_plan plan;
	const struct sim_stream_ops *ops;
	void *stream;
	uint64_t sent;     /* bytes that the stream has taken */
	uint64_t received; /* bytes read */
	uint64_t open_ns;
	uint64_t first_write_ns;
	uint64_t end_ns;        /* when EOF or a reset was seen */
	uint64_t read_after_ns; /* no read before */
	uint64_t write_after_ns;
	bool is_open;
	bool has_stalled;
	bool is_shut;   /* its direction is ended */
	bool has_eof;   /* the other's is */
	bool has_reset; /* the other side has reset, or the connection was refused or timed out */
	bool did_reset;
	int error; /* errno that goes with has_reset */
	/* n bytes have been read; may be NULL. */
	void (*on_read)(struct sim_app *a, size_t n);
	struct sim_timer read_timer;
	struct sim_timer write_timer;
	struct sim_timer close_timer;
};

void sim_app_init(struct sim_app *a, struct sim *sim, const struct sim_app_plan *plan,
    const struct sim_stream_ops *ops, void *stream);
void sim_app_fini(struct sim_app *a);

/* The connection stands; something may be read or written; it is no more. */
void sim_app_on_open(struct sim_app *a);
void sim_app_on_ready(struct sim_app *a);
void sim_app_on_reset(struct sim_app *a, int error);

/* Nothing is left to be done by this program. */
bool sim_app_is_done(const struct sim_app *a);

#endif

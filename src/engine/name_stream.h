/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of DNS messages (RFC 1035 4.2.2, RFC 7766) that end in the engine itself: what a guest's TCP connection to
 * port 53 is bound to in place of a socket of the host. For the flow they are sockets like others: this is a struct
 * sock_ops in front of the host's, which keeps some numbers for itself.
 *
 * Bounded: so many streams, so many questions of one under way, so many bytes that wait to be read; beyond that a
 * stream takes no more, which the guest's window tells it.
 */
#ifndef SLUICE_ENGINE_NAME_STREAM_H
#define SLUICE_ENGINE_NAME_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/chain.h"
#include "base/list.h"
#include "flow/sock.h"

enum {
	NAME_STREAMS_MAX = 256,
	NAME_STREAM_FRAME_SIZE = 2,          /* the length before a message */
	NAME_STREAM_PENDING_MAX = 32,        /* questions of one stream */
	NAME_STREAM_QUERY_MAX = 4096,        /* bytes of a question that are looked at */
	NAME_STREAM_OUT_MAX = 128 << 10,     /* unread answers, with which a stream takes no more */
	NAME_STREAMS_OUT_MAX = 16 << 20,     /* unread answers of all streams */
	NAME_STREAM_SOCK_FIRST = 0x40000000, /* numbers of sockets from here on are streams */
};

struct name_stream {
	struct pool_head head;
	struct sock_owner owner;
	struct endpoint guest;
	struct endpoint asked;
	uint8_t family;
	struct list_node ready; /* has events to tell */
	uint32_t events;        /* SOCK_... */
	uint32_t pending;       /* questions without an answer */
	bool has_eof;           /* the guest asks no more */
	bool is_blocked;        /* the flow has been told that there is no room */
	uint32_t size;          /* of the message that comes, once has_size */
	uint32_t got;           /* bytes of it, or of its length */
	bool has_size;
	uint8_t *in;      /* NAME_STREAM_QUERY_MAX bytes, while a message is incomplete */
	struct chain out; /* answers */
};

struct name_streams {
	const struct sock_ops *ops; /* the host's */
	void *host;
	struct pool pool;
	struct list_node ready;
	size_t out_bytes; /* unread answers */
	/* A message is complete: its first bytes, at most NAME_STREAM_QUERY_MAX. name_stream_answer() may be called
	 * at once, or later, once for each message. False: it gets none. */
	bool (*on_message)(void *ctx, struct name_stream *s, const uint8_t *msg, size_t len);
	void *ctx;
};

/* 0 or -ENOMEM. ops and host are borrowed. */
__attribute__((warn_unused_result)) int name_streams_init(
    struct name_streams *t, const struct sock_ops *ops, void *host);
void name_streams_fini(struct name_streams *t);

/* What the flows use; its first argument is the struct name_streams. */
extern const struct sock_ops name_stream_ops;

/* A stream that stands. 0, -ENOSPC, -ENOMEM. */
__attribute__((warn_unused_result)) int name_stream_open(struct name_streams *t,
    struct sock_owner owner, struct name_stream **ret_stream, int *ret_sock);

/* The stream, or NULL if it has been closed. */
struct name_stream *name_stream_find(const struct name_streams *t, struct pool_ref ref);

/* The answer to one of its messages, len bytes behind NAME_STREAM_FRAME_SIZE bytes of room; framed NULL: there is none. */
void name_stream_answer(struct name_streams *t, struct name_stream *s, uint8_t *framed, size_t len);

/* So much waits to be read that only short answers should be given. */
bool name_streams_are_full(const struct name_streams *t);

/* Takes the next stream with events to tell: its owner and they. False: there is none. */
bool name_streams_next(struct name_streams *t, struct sock_owner *ret_owner, uint32_t *ret_events);

#endif

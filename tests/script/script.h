/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A script is what happens on the link and at the host, line by line, under the virtual clock, in the manner of
 * packetdrill. The guest, its network and the remote side are nobody but the script; see README.md for
 * the lines.
 */
#ifndef SLUICE_TESTS_SCRIPT_H
#define SLUICE_TESTS_SCRIPT_H

#include "sim_world.h"

enum {
	SCRIPT_FLOWS_MAX = 16,
	SCRIPT_LINE_MAX = 512,
	SCRIPT_NAME_MAX = 16,
	SCRIPT_GUEST_SEED = 1,  /* of what the guest sends */
	SCRIPT_REMOTE_SEED = 2, /* ... the remote side */
	SCRIPT_OTHER_SEED = 3,  /* "bytes other" */
};

/* Both ends of a conversation, TCP or UDP. */
struct script_flow {
	char name[SCRIPT_NAME_MAX];
	uint8_t family;
	uint16_t port; /* the guest's */
	struct endpoint remote;
	uint32_t iss; /* the guest's initial sequence number */
	uint32_t irs; /* the engine's, 0 until its SYN-ACK is seen */
	bool has_irs;
	struct sim_sock *sock; /* NULL: not dialed, as far as the script knows */
	uint64_t udp_sent;     /* bytes of datagrams of the guest so far */
	uint64_t udp_replied;  /* ... of the remote side, as it has sent them */
	uint64_t udp_received; /* ... and as the guest has got them */
};

/* A datagram or echo request that the engine has sent to the host. */
struct script_sent {
	struct script_sent *next;
	struct sim_sock *sock;
	struct endpoint to;
	uint32_t len;
	uint16_t gso_size;
	uint16_t seq;
	bool has_df;
};

struct script {
	struct sim_world *world; /* NULL until the first line that is no "set" */
	struct sim_config cfg;
	const char *file;
	int line;
	char text[SCRIPT_LINE_MAX]; /* the line, for messages */
	uint64_t base_ns;           /* time of the line before */
	uint64_t delay_ns;          /* of this line behind it */
	uint64_t slack_ns;          /* how much later a frame may come */
	struct sim_queue got;       /* frames to the guest that no line has claimed yet */
	bool is_stalled;            /* the guest takes no frames */
	struct script_flow flows[SCRIPT_FLOWS_MAX];
	uint32_t flow_count;
	struct script_flow *flow; /* of this line */
	uint32_t socks_claimed;   /* sockets that a "connect" line has claimed */
	uint64_t drops_claimed[DROP_REASON_COUNT];
	uint64_t events_claimed;
	struct sim_remote next_remote; /* what the next connect() meets */
	struct script_sent *sent;      /* datagrams that no line has claimed */
	struct script_sent **sent_end;
	uint16_t denied_port;
	bool denies_all;
};

/* Says what is wrong with the line. script_fail() is also false, which a checker should see. */
__attribute__((format(printf, 2, 3))) void script_say(
    const struct script *s, const char *format, ...);
#define script_fail(s, ...) (script_say((s), __VA_ARGS__), false)

/* Cuts the next word off *at; NULL at the end. */
char *script_word(char **at);
bool script_number(const struct script *s, const char *word, uint64_t *ret_value);
/* The errno of a name, or 0. */
int script_errno(const char *name);
bool script_endpoint(const struct script *s, char *word, struct endpoint *ret_endpoint);

/* Lets happen what happens now. */
bool script_settle(struct script *s);
/* The next frame to the guest, at base + delay as timers allow. The caller frees it. */
struct sim_frame *script_next_frame(struct script *s, struct sim_packet *ret_packet);
/* Fails if there is a frame that no line has claimed. */
bool script_expect_no_frame(struct script *s);

/* Lines: "< ...", "> ...", "host: ...". args is what follows, and is cut up. */
bool script_guest_sends(struct script *s, char *args);
bool script_guest_gets(struct script *s, char *args);
bool script_host(struct script *s, char *args);

/* ... of TCP, and of all else; is_mine tells whether the first word is one of theirs. */
bool script_send_tcp(struct script *s, char *args);
bool script_expect_tcp(struct script *s, char *args);
bool script_is_other(const char *word);
bool script_send_other(struct script *s, char *args);
bool script_expect_other(struct script *s, char *args);
bool script_is_host_other(const char *word);
bool script_host_other(struct script *s, char *args);

#endif

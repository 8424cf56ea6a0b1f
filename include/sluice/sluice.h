/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libsluice: the network of one untrusted guest, in the process of its virtual machine monitor (VMM).
 *
 * An engine is the other end of the guest's network card: it answers ARP, DHCP, names; it judges each packet
 * by rules, dials each connection itself, and relays. The VMM hands frames in and takes frames out of a ring: two
 * queues without locks, one descriptor to wait for.
 *
 *	struct sluice_option o[] = {{"net", "public"}, {"net-rule", "allow@10.1.2.3:tcp:443"}};
 *	struct sluice_config c = SLUICE_CONFIG_INIT;
 *	struct sluice_error error;
 *	struct sluice_engine *e;
 *
 *	c.options = o;
 *	c.option_count = 2;
 *	if (sluice_engine_new(&c, &e, &error) < 0)
 *		errx(1, "%s", error.text);
 *
 * There is no state outside of engines: a process may have any number of them, and all guests may have the
 * same addresses.
 *
 * Threads. An engine runs in a thread of its own (SLUICE_OWN_THREAD), or in the caller's: who waits for
 * sluice_engine_fd() and calls sluice_engine_turn(). The functions of the ring are called by one thread at a time,
 * which may be the same one or another.
 *
 * Results are 0 or more, or -errno. Structures that may grow begin with their size, which the caller sets;
 * those without never change.
 *
 * The library installs no signal handlers, changes no limits and no directory, prints nothing. It confines
 * nothing either: what `sluice run` does with the process of an engine (seccomp, no privileges) is here the
 * VMM's. All descriptors that it makes are close-on-exec.
 *
 * Manual: libsluice(3), sluice_engine_new(3), sluice_ring_attach(3).
 */
#ifndef SLUICE_SLUICE_H
#define SLUICE_SLUICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SLUICE_API   __attribute__((visibility("default")))
#define SLUICE_CHECK __attribute__((warn_unused_result))

/* "0.1.0": of the library that is linked. */
SLUICE_API const char *sluice_version(void);

enum {
	SLUICE_ERROR_TEXT_MAX = 512,
};

/* Why something was refused. */
struct sluice_error {
	int code;                         /* -errno, as the function returns */
	char text[SLUICE_ERROR_TEXT_MAX]; /* one sentence, without a full stop */
};

/* ---- engine ---- */

struct sluice_engine;
struct sluice_ring;

/* An option of `sluice run`, without its dashes: "net", "net-rule", "net-default-egress", "net-default-ingress",
 * "slot", "mtu", "ipv4", ... See sluice_options(). */
struct sluice_option {
	const char *name;
	const char *value;
};

/* Flags of a configuration. */
#define SLUICE_OWN_THREAD 1U /* the engine runs in a thread that it makes */
#define SLUICE_POST_RX    2U /* the VMM posts buffers for frames to the guest; else it stages frames */

struct sluice_config {
	size_t size; /* sizeof(struct sluice_config) */
	/* Options in order; those that a command line may repeat may be repeated. Borrowed for the call. */
	const struct sluice_option *options;
	size_t option_count;
	/* The text of a configuration document (sluice-config(5)), or NULL: rules of options come before its rules,
	 * all other options replace what it says. Borrowed for the call. */
	const char *document;
	uint32_t flags;     /* SLUICE_... */
	uint32_t tx_frames; /* capacity of the queue from the guest; 0: 1024 */
	uint32_t rx_frames; /* to the guest: frames, or posted buffers; 0: 1024 */
	/* Told of flows and denials, in the engine's thread: one line of JSON (sluice(1), EVENTS) with its line
	 * break, not NUL-terminated. It must not call functions of the engine. May be NULL. */
	void (*on_event)(void *ctx, const char *line, size_t len);
	void *ctx; /* of on_event */
};

#define SLUICE_CONFIG_INIT                                                                         \
	{                                                                                          \
		.size = sizeof(struct sluice_config)                                               \
	}

/* The names of all options, NULL behind the last one. */
SLUICE_API const char *const *sluice_options(void);

/* Makes an engine. 0; -EINVAL: an option, or a combination of them, is wrong; -E2BIG: the configuration has fields
 * that this version does not know; -ENOMEM, -EMFILE, ...: what the system lacks. error, which may be NULL, says
 * which and why. */
SLUICE_API SLUICE_CHECK int sluice_engine_new(const struct sluice_config *config,
    struct sluice_engine **ret_engine, struct sluice_error *error);

/* Ends all connections at once and frees everything; joins a thread of its own. Nobody may use the ring any more.
 * Memory that was lent is the VMM's again. NULL is allowed. */
SLUICE_API void sluice_engine_free(struct sluice_engine *e);

/* Readable when sluice_engine_turn() is to be called: level-triggered, for poll or epoll. With a thread of its own:
 * when it has ended. */
SLUICE_API int sluice_engine_fd(const struct sluice_engine *e);

enum {
	SLUICE_ENDED = 1,
};

/* Does what can be done without waiting, in a bounded amount. 0; SLUICE_ENDED: as sluice_engine_finish() asked;
 * -ENOMEM: the host has other addresses, and they are not judged as the host's; or why waiting failed. With a thread
 * of its own, it only tells. Another thread must not call it at the same time. */
SLUICE_API SLUICE_CHECK int sluice_engine_turn(struct sluice_engine *e);

/* Asks to deliver to the remote sides what the guest has sent, and then to end. Called where
 * sluice_engine_turn() is, which is to be called again. */
SLUICE_API void sluice_engine_finish(struct sluice_engine *e);

/* The index-th counter. Values of different counters, read while the engine runs in another thread, may be of
 * different moments. 0, or -ENOENT behind the last one. The name is valid for ever. */
SLUICE_API SLUICE_CHECK int sluice_engine_counter(
    const struct sluice_engine *e, uint32_t index, const char **ret_name, uint64_t *ret_value);

/* ---- published ports ---- */

/* Publishes a port from now on: a specification as that of the option "publish", with the options "publish-source" and
 * "publish-proxy" of the engine. *ret_port names it for sluice_publish_remove(); *ret_host_port, if not NULL, gets the
 * port of the host, also where that was 0. The event "published" is told before it returns. 0; -EINVAL: no such
 * specification; -EADDRINUSE, -EACCES, ...: it cannot be bound; -ENOSPC: as many are published as can be; -ENOMEM;
 * -ENOTSUP: the engine has a thread of its own. error, which may be NULL, says which and why. Called where
 * sluice_engine_turn() is. */
SLUICE_API SLUICE_CHECK int sluice_publish_add(struct sluice_engine *e, const char *spec,
    uint64_t *ret_port, uint16_t *ret_host_port, struct sluice_error *error);

/* No more clients are let in by this port, and the host's port is free; TCP connections that stand, or are being opened,
 * go on. 0; -ENOENT: there is none of this name; -ENOTSUP as above. Called likewise. */
SLUICE_API SLUICE_CHECK int sluice_publish_remove(struct sluice_engine *e, uint64_t port);

/* ---- what the guest must be told ---- */

/* Addresses in network order. They do not change while the engine lives. */
struct sluice_interface {
	size_t size;          /* sizeof(struct sluice_interface), set by the caller */
	uint8_t guest_mac[6]; /* for the device's configuration space */
	uint8_t gateway_mac[6];
	uint16_t mtu;   /* IP MTU: likewise */
	uint8_t has_v4; /* 1: IPv4 is in use */
	uint8_t has_v6;
	uint8_t prefix_len_v4; /* 30 */
	uint8_t prefix_len_v6; /* 64 */
	uint8_t guest_v4[4];
	uint8_t gateway_v4[4]; /* also the default route, and the nameserver */
	uint8_t guest_v6[16];
	uint8_t gateway_v6[16]; /* likewise */
};

/* 0, or -EINVAL for a size that never was. */
SLUICE_API SLUICE_CHECK int sluice_engine_interface(
    const struct sluice_engine *e, struct sluice_interface *ret_interface);

/* The same as environment variables for an agent in the guest, NAME=value: MSB_NET, MSB_NET_IPV4, MSB_NET_IPV6,
 * MSB_HOST_ALIAS; NULL behind the last one. A family that is not in use has none. Valid until the engine is
 * freed. */
SLUICE_API const char *const *sluice_engine_environment(const struct sluice_engine *e);

/* The text of /etc/resolv.conf for the guest; of /etc/hosts, for a guest that is called hostname (may be NULL). Its
 * length, or -ENOSPC: more than cap bytes with a NUL. */
SLUICE_API SLUICE_CHECK int sluice_engine_resolv_conf(
    const struct sluice_engine *e, char *buf, size_t cap);
SLUICE_API SLUICE_CHECK int sluice_engine_hosts(
    const struct sluice_engine *e, const char *hostname, char *buf, size_t cap);

/* ---- ring ---- */

/*
 * Names are the guest's: tx comes from it, rx goes to it.
 *
 * A frame is a virtio-net header of 12 bytes (virtio 1.2, 5.1.6: little-endian, with num_buffers) and the
 * Ethernet frame behind it, without FCS. Either the bytes are copied in and out, or the VMM lends memory:
 *
 *	tx copied	sluice_ring_push()
 *	tx lent		sluice_ring_lend(), and sluice_ring_reclaim() when the engine has done with it
 *	rx copied	sluice_ring_stage(), and sluice_ring_consume() or sluice_ring_drop()
 *	rx lent		sluice_ring_post(), and sluice_ring_take() when the engine has filled it (SLUICE_POST_RX)
 *
 * Nothing is dropped: a full queue refuses, and tells when there is room. Whatever was refused (a full queue, an
 * empty queue, nothing to take back) makes sluice_ring_fd() readable when it has become possible, and
 * sluice_ring_events() says what. Nothing else does: so the VMM does all that it can, until each of push, stage, ...
 * that it is interested in has refused, calls sluice_ring_flush(), and only then waits.
 *
 * The functions trust the VMM, not the guest: lent memory may be written by the guest at any time.
 */

enum {
	SLUICE_HEADER_LEN = 12,                  /* before each frame */
	SLUICE_FRAME_MIN = 12 + 14,              /* with the header */
	SLUICE_FRAME_MAX = 12 + 14 + 40 + 65535, /* likewise */
	SLUICE_BUFFER_MIN = 12 + 60,             /* of a posted buffer */
	SLUICE_IOV_MAX = 64,                     /* pieces of a lent frame or a posted buffer */
	SLUICE_BUFFERS_MAX = 64,                 /* posted buffers that hold one frame */
};

/* What sluice_ring_events() tells. */
#define SLUICE_EVENT_RX   1U /* there are frames to stage, or buffers to take */
#define SLUICE_EVENT_ROOM 2U /* a push or lend that was refused may succeed */
#define SLUICE_EVENT_BACK 4U /* lent frames can be taken back */
#define SLUICE_EVENT_DOWN 8U /* sluice_ring_detach() is done */

/* The engine's ring; it lives as long as the engine. */
SLUICE_API struct sluice_ring *sluice_engine_ring(struct sluice_engine *e);

/* Readable when sluice_ring_events() has something to tell; for poll, or for epoll, level- or edge-triggered. */
SLUICE_API int sluice_ring_fd(const struct sluice_ring *r);

/* SLUICE_EVENT_... since the last call; makes the descriptor unreadable unless there is more. */
SLUICE_API uint32_t sluice_ring_events(struct sluice_ring *r);

/* Feature bits of virtio-net that the VMM's device may offer to its driver, besides those of the VMM's own:
 * checksum and segmentation offloads of both directions, merged buffers if they are posted, MTU, MAC. */
SLUICE_API uint64_t sluice_ring_features(const struct sluice_ring *r);

/* The guest's driver is ready and has accepted these feature bits of virtio-net; others are ignored. Frames from
 * the guest may use all offloads in any case. 0; -EISCONN: one is attached; -EBUSY: sluice_ring_detach() is not done. */
SLUICE_API SLUICE_CHECK int sluice_ring_attach(struct sluice_ring *r, uint64_t virtio_features);

/* The driver has been reset: asks the engine to let go of all memory that was lent. 0: it has done so,
 * everything can be taken back, and frames that waited are dropped. -EINPROGRESS: call again after SLUICE_EVENT_DOWN,
 * and let the engine run meanwhile. Connections of the guest are kept. */
SLUICE_API SLUICE_CHECK int sluice_ring_detach(struct sluice_ring *r);

/* Copies a frame in. 0; -EAGAIN: the queue is full, SLUICE_EVENT_ROOM follows; -EBUSY: it is full of frames that
 * sluice_ring_reclaim() would give back; -EMSGSIZE: not SLUICE_FRAME_MIN to SLUICE_FRAME_MAX bytes; -ENOTCONN: no
 * driver is attached. */
SLUICE_API SLUICE_CHECK int sluice_ring_push(
    struct sluice_ring *r, const struct iovec *iov, size_t iov_count);

/* The same without a copy: the memory is the engine's until sluice_ring_reclaim() returns the cookie. Also
 * -EINVAL: not 1 to SLUICE_IOV_MAX pieces. The array itself is borrowed for the call. */
SLUICE_API SLUICE_CHECK int sluice_ring_lend(
    struct sluice_ring *r, const struct iovec *iov, size_t iov_count, uint64_t cookie);

/* Cookies of lent frames that the engine has done with, in the order of lending; their number. 0: there are none,
 * and SLUICE_EVENT_BACK follows when there are. */
SLUICE_API uint32_t sluice_ring_reclaim(struct sluice_ring *r, uint64_t *cookies, uint32_t max);

/* A frame for the guest, with its header, in one piece. */
struct sluice_frame {
	const uint8_t *bytes;
	size_t len;
};

/* The next frame for the guest, the same one until it is consumed or dropped. 1; 0: there is none, and
 * SLUICE_EVENT_RX follows when there is; -ENOTSUP: buffers are posted. */
SLUICE_API SLUICE_CHECK int sluice_ring_stage(
    struct sluice_ring *r, struct sluice_frame *ret_frame);

/* The staged frame has been delivered, or cannot be. */
SLUICE_API void sluice_ring_consume(struct sluice_ring *r);
SLUICE_API void sluice_ring_drop(struct sluice_ring *r);

/* Lends a buffer for frames to the guest until sluice_ring_take() returns the cookie. 0; -EAGAIN: as many are
 * posted as fit, and sluice_ring_take() will make room; -EBUSY: it would make room now; -EINVAL: not 1 to
 * SLUICE_IOV_MAX pieces; -EMSGSIZE: less than SLUICE_BUFFER_MIN or more than 2^30 bytes; -ENOTCONN; -ENOTSUP: frames
 * are staged. */
SLUICE_API SLUICE_CHECK int sluice_ring_post(
    struct sluice_ring *r, const struct iovec *iov, size_t iov_count, uint64_t cookie);

/* A posted buffer that comes back. */
struct sluice_done {
	uint64_t cookie;
	uint32_t len;     /* bytes written, with the header; 0: not used */
	uint16_t buffers; /* of the frame that begins here; 0: it began before, or there is none */
	uint16_t unused;
};

/* Buffers that come back, in the order of posting; their number. Frames are not divided if max is at least
 * SLUICE_BUFFERS_MAX. 0: there are none, and SLUICE_EVENT_RX follows when there are. */
SLUICE_API uint32_t sluice_ring_take(struct sluice_ring *r, struct sluice_done *done, uint32_t max);

/* Makes what was done known to the engine, and wakes it if it sleeps: before the VMM waits, or after each batch.
 * Whatever refuses, or returns 0 because there is nothing, does the same. */
SLUICE_API void sluice_ring_flush(struct sluice_ring *r);

/* What has really passed; bytes without the virtio-net headers. */
struct sluice_ring_counters {
	size_t size;         /* sizeof(struct sluice_ring_counters), set by the caller */
	uint64_t tx_frames;  /* accepted */
	uint64_t tx_bytes;   /* of them */
	uint64_t tx_refused; /* times that a full queue was told */
	uint64_t rx_frames;  /* consumed, or taken in posted buffers */
	uint64_t rx_bytes;   /* of them */
	uint64_t rx_dropped; /* dropped by the VMM, or waiting when the driver was detached */
	uint64_t wakes;      /* of the engine, by the VMM */
};

/* 0, or -EINVAL for a size that never was. */
SLUICE_API SLUICE_CHECK int sluice_ring_counters(
    const struct sluice_ring *r, struct sluice_ring_counters *ret_counters);

#ifdef __cplusplus
}
#endif

#endif

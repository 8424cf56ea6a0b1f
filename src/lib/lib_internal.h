/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of libsluice.
 *
 *	config.c     a configuration and what it means
 *	publish.c    published ports
 *	engine.c     life of an engine, its turns or its thread
 *	interface.c  what the guest must be told
 *	ring.c       the ring's functions, which are those of port/ring.h
 */
#ifndef SLUICE_LIB_INTERNAL_H
#define SLUICE_LIB_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/engine.h"
#include "host/follow.h"
#include "host/host.h"
#include "port/ring.h"
#include "sluice/sluice.h"

enum {
	LIB_ENVIRONMENT_MAX = 5, /* variables, and NULL */
	LIB_ENVIRONMENT_TEXT_MAX = 512,
};

struct lib_published_port {
	struct publish_spec spec;
	int fd;           /* -1: not bound, or the engine's */
	bool is_document; /* it says so, no option */
};

struct lib_published {
	struct lib_published_port *ports; /* owned */
	size_t count;
	enum publish_source source;
	bool has_proxy_header;
};

struct sluice_engine {
	struct sluice_config config; /* options are gone */
	struct engine_config engine_config;
	struct policy_builder
	    *builder;          /* what the policy is made of, for other addresses of the host */
	struct policy *policy; /* owned; the engine borrows it */
	int addresses_fd;      /* tells of the host's addresses; -1: none */
	struct host_follow *follow;
	struct lib_published published;
	struct engine_counters counters;
	struct ring *ring;
	struct host *host;
	struct engine *engine;

	struct host_turn *turn; /* in the caller's thread; else NULL */
	bool has_thread;        /* of its own: */
	pthread_t thread;
	int stop_read; /* the loop's end of a pipe: see host_loop(); -1: none */
	int stop_write;
	int ended_fd;       /* eventfd: the thread has ended; -1: none */
	_Atomic int result; /* of the thread, or what went wrong; 0: nothing yet */

	const char *environment[LIB_ENVIRONMENT_MAX];
	char environment_text[LIB_ENVIRONMENT_TEXT_MAX];
};

/* Writes a sentence to error, which may be NULL. Returns code. */
__attribute__((format(printf, 3, 4))) int lib_refuse(
    struct sluice_error *error, int code, const char *format, ...);

/* Copies a structure of the caller, that begins with its size, of which own_size bytes are known and the first
 * min_size are needed. 0, -EINVAL, or -E2BIG: fields are set that are not known. */
__attribute__((warn_unused_result)) int lib_copy_in(
    void *own, size_t own_size, size_t min_size, const void *callers);

/* Copies a structure out to the caller's, which begins with its size. 0, or -EINVAL. */
__attribute__((warn_unused_result)) int lib_copy_out(
    void *callers, const void *own, size_t own_size, size_t min_size);

/* Fills engine_config, builder and policy in. 0 or -errno with error. */
__attribute__((warn_unused_result)) int lib_configure(
    struct sluice_engine *e, struct sluice_error *error);

/* Options publish, publish-source and publish-proxy. 0 or -errno with error. */
__attribute__((warn_unused_result)) int lib_publish_option(
    struct lib_published *p, const struct sluice_option *o, struct sluice_error *error);
__attribute__((warn_unused_result)) int lib_publish_source(
    struct lib_published *p, const struct sluice_option *o, struct sluice_error *error);
__attribute__((warn_unused_result)) int lib_publish_proxy(
    struct lib_published *p, const struct sluice_option *o, struct sluice_error *error);

/* Adds those of a document. 0 or -errno with error. */
__attribute__((warn_unused_result)) int lib_publish_document(struct lib_published *p,
    const struct publish_spec *specs, size_t count, struct sluice_error *error);

/* Binds all ports. 0 or -errno with error. */
__attribute__((warn_unused_result)) int lib_publish_open(
    struct sluice_engine *e, struct sluice_error *error);

/* Gives them to the engine. 0 or -errno. */
__attribute__((warn_unused_result)) int lib_publish_start(struct sluice_engine *e);

void lib_publish_fini(struct lib_published *p);

/* Fills environment in. */
void lib_describe(struct sluice_engine *e);

#endif

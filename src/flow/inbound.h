/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is different in a TCP flow that a client of the host has opened to the guest: until the guest has answered
 * nothing of the client is read, bytes of our own (a PROXY header) may come before the client's, and these may be
 * looked at (HTTP).
 */
#ifndef SLUICE_FLOW_INBOUND_H
#define SLUICE_FLOW_INBOUND_H

#include "flow/tcp_flow.h"

/* The guest has answered, or the flow ends: tells the table's owner once. Any flow. */
void inbound_dialed(struct tcp_table *t, struct tcp_flow *f);

/* A flow in its turn that the guest has not answered. */
enum tcp_served inbound_serve_dialing(
    struct tcp_table *t, struct flow_world *w, struct tcp_flow *f);

/* Sets the bytes that the guest gets before the client's; before the first turn of the flow. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int inbound_set_prologue(
    struct tcp_flow *f, const uint8_t *bytes, uint16_t len);

/* Of acked bytes that the guest has acknowledged, how many were the client's. Any flow. */
uint32_t inbound_acked(struct tcp_flow *f, uint32_t acked);

/* A flow in its turn that has not got the prologue through. */
enum tcp_served inbound_serve_prologue(struct flow_world *w, struct tcp_flow *f);

/* Lets only HTTP/1 requests pass that are meant for this machine (wire/http1_guard.h); before the first turn of the
 * flow. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int inbound_set_guard(struct tcp_flow *f);

/* Of *n bytes from snd_nxt on, how many may be sent, of a flow with a guard. False: a request does not pass, the flow is
 * gone. */
bool inbound_limit(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f, uint32_t *n);

/* n bytes have been sent for the first time. Any flow. */
void inbound_sent(struct tcp_flow *f, uint32_t n);

/* Frees what belongs to it. Any flow. */
void inbound_fini(struct tcp_flow *f);

#endif

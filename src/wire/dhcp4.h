/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DHCP for IPv4 (RFC 2131, RFC 2132): messages of clients are read, replies of a server are written.
 * Bytes start behind the UDP header.
 */
#ifndef SLUICE_WIRE_DHCP4_H
#define SLUICE_WIRE_DHCP4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/wr.h"

enum {
	DHCP4_SERVER_PORT = 67,
	DHCP4_CLIENT_PORT = 68,

	DHCP4_DISCOVER = 1,
	DHCP4_OFFER = 2,
	DHCP4_REQUEST = 3,
	DHCP4_DECLINE = 4,
	DHCP4_ACK = 5,
	DHCP4_NAK = 6,
	DHCP4_RELEASE = 7,
	DHCP4_INFORM = 8,

	DHCP4_CLIENT_ID_MAX = 255,
	DHCP4_REPLY_SIZE_MAX = 600, /* what dhcp4_build_reply() writes at most */
};

#define DHCP4_LEASE_INFINITE UINT32_MAX

/* A client's message. Addresses that the fixed header leaves out are 0.0.0.0. */
struct dhcp4_msg {
	uint8_t type; /* DHCP4_DISCOVER ... */
	uint32_t xid;
	bool wants_broadcast;  /* the client cannot take unicast yet */
	struct ip_addr client; /* ciaddr: an address that it uses already */
	struct ip_addr relay;  /* giaddr */
	struct mac_addr mac;   /* chaddr */
	bool has_requested;    /* option 50 */
	struct ip_addr requested;
	bool has_server; /* option 54 */
	struct ip_addr server;
	uint8_t client_id_len; /* option 61; 0: not given */
	uint8_t client_id[DHCP4_CLIENT_ID_MAX];
};

/* 0 or -EBADMSG: too short, no request of an Ethernet client, wrong magic cookie, no or an unknown
 * message type, an option that is cut off, not of its length, or with two different values. Options
 * may go on in the file and sname fields (option 52); a client identifier in several pieces is put
 * together (RFC 3396). */
__attribute__((warn_unused_result)) int dhcp4_parse(
    const uint8_t *bytes, size_t len, struct dhcp4_msg *ret_msg);

/* What a server says; the rest of a reply is an echo of the request. */
struct dhcp4_reply {
	uint8_t type;           /* DHCP4_OFFER, DHCP4_ACK or DHCP4_NAK */
	bool has_lease;         /* an address is given, for lease_s */
	struct ip_addr address; /* given address, if has_lease */
	uint32_t lease_s;       /* seconds, or DHCP4_LEASE_INFINITE */
	struct ip_addr server;  /* identifier: the server's own address */
	uint8_t prefix_len;     /* 0..32 */
	struct ip_addr router;
	struct ip_addr dns;
	uint16_t mtu_bytes;
};

/* Writes a reply to msg, padded to the least size of a BOOTP message. A NAK carries no more than the
 * server's and the client's identifier (RFC 2131 table 3). */
void dhcp4_build_reply(const struct dhcp4_msg *msg, const struct dhcp4_reply *reply, struct wr *w);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DHCP for IPv6 (RFC 8415): messages of clients are read, replies of a server are written. Bytes
 * start behind the UDP header.
 */
#ifndef SLUICE_WIRE_DHCP6_H
#define SLUICE_WIRE_DHCP6_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/wr.h"

enum {
	DHCP6_CLIENT_PORT = 546,
	DHCP6_SERVER_PORT = 547,

	DHCP6_SOLICIT = 1,
	DHCP6_ADVERTISE = 2,
	DHCP6_REQUEST = 3,
	DHCP6_CONFIRM = 4,
	DHCP6_RENEW = 5,
	DHCP6_REBIND = 6,
	DHCP6_REPLY = 7,
	DHCP6_RELEASE = 8,
	DHCP6_DECLINE = 9,
	DHCP6_INFORMATION_REQUEST = 11,

	DHCP6_OPT_IA_NA = 3, /* kinds of struct dhcp6_ia */
	DHCP6_OPT_IA_TA = 4,
	DHCP6_OPT_IA_PD = 25,

	DHCP6_STATUS_SUCCESS = 0,
	DHCP6_STATUS_NO_ADDRS = 2,
	DHCP6_STATUS_NO_BINDING = 3,
	DHCP6_STATUS_NOT_ON_LINK = 4,
	DHCP6_STATUS_NO_PREFIX = 6,

	DHCP6_DUID_MAX = 130,        /* RFC 8415 11.1: type and 128 bytes */
	DHCP6_SERVER_DUID_SIZE = 10, /* DUID-LL of an Ethernet address */
	DHCP6_IA_MAX = 4,            /* identity associations that are read of one message */
	DHCP6_REPLY_SIZE_MAX = 512,  /* what dhcp6_build_reply() writes at most */
};

#define DHCP6_LIFETIME_INFINITE UINT32_MAX

/* An identity association: one bundle of addresses or prefixes that the client keeps track of. */
struct dhcp6_ia {
	uint16_t kind; /* DHCP6_OPT_IA_NA, _IA_TA or _IA_PD */
	uint32_t iaid;
	bool has_addr;       /* the client names an address in it */
	struct ip_addr addr; /* the first one */
};

struct dhcp6_msg {
	uint8_t type;          /* DHCP6_SOLICIT ... */
	uint32_t xid;          /* 24 bits */
	uint8_t client_id_len; /* 0: not given */
	uint8_t server_id_len; /* 0: not given */
	bool wants_rapid_commit;
	uint8_t ia_count;
	uint8_t client_id[DHCP6_DUID_MAX];
	uint8_t server_id[DHCP6_DUID_MAX];
	struct dhcp6_ia ia[DHCP6_IA_MAX];
};

/* 0 or -EBADMSG: too short, no message of a client to a server, an option that is cut off or not of
 * its length, an identifier given twice, empty or too long. Identity associations beyond
 * DHCP6_IA_MAX are not read. */
__attribute__((warn_unused_result)) int dhcp6_parse(
    const uint8_t *bytes, size_t len, struct dhcp6_msg *ret_msg);

/* What is said about one identity association. */
struct dhcp6_ia_reply {
	uint16_t kind;
	uint32_t iaid;
	bool has_addr; /* addr is assigned for ever; else status says why not */
	struct ip_addr addr;
	uint16_t status;    /* if not has_addr; DHCP6_STATUS_SUCCESS: left out */
	bool has_withdrawn; /* withdrawn is not, or no more, to be used */
	struct ip_addr withdrawn;
};

struct dhcp6_reply {
	uint8_t type;               /* DHCP6_ADVERTISE or DHCP6_REPLY */
	struct mac_addr server_mac; /* of which the server's identifier is made */
	bool has_status;            /* of the whole message */
	uint16_t status;
	bool is_rapid_commit;
	bool has_dns;
	struct ip_addr dns;
	uint8_t ia_count;
	struct dhcp6_ia_reply ia[DHCP6_IA_MAX];
};

/* The server's identifier. */
void dhcp6_server_duid(const struct mac_addr *mac, uint8_t out[DHCP6_SERVER_DUID_SIZE]);

void dhcp6_build_reply(const struct dhcp6_msg *msg, const struct dhcp6_reply *reply, struct wr *w);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a frame of the guest was refused. Each reason has a counter and a name that is stable: it is
 * printed by --stats and written to events.
 */
#ifndef SLUICE_WIRE_DROP_H
#define SLUICE_WIRE_DROP_H

/* X(symbol, "name", "what it means") */
#define DROP_REASONS(X)                                                                            \
	X(NONE, "none", "not dropped")                                                             \
	X(RUNT, "runt", "shorter than its headers say")                                            \
	X(VNET, "vnet_header", "virtio-net header contradicts the frame")                          \
	X(SRC_MAC, "source_mac", "source MAC is not the guest's")                                  \
	X(DST_MAC, "destination_mac", "destination MAC is not the gateway's")                      \
	X(ETHERTYPE, "ethertype", "neither ARP, IPv4 nor IPv6")                                    \
	X(ARP, "arp", "malformed ARP, or not for the gateway")                                     \
	X(IP_HEADER, "ip_header", "malformed IP header")                                           \
	X(IP_CHECKSUM, "ip_checksum", "wrong IPv4 header checksum")                                \
	X(IP_OPTION, "ip_option", "source routing, or an extension header chain too long")         \
	X(SRC_ADDR, "source_address", "source address is not the guest's")                         \
	X(FAMILY_OFF, "family_off", "address family that is not in use")                           \
	X(MULTICAST, "multicast", "multicast or broadcast, which never leaves")                    \
	X(PROTOCOL, "protocol", "IP protocol other than TCP, UDP and ICMP")                        \
	X(L4_HEADER, "l4_header", "malformed TCP, UDP or ICMP header")                             \
	X(L4_CHECKSUM, "l4_checksum", "wrong TCP, UDP or ICMP checksum")                           \
	X(FRAGMENT, "fragment", "fragment that breaks a rule of reassembly")                       \
	X(FRAGMENT_OVERLAP, "fragment_overlap", "overlapping fragments")                           \
	X(FRAGMENT_LIMIT, "fragment_limit", "too many fragments or sets")                          \
	X(FRAGMENT_TIMEOUT, "fragment_timeout", "set not complete in time")                        \
	X(POLICY, "policy", "denied by a rule")                                                    \
	X(NAME_PROTOCOL, "name_protocol", "name resolution that would leave DNS")                  \
	X(ICMP_TYPE, "icmp_type", "ICMP that is no echo request")                                  \
	X(ICMP_UNAVAILABLE, "icmp_unavailable", "host forbids ping sockets")                       \
	X(NDP, "ndp", "malformed neighbour discovery, or not for the gateway")                     \
	X(DHCP, "dhcp", "malformed DHCP, or a message that needs no answer")                       \
	X(TCP_FLAGS, "tcp_flags", "impossible combination of TCP flags")                           \
	X(TCP_NO_FLOW, "tcp_no_flow", "segment of no connection")                                  \
	X(TCP_SEQUENCE, "tcp_sequence", "segment outside the window")                              \
	X(TCP_ACK, "tcp_ack", "acknowledgment of what was never sent")                             \
	X(TCP_CONFLICT, "tcp_conflict", "retransmission with other bytes")                         \
	X(TCP_OOO_LIMIT, "tcp_ooo_limit", "out-of-order data beyond the limit")                    \
	X(TCP_BACKLOG, "tcp_backlog", "too many connections being opened")                         \
	X(TCP_LIMIT, "tcp_limit", "all connections in use")                                        \
	X(UDP_LIMIT, "udp_limit", "no UDP flow could be made")                                     \
	X(HTTP_FOREIGN, "http_foreign", "request that a published HTTP port is not meant for")     \
	X(UDP_NO_PEER, "udp_no_peer", "answer of a published port to nobody")                      \
	X(UDP_SEND, "udp_send", "host refused the datagram")                                       \
	X(UDP_TOO_BIG, "udp_too_big", "datagram larger than the path's MTU")                       \
	X(DNS, "dns", "malformed DNS query")                                                       \
	X(DNS_LIMIT, "dns_limit", "too many queries outstanding")                                  \
	X(DNS_RESOLVER, "dns_resolver", "the host has no resolver for a query by TCP")             \
	X(NO_ROOM, "no_room", "no room towards the guest for an answer")                           \
	X(NO_MEMORY, "no_memory", "out of memory or descriptors")

enum drop_reason {
#define X(symbol, name, text) DROP_##symbol,
	DROP_REASONS(X)
#undef X
	DROP_REASON_COUNT
};

/* The stable name, and a phrase for people. */
const char *drop_reason_name(enum drop_reason reason);
const char *drop_reason_text(enum drop_reason reason);

#endif

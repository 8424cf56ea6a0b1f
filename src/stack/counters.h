/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters of one engine. One block of plain 64-bit numbers, so that it can lie in memory which a
 * supervising process maps too; written by the engine's thread only.
 */
#ifndef SLUICE_STACK_COUNTERS_H
#define SLUICE_STACK_COUNTERS_H

#include <stdint.h>

#include "stack/nic.h"
#include "wire/drop.h"

/* X(symbol, "what it counts") */
#define ENGINE_COUNTERS(X)                                                                         \
	X(tcp_flows, "TCP connections let through")                                                \
	X(tcp_established, "TCP connections that stood on both sides")                             \
	X(tcp_active, "TCP connections now")                                                       \
	X(tcp_tx_bytes, "TCP payload, guest to remote")                                            \
	X(tcp_rx_bytes, "TCP payload, remote to guest")                                            \
	X(tcp_retransmits, "TCP segments sent to the guest again")                                 \
	X(tcp_guest_retransmits, "TCP segments of the guest that had been received before")        \
	X(tcp_out_of_order, "TCP segments of the guest that came out of order")                    \
	X(tcp_zero_window_probes, "probes of a closed window of the guest")                        \
	X(tcp_challenge_acks, "challenge ACKs (RFC 5961)")                                         \
	X(tcp_spilled_bytes, "TCP payload that waited in sluice for the remote side")              \
	X(tcp_resets_sent, "RST segments sent to the guest")                                       \
	X(udp_flows, "UDP flows let through")                                                      \
	X(udp_active, "UDP flows now")                                                             \
	X(udp_tx_datagrams, "UDP datagrams, guest to remote")                                      \
	X(udp_rx_datagrams, "UDP datagrams, remote to guest")                                      \
	X(udp_tx_bytes, "UDP payload, guest to remote")                                            \
	X(udp_rx_bytes, "UDP payload, remote to guest")                                            \
	X(icmp_echo_tx, "echo requests relayed")                                                   \
	X(icmp_echo_rx, "echo replies relayed")                                                    \
	X(icmp_echo_gateway, "echo requests answered by the gateway")                              \
	X(icmp_errors, "ICMP errors sent to the guest")                                            \
	X(icmp_errors_limited, "ICMP errors not sent, to keep them rare")                          \
	X(arp_replies, "ARP replies")                                                              \
	X(ndp_replies, "neighbour advertisements")                                                 \
	X(ra_sent, "router advertisements")                                                        \
	X(dhcp4_replies, "DHCPv4 replies")                                                         \
	X(dhcp6_replies, "DHCPv6 replies")                                                         \
	X(fragments, "IP fragments received")                                                      \
	X(reassembled, "datagrams put together from fragments")                                    \
	X(dns_queries, "DNS queries that were asked outside")                                      \
	X(dns_cached, "DNS queries answered from the cache")                                       \
	X(dns_denied, "DNS queries denied by policy")                                              \
	X(dns_answers, "DNS answers returned")                                                     \
	X(dns_failures, "DNS queries that no resolver answered")                                   \
	X(denied_tcp, "TCP connections denied by policy")                                          \
	X(denied_udp, "UDP datagrams denied by policy")                                            \
	X(denied_icmp, "echo requests denied by policy")                                           \
	X(inbound_tcp, "TCP connections that came to published ports")                             \
	X(inbound_denied, "connections and datagrams to published ports denied by policy")         \
	X(inbound_refused, "connections and datagrams to published ports refused by a limit")      \
	X(flow_ends_limited, "ends of flows not told as events, to keep them rare")                \
	X(passes, "turns of the engine's loop")

struct engine_counters {
#define X(name, text) uint64_t name;
	ENGINE_COUNTERS(X)
#undef X
	uint64_t drops[DROP_REASON_COUNT]; /* refused frames by reason */
	struct nic_counters nic;           /* frames and bytes at the frame device */
};

#endif

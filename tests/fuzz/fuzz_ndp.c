/* SPDX-License-Identifier: Apache-2.0 */
/* Neighbour discovery: what is read can be written, and is read again as the same. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "wire/ndp.h"

static void require(bool claim)
{
	if (!claim)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t buf[64];
	struct wr w = wr_init(buf, sizeof(buf));
	struct ndp_msg a;
	struct ndp_msg b;

	if (ndp_parse(data, size, &a) != 0)
		return 0;
	require(a.type == data[0] && size >= 8);
	ndp_build(&a, &w);
	require(wr_ok(&w) && ndp_parse(buf, wr_len(&w), &b) == 0);
	require(a.type == b.type && a.is_router == b.is_router &&
		a.is_solicited == b.is_solicited && a.is_override == b.is_override);
	require(a.has_source_mac == b.has_source_mac && a.has_target_mac == b.has_target_mac);
	require(ip_addr_eq(&a.target, &b.target) && mac_addr_eq(&a.source_mac, &b.source_mac) &&
		mac_addr_eq(&a.target_mac, &b.target_mac));
	return 0;
}

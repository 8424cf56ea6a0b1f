/* SPDX-License-Identifier: Apache-2.0 */
/* DHCPv4: whatever is read can be answered, within the stated size. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "wire/dhcp4.h"

static void require(bool claim)
{
	if (!claim)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t types[] = {DHCP4_OFFER, DHCP4_ACK, DHCP4_NAK};
	struct dhcp4_msg m;

	if (dhcp4_parse(data, size, &m) != 0)
		return 0;
	require(size >= 240 && m.type >= DHCP4_DISCOVER && m.type <= DHCP4_INFORM);
	for (size_t i = 0; i < sizeof(types); i++) {
		const struct dhcp4_reply reply = {.type = types[i],
		    .has_lease = true,
		    .address = m.requested,
		    .lease_s = m.xid,
		    .server = m.server,
		    .prefix_len = (uint8_t)(data[0] % 33),
		    .router = m.server,
		    .dns = m.server};
		uint8_t *buf = malloc(DHCP4_REPLY_SIZE_MAX);
		struct wr w = wr_init(buf, DHCP4_REPLY_SIZE_MAX);

		require(buf != NULL);
		dhcp4_build_reply(&m, &reply, &w);
		require(wr_ok(&w) && wr_len(&w) >= 300);
		require(memcmp(buf + 4, data + 4, 4) == 0 && memcmp(buf + 28, data + 28, 6) == 0);
		free(buf);
	}
	return 0;
}

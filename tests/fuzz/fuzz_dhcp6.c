/* SPDX-License-Identifier: Apache-2.0 */
/* DHCPv6: whatever is read can be answered, within the stated size. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "wire/dhcp6.h"

static void require(bool claim)
{
	if (!claim)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dhcp6_reply reply = {
	    .type = DHCP6_REPLY, .has_status = true, .is_rapid_commit = true, .has_dns = true};
	struct dhcp6_msg m;
	uint8_t *buf;
	struct wr w;

	if (dhcp6_parse(data, size, &m) != 0)
		return 0;
	require(size >= 4 && m.type == data[0] && m.xid <= 0xffffff);
	require(m.ia_count <= DHCP6_IA_MAX && m.client_id_len <= DHCP6_DUID_MAX);
	reply.ia_count = m.ia_count;
	for (uint8_t i = 0; i < m.ia_count; i++)
		reply.ia[i] = (struct dhcp6_ia_reply){.kind = m.ia[i].kind,
		    .iaid = m.ia[i].iaid,
		    .has_addr = (i & 1) != 0,
		    .status = i,
		    .has_withdrawn = m.ia[i].has_addr,
		    .withdrawn = m.ia[i].addr};
	buf = malloc(DHCP6_REPLY_SIZE_MAX);
	require(buf != NULL);
	w = wr_init(buf, DHCP6_REPLY_SIZE_MAX);
	dhcp6_build_reply(&m, &reply, &w);
	require(wr_ok(&w));
	require(memcmp(buf + 1, data + 1, 3) == 0);
	free(buf);
	return 0;
}

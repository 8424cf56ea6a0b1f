/* SPDX-License-Identifier: Apache-2.0 */
/* ARP: what is read is written as the same bytes. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "wire/arp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t buf[ARP_SIZE];
	struct wr w = wr_init(buf, sizeof(buf));
	struct arp a;

	if (arp_parse(data, size, &a) != 0)
		return 0;
	arp_build(&a, &w);
	if (!wr_ok(&w) || wr_len(&w) != ARP_SIZE || memcmp(buf, data, ARP_SIZE) != 0)
		abort();
	return 0;
}

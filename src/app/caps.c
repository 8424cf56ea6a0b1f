/* SPDX-License-Identifier: Apache-2.0 */
/* Capability sets; see caps.h. Refuses nothing, keeps nothing that is not asked for. */
#include "app/caps.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	MASK_BITS = 64,
};

/* The two halves of the sets, as capget(2) and capset(2) have them. */
struct cap_data {
	struct __user_cap_data_struct half[2];
};

static struct __user_cap_header_struct header_of_self(void)
{
	return (struct __user_cap_header_struct){.version = _LINUX_CAPABILITY_VERSION_3};
}

bool caps_have(uint64_t mask)
{
	struct __user_cap_header_struct header = header_of_self();
	struct cap_data data;

	if (syscall(SYS_capget, &header, &data) < 0)
		return false;
	return ((data.half[0].effective | (uint64_t)data.half[1].effective << 32) & mask) == mask;
}

int caps_limit(uint64_t bounding, uint64_t held)
{
	struct __user_cap_header_struct header = header_of_self();
	struct cap_data data = {0};

	/* The kernel tells where its capabilities end: they may be more than our headers know. */
	for (unsigned int cap = 0; cap < MASK_BITS; cap++) {
		int is_set = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

		if (is_set < 0)
			break;
		if (is_set > 0 && (bounding & CAPS_BIT(cap)) == 0 &&
		    prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -1;
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -1;
	data.half[0].effective = data.half[0].permitted = (uint32_t)held;
	data.half[1].effective = data.half[1].permitted = (uint32_t)(held >> 32);
	return syscall(SYS_capset, &header, &data) < 0 ? -1 : 0;
}

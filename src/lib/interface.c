/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest must be told: addresses as values, and as the strings of the reference.
 * Tests: unit/test_lib.c, rows 1.2.1 to 1.2.10 of reference.md.
 */
#include <errno.h>
#include <string.h>

#include "app/guest_files.h"
#include "base/text.h"
#include "lib/lib_internal.h"

static void copy_v4(uint8_t out[4], const struct ip_addr *a)
{
	memcpy(out, a->b + sizeof(a->b) - 4, 4);
}

int sluice_engine_interface(const struct sluice_engine *e, struct sluice_interface *ret_interface)
{
	const struct netif_config *c = &e->engine_config.netif;
	struct sluice_interface i = {
	    .mtu = c->mtu,
	    .has_v4 = c->has_v4,
	    .has_v6 = c->has_v6,
	};

	memcpy(i.guest_mac, c->guest_mac.b, sizeof(i.guest_mac));
	memcpy(i.gateway_mac, c->gateway_mac.b, sizeof(i.gateway_mac));
	if (c->has_v4) {
		i.prefix_len_v4 = c->prefix_len_v4;
		copy_v4(i.guest_v4, &c->guest_v4);
		copy_v4(i.gateway_v4, &c->gateway_v4);
	}
	if (c->has_v6) {
		i.prefix_len_v6 = c->prefix_len_v6;
		memcpy(i.guest_v6, c->guest_v6.b, sizeof(i.guest_v6));
		memcpy(i.gateway_v6, c->gateway_v6.b, sizeof(i.gateway_v6));
	}
	return lib_copy_out(ret_interface, &i, sizeof(i), sizeof(i));
}

/* Appends a variable; its text lies behind those before it. */
static const char *add_family(struct text *t, const char *name, const struct ip_addr *guest,
    const struct ip_addr *gateway, unsigned int prefix_len)
{
	const char *at = t->buf + t->len;
	char address[IP_ADDR_TEXT_MAX];

	text_printf(t, "%s=addr=%s/%u", name, ip_addr_format(guest, address), prefix_len);
	text_printf(t, ",gw=%s", ip_addr_format(gateway, address));
	text_printf(t, ",dns=%s", address);
	text_char(t, '\0');
	return at;
}

void lib_describe(struct sluice_engine *e)
{
	const struct netif_config *c = &e->engine_config.netif;
	struct text t = text_init(e->environment_text, sizeof(e->environment_text));
	char mac[MAC_TEXT_MAX];
	uint32_t count = 0;

	e->environment[count++] = t.buf;
	text_printf(
	    &t, "MSB_NET=iface=eth0,mac=%s,mtu=%u", mac_addr_format(&c->guest_mac, mac), c->mtu);
	text_char(&t, '\0');
	if (c->has_v4)
		e->environment[count++] =
		    add_family(&t, "MSB_NET_IPV4", &c->guest_v4, &c->gateway_v4, c->prefix_len_v4);
	if (c->has_v6)
		e->environment[count++] =
		    add_family(&t, "MSB_NET_IPV6", &c->guest_v6, &c->gateway_v6, c->prefix_len_v6);
	e->environment[count++] = t.buf + t.len;
	text_str(&t, "MSB_HOST_ALIAS=" GUEST_FILES_HOST_ALIAS);
	e->environment[count] = NULL;
}

const char *const *sluice_engine_environment(const struct sluice_engine *e)
{
	return e->environment;
}

/* The length of a text that is whole. */
static int length(const struct text *t)
{
	return t->is_cut ? -ENOSPC : (int)t->len;
}

int sluice_engine_resolv_conf(const struct sluice_engine *e, char *buf, size_t cap)
{
	struct text t;

	if (cap == 0)
		return -ENOSPC;
	t = text_init(buf, cap);
	guest_files_resolv_conf(&t, &e->engine_config.netif);
	return length(&t);
}

int sluice_engine_hosts(const struct sluice_engine *e, const char *hostname, char *buf, size_t cap)
{
	struct text t;

	if (cap == 0)
		return -ENOSPC;
	t = text_init(buf, cap);
	guest_files_hosts(&t, &e->engine_config.netif, hostname ? hostname : "");
	return length(&t);
}

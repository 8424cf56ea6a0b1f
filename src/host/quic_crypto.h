/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The primitives of wire/quic_initial.h, by libcrypto.
 */
#ifndef SLUICE_HOST_QUIC_CRYPTO_H
#define SLUICE_HOST_QUIC_CRYPTO_H

#include "wire/quic_initial.h"

/* Fetches all that will be needed, so that later calls make no system call but for memory: before a process confines
 * itself. It has a library context of its own, and reads no configuration file. 0 or -ENOMEM. What it fills belongs
 * to one thread at a time. */
__attribute__((warn_unused_result)) int host_quic_crypto_init(struct quic_crypto *ret_crypto);

/* One that was never initialised, but zeroed, is allowed. */
void host_quic_crypto_fini(struct quic_crypto *c);

#endif

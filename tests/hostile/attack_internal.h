/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the hostile front end; see attack.h. */
#ifndef SLUICE_TESTS_ATTACK_INTERNAL_H
#define SLUICE_TESTS_ATTACK_INTERNAL_H

#include "attack.h"

/* ---- attack_rings.c ---- */

/* A number at which something changes, or any. */
uint64_t attack_edge(struct dice *d);

/* Makes frames and buffers available, as a driver does it. */
void attack_traffic(struct machine *m, struct dice *d);

/* ---- attack_script.c ---- */

/* The messages of an attack: those of a front end in its right mind, or not. */
void attack_write_script(struct attack *a);

/* Sends them all, unless the connection ends before. */
void attack_send_script(struct attack *a);

/* Sends any message. */
void attack_send_any(struct attack *a);

#endif

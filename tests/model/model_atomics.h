/* SPDX-License-Identifier: Apache-2.0 */
/* Included before all else in sources that are explored (model.h): what threads share goes to the model. */
#ifndef SLUICE_TESTS_MODEL_ATOMICS_H
#define SLUICE_TESTS_MODEL_ATOMICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

uint32_t model_load(const _Atomic uint32_t *at, memory_order order, const char *function);
void model_store(_Atomic uint32_t *at, uint32_t value, memory_order order, const char *function);
uint32_t model_or(_Atomic uint32_t *at, uint32_t bits, memory_order order, const char *function);
uint32_t model_and(_Atomic uint32_t *at, uint32_t bits, memory_order order, const char *function);
bool model_exchange(_Atomic uint32_t *at, uint32_t *expected, uint32_t value, memory_order order,
    const char *function);
ssize_t model_read(int fd, void *count, size_t len);
ssize_t model_write(int fd, const void *count, size_t len);

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_fetch_or_explicit
#undef atomic_fetch_and_explicit
#undef atomic_compare_exchange_weak_explicit
#define atomic_load_explicit(at, order)            model_load(at, order, __func__)
#define atomic_store_explicit(at, value, order)    model_store(at, value, order, __func__)
#define atomic_fetch_or_explicit(at, bits, order)  model_or(at, bits, order, __func__)
#define atomic_fetch_and_explicit(at, bits, order) model_and(at, bits, order, __func__)
#define atomic_compare_exchange_weak_explicit(at, expected, value, order, failure)                 \
	model_exchange(at, expected, value, order, __func__)
#define read(fd, count, len)  model_read(fd, count, len)
#define write(fd, count, len) model_write(fd, count, len)

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What every fuzz target defines, by libFuzzer's name. It returns 0, or ends the process. */
#ifndef SLUICE_TESTS_FUZZ_H
#define SLUICE_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif

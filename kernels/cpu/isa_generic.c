/* The templates for any CPU of the build's baseline. CMake gives this file its own -m flags.
 * SPDX-License-Identifier: MIT */
#define VL 4
#define MR 4
#define NRV 2
#include "kernels/cpu/isa_table_template.h"

CTS_ISA_TABLE(cts_isa_generic, "generic");

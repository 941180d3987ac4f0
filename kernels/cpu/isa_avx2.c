/* The templates for AVX2, FMA and F16C. CMake gives this file its own -m flags. SPDX-License-Identifier: MIT */
#define VL 8
#define MR 6
#define NRV 2
#include "kernels/cpu/isa_table_template.h"

CTS_ISA_TABLE(cts_isa_avx2, "avx2");

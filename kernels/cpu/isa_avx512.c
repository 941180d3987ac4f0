/* The templates for AVX-512 F, BW, DQ and VL. CMake gives this file its own -m flags. SPDX-License-Identifier: MIT */
#define VL 16
#define MR 14
#define NRV 2
#include "kernels/cpu/isa_table_template.h"

CTS_ISA_TABLE(cts_isa_avx512, "avx512");

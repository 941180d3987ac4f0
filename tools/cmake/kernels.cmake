# The compute runtime: plain files, files an instruction set each, the CUDA back end or its stand-in.
# SPDX-License-Identifier: MIT
file(GLOB sources CONFIGURE_DEPENDS kernels/*.c kernels/ops/*.c kernels/cpu/*.c)

# OpenBLAS: the OpenMP variant (FAISS uses OpenMP too, and two kinds of threads fight), static, because only then can
# kernels/cpu/openblas_core.c choose its kernels before it chooses them itself.
find_file(CTS_OPENBLAS NAMES libopenblas.a PATHS "/usr/lib/${CMAKE_C_LIBRARY_ARCHITECTURE}/openblas-openmp"
    NO_DEFAULT_PATH)
if(NOT CTS_OPENBLAS)
    message(FATAL_ERROR "libopenblas.a (OpenMP variant) is missing: run tools/setup.sh, install the package "
        "libopenblas-openmp-dev, or set -DCTS_OPENBLAS=<path of libopenblas.a or .so>")
endif()
find_path(CTS_OPENBLAS_INCLUDE NAMES cblas.h PATHS
    "/usr/include/${CMAKE_C_LIBRARY_ARCHITECTURE}/openblas-openmp" NO_DEFAULT_PATH)
cts_library(CTS_GFORTRAN gfortran libgfortran-12-dev ${CTS_CORE_ONLY})
find_package(OpenMP REQUIRED COMPONENTS C CXX)

# One file an instruction set; nothing else gets these flags, so that no other object can contain such code.
# The arithmetic flags let the vectoriser form selects and fused multiply-adds; NaN and infinity keep their meaning.
set(isa_generic -fno-math-errno -fno-trapping-math -ffp-contract=fast)
set(isa_avx2 ${isa_generic} -mavx2 -mfma -mf16c)
set(isa_avx512 ${isa_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512)
set(isa_avx512bf16 ${isa_avx512} -mavx512bf16)
set(isa_amx ${isa_avx512bf16} -mamx-tile -mamx-bf16)
foreach(isa generic avx2 avx512 avx512bf16 amx)
    file(GLOB files CONFIGURE_DEPENDS kernels/cpu/isa_${isa}.c kernels/cpu/isa_${isa}_*.c)
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
        foreach(f ${files})
            set_source_files_properties("${f}" PROPERTIES COMPILE_OPTIONS "${isa_${isa}}")
        endforeach()
    endif()
endforeach()

set(CTS_HAVE_CUDA OFF)
file(GLOB cuda_sources CONFIGURE_DEPENDS kernels/cuda/*.cu)
if(CTS_CUDA AND cuda_sources)
    include(CheckLanguage)
    check_language(CUDA)
    if(CMAKE_CUDA_COMPILER)
        if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
            set(CMAKE_CUDA_ARCHITECTURES 80-real 90) # newer GPUs compile the code for 90 themselves
        endif()
        enable_language(CUDA)
        find_package(CUDAToolkit REQUIRED)
        set(CTS_HAVE_CUDA ON)
        list(APPEND sources ${cuda_sources})
    endif()
endif()
if(NOT CTS_HAVE_CUDA)
    file(GLOB cuda_stub CONFIGURE_DEPENDS kernels/cuda/cuda_stub.c)
    list(APPEND sources ${cuda_stub})
endif()
message(STATUS "CUDA back end: ${CTS_HAVE_CUDA}")

cts_floor(cts_kernels SOURCES ${sources} LINK cts_formats ${CTS_OPENBLAS} ${CTS_GFORTRAN} OpenMP::OpenMP_C m)
if(CTS_HAVE_CUDA)
    target_link_libraries(cts_kernels PUBLIC CUDA::cudart_static)
endif()
if(CTS_OPENBLAS_INCLUDE)
    set_property(TARGET cts_kernels APPEND PROPERTY INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${CTS_OPENBLAS_INCLUDE}")
endif()
# The constructor that picks OpenBLAS's kernels is referenced by nobody, and a static library drops such an object.
target_link_options(cts_kernels PUBLIC LINKER:--undefined=cts_openblas_core)

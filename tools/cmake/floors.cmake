# cts_floor and cts_library: what the floors of CMakeLists.txt are made with.
# SPDX-License-Identifier: MIT

# cts_floor(name SOURCES ... LINK ...): the static library of a floor. A floor without sources is an interface library
# that passes on what it links, and names in LINK that are no target of this configuration are left out.
function(cts_floor name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINK")
    if(arg_SOURCES)
        add_library(${name} STATIC ${arg_SOURCES})
        set(scope PUBLIC)
    else()
        add_library(${name} INTERFACE)
        set(scope INTERFACE)
    endif()
    foreach(item ${arg_LINK})
        if(NOT item MATCHES "^cts_" OR TARGET ${item})
            target_link_libraries(${name} ${scope} ${item})
        endif()
    endforeach()
endfunction()

# cts_library(VARIABLE name package [optional]): the path of a library as a cache variable; a missing one says which
# package holds it.
function(cts_library variable name package)
    find_library(${variable} NAMES ${name} PATHS ${CMAKE_C_IMPLICIT_LINK_DIRECTORIES})
    mark_as_advanced(${variable})
    if(NOT ${variable} AND NOT ARGV3)
        message(FATAL_ERROR "lib${name} is missing: run tools/setup.sh, or install the package ${package}")
    endif()
    if(NOT ${variable})
        set(${variable} "" PARENT_SCOPE)
    endif()
endfunction()

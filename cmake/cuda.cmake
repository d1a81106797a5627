# The CUDA device, libbpcuda-cuda.so: finding a toolkit, compiling kernels/, linking.
#
# BPCUDA_CUDA says whether it is built: AUTO where a toolkit is found, ON or stop, OFF. The toolkit
# may be NVIDIA's, Debian's or the one of pip (nvidia-cuda-nvcc and its kin); nvcc need not be on the
# PATH. Kernels are compiled by nvcc itself and linked by the C compiler, so that a toolkit without
# the usual folders will do; nothing is asked of the driver.
set(BPCUDA_CUDA AUTO CACHE STRING "Build the CUDA device: AUTO, ON or OFF")
set_property(CACHE BPCUDA_CUDA PROPERTY STRINGS AUTO ON OFF)
set(BPCUDA_CUDA_ARCHITECTURES "" CACHE STRING
    "GPUs to build for, as 75;80;90 or native; empty: all that the toolkit knows of 75 80 90 100 120")
if(NOT BPCUDA_CUDA)
    return()
endif()

# Why there is no CUDA device: a reason to stop, or one to go on without.
macro(bpcuda_no_cuda why)
    if(BPCUDA_CUDA STREQUAL "AUTO")
        message(STATUS "No CUDA device: ${why}")
    else()
        message(FATAL_ERROR "BPCUDA_CUDA=${BPCUDA_CUDA}: ${why}")
    endif()
    return()
endmacro()

# --- the toolkit ---------------------------------------------------------------------------
file(GLOB versioned /usr/local/cuda-* /opt/cuda*)
list(SORT versioned COMPARE NATURAL ORDER DESCENDING)
# pip's packages, PyTorch's among them: CUDA 13 in one folder, CUDA 12 in a folder a package, without
# nvcc.
find_program(BPCUDA_PYTHON NAMES python3)
mark_as_advanced(BPCUDA_PYTHON)
set(pip_cuda)
set(pip_packages)
if(BPCUDA_PYTHON)
    execute_process(COMMAND ${BPCUDA_PYTHON} -c "import nvidia; print(*nvidia.__path__, sep=';', end='')"
        OUTPUT_VARIABLE pip_folders ERROR_QUIET)
    foreach(folder ${pip_folders})
        file(GLOB folders ${folder}/cu[0-9]*)
        list(APPEND pip_cuda ${folders})
        list(APPEND pip_packages ${folder}/cuda_runtime ${folder}/cublas)
    endforeach()
    list(SORT pip_cuda COMPARE NATURAL ORDER DESCENDING)
endif()
find_program(BPCUDA_NVCC nvcc HINTS $ENV{CUDACXX} $ENV{CUDA_HOME} $ENV{CUDA_PATH} $ENV{CUDA_ROOT}
    PATHS /usr/local/cuda ${versioned} ${pip_cuda} PATH_SUFFIXES bin DOC "The CUDA compiler")
if(NOT BPCUDA_NVCC)
    bpcuda_no_cuda("nvcc is neither on the PATH, nor in CUDA_HOME, /usr/local/cuda, /opt/cuda or \
the python packages; set BPCUDA_NVCC to its path")
endif()
execute_process(COMMAND ${BPCUDA_NVCC} --version OUTPUT_VARIABLE nvcc_text ERROR_VARIABLE nvcc_text
    RESULT_VARIABLE nvcc_failed)
if(nvcc_failed OR NOT nvcc_text MATCHES "release (([0-9]+)\\.[0-9]+)")
    bpcuda_no_cuda("${BPCUDA_NVCC} does not run: ${nvcc_text}")
endif()
set(BPCUDA_CUDA_VERSION ${CMAKE_MATCH_1})
set(cuda_major ${CMAKE_MATCH_2})
if(BPCUDA_CUDA_VERSION VERSION_LESS 11.8)
    bpcuda_no_cuda("${BPCUDA_NVCC} is CUDA ${BPCUDA_CUDA_VERSION}; 11.8 is wanted")
endif()

# It may be there and have no host compiler that it likes.
file(WRITE ${PROJECT_BINARY_DIR}/kernels/probe.cu "__global__ void probe() {}\n")
execute_process(COMMAND ${BPCUDA_NVCC} -c probe.cu -o probe.o
    WORKING_DIRECTORY ${PROJECT_BINARY_DIR}/kernels RESULT_VARIABLE nvcc_failed
    OUTPUT_VARIABLE nvcc_text ERROR_VARIABLE nvcc_text)
if(nvcc_failed)
    string(STRIP "${nvcc_text}" nvcc_text)
    bpcuda_no_cuda("${BPCUDA_NVCC} does not compile: ${nvcc_text}")
endif()

# --- its libraries -------------------------------------------------------------------------
# Header and library come from one folder and are of nvcc's major version: the toolkit's own, else
# pip's, else the system's.
file(REAL_PATH ${BPCUDA_NVCC} nvcc_real)
get_filename_component(cuda_root ${nvcc_real} DIRECTORY)
get_filename_component(cuda_root ${cuda_root} DIRECTORY)
set(cuda_roots ${cuda_root} ${cuda_root}/targets/x86_64-linux ${cuda_root}/targets/sbsa-linux
    ${pip_cuda} ${pip_packages} ${CMAKE_PREFIX_PATH} /usr/local /usr)
set(refused) # folders that were not taken, with the reason

# The major version that the line `key` of a header says, 0 if it says none.
function(bpcuda_major header key out)
    set(number 0)
    if(EXISTS ${header})
        file(STRINGS ${header} line REGEX "define ${key} +[0-9]+$")
        string(REGEX MATCH "[0-9]*$" number "0${line}")
    endif()
    if(number GREATER 1000)
        math(EXPR number "${number} / 1000") # 13000 is 13.0
    endif()
    set(${out} ${number} PARENT_SCOPE)
endfunction()

# Sets BPCUDA_<name>_INCLUDE and BPCUDA_<library>, where they are not set, from the first folder that
# has include/`header`, of the version that fits, and one of the files ARGN.
function(bpcuda_cuda_part name library header version_header key)
    foreach(root ${cuda_roots})
        if(BPCUDA_${name}_INCLUDE AND BPCUDA_${library})
            break()
        elseif(NOT EXISTS ${root}/include/${header})
            continue()
        endif()
        bpcuda_major(${root}/include/${version_header} ${key} major)
        unset(file)
        find_library(file NAMES ${ARGN} NAMES_PER_DIR NO_DEFAULT_PATH PATHS ${root}
            PATH_SUFFIXES lib64 lib lib/${CMAKE_LIBRARY_ARCHITECTURE} NO_CACHE)
        if(NOT major EQUAL cuda_major)
            list(APPEND refused "${root} has ${header} of ${major}")
        elseif(NOT file)
            list(APPEND refused "${root} has ${header} without a library of ${cuda_major}")
        else()
            set(BPCUDA_${name}_INCLUDE ${root}/include CACHE PATH "The folder of ${header}")
            set(BPCUDA_${library} ${file} CACHE FILEPATH "The library of ${header}")
        endif()
    endforeach()
    mark_as_advanced(BPCUDA_${name}_INCLUDE BPCUDA_${library})
    bpcuda_major(${BPCUDA_${name}_INCLUDE}/${version_header} ${key} major)
    if(BPCUDA_${name}_INCLUDE AND NOT major EQUAL cuda_major)
        list(APPEND refused "${BPCUDA_${name}_INCLUDE} has ${header} of ${major}")
        set(BPCUDA_${name}_INCLUDE OFF PARENT_SCOPE)
    endif()
    set(refused ${refused} PARENT_SCOPE)
endfunction()
bpcuda_cuda_part(CUDA CUDART cuda_runtime_api.h cuda_runtime_api.h CUDART_VERSION
    libcudart_static.a libcudart.so.${cuda_major} libcudart.so.${cuda_major}.0)
bpcuda_cuda_part(CUBLAS CUBLASLT cublasLt.h cublas_api.h CUBLAS_VER_MAJOR
    libcublasLt.so.${cuda_major})
foreach(part CUDA_INCLUDE CUDART CUBLAS_INCLUDE CUBLASLT)
    if(NOT BPCUDA_${part})
        list(JOIN refused "; " refused)
        bpcuda_no_cuda("the toolkit of ${BPCUDA_NVCC}, CUDA ${BPCUDA_CUDA_VERSION}, is not whole: \
set BPCUDA_${part} (cuda_runtime_api.h, cublasLt.h, libcudart, libcublasLt; pip has the last as \
nvidia-cublas). ${refused}")
    endif()
endforeach()

# What nvcc's launch stubs want of the C++ runtime: the locks of static variables. The archive, so
# that the device loads without one; elsewhere the shared one.
set(cxx_runtime)
foreach(name libstdc++.a libstdc++.so libstdc++.so.6)
    execute_process(COMMAND ${CMAKE_C_COMPILER} -print-file-name=${name}
        OUTPUT_VARIABLE path OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(NOT cxx_runtime AND IS_ABSOLUTE "${path}")
        set(cxx_runtime ${path})
    endif()
endforeach()
if(NOT cxx_runtime)
    bpcuda_no_cuda("${CMAKE_C_COMPILER} finds no libstdc++")
endif()

# --- what to build for ---------------------------------------------------------------------
set(architectures ${BPCUDA_CUDA_ARCHITECTURES})
if(NOT architectures)
    set(architectures 75 80 90)
    if(BPCUDA_CUDA_VERSION VERSION_GREATER_EQUAL 12.8)
        list(APPEND architectures 100 120)
    endif()
endif()
if(architectures STREQUAL "native")
    set(targets -arch=native)
else()
    set(targets)
    foreach(number ${architectures})
        list(APPEND targets -gencode arch=compute_${number},code=sm_${number})
    endforeach()
    foreach(end 0 -1) # PTX of the oldest and the newest, for GPUs between and later
        list(GET architectures ${end} number)
        list(APPEND targets -gencode arch=compute_${number},code=compute_${number})
    endforeach()
endif()
list(APPEND targets -Xfatbin=-compress-all)
if(cuda_major GREATER_EQUAL 13) # CUDA 12 runs on drivers that cannot unpack the other modes
    list(APPEND targets --compress-mode=balance)
endif()
if(BPCUDA_TESTS) # lines for compute-sanitizer; a third of the library's size
    list(APPEND targets -lineinfo)
endif()
message(STATUS "CUDA device: ${BPCUDA_NVCC}, CUDA ${BPCUDA_CUDA_VERSION}, ${BPCUDA_CUBLASLT}, \
for ${architectures}")

# --- the library ---------------------------------------------------------------------------
file(GLOB cuda_kernels CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/*.cu)
file(GLOB cuda_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/cuda/*.c)
set(cuda_objects)
foreach(source ${cuda_kernels})
    get_filename_component(name ${source} NAME_WE)
    set(object ${PROJECT_BINARY_DIR}/kernels/${name}.o)
    add_custom_command(OUTPUT ${object}
        COMMAND ${PROJECT_SOURCE_DIR}/cmake/nvcc.sh ${object}.log
            ${BPCUDA_NVCC} -std=c++17 -O3 ${targets} -Xptxas=-v
            -Wno-deprecated-gpu-targets
            -Xcompiler=-fPIC,-fvisibility=hidden,-fno-exceptions,-Wall,-Wextra,-Wno-missing-field-initializers,-ffile-prefix-map=${PROJECT_SOURCE_DIR}/=
            -I${PROJECT_SOURCE_DIR}/kernels -I${PROJECT_SOURCE_DIR}/src -I${PROJECT_SOURCE_DIR}/include
            -MD -MF ${object}.d -c ${source} -o ${object}
        DEPENDS ${source} DEPFILE ${object}.d COMMENT "nvcc kernels/${name}.cu" VERBATIM)
    list(APPEND cuda_objects ${object})
    list(APPEND BPCUDA_CUDA_LOGS ${object}.log)
endforeach()
file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/kernels)

set(cuda_libraries ${BPCUDA_CUDART} ${BPCUDA_CUBLASLT} ${cxx_runtime} Threads::Threads
    ${CMAKE_DL_LIBS} rt)

add_library(bpcuda_cuda MODULE ${cuda_sources} ${cuda_objects})
target_link_libraries(bpcuda_cuda PRIVATE bpcuda_flags ${cuda_libraries})
target_include_directories(bpcuda_cuda PRIVATE include src)
target_include_directories(bpcuda_cuda SYSTEM PRIVATE ${BPCUDA_CUDA_INCLUDE}
    ${BPCUDA_CUBLAS_INCLUDE})
target_compile_definitions(bpcuda_cuda PRIVATE BPI_DOOR="${BPI_DOOR}")
target_link_options(bpcuda_cuda PRIVATE ${no_undefined} -Wl,--exclude-libs,ALL)
set_target_properties(bpcuda_cuda PROPERTIES OUTPUT_NAME bpcuda-cuda
    LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR} INSTALL_RPATH_USE_LINK_PATH ON)
# Programs that call the products themselves, linked with the device's own sources: their values
# against loops on the host, and their times.
add_custom_target(bpcuda_cuda_objects DEPENDS ${cuda_objects})
add_dependencies(bpcuda_cuda bpcuda_cuda_objects)
function(bpcuda_cuda_program name dir source)
    add_executable(${name} ${source} ${cuda_sources} ${cuda_objects})
    add_dependencies(${name} bpcuda_cuda_objects)
    target_link_libraries(${name} PRIVATE ${ARGN} bpcuda_flags ${cuda_libraries})
    target_include_directories(${name} PRIVATE src)
    target_include_directories(${name} SYSTEM PRIVATE ${BPCUDA_CUDA_INCLUDE}
        ${BPCUDA_CUBLAS_INCLUDE})
    target_compile_definitions(${name} PRIVATE BPI_DOOR="${BPI_DOOR}")
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/${dir})
endfunction()
if(BPCUDA_TESTS)
    bpcuda_cuda_program(test_epilogues tests tests/device/test_epilogues.c bpcuda_test_support)
    bpcuda_cuda_program(test_cudnn_plans tests tests/device/test_cudnn_plans.c bpcuda_test_support)
endif()
if(BPCUDA_BENCH)
    bpcuda_cuda_program(bench_products bench bench/bench_products.c bpcuda_static)
    target_include_directories(bench_products PRIVATE tools/bench)
endif()
install(TARGETS bpcuda_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})

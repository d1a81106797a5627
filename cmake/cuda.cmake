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
set(pip_roots)
find_program(BPCUDA_PYTHON NAMES python3)
mark_as_advanced(BPCUDA_PYTHON)
if(BPCUDA_PYTHON)
    execute_process(COMMAND ${BPCUDA_PYTHON} -c "import sysconfig; print(sysconfig.get_path('purelib'))"
        OUTPUT_VARIABLE site OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    file(GLOB pip_roots ${site}/nvidia/cu[0-9]* ${site}/nvidia/cuda_nvcc)
    list(SORT pip_roots COMPARE NATURAL ORDER DESCENDING)
endif()
find_program(BPCUDA_NVCC nvcc HINTS $ENV{CUDACXX} $ENV{CUDA_HOME} $ENV{CUDA_PATH} $ENV{CUDA_ROOT}
    PATHS /usr/local/cuda ${versioned} ${pip_roots} PATH_SUFFIXES bin DOC "The CUDA compiler")
if(NOT BPCUDA_NVCC)
    bpcuda_no_cuda("nvcc is neither on the PATH, nor in CUDA_HOME, /usr/local/cuda, /opt/cuda or \
the python packages; set BPCUDA_NVCC to its path")
endif()
execute_process(COMMAND ${BPCUDA_NVCC} --version OUTPUT_VARIABLE nvcc_text ERROR_VARIABLE nvcc_text
    RESULT_VARIABLE nvcc_failed)
if(nvcc_failed OR NOT nvcc_text MATCHES "release ([0-9]+\\.[0-9]+)")
    bpcuda_no_cuda("${BPCUDA_NVCC} does not run: ${nvcc_text}")
endif()
set(BPCUDA_CUDA_VERSION ${CMAKE_MATCH_1})
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

file(REAL_PATH ${BPCUDA_NVCC} nvcc_real)
get_filename_component(cuda_root ${nvcc_real} DIRECTORY)
get_filename_component(cuda_root ${cuda_root} DIRECTORY)
get_filename_component(pip_root ${cuda_root} DIRECTORY) # pip of CUDA 12: a folder a package
set(cuda_roots ${cuda_root} ${cuda_root}/targets/x86_64-linux ${cuda_root}/targets/sbsa-linux
    ${pip_root}/cuda_runtime ${pip_root}/cublas)
string(REGEX MATCH "^[0-9]+" cuda_major ${BPCUDA_CUDA_VERSION})
find_path(BPCUDA_CUDA_INCLUDE cuda_runtime_api.h HINTS ${cuda_roots} PATH_SUFFIXES include)
find_path(BPCUDA_CUBLAS_INCLUDE cublasLt.h HINTS ${cuda_roots} PATH_SUFFIXES include)
find_library(BPCUDA_CUDART NAMES cudart_static cudart libcudart.so.${cuda_major} NAMES_PER_DIR
    HINTS ${cuda_roots} PATH_SUFFIXES lib64 lib)
find_library(BPCUDA_CUBLASLT NAMES cublasLt libcublasLt.so.${cuda_major} NAMES_PER_DIR
    HINTS ${cuda_roots} PATH_SUFFIXES lib64 lib)
mark_as_advanced(BPCUDA_CUDA_INCLUDE BPCUDA_CUBLAS_INCLUDE BPCUDA_CUDART BPCUDA_CUBLASLT)
foreach(part CUDA_INCLUDE CUBLAS_INCLUDE CUDART CUBLASLT)
    if(NOT BPCUDA_${part})
        bpcuda_no_cuda("the toolkit of ${BPCUDA_NVCC} is not whole: set BPCUDA_${part} \
(cuda_runtime_api.h, cublasLt.h, libcudart, libcublasLt)")
    endif()
endforeach()

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
if(BPCUDA_CUDA_VERSION VERSION_GREATER_EQUAL 12.8)
    list(APPEND targets --compress-mode=size)
endif()
if(BPCUDA_TESTS) # lines for compute-sanitizer; a third of the library's size
    list(APPEND targets -lineinfo)
endif()
message(STATUS "CUDA device: ${BPCUDA_NVCC}, CUDA ${BPCUDA_CUDA_VERSION}, for ${architectures}")

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
            -Xcompiler=-fPIC,-fvisibility=hidden,-fno-exceptions,-Wall,-Wextra,-ffile-prefix-map=${PROJECT_SOURCE_DIR}/=
            -I${PROJECT_SOURCE_DIR}/kernels -I${PROJECT_SOURCE_DIR}/src -I${PROJECT_SOURCE_DIR}/include
            -MD -MF ${object}.d -c ${source} -o ${object}
        DEPENDS ${source} DEPFILE ${object}.d COMMENT "nvcc kernels/${name}.cu" VERBATIM)
    list(APPEND cuda_objects ${object})
    list(APPEND BPCUDA_CUDA_LOGS ${object}.log)
endforeach()
file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/kernels)

# What nvcc's launch stubs want of the C++ runtime: the locks of static variables.
set(cuda_libraries ${BPCUDA_CUDART} ${BPCUDA_CUBLASLT} -l:libstdc++.a Threads::Threads
    ${CMAKE_DL_LIBS} rt)

add_library(bpcuda_cuda MODULE ${cuda_sources} ${cuda_objects})
target_link_libraries(bpcuda_cuda PRIVATE bpcuda_flags ${cuda_libraries})
target_include_directories(bpcuda_cuda PRIVATE include src)
target_include_directories(bpcuda_cuda SYSTEM PRIVATE ${BPCUDA_CUDA_INCLUDE}
    ${BPCUDA_CUBLAS_INCLUDE})
target_compile_definitions(bpcuda_cuda PRIVATE BPI_DOOR="${BPI_DOOR}")
target_link_options(bpcuda_cuda PRIVATE -Wl,--no-undefined -Wl,--exclude-libs,ALL)
set_target_properties(bpcuda_cuda PROPERTIES OUTPUT_NAME bpcuda-cuda
    LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR} INSTALL_RPATH_USE_LINK_PATH ON)
# The products alone, against loops on the host: linked with the device's own sources.
if(BPCUDA_TESTS)
    add_custom_target(bpcuda_cuda_objects DEPENDS ${cuda_objects})
    add_dependencies(bpcuda_cuda bpcuda_cuda_objects)
    add_executable(test_epilogues tests/device/test_epilogues.c ${cuda_sources} ${cuda_objects})
    add_dependencies(test_epilogues bpcuda_cuda_objects)
    target_link_libraries(test_epilogues PRIVATE bpcuda_test_support ${cuda_libraries})
    target_include_directories(test_epilogues SYSTEM PRIVATE ${BPCUDA_CUDA_INCLUDE}
        ${BPCUDA_CUBLAS_INCLUDE})
    target_compile_definitions(test_epilogues PRIVATE BPI_DOOR="${BPI_DOOR}")
    set_target_properties(test_epilogues PROPERTIES RUNTIME_OUTPUT_DIRECTORY
        ${PROJECT_BINARY_DIR}/tests)
endif()
install(TARGETS bpcuda_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})

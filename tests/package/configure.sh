#!/bin/sh
# configure.sh SOURCE WORK CC: what CMake says of machines, folders and toolkits that are not here. The
# toolkits are folders of empty files with a shell script for nvcc.
source=$1 work=$2 cc=$3 failed=0 n=0
rm -rf "$work"
mkdir -p "$work"
cd "$work" || exit 2
unset CUDACXX CUDA_HOME CUDA_PATH CUDA_ROOT

# configure ARGS...: the status and, in the file out, the words of a configure run into build/.
configure() {
    rm -rf build
    CC=${CC:-$cc} cmake -S "$source" -B build -DBPCUDA_TESTS=OFF -DBPCUDA_BENCH=OFF -DBPCUDA_TOOLS=OFF \
        -DBPCUDA_SIM=OFF -G Ninja "$@" > out 2>&1
    status=$?
    tr '\n' ' ' < out | tr -s ' ' > line # CMake breaks the lines of a message
    return $status
}
says() { grep -qF -- "$1" line; }
# claim TEXT: the status of the command before decides.
claim() {
    status=$?
    n=$((n + 1))
    [ $status -eq 0 ] && return
    failed=$((failed + 1))
    echo "FAILED $1"
    sed 's/^/    /' out
}

if echo 'int main(void) {return sizeof(void *) != 4;}' | "$cc" -m32 -c -xc - -o 32.o 2> out; then
    ! configure -DBPCUDA_CUDA=OFF -DCMAKE_C_FLAGS=-m32 -DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY &&
        says "bpcuda is for 64-bit machines: a pointer of this compiler has 4 bytes, not 8"
    claim "a 32-bit machine is refused with a sentence"
fi
configure -DBPCUDA_CUDA=OFF -DCMAKE_INSTALL_PREFIX=/p -DCMAKE_INSTALL_LIBDIR=/far/lib64 \
    -DCMAKE_INSTALL_INCLUDEDIR=/near/include && grep -qx 'includedir=/near/include' build/bpcuda.pc &&
    ! grep -qE '//|\$.*/(far|near)' build/bpcuda.pc
claim "absolute folders stay as they are in bpcuda.pc"

# --- toolkits ------------------------------------------------------------------------------------
# toolkit ROOT VERSION: nvcc, and the CUDA runtime.
toolkit() {
    mkdir -p "$1/bin" "$1/include" "$1/lib64"
    printf '#!/bin/sh\n[ "$1" = --version ] && echo "release %s, V%s.1"\nexit 0\n' "$2" "$2" > "$1/bin/nvcc"
    chmod +x "$1/bin/nvcc"
    echo "#define CUDART_VERSION  ${2%.*}0${2#*.}0" > "$1/include/cuda_runtime_api.h"
    : > "$1/lib64/libcudart_static.a"
}
# cublas ROOT MAJOR LIB
cublas() {
    mkdir -p "$1/include" "$1/$3"
    echo "#define CUBLAS_VER_MAJOR $2" > "$1/include/cublas_api.h"
    : > "$1/include/cublasLt.h"
    : > "$1/$3/libcublasLt.so.$2"
}
# python FOLDER: a python3 that has these packages of NVIDIA.
python() {
    printf '#!/bin/sh\nprintf %%s "%s"\n' "$1" > python3
    chmod +x python3
}
cuda() {
    configure -DBPCUDA_CUDA=ON -DBPCUDA_PYTHON="$work/python3" "$@"
}
compression() { grep -qe "--compress-mode=$1" build/build.ninja; }

python ""
toolkit whole 13.1
cublas whole 13 lib64
cublas other 12 lib
cuda -DBPCUDA_NVCC="$work/whole/bin/nvcc" && says "$work/whole/lib64/libcublasLt.so.13" && compression balance
claim "a whole toolkit of CUDA 13, whose kernels are packed the balanced way"
toolkit bare99 99.0 # which no folder of the system has
! cuda -DBPCUDA_NVCC="$work/bare99/bin/nvcc" -DCMAKE_PREFIX_PATH="$work/other" &&
    says "set BPCUDA_CUBLAS_INCLUDE" && says "$work/other has cublasLt.h of 12"
claim "cuBLAS of another major version is refused, and named"
toolkit bare 13.0
! cuda -DBPCUDA_NVCC="$work/bare/bin/nvcc" -DBPCUDA_CUBLAS_INCLUDE="$work/other/include" \
    -DBPCUDA_CUBLASLT="$work/other/lib/libcublasLt.so.12" && says "$work/other/include has cublasLt.h of 12"
claim "and so is one that was asked for"
cuda -DBPCUDA_NVCC="$work/bare/bin/nvcc" -DCMAKE_PREFIX_PATH="$work/other;$work/whole" &&
    says "$work/whole/lib64/libcublasLt.so.13"
claim "the first that fits is taken"

# PyTorch's packages: CUDA 12 in a folder a package, CUDA 13 in one.
cublas site/nvidia/cublas 12 lib
cublas site/nvidia/cu13 13 lib
python "$work/none;$work/site/nvidia"
cuda -DBPCUDA_NVCC="$work/bare/bin/nvcc" && says "$work/site/nvidia/cu13/lib/libcublasLt.so.13"
claim "a toolkit of CUDA 13 without cuBLAS takes pip's"
toolkit bare12 12.9
cuda -DBPCUDA_NVCC="$work/bare12/bin/nvcc" && says "$work/site/nvidia/cublas/lib/libcublasLt.so.12" &&
    ! compression ""
claim "one of CUDA 12 takes that of CUDA 12, and packs so that every driver can unpack"
toolkit site/nvidia/cu13 13.0
mv site/nvidia/cu13/lib64/libcudart_static.a site/nvidia/cu13/lib/libcudart.so.13
cuda -DBPCUDA_NVCC="$work/site/nvidia/cu13/bin/nvcc" &&
    says "$work/site/nvidia/cu13/lib/libcublasLt.so.13" && grep -q cu13/lib/libcudart.so.13 build/build.ninja
claim "pip's own toolkit, which has the shared runtime only"
toolkit old 11.7
! cuda -DBPCUDA_NVCC="$work/old/bin/nvcc" && says "is CUDA 11.7; 11.8 is wanted"
claim "a toolkit that is too old is refused"

# A compiler without the archive of the C++ runtime, as Fedora's is; and one with none at all.
fake_cc() {
    printf '#!/bin/sh\ncase "$*" in %s) echo "${1#*=}";; *) exec "%s" "$@";; esac\n' "$1" "$cc" > cc
    chmod +x cc
    CC="$work/cc" cuda -DBPCUDA_NVCC="$work/whole/bin/nvcc"
}
fake_cc "-print-file-name=libstdc++.a" && grep -q 'libstdc++\.so' build/build.ninja
claim "without libstdc++.a the shared one is linked"
! fake_cc "-print-file-name=libstdc++*" && says "finds no libstdc++"
claim "without any the reason is told"

echo "$n claims, $failed failed"
[ $failed -eq 0 ]

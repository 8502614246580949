#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: build.sh ISA PREFIX OUTPUT
# Builds the minimal kernel of x86_64, aarch64 or riscv from libvmem as installed in PREFIX: one command of the compiler. CC names another one.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
isa=$1 prefix=$2 output=$3
case $isa in
x86_64) set -- "${CC:-x86_64-linux-gnu-gcc}" -mcmodel=kernel -mno-red-zone -mgeneral-regs-only -fcf-protection=none ;;
aarch64) set -- "${CC:-aarch64-linux-gnu-gcc}" -mgeneral-regs-only -mno-outline-atomics ;;
riscv) set -- "${CC:-riscv64-linux-gnu-gcc}" -march=rv64imac_zicsr_zifencei -mabi=lp64 -mcmodel=medany ;;
esac
exec "$@" -std=c11 -O2 -Wall -Wextra -Werror -ffreestanding -fno-pic -no-pie -fno-stack-protector -fno-tree-loop-distribute-patterns \
	-nostdlib -static -I"$prefix/include" "$here/main.c" "$here/$isa.c" "$here/$isa.S" -L"$prefix/lib" -lvmem \
	-T "$here/$isa.ld" -Wl,--build-id=none,-z,max-page-size=4096,--no-warn-rwx-segments -o "$output"

#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: build.sh ISA PREFIX OUTPUT
# Builds this host for x86_64, aarch64 or riscv from libvmem as installed in PREFIX (with -Dhost_frames=true -Dmax_cpus=1).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
isa=$1 prefix=$2 output=$3
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig" PKG_CONFIG_LIBDIR="$prefix/lib/pkgconfig"
flags=$(pkg-config --define-variable=prefix="$prefix" --cflags vmem)
libs=$(pkg-config --define-variable=prefix="$prefix" --libs vmem)
case $isa in
x86_64) set -- x86_64-linux-gnu-gcc -mcmodel=kernel -mno-red-zone -mgeneral-regs-only -fcf-protection=none ;;
aarch64) set -- aarch64-linux-gnu-gcc -mgeneral-regs-only -mno-outline-atomics ;;
riscv) set -- riscv64-linux-gnu-gcc -march=rv64imac_zicsr_zifencei -mabi=lp64 -mcmodel=medany ;;
esac
# shellcheck disable=SC2086
exec "$@" -std=c11 -O2 -Wall -Wextra -Werror -ffreestanding -fno-pic -no-pie -fno-stack-protector -fno-tree-loop-distribute-patterns -nostdlib \
	-static $flags "$here/host.c" "$here/memory.c" "$here/libc.c" "$here/$isa.c" "$here/$isa.S" $libs -T "$here/$isa.ld" \
	-Wl,--build-id=none,-z,max-page-size=4096,--no-warn-rwx-segments -o "$output"

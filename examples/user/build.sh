#!/bin/sh
# SPDX-License-Identifier: MIT
# build.sh ISA OUTDIR: builds the user programs of ISA (x86_64, aarch64, riscv) into OUTDIR with the distribution's compiler and C
# library. Needs the compilers only. USER_CC names another compiler for ISA, BUILD_CC another one for this machine. What is newer
# than its source is left alone.
set -eu

if [ $# -ne 2 ]; then
	echo "usage: build.sh x86_64|aarch64|riscv OUTDIR" >&2
	exit 2
fi
isa=$1
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$2"
out=$(cd "$2" && pwd)
build_cc=${BUILD_CC:-gcc}

case $isa in
x86_64)
	if [ "$(uname -m)" = x86_64 ]; then
		cc=gcc
	else
		cc=x86_64-linux-gnu-gcc
	fi
	;;
aarch64) cc=aarch64-linux-gnu-gcc ;;
riscv) cc=riscv64-linux-gnu-gcc ;;
*)
	echo "build.sh: no ISA $isa" >&2
	exit 2
	;;
esac
cc=${USER_CC:-$cc}
flags="-std=c11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes"

# stale TARGET SOURCE...: true when TARGET is missing or older than a source or this script.
stale() {
	target=$1
	shift
	[ -e "$target" ] || return 0
	for source in "$@" "$here"/*.h "$here/build.sh"; do
		if [ "$source" -nt "$target" ]; then
			return 0
		fi
	done
	return 1
}

# compile NAME "FLAGS" SOURCE...
compile() {
	name=$1
	extra=$2
	shift 2
	if stale "$out/$name" "$@"; then
		echo "user: $isa $name"
		# shellcheck disable=SC2086
		$cc $flags $extra -o "$out/$name.new" "$@" -lm
		mv "$out/$name.new" "$out/$name"
	fi
}

for name in hello churn jit wx offstack fault bytes cat status args vectors basics maplimit randcalls pipes large flushes; do
	compile $name -static "$here/$name.c"
done
for name in threads heap race forks pager; do
	compile $name "-static -pthread" "$here/$name.c"
done
compile signals "-static -pthread" "$here/signals.c" "$here/signals_send.c" "$here/signals_fault.c"
if [ $isa != riscv ]; then
	compile hello-pie -static-pie "$here/hello.c"
fi
compile mmtest -static "$here/mmtest.c" "$here/mmtest_map.c" "$here/mmtest_protect.c"
compile conform -static "$here/conform.c" "$here"/conform_*.c
compile pie "-pie -fPIE -nostdlib -ffreestanding -fno-stack-protector -Wl,--no-dynamic-linker,-z,text" "$here/pie.c"
compile hello-dynamic "" "$here/hello.c"

# The benchmark brings its own start and system calls: it runs on anything that speaks them, also as process 1.
compile bench "-static -nostdlib -ffreestanding -fno-stack-protector -fno-pie -no-pie -fno-tree-loop-distribute-patterns
	-Wl,-z,separate-code" "$here/bench.c"

if stale "$out/hash64" "$here/hash64.c"; then
	echo "user: $isa hash64 (and its digest, made on this machine)"
	"$build_cc" -std=c11 -D_GNU_SOURCE -O2 -o "$out/hash64.native" "$here/hash64.c"
	digest=$("$out/hash64.native" --digest)
	rm "$out/hash64.native"
	# shellcheck disable=SC2086
	$cc $flags -static "-DEXPECTED_DIGEST=\"$digest\"" -o "$out/hash64.new" "$here/hash64.c"
	mv "$out/hash64.new" "$out/hash64"
fi
cp "$here/demo" "$out/demo"

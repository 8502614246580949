#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: archive.sh LD OBJCOPY AR OUTPUT DIR OBJECT...
# Links the objects into one, makes what has hidden visibility local to it, and puts it into an archive of its own.
set -eu
ld=$1 objcopy=$2 ar=$3 output=$4 dir=$5
shift 5
mkdir -p "$dir"
"$ld" -r -o "$dir/vmem.o" "$@"
"$objcopy" --localize-hidden "$dir/vmem.o"
rm -f "$output"
"$ar" rcsD "$output" "$dir/vmem.o"

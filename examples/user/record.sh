#!/bin/sh
# SPDX-License-Identifier: MIT
# record.sh DIR: runs the cases on this machine, which must run Linux on x86-64, with the programs in DIR (of build.sh and
# busybox.sh), and writes what they print to expected/. Fails when one ends with another status than the list says.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
programs=$(cd "$1" && pwd)
failed=0
cd "$here/expected"

# one CASE STATUS OPTIONS PROGRAM ARG...
one() {
	case=$1
	status=$2
	options=$3
	program=$4
	shift 4
	case ,$options, in
	*,wx,*) return ;;
	esac
	input=/dev/null
	for option in $(echo "$options" | tr , ' '); do
		case $option in
		in=*) input=${option#in=}.in ;;
		esac
	done
	got=0
	(cd / && exec bash -c 'file=$1; shift; exec -a "${file##*/}" "$file" "$@"' - "$programs/$program" "$@") \
		<"$input" >"$case.out" 2>"$case.err" || got=$?
	case ,$options, in
	*,anyerr,*) : >"$case.err" ;;
	esac
	for stream in out err; do
		if [ ! -s "$case.$stream" ]; then
			rm "$case.$stream"
		fi
	done
	if [ "$got" != "$status" ]; then
		echo "record.sh: $case ends with $got, not $status" >&2
		failed=1
	fi
}

while read -r line; do
	case $line in
	'' | '#'*) ;;
	*) eval "one $line" ;;
	esac
done <"$here/cases"

# The groups of conform, with the limits that Linux begins with, and the version that said so.
mkdir -p conform
for group in $("$programs/conform" list); do
	prlimit --stack=8388608: --memlock=8388608: "$programs/conform" "$group" >"conform/$group.out" || failed=1
done
uname -sr | sed "s/-.*//" >conform/version
exit "$failed"

#!/bin/sh
# SPDX-License-Identifier: MIT
# busybox.sh ISA OUTDIR: puts the unmodified busybox of Debian's package busybox-static into OUTDIR/busybox. ISA is x86_64, aarch64
# or riscv. Nothing is installed. The package comes from the mirror that this machine's own apt sources name, through a private
# apt state that only this script uses, and apt checks the signatures with the archive keys of this machine. The package and the
# state stay in ${XDG_CACHE_HOME:-~/.cache}/libvmem; a second call needs no network. Exit status 3: it could not be had.
set -eu

usage() {
	echo "usage: busybox.sh x86_64|aarch64|riscv OUTDIR" >&2
	exit 2
}

[ $# -eq 2 ] || usage
case $1 in
x86_64)
	arch=amd64
	suite=bookworm
	;;
aarch64)
	arch=arm64
	suite=bookworm
	;;
riscv)
	arch=riscv64
	suite=trixie
	;;
*) usage ;;
esac
mkdir -p "$2"
out=$(cd "$2" && pwd)
[ -e "$out/busybox" ] && exit 0

cache=${XDG_CACHE_HOME:-$HOME/.cache}/libvmem/busybox-$arch

# The archive's address: where apt itself would look for the release that this machine runs.
mirror() {
	apt-get update --print-uris 2>/dev/null | sed -n "s,^'\(.*\)/dists/bookworm/InRelease' .*,\1,p" | head -n 1
}

fetch() {
	uri=$(mirror)
	if [ -z "$uri" ]; then
		echo "busybox.sh: this machine's apt sources name no archive of Debian bookworm" >&2
		return 1
	fi
	state=$cache/apt
	mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$state/etc/preferences.d" "$state/etc/apt.conf.d"
	: >"$state/status"
	echo "deb [arch=$arch signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $suite main" >"$state/etc/sources.list"
	set -- -qq -o "Dir::State=$state" -o "Dir::State::status=$state/status" -o "Dir::State::lists=$state/lists" \
		-o "Dir::Cache=$state/cache" -o "Dir::Etc::sourcelist=$state/etc/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null -o "APT::Architecture=$arch" \
		-o "APT::Architectures=$arch" -o Acquire::Languages=none -o APT::Sandbox::User= -o Acquire::Retries=2
	echo "busybox.sh: fetching busybox-static for $arch from Debian $suite"
	apt-get "$@" -o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false update
	(cd "$cache" && apt-get "$@" download busybox-static)
	rm -rf "$state"
}

deb=$(ls "$cache"/busybox-static_*_"$arch".deb 2>/dev/null | tail -n 1)
if [ -z "$deb" ]; then
	mkdir -p "$cache"
	fetch || exit 3
	deb=$(ls "$cache"/busybox-static_*_"$arch".deb 2>/dev/null | tail -n 1)
	[ -n "$deb" ] || exit 3
fi
unpacked=$(mktemp -d "$out/busybox.XXXXXX")
trap 'rm -rf "$unpacked"' EXIT
dpkg-deb -x "$deb" "$unpacked"
for path in usr/bin/busybox bin/busybox; do
	if [ -f "$unpacked/$path" ]; then
		mv "$unpacked/$path" "$out/busybox"
		echo "busybox.sh: $1 from $(basename "$deb")"
		exit 0
	fi
done
echo "busybox.sh: $(basename "$deb") holds no busybox" >&2
exit 3

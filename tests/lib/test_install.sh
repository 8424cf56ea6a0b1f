#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What is installed is enough: a program is built with the flags of pkg-config against the shared library, and against the
# static one, and runs; and the pages of the manual are there for each function.
#
# usage: test_install.sh BUILD CC EXAMPLE HEADER; CC may be several words, as with ccache
set -eu
build=$1 cc=$2 example=$3 header=$4
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
meson install -C "$build" --no-rebuild --quiet --destdir "$dir" >/dev/null

pc=$(find "$dir" -name sluice.pc)
export PKG_CONFIG_PATH="${pc%/*}" PKG_CONFIG_SYSROOT_DIR="$dir"
libdir=$dir$(PKG_CONFIG_SYSROOT_DIR='' pkg-config --variable=libdir sluice)

# shellcheck disable=SC2046
$cc -o "$dir/shared" "$example" $(pkg-config --cflags --libs sluice)
LD_LIBRARY_PATH=$libdir "$dir/shared" ipv4=100.96.0.2 net=host | grep -q 'answered a ping'

rm "$libdir"/libsluice.so*
# shellcheck disable=SC2046
$cc -o "$dir/static" "$example" $(pkg-config --cflags --static --libs sluice)
"$dir/static" ipv4=100.96.0.2 net=host | grep -q 'answered a ping'

# The header is enough by itself, also for C++ and for strict C11.
$cc -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -x c "$header"
if command -v c++ >/dev/null; then
	c++ -Wall -Wextra -Werror -fsyntax-only -x c++ "$header"
fi

man=$(find "$dir" -type d -name man3)
[ -n "$man" ] || exit 0 # built without the manual
for name in $(sed -n 's/^SLUICE_API.*[ *]\(sluice_[a-z_]*\)(.*/\1/p' "$header"); do
	if [ ! -e "$man/$name.3" ]; then
		echo "there is no page for $name" >&2
		exit 1
	fi
done

#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# The build step of the DKMS package: makes linpmem.ko for one kernel in the working folder, or
# says why it cannot and leaves nothing.
#
#   build.sh RELEASE ARCH HEADERS [VARIABLE=VALUE ...]
#
# The module is fitted by linpmem-fit, from the files that the kernel's own packages install, and
# needs no compiler. Where that is impossible, it is compiled if the headers have Rust's metadata
# and the kernel's compiler is here; the variables are make's (DKMS adds LLVM=1 for some kernels).
set -eu

if [ "$#" -lt 3 ]; then
    echo "usage: build.sh RELEASE ARCH HEADERS [VARIABLE=VALUE ...]" >&2
    exit 2
fi
release=$1
arch=$2
headers=$3
shift 3

module=linpmem.ko
partial=linpmem.partial.ko
sources=kmod
rm -f "$module" "$partial"
trap 'rm -f "$partial"' EXIT
trap 'exit 1' HUP INT TERM

say() {
    printf 'linpmem: %s\n' "$*"
}

# Prints the value of an option of the kernel's configuration, without quotes.
option() {
    for config in "$headers/include/config/auto.conf" "$headers/.config" "/boot/config-$release"; do
        if [ -r "$config" ]; then
            sed -n "s/^$1=//p" "$config" | tr -d '"'
            return
        fi
    done
}

# Prints the compiler whose version is $1: the default one, or one that is named for its version.
compiler() {
    [ -n "$1" ] || return 0
    short=$(printf '%s\n' "$1" | sed -n 's/^rustc \([0-9]*\.[0-9]*\)\..*/\1/p')
    for candidate in rustc "rustc-$short"; do
        if [ "$("$candidate" --version 2>/dev/null)" = "$1" ]; then
            printf '%s\n' "$candidate"
            return
        fi
    done
}

# Fits the prebuilt module, or sets $reason.
fit() {
    case $arch in
        x86_64 | amd64) ;;
        *)
            reason="the prebuilt module is for x86-64, and this kernel is for $arch"
            return 1
            ;;
    esac
    if ! command -v linpmem-fit >/dev/null; then
        reason="the program linpmem-fit is not installed"
        return 1
    fi
    image=/boot/vmlinuz-$release
    if [ ! -e "$image" ] && [ ! -e "/lib/modules/$release/vmlinuz" ]; then
        reason="the kernel itself is not installed (no $image): its headers are not enough"
        return 1
    fi
    # With a release, nothing is taken from the running kernel, which may be another one.
    if ! linpmem-fit --release "$release" -o "$partial"; then
        reason="linpmem-fit refused, see above"
        return 1
    fi
}

# Compiles the module, or sets $reason.
compile() {
    if [ ! -f "$sources/Makefile" ]; then
        reason="the module's source is not beside this script"
        return 1
    fi
    if [ "$(option CONFIG_RUST)" != y ]; then
        reason="the kernel is built without Rust (CONFIG_RUST)"
        return 1
    fi
    if [ ! -f "$headers/rust/libkernel.rmeta" ]; then
        reason="$headers has no rust/libkernel.rmeta: this distribution does not ship Rust's \
metadata of its kernels (Ubuntu does in linux-lib-rust-*, Arch in linux-headers)"
        return 1
    fi
    version=$(option CONFIG_RUSTC_VERSION_TEXT)
    if [ -z "$version" ]; then
        reason="the kernel's configuration does not say which compiler built it"
        return 1
    fi
    rustc=$(compiler "$version")
    if [ -z "$rustc" ]; then
        reason="the kernel was built by \"$version\", and no other compiler can build modules for \
it: install that one"
        return 1
    fi
    if ! make -C "$sources" KDIR="$headers" RUSTC="$rustc" "$@" modules; then
        reason="the compiler failed, see above"
        return 1
    fi
    if ! cp "$sources/rfl/linpmem.ko" "$partial"; then
        reason="the compiler left no module"
        return 1
    fi
}

reason=
if fit; then
    say "fitted to $release"
else
    fit_reason=$reason
    say "not fitted to $release: $fit_reason"
    reason=
    if ! compile "$@"; then
        say "not compiled for $release either: $reason"
        say "there will be no module for $release; acquire without it (linpmem-dump --source kcore)"
        exit 1
    fi
    say "compiled for $release"
fi
mv "$partial" "$module"

#!/bin/sh
# Installs what `cargo xtask ebpf` builds the probe with, next to (not into) a rustup toolchain:
#
#   from Debian   rustc-web, cargo-web, rust-web-src (a rustc that has the bpfel target's core
#                 sources beside it) and libllvm22, the LLVM that this rustc is built with
#   from crates.io  bpf-linker, which loads that LLVM at run time
#
# Everything but the packages goes to $EBPF_TOOLCHAIN_DIR (default ~/.local/ebpf-toolchain).
# Needs Debian 12 with the packages in its sources, root or sudo, and a rustup cargo in PATH.
set -eu

linker_version=0.10.2
packages="rustc-web cargo-web rust-web-src libllvm22"
dir=${EBPF_TOOLCHAIN_DIR:-$HOME/.local/ebpf-toolchain}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]; }
fail() { echo "ebpf-toolchain: $*" >&2; exit 1; }

# These would be removed by rustc-web, and with them somebody's compiler.
for package in rustc cargo rustup; do
    if installed "$package"; then fail "Debian's $package is installed and conflicts with rustc-web"; fi
done

missing=
for package in $packages; do
    installed "$package" || missing="$missing $package"
done
if [ -n "$missing" ]; then
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get -q update
    # shellcheck disable=SC2086 -- a list of names
    DEBIAN_FRONTEND=noninteractive $sudo apt-get -q -y --no-install-recommends install $missing
fi
[ -f "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/core/Cargo.toml" ] || fail "rust-web-src brought no core sources"

# bpf-linker takes the first libLLVM it finds: give it a folder with only the right one.
mkdir -p "$dir/bin" "$dir/llvm"
llvm=
for candidate in /usr/lib/*/libLLVM.so.22* /usr/lib/*/libLLVM-22.so; do
    if [ -e "$candidate" ]; then llvm=$candidate; break; fi
done
[ -n "$llvm" ] || fail "libllvm22 brought no libLLVM"
ln -sf "$llvm" "$dir/llvm/"

if ! "$dir/bin/bpf-linker" --version 2>/dev/null | grep -qF "$linker_version"; then
    env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS -u CARGO_TARGET_DIR -u CARGO_BUILD_TARGET \
        cargo install bpf-linker --locked --version "=$linker_version" --root "$dir"
fi
echo "ready: $(/usr/bin/rustc --version), bpf-linker $linker_version in $dir"

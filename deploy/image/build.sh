#!/bin/sh
# Builds the image: deploy/image/build.sh [TAG [BINARY]]
#
# TAG is the image's name (default localhost/capture:VERSION); BINARY a built program (default: cargo builds
# one). The image has the program, the C libraries that it was linked with on this machine, and, where
# Debian's busybox-static is installed, a shell with tar, for `kubectl cp` and `kubectl exec`. With
# CAPTURE_IMAGE_TAR=FILE the image is also saved there, for `ctr -n k8s.io images import FILE`.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$top/Cargo.toml")
tag=${1:-localhost/capture:$version}
binary=${2:-}
if [ -z "$binary" ]; then
    (cd "$top" && cargo build --release --locked --package capture-user --bin capture)
    binary=${CARGO_TARGET_DIR:-$top/target}/release/capture
fi
engine=$(command -v podman || command -v docker) || { echo "build.sh: neither podman nor docker is installed" >&2; exit 1; }
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
root=$context/root
mkdir -p "$root/bin" "$root/tmp" "$root/captures"
chmod 1777 "$root/tmp"
cp "$binary" "$root/bin/capture"
# A stripped copy is a tenth of the size; panics still name functions, by the symbols that stay.
strip --strip-debug "$root/bin/capture" 2>/dev/null || true
# What the loader would load, and the loader; a static program has none.
ldd "$binary" 2>/dev/null | grep -o '/[^ )]*' | sort -u | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
done
shell=$(command -v busybox || true)
if [ -n "$shell" ] && ! ldd "$shell" >/dev/null 2>&1; then
    cp "$shell" "$root/bin/busybox"
    for name in sh ls cat tar sleep kill rm; do ln -s busybox "$root/bin/$name"; done
else
    echo "build.sh: no static busybox: the image gets no shell, and kubectl-capture cannot fetch files" >&2
fi
cp "$here/Containerfile" "$context/"
"$engine" build --tag "$tag" --file "$context/Containerfile" "$context" >&2
if [ -n "${CAPTURE_IMAGE_TAR:-}" ]; then
    rm -f "$CAPTURE_IMAGE_TAR"
    "$engine" save --output "$CAPTURE_IMAGE_TAR" "$tag" >&2
fi
echo "$tag"

#!/usr/bin/env bash
# Assembles the OCI image of the program without a container engine: the program, the libraries that it is linked with, its bill of
# materials and the licences, in one layer over nothing. Equal files give an equal digest.
#
#   scripts/image.sh PROGRAM FOLDER    writes the image as an OCI layout into FOLDER, and prints its digest
#
#   ARCHITECTURE=arm64    of the program; that of this machine without it
#   LIBRARIES=FOLDER      where the libraries of another architecture are, as `lib/...` in it; without it those of this machine
set -euo pipefail
umask 022 # the user of the image reads what root owns
cd "$(dirname "$0")/.."
program=$(realpath "$1") out=$(realpath -m "$2")
architecture=${ARCHITECTURE:-$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)

work=$(mktemp -d)
registry=
finish() {
    [ -z "$registry" ] || kill "$registry" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT
tools=$(tests/cluster/build.sh crane)
PATH="$tools:$PATH"

# ---- what is in it

root="$work/root"
mkdir -p "$root"/{usr/local/bin,usr/share/doc/packwright,etc,tmp}
chmod 1777 "$root/tmp"
install -m 755 "$program" "$root/usr/local/bin/packwright"
strip "$root/usr/local/bin/packwright" 2>/dev/null || true # symbols are a third of it; another architecture has its own strip
# whom calls of AWS are trusted to
install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
echo "packwright:x:65532:65532::/tmp:/usr/local/bin/packwright" >"$root/etc/passwd"
echo "packwright:x:65532:" >"$root/etc/group"
if [ -n "${LIBRARIES:-}" ]; then
    cp -r "$LIBRARIES/." "$root/"
else
    # as the linker of this machine finds them, where it finds them
    ldd "$program" | grep -o '/[^ ]*' | while read -r library; do
        install -D -m 755 "$(realpath "$library")" "$root$library"
    done
fi
case $architecture in
amd64) target=x86_64-unknown-linux-gnu ;;
arm64) target=aarch64-unknown-linux-gnu ;;
*) echo "image: no such architecture: $architecture (amd64, arm64)" >&2 && exit 2 ;;
esac
documents="$root/usr/share/doc/packwright"
scripts/bill-of-materials.py --target "$target" --bill "$documents/sbom.cdx.json" --licences "$documents/licences.txt"
install -m 644 LICENSE NOTICE "$documents/"

# ---- the image

# whatever the modes of the checkout and of the libraries are: all may read, and write in /tmp alone
chmod -R u=rwX,go=rX "$root" && chmod 1777 "$root/tmp"
tar --create --file "$work/layer.tar" --directory "$root" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner .
: >"$work/registry.log" # it is looked at before the registry may have begun
crane registry serve --address 127.0.0.1:0 >"$work/registry.log" 2>&1 &
registry=$!
port=
for _ in $(seq 200); do
    port=$(sed -n 's/.*serving on .*:\([0-9]*\).*/\1/p; s/.*serving on port \([0-9]*\).*/\1/p' "$work/registry.log" | head -n 1)
    [ -z "$port" ] || break
    kill -0 "$registry" 2>/dev/null || { cat "$work/registry.log" >&2; exit 1; }
    sleep 0.05
done
[ -n "$port" ] || { echo "image: the registry on loopback did not start" >&2; exit 1; }
name="127.0.0.1:$port/packwright:$version"
say() { "$@" >>"$work/said" 2>&1 || { cat "$work/said" >&2; exit 1; }; }
say crane append --oci-empty-base --platform "linux/$architecture" --new_layer "$work/layer.tar" --new_tag "$name"
say crane mutate "$name" --tag "$name" --set-platform "linux/$architecture" --user 65532:65532 \
    --entrypoint /usr/local/bin/packwright --workdir /tmp --env HOME=/tmp \
    --label org.opencontainers.image.title=packwright \
    --label "org.opencontainers.image.version=$version" \
    --label org.opencontainers.image.licenses=Apache-2.0
rm -rf "$out" && mkdir -p "$(dirname "$out")"
say crane pull --format oci "$name" "$out"
crane digest "$name"

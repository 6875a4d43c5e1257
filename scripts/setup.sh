#!/usr/bin/env bash
# Installs what a build needs and is missing, and says what and why. Silent where nothing is missing.
#
#   scripts/setup.sh         what `make test` and `make demo` need
#   scripts/setup.sh lint    also rustfmt and clippy
#   scripts/setup.sh tests   also a browser, in which a test looks at pages
#   scripts/setup.sh arm64   also what a build for arm64 needs elsewhere: a cross compiler, its libraries, the target of Rust
set -euo pipefail
cd "$(dirname "$0")/.."
cache="${XDG_CACHE_HOME:-$HOME/.cache}/packwright"
PATH="$cache/rust:${CARGO_HOME:-$HOME/.cargo}/bin:$PATH" # as in the Makefile

want=${1:-}
rust_wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; } # at_least WANTED FOUND

# ---- packages of the system

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

apt_updated=
apt_install() {
    has apt-get || fail "this machine has no apt-get; please install by its own means: $*"
    [ "$(id -u)" = 0 ] || has sudo || fail "neither root nor sudo; please have an administrator install: $*"
    if [ -z "$apt_updated" ]; then
        as_root apt-get -qq update || say "apt-get update failed; trying with the package lists at hand"
        apt_updated=yes
    fi
    # dpkg's account of each package is noise; what goes wrong is on the error output
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends "$@" </dev/null >/dev/null ||
        fail "apt-get could not install: $*"
}

any_file() { # any_file PATTERN...
    local pattern
    for pattern in "$@"; do
        compgen -G "$pattern" >/dev/null && return
    done
    return 1
}

has_libclang() { # the library and clang's own headers, which Debian packs apart
    [ -n "${LIBCLANG_PATH:-}" ] || {
        any_file '/usr/lib/llvm-*/lib/libclang*.so*' '/usr/lib/*/libclang*.so*' '/usr/lib*/libclang*.so*' &&
            any_file '/usr/lib/llvm-*/lib/clang/*/include/stddef.h' '/usr/lib*/clang/*/include/stddef.h'
    }
}

packages=()
need() { # need PACKAGE REASON
    packages+=("$1")
    say "installing $1: $2"
}
has make || need make "runs the commands of the Makefile"
{ has cc && has c++; } || need build-essential "compiles HiGHS, the solver, and links Rust programs"
has cmake || need cmake "configures the build of HiGHS"
has_libclang || need libclang-dev "generates the Rust bindings of HiGHS"
has pkg-config || need pkg-config "finds system libraries for Rust crates"
has git || need git "fetches sources"
has python3 || need python3 "converts the data of the benchmarks; a test runs it"
python3 -c 'import ensurepip, venv' 2>/dev/null || need python3-venv "holds the server that plays AWS for tests"
has glpsol || need glpk-utils "solves the exported models a second time; a test compares the answers"
if ! has curl; then
    need curl "fetches the Rust toolchain"
    packages+=(ca-certificates)
fi
# Chromium without its windows, where the system packs it: 100 MB. Elsewhere one that is there already is as good.
has_browser() { has chromium-headless-shell || has chromium || has chromium-browser || has google-chrome; }
if [ "$want" = tests ] && ! has_browser && [ -z "${PACKWRIGHT_BROWSER:-}" ]; then
    if apt-cache show chromium-headless-shell >/dev/null 2>&1; then
        need chromium-headless-shell "shows the pages of packwright report; a test looks at them"
    else
        say "there is no package chromium-headless-shell here: please install Chromium, or the tests of pages fail"
    fi
fi
if [ "$want" = arm64 ] && ! has aarch64-linux-gnu-g++; then
    need crossbuild-essential-arm64 "compiles HiGHS for arm64, and has the libraries that the image holds"
fi
[ ${#packages[@]} = 0 ] || apt_install "${packages[@]}"

# ---- Rust

rust_is_new_enough() {
    has cargo && has rustc && at_least "$rust_wanted" "$(rustc --version 2>/dev/null | cut -d' ' -f2)"
}

rust_from_rustup() {
    if has rustup; then
        say "installing the stable Rust toolchain with rustup, for this folder only: Rust $rust_wanted or newer is needed"
        rustup toolchain install stable --profile minimal --component rustfmt --component clippy >&2 &&
            rustup override set stable >&2
    else
        say "installing Rust with rustup into ${CARGO_HOME:-$HOME/.cargo}: Rust $rust_wanted or newer is needed"
        local installer
        installer=$(curl --proto '=https' --tlsv1.2 -sSf --retry 2 --connect-timeout 20 https://sh.rustup.rs) &&
            sh -s -- -y --no-modify-path --default-toolchain stable --profile minimal \
                --component rustfmt --component clippy <<<"$installer" >&2
    fi
}

# Debian's and Ubuntu's own Rust: the plain packages, or the newest of Ubuntu's versioned ones (cargo-1.89), which live
# in /usr/lib/rust-VERSION/bin, on nobody's PATH.
rust_from_apt() {
    has apt-cache || return 1
    local plain versioned
    plain=$(apt-cache policy cargo 2>/dev/null | sed -n 's/^ *Candidate: //p')
    if [ -n "$plain" ] && [ "$plain" != "(none)" ] && at_least "$rust_wanted" "$plain"; then
        say "installing Rust from the system's packages"
        apt_install cargo rustc rustfmt rust-clippy
        return
    fi
    versioned=$(apt-cache search --names-only '^cargo-1\.[0-9]+$' | sed 's/^cargo-\([0-9.]*\).*/\1/' | sort -V | tail -n 1)
    [ -n "$versioned" ] && at_least "$rust_wanted" "$versioned" || return 1
    say "installing Rust $versioned from the system's packages"
    apt_install "cargo-$versioned" "rustc-$versioned"
    as_root apt-get -qq install --yes "rustfmt-$versioned" "rust-$versioned-clippy" </dev/null >/dev/null ||
        say "the system has no rustfmt or clippy for Rust $versioned; make lint will not run"
    mkdir -p "$cache" && ln -sfn "/usr/lib/rust-$versioned/bin" "$cache/rust"
}

rust_is_new_enough || rust_from_rustup || rust_from_apt || true
hash -r
rust_is_new_enough || fail "Rust $rust_wanted or newer is needed, rustup could not fetch it, and the system's packages are older: please install it from https://rustup.rs and run this again"

if [ "$want" = lint ]; then
    missing=()
    cargo fmt --version >/dev/null 2>&1 || missing+=(rustfmt)
    cargo clippy --version >/dev/null 2>&1 || missing+=(clippy)
    if [ ${#missing[@]} != 0 ]; then
        has rustup || fail "lint needs ${missing[*]}, and this Rust was not installed by rustup: please install them beside it"
        say "installing ${missing[*]} with rustup: format and lint checks"
        rustup component add "${missing[@]}" >&2 || fail "rustup could not install ${missing[*]}"
    fi
fi

if [ "$want" = arm64 ]; then
    target=aarch64-unknown-linux-gnu
    if ! [ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ]; then
        has rustup || fail "a build for arm64 needs Rust's target $target, and this Rust was not installed by rustup: please install it beside it"
        say "installing the target $target with rustup: the standard library for arm64"
        rustup target add "$target" >&2 || fail "rustup could not install the target $target"
    fi
fi

#!/usr/bin/env bash
# Builds the programs of the test cluster from their Go modules (programs/*), once for each state of their lock files, into
# ~/.cache/packwright/cluster. Prints the folders of the programs, as a PATH. Says what it builds; silent where nothing is
# missing.
#
#   build.sh              those that every cluster has
#   build.sh FAMILY...    those: prometheus has promtool, crane has crane, karpenter has Karpenter with nodes that kwok plays
#
#   KUBERNETES=1.37    which Kubernetes: a folder programs/kubernetes-*
set -euo pipefail
cd "$(dirname "$0")"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/packwright/cluster"

# Where this machine has none that is new enough, Go is fetched as the module that Go itself switches to.
go_fetched=1.26.8
declare -A go_sha256=(
    [amd64]=30c2b1bf7dcc88d3eb0a1364e47ddd9128edb3110a30e8a0ef61cd5856b31de7
    [arm64]=02b36b6787b3ac767668f630e2998df45a3b1f9ffee08d1bf3ef6487cd658d99
)

say() { echo "cluster: $*" >&2; }
fail() { say "$*"; exit 1; }

# ---- Go

at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; } # at_least WANTED FOUND

use_go() {
    local wanted found folder
    wanted=$(sed -n 's/^go //p' programs/*/go.mod | sort -V | tail -n 1)
    for folder in "" /usr/local/go/bin "$cache/go$go_fetched/bin"; do
        found=$(PATH="${folder:+$folder:}$PATH" GOTOOLCHAIN=local go env GOVERSION 2>/dev/null) || continue
        if at_least "$wanted" "${found#go}"; then
            PATH="${folder:+$folder:}$PATH"
            return
        fi
    done
    fetch_go
    PATH="$cache/go$go_fetched/bin:$PATH"
}

fetch_go() {
    local arch proxy new="$cache/go.new" module="golang.org/toolchain@v0.0.1-go$go_fetched"
    arch=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
    [ -n "${go_sha256[$arch]:-}" ] || fail "please install Go $go_fetched or newer: there is none to fetch for $arch"
    proxy=${GOPROXY:-$(go env GOPROXY 2>/dev/null || true)}
    proxy=$(tr ',|' '\n\n' <<<"$proxy" | grep -m 1 '^http' || echo https://proxy.golang.org)
    say "fetching Go $go_fetched (70 MB): it compiles the programs of the test cluster"
    rm -rf "$new" && mkdir -p "$new"
    curl --silent --show-error --fail --location --retry 2 --connect-timeout 20 --output "$new/go.zip" \
        "$proxy/golang.org/toolchain/@v/v0.0.1-go$go_fetched.linux-$arch.zip" ||
        fail "Go could not be fetched; please install Go $go_fetched or newer"
    sha256sum --quiet --check <<<"${go_sha256[$arch]}  $new/go.zip" >&2 || fail "what was fetched is not Go $go_fetched"
    python3 -m zipfile -e "$new/go.zip" "$new"
    chmod -R u+x "$new/$module.linux-$arch/"{bin,pkg/tool} # zip files of modules hold no modes
    mv -T "$new/$module.linux-$arch" "$cache/go$go_fetched"
    rm -rf "$new"
}

# ---- the programs

version_of() { sed -n "s,^\t\($1\) \(v[^ ]*\).*,\2,p" "programs/$2/go.mod"; } # version_of MODULE FAMILY

# What the linker is told, as the modules' own release builds do.
version_flags() { # version_flags FAMILY
    local version minor
    case $1 in
        kubernetes-*)
            version=$(version_of k8s.io/kubernetes "$1")
            minor=${version#v1.}
            echo "-X k8s.io/component-base/version.gitVersion=$version" \
                "-X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=${minor%%.*}"
            ;;
        helm) echo "-X helm.sh/helm/v3/internal/version.version=$(version_of helm.sh/helm/v3 helm)" ;;
    esac
}

# promtool needs none of the clients with which Prometheus finds its targets.
build_flags() { # build_flags FAMILY
    if [ "$1" = prometheus ]; then echo "-tags=remove_all_sd"; fi
}

build() { # build FAMILY FOLDER
    local family=$1 folder=$2 new="$2.new" package name
    local flags="-s -w $(version_flags "$family")"
    export CGO_ENABLED=0 GOTOOLCHAIN=local GOWORK=off GOFLAGS="-mod=readonly -trimpath -buildvcs=false $(build_flags "$family")"
    rm -rf "$new" && mkdir -p "$new"
    for package in $(cd "programs/$family" && go list tool); do
        case $package in
            go.etcd.io/etcd/server/v3) name=etcd ;;
            sigs.k8s.io/karpenter/kwok) name=karpenter ;;
            *) name=${package##*/} ;;
        esac
        say "building $name of $family (once)"
        (cd "programs/$family" && go build -ldflags "$flags" -o "$new/$name" "$package")
    done
    if [ "$family" = kwok ]; then
        stages >"$new/stages.yaml"
    fi
    mv -T "$new" "$folder"
}

# How nodes and pods without a kubelet change: kwok's own stages, which its module ships beside the program.
stages() {
    local module stage
    module=$(cd programs/kwok && go list -f '{{.Dir}}' -m sigs.k8s.io/kwok)
    for stage in node/fast/node-initialize node/heartbeat-with-lease/node-heartbeat-with-lease \
        pod/fast/pod-ready pod/fast/pod-complete pod/fast/pod-delete; do
        echo "---"
        cat "$module/kustomize/stage/$stage.yaml"
    done
}

mkdir -p "$cache"
exec 9>"$cache/lock"
path=
[ $# -gt 0 ] || set -- etcd helm kwok "kubernetes-${KUBERNETES:-1.37}"
for family; do
    [ -d "programs/$family" ] || fail "there is no programs/$family"
    key=$({ cat "programs/$family/"go.{mod,sum}; version_flags "$family"; build_flags "$family"; } | sha256sum | cut -c 1-12)
    folder="$cache/$family-$key"
    if [ ! -d "$folder" ]; then
        flock 9 # another run may be building it
        [ -d "$folder" ] || { use_go && build "$family" "$folder"; }
        flock -u 9
    fi
    touch "$folder"
    path="$path${path:+:}$folder"
done
find "$cache" -mindepth 1 -maxdepth 1 -type d -name '*-????????????' -mtime +60 -exec rm -rf {} + # of older lock files
echo "$path"

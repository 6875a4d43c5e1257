#!/usr/bin/env bash
# Makes a virtual environment of Python with what a file of requirements names, once for each state of that file, in
# ~/.cache/packwright/NAME. Prints its folder.
#
#   tests/python.sh NAME REQUIREMENTS
set -euo pipefail
name=$1 requirements=$(realpath "$2")
cache="${XDG_CACHE_HOME:-$HOME/.cache}/packwright/$name"

say() { echo "$name: $*" >&2; }

mkdir -p "$cache"
key=$({ cat "$requirements"; python3 --version; } | sha256sum | cut -c 1-12)
folder="$cache/$key"
if [ ! -d "$folder" ]; then
    exec 9>"$cache/lock"
    flock 9 # another run may be making it
    if [ ! -d "$folder" ]; then
        say "installing $name from PyPI (once)"
        rm -rf "$folder.new"
        python3 -m venv "$folder.new" || { say "python3 has no venv: scripts/setup.sh installs it"; exit 1; }
        "$folder.new/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: \
            --requirement "$requirements" >&2
        mv -T "$folder.new" "$folder"
    fi
fi
echo "$folder"

#!/usr/bin/env bash
# Makes a virtual environment with moto's server, which plays AWS for the tests, once for each state of requirements.txt, in
# ~/.cache/packwright/moto. Prints the path of the program.
set -euo pipefail
cd "$(dirname "$0")"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/packwright/moto"

say() { echo "moto: $*" >&2; }

mkdir -p "$cache"
key=$({ cat requirements.txt; python3 --version; } | sha256sum | cut -c 1-12)
folder="$cache/$key"
if [ ! -d "$folder" ]; then
    exec 9>"$cache/lock"
    flock 9 # another run may be making it
    if [ ! -d "$folder" ]; then
        say "installing moto from PyPI (once)"
        rm -rf "$folder.new"
        python3 -m venv "$folder.new" || { say "python3 has no venv: scripts/setup.sh installs it"; exit 1; }
        "$folder.new/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: \
            --requirement requirements.txt >&2
        mv -T "$folder.new" "$folder"
    fi
fi
echo "$folder"

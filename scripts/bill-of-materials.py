#!/usr/bin/env python3
"""What the program is made of, from the lock file: a bill of materials (CycloneDX 1.6, JSON) and the licences with their texts.

Packages are those that `cargo tree` has: linked into the program with its default features on a platform (that of this machine), or run
to build it; not those of tests. What a crate compiles that is no crate is a component of that crate.

    scripts/bill-of-materials.py --bill FILE --licences FILE [--target TRIPLE]
"""

import argparse
import json
import pathlib
import subprocess
import sys
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEXTS = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE", "THIRD_PARTY", "THIRD-PARTY")
CODE = (".rs", ".py", ".c", ".h", ".json", ".toml")


def run(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def host() -> str:
    return next(line.removeprefix("host: ") for line in run("rustc", "-vV").splitlines() if line.startswith("host: "))


def metadata(target: str) -> dict:
    return json.loads(run("cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", target))


def used(data: dict, target: str) -> tuple[str, dict[str, list[str]]]:
    """The root, and every package that it needs to be built, with what that needs. Metadata has the features of tests, too."""
    tree = run("cargo", "tree", "--locked", "--target", target, "--edges", "normal,build", "--prefix", "none", "--format", "{p}")
    built = {tuple(line.split()[:2]) for line in tree.splitlines() if line}
    names = {of["id"]: (of["name"], f"v{of['version']}") for of in data["packages"]}
    found = {}
    for node in data["resolve"]["nodes"]:
        if names[node["id"]] in built:
            needs = [of for of in node["deps"] if any(kind["kind"] != "dev" for kind in of["dep_kinds"])]
            found[node["id"]] = sorted(of["pkg"] for of in needs if names[of["pkg"]] in built)
    return data["resolve"]["root"], found


def reference(package: dict) -> str:
    return f"pkg:cargo/{package['name']}@{urllib.parse.quote(package['version'], safe='')}"


def compiled(package: dict) -> list[dict]:
    """What a crate brings along that is no crate: the solver is most of the native code of the program."""
    if package["name"] != "highs-sys":
        return []
    file = folder_of(package) / "HiGHS" / "Version.txt"
    parts = dict(line.split("=", 1) for line in file.read_text().splitlines() if line.startswith("HIGHS_"))
    version = ".".join(parts[f"HIGHS_{part}"] for part in ("MAJOR", "MINOR", "PATCH"))
    purl = f"pkg:github/ergo-code/highs@v{version}"
    return [{"type": "library", "bom-ref": purl, "name": "HiGHS", "version": version, "purl": purl,
             "licenses": [{"expression": "MIT"}]}]


def folder_of(package: dict) -> pathlib.Path:
    return pathlib.Path(package["manifest_path"]).parent


def texts_of(package: dict) -> list[str]:
    """In whatever folder: code of others has its own. Apache-2.0 is one text, which is that of this project, too."""
    files = (file for file in sorted(folder_of(package).rglob("*")) if file.name.upper().startswith(TEXTS))
    found = [file for file in files if file.is_file() and file.suffix not in CODE]
    if not found and package["license"] == "Apache-2.0":
        found = [ROOT / "LICENSE"]
    return [file.read_text(encoding="utf-8", errors="replace").strip() for file in found]


def component(package: dict) -> dict:
    of = {"type": "library", "bom-ref": reference(package), "name": package["name"], "version": package["version"],
          "purl": reference(package)}
    if package["license"]:
        of["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if package["repository"]:
        of["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    if parts := compiled(package):
        of["components"] = parts
    return of


def bill(packages: dict[str, dict], root: str, needs: dict[str, list[str]]) -> dict:
    others = sorted((packages[of] for of in needs if of != root), key=lambda of: (of["name"], of["version"]))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": component(packages[root]) | {"type": "application"}},
        "components": [component(of) for of in others],
        "dependencies": [
            {"ref": reference(packages[of]), "dependsOn": sorted({reference(packages[need]) for need in needs[of]})}
            for of in sorted(needs, key=lambda of: reference(packages[of]))
        ],
    }


def licences(packages: dict[str, dict], root: str, needs: dict[str, list[str]]) -> str:
    """Each text once, below the packages that have it."""
    texts: dict[str, list[str]] = {}
    lines = ["What packwright is made of, and under which licences.", ""]
    without = []
    for of in sorted((packages[of] for of in needs if of != root), key=reference):
        lines.append(f"{of['name']} {of['version']}: {of['license']}")
        lines += [f"{part['name']} {part['version']}: MIT, in {of['name']}" for part in compiled(of)]
        own = texts_of(of)
        for text in own:
            texts.setdefault(text, []).append(f"{of['name']} {of['version']}")
        if not own:
            without.append(f"{of['name']} {of['version']}")
    lines += ["", f"Published without a text of their licence: {', '.join(without) or 'none'}"]
    for text, names in sorted(texts.items(), key=lambda item: item[1]):
        lines += ["", "-" * 80, ", ".join(sorted(set(names))), "-" * 80, "", text]
    return "\n".join(lines) + "\n"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--bill", type=pathlib.Path, required=True)
    arguments.add_argument("--licences", type=pathlib.Path, required=True)
    arguments.add_argument("--target", default=host())
    given = arguments.parse_args()
    data = metadata(given.target)
    packages = {package["id"]: package for package in data["packages"]}
    root, needs = used(data, given.target)
    given.bill.write_text(json.dumps(bill(packages, root, needs), indent=1) + "\n")
    given.licences.write_text(licences(packages, root, needs))


if __name__ == "__main__":
    sys.exit(main())

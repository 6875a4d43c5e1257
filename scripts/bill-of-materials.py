#!/usr/bin/env python3
"""What the program is made of, from the lock file: a bill of materials (CycloneDX 1.6, JSON) and the licences with their texts.

Packages are those that are linked into the program with its default features on this platform, or run to build it; not those of tests.

    scripts/bill-of-materials.py --bill FILE --licences FILE
"""

import argparse
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEXTS = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE")


def metadata() -> dict:
    host = next(
        line.removeprefix("host: ")
        for line in subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout.splitlines()
        if line.startswith("host: ")
    )
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", host]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def used(data: dict) -> tuple[str, dict[str, list[str]]]:
    """The root, and every package that it needs to be built, with what that needs."""
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    root = data["resolve"]["root"]
    found: dict[str, list[str]] = {}
    todo = [root]
    while todo:
        package = todo.pop()
        if package in found:
            continue
        needs = [
            dependency["pkg"]
            for dependency in nodes[package]["deps"]
            if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"])
        ]
        found[package] = sorted(needs)
        todo.extend(needs)
    return root, found


def reference(package: dict) -> str:
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package: dict) -> dict:
    of = {"type": "library", "bom-ref": reference(package), "name": package["name"], "version": package["version"],
          "purl": reference(package)}
    if package["license"]:
        of["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if package["repository"]:
        of["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
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
    for of in sorted((packages[of] for of in needs if of != root), key=reference):
        lines.append(f"{of['name']} {of['version']}: {of['license']}")
        folder = pathlib.Path(of["manifest_path"]).parent
        for file in sorted(folder.iterdir()):
            if file.is_file() and file.name.upper().startswith(TEXTS):
                text = file.read_text(encoding="utf-8", errors="replace").strip()
                texts.setdefault(text, []).append(f"{of['name']} {of['version']}")
    for text, names in sorted(texts.items(), key=lambda item: item[1]):
        lines += ["", "-" * 80, ", ".join(sorted(set(names))), "-" * 80, "", text]
    return "\n".join(lines) + "\n"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--bill", type=pathlib.Path, required=True)
    arguments.add_argument("--licences", type=pathlib.Path, required=True)
    given = arguments.parse_args()
    data = metadata()
    packages = {package["id"]: package for package in data["packages"]}
    root, needs = used(data)
    given.bill.write_text(json.dumps(bill(packages, root, needs), indent=1) + "\n")
    given.licences.write_text(licences(packages, root, needs))


if __name__ == "__main__":
    sys.exit(main())

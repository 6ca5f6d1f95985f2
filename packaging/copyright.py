#!/usr/bin/env python3
"""Prints the licences of setlet and of every crate that is in its program.

    packaging/copyright.py [TARGET]

Crates are found with `cargo metadata`: what the program is linked from, not what builds or tests it. Where a
crate may be had under Apache-2.0, it is taken under that, whose text is in LICENSE (on Debian in
/usr/share/common-licenses/Apache-2.0); the texts of the others follow, each once.
"""

import json
import os
import re
import subprocess
import sys

# Of several that a crate offers, the first of these is taken.
PREFERRED = ["Apache-2.0", "MIT", "BSD-3-Clause", "ISC", "Zlib", "Unicode-3.0", "Unlicense", "CC0-1.0"]


def metadata(target):
    command = ["cargo", "metadata", "--format-version=1", "--locked", "--filter-platform", target]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def linked(data):
    """The packages that the root depends on, without what only builds or tests, or runs at build time."""
    packages = {package["id"]: package for package in data["packages"]}
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    found, waiting = set(), [data["resolve"]["root"]]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for dependency in nodes[name]["deps"]:
            macro = any("proc-macro" in target["kind"] for target in packages[dependency["pkg"]]["targets"])
            if not macro and any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                waiting.append(dependency["pkg"])
    found.remove(data["resolve"]["root"])
    return sorted((packages[name] for name in found), key=lambda p: (p["name"], p["version"]))


def taken(package):
    """The licences that the crate is taken under: of each OR one, of each AND all."""
    words = (package["license"] or "").replace("/", " OR ").replace("(", "").replace(")", "")
    chosen = []
    for part in words.split(" AND "):
        offered = [word.split(" WITH ")[0].strip() for word in part.split(" OR ")]
        best = next((name for name in PREFERRED if name in offered), None)
        if best is None:
            sys.exit(f"{package['name']} {package['version']}: no known licence in {package['license']!r}")
        chosen.append(best)
    return sorted(set(chosen))


def texts(package, licences):
    """The files of the crate that have those licences, and its notices."""
    directory = os.path.dirname(package["manifest_path"])
    for name in sorted(os.listdir(directory)):
        upper = name.upper()
        path = os.path.join(directory, name)
        if not os.path.isfile(path):
            continue
        is_notice = upper.startswith("NOTICE")
        is_licence = re.match(r"(LICEN[SC]E|COPYING|UNLICENSE)", upper) and "APACHE" not in upper
        if is_notice or (is_licence and licences != ["Apache-2.0"]):
            with open(path, encoding="utf-8", errors="replace") as file:
                text = "\n".join(line.rstrip() for line in file.read().strip().splitlines())
            # LICENSE alone may be Apache's text, which is told once.
            if "Apache License" not in text or is_notice:
                yield text


def main():
    target = sys.argv[1] if len(sys.argv) > 1 else "x86_64-unknown-linux-gnu"
    packages = linked(metadata(target))
    print("Copyright: the setlet authors")
    print("License: Apache-2.0\n")
    print("setlet is licensed under the Apache License, Version 2.0. On Debian systems its text is in")
    print("/usr/share/common-licenses/Apache-2.0.\n")
    print("The program contains these crates:\n")
    found = {}
    for package in packages:
        licences = taken(package)
        authors = ", ".join(re.sub(r"\s*<[^>]*>", "", author) for author in package["authors"])
        print(f"  {package['name']} {package['version']} ({' and '.join(licences)})")
        print(f"    Copyright: {authors or 'the authors of ' + package['name']}")
        for text in texts(package, licences):
            found.setdefault(text, []).append(package["name"])
    for text, names in found.items():
        print(f"\n{'-' * 78}\n{', '.join(names)}:\n\n{text}")


main()

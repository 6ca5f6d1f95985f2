#!/usr/bin/env python3
"""Writes one seed per recorded case into fuzz/corpus/admit: a byte for the kind, then the text."""

import json
import pathlib

# The target reads YAML after an even byte, JSON after an odd one.
YAML, JSON = b"x", b"w"

root = pathlib.Path(__file__).resolve().parent
corpus = root / "corpus" / "admit"
corpus.mkdir(parents=True, exist_ok=True)
for path in sorted((root.parent / "tests/vectors/daemonset-api").glob("*.json")):
    for case in json.loads(path.read_text()):
        if "inputYaml" in case:
            seed = YAML + case["inputYaml"].encode("utf-8", "surrogatepass")
        elif "inputJson" in case:
            seed = JSON + case["inputJson"].encode("utf-8", "surrogatepass")
        else:
            seed = YAML + json.dumps(case["input"]).encode()
        (corpus / case["name"][:100]).write_bytes(seed)

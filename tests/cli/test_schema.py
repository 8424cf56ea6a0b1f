# SPDX-License-Identifier: Apache-2.0
"""The published schema and the loader say the same of one corpus of documents, golden/config/corpus.txt, of the other
documents there, and of what sluice config print prints.

usage: test_schema.py SLUICE
"""
import json
import os
import pathlib
import subprocess
import sys
import unittest

import jsonschema

TREE = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = TREE / "tests/golden/config"
SLUICE = ""


def corpus():
    for number, line in enumerate((GOLDEN / "corpus.txt").read_text(encoding="utf-8").splitlines(), 1):
        if line and line[0] != "#":
            kind, document = line.split(" ", 1)
            yield number, kind, document


class Schema(unittest.TestCase):
    def setUp(self):
        schema = json.loads((TREE / "share/config.schema.json").read_text(encoding="utf-8"))
        jsonschema.Draft7Validator.check_schema(schema)
        self.validator = jsonschema.Draft7Validator(schema)
        self.schema = schema

    def loads(self, text):
        done = subprocess.run([SLUICE, "check", "-"], input=text, capture_output=True, text=True, check=False)
        self.assertIn(done.returncode, (0, 1))
        return done.returncode == 0

    def test_schema_and_loader_agree(self):
        for number, kind, document in corpus():
            with self.subTest(line=number, document=document):
                self.assertEqual(self.loads(document), kind == "good")
                self.assertEqual(self.validator.is_valid(json.loads(document)), kind != "bad")

    def test_all_keys_of_the_schema_are_in_good_documents(self):
        texts = "".join(document for _, kind, document in corpus() if kind == "good")

        def keys(node):
            if isinstance(node, dict):
                if isinstance(node.get("properties"), dict):
                    yield from node["properties"]
                for value in node.values():
                    yield from keys(value)
            elif isinstance(node, list):
                for value in node:
                    yield from keys(value)
        later = {"include", "scoped_upstream_ca_cert", "scoped_verify_upstream", "intercept_ca", "upstream_ca_cert",
                 "verify_upstream", "block_quic_on_intercept"}
        for key in set(keys(self.schema)) - later:
            self.assertIn(f'"{key}"', texts)

    def test_what_is_printed_is_valid(self):
        for path in sorted(GOLDEN.glob("*.out")):
            self.validator.validate(json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(GOLDEN.glob("*.json")):
            self.validator.validate(json.loads(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    SLUICE = os.path.abspath(sys.argv.pop(1))
    unittest.main()

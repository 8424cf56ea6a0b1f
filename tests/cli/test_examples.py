# SPDX-License-Identifier: Apache-2.0
"""The examples of the man pages and of README.md are true: documents are good, and commands print what is printed there.

usage: test_examples.py SLUICE
"""
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import unittest

TREE = pathlib.Path(__file__).resolve().parents[2]
SLUICE = ""

AGENT = "policy:\n  rules:\n    - allow@api.example.com:tcp:443\n    - allow@*.packages.example.org\n"


def blocks(page):
    text = (TREE / "doc" / page).read_text(encoding="utf-8").replace("\\\\", "\\")
    return re.findall(r"^```\n(.*?)^```$", text, re.M | re.S)


class Examples(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.path = pathlib.Path(self.directory.name)
        presets = self.path / "presets"
        presets.mkdir()
        (presets / "example.yaml").write_bytes((TREE / "presets/example.yaml").read_bytes())
        (presets / "example.yaml").chmod(0o644)

    def sluice(self, *args, text=None):
        return subprocess.run([SLUICE, *args], input=text, capture_output=True, text=True, check=False, cwd=self.path,
                              env={**os.environ, "SLUICE_PRESETS": "presets"})

    def test_documents_are_good(self):
        found = blocks("sluice-config.5.scd")
        self.assertGreaterEqual(len(found), 3)
        for document in found:
            done = self.sluice("check", "-", text=document)
            self.assertEqual(done.returncode, 0, document + done.stderr)

    def test_both_forms_of_a_rule_are_the_same(self):
        document = [b for b in blocks("sluice-config.5.scd") if b.startswith("{")][0]
        done = self.sluice("config", "print", "-", text=document)
        self.assertEqual(done.stdout.count('"deny@10.0.0.0/8:tcp:1-1023"'), 2)

    def test_commands_print_what_the_pages_say(self):
        (self.path / "old.yaml").write_text("policy:\n  rules:\n    - allow@api.example.com:tcp:443\n", encoding="utf-8")
        (self.path / "new.yaml").write_text("policy:\n  rules:\n    - allow@api.example.com:tcp:80+443\n", encoding="utf-8")
        for page, agent in (("sluice-check.1.scd", "policy:\n  rules:\n    - allow@pubic\n"), ("sluice-explain.1.scd", AGENT),
                            ("sluice-diff.1.scd", AGENT)):
            (self.path / "agent.yaml").write_text(agent, encoding="utf-8")
            found = blocks(page)
            self.assertTrue(found)
            for block in found:
                command, output = block.split("\n", 1)
                done = self.sluice(*command.removeprefix("$ sluice ").split())
                self.assertEqual(done.stdout + done.stderr, output)

    def test_the_document_of_the_readme_is_good(self):
        text = (TREE / "README.md").read_text(encoding="utf-8")
        document = re.search(r"^    # agent\.yaml\n(.*?)\n\n", text, re.M | re.S).group(1)
        (self.path / "agent.yaml").write_text(re.sub("^    ", "", document, flags=re.M) + "\n", encoding="utf-8")
        self.assertEqual(self.sluice("check", "agent.yaml").returncode, 0)
        self.assertEqual(self.sluice("explain", "agent.yaml", "tcp", "api.example.com:443").returncode, 0)

    def test_commands_of_the_readme_are_possible(self):
        """Their options are understood; they do not get further, for want of a network or a command."""
        text = (TREE / "README.md").read_text(encoding="utf-8")
        commands = re.findall(r"^    (sluice (?:run|serve) .*?)(?: {2,}#.*)?$", text, re.M)
        self.assertGreaterEqual(len(commands), 8)
        (self.path / "agent.yaml").write_text(AGENT, encoding="utf-8")
        for command in commands:
            words = shlex.split(command)[1:]
            at = words.index("--") if "--" in words else len(words)
            done = self.sluice(*words[:at], "--there-is-no-such-option")
            self.assertIn("there-is-no-such-option", done.stderr, command)
            # Rules and profiles are read later than options.
            policy = {key: [words[i + 1] for i in range(at - 1) if words[i] == option]
                      for option, key in (("--net-rule", "rules"), ("--net", "profiles"))}
            done = self.sluice("check", "-", text=json.dumps({"policy": policy}))
            self.assertEqual(done.returncode, 0, command + done.stderr)

    def test_help_and_page_have_the_same_commands(self):
        page = (TREE / "doc/sluice.1.scd").read_text(encoding="utf-8")
        synopsis = page.split("# SYNOPSIS")[1].split("# DESCRIPTION")[0]
        commands = re.findall(r"^  sluice (\w+) ", self.sluice("--help").stdout, re.M)
        self.assertEqual(commands, re.findall(r"^\*sluice (\w+)", synopsis, re.M))
        see_also = page.split("# SEE ALSO")[1]
        for command in set(commands) - {"run", "config"}:
            self.assertIn(f"*sluice-{command}*(1)", see_also)

    def test_the_page_has_all_keys(self):
        page = (TREE / "doc/sluice-config.5.scd").read_text(encoding="utf-8")
        keys = re.findall(r'^\t    \{"([a-z_0-9]+)", ', "".join(
            (TREE / "src/config" / f).read_text(encoding="utf-8") for f in ("network_keys.c", "policy_keys.c", "port_keys.c", "preset.c")), re.M)
        keys += re.findall(r'^    \{"([a-z_0-9]+)", ', (TREE / "src/config/network_keys.c").read_text(encoding="utf-8"), re.M)
        self.assertGreater(len(keys), 40)
        for key in set(keys) - {"any"}:
            self.assertRegex(page, rf"\*{key}\*|{{{key}: |, {key}: ")


if __name__ == "__main__":
    SLUICE = os.path.abspath(sys.argv.pop(1))
    unittest.main()

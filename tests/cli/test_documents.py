# SPDX-License-Identifier: Apache-2.0
"""sluice check, config print, explain, and run --config: what they print, and their exit status.

usage: test_documents.py SLUICE
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

TREE = pathlib.Path(__file__).resolve().parents[2]
SLUICE = ""

AGENT = """\
policy:
  rules:
    - deny@203.0.113.0/24
    - allow@api.example.com:tcp:443
    - allow@*.packages.example.org
    - deny@10.0.0.0/8
    - allow@10.1.0.0/16:tcp
"""


class Documents(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def sluice(self, *args, text=None):
        return subprocess.run([SLUICE, *args], input=text, capture_output=True, text=True, check=False,
                              cwd=self.directory.name)

    def write(self, name, text):
        pathlib.Path(self.directory.name, name).write_text(text, encoding="utf-8")

    # ---- check ----

    def test_a_mistake_is_shown_where_it_is(self):
        self.write("a.yaml", "policy:\n  rules:\n\t- allow@public\n")
        self.write("b.yaml", "policy:\n  rules:\n    - allow@pubic\n    - deny@10.0.0.1/8:tcp\n")
        self.write("c.json", '{"policy": {"rules": [' + '"allow@public", ' * 20 + '"allow@x..example"]}}')
        done = self.sluice("check", "b.yaml", "c.json")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, "")
        lines = done.stderr.splitlines()
        self.assertEqual(lines[0], "b.yaml:3:13: error: policy.rules[0]: unknown target 'pubic': did you mean 'public'?")
        self.assertEqual(lines[1:3], ["    3 |     - allow@pubic", "      |             ^"])
        self.assertTrue(lines[3].startswith("b.yaml:4:12: error: policy.rules[1]: '10.0.0.1/8' has bits set"))
        self.assertEqual(lines[4:6], ["    4 |     - deny@10.0.0.1/8:tcp", "      |            ^"])
        self.assertRegex(lines[6], r"^c\.json:1:\d+: error: policy\.rules\[20\]: ")
        self.assertLess(len(lines[7]), 140)
        self.assertEqual(lines[7][lines[8].index("^")], ".")
        done = self.sluice("check", "a.yaml")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"^a\.yaml:3:1: error: policy\.rules: this cannot be read as YAML: ")

    def test_a_good_document_is_called_good_and_a_rule_without_effect_shown(self):
        done = self.sluice("check", "-", text=AGENT)
        self.assertEqual((done.returncode, done.stdout), (0, "<stdin>: good: 5 rules, 1 warning\n"))
        self.assertRegex(done.stderr, r"^<stdin>:7:7: warning: rule 5, .* has no effect: rule 4, .*\n"
                                      r"    7 \|     - allow@10.1.0.0/16:tcp\n      \|       \^\n$")

    def test_what_cannot_be_read_is_said(self):
        for args, status, text in ((("check", "none.json"), 125, "none.json cannot be read: No such file"),
                                   (("check", "."), 125, ". cannot be read: Is a directory"),
                                   (("check",), 125, "which document?"),
                                   (("config",), 125, "sluice config print FILE"),
                                   (("config", "frint", "x"), 125, "there is no 'sluice config frint'"),
                                   (("config", "print"), 125, "which document?"),
                                   (("explain", "x", "tcp"), 125, "what is to be explained?"),
                                   (("explain", "x", "tpc", "a.example:1"), 125, "the protocol tpc is not known"),
                                   (("explain", "x", "tcp", "a.example"), 125, "a.example has no port"),
                                   (("explain", "x", "icmp", "a.example:1"), 125, "has a port, which ICMP has not"),
                                   (("explain", "x", "tcp", "a.example:0443"), 125, "the port 0443 does not exist"),
                                   (("explain", "x", "tcp", "a/b:1"), 125, "neither an address nor a name"),
                                   (("run", "--config", "none.json", "true"), 125, "none.json cannot be read")):
            with self.subTest(args=args):
                done = self.sluice(*args)
                self.assertEqual((done.returncode, done.stdout), (status, ""))
                self.assertIn(text, done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1)

    # ---- config print ----

    def test_what_is_printed_is_json_and_prints_itself(self):
        for path in sorted(TREE.glob("tests/golden/config/*.yaml")) + sorted(TREE.glob("tests/golden/config/*.json")):
            with self.subTest(path=path.name):
                first = self.sluice("config", "print", path)
                self.assertEqual(first.returncode, 0, first.stderr)
                json.loads(first.stdout)
                again = self.sluice("config", "print", "-", text=first.stdout)
                self.assertEqual((again.returncode, again.stdout, again.stderr), (0, first.stdout, ""))

    # ---- explain ----

    def test_the_verdict_its_rule_and_the_others(self):
        self.write("agent.yaml", AGENT)
        done = self.sluice("explain", "agent.yaml", "tcp", "api.example.com:443")
        self.assertEqual(done.stderr, "")
        self.assertEqual(done.stdout, """\
tcp api.example.com:443
  its name is: allowed by rule 2, allow@api.example.com:tcp:443 (agent.yaml:4:7)
  the connection is: allowed by rule 2, allow@api.example.com:tcp:443 (agent.yaml:4:7)
  rule 1, deny@203.0.113.0/24: is about other addresses (agent.yaml:3:7)
  rule 3, allow@*.packages.example.org: is about other names (agent.yaml:5:7)
  rule 4, deny@10.0.0.0/8: is about other addresses (agent.yaml:6:7)
  rule 5, allow@10.1.0.0/16:tcp: is about other addresses (agent.yaml:7:7)
""")
        self.assertEqual(done.returncode, 0)
        for args, status, texts in (
                (("udp", "10.1.2.3:53"), 1, ["denied by rule 4", "rule 5, allow@10.1.0.0/16:tcp: is not for UDP (agent.yaml:7:7)"]),
                (("tcp", "api.example.com:80"), 1, ["its name is: allowed by rule 2", "denied by the default", "is not for port 80"]),
                (("tcp", "other.example.com:443"), 1, ["its name is: denied by the default"]),
                (("tcp", "a.b.packages.example.org:8080"), 0, ["allowed by rule 3"]),
                (("icmp", "203.0.113.5"), 1, ["denied by rule 1"]),
                (("tcp", "[::ffff:10.0.0.1]:443"), 1, ["denied by rule 4"]),
                (("--address", "203.0.113.5", "tcp", "api.example.com:443"), 1, ["the address in an answer is: ", "denied by rule 1"]),
                (("--ingress", "tcp", "192.0.2.1:22"), 1, ["denied by the default", "is not for ingress"])):
            with self.subTest(args=args):
                done = self.sluice("explain", *args[:-2], "agent.yaml", *args[-2:])
                self.assertEqual(done.returncode, status, done.stdout + done.stderr)
                for text in texts:
                    self.assertIn(text, done.stdout)

    def test_of_many_rules_only_those_about_the_target_are_told(self):
        rules = [f"allow@host{i}.example.com:tcp:80" for i in range(1000)] + ["deny@host7.example.com", "allow@any"]
        done = self.sluice("explain", "-", "tcp", "host7.example.com:443",
                           text=json.dumps({"policy": {"rules": rules}}))
        self.assertEqual(done.returncode, 1)
        self.assertIn("denied by rule 1001, ", done.stdout)
        self.assertIn("rule 8, allow@host7.example.com:tcp:80: is not for port 443 (<stdin>:1:", done.stdout)
        self.assertRegex(done.stdout, r"\n  9[0-9]{2} other rules: about something else\n$")
        self.assertLess(done.stdout.count("\n"), 30)

    def test_what_settings_and_the_engine_say_besides_the_rules(self):
        """Names are asked of sluice alone, and answers are judged only where they are to be."""
        name = ("tcp", "api.example.com:443")
        for args, policy, status, text in (
                (("tcp", "192.0.2.1:853"), {}, 1, "port 853 is: refused, whatever rules say"),
                (("udp", "93.184.216.34:5353"), {}, 1, "port 5353 is: refused"),
                (("tcp", "93.184.216.34:5353"), {}, 0, "the connection is: allowed"),
                (("udp", "93.184.216.34:53"), {}, 0, "port 53 is: answered here, name by name"),
                (("--ingress", "udp", "93.184.216.34:5353"), {"default_ingress": "allow"}, 0, "the connection is: allowed")):
            with self.subTest(args=args):
                document = {"policy": {"rules": ["allow@any"], **policy}}
                done = self.sluice("explain", *args[:-2], "-", *args[-2:], text=json.dumps(document))
                self.assertEqual(done.returncode, status, done.stdout + done.stderr)
                self.assertIn(text, done.stdout)
        for is_on, status in (True, 1), (False, 0):
            document = {"policy": {"rules": ["allow@api.example.com"]}, "dns": {"rebind_protection": is_on}}
            done = self.sluice("explain", "--address", "10.0.0.1", "-", *name, text=json.dumps(document))
            self.assertEqual((done.returncode, "(rebind)" in done.stdout), (status, is_on), done.stdout)

    # ---- diff ----

    def test_what_an_edit_opens_and_closes(self):
        self.write("old.yaml", AGENT)
        self.write("new.yaml", """\
policy:
  default_ingress: allow
  rules:
    - allow@203.0.113.0/25:tcp:443
    - allow@api.example.com:tcp:80+443
    - allow@*.packages.example.org:tcp
    - deny@10.0.0.0/9
    - allow@private:udp
    - allow@dns
""")
        done = self.sluice("diff", "old.yaml", "new.yaml")
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        lines = done.stdout.splitlines()
        i = lines.index("opens egress tcp:443 to 203.0.113.0/25: rule 1, allow@203.0.113.0/25:tcp:443; before: rule 1, deny@203.0.113.0/24")
        self.assertEqual(lines[i + 1:i + 3], ["  now: new.yaml:4:7", "  before: old.yaml:3:7"])
        i = lines.index("opens egress tcp:80 to api.example.com: rule 2, allow@api.example.com:tcp:80+443; before: default deny")
        self.assertEqual(lines[i + 1], "  now: new.yaml:5:7")
        self.assertTrue(any(line.startswith("closes egress udp+icmp to packages.example.org") for line in lines))
        self.assertTrue(any(line.startswith("opens ingress from ") for line in lines))
        self.assertEqual(self.sluice("diff", "new.yaml", "new.yaml").stdout, "")
        self.assertEqual(self.sluice("diff", "new.yaml", "new.yaml").returncode, 0)
        back = self.sluice("diff", "new.yaml", "old.yaml")
        self.assertEqual(len(re.findall("^opens", back.stdout, re.M)), len(re.findall("^closes", done.stdout, re.M)))
        self.assertEqual(len(re.findall("^closes", back.stdout, re.M)), len(re.findall("^opens", done.stdout, re.M)))

    def test_an_edit_that_says_the_same_in_other_words_changes_nothing(self):
        for old, new in ((["allow@10.0.0.0/7"], ["allow@10.0.0.0/8", "allow@11.0.0.0/8"]),
                         (["allow@public:tcp:1-100"], ["allow@public:tcp:50-100", "allow@public:tcp:1-60"]),
                         (["allow@any:tcp", "allow@any:udp", "allow@any:icmp"], ["allow@any"]),
                         (["allow@*.example.com"], ["allow@*.example.com", "deny@10.0.0.0/8", "allow@a.example.com"])):
            self.write("b.json", json.dumps({"policy": {"rules": new}}))
            done = self.sluice("diff", "-", "b.json", text=json.dumps({"policy": {"rules": old}}))
            self.assertEqual((done.returncode, done.stdout), (0, ""), (old, new))

    # ---- presets ----

    def preset(self, name, rules, version=1, mode=0o644):
        directory = pathlib.Path(self.directory.name, "presets")
        directory.mkdir(exist_ok=True)
        path = directory / f"{name}.yaml"
        path.write_text(f"preset: {name}\nversion: {version}\nrules:\n{rules}", encoding="utf-8")
        path.chmod(mode)
        return path

    def with_presets(self, *args, text=None, presets="presets"):
        return subprocess.run([SLUICE, *args], input=text, capture_output=True, text=True, check=False,
                              cwd=self.directory.name, env={**os.environ, "SLUICE_PRESETS": presets})

    def test_the_rules_of_a_preset_stand_where_it_is_included(self):
        self.preset("b", "  - {rule: allow@b.example, strangers_write: true, note: all can write}\n")
        self.preset("a", "  - {rule: allow@a.example:tcp:443, strangers_write: false}\n  - include: b\n", version=7)
        self.write("d.yaml", "policy:\n  rules:\n  - deny@x.a.example\n  - {include: a, version: 7}\n  - allow@dns\n")
        done = self.with_presets("config", "print", "d.yaml")
        self.assertEqual(json.loads(done.stdout)["policy"]["rules"],
                         ["deny@x.a.example", "allow@a.example:tcp:443", "allow@b.example", "allow@dns"])
        done = self.with_presets("check", "d.yaml")
        self.assertEqual((done.returncode, done.stdout), (0, "d.yaml: good: 4 rules, 1 warning\n"))
        self.assertIn("presets/b.yaml:4:12: warning: rules[0]: strangers can write there", done.stderr)
        done = self.with_presets("explain", "d.yaml", "tcp", "b.example:80")
        self.assertIn("allowed by rule 3, allow@b.example (presets/b.yaml:4:12)", done.stdout)

    def test_presets_that_cannot_be_included(self):
        self.preset("a", "  - include: b\n")
        self.preset("b", "  - include: a\n")
        self.preset("open", "  - {rule: allow@a.example, strangers_write: false}\n", mode=0o666)
        self.preset("silent", "  - {rule: allow@a.example}\n")
        self.preset("both", "  - {rule: allow@a.example, strangers_write: true, include: a}\n")
        self.preset("typo", "  - {rule: allow@a..example, strangers_write: true}\n")
        self.preset("other", "[]\n").rename(pathlib.Path(self.directory.name, "presets/renamed.yaml"))
        pathlib.Path(self.directory.name, "presets/dir.yaml").mkdir()
        for include, text in (("a", "the preset 'a' includes itself"), ("open", "can be changed by others than root and you"),
                              ("none", "there is no preset 'none' in presets"), ("../d", "and no path"),
                              ("/etc/passwd", "and no path"), ("silent", "can strangers write to where this rule leads?"),
                              ("both", "an entry has a rule, or includes a preset"), ("typo", "an empty label"),
                              ("renamed", "this is not the name of the file: write 'renamed'"),
                              ("dir", "cannot be read: Is a directory"), ("A", "and no path"),
                              ("silent, version: 2", "can strangers"), ("x, action: allow", "stand alone")):
            with self.subTest(include=include):
                done = self.with_presets("check", "-", text=f"policy: {{rules: [{{include: {include}}}]}}")
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn(text, done.stderr)

    def test_the_sample_preset_is_one(self):
        sample = TREE / "presets/example.yaml"
        self.preset("x", "[]\n")
        pathlib.Path(self.directory.name, "presets/example.yaml").write_bytes(sample.read_bytes())
        pathlib.Path(self.directory.name, "presets/example.yaml").chmod(0o644)
        done = self.with_presets("check", "-", text="policy: {rules: [{include: example, version: 1}]}")
        self.assertEqual((done.returncode, done.stdout), (0, "<stdin>: good: 3 rules, 1 warning\n"))
        done = self.with_presets("check", "-", text="policy: {rules: [{include: example, version: 2}]}")
        self.assertIn("the preset 'example' has version 1: look at what has changed, then write that", done.stderr)

    # ---- floor: A14, B23 ----

    def test_a_floor_cannot_be_widened(self):
        self.write("tenant.yaml", "policy: {rules: [allow@any]}\n")
        self.write("floor.yaml", "policy:\n  default_ingress: allow\n  rules:\n  - deny@10.1.0.0/16\n  - allow@10.0.0.0/8\n")
        done = self.sluice("explain", "tenant.yaml", "tcp", "10.1.2.3:80")
        self.assertEqual(done.returncode, 0)
        done = self.sluice("explain", "--policy-floor", "floor.yaml", "tenant.yaml", "tcp", "10.1.2.3:80")
        self.assertIn("denied by the floor's rule 1, deny@10.1.0.0/16 (floor.yaml:4:5)", done.stdout)
        self.assertEqual(done.returncode, 1)
        done = self.sluice("explain", "--policy-floor", "floor.yaml", "tenant.yaml", "tcp", "10.2.2.3:80")
        self.assertEqual(done.returncode, 0)
        done = self.sluice("explain", "--policy-floor", "floor.yaml", "tenant.yaml", "tcp", "192.168.0.1:80")
        self.assertIn("denied by the default of the floor", done.stdout)

    def test_a_floor_is_a_policy_and_nothing_else(self):
        self.write("a.yaml", "policy: {}\nmax_connections: 5\n")
        self.write("b.yaml", "{}")
        for name, text in (("a.yaml", "unknown key: there is network, $schema, version or policy here"),
                           ("b.yaml", "a floor without policy")):
            done = self.sluice("run", "--policy-floor", name, "true")
            self.assertEqual(done.returncode, 125)
            self.assertIn(text, done.stderr)

    # ---- run ----

    def test_options_go_over_the_document(self):
        self.write("d.yaml", "interface: {ipv4_address: 100.96.0.10, ipv6_address: fd00::2}\n"
                             "dns: {nameservers: [192.0.2.1, 192.0.2.2]}\n")
        done = self.sluice("run", "--config", "d.yaml", "-v", "true")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("command 100.96.0.10/30", done.stderr)
        self.assertIn("resolver: 192.0.2.2:53", done.stderr)
        done = self.sluice("run", "-v", "--ipv4", "100.96.0.6", "--config", "d.yaml", "--dns-nameserver", "192.0.2.9", "true")
        self.assertIn("command 100.96.0.6/30", done.stderr)
        self.assertIn("command fd00::2/64", done.stderr)
        self.assertEqual(re.findall(r"resolver: (\S+)", done.stderr), ["192.0.2.9:53"])

    def test_no_network(self):  # R6
        self.write("off.yaml", "enabled: false\n")
        self.write("on.yaml", "policy: {rules: [allow@public]}\n")
        done = self.sluice("run", "--config", "off.yaml", "ls", "/sys/class/net")
        self.assertEqual((done.returncode, done.stdout), (0, "lo\n"))
        done = self.sluice("run", "--config", "on.yaml", "--net", "none", "true")
        self.assertEqual(done.returncode, 125)
        self.assertIn("--net none does not go together with the policy of on.yaml", done.stderr)
        done = self.sluice("serve", "--config", "off.yaml", "--port", "stream:x")
        self.assertEqual(done.returncode, 125)
        self.assertIn("there is nothing to serve", done.stderr)

    def test_a_bad_document_starts_nothing(self):
        self.write("bad.yaml", "polcy: {}\n")
        done = self.sluice("run", "--config", "bad.yaml", "echo", "ran")
        self.assertEqual((done.returncode, done.stdout), (125, ""))
        self.assertIn("bad.yaml:1:1: error: polcy: unknown key: did you mean 'policy'?", done.stderr)
        self.assertIn("the document bad.yaml cannot be used", done.stderr)
        done = self.sluice("run", "--config", "bad.yaml", "--config", "bad.yaml", "true")
        self.assertIn("--config is given twice", done.stderr)

    # ---- help ----

    def test_help_is_as_in_the_golden_files(self):
        for command in ("check", "config", "diff", "explain"):
            with self.subTest(command=command):
                done = self.sluice(command, "--help")
                self.assertEqual(done.stdout, (TREE / f"tests/golden/help/{command}.txt").read_text(encoding="utf-8"))


if __name__ == "__main__":
    SLUICE = os.path.abspath(sys.argv.pop(1))
    unittest.main()

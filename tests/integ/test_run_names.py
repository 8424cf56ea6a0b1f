#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Names under sluice run: a guest that asks, resolvers on the host that log what reaches them, and lie
(behaviours 4; threats 1).

The host is a network namespace of the test itself, with all addresses on lo."""
import json
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading

import harness
from harness import Case

HOST_V4 = "203.0.113.7"
OTHER_V4 = "203.0.113.8"
TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "RRSIG": 46, "HTTPS": 65,
         "AXFR": 252, "ANY": 255}
PUBLIC = "93.184.216.34"


def name_bytes(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def record(name, kind, data, ttl=60):
    """A record; data is an address, or bytes."""
    if isinstance(data, str):
        data = socket.inet_pton(socket.AF_INET6 if ":" in data else socket.AF_INET, data)
    return name_bytes(name) + struct.pack(">HHIH", TYPES[kind], 1, ttl, len(data)) + data


class Resolver:
    """A resolver on the host by UDP and TCP, which logs each question. answers: what to say to (name, type): a list of
    records, a code, a function of the query that returns bytes, or None: silence."""

    def __init__(self, case, answers, address=HOST_V4, port=0):
        self.answers = answers
        self.asked = []
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((address, port))
        self.port = self.udp.getsockname()[1]
        self.tcp = socket.create_server((address, self.port))
        self.address = f"{address}:{self.port}"
        for sock in self.udp, self.tcp:
            case.addCleanup(sock.close)
        threading.Thread(target=self.serve_udp, daemon=True).start()
        threading.Thread(target=self.serve_tcp, daemon=True).start()

    def reply(self, query, by):
        end = query.index(b"\0", 12) + 5
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode("latin1"))
            at += 1 + query[at]
        name = ".".join(labels).lower()
        kind = struct.unpack(">H", query[end - 4:end - 2])[0]
        kind = next((k for k, v in TYPES.items() if v == kind), str(kind))
        self.asked.append((name, kind, by, query))
        say = self.answers.get((name, kind), self.answers.get(name, 3))
        if callable(say):
            say = say(query)
        if say is None or isinstance(say, bytes):
            return say
        code, records = (say, []) if isinstance(say, int) else (0, say)
        head = query[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(records), 0, 0)
        message = head + query[12:end] + b"".join(records)
        if by == "udp" and len(message) > 1232:
            message = query[:2] + struct.pack(">HHHHH", 0x8380, 1, 0, 0, 0) + query[12:end]
        return message

    def serve_udp(self):
        while True:
            try:
                query, client = self.udp.recvfrom(4096)
            except OSError:
                return
            message = self.reply(query, "udp")
            try:
                _ = message and self.udp.sendto(message, client)
            except OSError:
                return

    def serve_tcp(self):
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            with connection:
                size = connection.recv(2, socket.MSG_WAITALL)
                if len(size) == 2:
                    query = connection.recv(struct.unpack(">H", size)[0], socket.MSG_WAITALL)
                    message = self.reply(query, "tcp")
                    if message:
                        connection.sendall(struct.pack(">H", len(message)) + message)

    def once_told(self, records):
        """An answer that waits until the guest asks for go.test. What comes before that is noted."""
        def wait(_query):
            while True:
                query, _ = self.udp.recvfrom(4096)
                if b"\2go\4test\0" in query.lower():
                    return records
                self.asked.append(("too much", "", "udp", query))
        return wait

    def names(self):
        return [name for name, *_ in self.asked]


# The guest: ask() returns what there is in an answer; what the script prints is JSON.
GUEST = r"""
import errno, json, socket, struct, sys, time
TYPES = %r
GATEWAY = "100.96.0.1"
PATIENCE = 60

def query(name, kind="A", edns=0, id=0x4242, do=False, labels=None):
    labels = labels if labels is not None else [l.encode() for l in name.split(".") if l]
    q = b"".join(bytes([len(l)]) + l for l in labels) + b"\0"
    m = struct.pack(">HHHHHH", id, 0x100, 1, 0, 0, 1 if edns else 0) + q + struct.pack(">HH", TYPES[kind], 1)
    return m + (b"\0" + struct.pack(">HHIH", 41, edns, 0x8000 if do else 0, 0) if edns else b"")

def skip_name(m, at):
    while m[at]:
        if m[at] >= 0xc0:
            return at + 2
        at += 1 + m[at]
    return at + 1

def parse(m):
    id, flags, qd, an, ns, ar = struct.unpack(">HHHHHH", m[:12])
    at = 12
    for _ in range(qd):
        at = skip_name(m, at) + 4
    r = {"id": id, "code": flags & 15, "tc": flags >> 9 & 1, "aa": flags >> 10 & 1, "ad": flags >> 5 & 1, "len": len(m),
         "addresses": [], "types": [], "ttl": [], "ede": None, "authority": ns, "question": m[12:at].hex()}
    for i in range(an + ns + ar):
        at = skip_name(m, at)
        kind, cls, ttl, size = struct.unpack(">HHIH", m[at:at + 10])
        data = m[at + 10:at + 10 + size]
        at += 10 + size
        if kind == 41:
            if size >= 6:
                r["ede"] = struct.unpack(">H", data[4:6])[0]
            continue
        if i < an:
            r["types"].append(kind)
            r["ttl"].append(ttl)
            if kind == 1 or kind == 28:
                r["addresses"].append(socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, data))
    assert at == len(m)
    return r

def udp(server=GATEWAY, port=53):
    s = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(PATIENCE)
    s.connect((server, port))
    return s

def ask_raw(m, server=GATEWAY):
    s = udp(server)
    s.send(m)
    return parse(s.recv(65536))

def ask(name, kind="A", server=GATEWAY, **more):
    return ask_raw(query(name, kind, **more), server)

def tcp(server=GATEWAY):
    return socket.create_connection((server, 53), PATIENCE)

def tcp_read(s):
    size = s.recv(2, socket.MSG_WAITALL)
    return parse(s.recv(struct.unpack(">H", size)[0], socket.MSG_WAITALL)) if size else None

def framed(m):
    return struct.pack(">H", len(m)) + m

def ask_tcp(name, kind="A", server=GATEWAY, **more):
    s = tcp(server)
    s.sendall(framed(query(name, kind, **more)))
    return tcp_read(s)

def show(*what):
    print(json.dumps(what))

""" % TYPES


class Names(Case):
    def run_guest(self, script, resolver=None, rules=(), more=()):
        options = [*harness.WITH_ADDRESSES, *more]
        for r in resolver if isinstance(resolver, list) else [resolver] if resolver else []:
            options += ["--dns-nameserver", r.address]
        for rule in rules:
            options += ["--net-rule", rule]
        done = self.sluice(harness.PYTHON, "-c", GUEST + script, options=options)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return json.loads(done.stdout.splitlines()[-1]) if done.stdout else None

    def test_d1_a_question_goes_to_the_resolver_and_the_answer_has_the_guests_id(self):
        r = Resolver(self, {"a.test": [record("a.test", "A", PUBLIC)]})
        by_udp, by_udp6, by_tcp = self.run_guest(
            "show(ask('a.test', id=7), ask('A.TEST', server='fd42:6d73:62::1'), ask_tcp('a.test', id=9))", r)
        self.assertEqual([x["addresses"] for x in (by_udp, by_udp6, by_tcp)], [[PUBLIC]] * 3)
        self.assertEqual((by_udp["id"], by_tcp["id"]), (7, 9))
        # The guest's letters come back, whatever the case that went out.
        self.assertEqual(bytes.fromhex(by_udp6["question"])[1:2], b"A")
        # The second and third are answered by what is known.
        self.assertEqual(r.names(), ["a.test"])

    def test_d4_nothing_is_asked_without_a_rule_that_allows_it(self):
        r = Resolver(self, {"a.test": [record("a.test", "A", PUBLIC)]})
        answers = self.run_guest("show(ask('a.test', edns=1232), ask_tcp('a.test'), ask('a.test', 'AAAA'))", r,
                                 [f"allow@{HOST_V4}"])
        self.assertEqual([x["code"] for x in answers], [3, 3, 3])
        self.assertEqual(answers[0]["ede"], 15)
        self.assertEqual(r.names(), [])

    def test_d5_d6_rules_about_names_decide_what_is_asked(self):
        r = Resolver(self, {n: [record(n, "A", PUBLIC)] for n in ("a.test", "b.test", "x.b.test")})
        script = "show(*[ask(n)['code'] for n in ('a.test', 'b.test', 'X.B.test', 'c.test', 'b.test.a.test')])"
        self.assertEqual(self.run_guest(script, r, ["allow@*.b.test:tcp:443"]), [3, 0, 0, 3, 3])
        self.assertEqual(r.names(), ["b.test", "x.b.test"])
        r.asked.clear()
        self.assertEqual(self.run_guest(script, r, ["deny@*.b.test:tcp:443,allow@dns"]), [0, 3, 3, 3, 3])
        self.assertEqual(r.names(), ["a.test", "c.test", "b.test.a.test"])

    def test_d7_d8_d9_d10_addresses_in_answers_are_judged(self):
        bad4 = ("10.0.0.1", "127.0.0.1", "169.254.169.254", "192.168.1.1", "100.64.0.1", "0.0.0.0", "192.0.0.8", "224.0.0.1",
                "198.51.100.1", "255.255.255.255")
        bad6 = ("::", "::1", "::ffff:10.0.0.1", "64:ff9b:1::a00:1", "64:ff9b::a00:1", "fd00::1", "fe80::1", "ff02::1",
                "2002:a00:1::1")
        answers = {f"v4-{i}.test": [record(f"v4-{i}.test", "A", a)] for i, a in enumerate(bad4)}
        answers.update({f"v6-{i}.test": [record(f"v6-{i}.test", "AAAA", a)] for i, a in enumerate(bad6)})
        answers["mixed.test"] = [record("mixed.test", "A", "10.0.0.1"), record("mixed.test", "A", PUBLIC)]
        r = Resolver(self, answers)
        script = (f"show([ask('v4-%d.test' % i, edns=1232) for i in range({len(bad4)})] + "
                  f"[ask('v6-%d.test' % i, 'AAAA', edns=1232) for i in range({len(bad6)})], ask('mixed.test'))")
        bad, mixed = self.run_guest(script, r)
        self.assertEqual([(x["code"], x["addresses"], x["ede"]) for x in bad], [(3, [], 17)] * (len(bad4) + len(bad6)))
        # Threat D10: what is good of a mixed answer stays.
        self.assertEqual((mixed["code"], mixed["addresses"]), (0, [PUBLIC]))
        first = "show(ask('v4-0.test')['addresses'])"
        self.assertEqual(self.run_guest(first, r, more=["--net", "public,private"]), [["10.0.0.1"]])
        self.assertEqual(self.run_guest(first, r, ["deny@10.0.0.1"], ["--net", "public,private"]), [[]])
        self.assertEqual(self.run_guest(first, r, more=["--dns-rebind-protection", "off"]), [["10.0.0.1"]])

    def test_d11_d12_d13_silent_and_failing_resolvers(self):
        silent = Resolver(self, {"a.test": None, "b.test": None, "c.test": None})
        good = Resolver(self, {n: [record(n, "A", PUBLIC)] for n in ("a.test", "b.test", "c.test")}, OTHER_V4)
        answers = self.run_guest("show(ask('a.test'), ask('b.test'), ask('c.test'))", [silent, good])
        self.assertEqual([x["addresses"] for x in answers], [[PUBLIC]] * 3)
        self.assertEqual(good.names(), ["a.test", "b.test", "c.test"])
        self.assertEqual(silent.names(), ["a.test"])
        code, = self.run_guest("show(ask('a.test')['code'])", silent, more=["--dns-query-timeout-ms", "500"])
        self.assertEqual(code, 2)
        for code in (2, 5):
            failing = Resolver(self, {"a.test": code})
            good.asked.clear()
            self.assertEqual(self.run_guest("show(ask('a.test')['code'])", [failing, good]), [code])
            self.assertEqual(good.names(), [])

    def test_d14_d27_what_is_no_good_question(self):
        r = Resolver(self, {})
        script = r"""
two = query("a.test")[:4] + b"\0\2" + query("a.test")[6:] + query("a.test")[12:]
none = query("a.test")[:4] + b"\0\0" + query("a.test")[6:12]
loop = query("a.test")[:12] + b"\xc0\x0c\0\1\0\1"
trail = query("a.test") + b"x"
large = query("a.test") + bytes(5000 - 24)
notimp = query("a.test")[:2] + b"\x28\0" + query("a.test")[4:]
chaos = query("a.test")[:-1] + b"\3"
s = udp()
s.send(b"")
s.send(b"xxxxxxxxxxx")
s.send(query("a.test")[:2] + b"\x81\x80" + query("a.test")[4:])
odd = [[b"a b", b"test"], [b"a\0", b"test"], [b"a.b", b"test"], [b"\xc3\xa9", b"test"], [b"1", b"2", b"3", b"4"], [b"0x7f"]]
show([ask_raw(m)["code"] for m in (two, none, loop, trail, large, notimp, chaos)],
     [ask_raw(query("", labels=l))["code"] for l in odd], [ask("x" * 63 + ".test")["code"]],
     [ask("a.test", t)["code"] for t in ("ANY", "AXFR")])
"""
        malformed, odd, long, types = self.run_guest(script, r)
        self.assertEqual(malformed, [1, 1, 1, 1, 1, 4, 5])
        self.assertEqual(odd, [3] * 6)
        self.assertEqual(long, [3])
        self.assertEqual(types, [0, 0])
        self.assertEqual(r.names(), ["x" * 63 + ".test"])

    def test_d15_an_answer_that_does_not_fit_is_truncated_and_whole_by_tcp(self):
        many = [record("a.test", "A", f"93.184.216.{i}") for i in range(1, 60)]
        # 35 records are 900 bytes and more, as the resolver says it.
        r = Resolver(self, {"a.test": many, "b.test": [record("b.test", "TXT", b"\xff" + b"x" * 255)] * 40})
        small, edns, by_tcp, text, text_tcp = self.run_guest(
            "show(ask('a.test'), ask('a.test', edns=4096), ask_tcp('a.test'), ask('b.test', 'TXT', edns=4096), "
            "ask_tcp('b.test', 'TXT'))", r)
        self.assertEqual((small["tc"], small["addresses"], small["code"]), (1, [], 0))
        self.assertEqual(len(small["question"]), 2 * (8 + 4))
        self.assertEqual((edns["tc"], len(edns["addresses"])), (0, 59))
        self.assertEqual(len(by_tcp["addresses"]), 59)
        # 10 KiB come by TCP from the resolver too.
        self.assertEqual((text["tc"], text["types"]), (1, []))
        self.assertEqual(text_tcp["types"], [16] * 40)
        self.assertIn("tcp", [by for _, _, by, _ in r.asked])

    def test_d16_d17_questions_in_a_stream_however_they_are_cut(self):
        r = Resolver(self, {f"n{i}.test": [record(f"n{i}.test", "A", f"93.184.216.{i}")] for i in range(100)})
        script = r"""
s = tcp()
s.sendall(b"\0\0" + b"".join(framed(query("n%d.test" % i, id=i)) for i in range(100)))
many = sorted((a["id"], a["addresses"][0]) for a in (tcp_read(s) for _ in range(100)))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for b in framed(query("n5.test", id=5)):
    s.sendall(bytes([b]))
slow = tcp_read(s)
s.sendall(b"\0")
s.close()
# Half closed with a question under way (D19): the answer still comes, then the end.
s = tcp()
s.sendall(framed(query("late.test", id=1)))
s.shutdown(socket.SHUT_WR)
udp().send(query("go.test"))
late = tcp_read(s)
end = s.recv(10)
s = tcp()
s.sendall(b"\xff\xff" + bytes(65535) + framed(query("n6.test", id=6)))
big = tcp_read(s)
show(many, slow["addresses"], late["code"], len(end), big["id"])
"""
        r.answers["late.test"] = r.once_told([record("late.test", "A", PUBLIC)])
        many, slow, late, end, big = self.run_guest(script, r)
        self.assertEqual(many, [[i, f"93.184.216.{i}"] for i in range(100)])
        self.assertEqual(slow, ["93.184.216.5"])
        self.assertEqual((late, end), (0, 0))
        self.assertIn(big, (0, 6))

    def test_d20_other_name_protocols_do_not_leave(self):
        script = r"""
def refused(port):
    s = udp(%r, port)
    s.send(b"x")
    try:
        s.recv(1)
    except OSError as e:
        return e.errno
s = socket.socket()
s.settimeout(PATIENCE)
show([refused(p) for p in (853, 5353, 5355, 137)], s.connect_ex((%r, 853)))
""" % (OTHER_V4, OTHER_V4)
        refused, dot = self.run_guest(script, rules=[f"allow@{OTHER_V4}"])
        self.assertEqual(len([e for e in refused if e]), 4)
        self.assertEqual(dot, 111)

    def test_d21_d22_d23_names_of_the_host(self):
        r = Resolver(self, {"host.microsandbox.internal": [record("host.microsandbox.internal", "TXT", b"\1x")]})
        a, aaaa, other, text = self.run_guest(
            "show(ask('Host.MicroSandbox.internal.'), ask('host.sluice.internal', 'AAAA'), ask('x.host.sluice.internal'), "
            "ask('host.microsandbox.internal', 'TXT'))", r)
        self.assertEqual((a["addresses"], a["ttl"], a["aa"]), (["100.96.0.1"], [60], 1))
        self.assertEqual(aaaa["addresses"], ["fd42:6d73:62::1"])
        self.assertEqual(other["code"], 3)
        self.assertEqual(text["types"], [16])
        self.assertEqual(r.names(), ["x.host.sluice.internal", "host.microsandbox.internal"])

    def test_d24_a_family_that_the_guest_does_not_have(self):
        r = Resolver(self, {"a.test": [record("a.test", "A", PUBLIC)]})
        route = ["route", "default", "dev", "lo"]
        subprocess.run(["ip", "-6", route[0], "del", *route[1:]], check=True)
        self.addCleanup(subprocess.run, ["ip", "-6", route[0], "add", *route[1:]], check=True)
        done = self.sluice(harness.PYTHON, "-c", GUEST + "show(ask('a.test', 'AAAA'), ask('a.test'))",
                           options=["--ipv4", "100.96.0.2", "--dns-nameserver", r.address])
        aaaa, a = json.loads(done.stdout)
        self.assertEqual((aaaa["code"], aaaa["addresses"]), (0, []))
        self.assertEqual(a["addresses"], [PUBLIC])
        self.assertEqual(r.names(), ["a.test"])

    def test_d26_signatures_come_with_do(self):
        signature = struct.pack(">HBBIIIH", 1, 8, 2, 60, 0, 0, 1) + name_bytes("test") + b"signature"
        r = Resolver(self, {"a.test": [record("a.test", "A", PUBLIC), record("a.test", "RRSIG", signature)]})
        signed, plain = self.run_guest("show(ask('a.test', edns=1232, do=True), ask('a.test', edns=1232))", r)
        self.assertEqual(signed["types"], [1, 46])
        self.assertEqual(plain["types"], [1])
        flags = [query[-4] >> 7 for *_, query in r.asked]
        self.assertEqual(flags, [1, 0])

    def test_d28_a_denied_name_fails_at_once(self):
        r = Resolver(self, {})
        script = r"""
import time
def span(name):
    from_s = time.monotonic()
    try:
        socket.getaddrinfo(name, 80)
    except OSError as e:
        return e.errno, time.monotonic() - from_s
show(span("denied.test"), span("a.denied.test"))
"""
        for error, _ in self.run_guest(script, r, [f"allow@{HOST_V4}"]):
            self.assertEqual(error, socket.EAI_NONAME)
        self.assertEqual(r.names(), [])

    def test_answers_are_kept_for_their_time_and_told_with_what_is_left(self):
        soa = name_bytes("ns.test") + b"\0" + struct.pack(">IIIII", 1, 2, 3, 4, 60)

        def nothing(query):
            end = query.index(b"\0", 12) + 5
            return (query[:2] + struct.pack(">HHHHH", 0x8183, 1, 0, 1, 0) + query[12:end] +
                    record("test", "SOA", soa, 60))

        r = Resolver(self, {"a.test": [record("a.test", "A", PUBLIC, 60)], "no.test": nothing,
                            "z.test": [record("z.test", "A", PUBLIC, 0)]})
        first, second, _, no, _, _ = self.run_guest(
            "show(ask('a.test'), ask('a.test'), ask('no.test'), ask('no.test'), ask('z.test'), ask('z.test'))", r)
        self.assertEqual(first["addresses"], second["addresses"])
        self.assertLessEqual(second["ttl"][0], first["ttl"][0])
        self.assertEqual((no["code"], no["authority"]), (3, 1))
        self.assertEqual(r.names(), ["a.test", "no.test", "z.test", "z.test"])
        r.asked.clear()
        self.run_guest("show(ask('a.test'), ask('a.test'))", r, more=["--dns-cache-size", "0"])
        self.assertEqual(r.names(), ["a.test", "a.test"])

    def test_the_same_question_at_once_is_asked_once(self):
        r = Resolver(self, {})
        r.answers["a.test"] = r.once_told([record("a.test", "A", PUBLIC, 0)])
        script = r"""
s = udp()
for i in range(20):
    s.send(query("a.test", id=i))
udp().send(query("go.test"))
show(sorted(parse(s.recv(4096))["id"] for _ in range(20)))
"""
        self.assertEqual(self.run_guest(script, r), [list(range(20))])
        self.assertEqual(r.names(), ["a.test"])

    def test_a_resolver_that_lies_is_not_believed(self):
        """Wrong identifier, another question, records of others, loops, nonsense: no answer, or SERVFAIL."""
        def with_id(query):
            return bytes([query[0] ^ 1]) + b"\0\x81\x80" + query[4:]

        def chain(query):
            end = query.index(b"\0", 12) + 5
            return (query[:2] + struct.pack(">HHHHH", 0x8180, 1, 2, 0, 0) + query[12:end] +
                    record("loop.test", "CNAME", name_bytes("b.test")) + record("b.test", "CNAME", name_bytes("loop.test")))

        def stranger(query):
            end = query.index(b"\0", 12) + 5
            return (query[:2] + struct.pack(">HHHHH", 0x8180, 1, 1, 0, 1) + query[12:end] +
                    record("bank.test", "A", PUBLIC) + record("extra.test", "A", "93.184.216.66"))

        def nonsense(query):
            return query[:2] + b"\x81\x80\0\1\xff\xff\xff\xff\xff\xff" + query[12:]

        r = Resolver(self, {"id.test": with_id, "loop.test": chain, "extra.test": stranger, "bad.test": nonsense,
                            "bank.test": 3})
        answers = self.run_guest("show(*[ask(n + '.test') for n in ('id', 'loop', 'extra', 'bad', 'bank')])", r,
                                 more=["--dns-query-timeout-ms", "700"])
        self.assertEqual([x["code"] for x in answers], [2, 2, 0, 2, 3])
        self.assertEqual([x["addresses"] for x in answers], [[]] * 5)

    def test_names_under_a_domain_go_to_its_own_servers(self):
        main = Resolver(self, {"a.test": [record("a.test", "A", PUBLIC)]})
        corp = Resolver(self, {"a.corp.test": [record("a.corp.test", "A", PUBLIC)]}, OTHER_V4)
        answers = self.run_guest("show(ask('a.test'), ask('A.corp.test'))", main,
                                 more=["--dns-domain", f"corp.test={corp.address}"])
        self.assertEqual([x["addresses"] for x in answers], [[PUBLIC]] * 2)
        self.assertEqual((main.names(), corp.names()), (["a.test"], ["a.corp.test"]))

    def test_questions_are_told_as_events(self):
        r = Resolver(self, {"a.test": [record("a.test", "A", PUBLIC)]})
        place = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, place)
        os.chmod(place, 0o777)
        path = os.path.join(place, "names.json")
        self.run_guest("show(ask('a.test'), ask('A.test'), ask('b.test'))", r, ["deny@b.test,allow@dns"],
                       ["--events", path])
        events = [e for e in map(json.loads, harness.read_file(path).splitlines()) if e["event"] == "query"]
        self.assertEqual([(e["name"], e["type"], e["verdict"], e["answer"], e["addresses"], e["cached"]) for e in events],
                         [("a.test", "A", "allow", "NOERROR", [PUBLIC], False),
                          ("a.test", "A", "allow", "NOERROR", [PUBLIC], True),
                          ("b.test", "A", "deny", "NXDOMAIN", [], False)])
        self.assertEqual([e["rule"] for e in events], ["allow@dns", "allow@dns", "deny@b.test"])

    def test_the_hosts_resolvers_are_followed(self):
        """Also when the host has none at first (reference 1.8.6, 1.8.9)."""
        if self.user != "root" or not harness.is_root():
            self.skipTest("needs a mount namespace")
        first = Resolver(self, {"a.test": [record("a.test", "A", "93.184.216.1")]}, HOST_V4, 53)
        second = Resolver(self, {"a.test": [record("a.test", "A", "93.184.216.2")]}, OTHER_V4, 53)
        with tempfile.TemporaryDirectory() as place:
            etc = os.path.join(place, "etc")
            shutil.copytree("/etc", etc, symlinks=True, ignore=lambda *_: ["resolv.conf"])
            script = GUEST + r"""
def until(what):
    while (found := ask("a.test")["addresses"]) != what:
        pass
    print(found, flush=True)
until([])
until(["93.184.216.1"])
until(["93.184.216.2"])
until([])
"""
            process = harness.start(["unshare", "-m", "sh", "-euc", f"mount --bind {etc} /etc; exec \"$@\"", "sh",
                                     *harness.command(harness.PYTHON, "-c", script)], stdout=subprocess.PIPE)
            self.assertEqual(harness.read_line(process.stdout), "[]")
            path = os.path.join(etc, "resolv.conf")
            for address, found in ((HOST_V4, "['93.184.216.1']"), (OTHER_V4, "['93.184.216.2']")):
                with open(path + ".new", "w", encoding="ascii") as f:
                    f.write(f"nameserver {address}\n")
                os.rename(path + ".new", path)
                self.assertEqual(harness.read_line(process.stdout), found)
            os.unlink(path)
            self.assertEqual(harness.read_line(process.stdout), "[]")
            self.assertEqual(process.wait(harness.PATIENCE), 0)
            process.stdout.close()
        self.assertGreater(len(first.asked) + len(second.asked), 1)

    def test_d15_of_the_threats_nothing_of_the_guest_goes_out(self):
        """EDNS options and padding, a client's subnet, its letters' case."""
        r = Resolver(self, {"a.test": [record("a.test", "A", PUBLIC)]})
        self.run_guest(r"""
m = query("a.test", edns=4096)
show(ask_raw(m[:-2] + struct.pack(">H", 12) + struct.pack(">HH", 8, 8) + b"\0\1\x20\0\1\2\3\4"))
""", r)
        query = r.asked[0][3]
        self.assertEqual(query[-11:], b"\0" + struct.pack(">HHIH", 41, 1232, 0, 0))


if __name__ == "__main__":
    harness.main(network=[HOST_V4, OTHER_V4])

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules by name as programs of a guest see them: names that the engine resolves for them, and what their TLS and HTTP
clients say first (behaviours.md 3, threats.md 4)."""
import errno
import os
import socket
import ssl
import struct
import subprocess
import threading

import networld
import quicinitial
from networld import *  # pylint: disable=wildcard-import,unused-wildcard-import

A, NXDOMAIN = 1, 3


class Resolver:
    """Answers for the names of a table {name: [IPv4 addresses]}, and notes what it is asked."""

    def __init__(self, world, table, address=SERVER_V4):
        self.asked = []
        self._table = table
        self._socket = world.udp(address, 53)
        self._socket.settimeout(None)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                query, client = self._socket.recvfrom(4096)
            except OSError:
                return
            self._socket.sendto(self._answer(query), client)

    def _answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        question = query[12:at + 5]
        kind = struct.unpack("!H", query[at + 1:at + 3])[0]
        name = ".".join(labels).lower()
        self.asked.append(name)
        addresses = self._table.get(name)
        found = addresses if addresses and kind == A else []
        records = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", A, 1, 300, 4) + socket.inet_aton(a) for a in found)
        flags = 0x8180 | (0 if addresses else NXDOMAIN)
        return query[:2] + struct.pack("!HHHHH", flags, 1, len(found), 0, 0) + question + records


def tls(address, port, sni):
    """What the server says to a TLS client, or the name of the error."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with connected(address, port) as s, context.wrap_socket(s, server_hostname=sni) as t:
            t.sendall(b"ping")
            return t.recv(100).decode()
    except OSError as e:
        return errno.errorcode.get(e.errno, type(e).__name__)


def plain(address, port, first):
    """What the server says to a client that says this, or the name of the error."""
    try:
        with connected(address, port) as s:
            s.sendall(first.encode())
            return s.recv(100).decode()
    except OSError as e:
        return errno.errorcode.get(e.errno, type(e).__name__)


def lookup(name):
    """The addresses of a name, or the error of getaddrinfo(3)."""
    try:
        return sorted({a[4][0] for a in socket.getaddrinfo(name, 0, socket.AF_INET, socket.SOCK_STREAM)})
    except socket.gaierror as e:
        return {socket.EAI_NONAME: "EAI_NONAME", socket.EAI_AGAIN: "EAI_AGAIN"}.get(e.errno, str(e))


def ask_server(server, name):
    """The first IPv4 address that a server says for a name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect((server, 53))
        question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0\0\1\0\1"
        s.send(b"\7\7\1\0\0\1\0\0\0\0\0\0" + question)
        return socket.inet_ntoa(s.recv(512)[-4:])


USES = ("import ssl", tls, plain, lookup)


class Names(Case):
    TABLE = {
        "a.example": [SERVER_V4],
        "b.example": [SERVER_V4],
        "e.example": [OTHER_V4],
        "x.y": [SERVER_V4], "a.x.y": [SERVER_V4], "b.x.y": [SERVER_V4], "evilx.y": [SERVER_V4],
    }

    def setUp(self):
        super().setUp()
        self.resolver = Resolver(self.world, self.TABLE)
        self.heard = []
        key, cert = (os.path.join(self.directory, name) for name in ("key", "cert"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=test"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert, key)
        self.context.sni_callback = lambda _socket, name, _context: self.heard.append(name)

    def serve_tls(self, port=443):
        def handler(connection):
            try:
                if not connection.recv(1, socket.MSG_PEEK):
                    self.heard.append("end")
                    return
            except ConnectionResetError:
                self.heard.append("reset")
                return
            with self.context.wrap_socket(connection, server_side=True) as t:
                t.recv(4)
                t.sendall(b"pong")

        return self.world.serve(handler, address="::", port=port)

    def serve_plain(self, port, greeting=b""):
        def handler(connection):
            try:
                connection.sendall(greeting)
                self.heard.append(connection.recv(1000).decode())
            except ConnectionResetError:
                self.heard.append("reset")
                return
            if not greeting:
                connection.sendall(b"hello")

        return self.world.serve(handler, address="::", port=port)

    def options(self, *rules):
        return ["--dns-nameserver", SERVER_V4, "--net-rule", ",".join(rules), *self.events_option()]

    def denied(self):
        return [(e.get("name"), e.get("why"), e["remote_port"]) for e in self.events("denied")]

    def run_guest(self, function, *args, rules):
        return self.guest(function, *args, uses=USES, options=self.options(*rules))

    def test_c1_c2_c7_c17_only_the_allowed_name_is_reached(self):
        """One name is resolved and reached, in upper case too; the other is not even asked, and is not reached at the same
        address."""
        def guest(address):
            return [lookup("a.example"), tls(address, 443, "a.example"), tls(address, 443, "A.Example"),
                    tls(address, 443, "b.example"), tls(address, 443, None), lookup("b.example")]

        server = self.serve_tls()
        found = self.run_guest(guest, SERVER_V4, rules=["allow@a.example:tcp:443"])
        self.assertEqual(found, [[SERVER_V4], "pong", "pong", "ECONNRESET", "ECONNRESET", "EAI_NONAME"])
        server.join()
        self.assertEqual(self.heard, ["a.example", "A.Example", "reset", "reset"])
        self.assertNotIn("b.example", self.resolver.asked)
        self.assertEqual(self.denied()[:2], [("b.example", "other_name", 443), (None, "no_name", 443)])

    def test_c4_c12_a_denied_name_is_not_reached_by_its_address(self):
        def guest(address, other):
            return [tls(address, 443, "e.example"), tls(other, 443, "a.example"), tls(other, 443, None),
                    lookup("e.example")]

        server = self.serve_tls()
        found = self.run_guest(guest, OTHER_V4, SERVER_V4, rules=["deny@e.example", "allow@public"])
        self.assertEqual(found, ["ECONNRESET", "pong", "pong", "EAI_NONAME"])
        server.join()
        self.assertCountEqual(self.heard, ["reset", "a.example", None])
        self.assertEqual([e for e in self.denied() if e[2] == 443], [("e.example", None, 443)])

    def test_c5_c9_a_suffix_has_its_apex_and_all_below(self):
        def guest(address):
            return [lookup("x.y"), tls(address, 443, "x.y"), tls(address, 443, "a.x.y"),
                    tls(address, 443, "evilx.y"), lookup("evilx.y")]

        self.serve_tls()
        found = self.run_guest(guest, SERVER_V4, rules=["allow@*.x.y:tcp:443"])
        self.assertEqual(found, [[SERVER_V4], "pong", "pong", "ECONNRESET", "EAI_NONAME"])

    def test_c8_c11_an_address_that_no_allowed_name_led_to_is_refused_at_once(self):
        def guest(address, other):
            return [tls(address, 443, "a.example"), lookup("a.example"), tls(other, 443, "a.example"),
                    tls(address, 443, "a.example")]

        server = self.serve_tls()
        found = self.run_guest(guest, SERVER_V4, OTHER_V4, rules=["allow@a.example:tcp:443"])
        self.assertEqual(found, ["ECONNREFUSED", [SERVER_V4], "ECONNREFUSED", "pong"])
        server.join()
        self.assertEqual(len(server.connections), 1)

    def test_c13_an_address_rule_before_decides_at_the_syn(self):
        def guest(address):
            return [tls(address, 443, "e.example")]

        self.serve_tls()
        found = self.run_guest(guest, OTHER_V4, rules=[f"allow@{OTHER_V4}", "deny@e.example"])
        self.assertEqual(found, ["pong"])

    def test_c14_a_rule_for_a_port_is_not_for_another(self):
        def guest(address):
            return [lookup("a.example"), plain(address, 80, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")]

        self.serve_plain(80)
        found = self.run_guest(guest, SERVER_V4, rules=["allow@a.example:tcp:443"])
        self.assertEqual(found, [[SERVER_V4], "ECONNREFUSED"])

    def test_http_is_read_and_a_server_that_speaks_first_is_heard(self):
        def guest(address):
            found = [lookup("a.example"),
                     plain(address, 80, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"),
                     plain(address, 80, "GET / HTTP/1.1\r\nHost: b.example\r\n\r\n"),
                     plain(address, 80, "CONNECT b.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\r\n")]
            with connected(address, 25) as s:
                found.append(s.recv(100).decode())
                s.sendall(b"EHLO guest\r\n")
                found.append(s.recv(100).decode())
            return found

        web, mail = self.serve_plain(80), self.serve_plain(25, b"220 mail\r\n")
        found = self.run_guest(guest, SERVER_V4, rules=["allow@a.example:tcp:80", "allow@a.example:tcp:25"])
        self.assertEqual(found, [[SERVER_V4], "hello", "ECONNRESET", "ECONNRESET", "220 mail\r\n", ""])
        web.join()
        mail.join()
        # Each connection has a thread of its own: their order says nothing.
        self.assertCountEqual(self.heard, ["GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", "reset", "reset", "EHLO guest\r\n"])
        self.assertEqual([e[:2] for e in self.denied()], [("b.example", "other_name")] * 2)

    def test_t17_what_is_no_tls_on_its_port_is_not_let_through(self):
        def guest(address):
            return [lookup("a.example"), plain(address, 443, "SSH-2.0-client\r\n"),
                    plain(address, 8443, "SSH-2.0-client\r\n")]

        self.serve_plain(443)
        self.serve_plain(8443)
        found = self.run_guest(guest, SERVER_V4, rules=["allow@a.example:tcp:443", "allow@a.example:tcp:8443"])
        self.assertEqual(found, [[SERVER_V4], "ECONNRESET", "hello"])

    def test_c20_datagrams_go_by_pins(self):
        def guest(address, other):
            found = [lookup("a.example")]
            for place in (address, other):
                try:
                    with udp(place, 5000) as s:
                        s.send(b"x")
                        found.append(s.recv(10).decode())
                except OSError as e:
                    found.append(errno.errorcode[e.errno])
            return found

        def answer():
            s.sendto(b"y", s.recvfrom(10)[1])

        s = self.world.udp(SERVER_V4, 5000)
        thread = threading.Thread(target=answer)
        thread.start()
        found = self.run_guest(guest, SERVER_V4, OTHER_V4, rules=["allow@a.example:udp:5000"])
        thread.join()
        self.assertEqual(found, [[SERVER_V4], "y", "EHOSTUNREACH"])

    def test_t19_quic_is_held_until_its_name_is_known(self):
        """By the confined engine, which has libcrypto for it. What is refused is answered with ICMP."""
        def guest(address, flights):
            found = [lookup("a.example")]
            for flight in flights:
                with udp(address, 443) as s:
                    try:
                        for datagram in flight:
                            s.send(bytes.fromhex(datagram))
                        found.append(s.recv(10).decode())
                    except OSError as e:
                        found.append(errno.errorcode[e.errno])
            return found

        def answer():
            while len(heard) < 2:
                datagram, client = s.recvfrom(2000)
                heard.append(len(datagram))
            s.sendto(b"initial", client)

        flights = []
        for cid, name in ((b"12345678", "a.example"), (b"abcdefgh", "b.example")):
            hello = quicinitial.client_hello(name)
            flights.append([quicinitial.initial(cid, 1, 100, hello[100:]).hex(),
                            quicinitial.initial(cid, 0, 0, hello[:100]).hex()])
        heard, s = [], self.world.udp(SERVER_V4, 443)
        thread = threading.Thread(target=answer)
        thread.start()
        found = self.run_guest(guest, SERVER_V4, flights, rules=["allow@a.example:udp:443"])
        thread.join()
        self.assertEqual(found, [[SERVER_V4], "initial", "EHOSTUNREACH"])
        self.assertEqual(heard, [1200, 1200])
        self.assertEqual(self.denied(), [("b.example", "other_name", 443)])

    def test_t1_only_the_configured_resolvers_lead_to_addresses(self):
        """A server that the guest may ask besides could be its own, and say of an allowed name what it likes; its answers
        are told, from the cache too."""
        def guest(server, target):
            return [ask_server(server, "a.example"), ask_server(server, "a.example"), tls(target, 443, "a.example"),
                    ask_server(GATEWAY_V4, "a.example"), tls(server, 443, "a.example")]

        own = Resolver(self.world, {"a.example": [OTHER_V4]}, OTHER_V4)
        self.serve_tls()
        found = self.guest(guest, OTHER_V4, OTHER_V4, uses=(*USES, ask_server, f"GATEWAY_V4 = '{GATEWAY_V4}'"),
                           options=self.options(f"allow@{OTHER_V4}:udp:53", "allow@a.example:tcp:443"))
        self.assertEqual(found, [OTHER_V4, OTHER_V4, "ECONNREFUSED", SERVER_V4, "ECONNREFUSED"])
        self.assertEqual((own.asked, self.heard), (["a.example"], []))

    def test_t7_a_hello_in_pieces_of_one_byte_is_read(self):
        def guest(address):
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            found = [lookup("a.example")]
            for name in ("a.example", "b.example"):
                t = context.wrap_bio(incoming, outgoing, server_hostname=name)
                try:
                    t.do_handshake()
                except ssl.SSLWantReadError:
                    pass
                record = outgoing.read()
                try:
                    with connected(address, 443) as s:
                        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        for byte in record[5:]:
                            s.sendall(record[:3] + b"\0\1" + bytes([byte]))
                        found.append(len(s.recv(1)))
                except OSError as e:
                    found.append(errno.errorcode[e.errno])
            return found

        self.serve_tls()
        found = self.run_guest(guest, SERVER_V4, rules=["allow@a.example:tcp:443"])
        self.assertEqual(found[:2], [[SERVER_V4], 1])
        self.assertIn(found[2], ("ECONNRESET", "EPIPE"))


if __name__ == "__main__":
    networld.main()

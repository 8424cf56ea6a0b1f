#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Published ports: programs of the host and of other machines reach servers of the guest (behaviours.md 6)."""
import errno
import json
import os
import resource
import socket
import struct

import harness
import networld
from networld import GATEWAY_V4, GATEWAY_V6, HOST_V4, HOST_V6, SERVER_V4, Case, digest, pattern, read_all, sha

RST = struct.pack("ii", 1, 0)  # SO_LINGER: close() resets


def serve_echo(address="0.0.0.0", port=80, backlog=512):
    """A server of the guest, each of whose answers begins with whom it sees; it ends when it is told."""
    listener = socket.socket(family_of(address), socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(backlog)

    def answer(connection, peer):
        connection.sendall(b"%s " % peer[0].encode() + read_all(connection))
        connection.close()

    def accept():
        while True:
            connection, peer = listener.accept()
            threading.Thread(target=answer, args=(connection, peer), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    say("up")
    hear()


def serve_udp_echo(port):
    """The same with datagrams: each answer begins with the port that it is for."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("0.0.0.0", port))
    say("up")
    while True:
        data, peer = s.recvfrom(1 << 16)
        s.sendto(struct.pack("!H", peer[1]) + data, peer)
        if data == b"end":
            return peer[0]


class Published(Case):
    def publish(self, function, *args, ports=("0:80",), options=()):
        """Starts a guest and waits until it serves; returns it with the ports of the host."""
        publish = [word for port in ports for word in ("-p", port)]
        guest = self.start_guest(function, *args, uses=(serve_echo, serve_udp_echo),
                                 options=[*publish, *self.events_option(), *options])
        self.assertEqual(guest.hear(), "up")
        return guest, [e["host_port"] for e in self.events("published")]

    def ask(self, address, port, data=b"hello", namespace=None):
        """Sends, ends, and returns the answer."""
        with (namespace or self.world.host).socket(
                socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM) as s:
            s.settimeout(60)
            s.connect((address, port))
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            return read_all(s)

    @staticmethod
    def finish(guest):
        guest.say()
        return guest.result()

    def test_f1_a_port_is_reached_on_loopback_only_and_the_guest_sees_the_gateway(self):
        guest, [port] = self.publish(serve_echo)
        self.assertIn(f"TCP 127.0.0.1:{port} leads to port 80 of the guest", guest.messages())
        self.assertEqual(self.ask("127.0.0.1", port), GATEWAY_V4.encode() + b" hello")
        with self.world.server.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
            self.assertEqual(s.connect_ex((HOST_V4, port)), errno.ECONNREFUSED)
        self.finish(guest)
        self.assertNotIn("warning", guest.messages())
        [end] = self.events("flow_end")
        self.assertEqual((end["direction"], end["remote"], end["guest_port"], end["reason"]),
                         ("ingress", "127.0.0.1", 80, "closed"))

    def test_f2_a_port_on_all_addresses_is_reached_from_outside_with_a_warning(self):
        guest, ports = self.publish(serve_echo, ports=("0.0.0.0:0:80", "[::]:0:80"))
        self.assertEqual(self.ask(HOST_V4, ports[0], namespace=self.world.server)[-5:], b"hello")
        self.assertEqual(self.ask(HOST_V6, ports[1], namespace=self.world.server)[-5:], b"hello")
        self.assertIn(f"warning: TCP 0.0.0.0:{ports[0]} can be reached from other machines",
                      guest.messages())
        self.finish(guest)

    def test_f3_a_large_answer_reaches_a_slow_client_outside(self):
        def serve(size):
            with socket.create_server(("0.0.0.0", 80)) as listener:
                say("up")
                connection, _ = listener.accept()
                connection.sendall(pattern(size))
                connection.shutdown(socket.SHUT_WR)
                return read_all(connection).decode()

        guest, [port] = self.publish(serve, 2 << 20, ports=("0.0.0.0:0:80",))
        with self.world.server.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect((HOST_V4, port))
            self.assertEqual(digest(s), [2 << 20, sha(pattern(2 << 20))])
            s.sendall(b"thanks")
        self.assertEqual(guest.result(), "thanks")

    def test_large_data_both_ways(self):
        guest, [port] = self.publish(serve_echo)
        data = pattern(3 << 20)
        self.assertEqual(sha(self.ask("127.0.0.1", port, data).split(b" ", 1)[1]), sha(data))
        self.finish(guest)

    def test_f7_fifty_clients_at_once_are_served_by_a_backlog_of_five(self):
        def serve(is_first):
            with socket.create_server(("0.0.0.0", 80), backlog=5) as listener:
                say("up")
                hear()
                for i in range(50):
                    connection, _ = listener.accept()
                    connection.sendall(b"hello" if is_first else connection.recv(100))
                    connection.close()

        for is_first in (False, True):
            guest, ports = self.publish(serve, is_first)
            clients = [socket.create_connection(("127.0.0.1", ports[-1])) for _ in range(50)]
            for i, s in enumerate(clients):
                self.addCleanup(s.close)
                if not is_first:
                    s.sendall(b"%d" % i)
            guest.say()
            for i, s in enumerate(clients):
                s.settimeout(60)
                self.assertEqual(read_all(s), b"hello" if is_first else b"%d" % i)
            guest.result()

    def test_f9_what_ends_at_the_guest_ends_at_the_client(self):
        def serve():
            with socket.create_server(("0.0.0.0", 80)) as listener:
                say("up")
                for _ in range(2):
                    connection, _ = listener.accept()
                    connection.sendall(b"bye")
                    connection.shutdown(socket.SHUT_WR)
                    say(connection.recv(100).decode())
                    connection.close()
                connection, _ = listener.accept()
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()

        guest, [port] = self.publish(serve)
        for i in range(2):
            with socket.create_connection(("127.0.0.1", port), 60) as s:
                self.assertEqual(read_all(s), b"bye")
                s.sendall(b"still here")
                self.assertEqual(guest.hear(), "still here")
        # The reset may come before connect() has returned.
        with self.assertRaises(ConnectionResetError):
            with socket.create_connection(("127.0.0.1", port), 60) as s:
                s.recv(1)
        guest.result()

    def test_a_guest_that_refuses_resets_the_client(self):
        guest, ports = self.publish(serve_echo, ports=("0:80", "0:81"))
        with socket.socket() as s:
            s.settimeout(60)
            try:
                s.connect(("127.0.0.1", ports[1]))
                s.recv(1)
                self.fail("nobody has refused")
            except ConnectionResetError:
                pass
        self.finish(guest)
        self.assertEqual([e["reason"] for e in self.events("flow_end")], ["refused"])

    def test_f10_a_denied_client_is_reset_and_the_guest_sees_nothing(self):
        rules = ["--net-rule", "deny:ingress@loopback,allow:ingress@any"]
        guest, [port] = self.publish(serve_echo, ports=("0.0.0.0:0:80",), options=rules)
        with socket.socket() as s:
            s.settimeout(60)
            with self.assertRaises(ConnectionResetError):
                s.connect(("127.0.0.1", port))
                s.recv(1)
        self.assertEqual(self.ask(HOST_V4, port, namespace=self.world.server)[-5:], b"hello")
        self.finish(guest)
        [denied] = self.events("denied")
        self.assertEqual((denied["direction"], denied["class"], denied["guest_port"], denied["rule"]),
                         ("ingress", "loopback", 80, "deny:ingress@loopback"))
        self.assertEqual(len(self.events("flow_end")), 1)

    def test_f11_udp_clients_get_their_own_answers(self):
        guest, ports = self.publish(serve_udp_echo, 53, ports=("0:53/udp", "0.0.0.0:0:53/udp"))
        seen = set()
        clients = [(self.world.host, ("127.0.0.1", ports[0])), (self.world.host, ("127.0.0.1", ports[0])),
                   (self.world.server, (HOST_V4, ports[1]))]
        sockets = []
        for namespace, to in clients:
            s = namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.addCleanup(s.close)
            s.settimeout(60)
            s.connect(to)
            sockets.append(s)
        for size in (1, 1472, 8000, 60000):
            for s in sockets[:2]:
                s.send(pattern(size, sockets.index(s)))
            # The guest's own buffer takes no more than two of the largest at once.
            for s in sockets:
                if s is sockets[2]:
                    s.send(pattern(size, 2))
                answer = s.recv(1 << 16)
                self.assertEqual(answer[2:], pattern(size, sockets.index(s)))
                seen.add(answer[:2])
        self.assertEqual(len(seen), 3)
        sockets[0].send(b"end")
        self.assertEqual(guest.result(), GATEWAY_V4)

    def test_f12_datagrams_for_nobody_do_not_reach_the_host(self):
        def serve(port):
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.bind(("0.0.0.0", 53))
            say("up")
            _, peer = s.recvfrom(100)
            s.sendto(b"stray", (peer[0], port))
            s.sendto(b"answer", peer)

        assert self.world
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            # The host is allowed, yet this is no way to it.
            other.bind(("127.0.0.1", 0))
            guest, [port] = self.publish(serve, other.getsockname()[1], ports=("0:53/udp",),
                                         options=["--net", "public,host", "--stats"])
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.settimeout(60)
                s.connect(("127.0.0.1", port))
                s.send(b"question")
                self.assertEqual(s.recv(100), b"answer")
            guest.result()
            other.setblocking(False)
            with self.assertRaises(BlockingIOError):
                other.recv(100)
        self.assertEqual(guest.stats()["drop_udp_no_peer"], 1)

    def test_f13_a_port_in_use_is_an_error_at_start(self):
        assert self.world
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            done = self.sluice("echo", "started", options=["-p", f"{port}:80"])
            self.assert_message(done, f"--publish {port}:80", "in use already")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            done = self.sluice("echo", "started", options=["-p", f"{port}:80/udp"])
            self.assert_message(done, f"--publish {port}:80/udp", "in use already")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            path = os.path.join(self.directory, "guest.sock")
            done = harness.run([harness.sluice, "serve", "--port", f"stream:{path}", "-p", f"{port}:80"])
            self.assert_message(done, f"--publish {port}:80", "in use already")
        done = self.sluice("echo", "started", options=["-p", "192.0.2.77:80:80"])
        self.assert_message(done, "192.0.2.77:80:80", "no such address")

    def document(self, *ports, **keys):
        path = os.path.join(self.directory, "guest.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump({"ports": list(ports), **keys}, f)
        return ["--config", path]

    def test_f13_by_document_likewise(self):
        assert self.world
        for kind, proto in ((socket.SOCK_STREAM, "tcp"), (socket.SOCK_DGRAM, "udp")):
            with socket.socket(socket.AF_INET, kind) as taken:
                taken.bind(("127.0.0.1", 0))
                if kind == socket.SOCK_STREAM:
                    taken.listen()
                port = taken.getsockname()[1]
                options = self.document({"host_port": port, "guest_port": 80, "protocol": proto})
                self.assert_message(self.sluice("echo", "started", options=options),
                                    f"port 127.0.0.1:{port}:80/{proto} of the document", "in use already")

    def test_ports_of_the_document_and_of_the_command_line_add_up(self):
        options = self.document({"host_port": 0, "guest_port": 80}, {"host_port": 0, "guest_port": 80, "host_bind": "::1"})
        guest, ports = self.publish(serve_echo, options=options)
        self.assertEqual(len(ports), 3)
        for address, port in zip(("127.0.0.1", "::1", "127.0.0.1"), ports):
            self.assertIn("leads to port 80 of the guest", guest.messages())
            self.assertTrue(self.ask(address, port).endswith(b" hello"))
        self.finish(guest)

    def test_no_network_and_ports_of_a_document_are_a_contradiction(self):
        options = self.document({"host_port": 0, "guest_port": 80})
        self.assert_message(self.sluice("true", options=[*options, "--net", "none"]), "the ports of")
        done = self.sluice("true", options=self.document({"host_port": 0, "guest_port": 80}, enabled=False))
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_wrong_specifications_are_refused(self):
        for wrong in ("80", "80:", ":80", "a:80", "80:0", "80:65536", "::1:80:80", "80:80/sctp", "x:1:2"):
            self.assert_message(self.sluice("true", options=["-p", wrong]), f"--publish {wrong}")
        self.assert_message(self.sluice("true", options=["--publish-source", "me"]), "gateway or client")

    def test_f14_a_guest_with_only_v6_is_reached_by_v6(self):
        self.make_world(v4=False)
        guest, [port] = self.publish(serve_echo, "::")
        self.assertEqual(self.ask("127.0.0.1", port), GATEWAY_V6.encode() + b" hello")
        self.finish(guest)

    def test_the_guest_is_told_who_the_client_is(self):
        guest, [port] = self.publish(serve_echo, ports=("0.0.0.0:0:80",),
                                     options=["--publish-source", "client"])
        answer = self.ask(HOST_V4, port, namespace=self.world.server)
        self.assertEqual(answer, SERVER_V4.encode() + b" hello")
        self.assertEqual(self.ask("127.0.0.1", port), GATEWAY_V4.encode() + b" hello")
        self.finish(guest)

    def test_a_proxy_header_tells_who_the_client_is(self):
        guest, [port] = self.publish(serve_echo, options=["--publish-proxy"])
        with socket.create_connection(("127.0.0.1", port), 60) as s:
            own = s.getsockname()[1]
            s.sendall(b"hello")
            s.shutdown(socket.SHUT_WR)
            want = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([127, 0, 0, 1] * 2) + struct.pack("!HH", own, port)
            self.assertEqual(read_all(s), GATEWAY_V4.encode() + b" " + want + b"hello")
        self.finish(guest)

    def test_i3_requests_of_other_sites_do_not_reach_an_http_port(self):
        def serve():
            with socket.create_server(("0.0.0.0", 80)) as listener:
                say("up")
                for _ in range(5):
                    connection, _ = listener.accept()
                    got = bytearray()
                    try:
                        while part := connection.recv(1 << 18):
                            got += part
                            if part.endswith((b"end", b"end\r\n\r\n")):
                                connection.sendall(b"done")
                        connection.close()
                    except ConnectionResetError:
                        got += b" reset"
                    say([len(got), sha(got), got[-30:].decode('latin-1')])

        guest, [port] = self.publish(serve, ports=("0:80/http",))
        local = b"Host: localhost:%d\r\n" % port
        body = pattern(1 << 20) + b"end"
        whole = b"POST / HTTP/1.1\r\n" + local + b"Content-Length: %d\r\n\r\n" % len(body) + body
        with socket.create_connection(("127.0.0.1", port), 60) as s:
            for byte in whole[:60]:
                s.sendall(bytes([byte]))
            s.sendall(whole[60:])
            self.assertEqual(s.recv(10), b"done")
            s.sendall(whole)
            self.assertEqual(s.recv(10), b"done")
        self.assertEqual(guest.hear()[:2], [2 * len(whole), sha(2 * whole)])
        # The second request of a connection is another page's.
        first = b"GET / HTTP/1.1\r\n" + local + b"X: end\r\n\r\n"
        for evil in (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
                     b"POST / HTTP/1.1\r\n" + local + b"Origin: http://evil.example\r\n\r\n",
                     b"\x16\x03\x01\x02\x00"):
            with socket.create_connection(("127.0.0.1", port), 60) as s:
                s.sendall(first)
                self.assertEqual(s.recv(4), b"done")
                s.sendall(evil)
                with self.assertRaises(ConnectionResetError):
                    s.recv(1)
            length, _, text = guest.hear()
            self.assertEqual((length, text[-6:]), (len(first) + 6, " reset"))
        # What is behind an upgrade is not HTTP.
        upgrade = b"GET / HTTP/1.1\r\n" + local + b"Upgrade: websocket\r\n\r\n\0\1\2end"
        with socket.create_connection(("127.0.0.1", port), 60) as s:
            s.sendall(upgrade)
            self.assertEqual(s.recv(10), b"done")
        self.assertEqual(guest.hear()[:2], [len(upgrade), sha(upgrade)])
        guest.result()
        self.assertEqual([e["reason"] for e in self.events("flow_end")].count("policy"), 3)
        self.assert_message(self.sluice("true", options=["-p", "0.0.0.0:80:80/http"]), "others can reach")

    def test_thousands_of_connections_are_held(self):
        def serve(count):
            resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, count + 100))
            with socket.create_server(("0.0.0.0", 80), backlog=512) as listener:
                say("up")
                held = [listener.accept()[0] for _ in range(count)]
                say(len(held))
                for connection in held:
                    connection.sendall(connection.recv(10))
                    connection.close()

        count = 2000
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 2 * count:
            self.skipTest("too few files may be open")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        guest = self.start_guest(serve, count, uses=["import resource"],
                                 options=["-p", "0:80", *self.events_option()])
        self.assertEqual(guest.hear(), "up")
        port = self.events("published")[0]["host_port"]
        clients = [socket.create_connection(("127.0.0.1", port), 60) for _ in range(count)]
        self.assertEqual(guest.hear(), count)
        for i, s in enumerate(clients):
            s.sendall(b"%d" % i)
        for i, s in enumerate(clients):
            with s:
                self.assertEqual(read_all(s), b"%d" % i)
        guest.result()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


if __name__ == "__main__":
    networld.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""TCP of a guest's kernel to servers of another: opening, closing, failing (behaviours.md 2)."""
import errno
import select
import socket
import struct

import networld
from networld import (ALL, GATEWAY_V4, GATEWAY_V6, HOST_V4, HOST_V6, SERVER_V4, SERVER_V6, Case,
                      connect_error, connected, digest, pattern, read_all, sha)

BOTH = (SERVER_V4, SERVER_V6)
NOWHERE_V4, NOWHERE_V6 = "45.67.90.1", "2a0b:5a41::1"


def reset(connection):
    """Closes with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def echo(connection):
    """Gives back what comes, and the end at its end."""
    while data := connection.recv(1 << 16):
        connection.sendall(data)


class Opening(Case):
    def test_b1_one_connection_from_the_host_carries_all_bytes_both_ways(self):
        def guest(address, port):
            s = connected(address, port)
            s.sendall(pattern(100000))
            s.shutdown(socket.SHUT_WR)
            return digest(s)

        for address, host in zip(BOTH, (HOST_V4, HOST_V6)):
            peers = []

            def serve(connection, peers=peers):
                peers.append(connection.getpeername()[0].removeprefix("::ffff:"))
                connection.sendall(read_all(connection)[::-1])

            server = self.world.serve(serve)
            got = self.guest(guest, address, server.port)
            server.join()
            self.assertEqual(peers, [host])
            self.assertEqual(got, [100000, sha(pattern(100000)[::-1])])

    def test_b2_a_denied_destination_is_refused_at_once_and_nothing_leaves(self):
        server = self.world.serve(echo)
        capture = self.world.capture()
        rules = ["--net-rule", f"deny@{SERVER_V4},deny@[{SERVER_V6}],allow@public"]
        for address in BOTH:
            self.assertEqual(self.guest(connect_error, address, server.port, options=rules),
                             errno.ECONNREFUSED)
        self.assertEqual(capture.take(), [])
        # The capture sees what is allowed.
        self.assertEqual(self.guest(connect_error, SERVER_V4, server.port), 0)
        self.assertNotEqual(capture.take(), [])

    def test_a_port_where_nobody_listens_is_refused(self):
        for address in BOTH:
            guest = self.start_guest(connect_error, address, 81, options=self.events_option(), stats=True)
            self.assertEqual(guest.result(), errno.ECONNREFUSED)
        ends = [(e["reason"], e["verdict"]) for e in self.events("flow_end")]
        self.assertEqual(ends, [("refused", "allow")] * 2)

    def test_b5_a_route_of_the_host_that_says_no_is_passed_on(self):
        """By a route that is missing, unreachable, prohibited."""
        for address in (NOWHERE_V4, NOWHERE_V6):
            for kind, errors in (("unreachable", (errno.EHOSTUNREACH, errno.ENETUNREACH)),
                                 ("prohibit", (errno.EACCES, errno.EHOSTUNREACH)),
                                 ("blackhole", (errno.ECONNREFUSED,))):
                self.world.host.ip(f"route add {kind} {address}")
                found = self.guest(connect_error, address, 80)
                self.world.host.ip(f"route del {kind} {address}")
                self.assertIn(found, errors, (address, kind, errno.errorcode.get(found)))

    def test_b5_without_any_route_too(self):
        guest = self.start_guest(connect_errors_later, NOWHERE_V4, NOWHERE_V6)
        guest.hear()
        self.world.host.ip("route del default via " + SERVER_V4, "route del default via " + SERVER_V6)
        guest.say()
        for found in guest.result():
            self.assertIn(found, (errno.ENETUNREACH, errno.EHOSTUNREACH))

    def test_b5_a_router_that_says_no_is_heard(self):
        """The router is the test, which answers later than within the host's own connect()."""
        cases = [(NOWHERE_V4, 0, 3, 1, errno.EHOSTUNREACH), (NOWHERE_V4, 0, 3, 0, errno.ENETUNREACH),
                 (NOWHERE_V4, 0, 3, 13, errno.EHOSTUNREACH), (NOWHERE_V6, 0, 1, 0, errno.ENETUNREACH),
                 (NOWHERE_V6, 0, 1, 3, errno.EHOSTUNREACH), (NOWHERE_V6, 0, 1, 1, errno.EACCES)]
        self.world.server.ip(f"route add blackhole {NOWHERE_V4}", f"route add blackhole {NOWHERE_V6}")
        capture = self.world.capture()
        for address, info, kind, code, expected in cases:
            guest = self.start_guest(connect_error, address, 80, options=self.events_option())
            self.world.send_icmp_error(kind, code, info, capture.wait_for(address))
            found = guest.result()
            self.assertIn(found, (expected, errno.EHOSTUNREACH),
                          (address, kind, code, errno.errorcode.get(found)))
        self.assertEqual([e["reason"] for e in self.events("flow_end")], ["unreachable"] * len(cases))

    def test_connects_into_a_black_hole_stay_silent_and_delay_nobody(self):
        def guest(black, good, port, count):
            waiting = []
            poll = select.poll()
            for i in range(count):
                s = tcp(family_of(black))
                s.setblocking(False)
                s.connect_ex((black, 1000 + i))
                poll.register(s, select.POLLOUT | select.POLLERR)
                waiting.append(s)
                if i % 20 == 0:
                    assert connect_error(good, port) == 0
            return len(poll.poll(0))

        for black, good in ((NOWHERE_V4, SERVER_V4), (NOWHERE_V6, SERVER_V6)):
            self.world.server.ip(f"route add blackhole {black}")
            server = self.world.serve(echo)
            answered = self.guest(guest, black, good, server.port, 100)
            self.assertEqual(answered, 0)

    def test_p12_the_guests_connection_stands_when_the_remote_one_does(self):
        """The server is behind a black hole until the host has repeated its SYN."""
        def guest(address, port):
            s = tcp()
            s.setblocking(False)
            s.connect_ex((address, port))
            poll = select.poll()
            poll.register(s, select.POLLOUT | select.POLLERR)
            poll.poll()
            say(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

        self.world.server.ip(f"route add blackhole {NOWHERE_V4}")
        server = self.world.serve(echo)
        capture = self.world.capture()
        guest = self.start_guest(guest, NOWHERE_V4, server.port)
        capture.wait_for(NOWHERE_V4)
        capture.wait_for(NOWHERE_V4)
        self.assertEqual(select.select([guest.process.stdout], [], [], 0)[0], [])
        self.world.server.ip(f"route del blackhole {NOWHERE_V4}")
        self.assertEqual(guest.hear(), 0)
        guest.result()

    def test_b18_a_public_destination_has_no_other_family(self):
        for address, other in ((SERVER_V4, SERVER_V6), (SERVER_V6, SERVER_V4)):
            listener = self.world.listen(other)
            port = listener.getsockname()[1]
            self.assertEqual(self.guest(connect_error, other, port), 0)
            self.assertEqual(self.guest(connect_error, address, port), errno.ECONNREFUSED)

    def test_b11_the_limit_of_connections(self):
        def guest(address, port, limit):
            sockets = [connected(address, port) for _ in range(limit)]
            errors = [connect_error(address, port) for _ in range(3)]
            for s in sockets:
                s.sendall(b"alive")
                assert s.recv(5) == b"alive"
            first = sockets[0]
            first.shutdown(socket.SHUT_WR)
            assert read_all(first) == b""
            sockets.append(connected(address, port))
            errors.append(connect_error(address, port))
            return errors

        server = self.world.serve(echo)
        options = ["--max-connections", "5", *self.events_option()]
        refusals = self.guest(guest, SERVER_V4, server.port, 5, options=options)
        self.assertEqual(refusals, [errno.ECONNREFUSED] * 4)
        refused = self.events("refused")
        self.assertEqual([(e["reason"], e["count"]) for e in refused], [("tcp_limit", 1)] * 4)
        self.assertEqual(len(self.events("flow_end")), 6)

    def test_b10_many_connections_in_sequence_leave_nothing_behind(self):
        def guest(address, port):
            for _ in range(301):
                s = connected(address, port)
                s.shutdown(socket.SHUT_WR)
                assert s.recv(1) == b""
                s.close()

        server = self.world.serve(echo)
        _, stats = self.guest_and_stats(guest, SERVER_V4, server.port,
                                        options=["--max-connections", "3"])
        self.assertEqual((stats["tcp_flows"], stats.get("tcp_active", 0)), (301, 0))


def connect_errors_later(*addresses):
    say("ready")
    hear()
    return [connect_error(address, 80) for address in addresses]


class Gateway(Case):
    """The gateway's address stands for the host's loopback (B16 to B22)."""

    options = ["--net-rule", "allow@host"]

    def listen_on_host(self, address):
        return self.world.listen(address, namespace=self.world.host).getsockname()[1]

    def test_b16_the_gateway_is_the_hosts_loopback(self):
        for listen, dial in (("127.0.0.1", GATEWAY_V4), ("::1", GATEWAY_V6)):
            port = self.listen_on_host(listen)
            self.assertEqual(self.guest(connect_error, dial, port, options=self.options), 0)

    def test_b17_a_service_in_the_other_family_is_found(self):
        for listen, dial in (("127.0.0.1", GATEWAY_V6), ("::1", GATEWAY_V4)):
            port = self.listen_on_host(listen)
            self.assertEqual(self.guest(connect_error, dial, port, options=self.options), 0)

    def test_b17_a_port_without_a_service_is_refused(self):
        for dial in (GATEWAY_V4, GATEWAY_V6):
            self.assertEqual(self.guest(connect_error, dial, 81, options=self.options),
                             errno.ECONNREFUSED)

    def test_b19_the_gateway_is_reached_by_name(self):
        port = self.listen_on_host("127.0.0.1")
        for name in ("host.sluice.internal", "host.microsandbox.internal"):
            self.assertEqual(self.guest(connect_error, name, port, options=self.options), 0)

    def test_b20_group_host_and_nothing_else(self):
        port = self.listen_on_host("127.0.0.1")
        public = self.world.listen(port=port).getsockname()[1]
        self.assertEqual(self.guest(connect_error, GATEWAY_V4, port, options=self.options), 0)
        self.assertEqual(self.guest(connect_error, SERVER_V4, public, options=self.options),
                         errno.ECONNREFUSED)

    def test_b21_all_but_the_host(self):
        port = self.listen_on_host("127.0.0.1")
        public = self.world.listen().getsockname()[1]
        options = ["--net-rule", "deny@host", "--net-default-egress", "allow"]
        self.assertEqual(self.guest(connect_error, GATEWAY_V4, port, options=options),
                         errno.ECONNREFUSED)
        self.assertEqual(self.guest(connect_error, SERVER_V4, public, options=options), 0)

    def test_b22_a_denied_gateway_address_still_has_its_name(self):
        def guest(port):
            name = "host.sluice.internal"
            addresses = {a[4][0] for a in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)}
            return sorted(addresses), [connect_error(a, port) for a in sorted(addresses)]

        port = self.listen_on_host("127.0.0.1")
        options = ["--net-rule", f"deny@{GATEWAY_V4},deny@[{GATEWAY_V6}]", *ALL]
        self.assertEqual(self.guest(guest, port, options=options),
                         [[GATEWAY_V4, GATEWAY_V6], [errno.ECONNREFUSED] * 2])

    def test_n19_the_hosts_own_addresses_are_the_host(self):
        """Under profile public they are refused, although they look public."""
        for address in (HOST_V4, HOST_V6):
            port = self.listen_on_host(address)
            self.assertEqual(self.guest(connect_error, address, port), errno.ECONNREFUSED)
            self.assertEqual(self.guest(connect_error, address, port, options=self.options), 0)


class Closing(Case):
    def test_b6_the_reply_to_a_request_that_ends_with_eof_arrives(self):
        def guest(address, port):
            s = connected(address, port)
            s.sendall(b"request")
            s.shutdown(socket.SHUT_WR)
            return digest(s)

        def serve(connection):
            assert read_all(connection) == b"request"
            connection.sendall(pattern(300000))

        server = self.world.serve(serve)
        for address in BOTH:
            started = self.start_guest(guest, address, server.port, options=self.events_option(),
                                       stats=True)
            self.assertEqual(started.result(), [300000, sha(pattern(300000))])
            self.assertEqual(started.stats().get("tcp_active", 0), 0)
        server.join()
        self.assertEqual([(e["reason"], e["tx_bytes"], e["rx_bytes"]) for e in self.events()],
                         [("closed", 7, 300000)] * 2)

    def test_half_closes_in_every_order(self):
        """Each side sends, and ends its direction before, after, or while the other one does; whoever
        has ended still gets everything."""
        def guest(address, port, cases):
            results = []
            for first, up, down in cases:
                s = connected(address, port)
                s.sendall(struct.pack("!BII", first, up, down))
                if first == 1:
                    got = digest(s)
                s.sendall(pattern(up))
                s.shutdown(socket.SHUT_WR)
                if first != 1:
                    got = digest(s)
                s.close()
                results.append(got)
            return results

        guest_first, server_first, both = 0, 1, 2
        sizes = (0, 1, 1460, 200000)
        cases = [(first, up, down) for first in (guest_first, server_first, both)
                 for up in sizes for down in sizes]
        received = []

        def serve(connection):
            first, up, down = struct.unpack("!BII", connection.recv(9, socket.MSG_WAITALL))
            if first == guest_first:
                received.append(digest(connection))
            connection.sendall(pattern(down))
            connection.shutdown(socket.SHUT_WR)
            if first != guest_first:
                received.append(digest(connection))

        def expected(size):
            return [size, sha(pattern(size))]

        for address in BOTH:
            received.clear()
            server = self.world.serve(serve)
            results, stats = self.guest_and_stats(guest, address, server.port, cases)
            server.join()
            self.assertEqual(results, [expected(down) for _, _, down in cases])
            self.assertEqual(sorted(received), sorted(expected(up) for _, up, _ in cases))
            self.assertEqual(stats.get("tcp_active", 0), 0)
            self.assertNotIn("tcp_retransmits", stats)
            self.assertNotIn("tcp_guest_retransmits", stats)

    def test_simultaneous_close(self):
        """Both ends of many connections at once: some FINs cross."""
        count = 200

        def guest(address, port, count):
            sockets = [connected(address, port) for _ in range(count)]
            for s in sockets:
                assert s.recv(5) == b"hello"
            say("ready")
            hear()
            for s in sockets:
                s.shutdown(socket.SHUT_WR)
            return [len(read_all(s)) for s in sockets]

        listener = self.world.listen()
        started = self.start_guest(guest, SERVER_V4, listener.getsockname()[1], count, stats=True,
                                   options=self.events_option())
        connections = []
        for _ in range(count):
            connections.append(self.world.accept(listener))
            connections[-1].sendall(b"hello")
        started.hear()
        started.say()
        for connection in connections:
            connection.shutdown(socket.SHUT_WR)
        for connection in connections:
            self.assertEqual(read_all(connection), b"")
            connection.close()
        self.assertEqual(started.result(), [0] * count)
        self.assertNotIn("tcp_active", started.stats())
        self.assertEqual({e["reason"] for e in self.events()}, {"closed"})
        self.assertEqual(len(self.events()), count)

    def test_b8_a_reset_in_mid_stream_is_a_reset(self):
        def guest(address, port):
            s = connected(address, port)
            got = s.recv(4, socket.MSG_WAITALL)
            say("got")
            try:
                while s.recv(65536):
                    pass
                return "end of file"
            except OSError as e:
                return errno.errorcode[e.errno]

        for address in BOTH:
            listener = self.world.listen()
            started = self.start_guest(guest, address, listener.getsockname()[1],
                                       options=self.events_option())
            connection = self.world.accept(listener)
            connection.sendall(b"data")
            started.hear()
            reset(connection)
            self.assertEqual(started.result(), "ECONNRESET")
        self.assertEqual([e["reason"] for e in self.events()], ["remote_reset"] * 2)

    def test_b8_data_before_a_reset_still_arrives(self):
        """As with a remote side that does not read, and closes: its data, then RST."""
        def guest(address, port):
            s = connected(address, port)
            s.sendall(b"never read")
            data = b""
            try:
                while part := s.recv(65536):
                    data += part
                return len(data), "end of file"
            except OSError as e:
                return len(data), errno.errorcode[e.errno]

        def serve(connection):
            # The request has come: closing without reading it resets.
            select.select([connection], [], [])
            connection.sendall(pattern(1000))

        server = self.world.serve(serve)
        for _ in range(20):
            length, how = self.guest(guest, SERVER_V4, server.port)
            # The host's own kernel throws away what it had not handed on when a reset comes.
            self.assertIn(length, (0, 1000))
            self.assertEqual(how, "ECONNRESET")

    def test_b9_a_reset_by_the_guest_resets_the_remote_side(self):
        def guest(address, port):
            s = connected(address, port)
            s.sendall(b"x")
            assert s.recv(1) == b"x"
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
            # The engine lives on.
            hear()

        for address in BOTH:
            listener = self.world.listen()
            started = self.start_guest(guest, address, listener.getsockname()[1],
                                       options=self.events_option())
            connection = self.world.accept(listener)
            connection.sendall(connection.recv(1))
            with self.assertRaises(ConnectionResetError):
                connection.recv(1)
            started.say()
            started.result()
        self.assertEqual([e["reason"] for e in self.events()], ["guest_reset"] * 2)

    def test_b9_a_guest_that_closes_without_reading_resets(self):
        def guest(address, port):
            s = connected(address, port)
            s.recv(1)
            s.close()
            hear()

        listener = self.world.listen()
        started = self.start_guest(guest, SERVER_V4, listener.getsockname()[1])
        connection = self.world.accept(listener)
        connection.sendall(b"one and more")
        with self.assertRaises(OSError) as caught:
            while connection.recv(1):
                pass
            connection.sendall(b"x")
            connection.recv(1)
        self.assertIn(caught.exception.errno, (errno.ECONNRESET, errno.EPIPE))
        started.say()
        started.result()

    def test_the_guests_last_bytes_arrive_although_it_has_ended(self):
        """close(), and the end of the command, right behind the last write."""
        def guest(address, port, size):
            s = connected(address, port)
            s.sendall(pattern(size))

        for size in (1, 100000, 1000000):
            got = []
            server = self.world.serve(lambda connection, got=got: got.append(digest(connection)))
            self.guest(guest, SERVER_V4, server.port, size)
            server.join()
            self.assertEqual(got, [[size, sha(pattern(size))]])

    def test_the_guests_last_bytes_arrive_at_a_slow_reader(self):
        """Which reads nothing before all of sluice has ended: the rest is in the host's kernel."""
        def guest(address, port, size):
            s = connected(address, port)
            s.sendall(pattern(size))

        size = 25000
        for address in BOTH:
            listener = self.world.listen()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            self.guest(guest, address, listener.getsockname()[1], size)
            self.assertEqual(digest(self.world.accept(listener)), [size, sha(pattern(size))])

    def test_the_remote_side_may_talk_first(self):
        def guest(address, port):
            s = connected(address, port)
            banner = s.recv(100)
            s.sendall(b"bye")
            return banner.decode()

        def serve(connection):
            connection.sendall(b"220 hello")
            assert connection.recv(3, socket.MSG_WAITALL) == b"bye"

        server = self.world.serve(serve)
        self.assertEqual(self.guest(guest, SERVER_V4, server.port), "220 hello")
        server.join()

    def test_p9_urgent_data_stays_in_the_stream(self):
        """Both ways, and with nothing read out of band none is missing."""
        def guest(address, port):
            s = connected(address, port)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
            for i in range(100):
                s.send(b"abc")
                s.send(b"!", socket.MSG_OOB)
            s.shutdown(socket.SHUT_WR)
            return read_all(s).decode()

        got = []

        def serve(connection):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
            for _ in range(100):
                connection.send(b"xyz")
                connection.send(b"?", socket.MSG_OOB)
            got.append(read_all(connection))

        server = self.world.serve(serve)
        self.assertEqual(self.guest(guest, SERVER_V4, server.port), "xyz?" * 100)
        server.join()
        self.assertEqual(got, [b"abc!" * 100])


class Flood(Case):
    """A guest with raw sockets against the table of connections."""

    def test_p11_a_flood_of_syns_leaves_room_for_ordinary_connections(self):
        def guest(black, good, port, count):
            raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
            source = socket.inet_aton("100.96.0.2")
            target = socket.inet_aton(black)

            for i in range(count):
                header = struct.pack("!HHIIBBHHH", 1024 + i, 80, i, 0, 5 << 4, 2, 1024, 0, 0)
                pseudo = source + target + struct.pack("!BBH", 0, 6, len(header))
                header = header[:16] + struct.pack("!H", checksum(pseudo + header)) + header[18:]
                ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, 6, 0, source, target)
                raw.sendto(ip + header, (black, 0))
                if i % 500 == 0:
                    assert connect_error(good, port) == 0, i
            return connect_error(good, port)

        self.world.server.ip(f"route add blackhole {NOWHERE_V4}")
        server = self.world.serve(echo)
        result, stats = self.guest_and_stats(guest, NOWHERE_V4, SERVER_V4, server.port, 5000)
        self.assertEqual(result, 0)
        # The oldest of the half-open ones have made room.
        self.assertGreater(stats["drop_tcp_backlog"], 3000)


if __name__ == "__main__":
    networld.main()

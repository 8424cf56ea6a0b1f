#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the host has disappears in mid flow: server, link, route, resolver. The guest hears what has happened,
and other flows go on. And what is told of flows when they end."""
import datetime
import errno
import os
import signal
import socket
import subprocess

import harness
import networld
from networld import *  # pylint: disable=wildcard-import,unused-wildcard-import

UNUSED_V4, UNUSED_V6 = "45.67.90.1", "2a0b:5a41::1"
SERVERS = (SERVER_V4, SERVER_V6)


def puppet():
    """Does what the test tells, until that is null: [what, name of a socket, arguments]. Says the result, or the
    name of the error."""
    sockets = {}
    while (told := hear()) is not None:
        what, name, *args = told
        try:
            if what in ("connected", "udp"):
                sockets[name] = globals()[what](*args)
                result = "ok"
            else:
                result = globals()[what](sockets[name], *args)
        except OSError as e:
            result = errno.errorcode.get(e.errno, str(e))
        say(result)


def trip(s, size=1000):
    """There and back."""
    s.sendall(pattern(size))
    got = b""
    while len(got) < size:
        part = s.recv(1 << 16)
        if not part:
            return "end of file"
        got += part
    return "ok" if got == pattern(size) else "wrong"


def write(s, data):
    s.sendall(data.encode())
    return "ok"


def read_to_end(s):
    """What ends the stream, and how long it was."""
    got = 0
    try:
        while part := s.recv(1 << 16):
            got += len(part)
        return [got, "end of file"]
    except OSError as e:
        return [got, errno.errorcode[e.errno]]


def write_to_end(s):
    """Writes until this fails."""
    try:
        while True:
            s.sendall(bytes(65536))
    except OSError as e:
        return errno.errorcode[e.errno]


def shut(s):
    s.close()
    return "ok"


def error_of_datagram(s):
    """What comes back for a datagram, by the error queue."""
    tell_errors(s)
    try:
        s.send(b"x")
    except OSError:
        pass
    return next_error(s)[:3]


def ask(s, name):
    """The response code of a query."""
    query = b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + b"".join(
        bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0\0\1\0\1"
    s.send(query)
    answer = s.recv(4096)
    assert answer[:2] == query[:2]
    return answer[3] & 15


USES = (trip, write, read_to_end, write_to_end, shut, error_of_datagram, ask)


def echo(connection):
    while data := connection.recv(1 << 16):
        connection.sendall(data)


class Puppet:
    """The test's side of puppet()."""

    def __init__(self, case, *options, stats=False):
        self.guest = case.start_guest(puppet, uses=USES, options=options, stats=stats)

    def start(self, *told):
        self.guest.say(told)

    def finish(self):
        return self.guest.hear()

    def do(self, *told):
        self.start(*told)
        return self.finish()

    def end(self):
        self.guest.say()
        self.guest.result()


class Fails(Case):
    def setUp(self):
        super().setUp()
        self.echo_ports = {}

    def echo_server(self, **more):
        return self.world.serve(echo, **more).port

    def start_puppet(self, *options, **more):
        """With two flows that no failure may touch: by TCP and UDP to the host's own loopback."""
        p = Puppet(self, "--net", "public,host", *self.events_option(), *options, **more)
        port = self.echo_server(address="127.0.0.1", namespace=self.world.host)
        self.assertEqual(p.do("connected", "good", GATEWAY_V4, port), "ok")
        self.good = p
        self.others_go_on()
        return p

    def others_go_on(self):
        for _ in range(3):
            self.assertEqual(self.good.do("trip", "good", 20000), "ok")

    def told_of(self, remote, kind="flow_end"):
        return [e["reason"] for e in self.events(kind) if e["remote"] == remote]

    def wait_for_end(self, remote, count=1):
        return wait_until(lambda: len(self.told_of(remote)) >= count and self.told_of(remote),
                          f"an event of {remote}")


class Servers(Fails):
    SERVE = ("import socket, sys\n"
             "listener = socket.socket(fileno=int(sys.argv[1]))\n"
             "connection, _ = listener.accept()\n"
             "connection.sendall(b'x' * 5000)\n"
             "print('sent', flush=True)\n"
             "connection.recv(1, socket.MSG_PEEK)\n"
             "print('got', flush=True)\n"
             "input()\n")

    def start_server(self, address):
        """A process of its own, that can be killed."""
        listener = self.world.listen(address)
        process = subprocess.Popen([harness.PYTHON, "-c", self.SERVE, str(listener.fileno())],
                                   pass_fds=[listener.fileno()], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)
        self.addCleanup(self.end, process)
        port = listener.getsockname()[1]
        self.world.to_close.remove(listener)
        listener.close()
        return process, port

    def test_a_server_is_killed(self):
        """Its kernel ends the stream in order; where something was left unread, by RST (B8). From then on its
        port is closed."""
        p = self.start_puppet()
        for address in SERVERS:
            expected = []
            for is_unread, how, reason in ((False, "end of file", "closed"),
                                           (True, "ECONNRESET", "remote_reset")):
                process, port = self.start_server(address)
                self.assertEqual(p.do("connected", "x", address, port), "ok")
                self.assertEqual(harness.read_line(process.stdout), "sent")
                if is_unread:
                    p.do("write", "x", "unread")
                    self.assertEqual(harness.read_line(process.stdout), "got")
                p.start("read_to_end", "x")
                os.kill(process.pid, signal.SIGKILL)
                length, found = p.finish()
                self.assertEqual(found, how)
                # What a kernel has not handed on when RST comes is lost.
                self.assertIn(length, (0, 5000) if is_unread else (5000,))
                p.do("shut", "x")
                self.assertEqual(p.do("connected", "y", address, port), "ECONNREFUSED")
                expected += [reason, "refused"]
                self.assertEqual(sorted(self.wait_for_end(address, len(expected))), sorted(expected))
                self.others_go_on()
        p.end()

    def test_a_udp_server_is_killed_and_comes_back(self):
        p = self.start_puppet()
        for address, icmp in ((SERVER_V4, [3, 3]), (SERVER_V6, [1, 4])):
            server = self.world.udp(address)
            port = server.getsockname()[1]
            p.do("udp", "x", address, port)
            for _ in range(2):
                p.start("trip", "x", 100)
                data, sender = server.recvfrom(1000)
                server.sendto(data, sender)
                self.assertEqual(p.finish(), "ok")
                server.close()
                self.assertEqual(p.do("error_of_datagram", "x"), [errno.ECONNREFUSED, *icmp])
                self.others_go_on()
                server = self.world.udp(address, port)
        p.end()


class Links(Fails):
    def setUp(self):
        super().setUp()
        self.addresses = [f"addr add {HOST_V4}/24 dev up0", f"addr add {HOST_V6}/64 dev up0 nodad"]
        self.routes = [f"route add default via {SERVER_V4}", f"route add default via {SERVER_V6}"]

    def down(self):
        self.world.host.ip("link set up0 down")

    def up(self):
        """Takes back what the kernel has thrown away with the link."""
        self.world.host.ip("link set up0 up", self.addresses[1], *self.routes)

    def open_all(self, p):
        """A connection and a UDP flow to each server."""
        for i, address in enumerate(SERVERS):
            self.assertEqual(p.do("connected", f"tcp{i}", address, self.tcp_port), "ok")
            self.assertEqual(p.do("trip", f"tcp{i}"), "ok")
            p.do("udp", f"udp{i}", address, self.udp_servers[i].getsockname()[1])
            self.udp_trip(p, i)

    def udp_trip(self, p, i):
        p.start("trip", f"udp{i}", 100)
        data, sender = self.udp_servers[i].recvfrom(1000)
        self.udp_servers[i].sendto(data, sender)
        self.assertEqual(p.finish(), "ok")

    def start_all(self, **more):
        p = self.start_puppet(**more)
        self.tcp_port = self.echo_server()
        self.udp_servers = [self.world.udp(address) for address in SERVERS]
        self.open_all(p)
        return p

    def test_the_hosts_link_goes_and_comes_back(self):
        """New connections and datagrams are unreachable at once; what stands, stands still and goes on."""
        p = self.start_all()
        self.down()
        for i, address in enumerate(SERVERS):
            self.assertIn(p.do("connected", "x", address, self.tcp_port), ("ENETUNREACH", "EHOSTUNREACH"))
            self.assertIn(p.do("error_of_datagram", f"udp{i}")[0], (errno.ENETUNREACH, errno.EHOSTUNREACH))
        p.start("trip", "tcp0", 5000)
        self.up()
        self.assertEqual(p.finish(), "ok")
        self.others_go_on()
        for i, address in enumerate(SERVERS):
            self.assertEqual(p.do("trip", f"tcp{i}", 100000), "ok")
            self.assertEqual(p.do("connected", "x", address, self.tcp_port), "ok")
            p.do("udp", f"udp{i}", address, self.udp_servers[i].getsockname()[1])
            self.udp_trip(p, i)
        p.end()
        # Told of are the connection that was refused and the UDP flow whose socket had lost its way; connections are
        # not by what they have survived.
        for address in SERVERS:
            self.assertEqual(self.told_of(address).count("unreachable"), 2)

    def test_a_route_turns_away_and_back(self):
        p = self.start_all()
        for kind, tcp_errors, icmp in (("unreachable", ("EHOSTUNREACH",), ([3, 1], [1, 3])),
                                       ("prohibit", ("EHOSTUNREACH", "EACCES"), ([3, 13], [1, 1]))):
            lines = [f"{kind} {address}" for address in SERVERS]
            self.world.host.ip(*[f"route add {line}" for line in lines])
            for i, address in enumerate(SERVERS):
                self.assertIn(p.do("connected", "x", address, self.tcp_port), tcp_errors)
                self.assertEqual(p.do("error_of_datagram", f"udp{i}")[1:], icmp[i])
            self.others_go_on()
            self.world.host.ip(*[f"route del {line}" for line in lines])
            for i, address in enumerate(SERVERS):
                self.assertEqual(p.do("trip", f"tcp{i}", 5000), "ok")
                p.do("udp", f"udp{i}", address, self.udp_servers[i].getsockname()[1])
                self.udp_trip(p, i)
        p.end()

    def test_another_way_to_the_server(self):
        """The route changes under flows that stand: they take the new one without notice."""
        self.world.server.ip("addr add 45.67.89.3/24 dev net0")
        p = self.start_all()
        self.world.host.ip("route change default via 45.67.89.3", f"route add {SERVER_V4} via 45.67.89.3 onlink "
                           "dev up0")
        for i in range(2):
            self.assertEqual(p.do("trip", f"tcp{i}", 100000), "ok")
            self.udp_trip(p, i)
        p.end()
        self.assertLessEqual({r for a in SERVERS for r in self.told_of(a)}, {"shutdown", "closed"})

    def test_b24_a_connection_that_the_host_gives_up_is_reset(self):
        """The remote side falls silent, or a router tells that it is gone; the host's kernel, told to be
        impatient, gives up."""
        self.assertTrue(self.world.host.sysctl("net/ipv4/tcp_retries2", 2))
        p = self.start_puppet()
        port = self.echo_server()
        for address, kind, code in ((UNUSED_V4, 3, 1), (UNUSED_V6, 1, 3)):
            for is_told in (False, True):
                self.assertEqual(p.do("connected", "x", address, port), "ok")
                self.assertEqual(p.do("trip", "x"), "ok")
                self.world.server.ip(f"route add blackhole {address}")
                capture = self.world.capture()
                p.start("write_to_end", "x")
                if is_told:
                    self.world.send_icmp_error(kind, code, 0, capture.wait_for(address))
                self.assertIn(p.finish(), ("ECONNRESET", "EPIPE"))
                self.world.server.ip(f"route del blackhole {address}")
            self.assertEqual(self.wait_for_end(address, 2), ["remote_timeout", "unreachable"])
            self.others_go_on()
        p.end()

    def test_a_connect_into_a_black_hole_ends_some_time(self):
        """The guest hears nothing (B5), and the flow is freed when the host's kernel has given up."""
        self.assertTrue(self.world.host.sysctl("net/ipv4/tcp_syn_retries", 1))

        def guest(addresses):
            sockets = []
            for address in addresses:
                s = tcp(family_of(address))
                s.setblocking(False)
                s.connect_ex((address, 80))
                sockets.append(s)
            say("ready")
            hear()
            poll = select.poll()
            for s in sockets:
                poll.register(s, select.POLLOUT)
            return len(poll.poll(0))

        self.world.server.ip(f"route add blackhole {UNUSED_V4}", f"route add blackhole {UNUSED_V6}")
        run = self.start_guest(guest, [UNUSED_V4, UNUSED_V6], options=self.events_option())
        run.hear()
        for address in (UNUSED_V4, UNUSED_V6):
            self.assertEqual(self.wait_for_end(address)[0], "connect_timeout")
        run.say()
        self.assertEqual(run.result(), 0)


class Resolver:
    """Answers each query with an empty answer, or counts it only."""

    def __init__(self, world, port=0):
        self.socket = world.udp(SERVER_V4, port)
        self.port = self.socket.getsockname()[1]
        self.asked = 0
        self.answers = True
        self.thread = threading.Thread(target=self.serve)
        self.world = world
        self.thread.start()

    def serve(self):
        while True:
            query, client = self.socket.recvfrom(4096)
            if query == b"end":
                return
            self.asked += 1
            if self.answers:
                self.socket.sendto(query[:2] + b"\x81\x80" + query[4:6] + bytes(6) + query[12:], client)

    def close(self):
        with self.world.server.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"end", (SERVER_V4, self.port))
        self.thread.join()
        self.socket.close()


class Resolvers(Fails):
    NOERROR, SERVFAIL = 0, 2

    def start_resolvers(self, *options):
        self.resolvers = [Resolver(self.world) for _ in range(2)]
        self.addCleanup(lambda: [r.close() for r in self.resolvers])
        nameservers = [x for r in self.resolvers for x in ("--dns-nameserver", f"{SERVER_V4}:{r.port}")]
        p = self.start_puppet(*nameservers, *options)
        p.do("udp", "dns", GATEWAY_V4, 53)
        self.assertEqual(p.do("ask", "dns", "a.test"), self.NOERROR)
        self.assertEqual([r.asked for r in self.resolvers], [1, 0])
        return p

    def stop(self, i):
        self.resolvers[i].close()

    def resume(self, i):
        self.resolvers[i] = Resolver(self.world, self.resolvers[i].port)

    def test_d11_a_resolver_that_ends_is_left_at_once(self):
        """Its port is closed: the other one answers, without any timeout."""
        p = self.start_resolvers("--dns-query-timeout-ms", "60000")
        self.stop(0)
        for name in ("b.test", "c.test", "d.test"):
            self.assertEqual(p.do("ask", "dns", name), self.NOERROR)
            self.others_go_on()
        self.assertEqual(self.resolvers[1].asked, 3)
        self.resume(0)
        self.stop(1)
        self.assertEqual(p.do("ask", "dns", "e.test"), self.NOERROR)
        self.resume(1)
        p.end()

    def test_d11_a_resolver_that_falls_silent_is_waited_for_once(self):
        p = self.start_resolvers("--dns-query-timeout-ms", "300")
        self.resolvers[0].answers = False
        for name in ("b.test", "c.test", "d.test"):
            self.assertEqual(p.do("ask", "dns", name), self.NOERROR)
        self.assertEqual([r.asked for r in self.resolvers], [2, 3])
        p.end()

    def test_d12_all_resolvers_end_and_one_comes_back(self):
        p = self.start_resolvers("--dns-query-timeout-ms", "60000")
        for i in range(2):
            self.stop(i)
        for name in ("b.test", "c.test"):
            self.assertEqual(p.do("ask", "dns", name), self.SERVFAIL)
            self.others_go_on()
        self.resume(0)
        self.assertEqual(p.do("ask", "dns", "b.test"), self.NOERROR)
        self.resume(1)
        p.end()

    def test_d12_all_resolvers_fall_silent(self):
        """While a query waits, other flows do not."""
        p = self.start_resolvers("--dns-query-timeout-ms", "300")
        for r in self.resolvers:
            r.answers = False
        self.assertEqual(p.do("ask", "dns", "b.test"), self.SERVFAIL)
        self.others_go_on()
        p.end()

    def test_d12_the_way_to_the_resolvers_is_gone(self):
        p = self.start_resolvers("--dns-query-timeout-ms", "60000")
        for kind in ("unreachable", "prohibit"):
            self.world.host.ip(f"route add {kind} {SERVER_V4}")
            self.assertEqual(p.do("ask", "dns", "b.test"), self.SERVFAIL)
            self.others_go_on()
            self.world.host.ip(f"route del {kind} {SERVER_V4}")
            self.assertEqual(p.do("ask", "dns", "b.test"), self.NOERROR)
        p.end()


class Events(Fails):
    def check(self, told, elapsed_us, **expected):
        at = datetime.datetime.strptime(told.pop("time"), "%Y-%m-%dT%H:%M:%S.%f%z")
        self.assertLessEqual(abs((datetime.datetime.now(datetime.timezone.utc) - at).total_seconds()),
                             elapsed_us / 10 ** 6 + 1)
        if "duration_us" in told:
            self.assertTrue(0 < told["duration_us"] <= elapsed_us, told["duration_us"])
            del told["duration_us"]
        self.assertEqual(told, expected)

    def test_what_is_told_of_each_kind(self):
        """All fields of the end of a connection, of a UDP flow, and of denials."""
        def guest(address, port, udp_port, denied):
            s = connected(address, port)
            u = udp(address, udp_port)
            s.sendall(bytes(1234))
            s.shutdown(socket.SHUT_WR)
            u.send(bytes(200))
            result = len(read_all(s)), len(u.recv(1000))
            ports = [s.getsockname()[1], u.getsockname()[1]]
            with tcp(s.family) as d:
                d.bind(("", 0))
                assert d.connect_ex((denied, 81)) == errno.ECONNREFUSED
            with udp(denied, 82) as d:
                ports.append(d.getsockname()[1])
                tell_errors(d)
                d.send(b"x")
                next_error(d)
            s.close()
            raw = socket.socket(s.family, socket.SOCK_RAW, 1 if s.family == socket.AF_INET else 58)
            raw.sendto((b"\x08" if s.family == socket.AF_INET else b"\x80") + b"\0\xf7\xfd\0\1\0\1", (denied, 0))
            hear()
            return result, ports

        def serve(connection):
            read_all(connection)
            connection.sendall(bytes(4321))

        server = self.world.serve(serve)
        begin = time.monotonic_ns()
        for address, other, own, rule, version in (
                (SERVER_V4, OTHER_V4, GUEST_V4, f"allow@{SERVER_V4}", "icmpv4"),
                (SERVER_V6, OTHER_V6, GUEST_V6, f"allow@[{SERVER_V6}]", "icmpv6")):
            receiver = self.world.udp(address)
            udp_port = receiver.getsockname()[1]
            text = f"[{other}]" if ":" in other else other
            run = self.start_guest(guest, address, server.port, udp_port, other, options=[
                "--net-rule", f"allow@192.0.2.0/24:tcp,{rule},deny@{text}:udp", *self.events_option()])
            data, sender = receiver.recvfrom(1000)
            receiver.sendto(data + bytes(50), sender)
            wait_until(lambda: len(self.events()) == 4, "four events")
            run.say()
            result, ports = run.result()
            self.assertEqual(result, [4321, 250])
            events = self.events()
            elapsed_us = (time.monotonic_ns() - begin) // 1000
            flow = {"event": "flow_end", "guest": own, "remote": address, "class": "public", "verdict": "allow", "rule": rule,
                    "rule_number": 1}
            denial = {"event": "denied", "guest": own, "remote": other, "class": "public",
                      "verdict": "deny", "reason": "policy", "count": 1}
            by_kind = {(e["event"], e["proto"]): e for e in events}
            self.assertEqual(len(by_kind), 5)
            self.assertIsInstance(by_kind["denied", "tcp"].pop("guest_port"), int)
            self.check(by_kind["flow_end", "tcp"], elapsed_us, proto="tcp", **flow,
                       guest_port=ports[0], remote_port=server.port, reason="closed", tx_bytes=1234,
                       rx_bytes=4321)
            self.check(by_kind["flow_end", "udp"], elapsed_us, proto="udp", **flow,
                       guest_port=ports[1], remote_port=udp_port, reason="shutdown", tx_bytes=200,
                       rx_bytes=250)
            self.check(by_kind["denied", "tcp"], elapsed_us, proto="tcp", **denial, rule="default",
                       remote_port=81)
            self.check(by_kind["denied", "udp"], elapsed_us, proto="udp", **denial, rule=f"deny@{text}:udp",
                       rule_number=2, guest_port=ports[2], remote_port=82)
            self.check(by_kind["denied", version], elapsed_us, proto=version, **denial, rule="default")
            os.unlink(f"{self.directory}/events")

    def test_c16_counters_are_exact_where_events_are_not_each(self):
        """More denials than are told one by one: counts add up to what is counted, but for the last few."""
        def guest(address, count):
            return sum(connect_error(address, 1000 + i) == errno.ECONNREFUSED for i in range(count))

        count = 3000
        run = self.start_guest(guest, OTHER_V4, count, stats=True,
                               options=["--net-rule", "deny@any", *self.events_option()])
        self.assertEqual(run.result(), count)
        self.assertEqual(run.stats()["denied_tcp"] + run.stats().get("drop_name_protocol", 0), count)
        told = self.events()
        self.assertLess(len(told), count)
        self.assertLessEqual(sum(e["count"] for e in told), count)
        self.assertEqual([e["count"] for e in told[:1000]], [1] * 1000)
        self.assertTrue(any(e["count"] > 1 for e in told[1000:]))


if __name__ == "__main__":
    networld.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A kernel behind virtqueues: TCP, UDP and echo through the vhost-user port to servers of another kernel.

tests/frontend plays the virtual machine: `vhost_frontend` is monitor and driver, and the kernel of a namespace
"guest" is the guest's. `vhost_host` is the engine behind the port."""
import hashlib
import json
import os
import select
import socket
import subprocess
import threading

import harness
import networld
from netframes import GUEST_MAC
from networld import (GATEWAY_V4, GATEWAY_V6, GUEST_V4, GUEST_V6, SERVER_V4, SERVER_V6, Case, Namespace,
                      connected, digest, guest_argv, hear, pattern, read_all, say, sha)

BOTH = (SERVER_V4, SERVER_V6)
SIZE = 8 << 20

# Bits of virtio-net and virtio.
CSUM, GUEST_CSUM, GUEST_TSO4, GUEST_TSO6, HOST_TSO4, HOST_TSO6, MRG_RXBUF = 0, 1, 7, 8, 11, 12, 15
INDIRECT_DESC, EVENT_IDX, VERSION_1 = 28, 29, 32
GUEST_USO4, GUEST_USO6, HOST_USO = 54, 55, 56
PROTOCOL_REPLY_ACK, PROTOCOL_INFLIGHT, PROTOCOL_SLOTS = 3, 12, 15
OFFLOADS = [GUEST_TSO4, GUEST_TSO6, HOST_TSO4, HOST_TSO6, GUEST_USO4, GUEST_USO6, HOST_USO]


def without(*bits):
    return [word for bit in bits for word in ("without", bit)]


class Program:
    """A process that is told by lines, and tells by lines."""

    def __init__(self, namespace, log, *argv):
        self.log = log
        with open(log, "ab") as stderr, namespace.entered():
            self.process = subprocess.Popen([str(word) for word in argv], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=stderr)

    def messages(self):
        return harness.read_file(self.log)

    def hear(self):
        if not select.select([self.process.stdout], [], [], harness.PATIENCE)[0]:
            raise AssertionError(f"no line comes; {self.messages()}")
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"it has ended: {self.messages()}")
        return line.decode().rstrip("\n")

    def ask(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        return self.hear()

    def end(self):
        """By the end of its input. Returns its messages; it must end well."""
        self.process.communicate(timeout=harness.PATIENCE)
        if self.process.returncode != 0:
            raise AssertionError(f"it ends with {self.process.returncode}: {self.messages()}")
        return self.messages()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            stream.close()


class VhostCase(Case):
    mtu = 1500

    def start_host(self, *options):
        path = os.path.join(self.directory, "vu.sock")
        host = Program(self.world.host, os.path.join(self.directory, "host.log"),
                       os.environ["SLUICE_TEST_HOST"], "mtu", self.mtu, *options, path)
        self.addCleanup(host.kill)
        self.assertEqual(host.hear(), "ready")
        return host

    def start_frontend(self, *options):
        guest = Namespace()
        self.world.to_close.append(guest)
        for name in ("default", "all"):
            guest.sysctl(f"net/ipv6/conf/{name}/accept_dad", 0)
            guest.sysctl(f"net/ipv6/conf/{name}/accept_ra", 0)
        guest.sysctl("net/ipv4/tcp_congestion_control", "cubic")
        frontend = Program(guest, os.path.join(self.directory, "frontend.log"), os.environ["SLUICE_TEST_FRONTEND"],
                           *options, os.path.join(self.directory, "vu.sock"))
        self.addCleanup(frontend.kill)
        self.assertEqual(frontend.hear(), "ready")
        # A virtio-net device stops its queue when it is full; a TAP drops, unless its queue holds a whole window.
        guest.ip(f"link set eth0 address {GUEST_MAC.hex(':')} mtu {self.mtu} txqueuelen 10000",
                 f"addr add {GUEST_V4}/30 dev eth0", f"addr add {GUEST_V6}/64 dev eth0 nodad", "link set eth0 up",
                 f"route add default via {GATEWAY_V4}", f"route add default via {GATEWAY_V6}")
        return guest, frontend

    def run_in(self, guest, function, *args, **more):
        """Runs the function in the guest and returns its result."""
        return self.start_in(guest, function, *args, **more).result()

    def start_in(self, guest, function, *args, uses=()):
        log = os.path.join(self.directory, f"guest-{len(os.listdir(self.directory))}")
        with open(log, "wb") as stderr, guest.entered():
            process = subprocess.Popen(guest_argv(function, args, uses), stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=stderr)
        self.addCleanup(self.end, process)
        return networld.Guest(process, log)

    @staticmethod
    def retransmitted(namespace):
        """Segments that its kernel has sent again."""
        with namespace.entered(), open("/proc/thread-self/net/snmp", encoding="ascii") as f:
            names, values = [line.split() for line in f if line.startswith("Tcp:")]
        return int(values[names.index("RetransSegs")])

    @staticmethod
    def counters(text):
        """What the host prints at its end."""
        words = (line.split() for line in text.splitlines())
        return {w[0]: int(w[1]) for w in words if len(w) > 2 and w[1].isdigit()}


def back(connection):
    """What comes up to the end, and then the same backwards."""
    connection.sendall(read_all(connection)[::-1])


def send_and_receive(address, port, size, seed):
    with connected(address, port) as s:
        s.sendall(pattern(size, seed))
        s.shutdown(socket.SHUT_WR)
        return digest(s)


class Exchange(VhostCase):
    def exchange(self, guest):
        """Bytes both ways, over each IP version."""
        server = self.world.serve(back)
        for seed, address in enumerate(BOTH):
            got = self.run_in(guest, send_and_receive, address, server.port, SIZE, seed)
            self.assertEqual(got, [SIZE, sha(pattern(SIZE, seed)[::-1])], address)
        server.join()
        server.close()
        self.world.to_close.remove(server)

    def check(self, *options, host=()):
        self.make_world(mtu=self.mtu)
        host = self.start_host(*host)
        guest, frontend = self.start_frontend(*options)
        self.exchange(guest)
        self.assertEqual(self.retransmitted(guest), 0)
        frontend.end()
        said = host.end()
        counters = self.counters(said)
        self.assertEqual(counters.get("tcp_retransmits", 0), 0)
        self.assertEqual(counters.get("nic_rx_lost", 0), 0)
        notes = [line for line in said.splitlines() if line.startswith("vhost_host: ")]
        self.assertEqual(notes, [])


class Traffic(Exchange):
    def test_with_everything_that_is_offered(self):
        self.check()

    def test_without_any_offload(self):
        self.check(*without(CSUM, GUEST_CSUM, *OFFLOADS))

    def test_without_mergeable_buffers(self):
        self.check("rx-buffer", 65562, *without(MRG_RXBUF))

    def test_without_mergeable_buffers_and_with_small_ones(self):
        self.check("rx-buffer", 1600, *without(MRG_RXBUF, GUEST_TSO4, GUEST_TSO6, GUEST_USO4, GUEST_USO6))

    def test_without_event_indexes(self):
        self.check(*without(EVENT_IDX))

    def test_with_buffers_in_many_pieces(self):
        self.check("pieces", 1)

    def test_with_a_driver_of_old(self):
        self.check("rx-buffer", 65562, *without(VERSION_1, MRG_RXBUF))

    def test_with_short_queues(self):
        self.check("num", 16)

    def test_with_many_regions_added_one_by_one(self):
        self.check("regions", 8, "slots", 1)

    def test_with_two_pairs_of_queues(self):
        self.check("pairs", 2)

    def test_without_acknowledgements(self):
        self.check("without-protocol", PROTOCOL_REPLY_ACK)

    def test_without_what_is_in_flight(self):
        self.check("without-protocol", PROTOCOL_INFLIGHT)
        self.doCleanups()
        self.setUp()
        self.check(host=("inflight", 0))


class Large(Exchange):
    mtu = 65520

    def test_with_an_mtu_of_64_kib(self):
        self.check()

    def test_with_an_mtu_of_64_kib_and_no_offload(self):
        self.check(*without(CSUM, GUEST_CSUM, *OFFLOADS))

    def test_with_an_mtu_of_64_kib_and_large_buffers(self):
        self.check("rx-buffer", 65562, *without(MRG_RXBUF))


def in_steps(address, port, size):
    """Sends and receives at once, and says when each quarter of it has come; returns the hash of all."""
    with connected(address, port) as s:
        sender = threading.Thread(target=s.sendall, args=(pattern(size),))
        sender.start()
        h = hashlib.sha1()
        for _ in range(4):
            left = size // 4
            while left > 0 and (data := s.recv(min(left, 1 << 16))):
                h.update(data)
                left -= len(data)
            say("quarter")
            hear()
        sender.join()
    return h.hexdigest()


def echo(connection):
    while data := connection.recv(1 << 16):
        connection.sendall(data)


class ComingBack(VhostCase):
    def check(self, *words):
        """A connection goes on over what the front end does meanwhile."""
        host = self.start_host()
        guest, frontend = self.start_frontend()
        for address in BOTH:
            server = self.world.serve(echo)
            run = self.start_in(guest, in_steps, address, server.port, SIZE)
            for _ in range(4):
                self.assertEqual(run.hear(), "quarter")
                for word in words:
                    self.assertEqual(frontend.ask(word), "done")
                run.say()
            self.assertEqual(run.result(), sha(pattern(SIZE)))
            server.join()
        frontend.end()
        self.assertGreater(self.counters(host.end())["nic_links"], 8)

    def test_a_front_end_that_leaves_without_a_word_and_comes_back(self):
        self.check("reconnect")

    def test_a_front_end_that_stops_its_queues_leaves_and_comes_back(self):
        self.check("restart")

    def test_a_front_end_that_is_away_for_a_while(self):
        self.check("leave", "come")

    def test_another_back_end_takes_up_what_the_first_has_left(self):
        host = self.start_host()
        guest, frontend = self.start_frontend()
        server = self.world.serve(back)
        for seed in range(3):
            got = self.run_in(guest, send_and_receive, SERVER_V4, server.port, SIZE, seed)
            self.assertEqual(got, [SIZE, sha(pattern(SIZE, seed)[::-1])])
            # In the middle of a transfer, so that much is in flight.
            run = self.start_in(guest, in_steps, SERVER_V4, self.world.serve(echo).port, 4 * SIZE)
            self.assertEqual(run.hear(), "quarter")
            host.kill()
            os.unlink(os.path.join(self.directory, "vu.sock"))
            self.assertEqual(frontend.ask("wait"), "gone")
            host = self.start_host()
            self.assertEqual(frontend.ask("come"), "done")
        # No buffer has been lost, and none was used twice, which the front end would not survive.
        networld.wait_until(lambda: json.loads(frontend.ask("stats"))["tx_free"] == 256, "all buffers come back")
        got = self.run_in(guest, send_and_receive, SERVER_V4, server.port, SIZE, 9)
        self.assertEqual(got, [SIZE, sha(pattern(SIZE, 9)[::-1])])
        frontend.end()


networld.main()

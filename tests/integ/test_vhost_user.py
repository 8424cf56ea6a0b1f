#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A kernel behind virtqueues: bytes through the vhost-user port to servers of another kernel.

tests/frontend plays the virtual machine: `vhost_frontend` is monitor and driver, and the kernel of a namespace is the
guest's."""
import hashlib
import json
import os
import signal
import socket
import threading

import networld
from networld import SERVER_V4, SERVER_V6, connected, digest, hear, pattern, read_all, say, sha
from serveworld import ServeCase

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


class VhostCase(ServeCase):
    def start_serve(self, *options, **more):
        return self.serve(f"vhost-user:{self.path()}", *options, **more)

    @staticmethod
    def ask(frontend, line):
        frontend.say(line)
        return frontend.hear()

    @staticmethod
    def retransmitted(namespace):
        """Segments that its kernel has sent again."""
        with namespace.entered(), open("/proc/thread-self/net/snmp", encoding="ascii") as f:
            names, values = [line.split() for line in f if line.startswith("Tcp:")]
        return int(values[names.index("RetransSegs")])


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

    def check(self, *options):
        serve = self.start_serve()
        guest, frontend = self.start_frontend(*options)
        self.exchange(guest)
        self.assertEqual(self.retransmitted(guest), 0)
        self.assertEqual(frontend.end(), 0, frontend.messages())
        serve.wait_for_message("the guest has disconnected")
        self.assertEqual(serve.stop(), 0)
        stats = serve.stats()
        for name in ("nic_tx_broken", "nic_rx_lost", "tcp_retransmits"):
            self.assertEqual(stats.get(name, 0), 0, name)
        self.assertEqual(stats["nic_links"], 1)
        self.assertNotIn("monitor:", serve.messages())


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

    def test_with_a_monitor_that_listens(self):
        serve = self.start_serve("--connect")
        serve.wait_for_message("nobody listens")
        guest, _ = self.start_frontend("listens", 1)
        self.exchange(guest)
        self.assertEqual(serve.stop(), 0)


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
        serve = self.start_serve()
        guest, frontend = self.start_frontend()
        for address in BOTH:
            server = self.world.serve(echo)
            run = self.start_in(guest, in_steps, address, server.port, SIZE)
            for _ in range(4):
                self.assertEqual(run.hear(), "quarter")
                for word in words:
                    self.assertEqual(self.ask(frontend, word), "done")
                run.say()
            self.assertEqual(run.result(), sha(pattern(SIZE)))
            server.join()
        self.assertEqual(frontend.end(), 0, frontend.messages())
        self.assertEqual(serve.stop(), 0)
        self.assertGreater(serve.stats()["nic_links"], 8)

    def test_a_front_end_that_leaves_without_a_word_and_comes_back(self):
        self.check("reconnect")

    def test_a_front_end_that_stops_its_queues_leaves_and_comes_back(self):
        self.check("restart")

    def test_a_front_end_that_is_away_for_a_while(self):
        self.check("leave", "come")

    def test_another_back_end_takes_up_what_the_first_has_left(self):
        serve = self.start_serve()
        guest, frontend = self.start_frontend()
        server = self.world.serve(back)
        for seed in range(3):
            got = self.run_in(guest, send_and_receive, SERVER_V4, server.port, SIZE, seed)
            self.assertEqual(got, [SIZE, sha(pattern(SIZE, seed)[::-1])])
            # In the middle of a transfer, so that much is in flight.
            run = self.start_in(guest, in_steps, SERVER_V4, self.world.serve(echo).port, 4 * SIZE)
            self.assertEqual(run.hear(), "quarter")
            os.kill(serve.engine(), signal.SIGKILL)
            self.assertEqual(self.ask(frontend, "wait"), "gone")
            self.assertEqual(serve.wait(), 125)
            serve = self.start_serve()
            self.assertEqual(self.ask(frontend, "come"), "done")
        # No buffer has been lost, and none was used twice, which the front end would not survive.
        networld.wait_until(lambda: json.loads(self.ask(frontend, "stats"))["tx_free"] == 256, "all buffers come back")
        got = self.run_in(guest, send_and_receive, SERVER_V4, server.port, SIZE, 9)
        self.assertEqual(got, [SIZE, sha(pattern(SIZE, 9)[::-1])])
        self.assertEqual(frontend.end(), 0, frontend.messages())


networld.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rate limits of the guest's card (behaviours.md R1 to R5), with kernels on both sides: nothing is lost, nothing is faster than
allowed, and whoever waits does not turn. The only times that are looked at are those that a limit must at least take."""
import socket
import time

import networld
from networld import ALL, SERVER_V4, SERVER_V6, Case, connected, digest, know_neighbours, pattern, read_all, sha, udp
from serveworld import ServeCase

BOTH = (SERVER_V4, SERVER_V6)
SIZE = 2_000_000
RATE = 10_000_000  # bytes in a second
LIMIT = "100K/10ms"


def send(address, port, size):
    with connected(address, port) as s:
        s.sendall(pattern(size))
        s.shutdown(socket.SHUT_WR)
        return digest(s)


def receive(address, port):
    with connected(address, port) as s:
        return digest(s)


def send_datagrams(address, port, count):
    """Returns those that came back, in order."""
    know_neighbours(address)  # else the kernel has a queue that the last one passes
    with udp(address, port) as s:
        for i in range(count):
            s.send(bytes([i]) * 100)
        return [s.recv(200)[0] for _ in range(count)]


class Limits(Case):
    def timed(self, function, address, port, *args, options):
        """The result, and seconds that the servers saw go by."""
        start = time.monotonic()
        guest = self.start_guest(function, address, port, *args, options=[*ALL, *options], stats=True)
        result = guest.result()
        took = time.monotonic() - start
        stats = guest.stats()
        self.assertEqual(stats.get("tcp_retransmits", 0), 0)
        # A pass for each frame and each wait, not for each look at a card that has frames.
        self.assertLess(stats["passes"], 20 * (stats["nic_tx_frames"] + stats["nic_rx_frames"]) + 1000)
        return result, took, stats

    def test_what_the_guest_sends_is_held_back_and_not_lost_R5(self):
        for address in BOTH:
            server = self.world.serve(lambda c: c.sendall(sha(read_all(c)).encode()))
            got, took, _ = self.timed(send, address, server.port, SIZE, options=["--net-egress-bandwidth", LIMIT])
            self.assertEqual(got, [len(sha(b"")), sha(sha(pattern(SIZE)).encode())])
            self.assertGreater(took, (SIZE - 100_000) / RATE)

    def test_what_the_guest_gets_is_held_back_and_not_lost_R5(self):
        for address in BOTH:
            server = self.world.serve(lambda c: c.sendall(pattern(SIZE)))
            got, took, stats = self.timed(receive, address, server.port, options=["--net-ingress-bandwidth", LIMIT])
            self.assertEqual(got, [SIZE, sha(pattern(SIZE))])
            self.assertGreater(took, (SIZE - 200_000) / RATE)
            self.assertEqual(stats.get("drop_no_room", 0), 0)

    def test_a_limit_of_one_direction_does_not_hold_back_the_other(self):
        """Not even one frame each hour: what comes is acknowledged for nothing."""
        server = self.world.serve(lambda c: c.sendall(pattern(SIZE)))
        options = ["--net-egress-ops", "1/3600s", "--net-egress-ops-burst", "20"]
        got, _, _ = self.timed(receive, SERVER_V4, server.port, options=options)
        self.assertEqual(got, [SIZE, sha(pattern(SIZE))])

    def test_datagrams_wait_in_order_R2_R5(self):
        server = self.world.udp(SERVER_V4)
        options = ["--net-egress-ops", "10/100ms"]
        guest = self.start_guest(send_datagrams, SERVER_V4, server.getsockname()[1], 100, options=[*ALL, *options])
        start = time.monotonic()
        for _ in range(100):
            data, sender = server.recvfrom(200)
            server.sendto(data, sender)
        self.assertGreater(time.monotonic() - start, 0.9 - 0.2)  # a part of the bucket for what the link says
        self.assertEqual(guest.result(), list(range(100)))

    def test_limits_without_sense_are_refused_at_the_start_R4(self):
        for options, words in ((["--net-egress-bandwidth", "0/1s"], "--net-egress-bandwidth 0/1s is not possible"),
                               (["--net-ingress-ops", "5/10us"], "--net-ingress-ops 5/10us is not possible"),
                               (["--net-egress-ops-burst", "5"], "--net-egress-ops-burst limits nothing by itself")):
            done = networld.harness.run([networld.harness.sluice, "run", *options, "--", "true"])
            self.assertEqual(done.returncode, 125)
            self.assertIn(words, done.stderr)


class Ports(ServeCase):
    def test_other_cards_wait_likewise(self):
        """What a monitor has written stays in its socket."""
        for kind, port in (("stream", "stream"), ("vfkit", "dgram")):
            serve = self.serve(f"{port}:{self.path(kind)}", "--net-egress-bandwidth", LIMIT, "--net-ingress-bandwidth", LIMIT)
            guest, pump = self.connect(kind, path=self.path(kind))
            server = self.world.serve(lambda c: c.sendall(sha(read_all(c)).encode()))
            start = time.monotonic()
            self.assertEqual(self.run_in(guest, send, SERVER_V4, server.port, SIZE // 2)[0], len(sha(b"")))
            self.assertGreater(time.monotonic() - start, (SIZE // 2 - 100_000) / RATE)
            self.assertEqual(serve.stop(), 0)
            stats = serve.stats()
            self.assertEqual((stats.get("tcp_retransmits", 0), stats.get("nic_rx_lost", 0)), (0, 0))
            self.assertLess(stats["passes"], 20 * (stats["nic_tx_frames"] + stats["nic_rx_frames"]) + 1000)
            pump.close()


networld.main()

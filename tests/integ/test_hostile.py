#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""sluice serve under attack (threats.md P18, P19, P20): thousands of hostile guests and monitors, and behind them a good
guest that gets its bytes from the same process.

tests/hostile is who attacks; its attacks come again with the same seed."""
import os
import socket
import subprocess

import harness
import networld
from networld import SERVER_V4, SERVER_V6, connected, digest, pattern, read_all, sha
from serveworld import ServeCase

SIZE = 1 << 20
ATTACKS = {"vhost-user": 1500, "stream": 300, "bess": 300, "dgram": 300}
KINDS = {"dgram": "vfkit"}  # of a good guest, if it is not that of the port


def back(connection):
    """What comes up to the end, and then the same backwards."""
    connection.sendall(read_all(connection)[::-1])


def send_and_receive(address, port, size, seed):
    with connected(address, port) as s:
        s.sendall(pattern(size, seed))
        s.shutdown(socket.SHUT_WR)
        return digest(s)


class Hostile(ServeCase):
    def attack(self, kind, seed):
        """All attacks from this seed on. How many were let in."""
        argv = [os.environ["SLUICE_TEST_HOSTILE"], kind, self.path(), str(seed), str(ATTACKS[kind])]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                              timeout=2 * harness.PATIENCE)
        self.assertEqual(done.returncode, 0, done.stderr)
        return int(done.stdout)

    def exchange(self, guest):
        server = self.world.serve(back)
        for seed, address in enumerate((SERVER_V4, SERVER_V6)):
            got = self.run_in(guest, send_and_receive, address, server.port, SIZE, seed)
            self.assertEqual(got, [SIZE, sha(pattern(SIZE, seed)[::-1])], address)
        server.join()
        server.close()
        self.world.to_close.remove(server)

    def check(self, kind, seed=1):
        serve = self.serve(f"{kind}:{self.path()}")
        engine = serve.engine()
        landed = self.attack(kind, seed)
        self.assertGreater(landed, ATTACKS[kind] // 4)
        self.assertEqual(serve.engine(), engine)
        if kind == "vhost-user":
            guest, _ = self.start_frontend()
        else:
            guest, _ = self.connect(KINDS.get(kind, kind))
        self.exchange(guest)
        self.assertEqual(serve.engine(), engine)
        self.assertEqual(serve.stop(), 0)
        self.assertNotIn("Sanitizer", serve.messages())
        self.assertNotIn("runtime error", serve.messages())
        stats = serve.stats()
        self.assertGreater(stats["nic_tx_broken"], 0)
        return stats

    def test_front_ends_of_vhost_user(self):
        stats = self.check("vhost-user")
        self.assertGreater(stats["nic_links"], ATTACKS["vhost-user"])

    def test_front_ends_of_vhost_user_of_other_seeds(self):
        self.check("vhost-user", 1 << 32)

    def test_peers_of_a_stream(self):
        self.assertGreater(self.check("stream")["nic_links"], ATTACKS["stream"] // 4)

    def test_peers_of_packets(self):
        self.assertGreater(self.check("bess")["nic_links"], ATTACKS["bess"] // 4)

    def test_peers_of_datagrams(self):
        self.check("dgram")


networld.main()

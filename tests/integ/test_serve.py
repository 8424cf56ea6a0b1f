# SPDX-License-Identifier: Apache-2.0
"""sluice serve over sockets: every framing, both directions, both IP versions, links that go and come back.

The guests are kernels of namespaces; framepump.py is their card and the monitor's half of the socket."""
import errno
import os
import signal
import socket

import harness
import networld
from networld import SERVER_V4, SERVER_V6, connect_error, connected, digest, pattern, read_all, say, sha, udp
from serveworld import ServeCase

BOTH = (SERVER_V4, SERVER_V6)
SIZE = 3 << 20


def back(connection):
    """What comes up to the end, and then the same backwards."""
    connection.sendall(read_all(connection)[::-1])


def send_and_receive(address, port, size, seed):
    with connected(address, port) as s:
        s.sendall(pattern(size, seed))
        s.shutdown(socket.SHUT_WR)
        return digest(s)


def ask(address, port, question):
    with udp(address, port) as s:
        s.send(question.encode())
        return s.recv(65536).decode()


class Exchange(ServeCase):
    def exchange(self, guest, size=SIZE):
        """Bytes both ways, over each IP version, by TCP and UDP."""
        server = self.world.serve(back)
        for seed, address in enumerate(BOTH):
            got = self.run_in(guest, send_and_receive, address, server.port, size, seed)
            self.assertEqual(got, [size, sha(pattern(size, seed)[::-1])], address)
        server.join()
        server.close()
        self.world.to_close.remove(server)

    def check(self, port, kind, card="plain", options=(), **more):
        serve = self.serve(f"{port}:{self.path()}", *options)
        guest, _ = self.connect(kind, card, **more)
        self.exchange(guest)
        self.assertEqual(serve.stop(), 0)
        stats = serve.stats()
        for name in ("nic_tx_broken", "nic_rx_lost", "tcp_retransmits"):
            self.assertEqual(stats.get(name, 0), 0, name)
        self.assertEqual(stats["nic_links"], 1)
        self.assertFalse(os.path.exists(self.path()), "the socket's file is left behind")
        return stats


class Framings(Exchange):
    def test_stream_as_qemu(self):
        self.check("stream", "stream")

    def test_stream_as_libkrun(self):
        """Frames above the MTU with unfinished checksums, and nothing that says so."""
        stats = self.check("stream", "stream", "krun")
        self.assertGreater(stats["nic_tx_bytes"] / stats["nic_tx_frames"], 1514)

    def test_stream_as_libkrun_whose_guest_takes_large_frames(self):
        stats = self.check("stream", "stream", "krun", ["--peer-offload", "tso4,tso6"])
        self.assertGreater(stats["nic_rx_bytes"] / stats["nic_rx_frames"], 1514)

    def test_unfinished_checksums_are_not_sent_where_nothing_can_tell_of_them(self):
        """libkrun's COMPAT_NET_FEATURES, said as they are: GUEST_CSUM is among them, but there is no header."""
        self.check("stream", "stream", "krun", ["--peer-offload", "csum,tso4,tso6"])

    def test_stream_with_virtio_net_headers(self):
        options = ["--vnet-header", "--peer-offload", "csum,tso4,tso6"]
        stats = self.check("stream", "stream", "vnet", options)
        self.assertGreater(stats["nic_tx_bytes"] / stats["nic_tx_frames"], 1514)
        self.assertGreater(stats["nic_rx_bytes"] / stats["nic_rx_frames"], 1514)

    def test_stream_with_virtio_net_headers_and_no_offload_towards_the_guest(self):
        stats = self.check("stream", "stream", "vnet", ["--vnet-header"])
        self.assertLess(stats["nic_rx_bytes"] / stats["nic_rx_frames"], 1515)

    def test_dgram_as_qemu(self):
        self.check("dgram", "dgram")

    def test_dgram_as_vfkit(self):
        self.check("dgram", "vfkit")

    def test_dgram_as_libkrun(self):
        stats = self.check("dgram", "vfkit", "krun")
        self.assertGreater(stats["nic_tx_bytes"] / stats["nic_tx_frames"], 1514)

    def test_seqpacket_as_user_mode_linux(self):
        self.check("bess", "bess")

    def test_a_monitor_that_listens(self):
        guest = self.new_guest()
        serve = self.serve(f"stream:{self.path()}", "--connect")
        serve.wait_for_message("nobody listens")
        pump = self.pump(guest, "listen")
        self.assertEqual(pump.hear(), "ready")
        self.configure(guest)
        self.exchange(guest)
        self.assertEqual(serve.stop(), 0)


class Large(Exchange):
    mtu = 65520

    def test_stream(self):
        self.check("stream", "stream")

    def test_dgram(self):
        self.check("dgram", "dgram")


def send_and_say(address, port, size):
    """Says when sluice has acknowledged all of it, and the end."""
    with connected(address, port) as s:
        s.sendall(pattern(size))
        s.shutdown(socket.SHUT_WR)
        while struct.unpack("i", fcntl.ioctl(s, 0x5411, bytes(4)))[0] > 0:  # SIOCOUTQ
            select.select([], [], [], 0.002)
        say("sent")
        try:
            return len(s.recv(1))
        except OSError as e:
            return e.errno


def hold(address, port):
    """A connection that stays; says what it gets, one byte at a time."""
    with connected(address, port) as s:
        say("connected")
        while True:
            try:
                got = s.recv(1)
            except OSError as e:
                return e.errno
            if not got:
                return 0
            say(got.decode())


class Life(Exchange):
    def hold(self, guest):
        """A connection of the guest's, and the remote end of it."""
        listener = self.world.listen()
        held = self.start_in(guest, hold, SERVER_V4, listener.getsockname()[1])
        self.assertEqual(held.hear(), "connected")
        return held, self.world.accept(listener)

    def check_held(self, held, remote, byte):
        remote.send(byte.encode())
        self.assertEqual(held.hear(), byte)

    def test_a_guest_comes_back_and_its_connections_go_on(self):
        for kind, port in (("stream", "stream"), ("bess", "bess")):
            with self.subTest(kind):
                serve = self.serve(f"{port}:{self.path(kind)}")
                guest, pump = self.connect(kind, path=self.path(kind))
                held, remote = self.hold(guest)
                self.check_held(held, remote, "a")
                pump.say("again")
                self.assertEqual(pump.hear(), "ready")
                self.check_held(held, remote, "b")
                self.assertEqual(serve.stop(), 0)
                self.assertEqual(serve.stats()["nic_links"], 2)

    def test_a_monitor_that_listens_is_called_again(self):
        serve = self.serve(f"stream:{self.path()}", "--connect")
        guest = self.new_guest()
        pump = self.pump(guest, "listen")
        self.assertEqual(pump.hear(), "ready")
        self.configure(guest)
        held, remote = self.hold(guest)
        self.check_held(held, remote, "a")
        pump.say("again")
        self.assertEqual(pump.hear(), "ready")
        self.check_held(held, remote, "b")
        self.assertEqual(serve.stop(), 0)

    def test_another_guest_may_come_after_the_first(self):
        for kind, port in (("stream", "stream"), ("vfkit", "dgram"), ("bess", "bess")):
            with self.subTest(kind):
                path = self.path(kind)
                serve = self.serve(f"{port}:{path}")
                _, first = self.connect(kind, path=path)
                self.assertEqual(first.end(), 0)
                serve.wait_for_message("the guest has disconnected")
                second = self.new_guest()
                pump = self.pump(second, kind, path=path, own=self.path("second") if kind == "vfkit" else None)
                self.assertEqual(pump.hear(), "ready")
                self.configure(second, mac="02:00:00:00:fe:ed")
                self.exchange(second, 1 << 16)
                self.assertEqual(serve.stop(), 0)
                self.assertEqual(serve.stats()["nic_links"], 2)

    def test_a_second_guest_is_turned_away(self):
        serve = self.serve(f"stream:{self.path()}")
        guest, _ = self.connect("stream")
        held, remote = self.hold(guest)
        with socket.socket(socket.AF_UNIX) as other:
            other.connect(self.path())
            self.assertEqual(other.recv(1), b"")
        serve.wait_for_message("another guest was turned away")
        self.check_held(held, remote, "a")

    def test_once_ends_with_the_first_guest(self):
        for kind, port in (("stream", "stream"), ("vfkit", "dgram"), ("bess", "bess")):
            with self.subTest(kind):
                serve = self.serve(f"{port}:{self.path(kind)}", "--once")
                guest, pump = self.connect(kind, path=self.path(kind))
                self.exchange(guest, 1 << 16)
                self.assertEqual(pump.end(), 0)
                self.assertEqual(serve.wait(), 0)
                self.assertIn("the guest has gone", serve.messages())
                self.assertGreater(serve.stats()["nic_tx_frames"], 10)

    def test_a_request_to_end_ends_connections_by_reset(self):
        for how in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with self.subTest(how):
                serve = self.serve(f"stream:{self.path()}", "--events", self.path("events"))
                guest, pump = self.connect("stream")
                held, remote = self.hold(guest)
                self.assertEqual(serve.stop(how), 0)
                self.assertEqual(held.result(), errno.ECONNRESET)
                self.assertEqual(pump.hear(), "gone")
                with self.assertRaises(ConnectionResetError):
                    remote.recv(1)
                self.assertEqual([e["reason"] for e in self.events("flow_end") if e["proto"] == "tcp"], ["shutdown"])
                self.assertEqual(serve.stats()["nic_links"], 1)
                self.doCleanups()
                self.setUp()

    def test_what_the_guest_has_sent_is_delivered_at_the_end(self):
        """The remote side does not read until sluice has been asked to end, so most of it is with sluice."""
        size = 200000
        serve = self.serve(f"stream:{self.path()}")
        guest, _ = self.connect("stream")
        listener = self.world.listen()
        sender = self.start_in(guest, send_and_say, SERVER_V4, listener.getsockname()[1], size,
                               uses=["import fcntl"])
        remote = self.world.accept(listener)
        self.assertEqual(sender.hear(), "sent")
        serve.process.send_signal(signal.SIGTERM)
        self.assertEqual(digest(remote), [size, sha(pattern(size))])
        self.assertEqual(serve.wait(), 0)

    def test_an_engine_that_is_killed_is_told(self):
        serve = self.serve(f"stream:{self.path()}")
        _, pump = self.connect("stream")
        os.kill(serve.engine(), signal.SIGKILL)
        self.assertEqual(serve.wait(), 125)
        self.assertEqual(pump.hear(), "gone")
        self.assertIn("the engine was killed by signal 9", serve.messages())

    def test_rules_hold_and_denials_are_told(self):
        serve = self.serve(f"stream:{self.path()}", "--events", self.path("events"),
                           rules=["--net-rule", f"allow@{SERVER_V4}"])
        guest, _ = self.connect("stream")
        server = self.world.serve(back)
        self.assertEqual(self.run_in(guest, connect_error, SERVER_V4, server.port), 0)
        self.assertEqual(self.run_in(guest, connect_error, SERVER_V6, server.port), errno.ECONNREFUSED)
        self.assertEqual(serve.stop(), 0)
        self.assertEqual([e["remote"] for e in self.events("denied")], [SERVER_V6])

    def test_the_engine_is_confined(self):
        serve = self.serve(f"stream:{self.path()}")
        self.connect("stream")
        serve.wait_for_message("a guest is connected")
        status = harness.status_of(serve.engine())
        self.assertEqual((status["Seccomp"], status["NoNewPrivs"]), ("2", "1"))
        self.assertEqual({int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")}, {0})
        self.assertNotEqual(os.stat(f"/proc/{serve.engine()}/ns/mnt").st_ino, os.stat("/proc/self/ns/mnt").st_ino)


class Descriptors(Exchange):
    """Sockets that were inherited."""

    def serve_fd(self, kind, s, *options):
        return self.serve(f"{kind}:fd:{s.fileno()}", *options, pass_fds=[s.fileno()])

    def check_pair(self, kind, frame_kind, kind_of_socket):
        """A connected socket; its end is the end."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, kind_of_socket)
        with ours, theirs:
            serve = self.serve_fd(kind, theirs)
            theirs.close()
            guest = self.new_guest()
            pump = self.pump(guest, frame_kind, path=f"fd:{ours.fileno()}", pass_fds=[ours.fileno()])
            ours.close()
            self.assertEqual(pump.hear(), "ready", pump.messages())
            self.configure(guest)
            self.exchange(guest, 1 << 16)
            return serve, pump

    def test_connected_sockets(self):
        for kind, frame_kind, type_ in (("stream", "stream", socket.SOCK_STREAM), ("bess", "bess", socket.SOCK_SEQPACKET)):
            with self.subTest(kind):
                serve, pump = self.check_pair(kind, frame_kind, type_)
                self.assertEqual(pump.end(), 0)
                self.assertEqual(serve.wait(), 0)

    def test_connected_datagram_sockets(self):
        serve, _ = self.check_pair("dgram", "dgram", socket.SOCK_DGRAM)
        self.assertEqual(serve.stop(), 0)

    def test_a_listening_socket(self):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.path())
            listener.listen()
            serve = self.serve_fd("stream", listener)
            guest, pump = self.connect("stream")
            self.exchange(guest, 1 << 16)
            pump.say("again")
            self.assertEqual(pump.hear(), "ready")
            self.exchange(guest, 1 << 16)
            self.assertEqual(serve.stop(), 0)

    def test_a_bound_datagram_socket(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(self.path())
            serve = self.serve_fd("dgram", s)
            guest, _ = self.connect("vfkit")
            self.exchange(guest, 1 << 16)
            self.assertEqual(serve.stop(), 0)


networld.main()

# SPDX-License-Identifier: Apache-2.0
"""sluice serve at TAPs: made and found, by name and by descriptor, in other namespaces, with one queue and with several; and
behind the TAP that Firecracker uses. The guests are the kernels of the namespaces that the TAPs are in."""
import fcntl
import os
import re
import select
import socket
import struct

import harness
import networld
from networld import SERVER_V4, SERVER_V6, connected, digest, pattern, read_all, sha
from serveworld import GUEST_MAC, HERE, Process, ServeCase

BOTH = (SERVER_V4, SERVER_V6)
SIZE = 3 << 20
TUNSETIFF, TUNSETPERSIST = 0x400454CA, 0x400454CB
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, IFF_MULTI_QUEUE = 0x0002, 0x1000, 0x4000, 0x0100
MAN_PAGE = HERE.parents[1] / "doc" / "sluice-serve.1.scd"


def back(connection):
    connection.sendall(read_all(connection)[::-1])


def send_and_receive(address, port, size, seed):
    with connected(address, port) as s:
        s.sendall(pattern(size, seed))
        s.shutdown(socket.SHUT_WR)
        return digest(s)


def addresses_of(card):
    """All global addresses of the card once both families have one."""
    while True:
        with os.popen(f"ip -o addr show dev {card} scope global") as f:
            lines = f.read().splitlines()
        if any("inet6" in line and "tentative" not in line for line in lines):
            return [line.split()[3] for line in lines]
        select.select([], [], [], 0.01)


class TapCase(ServeCase):
    def exchange(self, guest):
        server = self.world.serve(back)
        for seed, address in enumerate(BOTH):
            got = self.run_in(guest, send_and_receive, address, server.port, SIZE, seed)
            self.assertEqual(got, [SIZE, sha(pattern(SIZE, seed)[::-1])], address)
        server.join()
        server.close()
        self.world.to_close.remove(server)

    def exists(self, guest, card):
        return f" {card}:" in guest.run("ip", "-o", "link")

    def serve_in(self, guest, port, *options):
        path = f"/proc/{os.getpid()}/fd/{guest.fd}"
        return self.serve(port, "--netns", path, *options)

    def finish(self, serve):
        self.assertEqual(serve.stop(), 0)
        stats = serve.stats()
        self.assertEqual([stats.get(n, 0) for n in ("nic_tx_broken", "nic_rx_lost", "tcp_retransmits")], [0, 0, 0])
        return stats


class Named(TapCase):
    def test_a_tap_that_is_made_goes_away_at_the_end(self):
        guest = self.new_guest()
        serve = self.serve_in(guest, "tap:eth0")
        self.configure(guest, mac=None)
        self.exchange(guest)
        stats = self.finish(serve)
        self.assertGreater(stats["nic_tx_bytes"] / stats["nic_tx_frames"], 1514, "no large frames")
        self.assertGreater(stats["nic_rx_bytes"] / stats["nic_rx_frames"], 1514, "no large frames")
        self.assertFalse(self.exists(guest, "eth0"))

    def test_a_tap_of_others_stays_with_its_mtu(self):
        guest = self.new_guest()
        guest.ip("tuntap add eth0 mode tap", "link set eth0 mtu 1400")
        serve = self.serve_in(guest, "tap:eth0", "--mtu", "1400")
        self.mtu = 1400
        self.configure(guest, mac=None)
        self.exchange(guest)
        self.finish(serve)
        self.assertIn("mtu 1400", guest.run("ip", "-o", "link", "show", "eth0"))

    def test_a_tap_made_for_several_queues_is_taken_by_one(self):
        guest = self.new_guest()
        guest.ip("tuntap add eth0 mode tap multi_queue")
        serve = self.serve_in(guest, "tap:eth0")
        self.configure(guest, mac=None)
        self.exchange(guest)
        self.finish(serve)
        self.assertTrue(self.exists(guest, "eth0"))

    def test_a_guest_learns_its_addresses_by_router_advertisement(self):
        guest = self.new_guest()
        for name in ("default", "all"):
            guest.sysctl(f"net/ipv6/conf/{name}/accept_ra", 2)
        serve = self.serve_in(guest, "tap:eth0")
        found = self.run_in(guest, addresses_of, "eth0")
        self.assertTrue(any(a.startswith("fd42:6d73:62:") and a.endswith("/64") for a in found), found)
        self.assertEqual(serve.stop(), 0)

    def test_a_namespace_by_its_name(self):
        """The example of the manual: `ip netns add box`."""
        if not harness.is_root():
            self.skipTest("ip-netns needs root")
        self.world.host.run("mount", "-t", "tmpfs", "tmpfs", "/run")
        self.world.host.run("ip", "netns", "add", "box")
        serve = self.serve("tap:eth0", "--netns", "box")
        self.assertIn("eth0", self.world.host.run("ip", "-n", "box", "-o", "link"))
        self.assertEqual(serve.stop(), 0)


class Rootless(TapCase):
    def test_a_namespace_of_another_user_namespace(self):
        """As that of a rootless container: only who is in its user namespace may make interfaces there."""
        argv = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", "echo ready; exec cat"]
        container = Process(argv, self.new_log("container"), self.world.host, **harness.credentials("user"))
        self.addCleanup(container.close)
        self.assertEqual(container.hear(), "ready", container.messages())
        self.assertNotEqual(os.stat(f"/proc/{container.process.pid}/ns/user").st_ino, os.stat("/proc/self/ns/user").st_ino)
        guest = networld.Namespace(container.process.pid)
        self.world.to_close.append(guest)
        guest.ip("link set lo up")
        serve = self.serve("tap:eth0", "--netns", f"/proc/{container.process.pid}/ns/net", **harness.credentials("user"))
        self.configure(guest, mac=None)
        self.exchange(guest)
        self.finish(serve)
        self.assertFalse(self.exists(guest, "eth0"))


class Descriptors(TapCase):
    def open(self, guest, flags):
        with guest.entered():
            fd = os.open("/dev/net/tun", os.O_RDWR)
            fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"eth0", IFF_TAP | IFF_NO_PI | flags))
        self.addCleanup(os.close, fd)
        return fd

    def check(self, flags):
        guest = self.new_guest()
        fd = self.open(guest, flags)
        serve = self.serve(f"tap:fd:{fd}", pass_fds=(fd,))
        self.configure(guest, mac=None)
        self.exchange(guest)
        self.finish(serve)

    def test_with_headers(self):
        self.check(IFF_VNET_HDR)

    def test_without_headers(self):
        """Nothing is offloaded then: frames of the MTU, with whole checksums."""
        guest = self.new_guest()
        fd = self.open(guest, 0)
        serve = self.serve(f"tap:fd:{fd}", pass_fds=(fd,))
        self.configure(guest, mac=None)
        self.exchange(guest)
        self.assertEqual(serve.stop(), 0)
        stats = serve.stats()
        self.assertEqual([stats.get(n, 0) for n in ("nic_tx_broken", "nic_rx_lost")], [0, 0])
        for way in ("tx", "rx"):
            self.assertLessEqual(stats[f"nic_{way}_bytes"] / stats[f"nic_{way}_frames"], 1514)

    def test_with_packet_information(self):
        """Four bytes before each frame. (TUNGETIFF says that there are none, whether they are there or not.)"""
        guest = self.new_guest()
        with guest.entered():
            fd = os.open("/dev/net/tun", os.O_RDWR)
            fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"eth0", IFF_TAP))
        self.addCleanup(os.close, fd)
        for _ in range(2):
            done = harness.run([harness.sluice, "serve", "--port", f"tap:fd:{fd}"], pass_fds=[fd])
            self.assert_message(done, "has packet information", "IFF_NO_PI")

    def test_with_several_queues(self):
        self.check(IFF_VNET_HDR | IFF_MULTI_QUEUE)


class Firecracker(TapCase):
    def recipe(self):
        """The commands of the manual, which join the two TAPs."""
        text = MAN_PAGE.read_text(encoding="utf-8")
        found = re.search(r"ip netns exec fc1 sh -c '\n(.*?)'\n", text, re.S)
        self.assertTrue(found, "the manual has no such example")
        return found.group(1)

    def test_a_guest_behind_firecrackers_tap(self):
        jail, guest = networld.Namespace(), self.new_guest()
        self.world.to_close.append(jail)
        jail.ip("tuntap add tap0 mode tap vnet_hdr", "link set tap0 up")
        serve = self.serve_in(jail, "tap:sluice0", "--mac", GUEST_MAC)
        jail.run("sh", "-ec", self.recipe())
        argv = [harness.PYTHON, str(HERE / "firecracker.py"), str(jail.fd), "tap0"]
        vmm = Process(argv, self.new_log("vmm"), guest, pass_fds=(jail.fd,))
        self.addCleanup(vmm.close)
        self.assertEqual(vmm.hear(), "ready", vmm.messages())
        self.configure(guest)
        self.exchange(guest)
        stats = self.finish(serve)
        self.assertGreater(stats["nic_tx_bytes"] / stats["nic_tx_frames"], 1514, "no large frames")


networld.main()

# SPDX-License-Identifier: Apache-2.0
"""sluice serve behind a real virtual machine: QEMU with a Linux of its own (initramfs.py, guest_init.sh).

What is missing for it fails the test, as ./dev installs it. QEMU translates each instruction, so a machine takes a while
to boot; each is used for all that one attachment is tested for."""
import hashlib
import os
import pathlib
import select
import socket
import struct
import subprocess
import sys
import threading

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integ"))

# pylint: disable=wrong-import-position
import initramfs
import networld
from networld import GATEWAY_V4, GUEST_V4, SERVER_V4, SERVER_V6, pattern, read_all
from serveworld import Process, ServeCase

BOTH = (SERVER_V4, SERVER_V6)
NAME = "files.example.com"
CONDITIONS = ("plain", "loss1", "loss5", "reorder")
SIZES = {"plain": 4 << 20, "loss1": 1 << 20, "loss5": 1 << 19, "reorder": 1 << 19}
BOOT_PATIENCE = 400  # seconds without a word; a busy machine translates slowly
UDHCPC = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/$mask" dev "$interface"
[ -z "$mtu" ] || ip link set "$interface" mtu "$mtu"
ip route add default via "$router"
for server in $dns; do echo "nameserver $server"; done >/etc/resolv.conf
"""


class NameServer:
    """Knows one name."""

    def __init__(self, s):
        self.socket = s
        self._stop = os.eventfd(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @staticmethod
    def answer(query):
        end = query.index(b"\0", 12) + 1
        name, kind = query[12:end], struct.unpack("!H", query[end:end + 2])[0]
        wanted = b"".join(bytes([len(part)]) + part.encode() for part in NAME.split(".")) + b"\0"
        address = {1: socket.inet_aton(SERVER_V4), 28: socket.inet_pton(socket.AF_INET6, SERVER_V6)}.get(kind)
        is_known = name.lower() == wanted
        count = 1 if is_known and address else 0
        head = query[:2] + struct.pack("!HHHHH", 0x8180 if is_known else 0x8183, 1, count, 0, 0)
        record = b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(address)) + address if count else b""
        return head + query[12:end + 4] + record

    def _run(self):
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        poll.register(self._stop, select.POLLIN)
        while not any(fd == self._stop for fd, _ in poll.poll()):
            query, sender = self.socket.recvfrom(2048)
            self.socket.sendto(self.answer(query), sender)

    def close(self):
        os.eventfd_write(self._stop, 1)
        self._thread.join()
        os.close(self._stop)


class Servers:
    """Sends bytes, one amount after the other; and takes bytes and says their hash."""

    def __init__(self, world):
        self.sent = []
        self.lock = threading.Lock()
        self.down = world.serve(self._send)
        self.up = world.serve(self._take)

    def _send(self, connection):
        with self.lock:
            number = len(self.sent)
            data = pattern(SIZES[CONDITIONS[number // 2]], number)
            self.sent.append(hashlib.sha1(data).hexdigest())
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        read_all(connection)

    @staticmethod
    def _take(connection):
        connection.sendall(hashlib.sha1(read_all(connection)).hexdigest().encode())


class Machines(ServeCase):
    def boot(self, servers, *network, device=""):
        """A virtual machine. Yields its results, the console goes along in messages."""
        image, version = initramfs.kernel()
        script = (HERE / "guest_init.sh").read_text(encoding="utf-8")
        with open(self.path("initrd"), "wb") as f:
            f.write(initramfs.build(version, script, {"/etc/udhcpc": UDHCPC}))
        settings = {"NAME": NAME, "V4": SERVER_V4, "V6": SERVER_V6, "DOWN": servers.down.port, "UP": servers.up.port}
        append = "console=ttyS0 quiet panic=-1 " + " ".join(f"SLUICE_{k}={v}" for k, v in settings.items())
        argv = [initramfs.qemu(), "-M", "q35", "-accel", "tcg,thread=single", "-m", "256", "-smp", "1", "-nodefaults",
                "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio", "-kernel", image,
                "-initrd", self.path("initrd"), "-append", append, *network,
                "-device", f"virtio-net-pci,netdev=n0,mac=52:54:00:00:00:07,romfile={device}"]
        machine = Process(argv, self.new_log("qemu"), self.world.host, stdin=subprocess.DEVNULL)
        self.addCleanup(machine.close)
        return machine

    def results(self, machine):
        results, console = {}, []
        while "done" not in results:
            if not select.select([machine.process.stdout], [], [], BOOT_PATIENCE)[0]:
                break
            line = machine.process.stdout.readline().decode(errors="replace").strip()
            if not line and machine.process.poll() is not None:
                break
            console.append(line)
            if line.startswith("RESULT "):
                name, _, value = line[len("RESULT "):].partition(" ")
                results[name] = value
        self.assertIn("done", results, "\n".join([machine.messages(), *console]))
        return results

    def check(self, serve, machine, servers):
        """Returns how many frames each direction has lost, and the counters."""
        r = self.results(machine)
        self.assertEqual(r["ipv4"], f"{GUEST_V4}/30")
        self.assertRegex(r["ipv6"], r"^fd42:6d73:62::?[0-9a-f:]*/64$")
        self.assertEqual((r["gateway4"], r["resolver"].split()[0]), (GATEWAY_V4, GATEWAY_V4))
        self.assertRegex(r["gateway6"], r"^fe80:")
        self.assertEqual((r["mtu"], r["mtu6"]), (str(self.mtu), str(self.mtu)))
        self.assertEqual((r["name4"], r["name6"]), BOTH)
        self.assertEqual(r["netem_set"], "0")
        sent = iter(servers.sent)
        for condition in CONDITIONS:
            for server in BOTH:
                digest = next(sent)
                for direction in ("down", "up"):
                    self.assertEqual(r[f"{condition}_{direction}_{server}"], digest, f"{condition} {direction} {server}")
        for server in BOTH:
            self.assertEqual(r[f"ping_{server}"], "0")
        machine.wait()
        serve.wait_for_message("the guest has disconnected")
        self.assertEqual(serve.stop(), 0)
        stats = serve.stats()
        self.assertEqual((stats.get("nic_tx_broken", 0), stats.get("nic_rx_lost", 0)), (0, 0))
        return [int(n) for n in r["lost"].split()], stats

    def serve_with_names(self, port, *options):
        names = NameServer(self.world.udp(SERVER_V4))
        self.world.to_close.append(names)
        address = f"{SERVER_V4}:{names.socket.getsockname()[1]}"
        return self.serve(port, "--dns-nameserver", address, *options)


class Standard(Machines):
    def check_losses(self, serve, machine, servers):
        """Each direction has really lost frames: there are some thousand of them."""
        lost, stats = self.check(serve, machine, servers)
        self.assertTrue(all(lost) and len(lost) == 2, lost)
        self.assertGreater(stats["tcp_retransmits"], 0)

    def test_stream(self):
        serve = self.serve_with_names(f"stream:{self.path()}")
        servers = Servers(self.world)
        machine = self.boot(servers, "-netdev", f"stream,id=n0,server=off,addr.type=unix,addr.path={self.path()}")
        self.check_losses(serve, machine, servers)

    def test_dgram(self):
        serve = self.serve_with_names(f"dgram:{self.path()}")
        servers = Servers(self.world)
        machine = self.boot(servers, "-netdev", f"dgram,id=n0,local.type=unix,local.path={self.path('qemu.sock')},"
                                                f"remote.type=unix,remote.path={self.path()}")
        self.check_losses(serve, machine, servers)

    def test_vhost_user(self):
        serve = self.serve_with_names(f"vhost-user:{self.path()}")
        servers = Servers(self.world)
        machine = self.boot(servers, "-object", "memory-backend-memfd,id=m,size=256M,share=on",
                            "-machine", "memory-backend=m", "-chardev", f"socket,id=c0,path={self.path()}",
                            "-netdev", "vhost-user,id=n0,chardev=c0",
                            device=",vectors=0")  # QEMU 7.2 cannot do more without KVM
        # Frames of 64 KiB: there are too few of them for some to be lost for sure.
        self.check(serve, machine, servers)


class Large(Machines):
    mtu = 65520

    def test_stream(self):
        """The monitor listens, and the card has the largest MTU."""
        serve = self.serve_with_names(f"stream:{self.path()}", "--connect")
        servers = Servers(self.world)
        machine = self.boot(servers, "-netdev", f"stream,id=n0,server=on,addr.type=unix,addr.path={self.path()}",
                            device=",host_mtu=65520")
        self.check(serve, machine, servers)


networld.main()

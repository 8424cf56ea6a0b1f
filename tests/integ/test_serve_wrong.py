# SPDX-License-Identifier: Apache-2.0
"""sluice serve: what is wrong with its options, its place or its guest is told in one sentence."""
import fcntl
import os
import pathlib
import re
import socket
import struct
import subprocess

import harness
import networld
from serveworld import Process, ServeCase

TREE = pathlib.Path(__file__).resolve().parents[2]


class Wrong(ServeCase):
    def refused(self, *options, parts, **more):
        assert self.world
        done = harness.run([harness.sluice, "serve", *options], **more)
        self.assert_message(done, *parts)

    def test_ports(self):
        for port, parts in (
                ("walkie:talkie", ["no kind", "stream, dgram, bess", "tap"]),
                ("stream", ["no kind", "KIND:WHERE"]),
                ("fd:3", ["does not say the kind", "KIND:fd:3"]),
                ("stream:", ["does not say where"]),
                ("stream:fd:x", ["names no descriptor"]),
                ("stream:fd:9999999", ["names no descriptor"]),
                ("tap:fd:500", ["descriptor 500 is not open"]),
                ("stream:fd:500", ["descriptor 500 is not open"]),
                ("tap:fd:0", ["descriptor 0 is no TAP"]),
                ("stream:fd:0", ["descriptor 0 is no socket", "needs a stream socket"]),
                ("tap:a-name-that-is-too-long", ["cannot be the name of a TAP"]),
                ("tap:eth%d", ["cannot be the name of a TAP"]),
        ):
            with self.subTest(port):
                self.refused("--port", port, parts=parts)

    def test_options_that_do_not_fit(self):
        for options, parts in (
                ([], ["where is the guest", "--port"]),
                (["--port", "stream:/x", "--port", "stream:/y"], ["given twice"]),
                (["--port", "dgram:/x", "--connect"], ["--connect is for"]),
                (["--port", "stream:fd:0", "--connect"], ["--connect is for"]),
                (["--port", "stream:/x", "--netns", "y"], ["--netns is for"]),
                (["--port", "tap:x", "--once"], ["--once is for sockets"]),
                (["--port", "tap:x", "--vnet-header"], ["--vnet-header is for"]),
                (["--port", "tap:x", "--peer-offload", "csum"], ["--peer-offload is for"]),
                (["--port", "stream:/x", "--peer-offload", "tso4,uso"], ["uso needs --vnet-header"]),
                (["--port", "stream:/x", "--peer-offload", "tso5"], ["tso5 is not known", "csum, tso4"]),
                (["--port", "stream:/x", "--vnet-header", "--peer-offload", "tso4"], ["need csum"]),
                (["--port", "stream:/x", "true"], ["'true' is no option"]),
                (["--port", "stream:/x", "--net-rule", "allow@"], ["--net-rule 'allow@'"]),
                (["--port", "stream:/x", "--mtu", "100"], ["--mtu 100"]),
        ):
            with self.subTest(options):
                self.refused(*options, parts=parts)

    def test_paths(self):
        plain = self.path("plain")
        with open(plain, "w", encoding="ascii"):
            pass
        for path, parts in (
                (plain, ["is there already and is no socket"]),
                (self.directory, ["is there already and is no socket"]),
                (self.path("no/such"), ["cannot be made", "No such file"]),
                (self.path("x" * 108), ["too long for a socket"]),
        ):
            with self.subTest(path):
                self.refused("--port", f"stream:{path}", parts=parts)
        self.assertEqual(os.path.getsize(plain), 0)
        self.refused("--port", f"stream:{plain}", "--connect", parts=["is no socket"])

    def test_a_path_in_use_is_refused_and_its_owner_is_not_disturbed(self):
        for kind in ("stream", "dgram", "bess"):
            with self.subTest(kind):
                serve = self.serve(f"{kind}:{self.path(kind)}")
                for other in ("stream", "dgram", "bess"):
                    self.refused("--port", f"{other}:{self.path(kind)}", parts=["in use by another program"])
                self.assertEqual(serve.stop(), 0)
                self.assertNotIn("connected", serve.messages())

    def test_a_socket_that_was_left_behind_is_replaced(self):
        for kind in ("stream", "dgram", "bess"):
            with self.subTest(kind):
                path = self.path(kind)
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
                    s.bind(path)
                serve = self.serve(f"{kind}:{path}")
                self.assertEqual(os.stat(path).st_mode & 0o777, 0o700)
                self.assertEqual(serve.stop(), 0)
                self.assertFalse(os.path.exists(path))

    def test_a_socket_of_another_at_its_path_is_left_alone_at_the_end(self):
        serve = self.serve(f"stream:{self.path()}")
        os.unlink(self.path())
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(self.path())
            self.assertEqual(serve.stop(), 0)
            self.assertTrue(os.path.exists(self.path()))

    def test_a_monitor_of_another_kind_cannot_be_connected_to(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
            other.bind(self.path())
            other.listen()
            self.refused("--port", f"stream:{self.path()}", "--connect", parts=["is of another type"])

    def test_descriptors_of_another_kind(self):
        a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with a, b, socket.socket(socket.AF_UNIX) as c:
            self.refused("--port", f"stream:fd:{a.fileno()}", pass_fds=[a.fileno()],
                         parts=["is a datagram socket", "needs a stream socket"])
            self.refused("--port", f"stream:fd:{c.fileno()}", pass_fds=[c.fileno()],
                         parts=["neither connected nor listening"])
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            self.refused("--port", f"dgram:fd:{s.fileno()}", pass_fds=[s.fileno()],
                         parts=["neither connected nor bound"])
        # A listener of TCP would let in whoever reaches it, and a netlink socket is connected to the kernel.
        with socket.socket() as s, socket.socket(type=socket.SOCK_DGRAM) as t, socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM) as u:
            s.bind(("127.0.0.1", 0))
            s.listen()
            for kind, other in (("stream", s), ("vhost-user", s), ("dgram", t), ("dgram", u)):
                self.refused("--port", f"{kind}:fd:{other.fileno()}", pass_fds=[other.fileno()], parts=["is no Unix socket"])

    def test_a_guest_that_speaks_something_else(self):
        serve = self.serve(f"stream:{self.path()}")
        for data, what in ((b"GET / HTTP/1.1\r\n", "speaks HTTP"), (b"POST /services", "speaks HTTP"),
                           (b"VMN3T" + bytes(44), "protocol of vpnkit"),
                           (bytes([1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]), "vhost-user"),
                           (b"\0\1\x86\xa0frame", "a frame of 100000 bytes"), (bytes(4), "a frame of 0 bytes")):
            with self.subTest(what), socket.socket(socket.AF_UNIX) as s:
                s.connect(self.path())
                s.sendall(data)
                self.assertEqual(s.recv(1), b"")
                serve.wait_for_message(what)
        self.assertEqual(serve.stop(), 0)
        self.assertEqual(serve.stats()["nic_tx_broken"], 6)

    def test_a_sender_without_a_name(self):
        serve = self.serve(f"dgram:{self.path()}")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.connect(self.path())
            s.send(b"VFKT")
        serve.wait_for_message("from a socket without a name")
        self.assertEqual(serve.stop(), 0)

    def test_namespaces_that_cannot_be_made(self):
        """The engine's process is confined in some, which takes a user namespace if one is not root."""
        for kind, name in (("user", "user"), ("mnt", "mount"), ("ipc", "IPC"), ("uts", "UTS")):
            with self.subTest(kind):
                script = (f"echo 0 > /proc/sys/user/max_{kind}_namespaces; "
                          f"exec {harness.sluice} serve --port stream:{self.path()}")
                done = harness.run(["unshare", "-Ur", "sh", "-euc", script])
                self.assert_message(done, f"{name} namespaces are switched off", f"sysctl user.max_{kind}_namespaces=")
                self.assertFalse(os.path.exists(self.path()))

    def test_a_machine_with_nothing_in_it(self):
        """A read-only root, no /dev, no /proc, no /run, no /etc/resolv.conf: what is missing is named, the rest is not missed."""
        if harness.is_sanitized():
            self.skipTest("a sanitizer needs /proc")
        if not harness.is_root():
            self.skipTest("users have no namespaces in a chroot")
        place = self.path("empty")
        libraries = set(re.findall(r"(/\S+) \(", harness.run(["ldd", harness.sluice]).stdout))
        script = f"""
            mkdir -p {place}; mount -t tmpfs none {place}; cd {place}; mkdir dev proc var; touch dev/null
            for file in {harness.sluice} {" ".join(sorted(libraries))}; do
                mkdir -p .$(dirname $file); cp $file .$file
            done
            mount -t tmpfs none var"""
        serve = f"chroot . {harness.sluice} serve --port stream:/var/s {' '.join(harness.WITH_ADDRESSES)}"

        def run(prepare):
            return harness.run(["unshare", "-m", "sh", "-euc", f"{script}; {prepare}; mount -o remount,bind,ro .; {serve}"])
        self.assert_message(run("rm dev/null"), "/dev/null cannot be opened", "No such file")
        self.assert_message(run("mount --bind /dev/null dev/null; rmdir proc"), "there is no /proc")
        started = Process(["unshare", "-m", "sh", "-euc",
                           f"{script}; mount --bind /dev/null dev/null; mount -o remount,bind,ro .; exec {serve} --verbose"],
                          self.new_log("serve"), self.world.host)
        self.addCleanup(started.close)
        started.wait_for_message("sluice: ready")
        started.process.terminate()
        self.assertEqual(started.wait(), 0, started.messages())

    def test_help_and_man_page(self):
        done = harness.run([harness.sluice, "serve", "--help"])
        self.assertEqual(done.stdout, harness.read_file(TREE / "tests/golden/help/serve.txt"))
        page = harness.read_file(TREE / "doc/sluice-serve.1.scd")
        run = harness.run([harness.sluice, "run", "--help"]).stdout
        for option in set(re.findall(r"^ +(?:-.,? )?(--[a-z0-9-]+)", done.stdout, re.M)):
            if option not in run:
                self.assertIn(f"*{option}*", page)


class Taps(ServeCase):
    def refused(self, *options, parts):
        assert self.world
        done = harness.run([harness.sluice, "serve", *options])
        self.assert_message(done, *parts)

    def test_interfaces_that_cannot_be_had(self):
        self.refused("--port", "tap:lo", parts=["lo is there and is no TAP"])
        self.refused("--port", "tap:up0", parts=["up0 is there and is no TAP"])
        self.world.host.ip("tuntap add tun7 mode tun")
        self.refused("--port", "tap:tun7", parts=["tun7 is there and is no TAP"])

    def test_a_tap_in_use(self):
        self.serve("tap:net7")
        self.refused("--port", "tap:net7", parts=["net7 is in use"])

    def test_a_tap_of_which_another_program_has_a_queue(self):
        with self.world.host.entered(), open("/dev/net/tun", "r+b", buffering=0) as tun:
            flags = 0x0002 | 0x1000 | 0x0100  # TAP, without packet information, of several queues
            fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"net6", flags))
            self.refused("--port", "tap:net6", parts=["net6 is in use"])

    def test_namespaces_that_cannot_be_entered(self):
        self.refused("--port", "tap:x", "--netns", "no-such-one", parts=["/run/netns/no-such-one", "there is none"])
        self.refused("--port", "tap:x", "--netns", "/proc/self/ns/mnt", parts=["/proc/self/ns/mnt", "cannot be entered"])
        self.refused("--port", "tap:x", "--netns", "/dev/null", parts=["/dev/null", "cannot be entered"])

    def test_a_tap_of_somebody_else(self):
        if not harness.is_root():
            self.skipTest("needs two users")
        self.world.host.ip("tuntap add net8 mode tap user 1234")
        argv = [harness.sluice, "serve", "--port", "tap:net8"]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                              timeout=harness.PATIENCE, **harness.credentials("user"))
        self.assert_message(done, "net8 belongs to somebody else", "ip tuntap add")
        argv[-1] = "tap:net9"
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                              timeout=harness.PATIENCE, **harness.credentials("user"))
        self.assert_message(done, "net9 cannot be made", "CAP_NET_ADMIN", "--netns")


networld.main()

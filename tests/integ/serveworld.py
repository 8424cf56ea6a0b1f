# SPDX-License-Identifier: Apache-2.0
"""What the tests of `sluice serve` share: the program itself, and guests for it."""
import os
import pathlib
import select
import signal
import subprocess

import harness
import networld
from networld import GATEWAY_V4, GATEWAY_V6, GUEST_V4, GUEST_V6, Namespace, guest_argv

HERE = pathlib.Path(__file__).resolve().parent
ADDRESSES = ["--ipv4", GUEST_V4, "--ipv6", GUEST_V6]
GUEST_MAC = "02:00:00:00:be:ef"  # of the card's own choosing


class Process:
    """A program that tells by lines, and whose standard error is kept."""

    def __init__(self, argv, log, namespace, **more):
        self.log = log
        more.setdefault("stdin", subprocess.PIPE)
        with open(log, "wb") as stderr, namespace.entered():
            self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=stderr, **more)

    def messages(self):
        """Standard error until now."""
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def hear(self):
        if not select.select([self.process.stdout], [], [], harness.PATIENCE)[0]:
            raise AssertionError(f"no line comes; {self.messages()}")
        return self.process.stdout.readline().decode().rstrip("\n")

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def wait_for_message(self, text, times=1):
        """Until standard error has it so many times."""
        networld.wait_until(lambda: self.messages().count(text) >= times or self.process.poll() is not None,
                            f"{text!r} on standard error")
        if self.messages().count(text) < times:
            raise AssertionError(f"{text!r} was not said: {self.messages()}")

    def wait(self):
        try:
            return self.process.wait(harness.PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end: {self.messages()}") from None

    def end(self):
        """By the end of its input."""
        self.process.stdin.close()
        return self.wait()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


class Serve(Process):
    """`sluice serve`."""

    def engine(self):
        return harness.child_named(self.process.pid, "sluice-engine")

    def stop(self, how=signal.SIGTERM):
        """Asks for the end and waits. Returns the exit status."""
        self.process.send_signal(how)
        return self.wait()

    def stats(self):
        found = {}
        for line in self.messages().splitlines():
            words = line.split()
            if len(words) > 2 and words[1].isdigit():
                found[words[0]] = int(words[1])
        return found

    def sentences(self):
        """What it has said, without counters and what --verbose notes at the start."""
        return [line for line in self.messages().splitlines() if line.startswith("sluice: ")]


class ServeCase(networld.Case):
    """Tests with `sluice serve` in the world's host."""

    mtu = 1500

    def path(self, name="guest.sock"):
        return os.path.join(self.directory, name)

    def new_log(self, name):
        return os.path.join(self.directory, f"{name}-{len(os.listdir(self.directory))}.log")

    def serve(self, port, *options, rules=("--net", "all"), **more):
        """Started; it has said that it is ready."""
        argv = [harness.sluice, "serve", "--port", port, *ADDRESSES, "--mtu", str(self.mtu), *rules, "--stats",
                "--verbose", *options]
        serve = Serve(argv, self.new_log("serve"), self.world.host, stdin=subprocess.DEVNULL, **more)
        self.addCleanup(serve.close)
        serve.wait_for_message("sluice: ready")
        return serve

    def new_guest(self):
        guest = Namespace()
        self.world.to_close.append(guest)
        for name in ("default", "all"):
            guest.sysctl(f"net/ipv6/conf/{name}/accept_dad", 0)
            guest.sysctl(f"net/ipv6/conf/{name}/accept_ra", 0)
        guest.sysctl("net/ipv4/tcp_congestion_control", "cubic")
        return guest

    def configure(self, guest, mac=GUEST_MAC, card="eth0"):
        """mac None: the one that it has, and perhaps has used."""
        guest.ip(f"link set {card} mtu {self.mtu}" + (f" address {mac}" if mac else ""), f"addr add {GUEST_V4}/30 dev {card}",
                 f"addr add {GUEST_V6}/64 dev {card} nodad", f"link set {card} up",
                 f"route add default via {GATEWAY_V4}", f"route add default via {GATEWAY_V6}")

    def pump(self, guest, kind, card="plain", path=None, own=None, **more):
        argv = [harness.PYTHON, str(HERE / "framepump.py"), path or self.path(), kind, card]
        pump = Process(argv + ([own] if own else []), self.new_log("pump"), guest, **more)
        self.addCleanup(pump.close)
        return pump

    def connect(self, kind, card="plain", **more):
        """A guest of this kind, with a link and addresses."""
        guest = self.new_guest()
        if kind in ("dgram", "vfkit"):
            more.setdefault("own", self.path("own.sock"))
        pump = self.pump(guest, kind, card, **more)
        self.assertEqual(pump.hear(), "ready", pump.messages())
        self.configure(guest)
        return guest, pump

    def start_frontend(self, *options):
        """A guest behind virtqueues, with a link and addresses."""
        guest = self.new_guest()
        argv = [os.environ["SLUICE_TEST_FRONTEND"], *map(str, options), self.path()]
        frontend = Process(argv, self.new_log("frontend"), guest)
        self.addCleanup(frontend.close)
        self.assertEqual(frontend.hear(), "ready", frontend.messages())
        self.configure(guest)
        # A virtio-net device stops its queue when it is full; a TAP drops, unless its queue holds a whole window.
        guest.ip("link set eth0 txqueuelen 10000")
        return guest, frontend

    def start_in(self, guest, function, *args, uses=()):
        log = self.new_log("function")
        with open(log, "wb") as stderr, guest.entered():
            process = subprocess.Popen(guest_argv(function, args, uses), stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=stderr)
        self.addCleanup(self.end, process)
        return networld.Guest(process, log)

    def run_in(self, guest, function, *args, **more):
        """Runs the function in the guest and returns its result."""
        return self.start_in(guest, function, *args, **more).result()

# SPDX-License-Identifier: Apache-2.0
"""A small internet for tests of the network: namespaces, servers, captures, and the guest's side.

A test program starts itself again as process 1 of namespaces of its own (main()), so that nothing
outlives it. Each test makes its World: a namespace "server" that has the addresses of an internet, and a
namespace "host" in which sluice runs, joined by a pair of interfaces. A thread enters a namespace to make a
socket and leaves it again, so the servers are sockets in the test itself.

What the guest does is an ordinary function of the test module: its source is sent to a Python inside
the sandbox (Case.guest()), which prints what it returns as JSON.
"""
import contextlib
import ctypes
import inspect
import json
import os
import select
import socket
import subprocess
import sys
import textwrap
import threading
import time

import harness
import netguest
from netguest import *  # pylint: disable=wildcard-import,unused-wildcard-import

CLONE_NEWNET = 0x40000000
INNER = "SLUICE_TEST_INNER"

# Addresses of the internet: not special in any registry, and nothing leaves the namespaces.
SERVER_V4, SERVER_V6 = "45.67.89.1", "2a0b:5a40::1"
OTHER_V4, OTHER_V6 = "45.67.89.2", "2a0b:5a40::2"
HOST_V4, HOST_V6 = "45.67.89.200", "2a0b:5a40::200"
GATEWAY_V4, GATEWAY_V6 = "100.96.0.1", "fd42:6d73:62::1"
GUEST_V4, GUEST_V6 = harness.GUEST_V4, harness.GUEST_V6

ALL = ["--net", "all"]
TCP_INFO_PROBES, TCP_INFO_UNACKED, TCP_INFO_RETRANS = 3, 24, 100  # offsets in struct tcp_info
IP_FREEBIND, IPV6_FREEBIND = 15, 78
SO_RCVBUFFORCE = 33

_libc = ctypes.CDLL(None, use_errno=True)


def _setns(fd):
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _own_netns():
    return os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def wait_until(condition, what):
    """For conditions of which the kernel does not tell: looks again and again. Returns what is true."""
    deadline = time.monotonic() + harness.PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"never came true: {what}")
        select.select([], [], [], 0.002)


class Namespace:
    """A network namespace, held by a descriptor: that of a process, or a new one."""

    def __init__(self, pid=None):
        if pid is not None:
            self.fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            return
        before = _own_netns()
        try:
            harness.unshare(CLONE_NEWNET)
            self.fd = _own_netns()
        finally:
            _setns(before)
            os.close(before)
        self.ip("link set lo up")

    @contextlib.contextmanager
    def entered(self):
        before = _own_netns()
        _setns(self.fd)
        try:
            yield self
        finally:
            _setns(before)
            os.close(before)

    def enter(self):
        """For good."""
        _setns(self.fd)

    def run(self, *argv, **more):
        with self.entered():
            return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True, **more).stdout

    def ip(self, *lines):
        """Each line is one command of ip(8)."""
        self.run("ip", "-batch", "-", input="\n".join(lines) + "\n")

    def sysctl(self, name, value):
        """False where this kernel, or our rights, do not allow it."""
        try:
            with self.entered(), open(f"/proc/sys/{name}", "w", encoding="ascii") as f:
                f.write(str(value))
        except OSError:
            return False
        return True

    def socket(self, *args, **more):
        with self.entered():
            return socket.socket(*args, **more)

    def close(self):
        os.close(self.fd)


class Capture:
    """All IP packets that come in on an interface, as bytes from the IP header on; what neighbours say to
    each other left out."""

    def __init__(self, world):
        self.world = world
        self.packets = []
        self._markers = 0
        with world.server.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            with contextlib.suppress(PermissionError):
                self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
            self._socket.bind(("net0", 0))

    def wait_for(self, address):
        """The next packet for this address."""
        wanted = socket.inet_pton(family_of(address), address)
        at = 24 if ":" in address else 16
        while True:
            if not select.select([self._socket], [], [], harness.PATIENCE)[0]:
                raise AssertionError(f"no packet for {address} comes")
            frame, source = self._socket.recvfrom(1 << 17)
            if (source[2] != socket.PACKET_OUTGOING and self._is_of_interest(frame) and
                    frame[14 + at:14 + at + len(wanted)] == wanted):
                return frame[14:]

    def take(self):
        """All packets until now, the newest last."""
        self._markers += 1
        marker = f"marker {self._markers}".encode()
        with self.world.host.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(marker, (SERVER_V4, 9))
        new = []
        while True:
            if not select.select([self._socket], [], [], harness.PATIENCE)[0]:
                raise AssertionError("the capture's marker does not come")
            frame, address = self._socket.recvfrom(1 << 17)
            if address[2] == socket.PACKET_OUTGOING:
                continue
            if frame.endswith(marker):
                self.packets += new
                return new
            if self._is_of_interest(frame):
                new.append(frame[14:])

    @staticmethod
    def _is_of_interest(frame):
        kind = frame[12:14]
        if kind == b"\x08\x00":
            return frame[23] != 2  # IGMP
        if kind != b"\x86\xdd":
            return False
        # Hop-by-hop options carry MLD only; neighbour discovery, echo is of interest.
        return frame[20] != 0 and not (frame[20] == 58 and 130 <= frame[54] <= 143)

    def close(self):
        self._socket.close()


class Server:
    """Accepts connections in a thread and gives each to handler(connection) in a thread of its own."""

    def __init__(self, listener, handler):
        self.listener = listener
        self.port = listener.getsockname()[1]
        self.handler = handler
        self.errors = []
        self.connections = []
        self.threads = []
        self._stop = os.eventfd(0)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        poll = select.poll()
        poll.register(self.listener, select.POLLIN)
        poll.register(self._stop, select.POLLIN)
        while True:
            if any(fd == self._stop for fd, _ in poll.poll()):
                return
            try:
                connection, _ = self.listener.accept()
            except OSError:
                continue
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self.connections.append(connection)
            self.threads.append(thread)
            thread.start()

    def _serve(self, connection):
        try:
            connection.settimeout(harness.PATIENCE)
            self.handler(connection)
        except Exception as error:  # pylint: disable=broad-except
            self.errors.append(error)
        finally:
            connection.close()

    def join(self):
        """Waits until all connections so far have been served, and raises what went wrong."""
        for thread in self.threads:
            thread.join(harness.PATIENCE)
            if thread.is_alive():
                raise AssertionError("a connection is not served to its end")
        if self.errors:
            raise self.errors[0]

    def close(self):
        os.eventfd_write(self._stop, 1)
        self._thread.join()
        self.listener.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(harness.PATIENCE)
        os.close(self._stop)


class World:
    """The namespaces "server" and "host", and the interfaces net0 and up0 that join them."""

    def __init__(self, v4=True, v6=True, mtu=1500, ping=True):
        self.server, self.host = Namespace(), Namespace()
        self.to_close = [self.server, self.host]
        for namespace in (self.server, self.host):
            namespace.sysctl("net/ipv6/conf/default/accept_dad", 0)
            namespace.sysctl("net/ipv6/conf/all/accept_dad", 0)
            namespace.sysctl("net/ipv4/tcp_congestion_control", "cubic")
            namespace.sysctl("net/ipv4/tcp_no_metrics_save", 1)
            namespace.sysctl("net/ipv4/icmp_ratelimit", 0)
            namespace.sysctl("net/ipv6/icmp/ratelimit", 0)
            namespace.sysctl("net/ipv4/icmp_msgs_per_sec", 1000000)
        # Of one identity where ours is the only one; of nobody in a new namespace.
        if ping and not self.host.sysctl("net/ipv4/ping_group_range", "0 2147483647"):
            self.host.sysctl("net/ipv4/ping_group_range", "0 0")
        with self.host.entered():
            subprocess.run(["ip", "link", "add", "up0", "mtu", str(mtu), "type", "veth", "peer",
                            "name", "net0", "mtu", str(mtu), "netns", f"/proc/self/fd/{self.server.fd}"],
                           check=True, pass_fds=[self.server.fd])
        self._addresses(v4, v6)

    def _addresses(self, v4, v6):
        server, host = ["link set net0 up"], ["link set up0 up"]
        if v4:
            server += [f"addr add {SERVER_V4}/24 dev net0", f"addr add {OTHER_V4}/24 dev net0"]
            host += [f"addr add {HOST_V4}/24 dev up0", f"route add default via {SERVER_V4}"]
        if v6:
            server += [f"addr add {SERVER_V6}/64 dev net0 nodad", f"addr add {OTHER_V6}/64 dev net0 nodad"]
            host += [f"addr add {HOST_V6}/64 dev up0 nodad", f"route add default via {SERVER_V6}"]
        self.server.ip(*server)
        self.host.ip(*host)
        # Loopback has the addresses of the world below it: whatever is sent to the server is its own.
        self.server.ip("route add local default dev lo table main",
                       "route add local ::/0 dev lo table main")

    def listen(self, address="::", port=0, namespace=None, backlog=512):
        """A TCP listener in the server's namespace; "::" is for both families."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = (namespace or self.server).socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address != "::")
        self.to_close.append(listener)
        listener.bind((address, port))
        listener.listen(backlog)
        return listener

    def serve(self, handler, **more):
        listener = self.listen(**more)
        self.to_close.remove(listener)
        server = Server(listener, handler)
        self.to_close.append(server)
        return server

    def accept(self, listener):
        """The next connection, which lasts as long as the world."""
        if not select.select([listener], [], [], harness.PATIENCE)[0]:
            raise AssertionError("no connection comes")
        connection, _ = listener.accept()
        connection.settimeout(harness.PATIENCE)
        self.to_close.append(connection)
        return connection

    def udp(self, address=SERVER_V4, port=0, namespace=None):
        """A UDP socket in the server's namespace."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        s = (namespace or self.server).socket(family, socket.SOCK_DGRAM)
        self.to_close.append(s)
        if family == socket.AF_INET6:
            s.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
        else:
            s.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        s.bind((address, port))
        s.settimeout(harness.PATIENCE)
        return s

    def send_icmp_error(self, kind, code, info, packet):
        """From the server to the sender of an IP packet; info is the third word."""
        is_v4 = packet[0] >> 4 == 4
        message = struct.pack("!BBHI", kind, code, 0, info) + packet[:548 if is_v4 else 1232]
        if is_v4:
            message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
            target = socket.inet_ntop(socket.AF_INET, packet[12:16])
            raw = self.server.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        else:
            target = socket.inet_ntop(socket.AF_INET6, packet[8:24])
            raw = self.server.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        with raw:
            raw.sendto(message, (target, 0))

    def capture(self):
        capture = Capture(self)
        self.to_close.append(capture)
        return capture

    def close(self):
        for thing in reversed(self.to_close):
            thing.close()


class Guest:
    """A running function of the guest."""

    def __init__(self, process, log):
        self.process = process
        self.log = log

    def hear(self):
        """What the guest says next."""
        if not select.select([self.process.stdout], [], [], harness.PATIENCE)[0]:
            raise AssertionError(f"the guest says nothing; {self.messages()}")
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the guest has ended: {self.messages()}")
        return json.loads(line)

    def say(self, value=None):
        self.process.stdin.write(json.dumps(value).encode() + b"\n")
        self.process.stdin.flush()

    def messages(self):
        """Standard error until now."""
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def wait(self):
        """Its end; returns its exit status."""
        try:
            return self.process.wait(harness.PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"sluice does not end: {self.messages()}") from None

    def result(self):
        """What the function returns, after the end."""
        value = self.hear()
        if not (isinstance(value, dict) and "result" in value):
            raise AssertionError(f"the guest says {value!r}; {self.messages()}")
        status = self.wait()
        if status != 0:
            raise AssertionError(f"the guest ends with {status}: {self.messages()}")
        return value["result"]

    def engine(self):
        """The engine's process."""
        return harness.child_named(self.process.pid, "sluice-engine")

    @contextlib.contextmanager
    def namespace(self):
        """That of the guest, with the rights of its owner."""
        namespace = Namespace(harness.child_named(self.process.pid, "sandbox-init"))
        try:
            yield namespace
        finally:
            namespace.close()

    def stats(self):
        """Counters that --stats has printed."""
        found = {}
        for line in self.messages().splitlines():
            words = line.split()
            if len(words) > 2 and words[1].isdigit():
                found[words[0]] = int(words[1])
        return found


def source_of(thing):
    """The source of a function or a whole module, of which netguest comes before the others."""
    if isinstance(thing, str):
        return thing
    source = textwrap.dedent(inspect.getsource(thing))
    return "\n".join(line for line in source.split("\n") if not line.startswith("from netguest import"))


def guest_argv(function, args, uses=()):
    """The command line of a Python that calls the function; uses are functions, modules and lines that it uses."""
    parts = [*map(source_of, (netguest, *uses, function)),
             f"say({{'result': {function.__name__}(*json.loads(sys.argv[1]))}})"]
    return [harness.PYTHON, "-I", "-S", "-c", "\n".join(parts), json.dumps(args)]


class Case(harness.Case):
    """A test with a world of its own, made by world() or when first needed."""

    # Namespaces make root of everybody; what differs between the users is the launcher's business.
    users = ("root",) if harness.is_root() else ("user",)
    world_options = {}

    def setUp(self):
        self._world = None
        self.directory = harness.temporary_directory()
        os.chmod(self.directory, 0o777)

    @property
    def world(self):
        if self._world is None:
            self.make_world(**self.world_options)
        return self._world

    def make_world(self, **options):
        before = _own_netns()
        self._world = World(**options)
        self._world.host.enter()

        def leave():
            _setns(before)
            os.close(before)
            self._world.close()

        self.addCleanup(leave)
        return self._world

    def start_guest(self, function, *args, options=(), uses=(), stats=False, **more):
        return self.start_command(*guest_argv(function, args, uses), options=options, stats=stats, **more)

    def start_command(self, *argv, options=(), stats=False, **more):
        assert self.world
        log = os.path.join(self.directory, f"log-{len(os.listdir(self.directory))}")
        options = [*options, *(["--stats"] if stats else [])]
        with open(log, "wb") as stderr:
            process = self.start(*argv, options=options, stdin=subprocess.PIPE, stderr=stderr, **more)
        return Guest(process, log)

    def guest(self, function, *args, **more):
        """Runs the function to its end and returns its result."""
        return self.start_guest(function, *args, **more).result()

    def guest_and_stats(self, function, *args, **more):
        guest = self.start_guest(function, *args, stats=True, **more)
        return guest.result(), guest.stats()

    def events_option(self):
        return ["--events", os.path.join(self.directory, "events")]

    def events(self, kind=None):
        """Events so far, the oldest first."""
        with open(os.path.join(self.directory, "events"), encoding="utf-8") as f:
            events = [json.loads(line) for line in f]
        return [e for e in events if kind in (None, e["event"])]


def main(module_name="__main__"):
    if INNER not in os.environ:
        os.environ[INNER] = "1"
        flags = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        if os.geteuid() != 0:
            flags += ["--user", "--map-root-user"]
        os.execvp("unshare", ["unshare", *flags, "--", sys.executable, *sys.argv])
    harness.main(module_name)

# SPDX-License-Identifier: Apache-2.0
"""The namespaces in which the bench runs.

enter() starts the program again as root of a user namespace and process 1 of a PID namespace of
its own: when it ends, in whatever way, the kernel ends everything that it started. Its network
namespace is "host", where the tools run. "server" is one more, with addresses that look like the
internet's, so that the tools' default rules are in effect; "guest" is made by each tool.
"""

import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from . import kernel

SERVER_ADDRESS = "45.67.89.1"   # and SERVER_ADDRESSES - 1 more behind it
SERVER_ADDRESSES = 16
HOST_ADDRESS = "45.67.89.200"
VETH_HOST, VETH_GUEST = "10.77.0.1", "10.77.0.2"
PORT = 5001
NOFILE_WANTED = 65536
INNER = "BENCH_INNER"
ALLOWED_CC = "/proc/sys/net/ipv4/tcp_allowed_congestion_control"


class BenchError(Exception):
    """Something cannot be measured; the text says what and why."""


def check(argv):
    """Runs a short command that must succeed. Returns its output."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              start_new_session=True, check=False)
    except OSError as e:
        raise BenchError(f"{argv[0]} cannot be run: {e.strerror}") from e
    if done.returncode != 0:
        raise BenchError(f"`{' '.join(argv)}` failed: {done.stderr.strip()}")
    return done.stdout


def _raise_file_limit():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(hard, NOFILE_WANTED),) * 2)
    except (OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _allow_congestion_controls(wanted):
    """Lets new namespaces use them. Returns what is to be written back, or None."""
    try:
        allowed = kernel.read(ALLOWED_CC).split()
        available = kernel.read("/proc/sys/net/ipv4/tcp_available_congestion_control").split()
        missing = [cc for cc in wanted if cc in available and cc not in allowed]
        if not missing:
            return None
        with open(ALLOWED_CC, "w", encoding="ascii") as f:
            f.write(" ".join(allowed + missing))
        return " ".join(allowed)
    except OSError:
        return None  # not root: cells that need it say so


def enter(congestion_controls):
    """In the outer program: runs it again inside, and ends with its status."""
    if INNER in os.environ:
        return
    _raise_file_limit()
    restore = _allow_congestion_controls(congestion_controls)
    # Whoever presses Ctrl-C reaches the inner program, too; this one waits for it. unshare(1) has
    # one child, which it would not pass the signal to.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    inner = None

    def forward(number, _frame):
        for pid in kernel.children(inner.pid) if inner is not None else []:
            os.kill(pid, number)

    signal.signal(signal.SIGTERM, forward)
    argv = ["setpriv", "--pdeathsig", "KILL", "unshare", "--user", "--map-root-user", "--mount",
            "--net", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, *sys.argv]
    try:
        inner = subprocess.Popen(argv, env={**os.environ, INNER: "1"})
        status = inner.wait()
    except OSError as e:
        sys.exit(f"bench: unshare cannot be run: {e.strerror}")
    finally:
        if restore is not None:
            with open(ALLOWED_CC, "w", encoding="ascii") as f:
                f.write(restore)
    sys.exit(status if status >= 0 else 128 - status)


class Process:
    """A process in a namespace. What it says on standard error is kept."""

    def __init__(self, argv, cpu=None, **options):
        if cpu is not None:
            argv = ["taskset", "--cpu-list", str(cpu), *argv]
        self.name = " ".join(argv)
        self.log = open(os.memfd_create("log"), "w+", encoding="utf-8", errors="replace")
        # In a session of its own: Ctrl-C is for the bench, which then ends the others in order.
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL,
                   "start_new_session": True, **options}
        try:
            self.popen = subprocess.Popen(argv, stderr=self.log, text=True, **options)
        except OSError as e:
            raise BenchError(f"{argv[0]} cannot be run: {e.strerror}") from e
        self.pid = self.popen.pid

    def messages(self):
        self.log.seek(0)
        return self.log.read().strip()

    def last_words(self):
        words = self.messages().splitlines()
        return words[-1] if words else "it said nothing"

    def require_alive(self):
        status = self.popen.poll()
        if status is not None:
            raise BenchError(f"`{self.name}` ended with status {status}: {self.last_words()}")

    def output(self, timeout):
        """Waits for its end. Returns its standard output, or raises with the reason."""
        try:
            out, _ = self.popen.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as e:
            self.stop()
            raise BenchError(f"`{self.name}` did not end") from e
        if self.popen.returncode != 0:
            raise BenchError(self.last_words())
        return out

    def stop(self, patience=3.0):
        """Ends it: politely, then by force. Returns its status."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(patience)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        for stream in (self.popen.stdin, self.popen.stdout):
            if stream is not None and not stream.closed:
                stream.close()
        return self.popen.returncode


class Namespace:
    """A network namespace, named by a process in it."""

    def __init__(self, pid):
        self.pid = pid

    def argv(self, argv):
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", "--", *argv]

    def check(self, *argv):
        return check(self.argv(list(argv)))

    def sysctl(self, name, value):
        self.check("sysctl", "-qw", f"{name}={value}")

    def counters(self):
        return kernel.net_counters(self.pid)


class World:
    """Host and server. load is the path of the load generator."""

    def __init__(self, load):
        self.load = load
        self.notes = []
        self.directory = tempfile.mkdtemp(prefix="bench-")  # for sockets
        self.cc = None
        self._serial = 0
        self.host = Namespace(os.getpid())
        self._holder, self.server = self.hold(["unshare", "--net", "--"])
        self._join()

    def hold(self, prefix, cpu=None, **options):
        """Starts a command that ends in a process that does nothing. Returns both."""
        self._serial += 1
        name = f"guest-{self._serial}"
        process = Process([*prefix, self.load, "hold", name], cpu, **options)
        deadline = time.monotonic() + 10
        while True:
            pid = kernel.find_process("hold", name)
            if pid is not None:
                return process, Namespace(pid)
            try:
                process.require_alive()
                if time.monotonic() > deadline:
                    raise BenchError(f"`{process.name}` does not start its command")
            except BenchError:
                process.stop()
                raise
            time.sleep(0.01)

    def _join(self):
        check(["ip", "link", "add", "uplink", "type", "veth", "peer", "name", "net0", "netns",
               str(self.server.pid)])
        check(["ip", "addr", "add", f"{HOST_ADDRESS}/24", "dev", "uplink"])
        first, last = SERVER_ADDRESS.rsplit(".", 1)
        for i in range(SERVER_ADDRESSES):
            self.server.check("ip", "addr", "add", f"{first}.{int(last) + i}/24", "dev", "net0")
        for ns in (self.host, self.server):
            ns.check("ip", "link", "set", "lo", "up")
            self._common(ns)
        check(["ip", "link", "set", "uplink", "up"])
        self.server.check("ip", "link", "set", "net0", "up")
        check(["ip", "route", "add", "default", "via", SERVER_ADDRESS])
        self.server.check("ip", "route", "add", f"{VETH_GUEST}/32", "via", HOST_ADDRESS)
        self.host.sysctl("net.ipv4.ip_forward", 1)
        # In a user namespace with one group there is but one to allow.
        self.host.sysctl("net.ipv4.ping_group_range", "0 0")

    @staticmethod
    def _common(ns):
        """What the runs of one tool must not leave to the next, and room for many connections."""
        ns.sysctl("net.ipv4.tcp_no_metrics_save", 1)
        ns.sysctl("net.ipv4.ip_local_port_range", "1024 65000")
        ns.sysctl("net.ipv4.ip_local_reserved_ports", f"{PORT},{PORT + 1}")

    def set_mtu(self, mtu):
        """The uplink has the guest's MTU, so that the kernel alone has no bottleneck there."""
        check(["ip", "link", "set", "uplink", "mtu", str(mtu)])
        self.server.check("ip", "link", "set", "net0", "mtu", str(mtu))

    def set_cc(self, cc):
        """The congestion control of host and server, and of the guests to come."""
        for ns in (self.host, self.server):
            try:
                ns.sysctl("net.ipv4.tcp_congestion_control", cc)
            except BenchError as e:
                raise BenchError(
                    f"congestion control {cc} cannot be set in a namespace; as root: modprobe "
                    f"tcp_{cc}, and add it to net.ipv4.tcp_allowed_congestion_control") from e
        self.cc = cc

    def prepare_guest(self, guest, mtu):
        """Sets what the kernel must know and checks that the tool did its part."""
        self._common(guest)
        guest.sysctl("net.ipv4.tcp_congestion_control", self.cc)
        found = [(words[1].strip(":").split("@")[0], int(words[words.index("mtu") + 1]))
                 for words in map(str.split, guest.check("ip", "-o", "link", "show").splitlines())]
        devices = [d for d in found if d[0] != "lo" and not d[0].startswith(("sit", "tunl", "ip6"))]
        if len(devices) != 1 or devices[0][1] != mtu:
            raise BenchError(f"the guest's devices are {devices}, wanted is one of MTU {mtu}")

    def start_server(self, cpu=None, namespace=None):
        server = Process((namespace or self.server).argv([self.load, "server", str(PORT)]), cpu,
                         stdout=subprocess.PIPE)
        if server.popen.stdout.readline() != "ready\n":
            server.stop()
            raise BenchError(f"the server does not start: {server.last_words()}")
        return server

    def client(self, guest, *arguments, cpu=None, to=SERVER_ADDRESS, **options):
        """Starts a client of the load generator in the guest, or any other namespace."""
        return Process(guest.argv([self.load, *map(str, arguments), f"{to}:{PORT}"]),
                       cpu, **{"stdout": subprocess.PIPE, **options})

    def close(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        self._holder.stop()

# SPDX-License-Identifier: Apache-2.0
"""What the tests of the program share. Standard library only.

A test program is started as `test_x.py PATH-OF-SLUICE`. As root it runs each test twice: as root, and as
a user without any privilege; else only the latter. It never sleeps: it waits for an event, and the
limits on these waits (PATIENCE) only keep a failing test from hanging.
"""
import ctypes
import os
import select
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import unittest
import uuid

# That of the tests may lie where only root can read it.
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
PATIENCE = 60  # seconds
USER_ID = 23456  # of nobody in particular
GUEST_V4 = "100.96.0.2"
GUEST_V6 = "fd42:6d73:62::2"
# With addresses given, a test does not depend on the routes of the machine.
WITH_ADDRESSES = ["--ipv4", GUEST_V4, "--ipv6", GUEST_V6]

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
MS_REC, MS_PRIVATE, MS_BIND, MS_RDONLY, MS_REMOUNT = 0x4000, 1 << 18, 0x1000, 1, 32

quote = shlex.quote
_libc = ctypes.CDLL(None, use_errno=True)
_directory = None
sluice = None
users = ["root", "user"]  # as whom tests run


def _check(result, what):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def unshare(flags):
    _check(_libc.unshare(flags), "unshare")


def mount(source, target, kind, flags=0, data=None):
    encode = [None if x is None else os.fsencode(x) for x in (source, target, kind, data)]
    _check(_libc.mount(encode[0], encode[1], encode[2], flags, encode[3]), f"mount {target}")


def is_root():
    """Root of the machine, not only of a namespace with one identity."""
    if os.geteuid() != 0:
        return False
    ranges = [list(map(int, line.split())) for line in read_file("/proc/self/uid_map").splitlines()]
    return any(first <= USER_ID < first + count for first, _, count in ranges)


def landlock_abi():
    """Its version, or -1."""
    return _libc.syscall(444, None, 0, 1)


def is_sanitized():
    """Whether the program was built with AddressSanitizer, which needs things that a test takes away."""
    with open(sluice, "rb") as f:
        return b"__asan_init" in f.read()


def temporary_directory():
    """A directory that every user can enter, removed at the end."""
    path = tempfile.mkdtemp(prefix="sluice-test-", dir=_directory)
    os.chmod(path, 0o755)
    return path


def command(*args, options=WITH_ADDRESSES):
    return [sluice, "run", *options, "--", *args]


def credentials(user):
    if not is_root() or user == "root":
        return {}
    return {"user": USER_ID, "group": USER_ID, "extra_groups": []}


def read_file(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def run(args, user="root", stdin=subprocess.DEVNULL, **more):
    """Runs to the end; text output."""
    return subprocess.run(args, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=PATIENCE, **credentials(user), **more)


def start(args, user="root", **more):
    more.setdefault("stdin", subprocess.DEVNULL)
    more.setdefault("stdout", subprocess.PIPE)
    return subprocess.Popen(args, **credentials(user), **more)


class Marked:
    """An environment by which all processes of one run can be found in /proc."""

    def __init__(self):
        self.mark = "SLUICE_TEST_MARK=" + uuid.uuid4().hex
        name, value = self.mark.split("=")
        self.environment = dict(os.environ, **{name: value})

    def pids(self):
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                with open(f"/proc/{entry}/environ", "rb") as f:
                    if self.mark.encode() in f.read():
                        found.append(int(entry))
            except OSError:
                pass
        return found


def status_of(pid):
    """/proc/PID/status as a dictionary."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def children_of(pid):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if int(status_of(entry)["PPid"]) == pid:
                    found.append(int(entry))
            except (OSError, KeyError):
                pass
    return found


def child_named(pid, name):
    """The child of a launcher with this name: sandbox-init or sluice-engine."""
    for child in children_of(pid):
        try:
            if status_of(child)["Name"] == name:
                return child
        except OSError:
            pass
    return None


def settle(pids):
    """Returns when all of these processes sleep and have no signal left to take."""
    deadline = time.monotonic() + PATIENCE
    while True:
        # Twice, as one of them may have been woken by another in between.
        states = [status_of(pid) for pid in pids * 2]
        if all(s["State"].startswith("S") and int(s["ShdPnd"], 16) == 0 for s in states):
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"processes do not come to rest: {states}")
        os.sched_yield()


def wait_for_end(pids):
    """Returns when none of the processes exists any more; those that never did count as ended."""
    poll = select.poll()
    waiting = {}
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        waiting[fd] = pid
        poll.register(fd, select.POLLIN)
    deadline = time.monotonic() + PATIENCE
    while waiting:
        ready = poll.poll(max(0, deadline - time.monotonic()) * 1000)
        if not ready:
            raise AssertionError(f"processes do not end: {sorted(waiting.values())}")
        for fd, _ in ready:
            poll.unregister(fd)
            os.close(fd)
            del waiting[fd]


def read_line(stream):
    """A line from a binary stream, waiting for it."""
    if not select.select([stream], [], [], PATIENCE)[0]:
        raise AssertionError("no line comes")
    return stream.readline().decode().rstrip("\n")


def read_all(stream):
    """All up to the end of a binary stream."""
    parts = []
    while not parts or parts[-1]:
        if not select.select([stream], [], [], PATIENCE)[0]:
            raise AssertionError(f"no end comes after {b''.join(parts)!r}")
        parts.append(os.read(stream.fileno(), 65536))
    return b"".join(parts).decode()


class Case(unittest.TestCase):
    """A test that runs as the user in its class variable."""

    user = "root"

    def sluice(self, *args, options=WITH_ADDRESSES, **more):
        return run(command(*args, options=options), self.user, **more)

    def inside(self, script, *args, options=WITH_ADDRESSES, **more):
        """Runs a shell script, which must succeed, and returns what it prints."""
        done = self.sluice("sh", "-euc", script, "sh", *args, options=options, **more)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def python(self, script, *args, options=WITH_ADDRESSES, **more):
        done = self.sluice(PYTHON, "-c", script, *args, options=options, **more)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def start(self, *args, options=WITH_ADDRESSES, **more):
        process = start(command(*args, options=options), self.user, **more)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()

    def assert_message(self, done, *parts, status=125):
        """One sentence of sluice, with each of these in it, and nothing else."""
        lines = done.stderr.splitlines()
        self.assertEqual((done.returncode, len(lines)), (status, 1), done.stderr)
        self.assertTrue(lines[0].startswith("sluice: "), lines[0])
        for part in parts:
            self.assertIn(part, lines[0])
        self.assertEqual(done.stdout, "")


def for_each_user(module_name):
    """Makes of each class X(Case) of a module XAsRoot and XAsUser, and takes X itself away."""
    module = sys.modules[module_name]
    for name, case in list(vars(module).items()):
        if not (isinstance(case, type) and issubclass(case, Case)) or case is Case:
            continue
        delattr(module, name)
        for user in getattr(case, "users", ("root", "user")):
            if user not in users or (user == "root" and not is_root()):
                continue
            full = f"{name}As{user.capitalize()}"
            setattr(module, full, type(full, (case,), {"user": user, "__module__": module_name}))


def _make_place():
    """A private mount namespace with a /dev/net/tun that users may open, for root."""
    global _directory, sluice
    sluice = os.path.abspath(sys.argv.pop(1))
    _directory = tempfile.mkdtemp(prefix="sluice-test-")
    os.chmod(_directory, 0o755)
    if not is_root():
        return
    unshare(CLONE_NEWNS)
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    if os.path.isdir("/dev/net"):
        mount("none", "/dev/net", "tmpfs", 0, "mode=0755")
        os.mknod("/dev/net/tun", stat.S_IFCHR | 0o666, os.makedev(10, 200))
        os.chmod("/dev/net/tun", 0o666)
    # The build directory may be closed to others.
    sluice = shutil.copy(sluice, _directory)
    os.chmod(sluice, 0o755)


def _make_host(addresses):
    """A network namespace of our own, with these addresses and a route for everything, all on lo."""
    if is_root():
        unshare(CLONE_NEWNET)
    else:
        uid, gid = os.getuid(), os.getgid()
        unshare(CLONE_NEWUSER | CLONE_NEWNET)
        for name, text in (("setgroups", "deny"), ("gid_map", f"0 {gid} 1"), ("uid_map", f"0 {uid} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as f:
                f.write(text)
        users.remove("user")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in addresses:
        family = "-6" if ":" in address else "-4"
        subprocess.run(["ip", family, "addr", "add", address, "dev", "lo"], check=True)
    for family in ("-4", "-6"):
        subprocess.run(["ip", family, "route", "add", "default", "dev", "lo"], check=True)
    # Small buffers of the host's sockets, so that a little data fills them.
    for name in ("tcp_wmem", "tcp_rmem"):
        with open(f"/proc/sys/net/ipv4/{name}", "w", encoding="ascii") as f:
            f.write("4096 16384 65536")


def main(module_name="__main__", network=None):
    """network: the addresses of a host of our own; None: the machine itself is the host."""
    os.environ["LC_ALL"] = "C"
    # What nohup or a shell's background has left to be ignored would be ignored by all commands.
    for number in (signal.SIGPIPE, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _make_place()
    if network is not None:
        _make_host(network)
    for_each_user(module_name)
    try:
        result = unittest.main(module=module_name, exit=False, verbosity=1).result
    finally:
        shutil.rmtree(_directory, ignore_errors=True)
    sys.exit(0 if result.wasSuccessful() else 1)

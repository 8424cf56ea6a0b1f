# SPDX-License-Identifier: Apache-2.0
"""The candidates: each gives a guest namespace a way to the server."""

import os
import shutil
import subprocess
import time

from . import kernel
from .world import (HOST_ADDRESS, PORT, SERVER_ADDRESS, VETH_GUEST, VETH_HOST, BenchError, Process,
                    check)

READY_S = 10
GUEST_MAC = "02:6d:73:00:00:02"


class Guest:
    """A guest namespace, and the processes that make its network."""

    def __init__(self, namespace, processes, holder, main=None):
        self.namespace = namespace
        self._processes = processes  # to be stopped, in this order
        self._tool = processes[0] if main is not None else None
        self._holder = holder        # pid of the process that does nothing
        self._find_main = main

    def tool_pids(self):
        """All processes of the tool."""
        if self._tool is None:
            return []
        return kernel.descendants(self._tool.pid, without=(self._holder,))

    def main_pid(self):
        """The process that handles the frames, or None."""
        return self._find_main(self._tool.pid) if self._find_main else None

    def require_alive(self):
        for process in self._processes:
            process.require_alive()

    def stop(self):
        """Ends all. Returns what the tool said."""
        for p in self._processes:
            p.stop()
        return self._tool.messages() if self._tool is not None else ""


class Tool:
    """A candidate; path is that of its program."""

    name = ""
    is_peer = False
    is_vhost = False  # it serves the virtqueues of a virtual machine, and that only
    can_publish = False  # its guest's ports can be reached from outside,
    reached_at = HOST_ADDRESS  # here,
    is_published = False  # if this is set when it starts

    def __init__(self, path=None):
        self.path = path

    def version(self):
        return ""

    def options(self, mtu):
        """How it is run, for the report."""
        raise NotImplementedError

    def start(self, world, mtu, cpu=None, connections=0):
        """Makes a guest. connections: how many it must be able to hold, 0: the default."""
        raise NotImplementedError

    def start_command(self):
        """A command that does nothing behind the tool's network, or None."""
        return None


class Kernel(Tool):
    """No tool: a veth pair into the host, which forwards."""

    name = "kernel"
    can_publish = True
    reached_at = VETH_GUEST

    def version(self):
        return f"Linux {os.uname().release}"

    def options(self, mtu):
        return f"veth of MTU {mtu}, net.ipv4.ip_forward=1, offloads as the kernel sets them"

    def start(self, world, mtu, cpu=None, connections=0):
        process, namespace = world.hold(["unshare", "--net", "--"], cpu)
        try:
            check(["ip", "link", "add", "guest0", "mtu", str(mtu), "type", "veth", "peer", "name",
                   "eth0", "mtu", str(mtu), "netns", str(namespace.pid)])
            check(["ip", "addr", "add", f"{VETH_HOST}/30", "dev", "guest0"])
            check(["ip", "link", "set", "guest0", "up"])
            namespace.check("ip", "link", "set", "lo", "up")
            namespace.check("ip", "addr", "add", f"{VETH_GUEST}/30", "dev", "eth0")
            namespace.check("ip", "link", "set", "eth0", "up")
            namespace.check("ip", "route", "add", "default", "via", VETH_HOST)
        except BenchError:
            process.stop()
            raise
        return KernelGuest(namespace, [process], namespace.pid)

    def start_command(self):
        return ["unshare", "--user", "--map-root-user", "--net", "true"]


class KernelGuest(Guest):
    """The veth pair goes with its namespace, but not at once: the next one has the same name."""

    def stop(self):
        subprocess.run(["ip", "link", "del", "guest0"], capture_output=True, check=False)
        return super().stop()


class Sluice(Tool):
    name = "sluice"
    can_publish = True

    def version(self):
        return check([self.path, "--version"]).strip()

    def arguments(self, mtu, connections=0):
        limit = ["--max-connections", str(connections)] if connections else []
        published = [f"{HOST_ADDRESS}:{port}:{port}" for port in (PORT, PORT + 1)]
        publish = [w for p in published for w in ("-p", p)] if self.is_published else []
        return ["run", "--mtu", str(mtu), *limit, *publish]

    def options(self, mtu):
        return "sluice " + " ".join(self.arguments(mtu))

    def start(self, world, mtu, cpu=None, connections=0):
        argv = [self.path, *self.arguments(mtu, connections), "--stats", "--"]
        process, namespace = world.hold(argv, cpu)
        return Guest(namespace, [process], namespace.pid, self._engine)

    @staticmethod
    def _engine(launcher):
        """The launcher has two children: the sandbox and the engine, which stays in our network."""
        own = kernel.net_namespace("self")
        found = [p for p in kernel.children(launcher) if kernel.net_namespace(p) == own]
        if len(found) != 1:
            raise BenchError("sluice's engine is not found among its processes")
        return found[0]

    def start_command(self):
        return [self.path, "run", "--", "true"]


class Pasta(Tool):
    """With the options of podman, which switch off all that costs and is not measured."""

    name = "pasta"
    is_peer = True
    can_publish = True

    def version(self):
        return check([self.path, "--version"]).splitlines()[0]

    def arguments(self, mtu):
        inward = f"{PORT},{PORT + 1}" if self.is_published else "none"
        return ["--config-net", "--mtu", str(mtu), "--no-map-gw", "--quiet", "-t", inward, "-u",
                "none", "-T", "none", "-U", "none"]

    def options(self, mtu):
        return "pasta " + " ".join(self.arguments(mtu))

    def start(self, world, mtu, cpu=None, connections=0):
        process, namespace = world.hold([self.path, *self.arguments(mtu), "--"], cpu)
        return Guest(namespace, [process], namespace.pid, lambda pid: pid)

    def start_command(self):
        return [self.path, *self.arguments(65520), "--", "true"]


class Slirp4netns(Tool):
    name = "slirp4netns"
    is_peer = True

    def version(self):
        lines = check([self.path, "--version"]).splitlines()
        return ", ".join(s for s in lines if s.startswith(("slirp4netns", "libslirp")))

    def arguments(self, mtu):
        return ["--configure", "--mtu", str(mtu), "--disable-host-loopback"]

    def options(self, mtu):
        return "slirp4netns " + " ".join(self.arguments(mtu))

    def start(self, world, mtu, cpu=None, connections=0):
        holder, namespace = world.hold(["unshare", "--user", "--map-root-user", "--net", "--"], cpu)
        ready, told = os.pipe()
        try:
            tool = Process([self.path, *self.arguments(mtu), "--ready-fd", str(told),
                            str(namespace.pid), "eth0"], cpu, pass_fds=(told,))
        except BenchError:
            holder.stop()
            raise
        finally:
            os.close(told)
        with open(ready, "rb") as f:
            is_ready = f.read(1) == b"1"
        guest = Guest(namespace, [tool, holder], namespace.pid, lambda pid: pid)
        if not is_ready:
            raise BenchError(f"slirp4netns does not start: {guest.stop()}")
        return guest


class Vhost(Tool):
    """Behind a front end without a virtual machine, whose guest is the kernel of a namespace."""

    is_vhost = True
    guest_address, gateway = "", ""

    def __init__(self, path=None, frontend=None):
        super().__init__(path)
        self.frontend = frontend
        self._serial = 0

    def arguments(self, mtu, socket):
        """Of the tool."""
        raise NotImplementedError

    def options(self, mtu):
        return " ".join([os.path.basename(self.path), *self.arguments(mtu, "PATH")])

    def start(self, world, mtu, cpu=None, connections=0):
        holder, namespace = world.hold(["unshare", "--net", "--"], cpu)
        started = [holder]
        self._serial += 1
        path = os.path.join(world.directory, f"{self._serial}.sock")
        try:
            tool = Process([self.path, *self.arguments(mtu, path)], cpu, stdin=subprocess.PIPE)
            started.insert(0, tool)
            self._wait_for(tool, path)
            frontend = Process(namespace.argv([self.frontend, path]), cpu, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
            started.insert(1, frontend)
            if frontend.popen.stdout.readline() != "ready\n":
                raise BenchError(f"the front end does not start: {frontend.last_words()}")
            self._configure(namespace, mtu)
        except BenchError:
            for process in started:
                process.stop()
            raise
        return Guest(namespace, started, namespace.pid, self.engine)

    @staticmethod
    def _wait_for(tool, path):
        deadline = time.monotonic() + READY_S
        while not kernel.is_listening(path):
            tool.require_alive()
            if time.monotonic() > deadline:
                raise BenchError(f"`{tool.name}` does not listen")
            time.sleep(0.01)

    @staticmethod
    def engine(pid):
        """Of the tool's process."""
        return pid

    def _configure(self, namespace, mtu):
        namespace.check("ip", "link", "set", "lo", "up")
        # A virtio-net device stops its queue when it is full; a TAP drops, unless its queue holds
        # a whole window.
        namespace.check("ip", "link", "set", "eth0", "address", GUEST_MAC, "mtu", str(mtu),
                        "txqueuelen", "10000")
        namespace.check("ip", "addr", "add", self.guest_address, "dev", "eth0")
        namespace.check("ip", "link", "set", "eth0", "up")
        namespace.check("ip", "route", "add", "default", "via", self.gateway)


class VhostSluice(Vhost):
    name = "sluice vhost-user"
    guest_address, gateway = "100.96.0.2/30", "100.96.0.1"

    def version(self):
        return check([self.path, "--version"]).strip()

    def arguments(self, mtu, socket):
        return ["serve", "--port", f"vhost-user:{socket}", "--mtu", str(mtu), "--ipv4", "100.96.0.2",
                "--stats"]

    @staticmethod
    def engine(launcher):
        """The launcher's only child."""
        return kernel.children(launcher)[0]


class Passt(Vhost):
    """With what costs and is not measured switched off, as pasta."""

    name = "passt vhost-user"
    is_peer = True
    guest_address, gateway = f"{HOST_ADDRESS}/24", SERVER_ADDRESS

    def version(self):
        return check([self.path, "--version"]).splitlines()[0]

    def arguments(self, mtu, socket):
        return ["--vhost-user", "--foreground", "--quiet", "--mtu", str(mtu), "--no-map-gw", "-t",
                "none", "-u", "none", "--socket", socket]


def candidates(environ, build):
    """Our programs in the build directory, and the tools that the environment names: SLUICE, PASTA,
    SLIRP4NETNS, PASST."""
    frontend = os.path.join(build, "tests", "frontend", "vhost_frontend")
    sluice = environ.get("SLUICE", os.path.join(build, "src", "app", "sluice"))
    out = [Kernel(), Sluice(sluice),
           VhostSluice(sluice, frontend)]
    if "PASTA" in environ:
        out.append(Pasta(environ["PASTA"]))
    if "SLIRP4NETNS" in environ:
        out.append(Slirp4netns(environ["SLIRP4NETNS"]))
    if "PASST" in environ:
        out.append(Passt(environ["PASST"], frontend))
    for tool in out[1:]:
        found = shutil.which(tool.path)
        if found is None:
            name = tool.name.split()[0].upper()
            raise BenchError(f"{tool.path} is not a program; set {name}=PATH")
        tool.path = os.path.abspath(found)
    return out


def wait_until_connected(world, guest, client=None, **to):
    """Until a byte has gone to the server and back, from the guest or another client."""
    deadline = time.monotonic() + READY_S
    while True:
        probe = world.client(client or guest.namespace, "conns", "--count", 1, **to)
        try:
            probe.output(timeout=READY_S)
            return
        except BenchError as e:
            guest.require_alive()
            if time.monotonic() > deadline:
                raise BenchError(f"no connection from the guest: {e}") from e
        time.sleep(0.05)

# SPDX-License-Identifier: Apache-2.0
"""A small Linux for a virtual machine, out of what Debian has: its cloud kernel, busybox, and tc.

The kernel is the newest in /boot; the initial file system is made here: programs with the libraries they need, kernel
modules with those they need, and a script as /init."""
import glob
import os
import re
import shutil
import subprocess

BUSYBOX = "/bin/busybox"
PROGRAMS = ["/sbin/tc"]
MODULES = ["virtio_pci", "virtio_net", "sch_netem", "sch_ingress", "ifb", "act_mirred", "cls_matchall"]
PACKAGES = "qemu-system-x86 linux-image-cloud-amd64 busybox-static iproute2"


class Missing(Exception):
    """Something that Debian would have; the sentence says what."""


def kernel():
    """Path and version of the newest cloud kernel."""
    found = glob.glob("/boot/vmlinuz-*-cloud-*")
    if not found:
        raise Missing(f"there is no cloud kernel in /boot; install {PACKAGES}")
    newest = max(found, key=lambda path: [int(n) for n in re.findall(r"\d+", path)])
    return newest, newest[len("/boot/vmlinuz-"):]


def modules(version):
    """Paths of the modules, each behind those that it needs. What is built in has none."""
    base = f"/lib/modules/{version}"
    needs, paths = {}, {}
    with open(f"{base}/modules.dep", encoding="ascii") as f:
        for line in f:
            path, _, rest = line.partition(":")
            needs[path] = rest.split()
            paths[re.sub(r"\.ko.*", "", os.path.basename(path)).replace("-", "_")] = path
    ordered = []

    def add(path):
        for needed in needs[path]:
            add(needed)
        if path not in ordered:
            ordered.append(path)

    for name in MODULES:
        if name in paths:
            add(paths[name])
    return [f"{base}/{path}" for path in ordered]


def libraries(program):
    """The shared libraries of a program, as absolute paths."""
    out = subprocess.run(["ldd", program], stdout=subprocess.PIPE, text=True, check=True).stdout
    return re.findall(r"(/\S+) \(0x", out)


class Archive:
    """cpio, in the form that the kernel reads (newc)."""

    def __init__(self):
        self.parts = []
        self.count = 0
        self.directories = set()

    def _entry(self, name, mode, data=b""):
        self.count += 1
        encoded = name.encode() + b"\0"
        fields = [self.count, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0]
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
        self.parts += [head, bytes(-len(head) % 4), data, bytes(-len(data) % 4)]

    def directory(self, path):
        parts = path.strip("/").split("/")
        for i in range(1, len(parts) + 1):
            name = "/".join(parts[:i])
            if name and name not in self.directories:
                self.directories.add(name)
                self._entry(name, 0o040755)

    def file(self, path, data, mode=0o755):
        self.directory(os.path.dirname(path))
        self._entry(path.strip("/"), 0o100000 | mode, data)

    def copy(self, source, path=None):
        with open(source, "rb") as f:
            self.file(path or source, f.read())

    def link(self, path, target):
        self.directory(os.path.dirname(path))
        self._entry(path.strip("/"), 0o120777, target.encode())

    def bytes(self):
        self._entry("TRAILER!!!", 0)
        return b"".join(self.parts)


def build(version, script, files):
    """The initial file system as bytes. script: /init, for busybox's sh; files: more of them, by path."""
    for program in [BUSYBOX, *PROGRAMS]:
        if not os.path.exists(program):
            raise Missing(f"{program} is missing; install {PACKAGES}")
    a = Archive()
    for name in ("dev", "proc", "sys", "tmp", "root", "etc"):
        a.directory(name)
    a.copy(BUSYBOX, "/bin/busybox")
    for applet in subprocess.run([BUSYBOX, "--list"], stdout=subprocess.PIPE, text=True, check=True).stdout.split():
        if applet not in ("busybox", "tc"):
            a.link(f"/bin/{applet}", "busybox")
    copied = set()
    for program in PROGRAMS:
        a.copy(os.path.realpath(program), f"/programs/{os.path.basename(program)}")
        for library in libraries(program):
            if library not in copied:
                copied.add(library)
                a.copy(os.path.realpath(library), library)
    loads = []
    for path in modules(version):
        a.copy(path, f"/modules/{os.path.basename(path)}")
        loads.append(f"insmod /modules/{os.path.basename(path)}")
    a.file("/modules/load", "\n".join(loads).encode() + b"\n")
    for path, text in files.items():
        a.file(path, text.encode())
    a.file("/init", script.encode())
    return a.bytes()


def qemu():
    found = shutil.which("qemu-system-x86_64")
    if not found:
        raise Missing(f"there is no qemu-system-x86_64; install {PACKAGES}")
    return found

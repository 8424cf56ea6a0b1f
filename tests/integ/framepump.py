# SPDX-License-Identifier: Apache-2.0
"""The network card of a virtual machine that is none: a kernel's TAP on one side, a socket to sluice on the other.

usage: framepump.py PATH KIND CARD [SECOND-PATH]

KIND is how frames lie on the socket at PATH: stream (four bytes of length, big-endian, then the frame), dgram, vfkit
(dgram with a greeting), bess (SOCK_SEQPACKET). A monitor that listens: listen. For dgram, SECOND-PATH is ours. PATH may be fd:N, a connected socket.

CARD is what the card is:
  plain   no offload, as with QEMU: no virtio-net header, whole checksums, frames of the MTU
  krun    as libkrun does it: the driver was given CSUM and TSO, so frames are up to 64 KiB and their checksums not
          finished, but the header that would say so is cut off; towards the guest it is all zero
  vnet    the header goes along, both ways

It says "ready" when both sides stand, "gone" when the socket ends, and ends itself at the end of its input. A line
there is an order: "leave" closes the socket, "again" opens it anew and says "ready".
"""
import contextlib
import fcntl
import os
import select
import socket
import struct
import sys

TUNSETIFF, TUNSETOFFLOAD, TUNSETVNETHDRSZ, TUNSETVNETLE = 0x400454CA, 0x400454D0, 0x400454D8, 0x400454DC
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
CSUM, TSO4, TSO6 = 1, 2, 4
HEADER = 12
FRAME_MAX = 65550


def open_tap(card):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    flags = IFF_TAP | IFF_NO_PI | (0 if card == "plain" else IFF_VNET_HDR)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"eth0", flags))
    if card != "plain":
        fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack("i", HEADER))
        fcntl.ioctl(fd, TUNSETVNETLE, struct.pack("i", 1))
        fcntl.ioctl(fd, TUNSETOFFLOAD, CSUM | TSO4 | TSO6)
    return fd


class Stream:
    def __init__(self, connection):
        self.socket = connection
        self.data = bytearray()

    def send(self, frame):
        self.socket.sendall(struct.pack("!I", len(frame)) + frame)

    def receive(self):
        """All whole frames that are there, or None at the end."""
        part = self.socket.recv(1 << 18)
        if not part:
            return None
        self.data += part
        frames, at = [], 0
        while len(self.data) - at >= 4:
            length = int.from_bytes(self.data[at:at + 4], "big")
            if len(self.data) - at - 4 < length:
                break
            frames.append(bytes(self.data[at + 4:at + 4 + length]))
            at += 4 + length
        del self.data[:at]
        return frames


class Messages:
    def __init__(self, connection):
        self.socket = connection
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)

    def send(self, frame):
        self.socket.send(frame)

    def receive(self):
        frame = self.socket.recv(1 << 17)
        return [frame] if frame else None


def open_socket(path, kind, own):
    if path.startswith("fd:"):
        s = socket.socket(fileno=int(path[3:]))
        return Stream(s) if s.type == socket.SOCK_STREAM else Messages(s)
    kinds = {"bess": socket.SOCK_SEQPACKET, "dgram": socket.SOCK_DGRAM, "vfkit": socket.SOCK_DGRAM}
    s = socket.socket(socket.AF_UNIX, kinds.get(kind, socket.SOCK_STREAM))
    if kind == "listen":
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        s.bind(path)
        s.listen(1)
        s = s.accept()[0]
    else:
        if own is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(own)
            s.bind(own)
        s.connect(path)
    if kind == "vfkit":
        s.send(b"VFKT")
    return Stream(s) if s.type == socket.SOCK_STREAM else Messages(s)


class Pump:
    def __init__(self, path, kind, card, own=None):
        self.place = (path, kind, own)
        self.tap = open_tap(card)
        self.cut = HEADER if card == "krun" else 0
        self.link = None
        self.poll = select.poll()
        self.poll.register(sys.stdin.fileno(), select.POLLIN)
        self.enter()

    def enter(self):
        self.link = open_socket(*self.place)
        self.poll.register(self.tap, select.POLLIN)
        self.poll.register(self.link.socket, select.POLLIN)
        print("ready", flush=True)

    def leave(self):
        if self.link:
            self.poll.unregister(self.tap)
            self.poll.unregister(self.link.socket)
            self.link.socket.close()
            self.link = None

    def from_tap(self):
        with contextlib.suppress(BlockingIOError):
            for _ in range(64):
                self.link.send(os.read(self.tap, HEADER + FRAME_MAX)[self.cut:])

    def from_socket(self):
        frames = self.link.receive()
        for frame in frames or ():
            with contextlib.suppress(OSError):  # the card is down
                os.write(self.tap, bytes(self.cut) + frame)
        return frames is not None

    def obey(self):
        """False: at the end."""
        line = sys.stdin.readline().rstrip("\n")
        self.leave()
        if line == "again":
            self.enter()
        return line != ""

    def run(self):
        while True:
            for fd, _ in self.poll.poll():
                if fd == sys.stdin.fileno():
                    if not self.obey():
                        return
                    break
                try:
                    is_there = True
                    if fd == self.tap:
                        self.from_tap()
                    else:
                        is_there = self.from_socket()
                except ConnectionError:
                    is_there = False
                if not is_there:
                    print("gone", flush=True)
                    self.leave()
                    break


Pump(*sys.argv[1:]).run()

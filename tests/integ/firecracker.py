# SPDX-License-Identifier: Apache-2.0
"""What Firecracker does with a guest's card, without a guest: frames go between the TAP that it is told to use and the
"device", here a second TAP whose kernel is the guest.

usage: firecracker.py NETNS-FD TAP

It is started in the guest's namespace; the TAP is in that of NETNS-FD, as the jailer has it. It says "ready" and ends at
the end of its input.
"""
import ctypes
import errno
import fcntl
import os
import select
import struct
import sys

TUNSETIFF, TUNSETOFFLOAD, TUNSETVNETHDRSZ = 0x400454CA, 0x400454D0, 0x400454D8
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
CSUM, TSO4, TSO6 = 1, 2, 4
CLONE_NEWNET = 0x40000000
HEADER = 12  # struct virtio_net_hdr_v1
FRAME_MAX = 65562


def open_tap(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack("i", HEADER))
    fcntl.ioctl(fd, TUNSETOFFLOAD, CSUM | TSO4 | TSO6)  # what the driver has acknowledged
    return fd


def move(source, target):
    """One read and one write for each frame; what a card that is down does not take is lost."""
    while True:
        try:
            frame = os.read(source, HEADER + FRAME_MAX)
        except BlockingIOError:
            return
        try:
            os.write(target, frame)
        except OSError as e:
            if e.errno not in (errno.EIO, errno.EAGAIN):
                raise


def main(netns, name):
    device = open_tap("eth0")
    if ctypes.CDLL(None).setns(int(netns), CLONE_NEWNET) != 0:
        sys.exit("the namespace cannot be entered")
    tap = open_tap(name)
    poll = select.poll()
    for fd in (device, tap, sys.stdin.fileno()):
        poll.register(fd, select.POLLIN)
    print("ready", flush=True)
    while True:
        for fd, _ in poll.poll():
            if fd == sys.stdin.fileno():
                return
            move(fd, tap if fd == device else device)


main(*sys.argv[1:])

# SPDX-License-Identifier: Apache-2.0
"""What functions of a guest find when they run: this file comes before them. The tests' own side uses it,
too. Its names are short because they are used in many small functions."""
import errno
import hashlib
import json
import os
import select
import socket
import struct
import sys
import threading

CONGESTION = os.environ.get("SLUICE_TEST_CC", "cubic").encode()
PATIENCE = 60  # seconds


def say(value):
    """Tells the test something (Guest.hear())."""
    print(json.dumps(value), flush=True)


def hear():
    """What the test tells (Guest.say())."""
    return json.loads(sys.stdin.readline())


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def tcp(family=socket.AF_INET):
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, CONGESTION)
    s.settimeout(PATIENCE)
    return s


def connected(address, port):
    s = tcp(family_of(address))
    s.connect((address, port))
    return s


def connect_error(address, port):
    """0, or the errno with which connecting fails."""
    with tcp(family_of(address)) as s:
        s.settimeout(None)
        return s.connect_ex((address, port))


def udp(address, port):
    s = socket.socket(family_of(address), socket.SOCK_DGRAM)
    s.settimeout(PATIENCE)
    s.connect((address, port))
    return s


def udp_error(address, port):
    """The errno that comes back for a datagram; 0: an answer comes."""
    with udp(address, port) as s:
        s.send(b"x")
        try:
            s.recv(1)
            return 0
        except OSError as e:
            return e.errno


def read_all(s):
    data = bytearray()
    while part := s.recv(1 << 18):
        data += part
    return bytes(data)


def pattern(size, seed=0):
    """Bytes of which no two parts look alike."""
    return hashlib.shake_128(seed.to_bytes(8, "big")).digest(size)


def sha(data):
    return hashlib.sha1(data).hexdigest()


def digest(s, count=None):
    """Length and hash of what comes up to the end, or of the next count bytes."""
    h, n, buffer = hashlib.sha1(), 0, memoryview(bytearray(1 << 18))
    while count is None or n < count:
        got = s.recv_into(buffer, 0 if count is None else min(count - n, len(buffer)))
        if got == 0:
            break
        h.update(buffer[:got])
        n += got
    return [n, h.hexdigest()]


def checksum(data):
    """RFC 1071."""
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff

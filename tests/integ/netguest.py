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
IP_MTU_DISCOVER, IP_RECVERR, IP_MTU = 10, 11, 14
IPV6_MTU_DISCOVER, IPV6_MTU, IPV6_RECVERR = 23, 24, 25
PMTUDISC_DONT, PMTUDISC_DO = 0, 2
SO_EE_ORIGIN_LOCAL, SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6 = 1, 2, 3
UDP_SEGMENT, UDP_GRO = 103, 104


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


def know_neighbours(address):
    """Makes all on the way know their neighbours, so that what is sent next does not wait for that, and
    what comes after it does not overtake it."""
    connect_error(address, 1)


def udp(address, port):
    s = socket.socket(family_of(address), socket.SOCK_DGRAM)
    s.settimeout(PATIENCE)
    s.connect((address, port))
    return s


def udp_error(address, port):
    """The errno that a program without an error queue gets for a datagram; 0: an answer comes."""
    with udp(address, port) as s:
        s.send(b"x")
        try:
            s.recv(1)
            return 0
        except OSError as e:
            return e.errno


def tell_errors(s):
    """Makes errors of a UDP socket come by its error queue."""
    if s.family == socket.AF_INET:
        s.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    else:
        s.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)


def forbid_fragments(s, mode=PMTUDISC_DO):
    if s.family == socket.AF_INET:
        s.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, mode)
    else:
        s.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, mode)


def path_mtu(s):
    """Of a connected socket."""
    if s.family == socket.AF_INET:
        return s.getsockopt(socket.IPPROTO_IP, IP_MTU)
    return s.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU)


def next_error(s):
    """What comes next by the error queue: [errno, ICMP type, code, info, who says so]; type and code are
    those of a local error where they are 0."""
    poll = select.poll()
    poll.register(s, 0)
    if not poll.poll(PATIENCE * 1000):
        raise AssertionError("no error comes")
    _, control, _, _ = s.recvmsg(1 << 16, 512, socket.MSG_ERRQUEUE)
    for level, kind, data in control:
        if (level, kind) in ((socket.IPPROTO_IP, IP_RECVERR), (socket.IPPROTO_IPV6, IPV6_RECVERR)):
            error, origin, of_type, code, _, info = struct.unpack("IBBBBI", data[:12])
            family = struct.unpack("H", data[16:18])[0]
            offender = {socket.AF_INET: data[20:24], socket.AF_INET6: data[24:40]}.get(family)
            return [error, of_type, code, info, offender and socket.inet_ntop(family, offender)]
    raise AssertionError(f"an error without its cause: {control}")


def send_past_errors(s, data):
    """Sends a datagram that is not too big, although errors of earlier ones wait."""
    for _ in range(20):
        try:
            return s.send(data)
        except OSError as e:
            assert e.errno == errno.EMSGSIZE
    raise AssertionError("the datagram is too big")


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

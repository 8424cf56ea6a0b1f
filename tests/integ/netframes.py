# SPDX-License-Identifier: Apache-2.0
"""Frames by hand, for guests that do not go through their kernel."""
from netguest import *  # pylint: disable=wildcard-import,unused-wildcard-import

GUEST_MAC, GATEWAY_MAC = bytes.fromhex("026d73000002"), bytes.fromhex("026d73000001")
IP4, IP6, ARP = 0x0800, 0x86dd, 0x0806
ICMP, TCP, UDP, ICMP6 = 1, 6, 17, 58
IP_RECVTTL = 12
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def address_bytes(text):
    return socket.inet_pton(family_of(text), text)


def eth(payload, kind=IP4, src=GUEST_MAC, dst=GATEWAY_MAC):
    return dst + src + struct.pack("!H", kind) + payload


def ip4(src, dst, proto, payload, total=None, ident=1, frag=0, ttl=64, options=b"", first=None, bad=0):
    """frag: the word with flags and offset; bad is added to the checksum."""
    length = 20 + len(options)
    header = struct.pack("!BBHHHBBH4s4s", 0x40 | length // 4 if first is None else first, 0,
                         length + len(payload) if total is None else total, ident, frag, ttl, proto, 0,
                         address_bytes(src), address_bytes(dst)) + options
    right = (checksum(header) + bad) & 0xffff
    return header[:10] + struct.pack("!H", right) + header[12:] + payload


def ip6(src, dst, proto, payload, length=None, hops=64, first=0x60):
    return struct.pack("!BBHHBB16s16s", first, 0, 0, len(payload) if length is None else length, proto, hops,
                       address_bytes(src), address_bytes(dst)) + payload


def ip6_fragment(proto, offset, more, ident, payload):
    """Fragment header and data; to be sent with protocol 44."""
    return struct.pack("!BBHI", proto, 0, offset | more, ident) + payload


def with_checksum(src, dst, proto, segment, at, bad=0):
    """Fills in the checksum at an offset of a TCP, UDP or ICMPv6 segment."""
    if family_of(src) == socket.AF_INET:
        pseudo = struct.pack("!4s4sBBH", address_bytes(src), address_bytes(dst), 0, proto, len(segment))
    else:
        pseudo = struct.pack("!16s16sII", address_bytes(src), address_bytes(dst), len(segment), proto)
    right = (checksum(pseudo + segment) + bad) & 0xffff
    return segment[:at] + struct.pack("!H", right or 0xffff) + segment[at + 2:]


def udp_segment(src, dst, sport, dport, payload, length=None, bad=0):
    length = 8 + len(payload) if length is None else length
    segment = struct.pack("!HHHH", sport, dport, length, 0) + payload
    return with_checksum(src, dst, UDP, segment, 6, bad)


def tcp_segment(src, dst, sport, dport, flags, payload=b"", seq=1, ack=0, window=65535, bad=0, length=5):
    segment = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, length << 4, flags, window, 0, 0)
    return with_checksum(src, dst, TCP, segment + payload, 16, bad)


def icmp4_message(kind, code, rest, payload=b"", bad=0):
    """rest: the second word."""
    message = struct.pack("!BBHI", kind, code, 0, rest) + payload
    return message[:2] + struct.pack("!H", (checksum(message) + bad) & 0xffff) + message[4:]


def icmp6_message(src, dst, kind, code, rest, payload=b""):
    return with_checksum(src, dst, ICMP6, struct.pack("!BBHI", kind, code, 0, rest) + payload, 2)


def frame_of(src, dst, proto, segment):
    """A whole frame of either family."""
    if family_of(src) == socket.AF_INET:
        return eth(ip4(src, dst, proto, segment))
    return eth(ip6(src, dst, proto, segment), IP6)


def udp_frame(src, dst, sport, dport, payload=b"payload", **more):
    return frame_of(src, dst, UDP, udp_segment(src, dst, sport, dport, payload, **more))


def arp_request(target, src="100.96.0.2", mac=GUEST_MAC):
    return eth(struct.pack("!HHBBH6s4s6s4s", 1, IP4, 6, 4, 1, mac, address_bytes(src), bytes(6),
                           address_bytes(target)), ARP, dst=b"\xff" * 6)


def neighbour_solicitation(target, src, hops=255):
    target = address_bytes(target)
    group = "ff02::1:ff" + target[13:].hex()[:2] + ":" + target[13:].hex()[2:]
    option = b"\1\1" + GUEST_MAC if src != "::" else b""
    message = icmp6_message(src, group, 135, 0, 0, target + option)
    return eth(ip6(src, group, ICMP6, message, hops=hops), IP6, dst=b"\x33\x33\xff" + target[13:])


class Card:
    """The guest's network card without its kernel. It also gets what the gateway sends."""

    def __init__(self, name="eth0"):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.bind((name, 0))

    def send(self, frame):
        self.socket.send(frame)

    def receive(self):
        """The next frame that comes from the gateway."""
        while True:
            if not select.select([self.socket], [], [], PATIENCE)[0]:
                raise AssertionError("nothing comes")
            frame, source = self.socket.recvfrom(1 << 17)
            if source[2] != socket.PACKET_OUTGOING:
                return frame

    def receive_if(self, is_wanted):
        """The next frame for which it is true."""
        while True:
            frame = self.receive()
            if is_wanted(frame):
                return frame

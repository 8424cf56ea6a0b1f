#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""UDP of a guest's kernel to servers of another: flows, errors, path MTU, fragments, segmentation
(behaviours.md 5)."""
import errno
import json
import os
import select
import shutil
import socket
import struct
import subprocess
import time

import harness
import netframes
import networld
from netframes import *  # pylint: disable=wildcard-import,unused-wildcard-import
from networld import *  # pylint: disable=wildcard-import,unused-wildcard-import

PAIRS = ((SERVER_V4, HOST_V4), (SERVER_V6, HOST_V6))
UNUSED_V4, UNUSED_V6 = "45.67.90.1", "2a0b:5a41::1"
PROHIBITED_V4, PROHIBITED_V6 = [errno.EHOSTUNREACH, 3, 13], [errno.EACCES, 1, 1]


def exchange(address, port, sizes):
    """Sends datagrams of these sizes, and returns length and hash of the answer to each."""
    know_neighbours(address)
    s = udp(address, port)
    results = []
    for size in sizes:
        s.send(pattern(size))
        answer = s.recv(1 << 16)
        results.append([len(answer), sha(answer)])
    return results


def answer_datagrams(receiver, sizes):
    """The server's side of exchange(): gives back each datagram, bytes reversed. Returns who has sent."""
    senders = set()
    for size in sizes:
        data, sender = receiver.recvfrom(1 << 16)
        assert data == pattern(size), (len(data), size)
        senders.add(sender[:2])
        receiver.sendto(data[::-1], sender)
    return senders


class Flows(Case):
    def port_of(self, receiver):
        return receiver.getsockname()[1]

    def check_exchange(self, address, host, sizes, **more):
        receiver = self.world.udp(address)
        guest = self.start_guest(exchange, address, self.port_of(receiver), sizes, stats=True, **more)
        senders = answer_datagrams(receiver, sizes)
        self.assertEqual(guest.result(), [[n, sha(pattern(n)[::-1])] for n in sizes])
        self.assertEqual([s[0] for s in senders], [host])
        stats = guest.stats()
        self.assertEqual((stats["udp_flows"], stats["udp_tx_datagrams"], stats["udp_rx_datagrams"]),
                         (1, len(sizes), len(sizes)))
        self.assertEqual((stats.get("udp_tx_bytes", 0), stats.get("udp_rx_bytes", 0)), (sum(sizes),) * 2)
        return stats

    def test_e1_datagrams_go_both_ways_by_one_socket_of_the_host(self):
        for address, host in PAIRS:
            self.check_exchange(address, host, [0, 1, 2, 500, 1400, 1452, 0])

    def test_e2_datagrams_larger_than_the_link_go_in_fragments_both_ways(self):
        for address, host in PAIRS:
            sizes = [1473, 8000, 20000, 65487 if ":" in address else 65507]
            stats = self.check_exchange(address, host, sizes)
            self.assertEqual(stats["reassembled"], len(sizes))

    def test_e1_what_another_address_or_port_answers_is_not_passed_on(self):
        """P16: a flow is both addresses and both ports."""
        def guest(address, port):
            s = socket.socket(family_of(address), socket.SOCK_DGRAM)
            s.settimeout(PATIENCE)
            s.sendto(b"question", (address, port))
            data, sender = s.recvfrom(100)
            return data.decode(), sender[0], sender[1] == port

        for address, other in ((SERVER_V4, OTHER_V4), (SERVER_V6, OTHER_V6)):
            receiver = self.world.udp(address)
            port = self.port_of(receiver)
            guest_run = self.start_guest(guest, address, port, stats=True)
            _, sender = receiver.recvfrom(100)
            self.world.udp(other, port).sendto(b"forged", sender)
            self.world.udp(address).sendto(b"forged", sender)
            receiver.sendto(b"answer", sender)
            self.assertEqual(guest_run.result(), ["answer", address, True])
            self.assertEqual(guest_run.stats()["udp_rx_datagrams"], 1)

    def test_each_pair_of_ends_is_a_flow_of_its_own(self):
        def guest(ports, address):
            """Two sockets, each to all ports by turns, twice."""
            sockets = [socket.socket(family_of(address), socket.SOCK_DGRAM) for _ in range(2)]
            found = []
            for _ in range(2):
                for i, s in enumerate(sockets):
                    s.settimeout(PATIENCE)
                    for port in ports:
                        s.sendto(b"%d" % i, (address, port))
                        data, sender = s.recvfrom(100)
                        found.append(data == b"%d %d" % (i, port) and sender[1] == port)
            return found

        for address, _ in PAIRS:
            receivers = [self.world.udp(address) for _ in range(2)]
            ports = [self.port_of(r) for r in receivers]
            guest_run = self.start_guest(guest, ports, address, stats=True)
            senders = set()
            for _ in range(4):
                for receiver in receivers:
                    data, sender = receiver.recvfrom(100)
                    senders.add((sender[1], data))
                    receiver.sendto(data + b" %d" % self.port_of(receiver), sender)
            self.assertEqual(guest_run.result(), [True] * 8)
            self.assertEqual(guest_run.stats()["udp_flows"], 4)
            self.assertEqual(len({port for port, _ in senders}), 4)

    def test_e7_the_oldest_flow_makes_room_and_comes_back(self):
        def guest(address, ports):
            sockets = [udp(address, port) for port in ports]
            for s in [*sockets, sockets[0]]:
                s.send(b"x")
                assert s.recv(1) == b"x"

        receivers = [self.world.udp(SERVER_V4) for _ in range(4)]
        ports = [self.port_of(r) for r in receivers]
        guest_run = self.start_guest(guest, SERVER_V4, ports,
                                     options=["--max-udp-flows", "3", *self.events_option()])
        for receiver in [*receivers, receivers[0]]:
            data, sender = receiver.recvfrom(100)
            receiver.sendto(data, sender)
        guest_run.result()
        self.assertEqual([(e["remote_port"], e["reason"]) for e in self.events("flow_end")],
                         [(ports[0], "evicted"), (ports[1], "evicted"), (ports[2], "shutdown"),
                          (ports[3], "shutdown"), (ports[0], "shutdown")])

    def test_traffic_of_either_direction_keeps_a_flow(self):
        """Three flows: one only hears, one only talks, one is idle. When the idle one has ended the others
        have not, unless the machine has taken a break itself: then once more."""
        def guest(address, ports):
            hears, talks, idle = [udp(address, port) for port in ports]
            for s in (hears, talks, idle):
                s.send(b"begin")
            hears.setblocking(False)
            while hear() != "end":
                talks.send(b"x")
                say(1)

        idle_ns = 2 * 10 ** 9
        for attempt in range(10):
            receivers = [self.world.udp(SERVER_V4) for _ in range(3)]
            ports = [self.port_of(r) for r in receivers]
            events = ["--events", os.path.join(self.directory, f"events-{attempt}")]
            guest_run = self.start_guest(guest, SERVER_V4, ports, options=["--udp-idle", "2", *events])
            senders = [r.recvfrom(100)[1] for r in receivers]
            last, longest, ended = time.monotonic_ns(), 0, []
            while not ended:
                receivers[0].sendto(b"x", senders[0])
                guest_run.say("more")
                guest_run.hear()
                now = time.monotonic_ns()
                longest, last = max(longest, now - last), now
                select.select([], [], [], 0.01)
                ended = [json.loads(line) for line in harness.read_file(events[1]).splitlines()]
            guest_run.say("end")
            guest_run.result()
            if longest < idle_ns // 2:
                break
        self.assertEqual([(e["remote_port"], e["reason"]) for e in ended], [(ports[2], "idle")])
        self.assertGreaterEqual(ended[0]["duration_us"], idle_ns // 1000)

    def test_e12_a_burst_arrives_complete_and_in_order(self):
        count = 255

        def guest(address, port, count):
            know_neighbours(address)
            s = udp(address, port)
            for i in range(count):
                s.send(b"%03d" % i + bytes(61))
            return [int(s.recv(100)[:3]) for i in range(count)]

        for address, _ in PAIRS:
            receiver = self.world.udp(address)
            guest_run = self.start_guest(guest, address, self.port_of(receiver), count)
            found = []
            for _ in range(count):
                data, sender = receiver.recvfrom(100)
                found.append(int(data[:3]))
            self.assertEqual(found, list(range(count)))
            for i in range(count):
                receiver.sendto(b"%03d" % i + bytes(61), sender)
            self.assertEqual(guest_run.result(), list(range(count)))

    def test_the_gateway_is_the_hosts_loopback(self):
        for listen, dial in (("127.0.0.1", GATEWAY_V4), ("::1", GATEWAY_V6)):
            receiver = self.world.udp(listen, namespace=self.world.host)
            guest = self.start_guest(exchange, dial, self.port_of(receiver), [10, 3000],
                                     options=["--net-rule", "allow@host"])
            answer_datagrams(receiver, [10, 3000])
            self.assertEqual([r[0] for r in guest.result()], [10, 3000])


def error_of(address, port, size=1):
    """What comes back for a datagram; [error, type, code, info, offender]."""
    with udp(address, port) as s:
        tell_errors(s)
        s.send(bytes(size))
        return next_error(s)


class Errors(Case):
    def test_e9_a_closed_port_is_told_of(self):
        for address, expected in ((SERVER_V4, [3, 3]), (SERVER_V6, [1, 4])):
            self.assertEqual(self.guest(udp_error, address, 9), errno.ECONNREFUSED)
            self.assertEqual(self.guest(error_of, address, 9),
                             [errno.ECONNREFUSED, *expected, 0, address])

    def test_e9_of_the_host_too(self):
        for address in (GATEWAY_V4, GATEWAY_V6):
            self.assertEqual(self.guest(udp_error, address, 9, options=["--net-rule", "allow@host"]),
                             errno.ECONNREFUSED)

    def test_an_error_comes_to_its_own_socket_and_that_lives_on(self):
        def guest(address, open_port, closed_port):
            good, bad = udp(address, open_port), udp(address, closed_port)
            tell_errors(good)
            results = []
            for _ in range(3):
                bad.send(b"x")
                good.send(b"x")
                assert good.recv(1) == b"x"
                try:
                    bad.recv(1)
                except OSError as e:
                    results.append(errno.errorcode[e.errno])
            # The server opens its port.
            say("closed")
            hear()
            bad.send(b"y")
            results.append(bad.recv(1).decode())
            return results

        for address, _ in PAIRS:
            receiver, closed = self.world.udp(address), self.world.udp(address)
            port = closed.getsockname()[1]
            closed.close()
            guest_run = self.start_guest(guest, address, receiver.getsockname()[1], port)
            for _ in range(3):
                data, sender = receiver.recvfrom(100)
                receiver.sendto(data, sender)
            guest_run.hear()
            opened = self.world.udp(address, port)
            guest_run.say()
            data, sender = opened.recvfrom(100)
            opened.sendto(data, sender)
            self.assertEqual(guest_run.result(), ["ECONNREFUSED"] * 3 + ["y"])

    def test_a_router_that_says_no_is_heard(self):
        """Each ICMP error with its type and code as it is."""
        cases = [(UNUSED_V4, 3, 1, errno.EHOSTUNREACH), (UNUSED_V4, 3, 0, errno.ENETUNREACH),
                 (UNUSED_V4, 3, 13, errno.EHOSTUNREACH), (UNUSED_V4, 3, 10, errno.EHOSTUNREACH),
                 (UNUSED_V4, 11, 0, errno.EHOSTUNREACH), (UNUSED_V4, 3, 2, errno.ENOPROTOOPT),
                 (UNUSED_V6, 1, 0, errno.ENETUNREACH), (UNUSED_V6, 1, 1, errno.EACCES),
                 (UNUSED_V6, 1, 3, errno.EHOSTUNREACH), (UNUSED_V6, 1, 4, errno.ECONNREFUSED),
                 (UNUSED_V6, 3, 0, errno.EHOSTUNREACH)]
        self.world.server.ip(f"route add blackhole {UNUSED_V4}", f"route add blackhole {UNUSED_V6}")
        capture = self.world.capture()
        for address, kind, code, expected in cases:
            guest = self.start_guest(error_of, address, 700)
            self.world.send_icmp_error(kind, code, 0, capture.wait_for(address))
            self.assertEqual(guest.result()[:3], [expected, kind, code])

    def test_a_route_of_the_host_that_says_no_is_passed_on(self):
        cases = [(UNUSED_V4, "unreachable", [errno.EHOSTUNREACH, 3, 1]),
                 (UNUSED_V4, "prohibit", PROHIBITED_V4),
                 (UNUSED_V6, "unreachable", [errno.EHOSTUNREACH, 1, 3]), (UNUSED_V6, "prohibit", PROHIBITED_V6)]
        for address, kind, expected in cases:
            self.world.host.ip(f"route add {kind} {address}")
            guest = self.start_guest(error_of, address, 700, options=self.events_option())
            self.assertEqual(guest.result()[:3], expected, (address, kind))
            self.world.host.ip(f"route del {kind} {address}")
        self.assertEqual([e["reason"] for e in self.events("flow_end")], ["unreachable"] * len(cases))


class PathMtu(Case):
    """The way to the server carries 1400 bytes."""

    world_options = {"mtu": 1400}

    HEADERS = {SERVER_V4: 28, SERVER_V6: 48}

    def test_e5_e6_the_guest_learns_the_mtu_of_the_path(self):
        def guest(address, port, headers):
            s = udp(address, port)
            tell_errors(s)
            forbid_fragments(s)
            s.send(bytes(1500 - headers))
            told = next_error(s)
            mtu = path_mtu(s)
            try:
                s.send(bytes(mtu - headers + 1))
                again = 0
            except OSError as e:
                again = e.errno
            send_past_errors(s, bytes(mtu - headers))
            return told, mtu, again

        for address, expected in ((SERVER_V4, [3, 4]), (SERVER_V6, [2, 0])):
            receiver = self.world.udp(address)
            headers = self.HEADERS[address]
            found, stats = self.guest_and_stats(guest, address, receiver.getsockname()[1], headers)
            self.assertEqual(found, [[errno.EMSGSIZE, *expected, 1400, address], 1400, errno.EMSGSIZE])
            self.assertEqual((stats["icmp_errors"], stats["drop_udp_too_big"]), (1, 1))
            self.assertEqual(len(receiver.recv(2000)), 1400 - headers)

    def test_e5_e6_what_the_message_looks_like(self):
        """Quoted are in IPv4 the header and eight bytes, in IPv6 as much as goes into 1280 bytes."""
        def guest(address, port, headers):
            s = udp(address, port)
            forbid_fragments(s)
            card = Card()
            s.send(bytes(1500 - headers))
            is_v4 = s.family == socket.AF_INET
            frame = card.receive_if(
                lambda f: f[12:14] == b"\x08\x00" and is_v4 and f[23] == 1 or
                f[12:14] == b"\x86\xdd" and not is_v4 and f[20] == 58 and f[54] == 2)
            return frame.hex(), s.getsockname()[1]

        for address, own in ((SERVER_V4, GUEST_V4), (SERVER_V6, GUEST_V6)):
            port = self.world.udp(address).getsockname()[1]
            frame, source_port = self.guest(guest, address, port, self.HEADERS[address], uses=(netframes,))
            packet = bytes.fromhex(frame)[14:]
            ends = address_bytes(address) + address_bytes(own)
            ports = struct.pack("!HH", source_port, port)
            if address == SERVER_V4:
                self.assertEqual((len(packet), packet[12:20]), (20 + 8 + 28, ends))
                self.assertEqual(packet[26:28], struct.pack("!H", 1400))
                self.assertEqual(packet[28 + 12:28 + 24], ends[4:] + ends[:4] + ports)
            else:
                self.assertLessEqual(len(packet), 1280)
                self.assertGreater(len(packet), 1200)
                self.assertEqual((packet[8:40], packet[44:48]), (ends, struct.pack("!I", 1400)))
                self.assertEqual(packet[48 + 8:48 + 44], ends[16:] + ends[:16] + ports)

    def test_a_router_behind_says_so(self):
        """The test is the router, behind the host's own link of 1400."""
        def guest(address, port, headers, size):
            s = udp(address, port)
            tell_errors(s)
            forbid_fragments(s)
            s.send(bytes(size - headers))
            return next_error(s), path_mtu(s)

        self.world.server.ip(f"route add blackhole {UNUSED_V4}", f"route add blackhole {UNUSED_V6}")
        capture = self.world.capture()
        for address, kind, code, headers in ((UNUSED_V4, 3, 4, 28), (UNUSED_V6, 2, 0, 48)):
            run = self.start_guest(guest, address, 700, headers, 1400)
            self.world.send_icmp_error(kind, code, 1300, capture.wait_for(address))
            self.assertEqual(run.result(), [[errno.EMSGSIZE, kind, code, 1300, address], 1300])

    def test_what_may_be_cut_is_cut(self):
        def guest(address, port, sizes):
            know_neighbours(address)
            s = udp(address, port)
            forbid_fragments(s, PMTUDISC_DONT)
            for size in sizes:
                s.send(pattern(size))

        # In IPv6 that is what has come in fragments already.
        for address, sizes in ((SERVER_V4, [1372, 1400, 1472, 8000]), (SERVER_V6, [1352, 1453, 8000])):
            receiver = self.world.udp(address)
            run = self.start_guest(guest, address, receiver.getsockname()[1], sizes)
            found = sorted(len(receiver.recv(1 << 16)) for _ in sizes)
            run.result()
            self.assertEqual(found, sizes)


class Fragments(Case):
    """Fragments by hand. Each test ends with a good datagram, before which nothing has come."""

    def pieces(self, address, port, cuts, ident, data, **more):
        """The datagram cut at these offsets, as frames in order."""
        own = GUEST_V4 if ":" not in address else GUEST_V6
        segment = udp_segment(own, address, 4000, port, data)
        frames = []
        for begin, end in zip([0, *cuts], [*cuts, len(segment)]):
            frames.append(self.piece(address, begin, segment[begin:end], end < len(segment), ident, **more))
        return frames

    @staticmethod
    def piece(address, begin, data, is_more, ident, reserved=0):
        if ":" not in address:
            word = begin // 8 | (0x2000 if is_more else 0) | (0x8000 if reserved else 0)
            return eth(ip4(GUEST_V4, address, UDP, data, ident=ident, frag=word))
        return eth(ip6(GUEST_V6, address, 44, ip6_fragment(UDP, begin | reserved, int(is_more), ident, data)), IP6)

    def send(self, address, frames, good):
        """Sends frames to a server of that port and then a good datagram; returns what comes, up to this."""
        def guest(address, port):
            card = Card()
            know_neighbours(address)
            for frame in hear():
                card.send(bytes.fromhex(frame))
            udp(address, port).send(b"good")
            hear()

        run = self.start_guest(guest, address, good.getsockname()[1], uses=(netframes,), stats=True)
        run.say([f.hex() for f in frames])
        found = []
        while (data := good.recv(1 << 16)) != b"good":
            found.append(data)
        run.say()
        run.result()
        return found, run.stats()

    def test_e4_in_any_order_delivered_once(self):
        data = pattern(3000)
        for address, _ in PAIRS:
            receiver = self.world.udp(address)
            port = receiver.getsockname()[1]
            a, b, c = self.pieces(address, port, [1000, 2000], 1, data)
            frames = [c, b, a]
            for ident, order in enumerate(([0, 1, 2], [2, 0, 1], [1, 2, 0]), 2):
                made = self.pieces(address, port, [1000, 2000], ident, data)
                frames += [made[i] for i in order]
            found, stats = self.send(address, frames, receiver)
            self.assertTrue(found == [data] * 4, [len(f) for f in found])
            self.assertEqual((stats["reassembled"], stats["fragments"]), (4, 12))

    def test_e3_p6_bad_sets_are_dropped(self):
        data = pattern(3000)
        for address, _ in PAIRS:
            receiver = self.world.udp(address)
            port = receiver.getsockname()[1]

            def pieces(ident, cuts=(1000, 2000), **more):
                return self.pieces(address, port, list(cuts), ident, data, **more)

            a, b, c = pieces(1)
            overlap = self.piece(address, 992, bytes(16), True, 1)
            frames = [a, overlap, b, c]  # 4 x overlap: whoever belongs to the set
            a, b, c = pieces(2)
            frames += [a, a, b, c]  # a duplicate is one, too
            a, b, c = pieces(3)
            frames += [a, c]  # a gap: waits
            frames += pieces(4, reserved=2)
            a, b, c = pieces(5)
            frames += [a, b, self.piece(address, 65528, bytes(64), False, 5)]
            a, b, c = pieces(6)
            frames += [a, self.piece(address, 1000, bytes(7), True, 6), b, c]
            frames += [self.piece(address, 0, pieces(7)[0][34:38], True, 7)]
            found, stats = self.send(address, frames, receiver)
            self.assertEqual(found, [])
            self.assertNotIn("reassembled", stats)
            # Three with a reserved bit, three of a set too long, four of one with an odd piece, one too short.
            self.assertEqual((stats["drop_fragment_overlap"], stats["drop_fragment"]), (8, 11))

    def test_e3_the_oldest_of_too_many_sets_gives_way(self):
        for address, _ in PAIRS:
            receiver = self.world.udp(address)
            port = receiver.getsockname()[1]
            sets = [self.pieces(address, port, [800], i, b"%03d" % i * 400) for i in range(1, 71)]
            frames = [first for first, _ in sets] + [last for _, last in sets[6:]]
            found, stats = self.send(address, frames, receiver)
            self.assertEqual([int(data[:3]) for data in found], list(range(7, 71)))
            self.assertEqual((stats["drop_fragment_limit"], stats["reassembled"]), (6, 64))

    def test_p6_other_protocols_in_fragments(self):
        """TCP and neighbour discovery do not come in fragments."""
        syn = tcp_segment(GUEST_V4, SERVER_V4, 5, 80, SYN, bytes(100))
        frames = [eth(ip4(GUEST_V4, SERVER_V4, TCP, syn[:64], frag=0x2000, ident=1)),
                  eth(ip4(GUEST_V4, SERVER_V4, TCP, syn[64:], frag=8, ident=1)),
                  eth(ip4(GUEST_V4, SERVER_V4, TCP, syn[:8], frag=0x2000, ident=2)),
                  eth(ip6(GUEST_V6, SERVER_V6, 44, ip6_fragment(TCP, 0, 1, 1, syn[:64])), IP6)]
        receiver = self.world.udp(SERVER_V4)
        found, stats = self.send(SERVER_V4, frames, receiver)
        self.assertEqual(found, [])
        self.assertEqual(stats["drop_fragment"], 4)
        # That of know_neighbours().
        self.assertEqual(stats["tcp_flows"], 1)


class Segmentation(Case):
    def test_what_the_guest_sends_in_one_piece(self):
        def guest(address, port, size, count, turns):
            s = udp(address, port)
            s.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, size)
            for turn in range(turns):
                s.send(pattern(size * count - 1, turn))
                assert s.recv(4) == b"next"

        size, count, turns = 1200, 10, 20
        for address, _ in PAIRS:
            receiver = self.world.udp(address)
            run = self.start_guest(guest, address, receiver.getsockname()[1], size, count, turns, stats=True)
            for turn in range(turns):
                parts = []
                for _ in range(count):
                    data, sender = receiver.recvfrom(2000)
                    parts.append(data)
                self.assertEqual([len(p) for p in parts], [size] * (count - 1) + [size - 1])
                self.assertEqual(b"".join(parts), pattern(size * count - 1, turn))
                receiver.sendto(b"next", sender)
            run.result()
            stats = run.stats()
            self.assertEqual(stats["udp_tx_datagrams"], count * turns)
            if self.has_feature("tx-udp-segmentation"):
                self.assertLess(stats["nic_tx_frames"], 4 * turns)

    def has_feature(self, name):
        """Of the guest's card."""
        def guest():
            return subprocess.check_output(["ethtool", "-k", "eth0"], text=True)

        if shutil.which("ethtool") is None:
            return False
        return f"{name}: on" in self.guest(guest, uses=("import subprocess",))

    def test_what_comes_to_the_guest_in_one_piece(self):
        """For a program that takes that, and for one that does not."""
        def guest(address, port, wants_gro, total):
            s = udp(address, port)
            if wants_gro:
                s.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
            s.send(b"begin")
            got, sizes, parts = b"", [], 0
            while len(got) < total:
                data, control, _, _ = s.recvmsg(1 << 16, 64)
                parts += 1
                size = struct.unpack("i", control[0][2])[0] if control else len(data)
                while data:
                    sizes.append(len(data[:size]))
                    got += data[:size]
                    data = data[size:]
            return sha(got), sizes, parts

        size, count = 1300, 30
        data = pattern(size * count - 100)
        for address, _ in PAIRS:
            for wants_gro in (False, True):
                receiver = self.world.udp(address)
                run = self.start_guest(guest, address, receiver.getsockname()[1], wants_gro, len(data),
                                       stats=True)
                _, sender = receiver.recvfrom(100)
                receiver.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, size)
                receiver.sendto(data, sender)
                found, sizes, parts = run.result()
                self.assertEqual((found, sizes), (sha(data), [size] * (count - 1) + [size - 100]))
                self.assertEqual(run.stats()["udp_rx_datagrams"], count)
                if wants_gro and self.has_feature("tx-udp-segmentation"):
                    self.assertLess(parts, count)
                if not wants_gro:
                    self.assertEqual(parts, count)

    def test_pieces_larger_than_the_path(self):
        """They are told of as a whole, once. What is left over, and small enough, goes out once."""
        def guest(address, port, size):
            s = udp(address, port)
            tell_errors(s)
            forbid_fragments(s)
            s.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, size)
            s.send(bytes(size * 5 + 100))
            told = next_error(s)[:4]
            s.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1200)
            send_past_errors(s, bytes(6000))
            return told

        self.make_world(mtu=1400)
        for address, expected in ((SERVER_V4, [3, 4]), (SERVER_V6, [2, 0])):
            receiver = self.world.udp(address)
            told, stats = self.guest_and_stats(guest, address, receiver.getsockname()[1], 1450)
            self.assertEqual(told, [errno.EMSGSIZE, *expected, 1400])
            self.assertEqual([len(receiver.recv(2000)) for _ in range(6)], [100] + [1200] * 5)
            self.assertEqual(stats["icmp_errors"], 1)


class Denied(Case):
    def rules(self):
        return ["--net-rule", f"deny@{OTHER_V4},deny@[{OTHER_V6}],allow@public"]

    def test_e10_a_denied_datagram_is_prohibited_at_once(self):
        capture = self.world.capture()
        for address, gateway, expected in ((OTHER_V4, GATEWAY_V4, PROHIBITED_V4),
                                           (OTHER_V6, GATEWAY_V6, PROHIBITED_V6)):
            for port in (443, 700):
                self.assertEqual(self.guest(udp_error, address, port, options=self.rules()),
                                 expected[0])
            self.assertEqual(self.guest(error_of, address, 700, options=self.rules()),
                             [*expected, 0, gateway])
        self.assertEqual(capture.take(), [])

    def test_e10_without_quic_a_program_takes_tcp(self):
        """UDP to 443 is denied, TCP to the same address and port is not."""
        def guest(address, port):
            return udp_error(address, port), connect_error(address, port)

        for address, expected in ((SERVER_V4, PROHIBITED_V4), (SERVER_V6, PROHIBITED_V6)):
            self.world.listen(address, 443)
            found = self.guest(guest, address, 443, uses=(udp_error,),
                               options=["--net-rule", "deny@any:udp:443,allow@public"])
            self.assertEqual(found, [expected[0], 0])

    def test_a_flood_is_answered_rarely_and_counted_in_full(self):
        def guest(address, good, port, count):
            s = socket.socket(family_of(address), socket.SOCK_DGRAM)
            other = udp(good, port)
            for i in range(count):
                s.sendto(b"x", (address, 100 + i % 60000))
                # So that none is lost before sluice has it.
                if i % 100 == 99:
                    other.send(b"x")
                    other.recv(1)

        count = 5000
        for address, good in ((OTHER_V4, SERVER_V4), (OTHER_V6, SERVER_V6)):
            receiver = self.world.udp(good)
            run = self.start_guest(guest, address, good, receiver.getsockname()[1], count, stats=True,
                                   options=[*self.rules(), *self.events_option()])
            for _ in range(count // 100):
                data, sender = receiver.recvfrom(100)
                receiver.sendto(data, sender)
            run.result()
            stats = run.stats()
            self.assertEqual(stats["denied_udp"] + stats.get("drop_name_protocol", 0), count)
            self.assertEqual(stats["icmp_errors"] + stats["icmp_errors_limited"], count)
            self.assertGreater(stats["icmp_errors_limited"], 100)
        told = sum(e["count"] for e in self.events() if e["event"] in ("denied", "refused"))
        self.assertLessEqual(told, 2 * count)
        self.assertGreaterEqual(told, 1000)


if __name__ == "__main__":
    networld.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The link to the guest: neighbours, echo, and frames that must not get through (behaviours.md 1)."""
import os
import shutil
import subprocess

import harness
import netframes
import networld
from netframes import *  # pylint: disable=wildcard-import,unused-wildcard-import
from networld import *  # pylint: disable=wildcard-import,unused-wildcard-import

UNUSED_V4, UNUSED_V6 = "45.67.90.1", "2a0b:5a41::1"


def answers_until(requests, is_answer, mark):
    """Sends frames, and returns the answers up to one whose target address begins with the mark."""
    card = Card()
    for request in requests:
        card.send(bytes.fromhex(request))
    found = []
    while not found or found[-1][76:84] != mark:
        found.append(card.receive_if(globals()[is_answer]).hex())
    return found


def is_arp(frame):
    return frame[12:14] == b"\x08\x06"


def is_neighbour_advert(frame):
    return frame[12:14] == b"\x86\xdd" and frame[20] == 58 and frame[54] == 136


def echo_answers(requests, last, count):
    """Sends echo requests [address, id, seq, size]; returns all ICMP that comes back until there are count and
    what answers the last: [source, type, code, id, seq, length of payload, whether it is right, TTL]."""
    know_neighbours(last[0])
    families = {family_of(r[0]) for r in [*requests, last]}
    sockets = {}
    for family in families:
        is_v4 = family == socket.AF_INET
        s = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMP if is_v4 else socket.IPPROTO_ICMPV6)
        if is_v4:
            s.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
        else:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        sockets[family] = s
    for address, ident, seq, size in [*requests, last]:
        family = family_of(address)
        request = icmp4_message(8 if family == socket.AF_INET else 128, 0, ident << 16 | seq,
                                pattern(size, seq))
        sockets[family].sendto(request, (address, 0))
    found = []
    s = sockets[family_of(last[0])]
    while True:
        message, control, _, source = s.recvmsg(1 << 17, 256)
        if s.family == socket.AF_INET:
            message = message[20:]
        ttl = struct.unpack("i", control[0][2])[0]
        kind, code, _, ident, seq = struct.unpack("!BBHHH", message[:8])
        if kind in (8, 128) or 130 <= kind <= 143:
            continue
        payload = message[8:]
        found.append([source[0], kind, code, ident, seq, len(payload),
                      payload == pattern(len(payload), seq), ttl])
        if len(found) >= count and any(f[3:5] == last[1:3] for f in found):
            return sorted(found)


class Neighbours(Case):
    def answers(self, requests, is_answer, mark):
        found = self.guest(answers_until, [r.hex() for r in requests], is_answer.__name__, mark,
                           uses=(netframes, is_answer))
        return [bytes.fromhex(f) for f in found]

    def test_a8_arp_is_answered_for_the_gateway_only(self):
        requests = [arp_request(a) for a in (GUEST_V4, "100.96.0.3", "100.96.0.0", "100.96.0.5", "8.8.8.8")]
        requests += [arp_request(GATEWAY_V4, src="100.96.0.9"), arp_request(GATEWAY_V4, mac=bytes(6))]
        requests += [arp_request(GATEWAY_V4), arp_request(GATEWAY_V4, src="0.0.0.0")]
        found = self.answers(requests, is_arp, "00000000")
        self.assertEqual(len(found), 2)
        self.assertEqual((found[0][:6], found[0][6:12]), (GUEST_MAC, GATEWAY_MAC))
        self.assertEqual(found[0][20:42], b"\0\2" + GATEWAY_MAC + address_bytes(GATEWAY_V4) + GUEST_MAC +
                         address_bytes(GUEST_V4))

    def test_a9_neighbours_are_solicited_for_the_gateway_only(self):
        requests = [neighbour_solicitation(GUEST_V6, "::"),  # DAD of its own address
                    neighbour_solicitation("fd42:6d73:62::3", GUEST_V6),
                    neighbour_solicitation("fe80::7", GUEST_V6),
                    neighbour_solicitation(GATEWAY_V6, GUEST_V6, hops=254),
                    neighbour_solicitation(GATEWAY_V6, GUEST_V6), neighbour_solicitation(GATEWAY_V6, "::")]
        found = self.answers(requests, is_neighbour_advert, "ff020000")
        self.assertEqual(len(found), 2)
        self.assertEqual((found[0][:6], found[0][6:12]), (GUEST_MAC, GATEWAY_MAC))
        self.assertEqual(found[0][62:78], address_bytes(GATEWAY_V6))
        self.assertEqual(found[0][78:86], b"\2\1" + GATEWAY_MAC)


def addresses_of_card():
    """[MAC, IPv4 with prefix, IPv6 with prefix, gateways] as the guest's kernel has them."""
    card = json.loads(subprocess.check_output(["ip", "-j", "addr", "show", "eth0"]))[0]
    found = [card["address"]]
    for family in ("inet", "inet6"):
        found.append([f"{a['local']}/{a['prefixlen']}" for a in card["addr_info"]
                      if a["family"] == family and a["scope"] == "global"])
    for family in ("-4", "-6"):
        routes = json.loads(subprocess.check_output(["ip", family, "-j", "route", "show", "default"]))
        found.append([r["gateway"] for r in routes])
    return found


def wait_to_be_told():
    say("ready")
    hear()
    return None


def ask_dhcp(kind, extra):
    """Sends a DHCPv4 message from 0.0.0.0 to all, and returns the options of the answer."""
    card = Card()
    options = b"\x63\x82\x53\x63" + bytes([53, 1, kind]) + bytes.fromhex(extra) + b"\xff"
    message = struct.pack("!BBBBIHH", 1, 1, 6, 0, 0x12345678, 0, 0x8000) + bytes(16) + GUEST_MAC
    message = message.ljust(236, b"\0") + options.ljust(64, b"\0")
    card.send(b"\xff" * 6 + udp_frame("0.0.0.0", "255.255.255.255", 68, 67, message)[6:])
    frame = card.receive_if(lambda f: f[12:14] == b"\x08\x00" and f[34:38] == b"\0\x43\0\x44")
    body, found, at = frame[42:], {}, 240
    assert body[4:8] == b"\x12\x34\x56\x78"
    while body[at] != 255:
        found[str(body[at])] = body[at + 2:at + 2 + body[at + 1]].hex()
        at += 2 + body[at + 1]
    return [socket.inet_ntoa(body[16:20]), found]


class Configuration(Case):
    """What the guest's kernel, and programs that configure it, get."""

    def test_a1_a2_a3_a4_addresses_of_the_slot(self):
        for options, expected in (
                ([], ["02:6d:73:00:00:02", ["100.96.0.2/30"], ["fd42:6d73:62::2/64"], ["100.96.0.1"],
                      ["fd42:6d73:62::1"]]),
                (["--slot", "1"], ["02:6d:73:00:01:02", ["100.96.0.6/30"], ["fd42:6d73:62:1::2/64"],
                                   ["100.96.0.5"], ["fd42:6d73:62:1::1"]]),
                (["--slot", "3", "--ipv4-pool", "10.200.0.0/16"],
                 ["02:6d:73:00:03:02", ["10.200.0.14/30"], ["fd42:6d73:62:3::2/64"], ["10.200.0.13"],
                  ["fd42:6d73:62:3::1"]]),
                (["--slot", "1", "--ipv4-pool", "172.16.0.0/12"],
                 ["02:6d:73:00:01:02", ["172.16.0.6/30"], ["fd42:6d73:62:1::2/64"], ["172.16.0.5"],
                  ["fd42:6d73:62:1::1"]]),
                (["--slot", "258"], ["02:6d:73:01:02:02", ["100.96.4.10/30"], ["fd42:6d73:62:102::2/64"],
                                     ["100.96.4.9"], ["fd42:6d73:62:102::1"]]),
                (["--slot", "18"], ["02:6d:73:00:12:02", ["100.96.0.74/30"], ["fd42:6d73:62:12::2/64"],
                                    ["100.96.0.73"], ["fd42:6d73:62:12::1"]])):
            self.assertEqual(self.guest(addresses_of_card, uses=("import subprocess",), options=options),
                             expected)

    def test_a4_the_gateway_has_the_mac_of_its_slot(self):
        def guest():
            connect_error("100.96.4.9", 9)
            return json.loads(subprocess.check_output(["ip", "-4", "-j", "neigh", "show", "dev", "eth0"]))

        found = self.guest(guest, uses=("import subprocess",), options=["--slot", "258"])
        self.assertEqual([(n["dst"], n["lladdr"]) for n in found], [("100.96.4.9", "02:6d:73:01:02:01")])

    def test_a5_without_a_route_of_the_host_there_is_no_ipv6(self):
        self.make_world(v6=False)
        found = self.guest(addresses_of_card, uses=("import subprocess",))
        self.assertEqual(found[1:], [["100.96.0.2/30"], [], ["100.96.0.1"], []])

    def test_a6_an_address_makes_a_family_active_without_a_route(self):
        self.make_world(v6=False)
        done = self.guest(echo_answers, [], [GATEWAY_V6, 1, 1, 10], 1, uses=(netframes,),
                          options=["--ipv6", GUEST_V6, *ALL])
        self.assertEqual(done, [[GATEWAY_V6, 129, 0, 1, 1, 10, True, 64]])

    def test_the_kernel_configures_itself_by_router_advertisements(self):
        """Another address of the prefix, the route and the MTU; and with these it gets through."""
        def guest(address, port):
            say("ready")
            hear()
            with tcp(socket.AF_INET6) as s:
                s.connect((address, port))
                return s.getsockname()[0]

        server = self.world.serve(lambda connection: None)
        started = self.start_guest(guest, SERVER_V6, server.port, stats=True)
        started.hear()
        with started.namespace() as namespace:
            namespace.ip("link set eth0 down", "link set eth0 mtu 9000", "link set eth0 addrgenmode eui64")
            for name, value in (("accept_ra", 1), ("autoconf", 1), ("accept_dad", 0),
                                ("router_solicitation_delay", 0), ("use_tempaddr", 0)):
                self.assertTrue(namespace.sysctl(f"net/ipv6/conf/eth0/{name}", value))
            namespace.ip("link set eth0 up")

            def address():
                card = json.loads(namespace.run("ip", "-6", "-j", "addr", "show", "eth0", "scope", "global"))
                return [a["local"] for c in card for a in c.get("addr_info", ()) if a.get("dynamic")]

            def route():
                return json.loads(namespace.run("ip", "-6", "-j", "route", "show", "default", "proto", "ra"))

            found = wait_until(address, "an address by router advertisement")
            self.assertEqual(found, ["fd42:6d73:62:0:6d:73ff:fe00:2"])
            self.assertEqual([r["gateway"][:6] for r in wait_until(route, "a route")], ["fe80::"])
            self.assertEqual(namespace.run("cat", "/proc/sys/net/ipv6/conf/eth0/mtu"), "1500\n")
        started.say()
        self.assertEqual(started.result(), found[0])
        self.assertGreaterEqual(started.stats()["ra_sent"], 1)

    def test_dhcpv4_gives_the_guests_own_address(self):
        for kind, extra, answer in ((1, "", 2), (3, "3204" + address_bytes(GUEST_V4).hex() + "3604" +
                                                address_bytes(GATEWAY_V4).hex(), 5)):
            address, options = self.guest(ask_dhcp, kind, extra, uses=(netframes,))
            self.assertEqual(address, GUEST_V4)
            gateway = address_bytes(GATEWAY_V4).hex()
            self.assertEqual({k: options[k] for k in ("53", "1", "3", "6", "54")},
                             {"53": f"{answer:02x}", "1": "fffffffc", "3": gateway, "6": gateway,
                              "54": gateway})

    def dhcp_client(self, wanted, *argv):
        """Runs a client in the guest's namespace until its script has got a variable; returns all it got."""
        if shutil.which(argv[0]) is None:
            self.skipTest(f"no {argv[0]}")
        script, told = f"{self.directory}/script", f"{self.directory}/told"
        with open(script, "w", encoding="ascii") as f:
            f.write(f"#!/bin/sh\nenv >{told}.new\nmv {told}.new {told}\n")
        os.chmod(script, 0o755)

        def got():
            if not os.path.exists(told):
                return {}
            return dict(line.split("=", 1) for line in harness.read_file(told).splitlines() if "=" in line)

        started = self.start_guest(wait_to_be_told, stats=True)
        started.hear()
        with started.namespace() as namespace, namespace.entered():
            argv = [a.replace("DIRECTORY", self.directory) for a in argv]
            client = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(self.end, client)
        wait_until(lambda: wanted in got(), f"{wanted} from {argv[0]}")
        started.say()
        started.result()
        return got(), started.stats()

    def test_udhcpc(self):
        got, stats = self.dhcp_client("router", "busybox", "udhcpc", "-f", "-q", "-n", "-i", "eth0", "-s",
                                      "DIRECTORY/script")
        self.assertEqual((got["ip"], got["mask"], got["router"], got["dns"]),
                         (GUEST_V4, "30", GATEWAY_V4, GATEWAY_V4))
        self.assertEqual(stats["dhcp4_replies"], 2)

    DHCLIENT = ["-1", "-d", "-q", "-cf", "/dev/null", "-sf", "DIRECTORY/script", "-lf", "DIRECTORY/leases",
                "--no-pid", "eth0"]

    def test_dhclient(self):
        got, stats = self.dhcp_client("new_routers", "dhclient", "-4", *self.DHCLIENT)
        self.assertEqual((got["reason"], got["new_ip_address"], got["new_routers"]),
                         ("BOUND", GUEST_V4, GATEWAY_V4))
        self.assertEqual(stats["dhcp4_replies"], 2)

    def test_dhclient_asks_for_names_by_dhcpv6(self):
        got, stats = self.dhcp_client("new_dhcp6_name_servers", "dhclient", "-6", "-S", *self.DHCLIENT)
        self.assertEqual(got["new_dhcp6_name_servers"], GATEWAY_V6)
        self.assertEqual(stats["dhcp6_replies"], 1)


class Echo(Case):
    def echo(self, requests, last, count=1, **more):
        return self.guest(echo_answers, requests, last, count, uses=(netframes,), **more)

    def check_all_answered(self, kind, requests, **more):
        """By the gateway alone where that is asked."""
        guest = self.start_guest(echo_answers, requests[:-1], requests[-1], len(requests), uses=(netframes,),
                                 stats=True, **more)
        self.assertEqual(guest.result(), sorted([r[0], kind, 0, *r[1:], True, 64] for r in requests))
        by_gateway = len([r for r in requests if r[0] in (GATEWAY_V4, GATEWAY_V6)])
        stats = guest.stats()
        self.assertEqual((stats.get("icmp_echo_gateway", 0), stats.get("icmp_echo_rx", 0)),
                         (by_gateway, len(requests) - by_gateway))

    def test_a10_the_gateway_answers_under_allow_all(self):
        for gateway, kind in ((GATEWAY_V4, 0), (GATEWAY_V6, 129)):
            self.check_all_answered(kind, [[gateway, 77, 5, 100], [gateway, 65535, 65535, 1400]], options=ALL)

    def test_a11_the_gateway_is_silent_under_profile_public(self):
        capture = self.world.capture()
        for gateway, server, kind in ((GATEWAY_V4, SERVER_V4, 0), (GATEWAY_V6, SERVER_V6, 129)):
            found = self.echo([[gateway, 1, 1, 50]], [server, 1, 2, 51])
            self.assertEqual([f[:6] for f in found], [[server, kind, 0, 1, 2, 51]])
        self.assertEqual([len(p) for p in self.echoes(capture)], [20 + 8 + 51, 40 + 8 + 51])

    @staticmethod
    def echoes(capture):
        return [p for p in capture.take() if p[9 if p[0] >> 4 == 4 else 6] in (ICMP, ICMP6)]

    def test_a12_a_reply_has_the_guests_identifier_and_number(self):
        for server, kind in ((SERVER_V4, 0), (SERVER_V6, 129)):
            requests = [[server, 100 + i, 65530 + i, 20 + i] for i in range(5)]
            # Two programs with the same number, and one number twice.
            requests += [[server, 7, 9, 30], [server, 8, 9, 31], [server, 8, 9, 31], [server, 1, 1, 0]]
            self.check_all_answered(kind, requests)

    def test_a12_a_denied_host_is_silent(self):
        capture = self.world.capture()
        rules = ["--net-rule", f"deny@{OTHER_V4},deny@[{OTHER_V6}],allow@public"]
        for server, other in ((SERVER_V4, OTHER_V4), (SERVER_V6, OTHER_V6)):
            guest = self.start_guest(echo_answers, [[other, 1, i, 8] for i in range(3)], [server, 1, 9, 8], 1,
                                     uses=(netframes,), options=[*rules, *self.events_option()], stats=True)
            self.assertEqual([f[0] for f in guest.result()], [server])
            self.assertEqual(guest.stats()["denied_icmp"], 3)
        self.assertEqual(len(self.echoes(capture)), 2)
        self.assertEqual([(e["proto"], e["remote"]) for e in self.events("denied")],
                         [("icmpv4", OTHER_V4)] * 3 + [("icmpv6", OTHER_V6)] * 3)

    def test_large_pings_go_in_fragments_both_ways(self):
        for server, gateway, kind in ((SERVER_V4, GATEWAY_V4, 0), (SERVER_V6, GATEWAY_V6, 129)):
            for size in (1473, 8000, 65000):
                for target in (server, gateway):
                    self.check_all_answered(kind, [[target, 1, 1, size]], options=ALL)

    def test_many_pings_at_once(self):
        self.check_all_answered(0, [[SERVER_V4, i, i, 56] for i in range(200)])

    def test_a_host_that_cannot_be_reached_is_told_of(self):
        self.world.host.ip(f"route add unreachable {UNUSED_V4}", f"route add unreachable {UNUSED_V6}")
        for unused, server, kind in ((UNUSED_V4, SERVER_V4, 3), (UNUSED_V6, SERVER_V6, 1)):
            found = self.echo([[unused, 5, 6, 8]], [server, 1, 1, 8], 2)
            self.assertIn(kind, [f[1] for f in found])

    def test_without_ping_sockets_it_is_said_once(self):
        self.make_world(ping=False)

        def guest(address):
            s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            kinds = []
            for i in range(3):
                s.sendto(icmp4_message(8, 0, i), (address, 0))
                kinds.append(list(s.recv(1000)[20:22]))
            return kinds

        started = self.start_guest(guest, SERVER_V4, uses=(netframes,), stats=True,
                                   options=self.events_option())
        self.assertEqual(started.result(), [[3, 13]] * 3)
        self.assertEqual(started.stats()["drop_icmp_unavailable"], 3)
        self.assertEqual([e["reason"] for e in self.events()], ["icmp_unavailable"])

    def test_ping_the_program(self):
        for address in (SERVER_V4, SERVER_V6, GATEWAY_V4):
            done = self.start_command("ping", "-c3", "-i0.01", "-W60", address, options=ALL)
            self.assertIn("3 received, 0% packet loss", harness.read_all(done.process.stdout))
            self.assertEqual(done.wait(), 0)


def send_frames(frames, address, port):
    """Sends frames, each by itself, then shows that the engine lives."""
    card = Card()
    for frame in frames:
        card.send(bytes.fromhex(frame))
    return connect_error(address, port)


class BadFrames(Case):
    """A15, A16: nothing of it reaches the outside, each is counted under its reason."""

    def check(self, cases, **more):
        """cases: pairs of the counter, and the frame."""
        listener = self.world.listen()
        port = listener.getsockname()[1]
        frames = [frame.hex() for _, frame in cases]
        result, stats = self.guest_and_stats(send_frames, frames, SERVER_V4, port, uses=(netframes,), **more)
        self.assertEqual(result, 0)
        wanted = {}
        for counter, _ in cases:
            wanted[counter] = wanted.get(counter, 0) + 1
        found = {name: count for name, count in stats.items() if name.startswith("drop_")}
        # The guest's kernel talks to groups, and answers what it has not asked.
        for name in ("drop_multicast", "drop_tcp_no_flow"):
            if name in wanted:
                self.assertGreaterEqual(found[name], wanted.pop(name))
            found.pop(name, None)
        self.assertEqual(found, wanted)

    def nothing_came(self, capture):
        """But for the connection that send_frames() makes."""
        packets = [p for p in capture.take() if p[9] != 6 or p[0] >> 4 != 4]
        self.assertEqual(packets, [])

    def test_a15_foreign_sources(self):
        capture = self.world.capture()
        good4 = udp_frame(GUEST_V4, SERVER_V4, 5, 7)
        good6 = udp_frame(GUEST_V6, SERVER_V6, 5, 7)
        cases = [("drop_source_mac", good4[:6] + b"\2\1\1\1\1\1" + good4[12:]),
                 ("drop_source_mac", good6[:6] + GATEWAY_MAC + good6[12:]),
                 ("drop_destination_mac", b"\2\1\1\1\1\1" + good4[6:])]
        for source in ("100.96.0.3", "100.96.0.1", "10.0.0.1", "8.8.8.8", "127.0.0.1", "0.0.0.0", HOST_V4,
                       SERVER_V4, "255.255.255.255"):
            cases.append(("drop_source_address", udp_frame(source, SERVER_V4, 5, 7)))
            cases.append(("drop_source_address", frame_of(source, SERVER_V4, TCP, tcp_segment(
                source, SERVER_V4, 5, 7, SYN))))
            cases.append(("drop_source_address", frame_of(source, SERVER_V4, ICMP, icmp4_message(8, 0, 1))))
        # Of its own prefix but the gateway's is all the guest's.
        for source in (GATEWAY_V6, "fd42:6d73:62:1::2", "2001:db8::1", "::1", "::", HOST_V6, SERVER_V6,
                       "::ffff:100.96.0.2"):
            cases.append(("drop_source_address", udp_frame(source, SERVER_V6, 5, 7)))
        self.check(cases)
        self.nothing_came(capture)

    def test_a16_padding_is_no_payload(self):
        def guest(pairs, port):
            card = Card()
            for source, target in pairs:
                for size in (0, 1, 5):
                    card.send(udp_frame(source, target, 4000 + size, port, bytes(size)) + b"padding" * 5)

        receivers = [self.world.udp(SERVER_V4)]
        port = receivers[0].getsockname()[1]
        receivers.append(self.world.udp(SERVER_V6, port))
        self.guest(guest, [(GUEST_V4, SERVER_V4), (GUEST_V6, SERVER_V6)], port, uses=(netframes,))
        for receiver in receivers:
            self.assertEqual([len(receiver.recv(1000)) for _ in range(3)], [0, 1, 5])

    def test_a16_malformed_frames(self):
        capture = self.world.capture()
        segment = udp_segment(GUEST_V4, SERVER_V4, 5, 7, b"payload")
        segment6 = udp_segment(GUEST_V6, SERVER_V6, 5, 7, b"payload")

        def v4(**more):
            return eth(ip4(GUEST_V4, SERVER_V4, UDP, segment, **more))

        def v6(**more):
            return eth(ip6(GUEST_V6, SERVER_V6, UDP, segment6, **more), IP6)

        cases = [
            ("drop_ethertype", eth(b"x" * 50, 0x88cc)),
            ("drop_ethertype", eth(v4()[14:], 0x8100)),
            ("drop_runt", v4()[:14]),
            ("drop_runt", v4()[:30]),
            ("drop_runt", v6()[:50]),
            ("drop_runt", v4(total=1500)),
            ("drop_runt", v6(length=1400)),
            ("drop_ip_header", v4(total=19)),
            ("drop_ip_header", v4(first=0x55)),
            ("drop_ip_header", v4(first=0x44)),
            ("drop_ip_header", v6(first=0x50)),
            ("drop_ip_checksum", v4(bad=1)),
            ("drop_ip_option", v4(options=b"\x83\x07\x04" + address_bytes(OTHER_V4) + b"\0")),
            ("drop_ip_option", v4(options=b"\x89\x07\x04" + address_bytes(OTHER_V4) + b"\0")),
            ("drop_ip_header", v4(options=b"\x44\x01\x00\x00")),
            ("drop_l4_header", eth(ip4(GUEST_V4, SERVER_V4, UDP, segment[:7]))),
            ("drop_l4_header", eth(ip4(GUEST_V4, SERVER_V4, UDP, udp_segment(
                GUEST_V4, SERVER_V4, 5, 7, b"x", length=100)))),
            ("drop_l4_header", udp_frame(GUEST_V4, SERVER_V4, 5, 0)),
            ("drop_l4_checksum", udp_frame(GUEST_V4, SERVER_V4, 5, 7, bad=1)),
            ("drop_l4_checksum", udp_frame(GUEST_V6, SERVER_V6, 5, 7, bad=1)),
            ("drop_l4_checksum", frame_of(GUEST_V4, SERVER_V4, TCP, tcp_segment(
                GUEST_V4, SERVER_V4, 5, 7, SYN, bad=1))),
            ("drop_l4_checksum", frame_of(GUEST_V4, SERVER_V4, ICMP, icmp4_message(8, 0, 1, bad=1))),
            ("drop_l4_header", frame_of(GUEST_V4, SERVER_V4, TCP, tcp_segment(
                GUEST_V4, SERVER_V4, 5, 7, SYN, length=4))),
            ("drop_l4_header", frame_of(GUEST_V4, SERVER_V4, TCP, tcp_segment(
                GUEST_V4, SERVER_V4, 5, 7, SYN, length=15))),
            ("drop_icmp_type", frame_of(GUEST_V4, SERVER_V4, ICMP, icmp4_message(13, 0, 1, bytes(12)))),
            ("drop_icmp_type", frame_of(GUEST_V4, SERVER_V4, ICMP, icmp4_message(5, 0, 1, bytes(28)))),
        ]
        self.check(cases)
        self.nothing_came(capture)

    def test_p5_other_protocols(self):
        """GRE, ESP, SCTP, IPIP, 6in4, HIP, IGMP, and all that has no meaning."""
        capture = self.world.capture()
        cases = [("drop_protocol", frame_of(source, target, proto, bytes(40)))
                 for source, target in ((GUEST_V4, SERVER_V4), (GUEST_V6, SERVER_V6))
                 for proto in (47, 50, 51, 132, 4, 41, 139, 2, 33, 136, 253, 255)]
        self.check(cases)
        self.nothing_came(capture)

    def test_p10_impossible_flags(self):
        capture = self.world.capture()

        def segment(flags):
            return frame_of(GUEST_V4, OTHER_V4, TCP, tcp_segment(GUEST_V4, OTHER_V4, 5, 7, flags))

        cases = [("drop_tcp_flags", segment(SYN | FIN)), ("drop_tcp_flags", segment(SYN | RST)),
                 ("drop_tcp_flags", segment(SYN | FIN | RST | PSH | ACK))]
        cases += [("drop_tcp_no_flow", segment(f)) for f in (0, ACK, FIN, FIN | ACK, RST, SYN | ACK, PSH, 0x29)]
        self.check(cases)
        packets = [p for p in capture.take() if p[16:20] == address_bytes(OTHER_V4)]
        self.assertEqual(packets, [])

    def test_p14_d7_nothing_for_many_leaves(self):
        """Multicast and broadcast, on either layer, under allow-all."""
        capture = self.world.capture()
        frames = [udp_frame(GUEST_V4, target, 5353, port) for target in
                  ("224.0.0.251", "239.255.255.250", "224.0.0.252", "232.1.1.1") for port in (7, 5353, 1900)]
        frames += [udp_frame(GUEST_V6, target, 5353, port) for target in
                   ("ff02::fb", "ff0e::1", "ff05::2") for port in (7, 5353)]
        frames += [b"\xff" * 6 + udp_frame(GUEST_V4, SERVER_V4, 5, 7)[6:],
                   b"\x01\0\x5e\0\0\xfb" + udp_frame(GUEST_V4, "224.0.0.251", 5, 7)[6:]]
        cases = [("drop_multicast", frame) for frame in frames]
        self.check(cases, options=ALL)
        self.nothing_came(capture)

    def test_d20_names_by_other_protocols_do_not_leave(self):
        capture = self.world.capture()
        cases = [("drop_name_protocol", udp_frame(source, target, 5, port))
                 for source, target in ((GUEST_V4, SERVER_V4), (GUEST_V6, SERVER_V6))
                 for port in (853, 5353, 5355, 137)]
        cases.append(("drop_name_protocol", frame_of(GUEST_V4, SERVER_V4, TCP, tcp_segment(
            GUEST_V4, SERVER_V4, 5, 853, SYN))))
        self.check(cases, options=ALL)
        self.nothing_came(capture)

    def test_a5_a_family_that_is_off_is_refused(self):
        self.make_world(v6=False)
        capture = self.world.capture()
        self.check([("drop_family_off", udp_frame(GUEST_V6, SERVER_V6, 5, 7)),
                    ("drop_family_off", udp_frame("fe80::1", SERVER_V6, 5, 7))])
        self.nothing_came(capture)

    def test_p17_errors_that_the_guest_sends_reach_nobody(self):
        """ICMP "too big" and "unreachable" about a connection, as an attack on the remote side's view of it."""
        capture = self.world.capture()
        quote = ip4(SERVER_V4, GUEST_V4, UDP, bytes(8))
        quote6 = ip6(SERVER_V6, GUEST_V6, UDP, bytes(8))
        cases = [("drop_icmp_type", frame_of(GUEST_V4, SERVER_V4, ICMP, icmp4_message(3, 4, 576, quote))),
                 ("drop_icmp_type", frame_of(GUEST_V4, SERVER_V4, ICMP, icmp4_message(3, 3, 0, quote))),
                 ("drop_icmp_type", frame_of(GUEST_V6, SERVER_V6, ICMP6, icmp6_message(
                     GUEST_V6, SERVER_V6, 2, 0, 1280, quote6)))]
        self.check(cases)
        self.nothing_came(capture)


if __name__ == "__main__":
    networld.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Policy as programs of a guest see it: profiles, order of rules, addresses in disguise (threats.md 2)."""
import errno
import os
import socket
import threading

import netframes
import networld
from netframes import *  # pylint: disable=wildcard-import,unused-wildcard-import
from networld import *  # pylint: disable=wildcard-import,unused-wildcard-import

PRIVATE_V4, PRIVATE_V6 = "10.9.8.7", "fd99::1"
LINK_LOCAL_V4 = "169.254.9.9"
METADATA_V4, METADATA_V6 = "169.254.169.254", "fd00:ec2::254"
RESERVED_V4, RESERVED_V6 = "192.0.2.1", "2001:db8::1"


def reach(places, tcp_port, udp_port):
    """For each address what TCP and UDP end with: [0 or errno, errno], as strings."""
    return [[errno.errorcode.get(e, "ok") for e in
             (connect_error(place, tcp_port), udp_error(place, udp_port))] for place in places]


# A UDP port is closed everywhere, so that who is let through hears of that.
PASSED = ["ok", "ECONNREFUSED"]
DENIED = {socket.AF_INET: ["ECONNREFUSED", "EHOSTUNREACH"], socket.AF_INET6: ["ECONNREFUSED", "EACCES"]}
UDP_PORT = 9


class Profiles(Case):
    """The server of the world has every address but those of the host."""

    PLACES = {"public": (SERVER_V4, SERVER_V6), "private": (PRIVATE_V4, PRIVATE_V6),
              "metadata": (METADATA_V4, METADATA_V6), "link_local": (LINK_LOCAL_V4,),
              "host": (GATEWAY_V4, GATEWAY_V6), "reserved": (RESERVED_V4, RESERVED_V6)}

    def listen_everywhere(self):
        port = self.world.listen().getsockname()[1]
        self.world.listen("::", port, namespace=self.world.host)
        return port

    def check(self, options, *passed):
        """What is let through are the addresses of these groups, and nothing else of any."""
        port = self.listen_everywhere()
        places = [(group, place) for group, group_places in self.PLACES.items() for place in group_places]
        found = self.guest(reach, [place for _, place in places], port, UDP_PORT,
                           options=[*options, *self.events_option()])
        expected = [PASSED if group in passed else DENIED[family_of(place)] for group, place in places]
        self.assertEqual(dict(zip(places, found)), dict(zip(places, expected)))
        denied = [place for group, place in places if group not in passed for _ in ("tcp", "udp")]
        events = self.events("denied")
        self.assertEqual([e["remote"] for e in events], denied)
        self.assertEqual([e["class"] for e in events],
                         [g for g, p in places if g not in passed for _ in ("tcp", "udp")])
        self.assertEqual([e["proto"] for e in events], ["tcp", "udp"] * (len(denied) // 2))

    def test_the_default_is_public(self):
        self.check([], "public")

    def test_public(self):
        self.check(["--net", "public"], "public")

    def test_private(self):
        self.check(["--net", "private"], "private")

    def test_host(self):
        self.check(["--net", "host"], "host")

    def test_profiles_add_up(self):
        self.check(["--net", "public,host", "--net", "private"], "public", "host", "private")

    def test_all(self):
        self.check(["--net", "all"], *self.PLACES)

    def test_rules_alone(self):
        self.check(["--net-rule", "allow@private"], "private")

    def test_no_rule_at_all_but_a_default(self):
        self.check(["--net-default-egress", "allow"], *self.PLACES)
        os.unlink(f"{self.directory}/events")
        self.check(["--net-default-egress", "deny"])

    def test_r6_none(self):
        """No card, no engine, no packet."""
        def guest(places, port):
            found = [[errno.errorcode.get(e, "ok") for e in (connect_error(p, port), udp_send_error(p))]
                     for p in places]
            return found, os.listdir("/sys/class/net"), hear()

        def udp_send_error(place):
            try:
                udp(place, 9).send(b"x")
                return 0
            except OSError as e:
                return e.errno

        port = self.listen_everywhere()
        capture = self.world.capture()
        places = [p for group in self.PLACES.values() for p in group]
        run = self.start_guest(guest, places, port, uses=(udp_send_error,), options=["--net", "none"])
        self.assertIsNone(run.engine())
        run.say("end")
        found, cards, _ = run.result()
        self.assertEqual(found, [["ENETUNREACH"] * 2] * len(places))
        self.assertEqual(cards, ["lo"])
        self.assertEqual(capture.take(), [])


class Rules(Case):
    def setUp(self):
        super().setUp()
        self.listening = set()

    def check(self, cases, *options):
        """cases: [address, port of TCP or 0 for UDP, number of the rule that decides or None, its text].
        Returns the verdicts."""
        for port in {port for _, port, _, _ in cases if port} - self.listening:
            self.listening.add(port)
            self.world.listen("::", port)
        found = self.guest(self.attempt, [case[:2] for case in cases],
                           options=[*options, *self.events_option()])
        told = {}
        for e in self.events():
            self.assertEqual(e["verdict"], "allow" if e["event"] == "flow_end" else "deny")
            told[e["remote"], e["remote_port"] if e["proto"] == "tcp" else 0] = e
        for (address, port, number, text), error in zip(cases, found):
            e = told[address, port]
            is_allowed = e["verdict"] == "allow"
            self.assertEqual((e["rule"], e.get("rule_number")), (text, number), (address, port))
            if port:
                self.assertEqual(error, 0 if is_allowed else errno.ECONNREFUSED)
            else:
                self.assertEqual(error == errno.ECONNREFUSED, is_allowed)
        return [told[address, port]["verdict"] for address, port, _, _ in cases]

    @staticmethod
    def attempt(cases):
        return [connect_error(a, port) if port else udp_error(a, 9) for a, port in cases]

    def test_the_first_rule_that_matches_decides(self):
        for server, other, prefix, in ((SERVER_V4, OTHER_V4, "45.67.89.0/24"),
                                       (f"{SERVER_V6}", f"{OTHER_V6}", "[2a0b:5a40::]/64")):
            text = (lambda a: f"[{a}]" if ":" in a else a)
            rules = [f"deny@{text(other)}:tcp:80", f"allow@{text(other)}", f"deny@{prefix}:tcp:1-99",
                     f"allow@{prefix}:tcp", "deny@any:udp", f"allow@{prefix}"]
            cases = [(other, 80, 0, rules[0]), (other, 81, 1, rules[1]), (other, 0, 1, rules[1]),
                     (server, 80, 2, rules[2]), (server, 99, 2, rules[2]), (server, 100, 3, rules[3]),
                     (server, 0, 4, rules[4])]
            self.assertEqual(self.check(cases, "--net-rule", ",".join(rules)),
                             ["deny", "allow", "allow", "deny", "deny", "allow", "deny"])
            os.unlink(f"{self.directory}/events")

    def test_rules_come_before_profiles(self):
        """Of which the first is allow@dns."""
        deny = [f"deny@{SERVER_V4}", f"deny@[{SERVER_V6}]"]
        cases = [(SERVER_V4, 80, 0, deny[0]), (SERVER_V6, 80, 1, deny[1]), (OTHER_V4, 80, 3, "allow@public"),
                 (OTHER_V6, 80, 3, "allow@public"), (PRIVATE_V4, 80, None, "default")]
        self.assertEqual(self.check(cases, "--net", "public", "--net-rule", ",".join(deny)),
                         ["deny", "deny", "allow", "allow", "deny"])

    def test_p1_p2_a_rule_for_one_family_or_port_opens_no_other(self):
        rule = f"allow@{SERVER_V4}:tcp:80"
        cases = [(SERVER_V4, 80, 0, rule), (SERVER_V4, 81, None, "default"), (SERVER_V4, 0, None, "default"),
                 (SERVER_V6, 80, None, "default"), (SERVER_V6, 0, None, "default")]
        self.assertEqual(self.check(cases, "--net-rule", rule), ["allow"] + ["deny"] * 4)

    def test_d4_d5_names_only_where_dns_is_allowed(self):
        def guest():
            try:
                return socket.getaddrinfo("name.test", 80, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]
            except socket.gaierror as e:
                return e.errno == socket.EAI_NONAME

        resolver = self.world.udp(SERVER_V4)
        asked = []

        def answer():
            while True:
                query, client = resolver.recvfrom(4096)
                if query == b"end":
                    return
                asked.append(query)
                end = query.index(b"\0", 12) + 5
                resolver.sendto(query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query[12:end] +
                                b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(OTHER_V4), client)

        thread = threading.Thread(target=answer)
        thread.start()
        port = resolver.getsockname()[1]
        nameserver = ["--dns-nameserver", f"{SERVER_V4}:{port}"]
        try:
            self.assertIs(self.guest(guest, options=["--net-rule", "allow@public", *nameserver]), True)
            self.assertEqual(asked, [])
            self.assertEqual(self.guest(guest, options=["--net-rule", "allow@dns", *nameserver]), OTHER_V4)
            self.assertEqual(len(asked), 1)
            self.assertEqual(self.guest(connect_error, OTHER_V4, 80,
                                        options=["--net-rule", "allow@dns", *nameserver]), errno.ECONNREFUSED)
        finally:
            self.world.udp(SERVER_V4).sendto(b"end", (SERVER_V4, port))
            thread.join()

    def test_d15_a_truncated_answer_of_a_server_that_the_guest_addresses_says_so(self):
        """Else the guest would take it for "there is nothing", and not ask by TCP."""
        def guest(address):
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.connect((address, 53))
            s.send(b"\7\7\1\0\0\1\0\0\0\0\0\0\4name\4test\0\0\x10\0\1")
            return s.recv(9999).hex()

        udp = self.world.udp(OTHER_V4, 53)

        def serve():
            query, client = udp.recvfrom(4096)
            end = query.index(b"\0", 12) + 5
            udp.sendto(query[:2] + bytes.fromhex("83800001000000000000") + query[12:end], client)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        options = ["--net-rule", f"allow@{OTHER_V4}:udp:53,allow@dns", "--dns-nameserver", SERVER_V4]
        self.assertEqual(self.guest(guest, OTHER_V4, options=options)[:8], "07078380")
        thread.join()

    def test_d2_d3_a_server_that_the_guest_addresses_is_the_one_asked_if_policy_allows(self):
        """By UDP and by TCP, from the address that was asked; a denied one says that there is no such name."""
        question = b"\x07\x07\1\0\0\1\0\0\0\0\0\0\4name\4test\0\0\1\0\1"

        def guest(address, question):
            question = bytes.fromhex(question)
            s = socket.socket(family_of(address), socket.SOCK_DGRAM)
            s.connect((address, 53))
            s.send(question)
            by_udp = s.recv(4096)
            s = socket.create_connection((address, 53))
            s.sendall(len(question).to_bytes(2, "big") + question)
            by_tcp = s.recv(4096)[2:]
            return [(m[:2] == question[:2], m[3] & 15, len(m)) for m in (by_udp, by_tcp)]

        def answer(query):
            end = query.index(b"\0", 12) + 5
            return (query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query[12:end] +
                    b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton(SERVER_V4))

        for address in (OTHER_V4, OTHER_V6):
            udp, tcp = self.world.udp(address, 53), self.world.listen(address, 53)
            first = self.world.udp(SERVER_V4)
            asked = []

            def serve_udp():
                query, client = udp.recvfrom(4096)
                asked.append("udp")
                udp.sendto(answer(query), client)

            def serve_tcp():
                connection, _ = tcp.accept()
                with connection:
                    query = connection.recv(4096)[2:]
                    asked.append("tcp")
                    connection.sendall(len(answer(query)).to_bytes(2, "big") + answer(query))

            threads = [threading.Thread(target=t, daemon=True) for t in (serve_udp, serve_tcp)]
            for t in threads:
                t.start()
            options = ["--dns-nameserver", f"{SERVER_V4}:{first.getsockname()[1]}", "--net-rule"]
            rule = f"allow@[{address}]" if ":" in address else f"allow@{address}"
            self.assertEqual(self.guest(guest, address, question.hex(), options=[*options, f"{rule}:tcp+udp:53,allow@dns"]),
                             [[True, 0, 43]] * 2)
            for t in threads:
                t.join()
            self.assertEqual(asked, ["udp", "tcp"])
            self.assertEqual(self.guest(guest, address, question.hex(), options=[*options, "allow@dns"]), [[True, 3, 27]] * 2)
            for s in (udp, tcp, first):
                s.setblocking(False)
            self.assertRaises(BlockingIOError, udp.recv, 10)
            self.assertRaises(BlockingIOError, tcp.accept)
            self.assertRaises(BlockingIOError, first.recv, 10)


def probe(frames):
    """Sends frames, and returns what comes back: source port of the frame -> words. A last question to the
    gateway shows that all have been seen."""
    card = Card()
    for frame in frames:
        card.send(bytes.fromhex(frame))
    card.send(arp_request("100.96.0.1", src="0.0.0.0"))
    found = {}
    while True:
        f = card.receive()
        is_v4 = f[12:14] == b"\x08\x00"
        if f[12:14] == b"\x08\x06" and f[38:42] == bytes(4):
            return found
        if not is_v4 and f[12:14] != b"\x86\xdd":
            continue
        proto, at = (f[23], 34) if is_v4 else (f[20], 54)
        if proto == 6:
            found[str(f[at + 2] << 8 | f[at + 3])] = "rst" if f[at + 13] & 4 else "other"
        elif proto in (1, 58) and f[at] in (1, 3):
            port = at + 8 + (20 if is_v4 else 40)
            found[str(f[port] << 8 | f[port + 1])] = f"icmp {f[at]} {f[at + 1]}"


def teredo(server, client):
    """RFC 4380 4."""
    inverted = bytes(b ^ 0xff for b in address_bytes(client))
    return socket.inet_ntop(socket.AF_INET6, b"\x20\x01\0\0" + address_bytes(server) + bytes(4) + inverted)


def disguises(address):
    """IPv6 addresses that stand for an IPv4 address (N14, N15)."""
    hexed = address_bytes(address).hex()
    low = hexed[:4] + ":" + hexed[4:]
    return {"mapped": f"::ffff:{low}", "compatible": f"::{low}", "translated": f"::ffff:0:{low}",
            "nat64": f"64:ff9b::{low}", "6to4": f"2002:{low}::1", "teredo server": teredo(address, SERVER_V4),
            "teredo client": teredo(SERVER_V4, address), "isatap": f"2a0b:5a41::5efe:{low}",
            "isatap, global bit": f"2a0b:5a41::200:5efe:{low}"}


def canonical(address):
    return socket.inet_ntop(family_of(address), address_bytes(address))


class Disguises(Case):
    """Frames by hand, as no kernel sends all of this. Nothing that is refused is seen outside."""

    # Prefixes of all ways to embed an address but the interface identifier of ISATAP.
    ALLOW_DISGUISES = ("allow@[::]/96,allow@[::ffff:0:0:0]/96,allow@[64:ff9b::]/96,allow@[64:ff9b:1::]/48,"
                       "allow@[2002::]/16,allow@[2001::]/32")

    def frames(self, addresses):
        """A SYN, a datagram and an echo request to each."""
        made = []
        for i, address in enumerate(addresses):
            is_v4 = ":" not in address
            own = GUEST_V4 if is_v4 else GUEST_V6
            made.append(frame_of(own, address, TCP, tcp_segment(own, address, 2000 + i, 80, SYN)))
            made.append(udp_frame(own, address, 4000 + i, 700))
            made.append(frame_of(own, address, ICMP, icmp4_message(8, 0, i)) if is_v4 else
                        frame_of(own, address, ICMP6, icmp6_message(own, address, 128, 0, i)))
        return made

    def check_refused(self, classes, *options):
        """classes: address -> the class by which it is refused, and the rule, if that is of interest."""
        addresses = list(classes)
        capture = self.world.capture()
        run = self.start_guest(probe, [f.hex() for f in self.frames(addresses)], uses=(netframes,),
                               options=[*options, *self.events_option()], stats=True)
        found = run.result()
        self.assertEqual(capture.take(), [])
        for i, address in enumerate(addresses):
            prohibited = "icmp 3 13" if ":" not in address else "icmp 1 1"
            self.assertEqual(found.get(str(2000 + i)), "rst", address)
            # RFC 1122 3.2.2: not about what was sent to no single host.
            is_single = address not in ("255.255.255.255", "0.0.0.0", "0.1.2.3", "::")
            self.assertEqual(found.get(str(4000 + i)), prohibited if is_single else None, address)
        stats = run.stats()
        self.assertEqual([stats[name] for name in ("denied_tcp", "denied_udp", "denied_icmp", "drop_policy")],
                         [len(addresses)] * 3 + [3 * len(addresses)])
        events = self.events()
        self.assertEqual({e["event"] for e in events}, {"denied"})
        told = [(canonical(e["remote"]), e["class"]) for e in events]
        wanted = [(canonical(self.as_told(a)), c) for a, c in classes.items() for _ in range(3)]
        self.assertEqual(told, wanted)
        os.unlink(f"{self.directory}/events")
        return events

    @staticmethod
    def as_told(address):
        """An IPv4-mapped address is the IPv4 address."""
        raw = address_bytes(address)
        return socket.inet_ntoa(raw[12:]) if raw[:12] == bytes(10) + b"\xff\xff" else address

    def test_n13_n17_n18_n19_n21_special_addresses_under_profile_public(self):
        classes = {
            "private": ("10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.254", "192.168.1.1",
                        "100.64.0.1", "100.127.255.254", "fc00::1", "fdff::1", "100.96.0.3"),
            "loopback": ("127.0.0.1", "127.1.2.3", "::1"),
            "link_local": ("169.254.1.1", "169.254.169.253", "fe80::1:2", "febf::1"),
            "metadata": ("169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200",
                         "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254",
                         "fd00:c1::a9fe:a9fe"),
            "unspecified": ("0.0.0.0", "0.1.2.3", "::"),
            "reserved": ("192.0.0.8", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.51.100.7", "203.0.113.9",
                         "240.0.0.1", "255.255.255.255", "2001:db8::1", "3fff::1", "100::1", "fec0::1",
                         "4000::1", "5f00::1", "64:ff9b:1::a00:1"),
            "host": (GATEWAY_V4, GATEWAY_V6, HOST_V4, HOST_V6)}
        self.check_refused({a: name for name, addresses in classes.items() for a in addresses})

    def test_n14_n15_n24_disguises_under_profile_public(self):
        for inside, name in (("10.0.0.1", "private"), ("169.254.169.254", "metadata"),
                             ("127.0.0.1", "loopback"), (HOST_V4, "host"), (GATEWAY_V4, "host")):
            # What is not public itself is refused as that, before it is opened.
            outside = {"compatible", "translated", "6to4", "teredo server", "teredo client"}
            self.check_refused({a: "reserved" if how in outside else name
                                for how, a in disguises(inside).items()})

    def test_n14_n15_disguises_that_are_allowed_carry_no_more_than_what_they_hide(self):
        """Each form is allowed by a rule, and public addresses are; what is embedded is not."""
        rules = ["--net-rule", self.ALLOW_DISGUISES + ",allow@public"]
        for inside, name in (("10.0.0.1", "private"), ("169.254.169.254", "metadata"),
                             ("127.0.0.1", "loopback"), ("224.0.0.1", "multicast"), (HOST_V4, "host"),
                             (GATEWAY_V4, "host"), ("192.0.2.1", "reserved")):
            made = disguises(inside)
            if name == "multicast":
                del made["mapped"]  # is multicast, of which nothing is told
            self.check_refused({a: name for a in made.values()}, *rules)

    def test_n16_the_floor_holds_under_allow_all(self):
        """Loopback, unspecified, broadcast: as they are, and in every disguise."""
        classes = {"127.0.0.1": "loopback", "127.255.255.254": "loopback", "::1": "loopback",
                   "0.0.0.0": "unspecified", "0.1.2.3": "unspecified", "::": "unspecified",
                   "255.255.255.255": "reserved", "64:ff9b:1::a00:1": "reserved"}
        for inside, name in (("127.0.0.1", "loopback"), ("0.1.2.3", "unspecified"),
                             ("255.255.255.255", "reserved")):
            for how, address in disguises(inside).items():
                # 0.0.0.0/8 is no address that is hidden; mapped broadcast is told of as what it is.
                if how != "mapped":
                    classes[address] = name
        for options in (ALL, ["--net-rule", "allow@any"],
                        ["--net-rule", "allow@0.0.0.0/0,allow@[::]/0,allow@127.0.0.0/8,allow@[::1]"]):
            events = self.check_refused(classes, *options)
            self.assertEqual({e["rule"] for e in events}, {"floor"})

    def test_n16_a_wide_prefix_does_not_open_what_a_group_denies(self):
        self.check_refused({"10.0.0.1": "private", "169.254.169.254": "metadata",
                            "fd00:ec2::254": "metadata", "64:ff9b::a9fe:a9fe": "metadata",
                            "::ffff:a9fe:a9fe": "metadata"},
                           "--net-rule", "deny@private,deny@meta,allow@0.0.0.0/0,allow@[::]/0")

    def test_disguises_of_allowed_addresses_pass(self):
        """And are seen outside as what they are; IPv4-mapped as IPv4."""
        made = {how: a for how, a in disguises(OTHER_V4).items() if how in ("mapped", "nat64", "isatap")}
        capture = self.world.capture()
        frames = [udp_frame(GUEST_V6, address, 4000, 700).hex() for address in made.values()]
        _, stats = self.guest_and_stats(probe, frames, uses=(netframes,))
        self.assertNotIn("denied_udp", stats)
        wanted, seen = {address_bytes(self.as_told(a)) for a in made.values()}, set()

        def all_seen():
            seen.update(p[16:20] if p[0] >> 4 == 4 else p[24:40] for p in capture.take())
            return seen >= wanted

        wait_until(all_seen, "all datagrams")
        self.assertEqual(seen, wanted)

    def test_n14_a_kernel_that_dials_a_mapped_address(self):
        def guest(address, port):
            with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as s:
                return s.connect_ex((address, port))

        port = self.world.listen().getsockname()[1]
        for address, expected in ((f"::ffff:{SERVER_V4}", 0), (f"::ffff:{PRIVATE_V4}", errno.ECONNREFUSED),
                                  (f"::ffff:{METADATA_V4}", errno.ECONNREFUSED),
                                  (f"::ffff:{GATEWAY_V4}", errno.ECONNREFUSED)):
            self.assertEqual(self.guest(guest, address, port), expected)


if __name__ == "__main__":
    networld.main()

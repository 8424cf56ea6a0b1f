#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""sluice run with traffic: what is told of it, what is delivered at the end, and how the engine is confined.

The host is a network namespace of the test itself, with all addresses on lo."""
import errno
import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time

import harness
from harness import Case

HOST_V4 = "203.0.113.7"
HOST_V6 = "2001:db8::7"
RULES = ["--net-rule", f"allow@{HOST_V4}:tcp+udp,allow@[{HOST_V6}]:tcp+udp,allow@dns"]


class Server:
    """A TCP server that handles each connection by a function, in a thread."""

    def __init__(self, case, handle, address=HOST_V4):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listener = socket.create_server((address, 0), family=family)
        self.port = self.listener.getsockname()[1]
        self.handle = handle
        self.results = []
        self.done = threading.Semaphore(0)
        threading.Thread(target=self.serve, daemon=True).start()
        case.addCleanup(self.listener.close)

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                self.results.append(self.handle(connection))
            self.done.release()

    def wait(self):
        if not self.done.acquire(timeout=harness.PATIENCE):
            raise AssertionError("the server is not done")
        return self.results[-1]


def receive_all(connection):
    data = bytearray()
    while True:
        part = connection.recv(65536)
        if not part:
            return bytes(data)
        data += part


def echo(connection):
    data = receive_all(connection)
    connection.sendall(data)
    return data


CLIENT = """
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
s.sendall(b"x" * int(sys.argv[3]))
s.shutdown(socket.SHUT_WR)
n = 0
while True:
    part = s.recv(65536)
    if not part:
        break
    n += len(part)
print(n)
"""


class Told(Case):
    options = [*harness.WITH_ADDRESSES, *RULES]

    def client(self, address, port, count, *options):
        return self.sluice(harness.PYTHON, "-c", CLIENT, address, str(port), str(count),
                           options=[*self.options, *options])

    def test_flows_and_denials_are_appended_as_json_lines(self):
        directory = harness.temporary_directory()
        os.chmod(directory, 0o777)
        path = f"{directory}/events"
        for address in (HOST_V4, HOST_V6):
            server = Server(self, echo, address)
            done = self.client(address, server.port, 100000, "--events", path)
            self.assertEqual((done.stdout, done.stderr, done.returncode), ("100000\n", "", 0))
            refused = self.client("198.51.100.1", 80, 1, "--events", path)
            self.assertIn("ConnectionRefusedError", refused.stderr)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        with open(path, encoding="ascii") as f:
            events = [json.loads(line) for line in f]
        self.assertEqual([e["event"] for e in events], ["flow_end", "denied"] * 2)
        flow, denial = events[:2]
        self.assertEqual((flow["proto"], flow["guest"], flow["remote"]),
                         ("tcp", harness.GUEST_V4, HOST_V4))
        self.assertEqual((flow["tx_bytes"], flow["rx_bytes"], flow["verdict"], flow["reason"]),
                         (100000, 100000, "allow", "closed"))
        self.assertEqual((flow["rule_number"], flow["class"]), (0, "host"))
        self.assertGreater(flow["duration_us"], 0)
        self.assertEqual((denial["remote"], denial["remote_port"], denial["verdict"],
                          denial["rule"], denial["count"]),
                         ("198.51.100.1", 80, "deny", "default", 1))
        self.assertEqual(events[2]["remote"], HOST_V6)

    def test_a_pipe_for_events_without_a_reader_is_refused(self):
        fifo = f"{harness.temporary_directory()}/events"
        os.mkfifo(fifo, 0o666)
        os.chmod(fifo, 0o666)
        self.assert_message(self.sluice("true", options=["--net", "none", "--events", fifo]),
                            f"--events {fifo}", "nobody reads", "start its reader")

    def test_a_denial_is_told_at_once(self):
        directory = harness.temporary_directory()
        fifo = f"{directory}/events"
        os.mkfifo(fifo)
        os.chmod(fifo, 0o666)
        with open(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as events:
            process = self.start(harness.PYTHON, "-c",
                                 "import socket\n"
                                 "socket.socket().connect_ex(('198.51.100.1', 80))\n"
                                 "input()\n", options=[*self.options, "--events", fifo],
                                 stdin=subprocess.PIPE)
            event = json.loads(harness.read_line(events))
            self.assertEqual((event["event"], event["remote"]), ("denied", "198.51.100.1"))
            self.assertIsNone(process.poll())
            process.stdin.write(b"\n")
            process.stdin.close()
            self.assertEqual(process.wait(harness.PATIENCE), 0)

    def test_events_may_go_to_standard_error(self):
        done = self.sluice(harness.PYTHON, "-c",
                           "import socket\nsocket.socket().connect_ex(('198.51.100.1', 80))\n",
                           options=[*self.options, "--events", "-"])
        self.assertEqual(json.loads(done.stderr)["event"], "denied")

    def test_a_full_disk_is_told_and_does_no_harm(self):
        server = Server(self, echo)
        done = self.client(HOST_V4, server.port, 1000, "--events", "/dev/full")
        self.assertEqual((done.returncode, done.stdout), (0, "1000\n"))
        self.assertIn("the events file cannot be written (No space left on device)", done.stderr)

    def test_stats_name_all_that_was_counted(self):
        server = Server(self, echo)
        done = self.client(HOST_V4, server.port, 12345, "--stats")
        self.assertEqual(done.returncode, 0)
        counters = {}
        for line in done.stderr.splitlines():
            name, value, text = line.split(maxsplit=2)
            counters[name] = int(value)
            self.assertTrue(text)
        self.assertEqual((counters["tcp_flows"], counters["tcp_tx_bytes"], counters["tcp_rx_bytes"]),
                         (1, 12345, 12345))
        self.assertNotIn(0, counters.values())
        self.assertEqual(counters.get("tcp_guest_retransmits", 0), 0)
        self.assertGreater(counters["nic_tx_frames"], 3)


LATER_V4 = "203.0.113.77"
LATER_V6 = "2001:db8::77"

# Connects to each "ADDRESS PORT" that a line says, and prints what comes of it.
CONNECTOR = """
import socket
print("ready", flush=True)
while True:
    try:
        address, port = input().split()
    except EOFError:
        break
    try:
        socket.create_connection((address, int(port))).close()
        print("connected", flush=True)
    except OSError as e:
        print(type(e).__name__, flush=True)
"""


class Addresses(Case):
    """The host's own addresses, which change while sluice runs (threat N19)."""

    def change(self, what, address):
        length = 128 if ":" in address else 32
        subprocess.run(["ip", "address", what, f"{address}/{length}", "dev", "lo",
                        *(["nodad"] if ":" in address and what == "add" else [])], check=True)

    def test_an_address_that_the_host_gets_later_is_the_hosts(self):
        process = self.start(harness.PYTHON, "-c", CONNECTOR, stdin=subprocess.PIPE,
                             options=[*harness.WITH_ADDRESSES, "--net-rule", "deny@host,allow@any"])
        self.assertEqual(harness.read_line(process.stdout), "ready")
        for address in (LATER_V4, LATER_V6):
            self.change("add", address)
            try:
                server = Server(self, receive_all, address)
                answer = None
                deadline = time.monotonic() + harness.PATIENCE
                # The kernel tells of an address a moment after it is there: until then it is one like any other.
                while answer != "ConnectionRefusedError" and time.monotonic() < deadline:
                    process.stdin.write(f"{address} {server.port}\n".encode())
                    process.stdin.flush()
                    answer = harness.read_line(process.stdout)
                self.assertEqual(answer, "ConnectionRefusedError")
            finally:
                self.change("del", address)
        process.stdin.close()
        self.assertEqual(process.wait(harness.PATIENCE), 0)


def answer_to(query, ttl=60):
    """To a query of type A one address, to any other one none."""
    end = query.index(b"\0", 12) + 5
    is_a = struct.unpack(">H", query[end - 4:end - 2])[0] == 1
    record = b"\xc0\x0c\0\1\0\1" + struct.pack(">IH", ttl, 4) + socket.inet_aton("93.184.216.80")
    return (query[:2] + b"\x81\x80\0\1" + (b"\0\1" if is_a else b"\0\0") + b"\0\0\0\0" +
            query[12:end] + (record if is_a else b""))


# Asks for the same name by as many queries at once as the first argument says, as often as the second one does;
# prints the identifiers and lengths of what comes back.
ASKER = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(60)
s.connect(("100.96.0.1", 53))
for turn in range(int(sys.argv[2])):
    for n in range(int(sys.argv[1])):
        s.send(bytes([turn, n]) + b"\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\4name\\4test\\0\\0\\1\\0\\1")
    for n in range(int(sys.argv[1])):
        answer = s.recv(4096)
        print(answer[0], answer[1], len(answer))
"""


class Names(Case):
    def resolver(self, handle):
        """A resolver that gives each query with its sender to a function; returns the options for it."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.bind((HOST_V4, 0))

        def serve():
            while True:
                try:
                    query, client = sock.recvfrom(4096)
                except OSError:
                    return
                handle(sock, query, client)

        threading.Thread(target=serve, daemon=True).start()
        return [*harness.WITH_ADDRESSES, "--dns-nameserver", f"{HOST_V4}:{sock.getsockname()[1]}"]

    def test_names_are_resolved_by_the_given_resolver(self):
        options = self.resolver(lambda sock, query, client: sock.sendto(answer_to(query), client))
        done = self.sluice("getent", "ahostsv4", "name.test", options=options)
        self.assertIn("93.184.216.80", done.stdout)

    def test_queries_leave_from_other_ports_each_time(self):
        """D13 of the threats: an answer that is forged must guess more than the identifier."""
        ports = set()

        def handle(sock, query, client):
            ports.add(client[1])
            sock.sendto(answer_to(query, ttl=0), client)

        done = self.sluice(harness.PYTHON, "-c", ASKER, "1", "8", options=self.resolver(handle))
        self.assertEqual(len(done.stdout.splitlines()), 8)
        self.assertGreater(len(ports), 4)

    def test_allow_dns_reaches_resolvers_and_nothing_else_on_the_host(self):
        """What listens on port 53 of an address of the host is as far away as on any other port."""
        tcp = socket.create_server((HOST_V4, 53))
        self.addCleanup(tcp.close)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(udp.close)
        udp.bind((HOST_V4, 53))
        options = self.resolver(lambda sock, query, client: sock.sendto(answer_to(query), client))
        done = self.sluice(harness.PYTHON, "-c", ASKER.replace("100.96.0.1", HOST_V4) +
                           "t = socket.create_connection((s.getpeername()[0], 53), 60)\n"
                           "t.sendall(bytes([0, 27, 7, 7]) + b'\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\4name\\4test\\0\\0\\1\\0\\1')\n"
                           "print(len(t.recv(100)))\n", "1", "1", options=options)
        self.assertEqual(done.stdout, "0 0 43\n45\n")
        for sock in tcp, udp:
            sock.setblocking(False)
        self.assertRaises(BlockingIOError, tcp.accept)
        self.assertRaises(BlockingIOError, udp.recv, 100)


class Delivery(Case):
    options = [*harness.WITH_ADDRESSES, *RULES]

    def test_what_was_sent_by_tcp_before_the_end_arrives(self):
        """More than all buffers between hold at once, to a server that begins late."""
        begin = threading.Event()

        def handle(connection):
            begin.wait(harness.PATIENCE)
            return receive_all(connection)

        server = Server(self, handle)
        count = 3000000
        process = self.start(harness.PYTHON, "-c",
                             "import socket, sys\n"
                             "s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
                             "s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)\n"
                             "s.setblocking(False)\n"
                             "n = 0\n"
                             "try:\n"
                             "    while n < 3000000: n += s.send(b'x' * (3000000 - n))\n"
                             "except BlockingIOError: pass\n"
                             "print(n, flush=True)\n"
                             "import os; os._exit(5)\n", HOST_V4, str(server.port),
                             options=self.options)
        count = int(harness.read_line(process.stdout))
        begin.set()
        self.assertEqual(process.wait(harness.PATIENCE), 5)
        self.assertEqual(len(server.wait()), count)

    def test_a_datagram_sent_right_before_the_end_arrives(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind((HOST_V4, 0))
            receiver.settimeout(harness.PATIENCE)
            port = str(receiver.getsockname()[1])
            self.python("import os, socket, sys\n"
                        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(\n"
                        "    b'last words', (sys.argv[1], int(sys.argv[2])))\n"
                        "os._exit(0)\n", HOST_V4, port, options=self.options)
            self.assertEqual(receiver.recv(100), b"last words")

    def test_a_command_that_is_killed_leaves_what_it_sent(self):
        server = Server(self, receive_all)
        process = self.start(harness.PYTHON, "-c",
                             "import os, signal, socket, sys\n"
                             "s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
                             "s.sendall(b'last words')\n"
                             "os.kill(os.getpid(), signal.SIGKILL)\n", HOST_V4, str(server.port),
                             options=self.options)
        self.assertEqual(process.wait(harness.PATIENCE), -signal.SIGKILL)
        self.assertEqual(server.wait(), b"last words")

    def test_delivery_can_be_interrupted(self):
        never = threading.Event()
        self.addCleanup(never.set)
        server = Server(self, lambda connection: never.wait(harness.PATIENCE))
        mark = harness.Marked()
        process = self.start(harness.PYTHON, "-c",
                             "import os, socket, sys\n"
                             "s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
                             "s.setblocking(False)\n"
                             "try:\n"
                             "    while True: s.send(b'x' * 65536)\n"
                             "except BlockingIOError: pass\n"
                             "print('sent', flush=True)\n"
                             "os._exit(6)\n", HOST_V4, str(server.port), options=self.options,
                             env=mark.environment)
        self.assertEqual(harness.read_line(process.stdout), "sent")
        # The sandbox ends, the engine stays.
        while harness.child_named(process.pid, "sandbox-init") is not None:
            os.sched_yield()
        self.assertIsNotNone(harness.child_named(process.pid, "sluice-engine"))
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(harness.PATIENCE), 6)
        self.assertEqual(mark.pids(), [])


class Engine(Case):
    def engine(self):
        process = self.start("sh", "-c", "echo ready; read line", stdin=subprocess.PIPE)
        self.assertEqual(harness.read_line(process.stdout), "ready")
        engine = harness.child_named(process.pid, "sluice-engine")
        self.assertIsNotNone(engine)
        return engine

    def test_the_engine_is_confined(self):
        """test_confine.c has the calls; this is that the program does it."""
        engine = self.engine()
        status = harness.status_of(engine)
        self.assertEqual({key: status[key] for key in
                          ("Seccomp", "NoNewPrivs", "CapInh", "CapPrm", "CapEff", "CapBnd",
                           "CapAmb")},
                         {"Seccomp": "2", "NoNewPrivs": "1", "CapInh": "0" * 16,
                          "CapPrm": "0" * 16, "CapEff": "0" * 16, "CapBnd": "0" * 16,
                          "CapAmb": "0" * 16})
        if os.getuid() != 0 or not os.access(f"/proc/{engine}/root", os.X_OK):
            return
        self.assertEqual(os.listdir(f"/proc/{engine}/root"), [])
        kinds = set()
        for fd in os.listdir(f"/proc/{engine}/fd"):
            target = os.readlink(f"/proc/{engine}/fd/{fd}")
            kinds.add(target.split(":")[0])
        self.assertLessEqual(kinds, {"/dev/null", "pipe", "/dev/net/tun", "/net/tun",
                                     "anon_inode", "socket"})

    def test_the_engine_stays_in_the_hosts_network_namespace_and_in_no_other(self):
        engine = self.engine()
        if not harness.is_root():
            self.skipTest("may not look")
        self.assertEqual(os.readlink(f"/proc/{engine}/ns/net"), os.readlink("/proc/self/ns/net"))
        for kind in ("mnt", "ipc", "uts"):
            self.assertNotEqual(os.readlink(f"/proc/{engine}/ns/{kind}"),
                                os.readlink(f"/proc/self/ns/{kind}"))

    def test_r12_an_idle_engine_does_not_wake_up(self):
        """Its own count of turns does not move while something else takes its time."""
        process = self.start("sh", "-c", "echo ready; read line", stdin=subprocess.PIPE,
                             options=[*harness.WITH_ADDRESSES])
        self.assertEqual(harness.read_line(process.stdout), "ready")
        engine = harness.child_named(process.pid, "sluice-engine")
        # The guest's kernel announces its addresses at first.
        harness.settle([engine])

        def switches():
            return int(harness.status_of(engine)["voluntary_ctxt_switches"])

        before = switches()
        subprocess.run([harness.PYTHON, "-c", "sum(range(10 ** 7))"], check=True)
        self.assertLessEqual(switches() - before, 8)


if __name__ == "__main__":
    harness.main(network=[HOST_V4, HOST_V6])

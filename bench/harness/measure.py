# SPDX-License-Identifier: Apache-2.0
"""What is measured, and how: one cell is one kind of traffic, measured for each tool in turn."""

import json
import re
import select
import subprocess
import time
from contextlib import contextmanager

from . import kernel, tools
from .world import SERVER_ADDRESSES, BenchError, check

CLIENT_GRACE_S = 30        # after which a client is ended; it gives up by itself before
UDP_SIZE = 1472            # an Ethernet frame of 1500 bytes
UDP_SEGMENTS = 44          # of UDP_SIZE in one message of at most 64 KiB
CROWD_PATIENCE_S = 60      # until all idle connections stand
IDLE_SETTLE_S = 5          # until the guest's kernel has ended its own start-up traffic
TOPICS = ("tcp", "vhost", "both", "latency", "udp", "inbound", "idle", "start")


def cells(options):
    """All cells, in the order of the report. Each is a dictionary with its topic."""
    out = []
    for cc in options.cc:
        for mtu in options.mtu:
            for direction in ("up", "down"):
                out += [{"topic": "tcp", "cc": cc, "mtu": mtu, "direction": direction, "flows": n}
                        for n in options.flows]
    out += [{"topic": "vhost", "cc": options.cc[0], "mtu": mtu, "direction": direction, "flows": 1}
            for mtu in options.mtu for direction in ("up", "down")]
    out += [{"topic": "both", "cc": cc, "mtu": mtu} for cc in options.cc for mtu in options.mtu]
    common = {"cc": options.cc[0], "mtu": 1500}
    out += [{"topic": "latency", **common, "kind": kind, "is_pinned": is_pinned}
            for kind in ("rr", "crr") for is_pinned in (True, False)]
    out += [{"topic": "udp", **common, "direction": direction, "segments": segments}
            for segments in (0, UDP_SEGMENTS) for direction in ("up", "down")]
    out += [{"topic": "inbound", "cc": options.cc[0], "mtu": mtu, "direction": direction,
             "kind": "stream"} for mtu in options.mtu for direction in ("up", "down")]
    out += [{"topic": "inbound", **common, "kind": "crr"}]
    out += [{"topic": "idle", **common}, {"topic": "start", **common}]
    return [c for c in out if c["topic"] in options.only and options.match in cell_name(c)]


def cell_name(cell):
    """A cell in words."""
    topic = cell["topic"]
    way = {"up": "guest→host", "down": "host→guest"}.get(cell.get("direction"))
    if topic == "inbound":
        if cell["kind"] == "crr":
            return "published port: connect, request/response, close"
        way = "client→guest" if cell["direction"] == "up" else "guest→client"
        return f"published port: TCP {way}, MTU {cell['mtu']}, {cell['cc']}"
    if topic == "tcp":
        flows = f"{cell['flows']} flow{'s' if cell['flows'] > 1 else ''}"
        return f"TCP {way}, {flows}, MTU {cell['mtu']}, {cell['cc']}"
    if topic == "vhost":
        return f"TCP {way} through virtqueues, MTU {cell['mtu']}, {cell['cc']}"
    if topic == "both":
        return f"TCP both ways at once, MTU {cell['mtu']}, {cell['cc']}"
    if topic == "latency":
        kind = "request/response" if cell["kind"] == "rr" else "connect, request/response, close"
        return f"{kind}, {'one CPU' if cell['is_pinned'] else 'all CPUs'}"
    if topic == "udp":
        kind = "UDP_SEGMENT" if cell["segments"] else "sendmmsg"
        return f"UDP {way}, {UDP_SIZE} bytes, {kind}"
    return {"idle": "idle", "start": "start"}[topic]


def able(cell, candidates):
    """The candidates for which a cell has a meaning."""
    return [t for t in candidates if t.is_vhost == (cell["topic"] == "vhost") and
            (cell["topic"] != "start" or t.start_command() is not None) and
            (cell["topic"] != "inbound" or t.can_publish)]


class Observer:
    """What host, guest and tool counted while a client ran."""

    def __init__(self, world, guest):
        self._spaces = {"guest": guest.namespace, "host": world.host, "server": world.server}
        self._guest = guest
        self._before = self._take()

    def _take(self):
        try:
            return self._read()
        except OSError as e:
            raise BenchError("the guest's processes are gone") from e

    def _read(self):
        pids = self._guest.tool_pids()
        return {"time": time.monotonic(), "cpu": kernel.cpu_seconds(pids),
                "switches": kernel.switches(pids), "machine": kernel.machine_cpu(),
                "device": kernel.device_counters(self._guest.namespace.pid),
                "spaces": {name: ns.counters() for name, ns in self._spaces.items()}}

    def result(self):
        a, b = self._before, self._take()
        spaces = {}
        for name in self._spaces:
            delta = {k: v - a["spaces"][name][k] for k, v in b["spaces"][name].items()}
            spaces[name] = {k: v for k, v in delta.items() if v}
        return {
            "wall_s": b["time"] - a["time"],
            "tool_cpu_s": b["cpu"] - a["cpu"],
            "machine_busy_s": b["machine"]["busy"] - a["machine"]["busy"],
            "machine_steal_s": b["machine"]["steal"] - a["machine"]["steal"],
            "voluntary": b["switches"][0] - a["switches"][0],
            "involuntary": b["switches"][1] - a["switches"][1],
            "device": {k: v - a["device"].get(k, 0) for k, v in b["device"].items()},
            "counters": spaces,
        }


class Bench:
    """One run of the bench."""

    def __init__(self, world, options, candidates):
        self.world = world
        self.options = options
        self.candidates = candidates

    def measure(self, cell, tool):
        """Returns a record: the cell, the tool, and either values or an error."""
        record = {"cell": cell, "tool": tool.name}
        method = getattr(self, "_" + cell["topic"])
        try:
            self.world.set_cc(cell["cc"])
            self.world.set_mtu(cell["mtu"])
            method(cell, tool, record)
        except BenchError as e:
            record["error"] = str(e)
        return record

    @contextmanager
    def _guest(self, cell, tool, record, cpu=None, connections=0):
        server = self.world.start_server(cpu)
        try:
            guest = tool.start(self.world, cell["mtu"], cpu, connections)
            try:
                self.world.prepare_guest(guest.namespace, cell["mtu"])
                tools.wait_until_connected(self.world, guest)
                self._wait_for_quiet(record)
                yield guest
                guest.require_alive()
            finally:
                said = guest.stop()
                record["stats"] = parse_stats(said)
        finally:
            server.stop()

    def _wait_for_quiet(self, record):
        """Other load on the machine is told, and if wanted waited for."""
        deadline = time.monotonic() + self.options.wait_quiet
        busy = kernel.busy_share(0.1 if not self.options.wait_quiet else 0.5)
        while busy > self.options.quiet_share and time.monotonic() < deadline:
            busy = kernel.busy_share(1.0)
        record["busy_before"] = round(busy, 3)

    def _profile(self, guest, cell, tool):
        """A command beside the measurement, for whoever works on a tool."""
        if not self.options.beside or guest.main_pid() is None:
            return None
        name = re.sub(r"[^a-z0-9]+", "-", f"{tool.name} {cell_name(cell)}".lower())
        command = self.options.beside.replace("{pid}", str(guest.main_pid()))
        return subprocess.Popen(command.replace("{name}", name), shell=True)

    def _client(self, guest, cell, tool, record, *arguments, cpu=None, at=None, **to):
        """Runs a client to its end. Returns what it printed."""
        o = self.options
        times = ["--seconds", o.seconds, "--warmup", o.warmup]
        beside = self._profile(guest, cell, tool)
        observer = Observer(self.world, guest)
        client = self.world.client(at or guest.namespace, *arguments, *times, cpu=cpu, **to)
        try:
            out = client.output(o.seconds + o.warmup + CLIENT_GRACE_S)
            record["observed"] = observer.result()
        except BenchError:
            guest.require_alive()  # else that is the reason
            raise
        finally:
            client.stop()
            if beside is not None:
                beside.wait()
        return json.loads(out)

    def _tcp(self, cell, tool, record):
        with self._guest(cell, tool, record) as guest:
            flows = ["--" + cell["direction"], cell["flows"]]
            record["values"] = self._client(guest, cell, tool, record, "stream", *flows)

    _vhost = _tcp

    def _both(self, cell, tool, record):
        with self._guest(cell, tool, record) as guest:
            flows = ["--up", 1, "--down", 1]
            record["values"] = self._client(guest, cell, tool, record, "stream", *flows)

    def _udp(self, cell, tool, record):
        with self._guest(cell, tool, record) as guest:
            arguments = ["--" + cell["direction"], 1, "--size", UDP_SIZE, "--segments",
                         cell["segments"]]
            record["values"] = self._client(guest, cell, tool, record, "udp", *arguments)

    @contextmanager
    def _published(self, cell, tool, record):
        """A guest with a server, which the server's namespace is the client of."""
        tool.is_published = True
        try:
            guest = tool.start(self.world, cell["mtu"])
        finally:
            tool.is_published = False
        try:
            self.world.prepare_guest(guest.namespace, cell["mtu"])
            server = self.world.start_server(namespace=guest.namespace)
            try:
                tools.wait_until_connected(self.world, guest, self.world.server,
                                           to=tool.reached_at)
                self._wait_for_quiet(record)
                yield guest
                guest.require_alive()
            finally:
                server.stop()
        finally:
            record["stats"] = parse_stats(guest.stop())

    def _inbound(self, cell, tool, record):
        arguments = ["rr", "--connect"]
        if cell["kind"] == "stream":
            arguments = ["stream", "--" + cell["direction"], 1]
        with self._published(cell, tool, record) as guest:
            record["values"] = self._client(guest, cell, tool, record, *arguments,
                                            at=self.world.server, to=tool.reached_at)

    def _latency(self, cell, tool, record):
        cpu = self.options.cpu if cell["is_pinned"] else None
        kind = ["--connect", "--addresses", SERVER_ADDRESSES] if cell["kind"] == "crr" else []
        with self._guest(cell, tool, record, cpu) as guest:
            record["values"] = self._client(guest, cell, tool, record, "rr", *kind, cpu=cpu)

    def _quiet_minute(self, guest):
        """Context switches of the tool while nobody wants anything, and what woke it."""
        observer = Observer(self.world, guest)
        time.sleep(self.options.idle_seconds)
        seen = observer.result()
        return {"seconds": seen["wall_s"], "wakeups": seen["voluntary"],
                "frames": seen["device"].get("tx_frames", 0)}

    @staticmethod
    def _memory(guest):
        main = guest.main_pid()
        if main is None:
            return None
        return {"engine_kib": kernel.private_kib(main),
                "all_kib": sum(kernel.private_kib(p) for p in guest.tool_pids())}

    def _idle(self, cell, tool, record):
        """Asleep; then request/response alone, beside many connections and alone again, as a
        machine does not stay the same for long; all on one CPU."""
        cpu = self.options.cpu
        count = self.options.connections
        values = record["values"] = {"connections": count}
        with self._guest(cell, tool, record, cpu, count + 1000) as guest:
            time.sleep(min(IDLE_SETTLE_S, self.options.idle_seconds))
            values["asleep"] = self._quiet_minute(guest)
            values["memory"] = self._memory(guest)
            values["rr"] = self._client(guest, cell, tool, record, "rr", cpu=cpu)
            crowd = self.world.client(guest.namespace, "conns", "--count", count, "--addresses",
                                      SERVER_ADDRESSES, cpu=cpu, stdin=subprocess.PIPE)
            try:
                # At its end the client closes its output, too; then there is no line.
                told, _, _ = select.select([crowd.popen.stdout], [], [], CROWD_PATIENCE_S)
                if not told or crowd.popen.stdout.readline() != "ready\n":
                    values["crowd_error"] = f"{count} connections at once cannot be opened"
                    return
                time.sleep(min(2, self.options.idle_seconds))
                values["memory_crowd"] = self._memory(guest)
                values["rr_crowd"] = self._client(guest, cell, tool, record, "rr", cpu=cpu)
                values["asleep_crowd"] = self._quiet_minute(guest)
            finally:
                crowd.stop()
            time.sleep(min(2, self.options.idle_seconds))
            values["rr_after"] = self._client(guest, cell, tool, record, "rr", cpu=cpu)

    def _start(self, _cell, tool, record):
        out = check([self.world.load, "start", str(self.options.starts), *tool.start_command()])
        record["values"] = json.loads(out)


def parse_stats(text):
    """The lines of sluice run --stats: a name, a number, an explanation."""
    found = re.findall(r"^([a-z][a-z0-9_]*) +([0-9]+)  \S", text, re.MULTILINE)
    return {name: int(value) for name, value in found}

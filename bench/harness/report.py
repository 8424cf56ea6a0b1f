# SPDX-License-Identifier: Apache-2.0
"""Tables out of records: medians over the rounds, ratios, and the targets."""

import statistics

from .measure import TOPICS, cell_name

OURS = "sluice"
OURS_VHOST = "sluice vhost-user"
GIGA = 1e9
NONE = "–"


def table(header, rows):
    """A Markdown table whose columns line up as text, too."""
    rows = [[str(x) for x in row] for row in rows]
    widths = [max(len(r[i]) for r in [header, *rows]) for i in range(len(header))]
    lines = [header, ["-" * w for w in widths], *rows]
    return "\n".join("| " + " | ".join(x.ljust(w) for x, w in zip(line, widths)) + " |"
                     for line in lines)


def number(value, digits=2):
    if value is None:
        return NONE
    return f"{value:.{digits}f}" if abs(value) < 1000 else f"{value:.0f}"


def spread(values, digits=2):
    """Median, minimum and maximum as three columns."""
    if not values:
        return [NONE] * 3
    return [number(f(values), digits) for f in (statistics.median, min, max)]


def ratio(a, b):
    return a / b if a is not None and b else None


class Results:
    """Records of one run, found by cell and tool."""

    def __init__(self, data):
        self.data = data
        self.records = data["records"]
        tried = {r["tool"] for r in self.records}
        self.tools = [t["name"] for t in data["tools"] if t["name"] in tried]
        self.peers = [t["name"] for t in data["tools"] if t["is_peer"]]

    def cells(self, topic):
        out = []
        for r in self.records:
            if r["cell"]["topic"] == topic and r["cell"] not in out:
                out.append(r["cell"])
        return out

    def of(self, cell, tool):
        return [r for r in self.records
                if r["cell"] == cell and r["tool"] == tool and "error" not in r]

    def values(self, cell, tool, figure):
        """figure(record) of each round; rounds in which it is None are left out."""
        found = [figure(r) for r in self.of(cell, tool)]
        return [x for x in found if x is not None]

    def median(self, cell, tool, figure):
        values = self.values(cell, tool, figure)
        return statistics.median(values) if values else None

    def best_peer(self, cell, figure, best=max):
        found = [self.median(cell, p, figure) for p in self.peers]
        found = [x for x in found if x is not None]
        return best(found) if found else None


# Figures of one record.

def _stream_gbit(record, ways):
    v = record["values"]
    return sum(v[w]["window_bytes"] for w in ways) * 8 / v["seconds"] / GIGA


def _stream_bytes(record):
    return sum(record["values"][w]["total_bytes"] for w in ("up", "down"))


def tcp_gbit(record):
    return _stream_gbit(record, (record["cell"]["direction"],))


def up_gbit(record):
    return _stream_gbit(record, ("up",))


def down_gbit(record):
    return _stream_gbit(record, ("down",))


def balance(record):
    """Of two directions at once: the slower by the faster."""
    up, down = up_gbit(record), down_gbit(record)
    return min(up, down) / max(up, down) if max(up, down) > 0 else None


def gap_ms(record):
    return max(record["values"][w]["longest_gap_ms"] for w in ("up", "down"))


def udp_gbit(record):
    v = record["values"]
    return v["window_bytes"] * 8 / v["seconds"] / GIGA


def _bytes(record):
    if record["cell"]["topic"] == "udp":
        return record["values"]["total_bytes"]
    return _stream_bytes(record)


def tool_cpu_per_gb(record):
    if not record["observed"]["tool_cpu_s"] or not _bytes(record):
        return None
    return record["observed"]["tool_cpu_s"] / (_bytes(record) / GIGA)


def machine_cpu_per_gb(record):
    busy = record["observed"]["machine_busy_s"]
    return busy / (_bytes(record) / GIGA) if _bytes(record) else None


def retransmissions(record, place):
    return record["observed"]["counters"][place].get("Tcp.RetransSegs", 0)


def engine_retransmissions(record):
    return record.get("stats", {}).get("tcp_retransmits", 0)


def device_drops(record):
    d = record["observed"]["device"]
    return d.get("rx_drops", 0) + d.get("tx_drops", 0)


def latency(name):
    return lambda record: record["values"][name]


def wakeups(name):
    def figure(record):
        v = record["values"].get(name)
        is_tool = record["values"].get("memory") is not None
        return v["wakeups"] * 60 / v["seconds"] if v and is_tool else None
    return figure


def idle_frames(record):
    v = record["values"]["asleep"]
    return v["frames"] * 60 / v["seconds"]


def memory(which, name="memory"):
    def figure(record):
        v = record["values"].get(name)
        return v[which] if v else None
    return figure


def kib_per_connection(record):
    v = record["values"]
    if not v.get("memory") or not v.get("memory_crowd"):
        return None
    grown = v["memory_crowd"]["engine_kib"] - v["memory"]["engine_kib"]
    return grown / v["connections"]


def rr_p50(name):
    return lambda record: record["values"].get(name, {}).get("p50_us")


def rr_alone(record):
    """Before the idle connections and after them."""
    both = [v for v in (rr_p50(name)(record) for name in ("rr", "rr_after")) if v is not None]
    return sum(both) / len(both) if both else None


def crowd_ratio(record):
    return ratio(rr_p50("rr_crowd")(record), rr_alone(record))


def start_ms(record):
    return statistics.median(record["values"]["us"]) / 1000


# Tables.

def _retransmission_text(results, cell, tool):
    rounds = results.of(cell, tool)
    total = [sum(retransmissions(r, p) for r in rounds) for p in ("guest", "host", "server")]
    return "/".join(map(str, total))


def _loss_columns(results, cell, tool):
    rounds = results.of(cell, tool)
    return [_retransmission_text(results, cell, tool), sum(device_drops(r) for r in rounds)]


def _ratio_columns(results, cell, tool, figure):
    own = results.median(cell, tool, figure)
    peer = results.best_peer(cell, figure) if tool == OURS else None
    return [number(ratio(own, peer)), number(ratio(own, results.median(cell, "kernel", figure)))]


def _cpu_columns(results, cell, tool):
    return [number(results.median(cell, tool, f), 3) for f in (tool_cpu_per_gb, machine_cpu_per_gb)]


def tcp_tables(results):
    header = ["Gbit/s", "tool", "median", "min", "max", "× best peer", "× kernel", "CPU s/GB",
              "machine s/GB", "retransmitted", "dropped", "gap ms"]
    groups = {}
    for cell in results.cells("tcp"):
        groups.setdefault((cell["mtu"], cell["cc"]), []).append(cell)
    for (mtu, cc), cells in groups.items():
        rows = []
        for cell in cells:
            way = "guest→host" if cell["direction"] == "up" else "host→guest"
            for tool in results.tools:
                rows.append([f"{way}, {cell['flows']}", tool,
                             *spread(results.values(cell, tool, tcp_gbit)),
                             *_ratio_columns(results, cell, tool, tcp_gbit),
                             *_cpu_columns(results, cell, tool),
                             *_loss_columns(results, cell, tool),
                             number(results.median(cell, tool, gap_ms), 1)])
        yield f"TCP stream, MTU {mtu}, {cc}", table(header, rows)


def vhost_tables(results):
    header = ["Gbit/s", "tool", "median", "min", "max", "× best peer", "CPU s/GB", "× best peer's",
              "machine s/GB", "retransmitted", "dropped", "gap ms"]
    rows = []
    for cell in results.cells("vhost"):
        way = "guest→host" if cell["direction"] == "up" else "host→guest"
        for tool in results.tools:
            if not results.of(cell, tool):
                continue
            speed, cost = [number(r) if tool == OURS_VHOST else NONE
                           for r in _vhost_ratios(results, cell)]
            cpu = _cpu_columns(results, cell, tool)
            rows.append([f"{way}, MTU {cell['mtu']}", tool,
                         *spread(results.values(cell, tool, tcp_gbit)), speed, cpu[0], cost, cpu[1],
                         *_loss_columns(results, cell, tool),
                         number(results.median(cell, tool, gap_ms), 1)])
    if rows:
        yield "TCP stream through virtqueues (vhost-user)", table(header, rows)


def both_tables(results):
    header = ["MTU, congestion control", "tool", "guest→host", "host→guest", "slower/faster", "min",
              "max", "CPU s/GB", "machine s/GB", "retransmitted", "dropped"]
    rows = []
    for cell in results.cells("both"):
        for tool in results.tools:
            rows.append([f"{cell['mtu']}, {cell['cc']}", tool,
                         number(results.median(cell, tool, up_gbit)),
                         number(results.median(cell, tool, down_gbit)),
                         *spread(results.values(cell, tool, balance)),
                         *_cpu_columns(results, cell, tool), *_loss_columns(results, cell, tool)])
    if rows:
        yield "TCP both directions at once, one flow each, Gbit/s", table(header, rows)


def latency_tables(results):
    header = ["µs", "tool", "p50", "min", "max", "p99", "per second", "retransmitted"]
    rows = []
    for cell in results.cells("latency"):
        for tool in results.tools:
            rows.append([cell_name(cell), tool,
                         *spread(results.values(cell, tool, latency("p50_us")), 1),
                         number(results.median(cell, tool, latency("p99_us")), 1),
                         number(results.median(cell, tool, latency("rate")), 0),
                         _retransmission_text(results, cell, tool)])
    if rows:
        yield "TCP request and response of one byte", table(header, rows)


def inbound_tables(results):
    header = ["", "tool", "median", "min", "max", "p99 µs"]
    rows = []
    for cell in results.cells("inbound"):
        is_stream = cell["kind"] == "stream"
        figure = tcp_gbit if is_stream else latency("p50_us")
        for tool in results.tools:
            rows.append([cell_name(cell) + (", Gbit/s" if is_stream else ", µs"), tool,
                         *spread(results.values(cell, tool, figure), 2 if is_stream else 1),
                         NONE if is_stream else
                         number(results.median(cell, tool, latency("p99_us")), 1)])
    if rows:
        yield "Published ports", table(header, rows)


def _inbound_targets(results):
    for cell in results.cells("inbound"):
        if cell["kind"] == "crr":
            p50 = latency("p50_us")
            yield _at_most(f"{cell_name(cell)}: p50 by pasta's",
                           ratio(results.median(cell, OURS, p50),
                                 results.median(cell, "pasta", p50)), 1.3)
            continue
        # The other way round the same bytes go up and down.
        outbound = {"topic": "tcp", "cc": cell["cc"], "mtu": cell["mtu"], "flows": 1,
                    "direction": "down" if cell["direction"] == "up" else "up"}
        yield _at_least(f"{cell_name(cell)}: by the guest's own connection",
                        ratio(results.median(cell, OURS, tcp_gbit),
                              results.median(outbound, OURS, tcp_gbit)), 0.9)


def udp_tables(results):
    header = ["Gbit/s that arrive", "tool", "median", "min", "max", "× best peer", "× kernel",
              "CPU s/GB", "machine s/GB", "gap ms"]
    rows = []
    for cell in results.cells("udp"):
        way = "guest→host" if cell["direction"] == "up" else "host→guest"
        kind = "UDP_SEGMENT" if cell["segments"] else "sendmmsg"
        for tool in results.tools:
            rows.append([f"{way}, {kind}", tool, *spread(results.values(cell, tool, udp_gbit)),
                         *_ratio_columns(results, cell, tool, udp_gbit),
                         *_cpu_columns(results, cell, tool),
                         number(results.median(
                             cell, tool, lambda r: r["values"]["longest_gap_ms"]), 1)])
    if rows:
        yield "UDP datagrams of 1472 bytes, sent as fast as possible", table(header, rows)


def idle_tables(results):
    cells = results.cells("idle")
    if not cells:
        return
    cell = cells[0]
    tools = [t for t in results.tools if results.of(cell, t)]

    def row(name, figure, digits=1):
        return [name, *(number(results.median(cell, t, figure), digits) for t in tools)]

    count = results.of(cell, tools[0])[0]["values"]["connections"] if tools else 0
    rows = [
        row("wakeups per minute, asleep", wakeups("asleep")),
        row("frames per minute from the guest's kernel meanwhile", idle_frames),
        row(f"wakeups per minute, {count} idle connections", wakeups("asleep_crowd")),
        row("memory of the engine, KiB", memory("engine_kib"), 0),
        row("memory of all its processes, KiB", memory("all_kib"), 0),
        row(f"memory of the engine, {count} connections, KiB",
            memory("engine_kib", "memory_crowd"), 0),
        row("... KiB for each", kib_per_connection, 2),
        row("request/response p50 alone, µs", rr_alone),
        row("... beside the idle connections", rr_p50("rr_crowd")),
        row("... ratio", crowd_ratio, 2),
    ]
    yield "Idle (private memory; request/response on one CPU)", table(["", *tools], rows)


def start_tables(results):
    rows = []
    names = {"kernel": "unshare -rn true", OURS: "sluice run -- true", "pasta": "pasta -- true"}
    for cell in results.cells("start"):
        for tool in results.tools:
            times = [t / 1000 for r in results.of(cell, tool) for t in r["values"]["us"]]
            if times:
                rows.append([names.get(tool, tool), len(times), *spread(times)])
    if rows:
        yield "Start and end of a command, ms", table(["command", "runs", "median", "min", "max"],
                                                      rows)


def _vhost_ratios(results, cell):
    """Throughput and CPU time for each byte, ours by the best peer's."""
    own = [results.median(cell, OURS_VHOST, f) for f in (tcp_gbit, tool_cpu_per_gb)]
    return (ratio(own[0], results.best_peer(cell, tcp_gbit)),
            ratio(own[1], results.best_peer(cell, tool_cpu_per_gb, min)))


# Targets.

def _target(text, value, bound, is_met, digits=2):
    if value is None:
        return [text, bound, NONE, "not measured"]
    if is_met:
        return [text, bound, number(value, digits), "met"]
    wanted = float(bound.split()[1])
    by = f" by {abs(value - wanted) / wanted * 100:.0f} %" if wanted else ""
    return [text, bound, number(value, digits), "**missed**" + by]


def _at_least(text, value, bound):
    return _target(text, value, f"≥ {bound}", value is not None and value >= bound)


def _at_most(text, value, bound, digits=2):
    return _target(text, value, f"≤ {bound}", value is not None and value <= bound, digits)


def _tcp_targets(results):
    cells = results.cells("tcp")
    for cell in cells:
        name = cell_name(cell)
        own = results.median(cell, OURS, tcp_gbit)
        if cell["mtu"] > 1500:
            yield _at_least(f"{name}: by the best peer",
                            ratio(own, results.best_peer(cell, tcp_gbit)), 1.2)
            yield _at_least(f"{name}: by the kernel",
                            ratio(own, results.median(cell, "kernel", tcp_gbit)), 0.4)
            continue
        large = [c for c in cells if c["mtu"] > 1500 and {**c, "mtu": 1500} == cell]
        if large:
            yield _at_least(f"{name}: by our own at MTU {large[0]['mtu']}",
                            ratio(own, results.median(large[0], OURS, tcp_gbit)), 0.8)
        yield _at_least(f"{name}: by pasta",
                        ratio(own, results.median(cell, "pasta", tcp_gbit)), 8)


def _vhost_targets(results):
    for cell in results.cells("vhost"):
        speed, cpu = _vhost_ratios(results, cell)
        name, bound = cell_name(cell), 1.5 if cell["mtu"] > 1500 else 4
        yield _at_least(f"{name}: by the best peer", speed, bound)
        yield _at_most(f"{name}: CPU time for each byte, by the best peer's", cpu, 0.6)


def _loss_targets(results):
    ours = [r for r in results.records if r["tool"] in (OURS, OURS_VHOST) and "observed" in r and
            "error" not in r and r["cell"]["topic"] in ("tcp", "vhost", "both")]
    if ours:
        guest = sum(retransmissions(r, "guest") for r in ours)
        engine = sum(engine_retransmissions(r) for r in ours)
        yield _at_most(f"segments retransmitted by the guest in {len(ours)} runs", guest, 0, 0)
        yield _at_most("segments retransmitted by the engine", engine, 0, 0)


def targets(results):
    """Rows: what, bound, figure, verdict."""
    rows = [*_tcp_targets(results), *_vhost_targets(results), *_loss_targets(results),
            *_inbound_targets(results)]
    for cell in results.cells("both"):
        rows.append(_at_least(f"{cell_name(cell)}: slower by faster",
                              results.median(cell, OURS, balance), 0.5))
    for cell in results.cells("latency"):
        if cell["is_pinned"] and cell["kind"] == "rr":
            p50 = latency("p50_us")
            rows.append(_at_most(f"{cell_name(cell)}: p50 by pasta's",
                                 ratio(results.median(cell, OURS, p50),
                                       results.median(cell, "pasta", p50)), 1))
    for cell in results.cells("idle"):
        def median(figure, cell=cell):
            return results.median(cell, OURS, figure)
        rows += [_at_most("idle: wakeups per minute", median(wakeups("asleep")), 0, 0),
                 _at_most("idle: KiB of private memory of the engine", median(memory("engine_kib")),
                          2048, 0),
                 _at_most("KiB of engine memory for each idle connection",
                          median(kib_per_connection), 1),
                 _at_most("request/response beside idle connections: by alone",
                          median(crowd_ratio), 1.1)]
    for cell in results.cells("start"):
        rows.append(_at_most("sluice run -- true: ms", results.median(cell, OURS, start_ms), 20, 1))
    return rows


# The whole.

def shortcoming(record):
    """What a tool failed at in a measurement that has values, or None."""
    values = record.get("values", {})
    if "error" in record:
        return record["error"]
    if "up" in values and values["up"]["lost_bytes"] > 0:
        return "the end of a stream did not arrive, though it was closed in good order"
    return values.get("crowd_error")


def _about(data):
    m = data["machine"]
    kind = "virtual machine" if m["virtual"] else "machine"
    lines = [
        f"- Command: `{data['command']}`, {data['date']}",
        f"- Machine: {kind}, {m['cpu']}, {m['processors']} processors (siblings of the first: "
        f"{m['siblings']}), governor {m['governor']}, {m['memory_mib']} MiB, Linux {m['kernel']}",
        f"- tcp_rmem {m['net.ipv4.tcp_rmem']}, tcp_wmem {m['net.ipv4.tcp_wmem']}, rmem_max "
        f"{m['net.core.rmem_max']}, wmem_max {m['net.core.wmem_max']}, RLIMIT_NOFILE "
        f"{m['file_limit']}",
    ]
    lines += [f"- {t['name']}: {t['version']}: `{t['options']}`" for t in data["tools"]]
    busy = [r["busy_before"] for r in data["records"] if "busy_before" in r]
    steal = sum(r["observed"]["machine_steal_s"] for r in data["records"] if "observed" in r)
    wall = sum(r["observed"]["wall_s"] for r in data["records"] if "observed" in r)
    if busy and wall:
        lines.append(
            f"- Other load just before a measurement: median {statistics.median(busy) * 100:.0f} "
            f"%, maximum {max(busy) * 100:.0f} % of the machine; stolen by the hypervisor: "
            f"{steal / wall / m['processors'] * 100:.1f} %")
    return "\n".join(lines + [f"- Note: {n}" for n in data["notes"]])


def markdown(data):
    """The report on one run."""
    results = Results(data)
    makers = {"tcp": tcp_tables, "vhost": vhost_tables, "both": both_tables,
              "latency": latency_tables, "udp": udp_tables, "inbound": inbound_tables,
              "idle": idle_tables, "start": start_tables}
    parts = [_about(data)]
    for topic in TOPICS:
        parts += [f"### {title}\n\n{text}" for title, text in makers[topic](results)]
    rows = targets(results)
    if rows:
        parts.append("### Targets\n\n" + table(["what", "target", "figure", "verdict"], rows))
    failed = {}
    for r in results.records:
        complaint = shortcoming(r)
        if complaint:
            key = f"{cell_name(r['cell'])}, {r['tool']}: {complaint}"
            failed[key] = failed.get(key, 0) + 1
    if failed:
        parts.append("### Failures\n\n" +
                     "\n".join(f"- {key} ({n} times)" for key, n in failed.items()))
    return "\n\n".join(parts) + "\n"

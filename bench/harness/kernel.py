# SPDX-License-Identifier: Apache-2.0
"""What the kernel tells about processes, namespaces and the machine: reads of /proc and /sys."""

import os
import platform
import resource
import time

CPU0 = "/sys/devices/system/cpu/cpu0"
SO_ACCEPTCON = 0x10000  # of /proc/net/unix
SETTINGS = ("net.core.rmem_max", "net.core.wmem_max", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem")

# Counters of a network namespace that tell of loss, or of what was done against it.
LOSS_COUNTERS = (
    "Tcp.RetransSegs", "TcpExt.TCPTimeouts", "TcpExt.TCPOFOQueue", "TcpExt.TCPDSACKOldSent",
    "TcpExt.TCPZeroWindowDrop", "TcpExt.TCPRcvQDrop", "TcpExt.ListenDrops", "Udp.InErrors",
    "Udp.RcvbufErrors", "Udp.NoPorts",
)


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def read_or(path, otherwise=""):
    try:
        return read(path).strip()
    except OSError:
        return otherwise


def net_counters(pid):
    """The counters of a process's network namespace that LOSS_COUNTERS names."""
    out = {}
    for name in ("snmp", "netstat"):
        lines = read(f"/proc/{pid}/net/{name}").splitlines()
        for keys, values in zip(lines[::2], lines[1::2]):
            group = keys.split(":")[0]
            for key, value in zip(keys.split()[1:], values.split()[1:]):
                out[f"{group}.{key}"] = int(value)
    return {name: out.get(name, 0) for name in LOSS_COUNTERS}


def device_counters(pid):
    """Frames and drops of the one device beside lo in a process's network namespace."""
    for line in read(f"/proc/{pid}/net/dev").splitlines()[2:]:
        name, values = line.split(":")
        if name.strip() != "lo":
            v = [int(x) for x in values.split()]
            return {"rx_frames": v[1], "rx_drops": v[2] + v[3], "tx_frames": v[9],
                    "tx_drops": v[10] + v[11]}
    return {}


def children(pid):
    out = []
    for task in os.listdir(f"/proc/{pid}/task"):
        out += [int(p) for p in read_or(f"/proc/{pid}/task/{task}/children").split()]
    return out


def descendants(pid, without=()):
    """pid and all processes below it, except those of without and what is below them."""
    out, todo = [], [pid]
    while todo:
        p = todo.pop()
        if p in without or p in out:
            continue
        out.append(p)
        try:
            todo += children(p)
        except OSError:
            pass
    return out


def net_namespace(pid):
    return os.readlink(f"/proc/{pid}/ns/net")


def find_process(*words):
    """The process whose command line ends with these words, or None."""
    wanted = "\0".join(words).encode() + b"\0"
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/cmdline", "rb") as f:
                line = f.read()
        except OSError:
            continue
        if line.endswith(wanted) and line.count(b"\0") == len(words) + 1:
            return int(name)
    return None


def is_listening(path):
    """Whether somebody listens at the path of a Unix socket."""
    words = (line.split() for line in read("/proc/net/unix").splitlines())
    return any(w[-1] == path and int(w[3], 16) & SO_ACCEPTCON for w in words if len(w) > 7)


def cpu_seconds(pids):
    """CPU time that all threads of these processes have used."""
    total = 0
    for pid in pids:
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                total += int(read(f"/proc/{pid}/task/{task}/schedstat").split()[0])
        except OSError:
            pass
    return total / 1e9


def switches(pids):
    """(voluntary, involuntary) context switches of all threads of these processes."""
    counts = {"voluntary_ctxt_switches": 0, "nonvoluntary_ctxt_switches": 0}
    for pid in pids:
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                for line in read(f"/proc/{pid}/task/{task}/status").splitlines():
                    key, value = line.split(":", 1)
                    if key in counts:
                        counts[key] += int(value)
        except OSError:
            pass
    return counts["voluntary_ctxt_switches"], counts["nonvoluntary_ctxt_switches"]


def private_kib(pid):
    """Memory that would be free again without this process, in KiB."""
    total = 0
    for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith("Private_"):
            total += int(line.split()[1])
    return total


def machine_cpu():
    """Seconds that all processors have been busy, stolen by the hypervisor, and in all."""
    v = [int(x) / os.sysconf("SC_CLK_TCK") for x in read("/proc/stat").splitlines()[0].split()[1:9]]
    user, nice, system, idle, iowait, irq, softirq, steal = v
    busy = user + nice + system + irq + softirq
    return {"busy": busy, "steal": steal, "total": busy + idle + iowait + steal}


def busy_share(seconds):
    """Which part of the machine was busy or stolen over the next seconds, 0 to 1."""
    before = machine_cpu()
    time.sleep(seconds)
    after = machine_cpu()
    total = after["total"] - before["total"]
    used = after["busy"] + after["steal"] - before["busy"] - before["steal"]
    return used / total if total > 0 else 0.0


def machine():
    """The machine, for the report."""
    cpu = {}
    for line in read("/proc/cpuinfo").splitlines():
        if ":" in line:
            key, value = line.split(":", 1)
            cpu.setdefault(key.strip(), value.strip())
    flags = cpu.get("flags", "").split()
    memory = read("/proc/meminfo").split()[1]
    out = {
        "cpu": cpu.get("model name", platform.machine()),
        "processors": os.cpu_count(),
        "siblings": read_or(CPU0 + "/topology/thread_siblings_list", "unknown"),
        "virtual": "hypervisor" in flags,
        "governor": read_or(CPU0 + "/cpufreq/scaling_governor", "unknown"),
        "memory_mib": int(memory) // 1024,
        "kernel": platform.release(),
        "load_average": os.getloadavg(),
        "file_limit": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
    }
    for name in SETTINGS:
        out[name] = read_or("/proc/sys/" + name.replace(".", "/"), "unknown").replace("\t", " ")
    return out

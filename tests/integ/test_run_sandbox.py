#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""sluice run: what the command can see and do in its namespaces."""
import contextlib
import errno
import json
import os
import platform
import select
import shutil
import socket

import harness
from harness import Case

# What a Docker container has by default.
CONTAINER_CAPS = "00000000a80425fb"
NO_CAPS = "0" * 16


class Network(Case):
    def links(self, **more):
        return {link["ifname"]: link for link in json.loads(self.inside("ip -j addr", **more))}

    def test_there_is_one_card_with_the_addresses_of_the_slot(self):
        links = self.links(options=[*harness.WITH_ADDRESSES, "--mtu", "9000", "--mac",
                                    "52:54:00:12:34:56"])
        self.assertEqual(sorted(links), ["eth0", "lo"])
        card = links["eth0"]
        self.assertEqual((card["mtu"], card["address"]), (9000, "52:54:00:12:34:56"))
        self.assertIn("UP", card["flags"])
        addresses = [(a["local"], a["prefixlen"]) for a in card["addr_info"]
                     if a["scope"] == "global"]
        self.assertEqual(addresses, [(harness.GUEST_V4, 30), (harness.GUEST_V6, 64)])
        self.assertIn("UP", links["lo"]["flags"])

    def test_no_address_is_tentative(self):
        for address in self.links()["eth0"]["addr_info"]:
            self.assertFalse(address.get("tentative"), address)

    def test_all_goes_to_the_gateway(self):
        routes = json.loads(self.inside("ip -j route; ip -j -6 route").split("\n")[0])
        self.assertEqual([r["gateway"] for r in routes if r["dst"] == "default"], ["100.96.0.1"])
        routes = json.loads(self.inside("ip -j -6 route show default"))
        self.assertEqual([r["gateway"] for r in routes], ["fd42:6d73:62::1"])

    def test_a5_a_family_without_route_and_address_is_absent(self):
        """In a network namespace without any route only a given address makes a family active (A6)."""
        script = f"exec {harness.sluice} run --ipv4 100.96.0.2 -- ip -j addr show eth0"
        done = harness.run(["unshare", "-Urn" if self.user == "user" else "-n", "sh", "-c", script],
                           self.user)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        families = {a["family"] for a in json.loads(done.stdout)[0]["addr_info"]}
        self.assertEqual(families, {"inet"})

    def test_without_any_family_the_command_still_runs(self):
        script = f"exec {harness.sluice} run -v -- true"
        done = harness.run(["unshare", "-Urn" if self.user == "user" else "-n", "sh", "-c", script],
                           self.user)
        self.assertEqual(done.returncode, 0)
        self.assertIn("has no route", done.stderr)

    def test_the_command_may_ping(self):
        """Its kernel lets it make the socket; who answers is another matter."""
        self.inside("ping -c1 -w1 127.0.0.1 >/dev/null")
        self.python("import socket\n"
                    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)\n"
                    "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6)")

    def test_router_advertisements_are_not_believed(self):
        self.assertEqual(self.inside("cat /proc/sys/net/ipv6/conf/eth0/accept_ra"), "0\n")

    def test_sysfs_shows_the_commands_network(self):
        self.assertEqual(self.inside("ls /sys/class/net"), "eth0\nlo\n")


class NoNetwork(Case):
    options = ["--net", "none"]

    def test_r6_there_is_no_card_at_all(self):
        done = self.inside("ip -o link; ip route; ip -6 route | grep -v '^::1 ' || true",
                           options=self.options)
        lines = done.splitlines()
        self.assertEqual(len(lines), 1, done)
        self.assertTrue(lines[0].startswith("1: lo:"))

    def test_r6_there_is_no_engine(self):
        process = self.start("sh", "-c", "echo ready; exec cat", options=self.options,
                             stdin=harness.subprocess.PIPE)
        harness.read_line(process.stdout)
        names = [harness.status_of(pid)["Name"] for pid in harness.children_of(process.pid)]
        self.assertEqual(names, ["sandbox-init"])

    def test_connections_fail_at_once(self):
        self.python("import errno, socket\n"
                    "for family, address in ((socket.AF_INET, '192.0.2.1'),\n"
                    "                        (socket.AF_INET6, '2001:db8::1')):\n"
                    "    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):\n"
                    "        with socket.socket(family, kind) as s:\n"
                    "            assert s.connect_ex((address, 80)) == errno.ENETUNREACH\n",
                    options=self.options)

    def test_loopback_works(self):
        self.python("import socket\n"
                    "server = socket.create_server(('127.0.0.1', 0))\n"
                    "socket.create_connection(server.getsockname())\n", options=self.options)

    def test_no_resolver_is_named(self):
        self.assertNotIn("nameserver", self.inside("cat /etc/resolv.conf", options=self.options))

    def test_it_needs_no_tun_device(self):
        """Shown by a user namespace in which the device is covered."""
        if not harness.is_root():
            self.skipTest("covers a device")
        script = (f"mount -t tmpfs none /dev/net && exec {harness.sluice} run --net none -- "
                  "echo fine")
        done = harness.run(["unshare", "-m", "sh", "-c", script])
        self.assertEqual((done.stdout, done.stderr), ("fine\n", ""))


class Files(Case):
    def test_resolv_conf_names_the_gateway_and_no_search_list(self):
        """Threat D18."""
        lines = self.inside("cat /etc/resolv.conf").splitlines()
        self.assertEqual([line for line in lines if not line.startswith("#")],
                         ["nameserver 100.96.0.1", "nameserver fd42:6d73:62::1", "options edns0"])

    def test_hosts_names_localhost_the_machine_and_the_gateway(self):
        names = {}
        for line in self.inside("cat /etc/hosts").splitlines():
            address, *rest = line.split()
            for name in rest:
                names.setdefault(name, []).append(address)
        gateway = ["100.96.0.1", "fd42:6d73:62::1"]
        self.assertEqual(names["host.sluice.internal"], gateway)
        self.assertEqual(names["host.microsandbox.internal"], gateway)
        self.assertEqual(names["localhost"], ["127.0.0.1", "::1"])
        self.assertEqual(names[socket.gethostname()], ["127.0.1.1"])

    def test_b19_the_gateways_names_resolve(self):
        done = self.inside("getent ahostsv4 host.sluice.internal; "
                           "getent ahostsv6 host.microsandbox.internal")
        self.assertIn("100.96.0.1", done)
        self.assertIn("fd42:6d73:62::1", done)

    def test_the_hosts_own_files_are_not_changed(self):
        paths = ("/etc/hosts", "/etc/resolv.conf")
        before = [harness.read_file(path) for path in paths]
        self.sluice("sh", "-c", "echo x >> /etc/hosts; echo x >> /etc/resolv.conf")
        self.assertEqual(before, [harness.read_file(path) for path in paths])

    def other_etc(self, change, script):
        """Runs a script in sluice on a machine whose /etc is a copy that `change` has changed."""
        if not harness.is_root():
            self.skipTest("changes /etc")
        drop = f"exec setpriv --reuid={harness.USER_ID} --regid={harness.USER_ID} --clear-groups "
        prepare = ("d=$(mktemp -d -p \"$1\"); cp -a /etc/passwd /etc/group /etc/hosts $d; "
                   "cp -L /etc/resolv.conf $d; mkdir $d/sub; echo sub > $d/sub/file; "
                   "ln -s sub/file $d/link; chmod 755 $d; mount --bind $d /etc; "
                   f"{change}; {drop if self.user == 'user' else 'exec '} "
                   f"{harness.sluice} run {' '.join(harness.WITH_ADDRESSES)} -- sh -euc \"$2\"")
        done = harness.run(["unshare", "-m", "sh", "-euc", prepare, "sh",
                            harness.temporary_directory(), script])
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_resolv_conf_may_be_a_link(self):
        """As systemd-resolved has it."""
        done = self.other_etc("mkdir -p /etc/run; mv /etc/resolv.conf /etc/run/stub; "
                              "ln -s run/stub /etc/resolv.conf", "cat /etc/resolv.conf; cat /etc/run/stub")
        self.assertEqual(done.count("nameserver 100.96.0.1"), 2)

    def test_resolv_conf_may_be_missing(self):
        for change in ("rm /etc/resolv.conf", "rm /etc/resolv.conf /etc/hosts",
                       "ln -sf /run/no/such/file /etc/resolv.conf",
                       "ln -sf /dev/null /etc/resolv.conf",
                       "rm /etc/resolv.conf; mkfifo /etc/resolv.conf",
                       "ln -sf /proc/version /etc/resolv.conf"):
            done = self.other_etc(change, "cat /etc/resolv.conf /etc/hosts; cat /etc/link; "
                                  "ls -a /etc; test -e /dev/null && echo x > /dev/null")
            self.assertIn("nameserver 100.96.0.1", done)
            self.assertIn("100.96.0.1\thost.sluice.internal", done)
            self.assertIn("\nsub\n", done)
            for name in ("passwd", "group", "link", "sub"):
                self.assertIn(f"\n{name}\n", done)

    def test_etc_may_be_read_only(self):
        for change in ("true", "rm /etc/resolv.conf"):
            done = self.other_etc(f"{change}; mount -o remount,bind,ro /etc", "cat /etc/resolv.conf")
            self.assertIn("nameserver 100.96.0.1", done)


class HostSockets(Case):
    """Threats D24 and I6: services of the host that are reached through the file system."""

    CONNECT = ("import socket, sys\n"
               "s = socket.socket(socket.AF_UNIX, int(sys.argv[2]))\n"
               "print(s.connect_ex(sys.argv[1]))\n")

    def listen(self, path, kind=socket.SOCK_STREAM):
        server = socket.socket(socket.AF_UNIX, kind)
        self.addCleanup(server.close)
        server.bind(path)
        os.chmod(path, 0o777)
        server.listen()

    def connect(self, path, kind=socket.SOCK_STREAM, options=()):
        return int(self.python(self.CONNECT, path, str(int(kind)),
                               options=[*harness.WITH_ADDRESSES, *options]))

    def test_sockets_in_the_file_system_are_hidden(self):
        directory = harness.temporary_directory()
        for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
            path = f"{directory}/service with space {int(kind)}"
            self.listen(path, kind)
            self.assertEqual(self.connect(path, kind), errno.ECONNREFUSED)

    def test_they_are_hidden_from_the_working_directory_too(self):
        directory = harness.temporary_directory()
        self.listen(f"{directory}/service")
        done = self.python(self.CONNECT, "service", str(int(socket.SOCK_STREAM)), cwd=directory)
        self.assertEqual(int(done), errno.ECONNREFUSED)

    def test_abstract_sockets_are_hidden(self):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("\0sluice-test-abstract")
            server.listen()
            done = self.python(self.CONNECT.replace("sys.argv[1]", "'\\0sluice-test-abstract'"), "",
                               str(int(socket.SOCK_STREAM)))
        self.assertEqual(int(done), errno.ECONNREFUSED)

    def test_an_inherited_socket_leads_to_no_abstract_socket(self):
        """It belongs to the host's network namespace; Landlock is what stands in the way."""
        if harness.landlock_abi() < 6:
            self.skipTest("needs Linux 6.12")
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as lent:
            server.bind("\0sluice-test-lent")
            server.listen()
            done = self.python("import socket, sys\n"
                               "s = socket.socket(fileno=int(sys.argv[1]))\n"
                               "print(s.connect_ex('\\0sluice-test-lent'))\n",
                               str(lent.fileno()), pass_fds=[lent.fileno()])
        self.assertEqual(int(done), errno.EPERM)

    def test_they_can_be_kept(self):
        directory = harness.temporary_directory()
        for name in ("one", "two"):
            self.listen(f"{directory}/{name}")
        os.symlink("one", f"{directory}/link")
        keep = ["--keep-socket", f"{directory}/link"]
        self.assertEqual(self.connect(f"{directory}/one", options=keep), 0)
        self.assertEqual(self.connect(f"{directory}/two", options=keep), errno.ECONNREFUSED)
        self.assertEqual(self.connect(f"{directory}/two", options=["--keep-host-sockets"]), 0)

    def test_a_socket_to_keep_must_exist(self):
        self.assert_message(self.sluice("true", options=["--keep-socket", "/etc/passwd"]),
                            "--keep-socket /etc/passwd", "no such socket")

    def test_sockets_of_the_command_work(self):
        directory = harness.temporary_directory()
        os.chmod(directory, 0o777)
        self.python("import socket, sys\n"
                    "a = socket.socket(socket.AF_UNIX)\n"
                    "a.bind(sys.argv[1]); a.listen()\n"
                    "socket.socket(socket.AF_UNIX).connect(sys.argv[1])\n", f"{directory}/own")

    def test_a_path_with_a_line_break_hides_nothing_else(self):
        directory = harness.temporary_directory()
        victim = f"{directory}/file"
        with open(victim, "w", encoding="ascii") as f:
            f.write("content")
        os.chmod(victim, 0o644)
        os.mkdir(f"{directory}/0: 0 0 10000 1 1 1 ")
        self.listen(f"{directory}/x\n")
        self.assertEqual(self.inside('cat "$1"', victim), "content")


class Replaced(Case):
    """What is hidden stays so when the host replaces it, for which the kernel takes our mounts away."""

    # Answers questions: what is in a file, or what connect() to a socket says.
    ANSWER = ("import errno, socket, sys\n"
              "for line in sys.stdin:\n"
              "    kind, path = line.split()\n"
              "    try:\n"
              "        if kind == 'read':\n"
              "            with open(path) as f:\n"
              "                print(repr(f.read()), flush=True)\n"
              "        else:\n"
              "            socket.socket(socket.AF_UNIX).connect(path)\n"
              "            print('connected', flush=True)\n"
              "    except OSError as e:\n"
              "        print(errno.errorcode[e.errno], flush=True)\n")

    def begin(self, etc=None, options=()):
        """Starts a command that answers, on a machine with this /etc."""
        args = harness.command(harness.PYTHON, "-c", self.ANSWER,
                               options=[*harness.WITH_ADDRESSES, *options])
        if etc is not None:
            drop = f"--reuid={harness.USER_ID} --regid={harness.USER_ID} --clear-groups"
            args = ["unshare", "-m", "sh", "-euc", "mount --bind \"$0\" /etc; exec \"$@\"", etc,
                    *(["setpriv", *drop.split()] if self.user == "user" else []), *args]
            self.process = harness.start(args, stdin=harness.subprocess.PIPE)
        else:
            self.process = harness.start(args, self.user, stdin=harness.subprocess.PIPE)
        self.addCleanup(self.end, self.process)
        self.ask("read", "/etc/hosts")  # it has started
        self.init = harness.child_named(self.process.pid, "sandbox-init")
        self.mounts = open(f"/proc/{self.init}/mounts", encoding="utf-8")
        self.addCleanup(self.mounts.close)

    def ask(self, kind, path):
        self.process.stdin.write(f"{kind} {path}\n".encode())
        self.process.stdin.flush()
        return harness.read_line(self.process.stdout)

    def wait_until(self, kind, path, expected):
        """Asks again whenever something has been mounted or taken away in the sandbox."""
        poll = select.poll()
        poll.register(self.mounts, select.POLLPRI)
        while expected not in (answer := self.ask(kind, path)):
            if not poll.poll(harness.PATIENCE * 1000):
                raise AssertionError(f"{path} still gives {answer}")

    def make_etc(self):
        if not harness.is_root():
            self.skipTest("changes /etc")
        etc = harness.temporary_directory()
        for name in ("passwd", "group", "hosts", "nsswitch.conf", "resolv.conf", "ld.so.cache"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(f"/etc/{name}", etc)
        return etc

    @staticmethod
    def write(path):
        with open(path, "w", encoding="ascii") as f:
            f.write("the host's")

    def test_a_file_that_is_renamed_over(self):
        """As DHCP clients and NetworkManager do it; again and again."""
        etc = self.make_etc()
        self.begin(etc)
        for _ in range(3):
            for name, ours in (("resolv.conf", "nameserver 100.96.0.1"), ("hosts", "sluice")):
                self.write(f"{etc}/new")
                os.rename(f"{etc}/new", f"{etc}/{name}")
                self.wait_until("read", f"/etc/{name}", ours)

    def test_a_file_that_is_removed_or_moved_away_and_made_again(self):
        etc = self.make_etc()
        self.begin(etc)
        for take in (os.remove, lambda path: os.rename(path, f"{path}.old")):
            for name, ours in (("resolv.conf", "nameserver 100.96.0.1"), ("hosts", "sluice")):
                take(f"{etc}/{name}")
                self.wait_until("read", f"/etc/{name}", "ENOENT")
                self.write(f"{etc}/{name}")
                self.wait_until("read", f"/etc/{name}", ours)

    def test_a_link_that_is_replaced(self):
        """By a link to another file, and by a file: as when systemd-resolved is switched off."""
        etc = self.make_etc()
        os.makedirs(f"{etc}/run")
        for name in ("one", "two"):
            self.write(f"{etc}/run/{name}")
        os.remove(f"{etc}/resolv.conf")
        os.symlink("run/one", f"{etc}/resolv.conf")
        self.begin(etc)
        for replace in (lambda path: os.symlink("/etc/run/two", path), self.write):
            replace(f"{etc}/new")
            os.rename(f"{etc}/new", f"{etc}/resolv.conf")
            self.wait_until("read", "/etc/resolv.conf", "nameserver 100.96.0.1")
        self.write(f"{etc}/new")
        os.rename(f"{etc}/new", f"{etc}/resolv.conf")
        self.wait_until("read", "/etc/resolv.conf", "nameserver 100.96.0.1")

    def listen(self, path):
        server = socket.socket(socket.AF_UNIX)
        self.addCleanup(server.close)
        server.bind(path)
        os.chmod(path, 0o777)
        server.listen()
        return server

    def test_a_socket_of_a_service_that_is_started_again(self):
        path = f"{harness.temporary_directory()}/service"
        server = self.listen(path)
        self.begin()
        for _ in range(3):
            self.assertEqual(self.ask("connect", path), "ECONNREFUSED")
            server.close()
            os.remove(path)
            self.wait_until("connect", path, "ENOENT")
            server = self.listen(path)
            self.wait_until("connect", path, "ECONNREFUSED")

    def test_a_socket_whose_directories_are_made_again(self):
        """As a service manager does with those below /run; or they are moved away."""
        place = harness.temporary_directory()
        top, path = f"{place}/run", f"{place}/run/sub/service"
        os.makedirs(os.path.dirname(path))
        self.listen(path)
        self.begin()
        for take in (shutil.rmtree, lambda top: os.rename(top, f"{top}.old")):
            take(top)
            self.assertEqual(self.ask("connect", path), "ENOENT")
            os.makedirs(os.path.dirname(path))
            self.listen(path)
            self.wait_until("connect", path, "ECONNREFUSED")

    def test_what_else_happens_there_wakes_nobody(self):
        """Neither before nor after something had to be put back."""
        place = harness.temporary_directory()
        path = f"{place}/service"
        self.listen(path)
        self.begin()
        self.assert_quiet(place)
        os.remove(path)
        harness.settle([self.init])
        self.listen(path)
        self.wait_until("connect", path, "ECONNREFUSED")
        self.assert_quiet(place)

    def assert_quiet(self, place):
        harness.settle([self.init])
        before = harness.status_of(self.init)["voluntary_ctxt_switches"]
        for i in range(10):
            self.write(f"{place}/{i}")
            os.rename(f"{place}/{i}", f"{place}/moved")
            os.remove(f"{place}/moved")
        harness.settle([self.init])
        self.assertEqual(harness.status_of(self.init)["voluntary_ctxt_switches"], before)

    def test_without_inotify_there_is_a_note(self):
        done = harness.run(["unshare", "-Ur", "sh", "-euc",
                            "echo 0 > /proc/sys/user/max_inotify_instances; exec \"$@\"", "sh",
                            *harness.command("true", options=[*harness.WITH_ADDRESSES, "-v"])], self.user)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stderr.count("cannot be watched"), 1, done.stderr)


class Privileges(Case):
    def test_capabilities(self):
        status = dict(line.split(":\t") for line in
                      self.inside("grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status").splitlines())
        is_user = self.user == "user"
        own = NO_CAPS if is_user else CONTAINER_CAPS
        self.assertEqual(status, {"CapInh": NO_CAPS, "CapPrm": own, "CapEff": own,
                                  "CapBnd": CONTAINER_CAPS, "CapAmb": NO_CAPS,
                                  "NoNewPrivs": "1" if is_user else "0", "Seccomp": "2"})

    def test_what_we_mounted_cannot_be_taken_away(self):
        for path in ("/etc/resolv.conf", "/etc/hosts", "/proc", "/sys"):
            self.python("import ctypes, errno, os, sys\n"
                        "libc = ctypes.CDLL(None, use_errno=True)\n"
                        "assert libc.umount2(sys.argv[1].encode(), 2) == -1\n"
                        "assert ctypes.get_errno() == errno.EPERM, ctypes.get_errno()\n", path)

    def test_nor_in_a_namespace_of_the_commands_own(self):
        done = self.sluice("unshare", "-Um", "--map-current-user", "sh", "-c",
                           "umount -l /etc/hosts; grep -c sluice /etc/hosts")
        self.assertEqual(done.stdout, "2\n")

    def test_control_groups_cannot_be_written(self):
        """Not those of the command's user either: they may hold processes of the host."""
        mounts = [line.split() for line in harness.read_file("/proc/self/mounts").splitlines()]
        places = [m[1] for m in mounts if m[2] == "cgroup2" and m[1].startswith("/sys/fs/cgroup")]
        if not places:
            self.skipTest("needs control groups of version 2")
        place = places[0]
        if harness.is_root():
            place = f"{place}/sluice-test-{os.getpid()}"
            os.mkdir(place)
            self.addCleanup(os.rmdir, place)
            os.chown(place, harness.USER_ID, harness.USER_ID)
        self.assertIn("Read-only file system", self.sluice("mkdir", f"{place}/inner").stderr)
        done = self.sluice("unshare", "-UrmC", "sh", "-c", "mount -t cgroup2 none /mnt && echo mounted")
        self.assertEqual(done.stdout, "")
        self.assertIn("No space left", done.stderr)

    def test_the_priority_of_the_group_outside_cannot_be_changed(self):
        """The group is shared, as there is no terminal."""
        process = self.start(harness.PYTHON, "-c",
                             "import ctypes, errno, os, sys\n"
                             "try:\n"
                             "    os.setpriority(os.PRIO_PGRP, 0, 7)\n"
                             "except PermissionError:\n"
                             "    print('refused', end=' ')\n"
                             "os.setpriority(os.PRIO_PROCESS, 0, 5)\n"
                             "libc = ctypes.CDLL(None, use_errno=True)\n"
                             "number = {'x86_64': 251, 'aarch64': 30}[os.uname().machine]\n"
                             "print(libc.syscall(number, 2, 0, 3 << 13), ctypes.get_errno(), flush=True)\n"
                             "sys.stdin.read()\n", stdin=harness.subprocess.PIPE)
        self.assertEqual(harness.read_line(process.stdout), f"refused -1 {errno.EPERM}")
        self.assertEqual(os.getpriority(os.PRIO_PROCESS, process.pid),
                         os.getpriority(os.PRIO_PROCESS, 0))

    def test_the_network_cannot_be_changed(self):
        for line in ("ip link set eth0 down", "ip addr add 10.1.1.1/24 dev eth0",
                     "ip route add 10.0.0.0/8 dev lo", "ip link add type dummy"):
            self.assertIn("Operation not permitted", self.sluice("sh", "-c", line).stderr)

    def test_the_hosts_processes_cannot_be_seen_or_signalled(self):
        pids = self.inside("ls /proc | grep '^[0-9]'").split()
        self.assertLessEqual({"1", "2"}, set(pids))
        self.assertLess(max(map(int, pids)), 20)
        done = self.sluice("sh", "-c", f"kill -0 {os.getpid()}")
        self.assertIn("No such process", done.stderr)

    def test_init_cannot_be_touched(self):
        done = self.sluice("sh", "-c", "kill -KILL 1; cat /proc/1/environ; readlink /proc/1/fd/*; exit 7")
        self.assertEqual(done.returncode, 7)
        self.assertIn("Permission denied", done.stderr)
        self.assertEqual(done.stdout, "")

    def test_command_cannot_leave_by_other_socket_families(self):
        """vsock, Bluetooth and others do not belong to a network namespace (threat I7)."""
        self.python("import errno, socket\n"
                    "allowed = {1, 2, 10, 16, 17, 38}\n"
                    "for family in range(64):\n"
                    "    try:\n"
                    "        socket.socket(family, socket.SOCK_STREAM).close()\n"
                    "        assert family in allowed, family\n"
                    "    except OSError as e:\n"
                    "        assert e.errno == errno.EAFNOSUPPORT or family in allowed, e\n")

    def test_command_cannot_hide_a_family_in_the_upper_half_of_the_argument(self):
        if platform.machine() != "x86_64":
            self.skipTest("uses the number of a system call")
        self.python("import ctypes, errno\n"
                    "libc = ctypes.CDLL(None, use_errno=True)\n"
                    "call = libc.syscall\n"
                    "call.argtypes = [ctypes.c_long] * 4\n"
                    "assert call(41, 40 | 1 << 40, 1, 0) == -1\n"
                    "assert ctypes.get_errno() == errno.EAFNOSUPPORT\n")

    def test_command_has_no_io_uring(self):
        self.python("import ctypes, errno\n"
                    "libc = ctypes.CDLL(None, use_errno=True)\n"
                    "for number in (425, 426):\n"
                    "    assert libc.syscall(number, -1, 0, 0, 0, None, 0) == -1\n"
                    "    assert ctypes.get_errno() == errno.ENOSYS\n")

    def test_command_cannot_have_the_host_look_for_a_key(self):
        """request_key(2) with a text for the host's program; without one, the kernel sees the call, and
        its bad address."""
        if platform.machine() != "x86_64":
            self.skipTest("uses the number of a system call")
        self.python("import ctypes, errno\n"
                    "libc = ctypes.CDLL(None, use_errno=True)\n"
                    "for text, error in ((b'x', errno.ENOKEY), (None, errno.EFAULT)):\n"
                    "    assert libc.syscall(249, 1, b'x', text, 0) == -1\n"
                    "    assert ctypes.get_errno() == error, ctypes.get_errno()\n")

    def test_command_cannot_type_into_the_terminal(self):
        self.python("import errno, fcntl, pty\n"
                    "master, slave = pty.openpty()\n"
                    "for request in (0x5412, 0x541c, 0x5412 | 1 << 32):\n"
                    "    try:\n"
                    "        fcntl.ioctl(slave, request & 0xffffffff, b'x')\n"
                    "        assert False\n"
                    "    except OSError as e:\n"
                    "        assert e.errno == errno.EPERM, e\n")


class RootPrivileges(Case):
    users = ("root",)

    def test_kernel_settings_are_read_only(self):
        for path in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/sys/kernel/mm/ksm/run",
                     "/sys/fs/cgroup/x"):
            done = self.sluice("sh", "-c", f": >> {path}")
            self.assertNotEqual(done.returncode, 0)
            self.assertRegex(done.stderr, "Read-only file system|Permission denied|nonexistent")
        mounts = self.inside("cat /proc/self/mounts").splitlines()
        for path in ("/proc/sys", "/proc/sysrq-trigger", "/sys"):
            if not os.path.exists(path):
                continue
            options = [m.split()[3] for m in mounts if m.split()[1] == path][-1]
            self.assertIn("ro", options.split(","))

    def test_other_users_can_be_become(self):
        """As apt-get does it."""
        done = self.inside("setpriv --reuid=33 --regid=33 --init-groups id -u; "
                           "cd \"$1\"; : > file; chown 33:33 file; stat -c %u file",
                           harness.temporary_directory())
        self.assertEqual(done, "33\n33\n")

    def test_supplementary_groups_are_kept(self):
        done = harness.subprocess.run(harness.command("id", "-G"), extra_groups=[0, 4, 27],
                                      stdout=harness.subprocess.PIPE, text=True, check=True)
        self.assertEqual(done.stdout, "0 4 27\n")

    def test_the_hosts_network_namespace_cannot_be_entered(self):
        done = self.sluice("nsenter", f"--net=/proc/{os.getpid()}/ns/net", "true")
        self.assertNotEqual(done.returncode, 0)
        with open("/proc/self/ns/net", "rb") as host:
            done = self.sluice("nsenter", f"--net=/proc/self/fd/{host.fileno()}", "true",
                               pass_fds=[host.fileno()])
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("Operation not permitted", done.stderr)


if __name__ == "__main__":
    harness.main()

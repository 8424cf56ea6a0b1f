#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""sluice run: what is missing or wrong is named in one sentence, with the remedy, and exit status 125."""
import ctypes
import os
import pathlib
import re
import resource
import shlex
import struct
import subprocess

import harness
from harness import Case

TREE = pathlib.Path(__file__).resolve().parents[2]

# System calls and their numbers on x86-64, for simulated kernels that refuse them.
CLONE, MOUNT, IOCTL, PRCTL, SECCOMP, MOUNT_SETATTR, LANDLOCK = 56, 165, 16, 157, 317, 442, 444


def refuse(*rules):
    """Makes system calls fail from now on: (number, error, index of an argument or None, its value or
    mask, whether it is a mask)."""
    def op(code, k, jt=0, jf=0):
        return struct.pack("HBBI", code, jt, jf, k)

    load, equal, any_bit, ret = 0x20, 0x15, 0x45, 0x06
    program = b""
    for number, error, argument, value, is_mask in rules:
        test = []
        if argument is not None:
            test = [op(load, 16 + 8 * argument), op(any_bit if is_mask else equal, value, 0, 1)]
        body = b"".join([*test, op(ret, 0x00050000 | error)])
        program += op(load, 0) + op(equal, number, 0, len(body) // 8) + body
    program += op(ret, 0x7fff0000)
    buffer = ctypes.create_string_buffer(program, len(program))
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program) // 8,
                                                   ctypes.addressof(buffer)))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_void_p] * 4
    assert libc.prctl(38, 1, None, None, None) == 0
    assert libc.prctl(22, 2, ctypes.addressof(head), None, None) == 0


class Missing(Case):
    def refused(self, *parts, options=harness.WITH_ADDRESSES, args=("true",), **more):
        self.assert_message(self.sluice(*args, options=options, **more), *parts)

    def in_namespace(self, prepare, *parts, flags="-Ur"):
        """In a user namespace whose root has prepared something."""
        script = f"{prepare}; exec {' '.join(harness.command('true'))}"
        done = harness.run(["unshare", flags, "sh", "-euc", script], self.user)
        self.assert_message(done, *parts)

    def test_user_namespaces_switched_off(self):
        self.in_namespace("echo 0 > /proc/sys/user/max_user_namespaces",
                          "user namespaces", "user.max_user_namespaces is 0",
                          "sysctl user.max_user_namespaces=")

    def test_other_namespaces_switched_off(self):
        for kind, name in (("net", "network"), ("mnt", "mount"), ("pid", "PID")):
            self.in_namespace(f"echo 0 > /proc/sys/user/max_{kind}_namespaces",
                              f"{name} namespaces", f"sysctl user.max_{kind}_namespaces=")

    def test_too_many_namespaces(self):
        self.in_namespace("echo 1 > /proc/sys/user/max_user_namespaces; exec unshare -Ur "
                          f"{' '.join(harness.command('true'))}", "too many namespaces",
                          "/proc/sys/user")

    def test_a_container_that_forbids_namespaces(self):
        if os.uname().machine != "x86_64":
            self.skipTest("uses the numbers of system calls")
        self.refused("namespaces cannot be made", "Operation not permitted", "container",
                     preexec_fn=lambda: refuse((CLONE, 1, 0, 0x10000000, True)))
        self.refused("kernel has no", "CONFIG_USER_NS",
                     preexec_fn=lambda: refuse((CLONE, 22, 0, 0x10000000, True)))

    def test_a_security_module_that_takes_the_rights_away(self):
        if os.uname().machine != "x86_64":
            self.skipTest("uses the numbers of system calls")
        self.refused("temporary file system", "Permission denied", "AppArmor",
                     preexec_fn=lambda: refuse((MOUNT, 13, None, 0, False)))
        self.refused("TAP", "Operation not permitted",
                     preexec_fn=lambda: refuse((IOCTL, 1, 1, 0x400454ca, False)))

    def test_apparmors_restriction_of_user_namespaces(self):
        if not harness.is_root() or os.uname().machine != "x86_64":
            self.skipTest("covers kernel settings")
        args = ["unshare", "-m", "sh", "-euc",
                "mount -t tmpfs none /proc/sys/kernel; "
                "echo 1 > /proc/sys/kernel/apparmor_restrict_unprivileged_userns; "
                f"exec {' '.join(harness.command('true'))}"]
        # The TAP is the first thing that needs a capability.
        done = harness.run(args, preexec_fn=lambda: refuse((IOCTL, 1, 1, 0x400454ca, False)))
        self.assert_message(done, "TAP", "AppArmor",
                            "sysctl kernel.apparmor_restrict_unprivileged_userns=0")

    def test_a_kernel_without_filters(self):
        if os.uname().machine != "x86_64":
            self.skipTest("uses the numbers of system calls")
        self.refused("filtered", "CONFIG_SECCOMP_FILTER", preexec_fn=lambda: refuse(
            (SECCOMP, 22, None, 0, False), (PRCTL, 22, 0, 22, False)))

    def test_a_kernel_that_cannot_keep_signals_inside(self):
        """The command loses its process group, but no guarantee is lost."""
        if os.uname().machine != "x86_64":
            self.skipTest("uses the numbers of system calls")
        inside = " ".join(harness.command("sh", "-c", "'kill -KILL 0 || exit 3'"))
        done = harness.run(["sh", "-c", f"{inside}; echo status $?"], self.user,
                           start_new_session=True,
                           preexec_fn=lambda: refuse((LANDLOCK, 38, None, 0, False)))
        self.assertEqual((done.returncode, done.stdout), (0, "status 3\n"))
        self.assertIn("Operation not permitted", done.stderr)

    def test_a_kernel_that_cannot_make_mounts_read_only(self):
        """Before Linux 5.12: a user's command sees no control groups, one of root is not run."""
        if os.uname().machine != "x86_64" or not os.path.isdir("/sys/fs/cgroup"):
            self.skipTest("uses the number of a system call, and control groups")
        done = self.sluice("ls", "-A", "/sys/fs/cgroup",
                           preexec_fn=lambda: refuse((MOUNT_SETATTR, 38, None, 0, False)))
        if self.user == "root":
            self.assert_message(done, "read-only", "Linux 5.12")
        else:
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def device(self, change, *parts):
        """With another /dev/net, which only root can make."""
        if not harness.is_root():
            self.skipTest("covers a device")
        drop = f"setpriv --reuid={harness.USER_ID} --regid={harness.USER_ID} --clear-groups "
        script = (f"mount -t tmpfs none /dev/net; {change}; exec {drop if self.user == 'user' else ''}"
                  f"{' '.join(harness.command('true'))}")
        self.assert_message(harness.run(["unshare", "-m", "sh", "-euc", script]), *parts)

    def test_no_tun_device(self):
        self.device("true", "/dev/net/tun is missing", "modprobe tun", "--device /dev/net/tun")

    def test_a_tun_device_that_may_not_be_opened(self):
        change = "mknod -m 0600 /dev/net/tun c 10 200"
        if self.user == "user":
            self.device(change, "/dev/net/tun may not be opened", "Permission denied", "0666")
        else:
            self.device(f"{change}; mount -o remount,nodev /dev/net", "/dev/net/tun may not be opened",
                        "Permission denied")

    def test_a_tun_device_that_is_none(self):
        self.device("ln -s /dev/null /dev/net/tun", "TAP", "10, 200")
        self.device("mknod -m 0666 /dev/net/tun c 10 1", "/dev/net/tun", "modprobe tun")

    def test_no_proc(self):
        if not harness.is_root() or harness.is_sanitized():
            self.skipTest("covers /proc")
        drop = f"setpriv --reuid={harness.USER_ID} --regid={harness.USER_ID} --clear-groups "
        done = harness.run(["unshare", "-m", "sh", "-euc",
                            f"mount -t tmpfs none /proc; exec {drop if self.user == 'user' else ''}"
                            f"{' '.join(harness.command('true'))}"])
        self.assert_message(done, "/proc is not mounted", "mount -t proc proc /proc")

    def test_a_proc_with_masked_parts_is_left_as_it_is(self):
        """As in a container; the kernel does not let it be mounted anew there."""
        if not harness.is_root():
            self.skipTest("covers parts of /proc")
        drop = f"setpriv --reuid={harness.USER_ID} --regid={harness.USER_ID} --clear-groups "
        done = harness.run(["unshare", "-m", "sh", "-euc",
                            "mount -t tmpfs none /proc/irq; mount -t tmpfs none /sys/kernel; "
                            f"exec {drop if self.user == 'user' else ''}{harness.sluice} run -v "
                            f"{' '.join(harness.WITH_ADDRESSES)} -- sh -c "
                            "'cat /proc/self/comm; cat /etc/hosts; ip -o link; exit 9'"])
        self.assertEqual(done.returncode, 9, done.stderr)
        self.assertIn("/proc stays the host's", done.stderr)
        self.assertIn("cat\n", done.stdout)
        self.assertIn("host.sluice.internal", done.stdout)

    def test_capabilities_that_root_lacks(self):
        """As in a container: no id but the own can be mapped then."""
        if self.user == "user":
            self.skipTest("needs root")
        done = harness.run(["setpriv", "--bounding-set=-setuid,-setgid,-sys_admin",
                            *harness.command("id", "-u")])
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "0\n", ""))


class Options(Case):
    users = ("user",)

    # A command line, and what the one sentence must say.
    WRONG = (
        (["--mtu", "1279"], "--mtu 1279", "1280 to 65520"),
        (["--mtu", "65521"], "--mtu 65521"),
        (["--mtu", "1500x"], "--mtu 1500x"),
        (["--mtu", "-1"], "--mtu -1"),
        (["--mtu", "+1500"], "--mtu +1500"),
        (["--mtu", ""], "--mtu "),
        (["--mtu", "99999999999999999999"], "--mtu 99999999999999999999"),
        (["--slot", "65536"], "--slot 65536", "0 to 65535"),
        (["--max-connections", "0"], "--max-connections 0", "1 to 1000000"),
        (["--max-connections", "-5"], "--max-connections -5"),
        (["--max-connections", "1000001"], "--max-connections 1000001"),
        (["--max-connections", "many"], "--max-connections many"),
        (["--max-udp-flows", "0"], "--max-udp-flows 0"),
        (["--udp-idle", "0"], "--udp-idle 0"),
        (["--tcp-idle", "1.5"], "--tcp-idle 1.5"),
        (["--tcp-keepalive", "x"], "--tcp-keepalive x"),
        (["--dns-query-timeout-ms", "0"], "--dns-query-timeout-ms 0"),
        (["--ipv4", "100.96.0.3"], "--ipv4 100.96.0.3", "/30"),
        (["--ipv4", "fd00::2"], "--ipv4 fd00::2", "IPv4 address"),
        (["--ipv4", "1.2.3"], "--ipv4 1.2.3"),
        (["--ipv4", "127.0.0.2"], "--ipv4 127.0.0.2"),
        (["--ipv6", "1.2.3.4"], "--ipv6 1.2.3.4"),
        (["--ipv6", "fd00::1"], "--ipv6 fd00::1", "gateway"),
        (["--ipv6", "fe80::2"], "--ipv6 fe80::2"),
        (["--mac", "1:2:3"], "--mac 1:2:3"),
        (["--mac", "01:00:00:00:00:00"], "--mac 01:00:00:00:00:00", "unicast"),
        (["--mac", "02:6d:73:00:00:01"], "--mac 02:6d:73:00:00:01", "gateway"),
        (["--ipv4-pool", "10.0.0.0"], "--ipv4-pool 10.0.0.0"),
        (["--ipv4-pool", "10.0.0.0/31"], "--ipv4-pool 10.0.0.0/31", "30"),
        (["--ipv4-pool", "10.0.0.1/8"], "--ipv4-pool 10.0.0.1/8", "bits"),
        (["--ipv6-pool", "fd00::/65"], "--ipv6-pool fd00::/65", "64"),
        (["--dns-nameserver", "dns.example"], "--dns-nameserver dns.example"),
        (["--dns-nameserver", "1.1.1.1:0"], "--dns-nameserver 1.1.1.1:0"),
        ([x for i in range(9) for x in ("--dns-nameserver", f"1.1.1.{i}")], "1.1.1.8", "at most 8"),
        (["--net", "publik"], "--net 'publik'", "public"),
        (["--net", ""], "--net ''"),
        (["--net-rule", "allow@"], "--net-rule 'allow@'"),
        (["--net-rule", "allow@localdoman"], "--net-rule 'allow@localdoman'", "unknown target 'localdoman'"),
        (["--net-rule", "allow@*.com"], "--net-rule 'allow@*.com'"),
        (["--net-default-egress", "maybe"], "--net-default-egress maybe", "allow or deny"),
        (["--net-default-ingress", "ALLOW"], "--net-default-ingress ALLOW"),
        (["--events", "/no/such/directory/file"], "--events /no/such/directory/file",
         "No such file", "make its directory"),
        (["--events", "/"], "--events /", "Is a directory"),
        (["--keep-socket", "/no/such/socket"], "--keep-socket /no/such/socket"),
    )

    def test_b12_wrong_values_are_named(self):
        for options, *parts in self.WRONG:
            with self.subTest(options=options):
                self.assert_message(self.sluice("true", options=[*harness.WITH_ADDRESSES, *options]),
                                    *parts)

    def test_slots_outside_of_a_pool(self):
        """Only a family that is in use is asked for."""
        done = self.sluice("true", options=["--ipv4-pool", "10.0.0.0/30", "--slot", "1", "--ipv6",
                                            harness.GUEST_V6, "--ipv4", harness.GUEST_V4])
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_no_command(self):
        for options in ([], ["--"], ["--mtu", "1500"]):
            done = harness.run([harness.sluice, "run", *options], self.user)
            self.assert_message(done, "no command")

    def test_unknown_options_and_commands(self):
        for options, *parts in (
                (["--no-such-option", "true"], "no option --no-such-option", "`sluice run --help`"),
                (["--no-such=option", "true"], "no option --no-such;"),
                (["-v", "--bad", "-x"], "no option --bad;"),
                (["-x"], "no option -x;", "`sluice run --help`"),
                (["-xv"], "no option -x;"),
                (["-vx", "true"], "no option -x;"),
                (["--mtu"], "--mtu needs a value", "BYTES"),
                (["--mt"], "--mtu needs a value"),
                (["--max", "1"], "--max could be one of several", "`sluice run --help`"),
                (["--stats=yes", "true"], "--stats takes no value", "=yes")):
            with self.subTest(options=options):
                self.assert_message(harness.run([harness.sluice, "run", *options], self.user), *parts)
        self.assert_message(harness.run([harness.sluice, "walk"], self.user), "no command walk",
                            "--help")
        self.assert_message(harness.run([harness.sluice], self.user), "which command", "--help")

    def test_help_is_as_in_the_golden_files(self):
        for args, name in ((["--help"], "sluice"), (["run", "--help"], "run")):
            done = harness.run([harness.sluice, *args], self.user)
            self.assertEqual(done.stdout, harness.read_file(TREE / f"tests/golden/help/{name}.txt"))

    def test_the_man_page_has_all_options(self):
        page = harness.read_file(TREE / "doc/sluice.1.scd")
        text = harness.run([harness.sluice, "run", "--help"], self.user).stdout
        options = re.findall(r"^ +(?:-.,? )?(--[a-z0-9-]+)", text, re.M)
        self.assertGreater(len(options), 20)
        for option in options:
            self.assertIn(f"*{option}*", page)
        for option in re.findall(r"^\*(--[a-z0-9-]+)\*", page, re.M):
            if option != "--help":
                self.assertIn(option, options)

    def test_the_options_in_the_man_pages_examples_are_accepted(self):
        page = harness.read_file(TREE / "doc/sluice.1.scd").split("# EXAMPLES")[1]
        examples = re.findall(r"^\tsluice run (.*?)-- ", page, re.M)
        self.assertGreater(len(examples), 4)
        directory = harness.temporary_directory()
        os.chmod(directory, 0o777)
        for example in examples:
            with self.subTest(example=example):
                done = self.sluice("true", options=[*harness.WITH_ADDRESSES,
                                                    *shlex.split(example)], cwd=directory)
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_version_and_help(self):
        done = harness.run([harness.sluice, "--version"], self.user)
        self.assertRegex(done.stdout, r"^sluice \d+\.\d+\.\d+\n$")
        for args in (["--help"], ["run", "--help"], ["run", "--usage"]):
            done = harness.run([harness.sluice, *args], self.user)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("Usage: sluice", done.stdout)

    def test_help_that_cannot_be_written_is_a_failure(self):
        for args in (["--help"], ["--version"], ["run", "--help"], ["run", "--usage"]):
            with open("/dev/full", "w", encoding="ascii") as full:
                done = subprocess.run([harness.sluice, *args], stdout=full, stderr=subprocess.PIPE,
                                      text=True, check=False)
            self.assertEqual(done.returncode, 125)
            self.assertRegex(done.stderr, r"^sluice: .* cannot be written: No space left on device\n$")

    def test_too_few_open_files(self):
        """At whichever of its steps the limit is met; init and the launcher may both meet it."""
        def limit(count):
            return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))

        has_started = False
        for count in range(4, 40):
            done = self.sluice("true", options=[*harness.WITH_ADDRESSES, "--events", "/dev/null"],
                               preexec_fn=limit(count))
            if has_started or done.returncode == 0:
                has_started = True
                self.assertEqual((done.returncode, done.stderr), (0, ""))
            else:
                self.assertEqual(done.returncode, 125)
                for line in done.stderr.splitlines() or [""]:
                    self.assertRegex(line, r"^sluice: .*Too many open files.*; raise .* \(ulimit -n\)$")
        self.assertTrue(has_started)


if __name__ == "__main__":
    harness.main()

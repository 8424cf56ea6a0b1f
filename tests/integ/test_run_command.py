#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""sluice run: what the command gets, and how its end is passed on."""
import os
import resource
import signal
import socket
import subprocess
import sys
import unittest

import harness
from harness import Case


class ExitStatus(Case):
    def test_the_commands_status_is_passed_on(self):
        for status in (0, 1, 42, 125, 255):
            done = self.sluice("sh", "-c", f"exit {status}")
            self.assertEqual((done.returncode, done.stderr), (status, ""))

    def test_death_by_a_signal_is_passed_on(self):
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGSEGV, signal.SIGRTMIN):
            done = self.sluice("sh", "-c", f"kill -{int(number)} $$")
            self.assertEqual((done.returncode, done.stderr), (-number, ""))

    def test_our_own_core_is_not_dumped(self):
        directory = harness.temporary_directory()
        os.chmod(directory, 0o777)
        unlimited = resource.RLIM_INFINITY
        if resource.getrlimit(resource.RLIMIT_CORE)[1] != unlimited and not harness.is_root():
            self.skipTest("core dumps are limited")

        def allow_cores():
            resource.setrlimit(resource.RLIMIT_CORE, (unlimited, unlimited))

        done = self.sluice("sh", "-c", "ulimit -c 0; kill -ABRT $$", preexec_fn=allow_cores,
                           cwd=directory)
        self.assertEqual(done.returncode, -signal.SIGABRT)
        self.assertEqual(os.listdir(directory), [])

    def test_a_command_that_is_not_found_gives_127(self):
        self.assert_message(self.sluice("no-such-command"), "no-such-command", "not found",
                            status=127)
        self.assert_message(self.sluice("/no/such/file"), "/no/such/file", "not found", status=127)

    def test_a_command_that_cannot_be_run_gives_126(self):
        self.assert_message(self.sluice("/etc/passwd"), "/etc/passwd", "Permission denied",
                            status=126)
        self.assert_message(self.sluice("/"), "cannot be run", status=126)

    def test_a_name_with_control_characters_makes_one_line(self):
        self.assert_message(self.sluice("x\ny\x1b[31m"), "x?y?[31m: not found", status=127)


class Surroundings(Case):
    def test_standard_descriptors_are_kept(self):
        done = self.sluice("sh", "-c", "cat; echo error >&2", stdin=None, input="through\n")
        self.assertEqual((done.stdout, done.stderr), ("through\n", "error\n"))

    def test_the_environment_is_kept(self):
        environment = {"PATH": os.environ["PATH"], "A": "1", "EMPTY": "", "LONG": "x" * 100000}
        done = self.sluice("env", "-0", env=environment)
        self.assertEqual(sorted(done.stdout.split("\0")[:-1]),
                         sorted(f"{k}={v}" for k, v in environment.items()))

    def test_the_working_directory_is_kept(self):
        directory = harness.temporary_directory()
        self.assertEqual(self.inside("pwd -P; ls -d .", cwd=directory), f"{directory}\n.\n")

    def test_a_working_directory_below_a_mount_of_ours_is_the_new_one(self):
        for directory in ("/proc", "/etc", "/sys"):
            self.assertEqual(self.inside("pwd -P", cwd=directory), f"{directory}\n")
        self.assertEqual(self.inside("cat self/comm", cwd="/proc"), "cat\n")
        self.assertEqual(self.inside("cat hosts", cwd="/etc"), self.inside("cat /etc/hosts"))

    def test_a_working_directory_that_is_not_in_the_sandbox_is_refused(self):
        """It would lead to the host's processes, also if it shows one that has ended."""
        done = self.sluice("ls", cwd=f"/proc/{os.getpid()}")
        self.assert_message(done, f"/proc/{os.getpid()}", "not there", "another one")
        script = "sleep 1000 & cd /proc/$!; kill $!; wait $! 2>/dev/null || true; exec \"$@\""
        done = harness.run(["sh", "-uc", script, "sh", *harness.command("ls", "..")], self.user)
        self.assert_message(done, "(removed)", "not there", "another one")

    def test_a_working_directory_that_was_removed_is_kept(self):
        directory = harness.temporary_directory()
        script = "cd \"$0\"; rmdir \"$0\"; exec \"$@\""
        done = harness.run(["sh", "-euc", script, directory, *harness.command("sh", "-c", "exit 3")])
        self.assertEqual(done.returncode, 3)

    def test_the_mode_mask_and_limits_are_kept(self):
        script = "umask; ulimit -n; ulimit -s; ulimit -c"

        def change():
            os.umask(0o137)
            resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

        outside = harness.run(["sh", "-c", script], self.user, preexec_fn=change).stdout
        self.assertEqual(self.inside(script, preexec_fn=change), outside)

    def test_files_that_the_command_is_shown_are_readable_whatever_the_mode_mask(self):
        done = self.inside("stat -c %a /etc/resolv.conf /etc/hosts",
                           preexec_fn=lambda: os.umask(0o777))
        self.assertEqual(done, "644\n644\n")

    def test_ids_and_groups_are_kept(self):
        script = "id -u; id -g"
        outside = harness.run(["sh", "-c", script], self.user).stdout
        self.assertEqual(self.inside(script), outside)

    def test_signal_dispositions_and_mask_are_kept(self):
        script = "grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status"

        def change():
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])

        def grep(args):
            return harness.run(args, self.user, preexec_fn=change, restore_signals=False).stdout

        args = ["grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"]
        self.assertEqual(grep(harness.command(*args)), grep(args))

    def test_options_of_the_command_are_its_own(self):
        done = harness.run([harness.sluice, "run", *harness.WITH_ADDRESSES, "echo", "--mtu", "-v",
                            "--", "--help"], self.user)
        self.assertEqual((done.returncode, done.stdout), (0, "--mtu -v -- --help\n"))

    def test_the_file_system_is_the_hosts(self):
        directory = harness.temporary_directory()
        os.chmod(directory, 0o777)
        self.inside('echo written > "$1/file"', directory)
        with open(f"{directory}/file", encoding="ascii") as f:
            self.assertEqual(f.read(), "written\n")


class Descriptors(Case):
    def test_nothing_of_ours_is_left_open(self):
        done = self.inside("ls -l /proc/self/fd")
        numbers = sorted(line.split(" -> ")[0].split()[-1] for line in done.splitlines()[1:])
        self.assertEqual(numbers, ["0", "1", "2", "3"])  # 3 is that of ls itself

    def test_pipes_and_files_are_passed_on(self):
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        self.inside(f"echo through >&{write}", pass_fds=[write])
        os.close(write)
        self.assertEqual(os.read(read, 100), b"through\n")

    def test_unix_sockets_are_passed_on(self):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self.inside(f"echo through >&{theirs.fileno()}", pass_fds=[theirs.fileno()])
            self.assertEqual(ours.recv(100), b"through\n")

    def test_network_sockets_and_directories_are_not_passed_on(self):
        directory = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
        self.addCleanup(os.close, directory)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp, \
                socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp, \
                socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as netlink:
            fds = [tcp.fileno(), udp.fileno(), netlink.fileno(), directory]
            done = self.inside('for fd; do test -e /proc/self/fd/$fd && echo $fd; done; true',
                               *map(str, fds), pass_fds=fds)
            self.assertEqual(done, "")
            done = self.sluice("true", options=[*harness.WITH_ADDRESSES, "-v"], pass_fds=fds)
            self.assertIn(f"descriptor {tcp.fileno()} is a network socket", done.stderr)

    def test_a_network_socket_as_standard_input_is_refused(self):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
            self.assert_message(self.sluice("true", stdin=tcp.fileno()), "descriptor 0",
                                "network socket", "pipe")
        directory = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
        self.addCleanup(os.close, directory)
        self.assert_message(self.sluice("true", stdin=directory), "descriptor 0", "directory")

    def test_closed_standard_descriptors_do_no_harm(self):
        def close_all():
            for fd in (0, 1, 2):
                os.close(fd)

        done = self.sluice("sh", "-c", "exit 3", preexec_fn=close_all)
        self.assertEqual(done.returncode, 3)


if __name__ == "__main__":
    harness.main()

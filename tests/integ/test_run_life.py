#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""sluice run: signals, and the end of everything."""
import errno
import os
import signal
import subprocess

import harness
from harness import Case

# Counts each signal that it gets and tells it in a line; ends at SIGQUIT's second coming.
COUNTER = r"""
import os, signal, sys
def say(number, frame):
    print(signal.Signals(number).name, flush=True)
for number in (1, 2, 10, 12, 15, 18, 28, 34):
    signal.signal(number, say)
signal.signal(signal.SIGQUIT, lambda *_: (print("end", flush=True), os._exit(0)))
print("ready", flush=True)
while True:
    signal.pause()
"""


class Signals(Case):
    def counter(self, **more):
        process = self.start(harness.PYTHON, "-c", COUNTER, **more)
        self.assertEqual(harness.read_line(process.stdout), "ready")
        return process

    def finish(self, process):
        """All lines up to the end."""
        process.send_signal(signal.SIGQUIT)
        lines = []
        while not lines or lines[-1] != "end":
            lines.append(harness.read_line(process.stdout))
        self.assertEqual(process.wait(harness.PATIENCE), 0)
        return lines[:-1]

    def test_signals_to_the_launcher_reach_the_command_once(self):
        process = self.counter()
        for name in ("SIGHUP", "SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGCONT"):
            process.send_signal(signal.Signals[name])
            self.assertEqual(harness.read_line(process.stdout), name)
        self.assertEqual(self.finish(process), [])

    def test_signals_to_the_group_reach_the_command_once(self):
        process = self.counter(start_new_session=True)
        messengers = [process.pid, harness.child_named(process.pid, "sandbox-init")]
        for name in ("SIGHUP", "SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGCONT") * 3:
            os.killpg(process.pid, signal.Signals[name])
            self.assertEqual(harness.read_line(process.stdout), name)
            # The kernel merges signals that a process has not taken yet.
            harness.settle(messengers)
            process.send_signal(signal.Signals[name])
            self.assertEqual(harness.read_line(process.stdout), name)
            harness.settle(messengers)
        self.assertEqual(self.finish(process), [])

    def test_a_command_in_a_group_of_its_own_gets_signals_to_the_launchers_group(self):
        process = self.start("setsid", "-w", harness.PYTHON, "-c", COUNTER, start_new_session=True)
        # setsid(1) forks, as it is not a group leader; the counter is its child and hears nothing.
        self.assertEqual(harness.read_line(process.stdout), "ready")
        self.end(process)
        script = "import os\nos.setpgid(0, 0)\n" + COUNTER
        process = self.start(harness.PYTHON, "-c", script, start_new_session=True)
        self.assertEqual(harness.read_line(process.stdout), "ready")
        for name in ("SIGTERM", "SIGHUP"):
            os.killpg(process.pid, signal.Signals[name])
            self.assertEqual(harness.read_line(process.stdout), name)
        self.assertEqual(self.finish(process), [])

    def test_a_signal_from_inside_to_the_group_comes_once(self):
        script = ("import os, signal\nn = 0\n"
                  "def count(*_):\n global n\n n += 1\n print(n, flush=True)\n"
                  "signal.signal(signal.SIGUSR1, count)\n"
                  "signal.signal(signal.SIGUSR2, lambda *_: os._exit(n))\n"
                  "try: os.kill(0, signal.SIGUSR1)\n"
                  "except PermissionError: count()\n"
                  "while True: signal.pause()\n")
        process = self.start(harness.PYTHON, "-c", script, start_new_session=True)
        self.assertEqual(harness.read_line(process.stdout), "1")
        process.send_signal(signal.SIGUSR2)
        self.assertEqual(process.wait(harness.PATIENCE), 1)

    def test_a_signal_from_inside_does_not_reach_the_group_outside(self):
        """Here the shell that started sluice."""
        inside = " ".join(harness.command("sh", "-c", "'kill -KILL 0 2>/dev/null; kill -KILL $$'"))
        done = harness.run(["sh", "-c", f"{inside}; echo status $?"], self.user,
                           start_new_session=True)
        self.assertEqual((done.returncode, done.stdout), (0, "status 137\n"))

    def test_a_signal_that_the_command_sends_to_init_takes_none_away(self):
        """Also one that names a sender outside."""
        forge = ("import ctypes, struct\n"
                 "info = struct.pack('iiiiii', 15, 0, -1, 0, 0, 0) + bytes(104)\n"
                 "assert ctypes.CDLL(None).syscall(129, 1, 15, info) == 0\n")
        for send in ("os.kill(1, signal.SIGTERM)\n", forge):
            if send == forge and os.uname().machine != "x86_64":
                continue
            process = self.start(harness.PYTHON, "-c", "import os, signal\n" + send + COUNTER,
                                 start_new_session=True)
            self.assertEqual(harness.read_line(process.stdout), "ready")
            for _ in range(2):
                process.send_signal(signal.SIGTERM)
                self.assertEqual(harness.read_line(process.stdout), "SIGTERM")
            self.assertEqual(self.finish(process), [])

    def test_the_engine_is_not_in_the_group(self):
        process = self.counter(start_new_session=True)
        engine = harness.child_named(process.pid, "sluice-engine")
        self.assertEqual(os.getpgid(engine), engine)
        self.assertEqual(os.getsid(engine), engine)
        self.assertEqual(os.getpgid(harness.child_named(process.pid, "sandbox-init")), process.pid)

    def test_signals_by_name_are_not_taken_for_signals_to_the_group(self):
        """pkill sluice, pkill -f sluice: init must not be among those who are found."""
        process = self.counter()
        init = harness.child_named(process.pid, "sandbox-init")
        with open(f"/proc/{init}/cmdline", "rb") as f:
            self.assertEqual(f.read().rstrip(b"\0"), b"sandbox-init")
        self.assertEqual(self.finish(process), [])

    def test_the_engine_cannot_be_ended_by_other_signals_than_kill(self):
        process = self.counter()
        engine = harness.child_named(process.pid, "sluice-engine")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGALRM):
            os.kill(engine, number)
        self.assertEqual(self.finish(process), [])

    def test_ignored_signals_stay_ignored(self):
        """As with nohup(1)."""
        process = self.start("sh", "-c", "echo ready; read line; exit 5", stdin=subprocess.PIPE,
                             preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        self.assertEqual(harness.read_line(process.stdout), "ready")
        process.send_signal(signal.SIGHUP)
        process.stdin.close()
        self.assertEqual(process.wait(harness.PATIENCE), 5)


class End(Case):
    """Nothing outlives the command."""

    # Leaves behind: a child, a daemon in a session of its own, one that ignores signals, one that forks.
    LITTER = ("sleep 1000 & setsid sleep 1000 & "
              "(trap '' TERM HUP INT QUIT; exec setsid sleep 1000) & "
              "(while :; do sleep 1000 & wait; done) & ")

    def marked(self, *args, **more):
        self.mark = harness.Marked()
        return self.start(*args, env=self.mark.environment, **more)

    def test_orphans_end_with_the_command(self):
        process = self.marked("sh", "-c", self.LITTER + "echo ready; read line; exit 9",
                              stdin=subprocess.PIPE)
        self.assertEqual(harness.read_line(process.stdout), "ready")
        self.assertGreaterEqual(len(self.mark.pids()), 7)
        process.stdin.close()
        self.assertEqual(process.wait(harness.PATIENCE), 9)
        self.assertEqual(self.mark.pids(), [])

    def test_orphans_are_reaped_while_the_command_runs(self):
        self.inside("for i in 1 2 3 4 5 6 7 8 9; do (sh -c 'exit 0' &) ; done\n"
                    # The last orphan's end is seen by the first look after init had its turn.
                    "while grep -ls '^State:.Z' /proc/[0-9]*/status; do :; done")

    def test_a_launcher_that_is_killed_takes_all_with_it(self):
        for number in (signal.SIGKILL, signal.SIGSEGV):
            process = self.marked("sh", "-c", self.LITTER + "echo ready; exec sleep 1000")
            self.assertEqual(harness.read_line(process.stdout), "ready")
            pids = self.mark.pids()
            self.assertGreaterEqual(len(pids), 7)
            process.send_signal(number)
            self.assertEqual(process.wait(harness.PATIENCE), -number)
            harness.wait_for_end(pids)
            self.assertEqual(self.mark.pids(), [])

    def test_a_launcher_killed_at_any_moment_of_its_start_leaves_nothing(self):
        for step in range(24):
            process = self.marked("sleep", "1000", stderr=subprocess.DEVNULL)
            # Later and later, until beyond the start: by work, not by the clock.
            for _ in range(step):
                self.mark.pids()
            process.kill()
            process.wait()
            pids = self.mark.pids()
            harness.wait_for_end(pids)
            self.assertEqual(self.mark.pids(), [])

    def test_a_killed_command_ends_the_run(self):
        process = self.marked("sh", "-c", self.LITTER + "echo ready; exec sleep 1000")
        self.assertEqual(harness.read_line(process.stdout), "ready")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(harness.PATIENCE), -signal.SIGTERM)
        self.assertEqual(self.mark.pids(), [])

    def test_the_death_of_the_engine_ends_the_command(self):
        number = signal.SIGKILL
        for trap in ("", "trap 'exit 0' TERM; "):
            process = self.marked("sh", "-c", trap + "echo ready; while :; do sleep 1000 & wait; done",
                                  stderr=subprocess.PIPE)
            self.assertEqual(harness.read_line(process.stdout), "ready")
            os.kill(harness.child_named(process.pid, "sluice-engine"), number)
            message = harness.read_all(process.stderr)
            self.assertEqual(process.wait(harness.PATIENCE), 125)
            self.assertEqual(len(message.splitlines()), 1, message)
            self.assertIn(f"killed by signal {int(number)}", message)
            self.assertIn("no network any more", message)
            self.assertEqual(self.mark.pids(), [])

    def test_the_death_of_init_is_told(self):
        process = self.marked("sh", "-c", "echo ready; exec sleep 1000", stderr=subprocess.PIPE)
        self.assertEqual(harness.read_line(process.stdout), "ready")
        os.kill(harness.child_named(process.pid, "sandbox-init"), signal.SIGKILL)
        message = harness.read_all(process.stderr)
        self.assertEqual(process.wait(harness.PATIENCE), 125)
        self.assertIn("sandbox was killed by signal 9", message)
        self.assertEqual(self.mark.pids(), [])

    def test_nothing_is_left_of_a_start_that_failed(self):
        process = self.marked("no-such-command", stderr=subprocess.DEVNULL)
        self.assertEqual(process.wait(harness.PATIENCE), 127)
        self.assertEqual(self.mark.pids(), [])


class Many(Case):
    def test_many_can_start_at_once(self):
        mark = harness.Marked()
        processes = [self.start("sh", "-c", f"echo {i}; exit {i}", env=mark.environment)
                     for i in range(50)]
        for i, process in enumerate(processes):
            self.assertEqual(harness.read_line(process.stdout), str(i))
            self.assertEqual(process.wait(harness.PATIENCE), i)
        self.assertEqual(mark.pids(), [])

    def test_r11_cycles_leave_no_namespaces_behind(self):
        """200 runs in a user namespace in which only 60 namespaces of each kind may exist. The kernel
        frees them a moment after the last process has gone, hence not fewer."""
        script = ("for kind in net mnt pid; do echo 60 > /proc/sys/user/max_${kind}_namespaces; done\n"
                  "i=0; while [ $i -lt 200 ]; do i=$((i + 1)); "
                  f"{harness.sluice} run {' '.join(harness.WITH_ADDRESSES)} -- true || exit 1; done")
        mark = harness.Marked()
        done = harness.run(["unshare", "-Ur", "sh", "-c", script], self.user, env=mark.environment)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(mark.pids(), [])


if __name__ == "__main__":
    harness.main()

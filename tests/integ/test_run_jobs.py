#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""sluice run on a terminal: job control, as a shell outside and a shell inside see it."""
import os
import pty
import re
import select
import shutil
import signal
import termios

import harness
from harness import Case


class Terminal:
    """A program on a terminal of its own, and what it prints there."""

    def __init__(self, args, user):
        def child():
            for name, value in harness.credentials(user).items():
                if name == "extra_groups":
                    os.setgroups(value)
            if harness.credentials(user):
                os.setgid(harness.USER_ID)
                os.setuid(harness.USER_ID)
            os.environ["PS1"] = "outside$ "
            os.execvp(args[0], args)

        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                child()
            finally:
                os._exit(99)
        modes = termios.tcgetattr(self.fd)
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(self.fd, termios.TCSANOW, modes)
        self.text = ""

    def type(self, text):
        os.write(self.fd, text.encode())

    def line(self, text):
        self.type(text + "\n")

    def expect(self, pattern):
        """Waits for the pattern, takes the text up to its end, and returns the match."""
        while True:
            match = re.search(pattern, self.text)
            if match:
                self.text = self.text[match.end():]
                return match
            if not select.select([self.fd], [], [], harness.PATIENCE)[0]:
                raise AssertionError(f"{pattern!r} does not come; there is {self.text!r}")
            try:
                more = os.read(self.fd, 4096)
            except OSError:
                more = b""
            if not more:
                raise AssertionError(f"{pattern!r} does not come any more; there is {self.text!r}")
            self.text += more.decode(errors="replace")

    def close(self):
        os.close(self.fd)
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(self.pid, 0)


# Tells of each signal, and reads a line from the terminal.
TELL_AND_READ = """
import os, select, signal
r, w = os.pipe()
os.set_blocking(w, False)
signal.set_wakeup_fd(w)
signal.signal(signal.{signal}, lambda *_: None)
print("rea" "dy", flush=True)
while r in select.select([0, r], [], [])[0]:
    os.read(r, 1)
    print("{word}", flush=True)
print("got", input())
raise SystemExit(4)
"""

BASH = ["bash", "--norc", "--noprofile", "-i"]


class Jobs(Case):
    def terminal(self, *args):
        terminal = Terminal(args or BASH, self.user)
        self.addCleanup(terminal.close)
        if not args:
            terminal.expect(r"outside\$ ")
            # No line editing: it would switch the echo on and off. A variable, and not a function,
            # as in the background that would be a process in between.
            terminal.line(f"set +o emacs; run='{' '.join(harness.command())}'")
            terminal.expect(r"outside\$ ")
        return terminal

    def test_interrupting_the_command(self):
        t = self.terminal()
        t.line("$run sh -c 'echo rea\"\"dy; exec sleep 1000'; echo status $?")
        t.expect("ready")
        t.type("\x03")
        t.expect(r"outside\$ ")
        t.line("$run sh -c 'trap \"echo got it; exit 3\" INT; echo rea\"\"dy; "
               "sleep 1000 & wait'; echo status $?")
        t.expect("ready")
        t.type("\x03")
        t.expect("got it\r\nstatus 3\r\n")

    def test_stopping_and_continuing(self):
        script = TELL_AND_READ.format(signal="SIGCONT", word="continued")
        t = self.terminal()
        t.line(f"script={harness.quote(script)}")
        t.line(f"$run {harness.PYTHON} -c \"$script\"; echo status $?")
        t.expect("ready")
        t.type("\x1a")
        t.expect(r"\[1\]\+ +Stopped")
        t.expect(r"outside\$ ")
        for _ in range(20):
            t.line("fg")
            t.expect("continued\r\n")
            t.type("\x1a")
            t.expect(r"\[1\]\+ +Stopped")
            t.expect(r"outside\$ ")
        t.line("fg; echo status $?")
        t.expect("continued\r\n")
        t.line("word")
        t.expect("got word\r\nstatus 4\r\n")

    def test_continuing_in_the_background(self):
        t = self.terminal()
        t.line("$run sh -c 'echo rea\"\"dy; sleep 1000 & wait; exit 5'")
        t.expect("ready")
        t.type("\x1a")
        t.expect(r"\[1\]\+ +Stopped")
        t.line("bg; kill -TERM %1; wait %1; echo status $?")
        t.expect("status 143\r\n")
        # The end of a job in the background does not take the terminal from the shell.
        t.line("sh -c 'read line; echo got $line'")
        t.line("word")
        t.expect("got word\r\n")

    def test_stopping_where_nobody_could_continue(self):
        """The launcher leads the session: there is no shell."""
        t = self.terminal(*harness.command("sh", "-c", "echo ready; read line; echo got $line"))
        t.expect("ready")
        t.type("\x1a")
        t.line("word")
        t.expect("got word\r\n")

    def test_a_script_hears_of_the_interruption(self):
        script = ("trap 'echo heard; exit 8' INT; "
                  f"{' '.join(harness.command())} sh -c 'trap \"exit 0\" INT; echo rea\"\"dy; "
                  "sleep 1000 & wait'; echo not reached")
        t = self.terminal()
        t.line(f"bash -c {harness.quote(script)}; echo status $?")
        t.expect("ready")
        t.type("\x03")
        t.expect("heard\r\nstatus 8\r\n")

    def test_a_script_is_stopped_together_with_its_command(self):
        script = (f"{' '.join(harness.command())} sh -c 'echo rea\"\"dy; read line; echo got $line'; "
                  "echo script goes on")
        t = self.terminal()
        t.line(f"bash -c {harness.quote(script)}")
        t.expect("ready")
        t.type("\x1a")
        t.expect(r"\[1\]\+ +Stopped")
        t.expect(r"outside\$ ")
        t.line("fg")
        t.line("word")
        t.expect("got word\r\nscript goes on\r\n")

    def test_a_stop_is_the_commands_decision(self):
        """A command that handles Ctrl-Z is not stopped, nor is the launcher."""
        script = TELL_AND_READ.format(signal="SIGTSTP", word="not now")
        t = self.terminal()
        t.line(f"script={harness.quote(script)}")
        t.line(f"$run {harness.PYTHON} -c \"$script\"; echo status $?")
        t.expect("ready")
        for _ in range(3):
            t.type("\x1a")
            t.expect("not now\r\n")
        t.line("word")
        t.expect("got word\r\nstatus 4\r\n")

    def test_a_command_that_stops_itself(self):
        t = self.terminal()
        t.line("$run sh -c 'kill -STOP $$; echo back'")
        t.expect(r"\[1\]\+ +Stopped")
        t.expect(r"outside\$ ")
        t.line("fg")
        t.expect("back\r\n")

    def test_in_the_background(self):
        t = self.terminal()
        t.line("$run sh -c 'echo rea\"\"dy; read line; echo got $line' &")
        t.expect("ready")
        # It wants to read from the terminal.
        t.line("wait; jobs")
        t.expect(r"\[1\]\+ +Stopped")
        t.expect(r"outside\$ ")
        t.line("fg")
        t.expect("run .*\r\n")
        t.line("word")
        t.expect("got word\r\n")

    def test_signals_from_the_shell(self):
        t = self.terminal()
        t.line("$run sh -c 'trap \"echo te\"\"rm\" TERM; trap \"echo hup; exit 6\" HUP; "
               "echo rea\"\"dy; while :; do read line < /dev/null; sleep 1000 & wait; done' &")
        t.expect("ready")
        t.line("kill %1")
        t.expect("term\r\n")
        t.line("kill -HUP %1; wait %1; echo status $?")
        match = t.expect(r"((?:.|\n)*)status 6\r\n")
        self.assertNotIn("term", match.group(1))

    def test_in_a_pipeline_with_a_reader_of_the_terminal(self):
        """The launcher's process group stays in the foreground, or the reader would be stopped."""
        t = self.terminal()
        t.line("$run echo piped | sh -c 'read a; read b < /dev/tty; echo $a $b'")
        t.line("typed")
        t.expect("piped typed\r\n")

    def shell_inside(self, shell, *options):
        if shutil.which(shell) is None:
            self.skipTest(f"no {shell}")
        t = self.terminal()
        t.line(f"PS1='inside: ' $run {shell} {' '.join(options)}; echo status $?")
        t.expect("inside: ")
        t.line("sh -c 'echo st\"\"arted; exec sleep 1000'")
        t.expect("started")
        t.type("\x03")
        t.expect("inside: ")
        t.line("sh -c 'echo rea\"\"dy; read line; echo got $line'")
        t.expect("ready")
        t.type("\x1a")
        t.expect("(?i)stopped")
        t.expect("inside: ")
        t.line("fg")
        t.line("word")
        t.expect("got word")
        t.line("exit 7")
        t.expect("status 7\r\n")
        t.expect(r"outside\$ ")
        # The terminal is the outer shell's again.
        t.line("sh -c 'read line; echo outer $line'")
        t.line("word")
        t.expect("outer word\r\n")

    def test_bash_inside(self):
        self.shell_inside("bash", "--norc", "--noprofile", "-i", "+o", "emacs")

    def test_dash_inside(self):
        self.shell_inside("dash", "-i")

    def test_zsh_inside(self):
        self.shell_inside("zsh", "-f", "-i", "+o", "zle")

    def test_busybox_inside(self):
        self.shell_inside("busybox", "sh", "-i")

    def test_suspending_a_shell_inside(self):
        t = self.terminal()
        t.line("PS1='inside: ' $run bash --norc --noprofile -i +o emacs")
        t.expect("inside: ")
        t.line("suspend")
        t.expect(r"\[1\]\+ +Stopped")
        t.expect(r"outside\$ ")
        t.line("fg")
        t.line("echo b\"\"ack")
        t.expect("back\r\n")

    def test_the_terminal_is_given_back(self):
        """Also to a parent without job control: by a shell inside that is killed."""
        script = (f"{' '.join(harness.command('bash', '--norc', '--noprofile', '-i'))}; "
                  "echo status $?; read line; echo outer $line; stty -a")
        t = self.terminal("sh", "-c", script)
        t.expect(r"outside\$ ")
        t.line("kill -KILL $$")
        t.expect("status 137\r\n")
        t.line("word")
        t.expect("outer word\r\n")

    def test_modes_are_restored_after_a_killed_command_and_kept_otherwise(self):
        run = " ".join(harness.command())
        script = (f"{run} sh -c 'stty -icanon; kill -9 $$'; stty -a; "
                  f"{run} sh -c 'stty -icanon'; stty -a; echo end")
        t = self.terminal("sh", "-c", script)
        text = t.expect(r"((?:.|\n)*)end\r\n").group(1)
        self.assertEqual(re.findall(r"-?icanon", text), ["icanon", "-icanon"])

    def test_hanging_up_ends_the_command(self):
        t = Terminal(harness.command("sh", "-c", "echo ready; exec sleep 1000"), self.user)
        t.expect("ready")
        pids = [t.pid, *harness.children_of(t.pid)]
        os.close(t.fd)
        harness.wait_for_end(pids[1:])
        os.waitpid(t.pid, 0)


if __name__ == "__main__":
    harness.main()

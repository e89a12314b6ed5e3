"""What a person sees: provctl in a pseudo-terminal, its output drawn on a small screen."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
import unittest

import support
from support import Case, main


class Screen:
    """As much of a terminal as provctl uses; anything else is an error."""

    def __init__(self, width, height):
        self.width, self.height = width, height
        self.lines, self.row, self.col = [""], 0, 0
        self.seen = set()       # every line that ever stood there

    def put(self, c):
        if self.col == self.width:
            self.newline()
            self.col = 0
        line = self.lines[self.row].ljust(self.col)
        self.lines[self.row] = line[:self.col] + c + line[self.col + 1:]
        self.col += 1

    def newline(self):
        self.row += 1
        if self.row == len(self.lines):
            self.lines.append("")

    def feed(self, text):
        pos = 0
        while pos < len(text):
            m = re.compile(r"\033\[([0-9;]*)([A-Za-z])").match(text, pos)
            if m:
                n, kind = m.groups()
                if kind == "A":
                    self.row = max(0, self.row - int(n or 1))
                elif kind == "J":
                    self.lines[self.row] = self.lines[self.row][:self.col]
                    del self.lines[self.row + 1:]
                elif kind != "m":
                    raise AssertionError(f"unknown sequence {m.group()!r}")
                pos = m.end()
                continue
            c = text[pos]
            if c == "\n":
                self.newline()
            elif c == "\r":
                self.col = 0
            elif c == "\b":
                self.col = max(0, self.col - 1)
            elif c < " ":
                raise AssertionError(f"control character {c!r} in {text[max(0, pos - 40):pos + 40]!r}")
            else:
                self.put(c)
            pos += 1
        self.seen.update(line.rstrip() for line in self.lines)

    def resize(self, width):
        """Lines that no longer fit are wrapped anew, as terminals of today do."""
        lines = []
        for i, line in enumerate(self.lines):
            parts = [line[k:k + width] for k in range(0, len(line.rstrip()) or 1, width)]
            lines += parts
            if i == self.row:
                self.row, self.col = len(lines) - 1, min(self.col - width * (len(parts) - 1), width)
        self.lines, self.width = lines, width

    def text(self):
        return "\n".join(line.rstrip() for line in self.lines)


class Terminal(Case):
    def start(self, *args, width=80, height=24, env=None):
        pid, fd = pty.fork()
        if pid == 0:
            os.chdir(self.dir)
            os.execve(support.PROVCTL, [support.PROVCTL, *map(str, args), "--state", str(self.state)], env or self.env())
        self.resize(fd, width, height)
        self.pid, self.fd = pid, fd
        self.screen = Screen(width, height)
        self.raw = ""
        self.bytes = b""
        self.addCleanup(os.close, fd)

    def resize(self, fd, width, height):
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def read(self, until=None, timeout=60):
        """Until the pattern was on the screen, or the end."""
        deadline = time.monotonic() + timeout
        while True:
            if until is not None and re.search(until, self.screen.text()):
                return
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"no {until!r} on the screen:\n{self.screen.text()}")
            if not select.select([self.fd], [], [], min(left, 1))[0]:
                continue
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                data = b""
            if not data:
                self.assertIsNone(until, self.screen.text())
                return
            # sequences and characters may be cut in two
            self.bytes = self.bytes + data
            m = re.search(rb"(\033(\[[0-9;]*)?|[\xc0-\xff][\x80-\xbf]{0,2})$", self.bytes)
            cut = m.start() if m and not self.complete(m.group()) else len(self.bytes)
            text, self.bytes = self.bytes[:cut].decode(), self.bytes[cut:]
            self.raw += text
            self.screen.feed(text)

    def complete(self, tail):
        try:
            return tail[0] != 0x1b and tail.decode() is not None
        except UnicodeDecodeError:
            return False

    def status(self):
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def hosts(self, n):
        self.write("inventory.ini", "[all:vars]\nansible_connection=local\n[all]\n" +
                   "".join(f"h{i}\n" for i in range(n)))

    def site(self, tasks):
        self.write("site.yml", "- name: play\n  hosts: all\n  gather_facts: false\n  tasks:\n" +
                   "".join(f"    {line}\n" for line in tasks.strip("\n").splitlines()))

    def test_live(self):
        self.hosts(3)
        self.site("- name: slow one\n  shell: for i in 1 2 3 4 5 6; do echo step $i of it; sleep 0.3; done")
        self.start("apply", "site.yml")
        self.read(r"h0  slow one  \d+s")
        self.read(r"h2  slow one  1s")
        self.read()
        self.assertEqual(self.status(), 0)
        text = self.screen.text()
        # nothing of the live lines is left, all that is finished is there once
        self.assertNotRegex(text, r"slow one  \d+s")
        for h in ("h0", "h1", "h2"):
            self.assertEqual(len(re.findall(rf"(?m)^{h}  changed  slow one  \(\d\.\ds\)$", text)), 1, text)
        self.assertRegex(text, r"(?s)== play \(h0, h1, h2\)\n.*\nhost  ok  changed  .*\nrun 1: done, 3 hosts, \d\.\ds\n$")
        self.assertIn("\033[33mchanged\033[0m", self.raw)
        # bounded: a redraw each 100 ms, not one for each event
        self.assertLess(self.raw.count("\033[J"), 60)

    def test_many_hosts(self):
        self.hosts(30)
        self.site("- name: slow\n  command: sleep 1.5")
        self.start("apply", "site.yml", width=40, height=15)
        self.read(r"… and 26 more hosts at work")
        self.read()
        self.assertEqual(self.status(), 0)
        self.assertEqual(len(re.findall(r"(?m)^h\d+ +changed  slow", self.screen.text())), 30)
        self.assertNotIn("more hosts", self.screen.text())

    def test_narrow(self):
        self.hosts(1)
        self.site("- name: a name that is longer than the whole terminal is wide\n  command: sleep 1")
        self.start("apply", "site.yml", width=30)
        self.read(r"h0  a name that is longer t\S*…")
        self.read()
        self.assertEqual(self.status(), 0)

    def test_resize(self):
        self.hosts(2)
        self.site("- name: a task with a name\n  command: sleep 2")
        self.start("apply", "site.yml", width=100)
        self.read(r"h1  a task with a name  \d+s")
        self.resize(self.fd, 20, 24)
        self.screen.resize(20)
        self.read(r"h0  a task with.*…")
        self.read()
        self.assertEqual(self.status(), 0)

    def test_no_color(self):
        self.hosts(1)
        self.site("- name: x\n  command: sleep 0.5")
        self.start("apply", "site.yml", env=self.env(NO_COLOR="1"))
        self.read()
        self.assertEqual(self.status(), 0)
        self.assertNotRegex(self.raw, r"\033\[[0-9;]*m")
        self.assertIn("changed", self.raw)

    def test_dumb(self):
        self.hosts(1)
        self.site("- name: x\n  command: sleep 0.5")
        self.start("apply", "site.yml", env={**self.env(), "TERM": "dumb"})
        self.read()
        self.assertEqual(self.status(), 0)
        self.assertNotIn("\033", self.raw)

    def test_hostile_output(self):
        self.hosts(1)
        self.site("- name: bad\n  shell: printf '\\033[2J\\033]0;title\\007over\\rwritten\\n'; sleep 0.6; exit 1")
        self.start("apply", "site.yml")
        self.read()         # the screen knows no such sequences
        self.assertEqual(self.status(), 3)
        self.assertIn("^[[2J^[]0;title^Gover^Mwritten", self.screen.text())

    def test_interrupt(self):
        self.hosts(1)
        self.site("- name: slow\n  command: sleep 2\n- name: never\n  command: 'true'")
        self.start("apply", "site.yml")
        self.read(r"h0  slow  \d+s")
        before = termios.tcgetattr(self.fd)
        os.write(self.fd, b"\x03")
        self.read(r"interrupted: the tasks under way are finished")
        self.read()
        self.assertEqual(self.status(), 130)
        self.assertEqual(termios.tcgetattr(self.fd), before)
        text = self.screen.text()
        self.assertIn("h0  changed  slow", text)
        self.assertNotIn("never", text)
        self.assertIn("run 1: interrupted", text)

    def test_password_is_not_echoed(self):
        self.hosts(1)
        self.site("- debug: {msg: done}")
        self.start("apply", "site.yml", "-K")
        self.read(r"sudo password:")
        os.write(self.fd, b"hunXX\x7f\x7fter2\r")
        self.read()
        self.assertEqual(self.status(), 0)
        self.assertNotIn("hunter2", self.raw)
        self.assertNotIn("hun", self.raw)
        self.assertIn("done", self.screen.text())

    def test_password_is_asked_for_once(self):
        """A plan is checked again before it is applied: one question for both."""
        self.hosts(1)
        self.site("- copy: {dest: '{{ playbook_dir }}/made', content: x}")
        self.start("plan", "site.yml", "-K", "--out", "p")
        self.read(r"sudo password:")
        os.write(self.fd, b"x\r")
        self.read()
        self.assertEqual(self.status(), 2)
        self.start("apply", "p")
        self.read(r"sudo password:")
        os.write(self.fd, b"x\r")
        self.read()
        self.assertEqual(self.status(), 0)
        self.assertEqual(self.raw.count("sudo password:"), 1)
        self.assertTrue((self.dir / "made").exists())

    def test_password_interrupted(self):
        self.hosts(1)
        self.site("- debug: {msg: done}")
        self.start("apply", "site.yml", "-K")
        self.read(r"sudo password:")
        os.write(self.fd, b"abc\x03")
        self.read()
        self.assertEqual(self.status(), -signal.SIGINT)
        self.assertTrue(termios.tcgetattr(self.fd)[3] & termios.ECHO)
        self.assertNotIn("done", self.screen.text())

    def test_pause(self):
        self.hosts(1)
        self.site("- {name: ask, pause: {prompt: Go on}, register: r}\n- debug: {msg: 'said {{ r.user_input }}'}")
        self.start("apply", "site.yml")
        self.read(r"Go on")
        os.write(self.fd, b"yes\xc3\xa9\x7f!\r")
        self.read()
        self.assertEqual(self.status(), 0)
        self.assertIn("said yes!", self.screen.text())

    def test_variables_are_asked_for_once_a_play(self):
        self.hosts(3)
        self.write("site.yml", "- hosts: all\n  serial: 1\n  gather_facts: false\n"
                   "  vars_prompt: [{name: open, prompt: Open, private: false}, {name: word, prompt: Hidden}]\n"
                   "  tasks: [{debug: {msg: 'said {{ open }}'}}, {assert: {that: word == 'hunter2'}}]\n")
        self.start("apply", "site.yml")
        self.read(r"Open")
        os.write(self.fd, b"sesame\r")
        self.read(r"Hidden")
        os.write(self.fd, b"hunter2\r")
        self.read()
        self.assertEqual(self.status(), 0)
        self.assertEqual([self.raw.count(x) for x in ("Open", "Hidden", "said sesame", "hunter2")], [1, 1, 3, 0])

    def prompts(self, prompts, tasks, answers):
        self.hosts(1)
        self.write("site.yml", "- hosts: all\n  gather_facts: false\n  vars: {base: hunter2-base}\n"
                   f"  vars_prompt: [{prompts}]\n  tasks: [{tasks}]\n")
        self.start("apply", "site.yml", "-vvv", "--diff")
        for question, answer in answers:
            self.read(question)
            os.write(self.fd, answer + b"\r")
        self.read()

    def test_default_of_a_private_prompt_is_secret(self):
        self.prompts("{name: word, prompt: 'A?', default: hunter2-default}, {name: made, prompt: 'B?', default: '{{ base }}-made'},"
                     " {name: number, prompt: 'C?', default: 987654321}, {name: list, prompt: 'D?', default: [hunter2-listed]},"
                     " {name: open, prompt: 'E?', default: seen-default, private: false}",
                     "{debug: {msg: '{{ word }} {{ made }} {{ number }} {{ list }}'}}, {debug: {var: made}}, {debug: {var: list}}, {debug: {var: number}},"
                     " {command: {cmd: cat, stdin: '{{ word }}, {{ made }}, {{ list[0] }}'}},"
                     " {debug: {msg: 'open {{ open }}'}}, {assert: {that: [word == 'hunter2-default', made == 'hunter2-base-made', number == 987654321]}}",
                     [(x + r"\?", b"") for x in "ABCDE"])
        self.assertEqual(self.status(), 0, self.raw)
        for secret in ("hunter2-default", "hunter2-base-made", "987654321", "hunter2-listed"):
            self.assertNotIn(secret, self.raw)
        self.assertIn("open seen-default", self.raw)

    def test_prompt_that_hashes(self):
        """What `encrypt` hashes is never there in the clear; asked twice when that is wanted."""
        self.prompts("{name: word, prompt: Word, encrypt: md5_crypt, salt: abcdefgh, confirm: true}",
                     "{assert: {that: \"word[:12] == '$1$abcdefgh$'\"}}, {debug: {msg: 'is {{ word }}'}}",
                     [(r"Word", b"hunter2"), (r"confirm Word", b"hunter3"), (r"not the same; Word", b"hunter2"),
                      (r"(?s)not the same.*confirm Word", b"hunter2")])
        self.assertEqual(self.status(), 0, self.raw)
        self.assertNotIn("$1$", self.raw)
        self.assertNotIn("hunter", self.raw)

    def test_prompt_that_cannot_hash(self):
        for more, text in (("encrypt: rot13", "not in the list of supported"), ("encrypt: bcrypt, salt: short", "salt of 5 characters"),
                           ("encrypt: sha512_crypt, default: '{{ x }}'", "not supported")):
            self.hosts(1)
            self.write("site.yml", f"- hosts: all\n  vars_prompt: [{{name: word, {more}}}]\n  tasks: []\n")
            self.start("check", "site.yml")
            self.read()
            self.assertEqual(self.status(), 1, self.raw)
            self.assertIn(text, self.raw)



if __name__ == "__main__":
    main()

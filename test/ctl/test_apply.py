"""provctl apply on this machine (connection local): exit codes, events, output for pipes, interruption."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import time
import unittest

import support
from support import Case, main

LOCAL = ("-i", "h1,", "-e", "ansible_connection=local")


class Status(Case):
    def site(self, tasks, hosts="all"):
        self.write("site.yml", f"- hosts: {hosts}\n  gather_facts: false\n  tasks:\n" +
                   "".join(f"    {line}\n" for line in tasks.strip("\n").splitlines()))

    def test_done_and_pending(self):
        self.site("- copy: {dest: '{{ playbook_dir }}/out', content: x}")
        p = self.run_("check", "site.yml", *LOCAL)
        self.assertEqual(p.returncode, 2, p.stderr)
        self.assertIn("changes pending", p.stdout)
        self.assertFalse((self.dir / "out").exists())
        self.assertEqual(self.run_("apply", "site.yml", "--check", *LOCAL).returncode, 2)
        self.assertIn("run 3: done", self.ok("apply", "site.yml", *LOCAL))
        self.assertIn("run 4: nothing to change", self.ok("apply", "site.yml", *LOCAL))
        self.assertIn("nothing to change", self.ok("check", "site.yml", *LOCAL))

    def test_failed(self):
        self.site("- fail: {msg: stop}\n- copy: {dest: '{{ playbook_dir }}/out', content: x}")
        p = self.run_("apply", "site.yml", *LOCAL)
        self.assertEqual(p.returncode, 3)
        self.assertRegex(p.stdout, r"h1  failed   \S.*\n    site.yml:4:\d+  fail\n    message: stop\n")
        self.assertFalse((self.dir / "out").exists())

    def test_unreachable(self):
        self.site("- command: 'true'")
        with socket.socket() as s:      # a port where nobody listens
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        p = self.run_("apply", "site.yml", "-i", "h9,", "-e", f"ansible_host=127.0.0.1 ansible_port={port}")
        self.assertEqual(p.returncode, 4, p.stderr)
        self.assertIn("h9  unreachable", p.stdout)
        self.assertIn("refused", p.stdout)
        run = json.loads(self.ok("show", "last", "--json"))
        self.assertEqual(run["status"], 4)
        self.assertEqual(run["results"][0]["outcome"], "unreachable")
        # a host that was never reached is no inventory
        self.assertNotIn("h9", self.ok("inventory", cwd="/"))

    def test_site_error(self):
        self.site("- copy: {dset: /x}")
        err = self.fails(1, "apply", "site.yml", *LOCAL)
        self.assertRegex(err, r"site.yml:4:\d+: error: ")
        self.assertIn("^", err)
        self.assertEqual(json.loads(self.ok("history", "--json")), [])

    def test_interrupted(self):
        self.site("- {name: slow, command: sleep 3}\n- copy: {dest: '{{ playbook_dir }}/out', content: x}")
        p = subprocess.Popen([support.PROVCTL, "apply", "site.yml", *LOCAL, "--json", "--state", str(self.state)],
                             cwd=self.dir, env=self.env(), stdout=subprocess.PIPE, text=True)
        self.addCleanup(p.kill)
        for line in p.stdout:
            if '"task_start"' in line:
                break
        p.send_signal(signal.SIGINT)
        rest = p.stdout.read()
        self.assertEqual(p.wait(timeout=60), 130)
        p.stdout.close()
        events = [json.loads(line) for line in rest.splitlines()]
        # the task under way was finished, the next not begun
        self.assertEqual([e["outcome"] for e in events if e["event"] == "task_end"], ["changed"])
        self.assertEqual(events[-1]["event"], "run_end")
        self.assertEqual(events[-1]["status"], 130)
        self.assertFalse((self.dir / "out").exists())
        self.assertEqual(json.loads(self.ok("history", "--json"))[0]["status"], 130)

    def test_interrupted_twice(self):
        self.site("- {name: slow, command: sleep 321}")
        p = subprocess.Popen([support.PROVCTL, "apply", "site.yml", *LOCAL, "--json", "--state", str(self.state)],
                             cwd=self.dir, env=self.env(), stdout=subprocess.PIPE, text=True)
        self.addCleanup(p.kill)
        for line in p.stdout:
            if '"task_start"' in line:
                break
        time.sleep(0.3)     # into the task
        start = time.monotonic()
        p.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        p.send_signal(signal.SIGTERM)
        self.assertEqual(p.wait(timeout=30), 130)
        self.assertLess(time.monotonic() - start, 20)
        p.stdout.close()
        deadline = time.monotonic() + 10
        while subprocess.run(["pgrep", "-f", "^sleep 321$"], capture_output=True).returncode == 0:
            self.assertLess(time.monotonic(), deadline, "the task's process lives on")
            time.sleep(0.1)
        # Who did not want to wait knows: it can be resumed, but nobody tries again by himself.
        status = json.loads(self.run_("status", "--json").stdout)
        self.assertEqual((status["pending"], len(status["unfinished"])), ([], 1))
        self.assertIn("interrupted: its end was not waited for", self.ok("show", "last"))

    def test_reader_goes_away(self):
        self.site("- {debug: {msg: x}, loop: '{{ range(3000) | list }}'}\n"
                  "- copy: {dest: '{{ playbook_dir }}/out', content: x}")
        p = subprocess.Popen([support.PROVCTL, "apply", "site.yml", *LOCAL, "--state", str(self.state)],
                             cwd=self.dir, env=self.env(), stdout=subprocess.PIPE)
        p.stdout.read(10)
        p.stdout.close()
        # the run goes on to its end
        self.assertEqual(p.wait(timeout=120), 0)
        self.assertTrue((self.dir / "out").exists())


class Selection(Case):
    def setUp(self):
        super().setUp()
        self.write("site.yml", "- hosts: all\n  gather_facts: false\n  tasks:\n"
                   "    - {name: one, debug: {msg: x}, tags: [a, b]}\n"
                   "    - {name: two, debug: {msg: x}, tags: [b]}\n"
                   "    - {name: three, debug: {msg: x}}\n")

    def ran(self, *args):
        return [(e["host"], e["task"]) for e in self.events("apply", "site.yml", "-i", "h1,h2,", "-e",
                "ansible_connection=local", *args) if e["event"] == "task_end"]

    def test_tags_and_limit(self):
        self.assertEqual(self.ran("-l", "h2", "-t", "a"), [("h2", "one")])
        self.assertEqual(self.ran("-l", "h2", "-t", "a,b"), [("h2", "one"), ("h2", "two")])
        self.assertEqual(self.ran("-l", "h2", "--skip-tags", "a"), [("h2", "two"), ("h2", "three")])
        self.assertEqual(self.ran("-l", "h1", "--start-at-task", "two"), [("h1", "two"), ("h1", "three")])
        self.assertEqual(self.ran("-l", "h1", "--start-at-task", "t*e?"), [("h1", "three")])
        self.assertIn("no task is called 'tow'\nhint: did you mean 'two'?", self.fails(
            1, "apply", "site.yml", *LOCAL, "--start-at-task", "tow"))
        self.assertEqual(len(self.ran("-f", "1")), 6)


class Output(Case):
    def test_plain(self):
        self.write("site.yml", "- hosts: all\n  gather_facts: false\n  tasks:\n"
                   "    - {name: write, copy: {dest: '{{ playbook_dir }}/out', content: \"a\\nb\\n\"}}\n"
                   "    - {name: skipped, debug: {msg: x}, when: false}\n"
                   "    - {name: say, debug: {msg: \"one\\ntwo\"}}\n")
        out = self.ok("apply", "site.yml", *LOCAL, "--diff")
        self.assertNotIn("\033", out)
        self.assertNotIn("\r", out)
        self.assertRegex(out, r"(?s)^== all \(h1\)\nh1  changed  write  \(\d+\.\ds\)\n    --- before.*\n    \+a\n    \+b\n"
                         r"h1  ok       say  \(0\.0s\)\n    one\n    two\n\nhost  ok  changed .*\nh1 .*\nrun 1: done, 1 host, ")
        self.assertIn("skipped", self.ok("apply", "site.yml", *LOCAL, "-v").split("host  ok")[0])
        self.assertIn("\033[33mchanged", self.run_("check", "site.yml", *LOCAL, "-e", "x=1", "--color=always",
                      "-i", "h2,").stdout.replace("\033[32mok", "\033[33mchanged"))

    def test_events(self):
        self.write("site.yml", "- name: p\n  hosts: all\n  gather_facts: false\n  tasks:\n"
                   "    - {name: each, command: 'echo {{ item }}', loop: [1, 2], notify: told}\n"
                   "  handlers:\n    - {name: told, debug: {msg: x}}\n")
        events = self.events("apply", "site.yml", *LOCAL)
        kinds = [e["event"] for e in events]
        self.assertEqual(kinds[0], "run_start")
        self.assertEqual(kinds[-2:], ["stats", "run_end"])
        self.assertEqual([k for k in kinds if k in ("play_start", "item", "task_end", "notified")],
                         ["play_start", "item", "item", "notified", "task_end", "task_end"])
        end = [e for e in events if e["event"] == "task_end"][0]
        self.assertEqual((end["host"], end["play"], end["task"], end["module"], end["file"], end["line"], end["outcome"]),
                         ("h1", "p", "each", "command", "site.yml", 5, "changed"))
        self.assertEqual([r["stdout"] for r in end["result"]["results"]], ["1", "2"])
        self.assertEqual(events[-1]["run"], 1)
        # schema/events.md names every event and every key
        doc = (pathlib.Path(__file__).parents[2] / "schema" / "events.md").read_text()
        for e in events:
            self.assertIn(f"`{e['event']}`", doc)
            for key in e:
                self.assertIn(f"`{key}`", doc, e)

    def test_password_file(self):
        self.write("site.yml", "- hosts: all\n  gather_facts: false\n  tasks:\n"
                   "    - debug: {msg: '{{ ansible_password | length }}'}\n    - debug: {var: ansible_password}\n")
        self.write("pw", "hunter2\nrest\n")
        out = self.ok("apply", "site.yml", *LOCAL, "--password-file", "pw")
        self.assertNotIn("hunter2", out)


class Hardening(Case):
    def test_limits(self):
        self.write("site.yml", "- hosts: all\n  gather_facts: false\n  tasks:\n"
                   "    - {name: wait, command: sleep 2}\n")
        p = subprocess.Popen([support.PROVCTL, "apply", "site.yml", *LOCAL, "--json", "--state", str(self.state)],
                             cwd=self.dir, env=self.env(), stdout=subprocess.PIPE, text=True)
        self.addCleanup(p.kill)
        for line in p.stdout:
            if '"task_start"' in line:
                break
        limits = pathlib.Path(f"/proc/{p.pid}/limits").read_text()
        self.assertRegex(limits, r"Max core file size +0 +0 ")
        self.assertIn("Umask:\t0077", pathlib.Path(f"/proc/{p.pid}/status").read_text())
        # what is not dumpable belongs to root
        self.assertEqual(os.stat(f"/proc/{p.pid}/mem").st_uid, 0)
        p.stdout.read()
        p.stdout.close()
        self.assertEqual(p.wait(timeout=60), 0)

    def test_closed_streams(self):
        self.write("site.yml", "- hosts: all\n  gather_facts: false\n  tasks:\n    - command: 'true'\n")
        r = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", support.PROVCTL, "apply", "site.yml", *LOCAL,
                            "--state", str(self.state)], cwd=self.dir, env=self.env(), timeout=60)
        self.assertEqual(r.returncode, 0)
        self.assertEqual(len(json.loads(self.ok("history", "--json"))), 1)


if __name__ == "__main__":
    main()

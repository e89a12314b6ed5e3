"""history, show, facts on a recorded run; databases in every bad condition."""
import base64
import hashlib
import json
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import time
import unittest

import support
from support import Case, main

SITE = """
- name: record me
  hosts: all
  gather_facts: false
  tasks:
    - name: a file
      copy: {dest: "{{ playbook_dir }}/out-{{ inventory_hostname }}", content: "new\\n"}
    - name: fails
      command: sh -c 'echo out; echo "first\\nsecond" >&2; exit 7'
      ignore_errors: true
    - name: skipped
      debug: {msg: x}
      when: false
    - name: secret
      command: echo hunter2-output
      no_log: true
    - name: secret argument
      command: "echo {{ password }}"
"""


class Recorded(Case):
    def setUp(self):
        super().setUp()
        self.write("site.yml", SITE)
        self.write("inventory.ini", "[all:vars]\nansible_connection=local\n[web]\nh1\nh2\n")
        self.write("pw", "sesame\n")
        vault = self.ok("vault", "encrypt-string", "password", "--vault-password-file", "pw", input="hunter2-vault")
        self.write("group_vars/all.yml", vault)
        self.args = ("apply", "site.yml", "--vault-password-file", "pw")

    def test_rollback_of_the_last(self):
        self.assertIn("there is no state database", self.fails(1, "rollback", "last"))
        self.write("site.yml", "- hosts: localhost\n  connection: local\n  gather_facts: false\n  tasks:\n"
                               "    - copy: {dest: '{{ playbook_dir }}/page', content: new}\n")
        page = self.write("page", "old")
        self.ok(*self.args)
        # who looks before he jumps means the run that has changed something
        self.ok(*self.args, "--check")
        args = ("rollback", "last")
        self.assertEqual(self.run_(*args, "--check").returncode, 2)
        self.assertIn("there is nobody to ask", self.fails(1, *args))
        self.ok(*args, "--yes")
        self.assertEqual(page.read_text(), "old")
        self.assertIn("there is no run 999\n", self.fails(1, "rollback", "999"))

    def test_of_an_earlier_version(self):
        top = pathlib.Path(__file__).resolve().parents[2]
        schema = (top / "schema/state.sql").read_text().split("\n-- migration 2\n")[0]
        number = re.search(r"DB_APPLICATION_ID\s+(\w+)", (top / "agentd/state/db.h").read_text())[1]
        self.state.parent.mkdir(mode=0o700)
        db = sqlite3.connect(self.state)
        db.executescript(f"{schema}; PRAGMA user_version = 1; PRAGMA application_id = {number}")
        db.execute("INSERT INTO runs (site, check_only, started_ms, pid, version) VALUES ('/old.yml', 0, 5, 1, '0')")
        db.commit()
        db.close()
        os.chmod(self.state, 0o600)
        self.assertIn("/old.yml", self.ok("history"))

    def test_show_a_host(self):
        self.ok(*self.args)
        self.assertIn("h2", self.ok("show", "last", "--host", "h2"))
        self.assertIn("run 1 did not work on 'h3'", self.fails(1, "show", "last", "--host", "h3"))

    def test_history_and_show(self):
        out = self.ok(*self.args)
        self.assertIn("run 1: done, 2 hosts", out)
        self.ok(*self.args, "-l", "h1")
        p = self.run_(*self.args, "--check")
        self.assertIn("run 3: ", p.stdout)
        runs = json.loads(self.ok("history", "--json"))
        self.assertEqual([r["id"] for r in runs], [3, 2, 1])
        self.assertEqual([r["hosts"] for r in runs], [2, 1, 2])
        self.assertEqual([r["check"] for r in runs], [True, False, False])
        self.assertEqual([r["id"] for r in json.loads(self.ok("history", "--json", "--host", "h2"))], [3, 1])
        self.assertEqual([r["id"] for r in json.loads(self.ok("history", "--json", "-n1"))], [3])
        text = self.ok("history")
        self.assertRegex(text, r"(?m)^ +1  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d +\S+  changed  apply +2 ")

        run = json.loads(self.ok("show", "1", "--json"))
        self.assertEqual(run["site"], str(self.dir / "site.yml"))
        by_task = {r["task"]: r for r in run["results"] if r["host"] == "h1"}
        self.assertEqual(by_task["a file"]["outcome"], "changed")
        # the diff is on record although nobody asked for --diff
        self.assertIn("+new\n", by_task["a file"]["diff"])
        self.assertEqual(by_task["fails"]["outcome"], "ignored")
        self.assertEqual(by_task["fails"]["result"]["rc"], 7)
        self.assertEqual(by_task["skipped"]["outcome"], "skipped")
        self.assertEqual((by_task["fails"]["file"], by_task["fails"]["line"]), ("site.yml", 8))
        text = self.ok("show", "last", "--diff") + self.ok("show", "1", "--diff", "--host", "h2")
        self.assertIn("    +new\n", text)
        self.assertIn("      first\n      second\n", text)
        self.assertNotIn("h1", self.ok("show", "1", "--host", "h2").split("host  ok")[0])
        self.assertIn("there is no run 99\nhint: `provctl history`", self.fails(1, "show", "99"))
        self.assertIn("'x' is no number of a run", self.fails(1, "show", "x"))
        self.assertEqual(self.ok("history", "--host", "nobody"), "")

    def test_secrets_are_nowhere(self):
        shown = self.ok(*self.args, "-vvv", "--diff")
        shown += self.ok(*self.args, "--json")
        shown += self.ok("show", "1", "-v", "--diff") + self.ok("show", "1", "--json")
        self.assertNotIn("hunter2", shown)
        for f in self.state.parent.iterdir():
            self.assertNotIn(b"hunter2", f.read_bytes(), f)
            self.assertEqual(f.stat().st_mode & 0o777, 0o600, f)
        self.assertEqual(self.state.parent.stat().st_mode & 0o777, 0o700)

    def test_known_hosts_are_an_inventory(self):
        self.ok(*self.args)
        (self.dir / "inventory.ini").unlink()
        p = self.run_(*self.args)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn("using the 2 hosts known to the state database", p.stderr)
        self.assertIn("run 2: done, 2 hosts", p.stdout)
        self.assertEqual(json.loads(self.ok("inventory", "--vault-password-file", "pw"))["web"]["hosts"], ["h1", "h2"])

    def test_facts(self):
        self.assertIn("no facts of 'h1' are known", self.fails(1, "facts", "h1")
                      if self.state.exists() else self.ok(*self.args, "-l", "h2") and self.fails(1, "facts", "h1"))
        self.write("facts.yml", "- hosts: h1\n  tasks: []\n")
        self.ok("apply", "facts.yml", "--vault-password-file", "pw")
        self.assertRegex(self.ok("facts", "h1"), r"(?m)^kernel: \S+$")
        kernel = self.ok("facts", "h1", "ansible_kernel")
        self.assertEqual(kernel, os.uname().release + "\n")
        self.assertEqual(kernel, self.ok("facts", "h1", "kernel"))
        facts = json.loads(self.ok("facts", "h1", "--json"))
        self.assertEqual(facts["kernel"], os.uname().release)
        self.assertIn("did you mean 'kernel'?", self.fails(1, "facts", "h1", "kernle"))

    def test_killed_run(self):
        self.write("slow.yml", "- hosts: h1\n  gather_facts: false\n  tasks:\n"
                   "    - {name: quick, command: 'true'}\n    - {name: slow, command: sleep 60}\n")
        p = subprocess.Popen([support.PROVCTL, "apply", "slow.yml", "--json", "--vault-password-file", "pw",
                              "--state", str(self.state)],
                             cwd=self.dir, env=self.env(), stdout=subprocess.PIPE, text=True)
        self.addCleanup(p.kill)
        for line in p.stdout:
            if '"task_start"' in line and '"slow"' in line:
                break
        # what was reported is committed a moment later
        deadline = time.monotonic() + 20
        while True:
            show = self.run_("show", "1", "--json")
            if show.returncode == 0 and json.loads(show.stdout)["results"]:
                break
            self.assertLess(time.monotonic(), deadline, show.stderr)
            time.sleep(0.05)
        self.assertEqual(json.loads(self.ok("history", "--json"))[0]["state"], "running")
        p.send_signal(signal.SIGKILL)
        p.wait()
        p.stdout.close()
        run = json.loads(self.ok("show", "last", "--json"))
        self.assertEqual((run["state"], run["ended_ms"]), ("killed", None))
        self.assertEqual([(r["task"], r["outcome"]) for r in run["results"]], [("quick", "changed")])
        self.assertIn("killed", self.ok("history"))
        self.ok(*self.args)


class Keys(Case):
    KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICcYniXV7lW2L1UkvLba1zjSIRmMv1MuB2oGehTJ5FXk"

    def test_list_and_forget(self):
        self.write("site.yml", "- hosts: all\n  gather_facts: false\n  tasks: [{command: 'true'}]\n")
        self.ok("apply", "site.yml", "-i", "h,", "-e", "ansible_connection=local")
        self.assertEqual(self.ok("keys"), "")
        db = sqlite3.connect(self.state)
        for host, port in (("192.0.2.1", 22), ("192.0.2.1", 2222), ("fd00::1", 22)):
            db.execute("INSERT INTO host_keys VALUES (?, ?, ?, 1000)", (host, port, self.KEY))
        db.commit()
        db.close()
        rows = json.loads(self.ok("keys", "--json"))
        self.assertEqual([(r["host"], r["port"]) for r in rows], [("192.0.2.1", 22), ("192.0.2.1", 2222), ("fd00::1", 22)])
        digest = hashlib.sha256(base64.b64decode(self.KEY.split()[1])).digest()
        self.assertEqual(rows[0]["fingerprint"], "SHA256:" + base64.b64encode(digest).decode().rstrip("="))
        self.assertRegex(self.ok("keys"), r"(?m)^fd00::1 +22  ssh-ed25519  SHA256:")
        self.assertIn("no key of '192.0.2.9' is pinned\nhint: did you mean '192.0.2.1'?", self.fails(1, "keys", "forget", "192.0.2.9"))
        self.assertIn("no key of '192.0.2.1:23'", self.fails(1, "keys", "forget", "192.0.2.1:23"))
        self.assertIn("is no port", self.fails(1, "keys", "forget", "h:x"))
        self.ok("keys", "forget", "192.0.2.1:2222")
        self.assertEqual(len(json.loads(self.ok("keys", "--json"))), 2)
        self.ok("keys", "forget", "fd00::1")
        self.ok("keys", "forget", "192.0.2.1")
        self.assertEqual(json.loads(self.ok("keys", "--json")), [])
        self.assertIn("unknown action", self.fails(1, "keys", "drop"))


class Bad(Case):
    """The database cannot be used: an error, status 1, and no host is touched."""

    def setUp(self):
        super().setUp()
        self.write("site.yml", "- hosts: all\n  gather_facts: false\n  tasks:\n"
                   "    - copy: {dest: '{{ playbook_dir }}/touched', content: x}\n")
        self.write("inventory.ini", "h1 ansible_connection=local\n")

    def refused(self, *parts, args=(), **kw):
        err = self.fails(1, "apply", "site.yml", *args, **kw)
        for part in parts:
            self.assertIn(part, err)
        self.assertIn("hint: ", err)
        self.assertFalse((self.dir / "touched").exists(), "a host was touched")

    def make(self):
        self.ok("apply", "site.yml")
        (self.dir / "touched").unlink()

    def test_locked(self):
        self.make()
        db = sqlite3.connect(self.state, isolation_level=None)
        db.execute("BEGIN IMMEDIATE")
        try:
            self.refused("is locked by python3", f"(pid {os.getpid()})")
            # reading does not need the lock
            self.assertEqual(len(json.loads(self.ok("history", "--json"))), 1)
        finally:
            db.rollback()
            db.close()
        self.ok("apply", "site.yml")

    def test_newer(self):
        self.make()
        db = sqlite3.connect(self.state)
        db.execute("PRAGMA user_version = 99")
        db.close()
        self.refused("was written by a newer provctl (schema 99", "update provctl")
        self.assertIn("newer provctl", self.fails(1, "history"))

    def test_corrupt(self):
        self.make()
        with open(self.state, "r+b") as f:
            f.seek(100)
            f.write(b"\xa5" * 100)
        self.refused("is damaged", ".recover")
        self.assertIn("is damaged", self.fails(1, "history"))

    def test_no_database(self):
        self.state.parent.mkdir()
        self.state.write_text("hello " * 100)
        self.refused("is not a state database")
        self.assertIn("is not a state database", self.fails(1, "history"))

    def test_other_program(self):
        self.state.parent.mkdir()
        db = sqlite3.connect(self.state)
        db.execute("CREATE TABLE x (y)")
        db.close()
        before = self.state.read_bytes()
        self.refused("is a database of another program")
        self.assertEqual(self.state.read_bytes(), before)

    def test_directory(self):
        self.state.mkdir(parents=True)
        self.refused("is no file")

    def test_read_only(self):
        self.make()
        os.chmod(self.state, 0o400)
        os.chmod(self.state.parent, 0o500)
        self.addCleanup(os.chmod, self.state.parent, 0o700)
        if os.geteuid() == 0:
            # root may write everything: run as somebody else
            for path in (self.dir, self.state.parent, self.state, *self.dir.glob("*"), *self.state.parent.glob("*")):
                os.chown(path, 65534, 65534)
            if subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", support.PROVCTL, "--version"],
                              capture_output=True).returncode != 0:
                self.skipTest("nobody else may run provctl here")
            real, support.PROVCTL = support.PROVCTL, str(self.dir / "as-nobody")
            self.addCleanup(setattr, support, "PROVCTL", real)
            self.write("as-nobody", f'#!/bin/sh\nexec setpriv --reuid=65534 --clear-groups {real} "$@"\n').chmod(0o755)
            os.chmod(self.dir, 0o755)
        self.refused("cannot be written")
        self.assertEqual(len(json.loads(self.ok("history", "--json"))), 1)

    def test_missing(self):
        self.assertIn("there is no state database at", self.fails(1, "history"))
        self.assertIn("there is no state database at", self.fails(1, "show", "1"))
        self.assertFalse(self.state.parent.exists())

    def test_keep(self):
        """How long runs are kept is a setting of the database."""
        prune = lambda *args: self.run_("prune", *args)
        self.assertIn("began more than 90 days ago", prune().stderr)
        self.assertIn("after 30 days", prune("--keep", "30").stderr)
        self.assertIn("began more than 30 days ago", prune().stderr)
        self.assertIn("began more than 7 days ago", prune("--days", "7").stderr)
        self.assertIn("dropped only by", prune("--keep", "never").stderr)
        self.assertIn("kept for ever", prune().stderr)
        for bad in ("0", "-1", "x", "3d", "", "36501"):
            self.assertIn("--keep takes 1 to 36500 days or 'never'", self.fails(1, "prune", f"--keep={bad}"))

    def test_no_place(self):
        self.state = "/proc/nowhere/state.db"
        self.refused("cannot create the directory")



if __name__ == "__main__":
    main()

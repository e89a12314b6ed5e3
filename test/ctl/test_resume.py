"""Runs that are killed, resumed, retried; leases. The kill comes at every commit in turn (killat.c)."""
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import support
from support import Case, main

KILLAT = sys.argv.pop(2)

# Every kind of step that a crash could make forget something: a change that notifies, a handler that notifies
# another, a task whose answer is lost, a second play. `count` files count how often something was done.
SITE = """
- name: first
  hosts: all
  gather_facts: false
  tasks:
    - name: config
      copy: {dest: "{{ playbook_dir }}/out/conf-{{ inventory_hostname }}", content: "x\\n"}
      notify: restart
    - name: many
      copy: {dest: "{{ playbook_dir }}/out/{{ item }}-{{ inventory_hostname }}", content: "{{ item }}"}
      loop: [a, b]
      notify: [reload]
    - name: nothing to do
      command: "true"
      changed_when: false
  handlers:
    - name: restart
      copy: {dest: "{{ playbook_dir }}/out/restarted-{{ inventory_hostname }}", content: "once\\n"}
      notify: after restart
    - name: reload
      copy: {dest: "{{ playbook_dir }}/out/reloaded-{{ inventory_hostname }}", content: "once\\n"}
    - name: after restart
      copy: {dest: "{{ playbook_dir }}/out/after-{{ inventory_hostname }}", content: "once\\n"}
- name: second
  hosts: h1
  gather_facts: false
  tasks:
    - name: last
      copy: {dest: "{{ playbook_dir }}/out/last", content: "x"}
"""


class Resume(Case):
    def setUp(self):
        super().setUp()
        self.write("site.yml", SITE)
        self.write("inventory.ini", "[all:vars]\nansible_connection=local\n[web]\nh1\nh2\n")
        (self.dir / "out").mkdir()

    def outcome(self):
        return {p.name: p.read_text() for p in sorted((self.dir / "out").iterdir())}

    def clear(self):
        for d in (self.dir / "out", self.state.parent):
            if d.exists():
                for p in d.iterdir():
                    p.unlink()

    def killed(self, n, when, *args):
        env = self.env(LD_PRELOAD=KILLAT, KILL_AT=str(n), KILL_WHEN=when)
        return self.run_("apply", "site.yml", "--json", *args, env=env)

    def check_everywhere(self, when):
        self.ok("apply", "site.yml")
        wanted = self.outcome()
        self.assertEqual(len(wanted), 13)
        kills = 0
        for n in range(1, 500):
            self.clear()
            p = self.killed(n, when)
            if p.returncode == 0:
                break
            self.assertEqual(p.returncode, -signal.SIGKILL, p.stdout + p.stderr)
            kills += 1
            at = f"killed {when} commit {n}"
            # What was reported stays reported.
            told = [json.loads(line) for line in p.stdout.splitlines() if line.endswith("}")]
            p = self.run_("history", "--json")     # fails while there is no database, or only half of one
            runs = json.loads(p.stdout) if p.returncode == 0 else []
            if told:
                self.assertIn(runs[0]["state"], ("killed", "done"), at)
                kept = [(r["host"], r["task"], r["outcome"])
                        for r in json.loads(self.ok("show", "last", "--json"))["results"]]
                for e in told:
                    if e["event"] == "task_end":
                        self.assertIn((e["host"], e["task"], e["outcome"]), kept, at)
            if runs and runs[0]["state"] == "killed":
                self.ok("resume")
            else:
                # Before the run had begun there is nothing to resume; behind its end all is done.
                if not runs:
                    self.ok("apply", "site.yml")
            self.assertEqual(self.outcome(), wanted, at)
            self.ok("status")
            self.assertEqual(self.run_("resume").returncode, 0)
        # Each event is a commit of its own: the run's begin with its leases, each task sent, its before-images, items,
        # notifications and end, what becomes of each host, the run's end.
        print(f"killed {when} each of {kills} commits", file=sys.stderr)
        self.assertGreater(kills, 55)

    def test_killed_before_each_commit(self):
        self.check_everywhere("before")

    def test_killed_after_each_commit(self):
        self.check_everywhere("after")

    # A command that kills what is left, two files, one whose content is another one each time it is asked for.
    DRIFTS = """
- hosts: all
  gather_facts: false
  tasks:
    - name: one
      copy: {dest: "{{ playbook_dir }}/out/one-{{ inventory_hostname }}", content: "x\\n"}
      notify: restart
    - name: two
      copy: {dest: "{{ playbook_dir }}/out/{{ item }}-{{ inventory_hostname }}", content: "{{ item }}"}
      loop: [a, b]
    - name: moves
      copy: {dest: "{{ playbook_dir }}/out/moves", content: "{{ lookup('pipe', 'cat word') }}"}
  handlers:
    - name: restart
      shell: echo x >> {{ playbook_dir }}/restarted-{{ inventory_hostname }}
"""

    def kill_everywhere(self, *command):
        """Kills a command behind each commit in turn, from the same beginning; yields what it was killed at."""
        kept = self.dir / "kept"
        shutil.copytree(self.state.parent, kept / "state")
        shutil.copytree(self.dir / "out", kept / "out")
        for n in range(1, 500):
            for name in (self.state.parent, self.dir / "out"):
                shutil.rmtree(name)
                shutil.copytree(kept / name.name, name)
            for f in self.dir.glob("restarted-*"):
                f.unlink()
            p = self.run_(*command, env=self.env(LD_PRELOAD=KILLAT, KILL_AT=str(n), KILL_WHEN="after"))
            yield n if p.returncode == -signal.SIGKILL else None
            if p.returncode != -signal.SIGKILL:
                print(f"{command[0]}: killed after each of {n - 1} commits", file=sys.stderr)
                self.assertEqual(p.returncode, 0, p.stdout + p.stderr)
                self.assertGreater(n, 30)
                return

    def drifted(self):
        self.write("site.yml", self.DRIFTS)
        self.write("word", "old")
        self.ok("apply", "site.yml")
        for name in ("one-h1", "a-h2"):
            (self.dir / "out" / name).write_text("edited\n")

    def corrected(self, at):
        self.assertEqual(self.outcome(), {"one-h1": "x\n", "one-h2": "x\n", "a-h1": "a", "a-h2": "a", "b-h1": "b", "b-h2": "b", "moves": "old"}, at)
        # the handler of what was corrected, on that host, perhaps more than once, and never lost; elsewhere only
        # when nobody knows what became of the task
        self.assertTrue((self.dir / "restarted-h1").exists(), at)
        if at is None:
            self.assertFalse((self.dir / "restarted-h2").exists(), at)
        self.assertNotIn("owed", self.ok("status"), at)
        self.assertEqual(self.query("SELECT * FROM leases"), [], at)

    def query(self, text):
        db = sqlite3.connect(self.state, timeout=30)
        try:
            return db.execute(text).fetchall()
        finally:
            db.close()

    def test_correction_killed_after_each_commit(self):
        """What had drifted is put right once, what the site newly asks for is left, and each drift is on record once."""
        self.drifted()
        self.write("word", "new")
        for at in self.kill_everywhere("drift", "--correct"):
            if at is not None:
                self.run_("resume")
                self.assertEqual(self.run_("drift", "--correct").returncode, 0, at)
            self.corrected(at)
            rows = self.query("SELECT t.name, d.item, h.name, d.how FROM drift d JOIN tasks t ON t.id = d.task_id JOIN hosts h ON h.id = d.host_id")
            self.assertEqual([r[:3] for r in sorted(rows)], [("one", "", "h1"), ("two", "a", "h2")], at)
            # What a crash has hidden the answer of was found done by the next look.
            self.assertEqual({r[3] for r in rows} - {"corrected", "gone"}, set(), at)

    def test_plan_killed_after_each_commit(self):
        """A plan whose run was killed is carried out, no less and no more."""
        self.drifted()
        self.assertEqual(self.run_("plan", "site.yml", "--out", "p").returncode, 2)
        for at in self.kill_everywhere("apply", "p"):
            if at is not None:
                self.write("word", "new")
                self.run_("resume")
                self.write("word", "old")
                # killed before its run had begun: nothing was changed, and the plan is good still
                if (self.dir / "out" / "one-h1").read_text() == "edited\n":
                    self.ok("apply", "p")
            self.corrected(at)

    def test_lost_answer(self):
        """The change was made, the controller died before it heard of it: the handler still runs."""
        self.ok("apply", "site.yml")
        for name in ("conf-h1", "restarted-h1"):
            (self.dir / "out" / name).unlink()
        for n in range(1, 100):
            p = self.killed(n, "before", "-l", "h1")
            if (self.dir / "out" / "conf-h1").exists():
                break
        self.assertEqual(p.returncode, -signal.SIGKILL)
        self.assertFalse((self.dir / "out" / "restarted-h1").exists())
        out = self.ok("resume")
        self.assertIn("h1  ok       config", out)
        self.assertIn("h1  changed  restart (handler)", out)
        self.ok("status")

    def test_options_are_kept_and_secret(self):
        self.write("site.yml", "- hosts: all\n  gather_facts: false\n  tasks:\n"
                   "    - name: one\n      copy: {dest: '{{ playbook_dir }}/out/{{ inventory_hostname }}', content: '{{ word }}'}\n"
                   "      tags: yes_\n      no_log: true\n"
                   "    - name: two\n      command: test -e {{ playbook_dir }}/good\n      tags: yes_\n      changed_when: false\n"
                   "    - name: never\n      fail: {}\n")
        args = ("apply", "site.yml", "-i", "inventory.ini", "-l", "h2", "-t", "yes_", "-e", "word=hunter2-extra")
        self.assertEqual(self.run_(*args).returncode, 3)
        for f in self.state.parent.iterdir():
            self.assertFalse(b"hunter2" in f.read_bytes(), f)
        key = self.state.with_name("state.db.key")
        self.assertEqual(key.stat().st_mode & 0o777, 0o600)
        (self.dir / "out" / "h2").unlink()
        (self.dir / "good").touch()
        (self.dir / "elsewhere").mkdir()
        out = self.ok("resume", cwd=self.dir / "elsewhere")
        self.assertIn("h2  changed  one", out)
        self.assertNotIn("h1", out)
        self.assertEqual((self.dir / "out" / "h2").read_text(), "hunter2-extra")
        # without the key: an error that says so
        self.assertEqual(self.run_(*args[:-4], "-t", "yes_", "-e", "word=x").returncode, 0)
        (self.dir / "good").unlink()
        self.assertEqual(self.run_(*args).returncode, 3)
        key.unlink()
        self.assertIn("state.db.key", self.fails(1, "resume"))

    def test_retry(self):
        self.write("site.yml", "- hosts: all\n  gather_facts: false\n  tasks:\n"
                   "    - name: wants\n      command: test -e {{ playbook_dir }}/good-{{ inventory_hostname }}\n"
                   "      changed_when: false\n")
        (self.dir / "good-h1").touch()
        self.assertEqual(self.run_("apply", "site.yml").returncode, 3)
        p = self.run_("status", "--json")
        self.assertEqual(p.returncode, 2)
        pending = json.loads(p.stdout)["pending"]
        self.assertEqual([(x["host"], x["tries"]) for x in pending], [("h2", 1)])
        self.assertIn("wants", pending[0]["reason"])
        self.assertTrue(45000 <= pending[0]["next_ms"] - pending[0]["last_ms"] <= 75000)
        # not due yet
        self.assertIn("nothing is pending", self.run_("retry", "--due").stderr)
        self.assertIn("nothing is pending for 'h1'", self.run_("retry", "h1").stderr)
        p = self.run_("retry", "h2")
        self.assertEqual(p.returncode, 3)
        self.assertNotIn("h1", p.stdout)
        self.assertEqual(json.loads(self.run_("status", "--json").stdout)["pending"][0]["tries"], 2)
        for _ in range(3, 13):
            p = self.run_("retry")
        self.assertEqual(p.returncode, 3)
        self.assertIn("'h2' is given up after 12 tries", p.stderr)
        p = self.run_("status")
        self.assertEqual(p.returncode, 3)
        self.assertIn("given up", p.stdout)
        # A person may try it all the same; success clears it.
        (self.dir / "good-h2").touch()
        self.ok("retry", "h2")
        self.ok("status")

    def test_stopped_by_others(self):
        """Whom the failure of others stopped is not through: not in this play, nor with the plays behind it."""
        self.write("site.yml", """
- hosts: h1,h2
  any_errors_fatal: true
  gather_facts: false
  tasks:
    - command: test {{ inventory_hostname }} = h1 -o -e {{ playbook_dir }}/good
    - copy: {dest: "{{ playbook_dir }}/out/one-{{ inventory_hostname }}", content: x}
- hosts: h1
  gather_facts: false
  tasks:
    - copy: {dest: "{{ playbook_dir }}/out/two", content: x}
""")
        self.assertEqual(self.run_("apply", "site.yml").returncode, 3)
        self.assertEqual(self.outcome(), {})
        (self.dir / "good").touch()
        self.ok("resume")
        self.assertEqual(sorted(self.outcome()), ["one-h1", "one-h2", "two"])
        self.ok("status")

    def test_serial_stopped(self):
        """The hosts of an earlier play, when a later one is stopped and another was still to come."""
        self.write("site.yml", "".join(f"""
- hosts: {hosts}
  gather_facts: false
  tasks:
    - command: {command}
    - copy: {{dest: "{{{{ playbook_dir }}}}/out/{i}-{{{{ inventory_hostname }}}}", content: x}}
""" for i, (hosts, command) in enumerate((("all", "'true'"), ("h2", "test -e {{ playbook_dir }}/good"), ("h1", "'true'")))))
        self.assertEqual(self.run_("apply", "site.yml").returncode, 3)
        self.assertEqual(sorted(self.outcome()), ["0-h1", "0-h2"])
        (self.dir / "good").touch()
        self.ok("resume")
        self.assertEqual(sorted(self.outcome()), ["0-h1", "0-h2", "1-h2", "2-h1"])
        self.ok("status")

    def test_part_retried(self):
        """Another host of the run was retried: resume still knows the rest, and only that."""
        self.write("site.yml", "- hosts: all\n  gather_facts: false\n  tasks:\n"
                   "    - command: test -e {{ playbook_dir }}/good\n      changed_when: false\n")
        self.assertEqual(self.run_("apply", "site.yml").returncode, 3)
        (self.dir / "good").touch()
        self.ok("retry", "h1")
        p = self.ok("resume", "--json")
        self.assertEqual({e["host"] for e in map(json.loads, p.splitlines()) if e["event"] == "task_end"}, {"h2"})
        self.ok("status")
        self.assertNotIn("task_end", self.ok("resume", "1", "--json"))

    def test_prune_and_backup(self):
        self.ok("apply", "site.yml")
        self.ok("apply", "site.yml")
        self.assertIn("0 runs dropped", self.run_("prune").stderr)
        self.ok("state", "backup", "copy.db")
        self.assertIn("it is there already", self.fails(1, "state", "backup", "copy.db"))
        self.assertIn("not 'restore'", self.fails(1, "state", "restore", "x"))
        db = sqlite3.connect(self.state)
        db.execute("UPDATE runs SET started_ms = 1")
        db.commit()
        db.close()
        self.assertIn("1 run dropped", self.run_("prune", "--days", "1").stderr)
        self.assertEqual([r["id"] for r in json.loads(self.ok("history", "--json"))], [2])
        (self.dir / "copy.db").rename(self.state)
        self.assertEqual([r["id"] for r in json.loads(self.ok("history", "--json"))], [2, 1])

    def test_leases(self):
        self.write("slow.yml", "- hosts: all\n  gather_facts: false\n  tasks:\n"
                   "    - name: slow\n      command: sh -c 'until test -e {{ playbook_dir }}/go; do sleep 0.05; done'\n")
        slow = subprocess.Popen([support.PROVCTL, "apply", "slow.yml", "-l", "h1", "--json", "--state", str(self.state)],
                                cwd=self.dir, env=self.env(), stdout=subprocess.PIPE, text=True)
        for line in slow.stdout:
            if '"task_start"' in line:
                break
        err = self.fails(5, "apply", "site.yml")
        self.assertIn(f"'h1' is worked on by run 1 of ", err)
        self.assertIn(f"(pid {slow.pid}, {self.dir}/slow.yml)", err)
        self.assertEqual(list((self.dir / "out").iterdir()), [])
        self.ok("apply", "site.yml", "-l", "h2")
        self.assertIn("run 1 is under way", self.fails(1, "resume", "1"))
        waiting = subprocess.Popen([support.PROVCTL, "apply", "site.yml", "--wait", "--state", str(self.state)],
                                   cwd=self.dir, env=self.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertIn("waiting for h1: run 1 of", waiting.stderr.readline())
        # One that waits can be interrupted, and has touched nothing.
        other = subprocess.Popen([support.PROVCTL, "apply", "site.yml", "--wait", "--state", str(self.state)],
                                 cwd=self.dir, env=self.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        other.stderr.readline()
        other.send_signal(signal.SIGINT)
        self.assertEqual(other.wait(20), 130)
        self.assertFalse((self.dir / "out" / "conf-h1").exists())
        (self.dir / "go").touch()
        slow.stdout.read()
        self.assertEqual(slow.wait(20), 0)
        out, err = waiting.communicate(timeout=30)
        self.assertEqual(waiting.returncode, 0, out + err)
        self.assertTrue((self.dir / "out" / "conf-h1").exists())
        for p in (slow, other):
            p.stdout.close()
        other.stderr.close()
        self.assertEqual(json.loads(self.ok("status", "--json"))["held"], [])

    def test_many_at_once(self):
        """Twelve programs, some of them killed: never two on a host."""
        self.write("race.yml", "- hosts: all\n  gather_facts: false\n  tasks:\n    - name: alone\n      command: >-\n"
                   "        sh -c 'mkdir {{ playbook_dir }}/out/lock-{{ inventory_hostname }} || echo {{ inventory_hostname }}"
                   " >> {{ playbook_dir }}/collision; sleep 0.05; rmdir {{ playbook_dir }}/out/lock-{{ inventory_hostname }};"
                   " echo >> {{ playbook_dir }}/done-{{ inventory_hostname }}'\n")
        procs = [subprocess.Popen([support.PROVCTL, "apply", "race.yml", "--wait", "-l", ("h1", "h2", "all")[i % 3],
                                   "--state", str(self.state)], cwd=self.dir, env=self.env(),
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for i in range(12)]
        time.sleep(0.1)
        for p in procs[9:]:
            # Not one that works: its task would go on beside its successor's.
            if p.poll() is None:
                p.send_signal(signal.SIGSTOP)
                held = json.loads(self.run_("status", "--json").stdout or '{"held": []}')["held"] if self.state.exists() else []
                if p.pid not in [h["pid"] for h in held]:
                    p.kill()
                p.send_signal(signal.SIGCONT)
        texts = [p.communicate(timeout=100)[0] for p in procs]
        self.assertFalse((self.dir / "collision").exists())
        for p, text in zip(procs[:9], texts):
            self.assertEqual(p.returncode, 0, text)
        self.assertGreaterEqual(len((self.dir / "done-h1").read_text()), 6)


if __name__ == "__main__":
    main()

"""Snapshots, drift and plans on this machine; on hosts: test/integration/drift.py."""
import fcntl
import json
import os
import shutil
import sqlite3
import subprocess

import support
from support import Case, main

SITE = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: one
      copy: {content: "1\\n", dest: "%(dir)s/out/one"}
    - name: command
      command: sh -c 'echo x >> %(dir)s/out/ran'
"""


class Drift(Case):
    def setUp(self):
        super().setUp()
        (self.dir / "out").mkdir()
        self.site = self.write("site.yml", SITE % {"dir": self.dir})

    def out(self, name):
        return (self.dir / "out" / name).read_text()

    def edit(self, name, text="edited\n"):
        (self.dir / "out" / name).write_text(text)

    def listed(self, *args, status):
        p = self.run_("drift", "--list", "--json", *args)
        self.assertEqual(p.returncode, status, p.stderr)
        return [(d["task"], d["how"]) for d in json.loads(p.stdout)]

    def query(self, sql):
        db = sqlite3.connect(self.state)
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()

    # ---- drift

    def test_nothing_applied(self):
        self.assertIn("no state database", self.fails(1, "drift"))
        self.run_("check", "site.yml")
        self.assertIn("nothing was applied to any host yet", self.fails(1, "drift"))
        self.assertIn("was not applied to any host yet", self.fails(1, "drift", "site.yml"))
        self.assertEqual(self.listed(status=0), [])

    def test_usage(self):
        self.ok("apply", "site.yml")
        self.assertIn("--list connects to no host", self.fails(1, "drift", "--list", "--correct"))
        self.assertIn("--host goes with --list", self.fails(1, "drift", "--host", "x"))
        self.assertIn("was not applied", self.fails(1, "drift", "other.yml"))

    def test_classes_in_outputs(self):
        self.ok("apply", "site.yml")
        self.edit("one")
        events = self.events("check", "site.yml", status=2)
        self.assertEqual([e.get("class") for e in events if e.get("outcome") == "changed"], ["corrective"])
        out = self.run_("check", "site.yml").stdout
        self.assertRegex(out, r"changed +one +corrective")
        self.assertRegex(self.ok("apply", "site.yml"), r"changed +one +corrective")
        self.assertRegex(self.ok("show", "last"), r"changed +one +corrective")
        shown = json.loads(self.ok("show", "last", "--json"))["results"]
        self.assertEqual([r["class"] for r in shown], ["corrective", None])
        self.assertEqual(self.listed("-v", status=0), [("one", "corrected")])

    def test_moved_and_renamed_tasks(self):
        self.ok("apply", "site.yml")
        self.edit("one")
        text = self.site.read_text()
        self.site.write_text("# a line more\n\n" + text)
        self.assertIn("corrective", self.run_("check", "site.yml").stdout)
        self.site.write_text(text.replace("name: one", "name: another"))
        self.assertIn("intentional", self.run_("check", "site.yml").stdout)

    def test_correct_runs_what_ran(self):
        self.ok("apply", "site.yml")
        self.edit("one")
        self.ok("drift", "--correct")
        self.assertEqual((self.out("one"), self.out("ran")), ("1\n", "x\nx\n"))
        self.ok("drift", "--correct")
        self.assertEqual(self.out("ran"), "x\nx\n", "nothing had drifted: nothing runs")

    def test_correct_leaves_what_is_new(self):
        """What a lookup gives is another today: that is no drift."""
        self.write("level", "1\n")
        self.write("site.yml", """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: level
      copy: {content: "{{ lookup('pipe', 'cat %(dir)s/level') }}", dest: "%(dir)s/out/level"}
    - name: one
      copy: {content: "1", dest: "%(dir)s/out/one"}
""" % {"dir": self.dir})
        self.ok("apply", "site.yml")
        self.write("level", "2\n")
        self.ok("drift")
        self.edit("one")
        out = self.ok("drift", "--correct", "-v")
        self.assertIn("The change was not asked for", out)
        self.assertEqual((self.out("level"), self.out("one")), ("1", "1"))
        self.ok("apply", "site.yml")
        self.assertEqual(self.out("level"), "2")

    def test_gone_by_hand(self):
        self.ok("apply", "site.yml")
        self.edit("one")
        self.assertEqual(self.run_("drift").returncode, 2)
        self.assertEqual(self.listed(status=2), [("one", None)])
        self.edit("one", "1\n")
        self.ok("drift")
        self.assertEqual(self.listed("-v", status=0), [("one", "gone")])

    def test_parts_are_no_past(self):
        """A run of some tasks is not what the host was left as."""
        self.site.write_text(self.site.read_text().replace("- name: one", "- name: one\n      tags: [one]"))
        self.ok("apply", "site.yml", "--tags", "one")
        self.assertIn("nothing was applied", self.fails(1, "drift"))

    def test_list_and_forget(self):
        self.ok("apply", "site.yml")
        self.edit("one")
        self.run_("drift")
        p = self.run_("drift", "--list", "--diff")
        self.assertEqual(p.returncode, 2)
        self.assertIn("localhost  one\n", p.stdout)
        self.assertIn("-edited", p.stdout)
        self.assertIn("wants a SITE", self.fails(1, "drift", "--forget"))
        self.ok("drift", "--forget", "site.yml")
        self.assertEqual(self.listed("-v", status=0), [("one", "forgotten")])
        self.assertIn("nothing was applied", self.fails(1, "drift"))
        self.ok("apply", "site.yml")
        self.ok("drift")

    def test_task_that_is_no_more(self):
        """What nobody asks for any more is no drift."""
        self.ok("apply", "site.yml")
        self.edit("one")
        self.run_("drift")
        self.site.write_text(self.site.read_text().replace("name: one", "name: another"))
        self.ok("apply", "site.yml")
        self.assertEqual(self.listed("-v", status=0), [("one", "replaced")])
        self.ok("drift")

    # ---- snapshots

    def test_all_that_was_read(self):
        """A site that uses every way to read a file is drift-checked when all of its files are gone."""
        d = self.dir / "proj"
        os.makedirs(d / "sub")
        for name, text in {
            "ansible.cfg": "[defaults]\nroles_path = shared\nvault_password_file = pass\n",
            "pass": "secret\n",
            "play/site.yml": f"""
- hosts: web
  connection: local
  gather_facts: false
  vars_files: [../vars/more.yml]
  vars: {{out: {self.dir}/out}}
  roles: [role, {{role: other, when: false}}]
  tasks:
    - include_tasks: more/tasks.yml
    - include_vars: {{dir: ../vars/d}}
    - copy: {{content: "{{{{ lookup('file', 'data.txt') }}}} {{{{ more }}}} {{{{ g }}}} {{{{ h }}}} {{{{ d }}}} {{{{ v }}}} {{{{ e }}}}", dest: "{{{{ out }}}}/words"}}
    - copy: {{src: "{{{{ item }}}}", dest: "{{{{ out }}}}/"}}
      with_fileglob: "globbed/*.txt"
    - copy: {{src: ../tree/, dest: "{{{{ out }}}}/tree/"}}
    - script: run.sh {{{{ out }}}}/script
      args: {{creates: "{{{{ out }}}}/script"}}
    - copy: {{content: "{{{{ playbook_dir }}}}", dest: "{{{{ out }}}}/dir"}}
""",
            "play/more/tasks.yml": "- copy: {content: \"{{ q }}\", dest: \"{{ out }}/included\"}\n  vars: {q: 1}\n",
            "play/files/data.txt": "data", "play/files/globbed/1.txt": "1", "play/files/globbed/2.txt": "2",
            "play/files/run.sh": "#!/bin/sh\necho ran > $1\n",
            "vars/more.yml": "more: m\n", "vars/d/x.yml": "d: dd\n", "tree/a/b.txt": "b",
            "inv/hosts": "[web]\nweb1\n", "inv/group_vars/web.yml": "g: gg\n", "inv/host_vars/web1/a.yml": "h: hh\n",
            "shared/role/tasks/main.yml": "- template: {src: t.j2, dest: \"{{ out }}/t\"}\n",
            "shared/role/templates/t.j2": "{% include 'part.j2' %} {{ template_mtime }} {{ template_fullpath }}\n",
            "shared/role/templates/part.j2": "part",
            "shared/role/defaults/main.yml": "v: vv\n",
            "shared/other/tasks/main.yml": "- debug: {msg: never}\n",
            "extra.yml": "e: ee\n",
        }.items():
            self.write(f"proj/{name}", text)
        os.chmod(d / "tree/a", 0o711)
        p = self.run_("apply", "play/site.yml", "-i", "inv", "-e", "@extra.yml", cwd=d)
        self.assertEqual(p.returncode, 0, p.stdout + p.stderr)
        self.assertEqual(self.out("words"), "data m gg hh dd vv ee")
        p = self.run_("drift", cwd=self.dir)
        self.assertEqual(p.returncode, 0, p.stdout + p.stderr)
        for name in os.listdir(d):
            if name != "pass":
                shutil.rmtree(d / name) if (d / name).is_dir() else (d / name).unlink()
        before = self.query("SELECT count(*) FROM applied")
        p = self.run_("drift", "--correct", "--json")
        self.assertEqual(p.returncode, 0, p.stdout + p.stderr)
        changed = [e for e in map(json.loads, p.stdout.splitlines()) if e.get("outcome") == "changed"]
        self.assertEqual(changed, [])
        for name in ("words", "t", "tree/a/b.txt", "script", "included", "1.txt"):
            (self.dir / "out" / name).unlink()
        events = self.events("drift", "--correct")
        self.assertEqual({e.get("class") for e in events if e.get("outcome") == "changed"}, {"corrective"})
        self.assertEqual(self.out("words"), "data m gg hh dd vv ee")
        self.assertEqual(self.out("dir"), str(d / "play"))
        self.assertEqual(self.query("SELECT count(*) FROM applied"), before, "every task asks for the same as before")

    def test_secrets_stay_secret(self):
        """Files are stored encrypted; passwords of vaults are not stored."""
        self.write("pw", "vaultpassword\n")
        self.write("group_vars/all.yml", "key: plain-but-private-4711\n")
        self.ok("apply", "site.yml", "--vault-password-file", "pw")
        self.assertNotIn(b"plain-but-private-4711", b"".join(p.read_bytes() for p in self.state.parent.glob("*")))
        listed = self.ok("sites", "show", "1")
        self.assertIn("group_vars/all.yml", listed)
        self.assertNotIn(str(self.dir / "pw"), listed)
        self.assertIn("4711", self.ok("sites", "show", "1", "group_vars/all.yml"))
        (self.state.parent / "state.db.key").unlink()
        self.assertIn("state.db.key", self.fails(1, "sites", "show", "1", "all.yml"))

    def test_sites(self):
        self.ok("apply", "site.yml")
        self.ok("apply", "site.yml")
        self.site.write_text("# more\n" + self.site.read_text())
        self.run_("check", "site.yml")
        sites = json.loads(self.ok("sites", "--json"))
        self.assertEqual(sorted((s["runs"], s["last_run"]) for s in sites), [(1, 3), (2, 2)])
        first = next(s["id"] for s in sites if s["last_run"] == 2)
        self.assertEqual(self.ok("sites", "show", first[:9], "site.yml"), SITE % {"dir": self.dir})
        self.assertIn("no snapshot 'ffff'", self.fails(1, "sites", "show", "ffff"))
        self.assertIn("holds no content of 'nothing'", self.fails(1, "sites", "show", "1", "nothing"))
        self.ok("sites", "export", "1", "exported")
        self.assertEqual((self.dir / f"exported{self.site}").read_text(), SITE % {"dir": self.dir})
        self.assertIn("cannot make the directory", self.fails(1, "sites", "export", "1", "exported"))
        self.fails(1, "sites", "shew")
        self.fails(1, "sites", "show")

    def test_many_at_once(self):
        """Runs that begin together keep the same new site."""
        self.site.write_text(self.site.read_text().replace("localhost", "all"))
        self.write("hosts", "".join(f"h{i} ansible_connection=local\n" for i in range(6)))
        self.run_("check", "site.yml", "-i", "hosts", "-e", "x=1", "-l", "h0")    # makes the database
        for i in range(4):
            self.write(f"files/{i}", "x" * 100000 + str(i))
        runs = [subprocess.Popen([support.PROVCTL, "check", "site.yml", "-i", "hosts", "-l", f"h{i}", "--state", self.state],
                                 cwd=self.dir, env=self.env(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                for i in range(6)]
        for p in runs:
            self.assertEqual((p.communicate(timeout=60)[1], p.returncode), ("", 2))
        self.assertEqual(self.query("SELECT count(*), count(DISTINCT site_id) FROM runs WHERE id > 1"), [(6, 1)])

    def test_resume_uses_the_snapshot(self):
        self.site.write_text(SITE % {"dir": self.dir} + "    - name: last\n      command: test -e %s/go\n" % self.dir)
        self.assertEqual(self.run_("apply", "site.yml").returncode, 3)
        self.write("go", "")
        self.site.write_text("nonsense: [\n")
        self.assertIn("site.yml", self.fails(1, "resume", "--current"))
        p = self.run_("resume")
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn("as it was then", p.stderr)
        self.assertEqual(len({r[0] for r in self.query("SELECT site_id FROM runs WHERE check_only = 0")}), 1)
        self.assertEqual(list(self.dir.glob("provctl*")), [])

    # ---- killed

    KILLED = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: perhaps
      command: sh -c '! test -e %(dir)s/kill || { kill -9 $(cat %(dir)s/kill); sleep 1; }'
    - name: one
      copy: {content: "1\\n", dest: "%(dir)s/out/one"}
    - name: moves
      copy: {content: "{{ lookup('pipe', 'cat %(dir)s/word') }}", dest: "%(dir)s/out/moves"}
"""

    def killed(self, *args):
        """Runs provctl until the task `perhaps` has killed it. What it leaves of private directories is in self.dir/tmp."""
        (self.dir / "tmp").mkdir(exist_ok=True)
        p = subprocess.run(["sh", "-c", 'echo $$ > kill; exec "$@"', "sh", support.PROVCTL, *args, "--state", str(self.state)],
                           cwd=self.dir, env=self.env(TMPDIR=str(self.dir / "tmp")), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        self.assertEqual(p.returncode, -9, p.stdout + p.stderr)
        (self.dir / "kill").unlink()
        # that it was begun was on record before the host had it
        self.assertIn("not heard of: localhost: perhaps (k.yml:6)", self.ok("show", "last"))

    def test_resume_of_a_correction(self):
        """A killed correction goes on as one: what the site asks for newly stays for the next apply."""
        self.write("k.yml", self.KILLED % {"dir": self.dir})
        self.write("word", "old")
        self.ok("apply", "k.yml")
        self.edit("one")
        self.write("word", "new")
        self.killed("drift", "--correct")
        self.assertEqual((self.out("one"), self.out("moves")), ("edited\n", "old"))
        p = self.run_("resume")
        self.assertEqual(p.returncode, 0, p.stdout + p.stderr)
        self.assertIn("only what has drifted", p.stderr)
        self.assertEqual((self.out("one"), self.out("moves")), ("1\n", "old"))
        self.ok("drift")
        # nor does a retry of a correction that failed
        self.write("f.yml", (self.KILLED % {"dir": self.dir}).replace("sh -c '", "sh -c 'test ! -e %s/fail || exit 1; " % self.dir))
        self.ok("apply", "f.yml")
        self.assertEqual(self.out("moves"), "new")
        self.write("word", "newest")
        self.edit("one")
        self.write("fail", "")
        self.assertEqual(self.run_("drift", "--correct", "f.yml").returncode, 3)
        (self.dir / "fail").unlink()
        self.assertIn("only what has drifted", self.run_("retry").stderr)
        self.assertEqual((self.out("one"), self.out("moves")), ("1\n", "new"))

    def test_resume_of_a_plan(self):
        """A killed `apply PLAN` goes on with that plan and no more."""
        self.write("k.yml", self.KILLED % {"dir": self.dir})
        self.write("word", "old")
        self.ok("apply", "k.yml")
        self.edit("one")
        self.run_("plan", "k.yml", "--out", "p")
        self.killed("apply", "p")
        self.write("word", "new")
        p = self.run_("resume")
        self.assertEqual(p.returncode, 2, p.stdout + p.stderr)
        self.assertIn("only what its plan has", p.stderr)
        self.assertIn("1 change that the plan does not have was left out", p.stderr)
        self.assertEqual((self.out("one"), self.out("moves")), ("1\n", "old"))

    def test_private_directories_of_the_killed(self):
        """kill -9 leaves the snapshot's files; the next run removes them, but nobody's who still lives."""
        self.write("k.yml", self.KILLED % {"dir": self.dir})
        self.write("word", "old")
        self.ok("apply", "k.yml")
        self.edit("one")
        self.killed("drift", "--correct")
        left = list((self.dir / "tmp").iterdir())
        self.assertEqual([d.name.startswith("provctl.private-") for d in left], [True])
        self.assertTrue(list(left[0].rglob("k.yml")))
        alive = self.dir / "tmp" / "provctl.private-abcdef"
        alive.mkdir()
        (alive / "file").touch()
        (self.dir / "tmp" / "provctl-other").mkdir()
        fd = os.open(alive, os.O_RDONLY)
        fcntl.flock(fd, fcntl.LOCK_EX)
        self.ok("apply", "k.yml", env=self.env(TMPDIR=str(self.dir / "tmp")))
        self.assertEqual(sorted(d.name for d in (self.dir / "tmp").iterdir()), ["provctl-other", alive.name])
        os.close(fd)
        self.ok("drift", env=self.env(TMPDIR=str(self.dir / "tmp")))
        self.assertEqual([d.name for d in (self.dir / "tmp").iterdir()], ["provctl-other"])

    # ---- plans

    def test_plan(self):
        p = self.run_("plan", "site.yml")
        self.assertEqual(p.returncode, 2)
        self.assertIn("1 intentional, 0 corrective; 1 command that", p.stdout)
        self.ok("apply", "site.yml")
        self.ok("plan", "site.yml")
        self.assertIn("command", self.ok("plan", "site.yml", "-v"))
        self.edit("one")
        p = self.run_("plan", "site.yml", "--diff")
        self.assertEqual(p.returncode, 2)
        self.assertIn("-edited", p.stdout)

    def test_plan_is_of_its_database(self):
        self.run_("plan", "site.yml", "--out", "p")
        self.run_("check", "site.yml", "--state", str(self.dir / "other.db"), state=False)
        self.assertIn("no plan of this state database",
                      self.fails(1, "apply", "p", "--state", str(self.dir / "other.db"), state=False))
        self.assertEqual(self.run_("apply", "p", "--check").returncode, 2)
        self.assertFalse((self.dir / "out/one").exists(), "a check of a plan changes nothing")
        self.ok("apply", "p")
        self.assertEqual((self.out("one"), self.out("ran")), ("1\n", "x\n"))
        for damage in ("", "x", '{"provctl_plan":1,', '{"provctl_plan":1,"a":[]}\n{"signature":"' + "0" * 64 + '"}\n'):
            self.write("p", damage)
            self.assertNotEqual(self.fails(1, "apply", "p"), "", damage)

    def test_plan_holds_no_secrets(self):
        self.write("p.yml", """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: secret
      copy: {content: "{{ word }}", dest: "%s/out/s"}
""" % self.dir)
        self.run_("plan", "p.yml", "-e", "word=correct-horse", "--out", "p")
        self.assertNotIn("correct-horse", (self.dir / "p").read_text())
        self.ok("apply", "p")
        self.assertEqual(self.out("s"), "correct-horse")

    def test_plan_lets_nothing_else_through(self):
        """A task that only the real change makes necessary waits for the next plan."""
        self.write("p.yml", """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: first
      copy: {content: "1", dest: "%(dir)s/out/first"}
    - name: look
      stat: {path: "%(dir)s/out/first"}
      register: look
    - name: second
      copy: {content: "2", dest: "%(dir)s/out/second"}
      when: look.stat.exists
""" % {"dir": self.dir})
        self.run_("plan", "p.yml", "--out", "p")
        p = self.run_("apply", "p")
        self.assertEqual(p.returncode, 2, p.stderr)
        self.assertIn("1 change that the plan does not have was left out", p.stderr)
        self.assertEqual((self.out("first"), (self.dir / "out/second").exists()), ("1", False))
        self.run_("plan", "p.yml", "--out", "p")
        self.ok("apply", "p")
        self.assertEqual(self.out("second"), "2")


if __name__ == "__main__":
    main()

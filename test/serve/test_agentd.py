"""agentd at work: runs for provctl, schedules, retries, what it does when it is stopped, killed and started again."""
import http.server
import json
import os
import pathlib
import pty
import re
import select
import signal
import socket
import sqlite3
import subprocess
import threading
import time
import unittest
import urllib.request

from daemon import AGENTD, QUICK, Case, main, support

# A task that waits until a file is there, so that a test decides how long a run takes.
WAITS = """
- hosts: all
  connection: local
  gather_facts: false
  tasks:
    - name: begins
      copy: {dest: "{{ playbook_dir }}/begun", content: "x"}
    - name: waits
      command: sh -c 'while test -d DIR && ! test -e DIR/go; do sleep 0.05; done'
      changed_when: false
    - name: ends
      copy: {dest: "{{ playbook_dir }}/ended", content: "x"}
"""
SITE = "sites:\n  - {path: DIR/site.yml, name: shop, drift: 'nightly, 03:10', correct: yes}\n"


class Through(Case):
    """provctl does the same through agentd as without it."""

    def through(self, *args, **kw):
        before = self.logged().count("begins: ")
        p = self.run_(*args, **kw)
        self.assertEqual(self.logged().count("begins: "), before + 1, "agentd did not run it\n" + self.logged())
        return p

    def same(self, *args, status, **kw):
        def plain(p):
            text = re.sub(r"run \d+", "run N", re.sub(r"\d+\.\ds", "0.0s", p.stdout + "\n--\n" + p.stderr))
            text = re.sub(r"provctl-\w{6}/", "provctl-X/", text)
            return p.returncode, re.sub(r'"(time_ms|duration_ms|run)":\d+', r'"\1":0', text)
        here = plain(self.run_(*args, "--no-daemon", **kw))
        there = plain(self.through(*args, **kw))
        self.assertEqual(here, there)
        self.assertEqual(there[0], status, there[1])

    def test_same(self):
        self.write("fails.yml", QUICK + "    - {name: fails, command: 'false'}\n")
        self.write("wrong.yml", QUICK + "    - {name: wrong, copy: {dset: /x}}\n")
        self.write("differs.yml", QUICK + "    - {name: differs, copy: {dest: /nonexistent/x, content: x}}\n")
        self.write("env.yml", QUICK + "    - debug: {msg: \"{{ lookup('env', 'FOO') }} {{ lookup('pipe', 'pwd') }}\"}\n")
        self.write("sub/x.yml", QUICK)
        self.run_("apply", "site.yml", "-i", "h1,")
        self.start()
        self.same("apply", "site.yml", "-i", "h1,h2,", "--forks", "1", status=0)
        self.same("apply", "site.yml", "-i", "h1,", "--color", "always", status=0)
        self.same("apply", "fails.yml", "-i", "h1,", status=3)
        self.same("check", "site.yml", "-i", "h1,", "--json", status=0)
        self.same("apply", "wrong.yml", "-i", "h1,", status=1)
        self.same("apply", "missing.yml", "-i", "h1,", status=1)
        self.same("check", "differs.yml", "-i", "h1,", "--diff", status=2)
        self.same("apply", "env.yml", "-i", "h1,", status=0, env=self.env(FOO="bär"))
        self.same("apply", "x.yml", "-i", "h1,", status=0, cwd=self.dir / "sub")
        self.same("apply", "site.yml", "-i", "h1,", "--become-password-file", "-", status=0, input="secret\n")
        self.same("retry", status=3)
        self.same("resume", "1", status=0)

    def test_plan_and_rollback(self):
        """They are seen, and ended, like other runs."""
        self.write("site.yml", QUICK + "    - {name: config, copy: {dest: DIR/config, content: new, mode: '0644'}}\n".replace("DIR", str(self.dir)))
        self.write("hosts", "h1 ansible_connection=local\n")
        self.write("config", "old")
        self.start()
        self.same("plan", "site.yml", "-i", "hosts", status=2)
        self.same("plan", "site.yml", "-i", "hosts", "--json", status=2)
        before = self.logged()
        self.assertEqual(self.run_("plan", "site.yml", "-i", "hosts", "--out", "p").returncode, 2)
        self.assertEqual(self.logged(), before)		# where its file goes is the user's
        self.through("apply", "p")
        self.assertEqual((self.dir / "config").read_text(), "new")
        run = self.sql("SELECT max(id) FROM runs")[0][0]
        self.same("rollback", str(run), "--check", status=2)
        self.same("rollback", str(run), status=1)		# nobody to ask
        c = self.client()
        c.call("follow")
        p = self.through("rollback", str(run), "--yes")
        self.assertEqual((p.returncode, (self.dir / "config").read_text()), (0, "old"), p.stdout + p.stderr)
        events = []
        while (e := c.line()).get("event") != "job_end":
            events.append(e["event"])
        self.assertEqual([e["event"] for e in events if e["event"] in ("run_start", "run_end")], ["run_start", "run_end"] * 2)
        self.assertIn("changed", [e.get("outcome") for e in events])

    def test_not_through(self):
        self.run_("apply", "site.yml", "-i", "h1,")
        self.start()

        def here(*args, env=None, state=True):
            before = self.logged()
            p = self.run_("apply", "site.yml", "-i", "h1,", *args, env=env, state=state)
            self.assertEqual(self.logged(), before)
            return p
        self.assertEqual(here("--no-daemon").returncode, 0)
        self.assertEqual(here("--list-tasks").returncode, 0)
        self.assertEqual(here("--state", str(self.dir / "other.db"), state=False).returncode, 0)
        self.assertEqual(here(env={**self.env(), "X": "\udcff"}).returncode, 0)
        p = here("--daemon", "--state", str(self.dir / "other.db"), state=False)
        self.assertEqual((p.returncode, p.stdout), (1, ""))
        self.assertIn("another database", p.stderr)
        self.assertIn("contradict", here("--daemon", "--no-daemon").stderr)
        self.stop()
        p = here("--daemon")
        self.assertEqual(p.returncode, 1)
        self.assertIn("no agentd at", p.stderr)
        self.assertEqual(here().returncode, 0)
        # One that hangs is not waited for long.
        with socket.socket(socket.AF_UNIX) as s:
            self.socket.unlink(missing_ok=True)
            s.bind(str(self.socket))
            s.listen()
            p = here()
            self.assertEqual(p.returncode, 0)
            self.assertIn("does not answer", p.stderr)

    def start_waiting(self, *args):
        self.write("site.yml", WAITS.replace("DIR", str(self.dir)))
        p = subprocess.Popen([support.PROVCTL, "apply", "site.yml", "-i", "h1,", "--state", str(self.state), *args],
                             cwd=self.dir, env=self.env(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
        self.wait(lambda: (self.dir / "begun").exists())
        return p

    def test_interrupt(self):
        self.start()
        p = self.start_waiting()
        p.send_signal(signal.SIGINT)
        self.wait(lambda: "cancelled" in self.logged())
        (self.dir / "go").touch()
        out, err = p.communicate(timeout=60)
        self.assertEqual(p.returncode, 130, out + err)
        self.assertIn("run 1: interrupted", out)
        self.assertIn("interrupted: the tasks under way are finished", err)
        self.assertFalse((self.dir / "ended").exists())

    def test_follow_and_cancel(self):
        self.start()
        self.assertIn("no run under way", self.run_("follow", state=False).stderr)
        p = self.start_waiting()
        f = subprocess.Popen([support.PROVCTL, "follow"], env=self.env(), text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        self.assertIn("no run 99 under way", self.run_("follow", "99", state=False).stderr)
        self.assertIn("begins", f.stdout.readline() + f.stdout.readline())
        self.assertEqual(self.run_("cancel", "1", state=False).returncode, 0)
        (self.dir / "go").touch()
        out, err = p.communicate(timeout=60)
        seen, errors = f.communicate(timeout=60)
        self.assertEqual((p.returncode, f.returncode), (130, 130), errors)
        self.assertIn("run 1: interrupted", seen)
        self.assertEqual(out.splitlines()[-3:], seen.splitlines()[-3:])

    def test_client_is_killed(self):
        self.start()
        p = self.start_waiting()
        p.kill()
        p.wait()		# the run has its pipes still
        (self.dir / "go").touch()
        p.communicate(timeout=60)
        self.wait(lambda: not self.jobs())
        self.assertEqual(self.sql("SELECT status FROM runs"), [(0,)])

    def test_daemon_is_killed(self):
        self.start()
        p = self.start_waiting()
        self.stop(signal.SIGKILL)
        time.sleep(0.1)
        (self.dir / "go").touch()
        out, err = p.communicate(timeout=60)
        self.assertEqual(p.returncode, 0, out + err)
        self.assertIn("agentd is gone", err)
        self.assertIn("run 1: done", out)

    def test_daemon_is_stopped(self):
        """Who waits for a run is told that it will go on, and it does."""
        self.start("stop_after: 0\n")
        p = self.start_waiting()
        self.daemon.send_signal(signal.SIGTERM)
        self.wait(lambda: "jobs are interrupted" in self.logged())
        self.wait(lambda: select.select([p.stderr], [], [], 0)[0])	# it has heard of it
        (self.dir / "go").touch()
        out, err = p.communicate(timeout=60)
        self.assertEqual(p.returncode, 130, out + err)
        self.assertIn("agentd was stopped: this run goes on when it is back", err)
        self.assertEqual(self.daemon.wait(60), 0)
        self.assertFalse((self.dir / "ended").exists())
        self.start()
        self.wait(lambda: (self.dir / "ended").exists())

    def test_questions(self):
        self.write("site.yml", QUICK.replace("  tasks:", "  vars_prompt: [{name: word, prompt: 'the word', private: no}]\n  tasks:")
                   + "    - debug: {msg: 'it is {{ word }}'}\n")
        self.start()
        before = self.logged().count("begins: ")
        pid, fd = pty.fork()
        if pid == 0:
            os.chdir(self.dir)
            os.execve(support.PROVCTL, ["provctl", "apply", "site.yml", "-i", "h1,", "--state", str(self.state)],
                      self.env())
        text, said = b"", False
        while True:
            if not select.select([fd], [], [], 60)[0]:
                break
            try:
                data = os.read(fd, 65536)
            except OSError:
                break
            if not data:
                break
            text += data
            if b"the word" in text and not said:
                os.write(fd, b"xyzzy\n")
                said = True
        os.close(fd)
        self.assertEqual(os.waitpid(pid, 0)[1], 0, text.decode())
        self.assertIn(b"it is xyzzy", text)
        self.assertIn(b"\x1b[", text)	# colours: it is the real terminal
        self.assertEqual(self.logged().count("begins: "), before + 1)


class Duty(Case):
    """What it does by itself."""

    def was_last(self, days):
        """As if shop had been looked after so many days ago."""
        self.sql("UPDATE settings SET value = json_set(value, '$.last.\"shop: nightly, 03:10\"', ?) WHERE name = 'agentd'",
                 int(time.time() * 1000) - days * 86400_000)

    def test_schedule(self):
        self.ok("apply", "site.yml", "-i", "h1,")
        self.start(SITE)
        rows = json.loads(self.ok("schedule", "--json", state=False))
        self.assertEqual(time.strftime("%H:%M", time.localtime(rows[0]["next_ms"] / 1000)), "03:10")
        self.assertLess(rows[0]["next_ms"] / 1000 - time.time(), 86400 + 3600)
        self.assertIn("nightly, 03:10", self.ok("schedule", state=False))
        self.assertIn("no site 'shpo'\nhint: did you mean 'shop'?", self.fails(1, "schedule", "--now", "shpo", state=False))
        self.ok("schedule", "--now", "shop", state=False)
        self.wait(lambda: "ended with status 0" in self.logged())
        # What was missed is done once, and not again by the next one.
        self.stop()
        self.was_last(2)
        self.start()
        self.wait(lambda: self.logged().count("ended with status 0") == 2)
        self.stop()
        self.start()
        self.assertEqual(self.jobs(), [])
        self.assertEqual(len(self.sql("SELECT id FROM runs")), 3)
        # The clock was a year ahead, and was put right.
        self.stop()
        self.was_last(-365)
        self.start()
        rows = json.loads(self.ok("schedule", "--json", state=False))
        self.assertLess(rows[0]["next_ms"] / 1000 - time.time(), 86400 + 3600)
        self.assertGreater(rows[0]["next_ms"] / 1000, time.time())
        # Other times are another plan: nothing was missed by it.
        self.stop()
        self.was_last(2)
        before = self.logged().count("begins")
        self.start(SITE.replace("03:10", "04:20"))
        self.assertEqual(self.jobs(), [])
        self.assertEqual(self.logged().count("begins"), before)

    def test_schedule_set(self):
        """Sites that are looked after without agentd.yml."""
        def listed(**kw):
            return {s["site"]: (s["drift"], s["correct"], s["set"]) for s in json.loads(self.ok("schedule", "--json", **kw))}
        site = self.write("srv/a/site.yml", QUICK)
        self.write("srv/b/site.yml", QUICK)
        self.assertEqual(json.loads(self.ok("schedule", "--json")), [])	# no database, no agentd
        # Nobody is there yet: it is kept, and shown with a word about that.
        p = self.run_("schedule", "set", site, "nightly,", "03:10", "--correct")
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn("no agentd is running", p.stderr)
        self.assertIn("was not applied yet", p.stderr)
        p = self.run_("schedule")
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn("nothing of this is done", p.stderr)
        self.assertRegex(p.stdout, r"(?m)^a +nightly, 03:10 +yes +\w+ \S+ 03:10 +database +\S+/srv/a/site.yml$")
        self.ok("apply", site, "-i", "h1,", "--no-daemon")
        self.start(SITE)
        self.assertEqual(listed(), {"shop": ("nightly, 03:10", True, False), "a": ("nightly, 03:10", True, True)})
        # At once, also when agentd is not told.
        out = self.ok("schedule", "set", "srv/a/site.yml", "mon-fri 06:00", "-l", "h1", "--spread", "20")
        self.assertIn("mon-fri 06:00", out)
        self.assertEqual(listed()["a"], ("mon-fri 06:00", False, True))
        self.ok("schedule", "set", "srv/b/site.yml", "never", "--name", "bakery")
        self.assertEqual(self.sql("SELECT json_extract(value, '$[0].limit', '$[0].spread', '$[1].name') FROM settings WHERE name = 'schedule'"),
                         [('["h1",20,"bakery"]',)])
        self.ok("schedule", "--now", "a", state=False)
        self.wait(lambda: "drift of a" in self.logged() and "ended with status 0" in self.logged())
        # What makes no sense changes nothing.
        before = self.sql("SELECT value FROM settings WHERE name = 'schedule'")
        for args, what in [
                (["set", site], "needs a SITE and when"), (["set", site, ""], "an empty schedule"),
                (["set", site, "nihgtly"], "<times>:1:1: error: 'nihgtly' says no time\n    1 | nihgtly\n      | ^^^^^^^\nhint: did you mean 'nightly'?"),
                (["set", site, "nightly, 25:00"], "'25:00' is no time of the day"),
                (["set", site, "every 1 min"], "too often"), (["set", site, "nightly", "--spread", "9999"], "--spread"),
                (["set", site, "nightly", "--name", "bakery"], "'bakery' is the name of another site: "),
                (["set", site, "nightly", "--name", "shop"], "agentd.yml:2:5: error: a second site with the name 'shop'"),
                (["set", "/nowhere/shop/site.yml", "nightly"], "a second site with the name 'shop'"),
                (["remove"], "needs a SITE"), (["remove", "bakrey"], "did you mean 'bakery'?"),
                (["remove", "shop"], "agentd.yml:2:5: error: 'shop' was not set by"),
                (["remvoe", "x"], "did you mean 'remove'?"), (["remove", "a", "--correct"], "are for 'schedule set'"),
                (["--correct"], "are for 'schedule set'"), (["set", site, "nightly", "--now", "a"], "one of")]:
            with self.subTest(args=args):
                self.assertIn(what, self.fails(1, "schedule", *args))
        self.assertIn("another database", self.fails(1, "schedule", "set", site, "nightly", "--state", str(self.dir / "x.db"), state=False))
        self.assertEqual(self.sql("SELECT value FROM settings WHERE name = 'schedule'"), before)
        # A name that agentd.yml takes later: what is in force stays; a start says where both are.
        self.config(SITE.replace("shop", "bakery"))
        self.assertIn("has errors", self.fails(1, "schedule", "--reload", state=False))
        self.assertIn("agentd.yml:2:5: error: a second site with the name 'bakery'", self.logged())
        self.assertIn("schedule remove bakery", self.logged())
        self.assertEqual(set(listed()), {"shop", "a", "bakery"})
        self.stop()
        self.start(wait=False)
        self.assertEqual(self.daemon.wait(30), 78)
        self.daemon = None
        self.config(SITE)
        self.start()
        self.ok("schedule", "remove", "bakery")
        self.ok("schedule", "remove", "srv/a/site.yml")
        self.assertEqual(set(listed()), {"shop"})

    def test_schedule_set_beside(self):
        """Whoever writes it: the next look finds it. What somebody has broken does not end the daemon."""
        self.start(SITE)
        self.sql("INSERT INTO settings VALUES ('schedule', ?)", json.dumps([{"path": "/srv/x/site.yml", "name": "x", "drift": "nightly"}]))
        self.client().call("start", site="shop")	# its end is a look
        self.wait(lambda: "again: 2 sites" in self.logged())
        for broken in ("3", '[{"path": 3}]', '[{"path": "/x", "drift": "often"}]', '[{"path": "/x", "drift": "never", "soup": 1}]'):
            self.sql("UPDATE settings SET value = ? WHERE name = 'schedule'", broken)
            before = self.logged().count("stays in force")
            self.daemon.send_signal(signal.SIGHUP)
            self.wait(lambda: self.logged().count("stays in force") > before)
        self.assertEqual(len(json.loads(self.ok("schedule", "--json", state=False))), 2)

    def test_configuration(self):
        path = self.config("""
sites:
  - {path: DIR/site.yml, drift: "every 2 min"}
  - {path: site.yml, drift: nightly}
  - {drift: nightly}
  - {path: DIR/site.yml, name: a, drift: never}
  - {path: DIR/site.yml, name: a, drift: never, correct: perhaps, spread: 1000, limti: x}
  - {path: DIR/site.yml, name: b}
retires: yes
resume: perhaps
jobs: 0
on_give_up: {command: page-me, webhook: "ftp://x"}
page: {listen: "127.0.0.1:1"}
""")
        expected = ["every 2 minutes is too often", "must be absolute", "a site without 'path'", "a second site with the name 'a'",
                    "'correct' is a string", "'spread' is 1000", "did you mean 'limit'?",
                    "'drift' is missing", "did you mean 'retries'?", "'resume' must be", "'jobs' is 0",
                    "absolute path of a program", "the webhook is no", "'page' needs"]
        text = self.fails(1, "schedule", "--file", path, state=False)
        for what in expected:
            self.assertIn(what, text)
        self.assertIn("error: every 2 minutes", text)
        self.start(wait=False)
        self.assertEqual(self.daemon.wait(30), 78)
        self.daemon = None
        for what in expected:
            self.assertIn(what, self.logged())

    def test_reload(self):
        self.start(SITE)
        self.config("sites: 3\n")
        self.assertIn("has errors", self.fails(1, "schedule", "--reload", state=False))
        self.assertIn("shop", self.ok("schedule", state=False))
        self.config(SITE.replace("shop", "bakery"))
        self.assertIn("bakery", self.ok("schedule", "--reload", state=False))
        self.config(SITE.replace("shop", "smithy"))
        self.daemon.send_signal(signal.SIGHUP)
        self.wait(lambda: "smithy" in self.ok("schedule", state=False))
        (self.dir / "agentd.yml").write_text(":\n")
        self.daemon.send_signal(signal.SIGHUP)
        self.wait(lambda: self.logged().count("stays in force") == 1)
        self.assertIn("smithy", self.ok("schedule", state=False))

    def test_locked_database(self):
        """Somebody has the database's lock for long: agentd answers, and goes on when it is free."""
        self.run_("apply", "site.yml", "-i", "h1,")
        self.start(SITE)
        db = sqlite3.connect(self.state, timeout=30, isolation_level=None)
        self.addCleanup(db.close)
        db.execute("BEGIN IMMEDIATE")
        begin = time.monotonic()
        for name in ("bakery", "smithy", "mill"):
            self.config(SITE.replace("shop", name))
            self.daemon.send_signal(signal.SIGHUP)		# writes down what it looks after
            self.wait(lambda: self.client().call("schedule")["result"][0]["site"] == name)
        self.assertLess(time.monotonic() - begin, 10)
        db.execute("COMMIT")
        self.wait(lambda: "mill" in str(self.sql("SELECT value FROM settings WHERE name = 'agentd'")))

    def due(self, tries=1):
        self.sql("UPDATE pending SET next_ms = 1, tries = ? WHERE next_ms IS NOT NULL", tries)

    def test_retry(self):
        self.write("site.yml", QUICK + f"    - {{name: back, command: 'test -e {self.dir}/back', changed_when: false}}\n")
        self.assertEqual(self.run_("apply", "site.yml", "-i", "h1,").returncode, 3)
        self.start()
        self.assertEqual(self.jobs(), [])	# in a minute, not now
        self.stop()
        (self.dir / "back").touch()
        self.due()
        self.start()
        self.wait(lambda: not self.sql("SELECT * FROM pending"))
        self.wait(lambda: "ended with status 0" in self.logged())
        self.assertEqual(self.sql("SELECT status FROM runs ORDER BY id"), [(3,), (0,)])

    def test_retry_that_is_not_possible(self):
        self.write("site.yml", QUICK + "    - {name: fails, command: 'false'}\n")
        self.write("password", "x")
        self.run_("apply", "site.yml", "-i", "h1,", "--become-password-file", "password")
        (self.dir / "password").unlink()
        self.due()
        self.start()
        # Not at once again and again.
        self.wait(lambda: "again in 60 s" in self.logged())
        time.sleep(1.5)
        self.assertEqual(self.logged().count("begins: retry"), 1)
        self.assertEqual(len(self.jobs()), 0)

    def test_retries_off(self):
        self.write("site.yml", QUICK + "    - {name: fails, command: 'false'}\n")
        self.run_("apply", "site.yml", "-i", "h1,")
        self.due()
        self.start("retries: no\n")
        self.client().call("status")
        self.assertEqual(self.logged().count("begins"), 0)

    def test_host_comes_back(self):
        """What did not answer is looked for; it is tried again when an SSH server is there, and not before."""
        hello = [b""]

        def answer(s):
            while True:
                try:
                    c, _ = s.accept()
                except OSError:
                    return
                with c:
                    c.sendall(hello[0])
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
            self.write("hosts", f"h1 ansible_host=127.0.0.1 ansible_port={port}\nh2 ansible_host=localhost ansible_port={port}\n"
                                f"h3 ansible_host=127.0.0.1 ansible_port={port} ansible_ssh_common_args='-J 127.0.0.1:{port}'\n")
            self.write("site.yml", "- {hosts: all, gather_facts: false, tasks: [{ping: }]}\n")
            self.assertEqual(self.run_("apply", "site.yml", "-i", "hosts").returncode, 4)
            rows = json.loads(self.run_("status", "--json").stdout)["pending"]
            self.assertEqual([r["unanswered"] for r in rows], [f"127.0.0.1 {port}", f"localhost {port}", None])
            # One is not to be tried for hours, the other has been given up: it is looked for all the same.
            self.sql("UPDATE pending SET next_ms = next_ms + 7200000")
            self.sql("UPDATE pending SET next_ms = NULL, tries = 12, last_ms = last_ms - 7200000 WHERE unanswered LIKE 'l%'")
            self.start("probe: 1\n")
            s.listen()
            threading.Thread(target=answer, args=(s,), daemon=True).start()
            for hello[0] in (b"", b"220 mail ESMTP\r\n", b"x" * 100000):
                time.sleep(1.2)
                self.assertNotIn("answers", self.logged())
            hello[0] = b"Welcome\r\nSSH-2.0-x\r\n"
            self.wait(lambda: self.sql("SELECT 1 FROM runs WHERE id > 1"))
            self.assertIn(f"an SSH server answers at 127.0.0.1 {port} again", self.logged())
            self.wait(lambda: f"answers at localhost {port} again" in self.logged())
            # It is no host that lets us in: a try is counted, and the next one is not at once.
            self.wait(lambda: [t for (t,) in self.sql("SELECT tries FROM pending JOIN hosts ON id = host_id ORDER BY name")] == [2, 13, 1])
            s.shutdown(socket.SHUT_RDWR)

    def test_probe_off(self):
        self.write("hosts", "h1 ansible_host=127.0.0.1 ansible_port=1\n")
        self.write("site.yml", "- {hosts: all, gather_facts: false, tasks: [{ping: }]}\n")
        self.run_("apply", "site.yml", "-i", "hosts")
        for text in ("probe: 0", "probe: 4000", "probe: yes", "probe: often"):
            self.assertIn("agentd.yml:1:8: error: 'probe' is", self.fails(1, "schedule", "--file", self.config(text), state=False))
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            s.settimeout(0.05)
            self.sql("UPDATE pending SET unanswered = ?, next_ms = next_ms + 7200000", "127.0.0.1 %d" % s.getsockname()[1])
            self.start("probe: no\n")
            self.client().call("status")
            self.assertRaises(TimeoutError, s.accept)

    def test_given_up(self):
        got = []

        class Hook(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                got.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
                self.send_response(204 if len(got) > 1 else 500)	# the second try
                self.end_headers()

            def log_message(self, *args):
                pass
        server = http.server.HTTPServer(("127.0.0.1", 0), Hook)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        hook = self.write("hook", f"#!/bin/sh\necho \"$1\" >>{self.dir}/told\ncat >>{self.dir}/told\n")
        hook.chmod(0o755)
        self.write("site.yml", QUICK + "    - {name: fails, command: 'false'}\n")
        self.run_("apply", "site.yml", "-i", "h1,")
        self.due(tries=11)
        self.start(f"on_give_up:\n  command: [{hook}, 'a b']\n"
                   f"  webhook: http://127.0.0.1:{server.server_port}/hook?secret\n", wait=False)
        self.wait(lambda: self.socket.exists())
        c = self.client()
        c.call("follow")
        while (e := c.line()).get("event") != "given_up":
            pass
        self.assertEqual((e["host"], e["tries"], e["run"]), ("h1", 12, 2))
        self.wait(lambda: (self.dir / "told").exists() and (self.dir / "told").read_text().endswith("}\n"))
        first, second = (self.dir / "told").read_text().splitlines()
        self.assertEqual((first, json.loads(second)["host"]), ("a b", "h1"))
        self.wait(lambda: len(got) == 2)
        self.assertEqual((got[1][0], got[1][1]["reason"]), ("/hook?secret", e["reason"]))
        self.assertIn("'h1' is given up after 12 tries", self.logged())
        self.assertNotIn("secret", self.logged())
        self.assertEqual(self.run_("status").returncode, 3)
        # Once, also when it is started again.
        self.wait(lambda: not self.jobs())
        self.stop()
        self.start()
        self.client().call("status")
        # The run itself says so, too: only lines with a time are ours.
        self.assertEqual(len(re.findall(r"(?m)^\d{4}-.*given up after", self.logged())), 1)

    def waiting(self, config=SITE):
        """Drift is found and being corrected; the run waits for the file `go`."""
        self.write("site.yml", WAITS.replace("DIR", str(self.dir)))
        (self.dir / "go").touch()
        self.ok("apply", "site.yml", "-i", "h1,")
        for name in ("go", "begun", "ended"):
            (self.dir / name).unlink()
        self.start(config)
        self.ok("schedule", "--now", "shop", state=False)
        self.wait(lambda: (self.dir / "begun").exists())
        return self.wait(lambda: [j for j in self.jobs() if j.get("run") == 3])[0]

    def statuses(self):
        """Of the runs that are no checks."""
        return self.sql("SELECT id, resumes, status FROM runs WHERE check_only = 0 ORDER BY id")

    def test_killed(self):
        """The daemon and its run die; the next daemon goes on with it."""
        job = self.waiting()
        self.stop(signal.SIGKILL)
        os.kill(job["pid"], signal.SIGKILL)
        (self.dir / "go").touch()
        self.start()
        self.wait(lambda: (self.dir / "ended").exists())
        self.wait(lambda: not self.jobs())
        runs = self.statuses()
        self.assertEqual(runs[:2], [(1, None, 0), (3, None, None)])
        self.assertEqual(runs[2][1:], (3, 0))
        # The nightly look itself is not forgotten either.
        self.wait(lambda: self.logged().count("begins: drift of shop") == 2)

    def test_run_of_a_person_is_killed(self):
        """That is the person's own, unless agentd.yml says otherwise."""
        self.write("site.yml", WAITS.replace("DIR", str(self.dir)))
        p = subprocess.Popen([support.PROVCTL, "apply", "site.yml", "-i", "h1,", "--state", str(self.state)],
                             cwd=self.dir, env=self.env(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.wait(lambda: (self.dir / "begun").exists() and self.sql("SELECT id FROM runs"))
        p.kill()
        p.wait()
        (self.dir / "go").touch()
        self.start()
        self.client().call("status")
        self.assertEqual(self.logged().count("begins"), 0)
        self.stop()
        self.start("resume: all\n")
        self.wait(lambda: (self.dir / "ended").exists())

    def test_stopped(self):
        """What does not end in time is interrupted, recorded, and goes on later."""
        self.waiting(SITE + "stop_after: 0\n")
        self.daemon.send_signal(signal.SIGTERM)
        self.wait(lambda: "the tasks under way are finished" in self.logged())
        (self.dir / "go").touch()
        self.assertEqual(self.daemon.wait(60), 0)
        self.assertEqual(self.statuses(), [(1, None, 0), (3, None, 130)])
        self.assertFalse((self.dir / "ended").exists())
        self.start()
        self.wait(lambda: (self.dir / "ended").exists())
        self.wait(lambda: not self.jobs())
        self.assertEqual(self.statuses()[2][1:], (3, 0))

    def test_stop_waits(self):
        self.waiting()
        self.daemon.send_signal(signal.SIGTERM)
        self.wait(lambda: "1 jobs are under way" in self.logged())
        self.assertIn("about to stop", self.client().call("start", site="shop")["error"]["message"])
        (self.dir / "go").touch()
        self.assertEqual(self.daemon.wait(60), 0)
        self.assertEqual(self.statuses(), [(1, None, 0), (3, None, 0)])
        self.assertTrue((self.dir / "ended").exists())

    def test_two_at_a_time(self):
        self.waiting()
        self.assertIn("is worked on already", self.fails(1, "schedule", "--now", "shop", state=False))
        (self.dir / "go").touch()


class Supervisor(Case):
    def notified(self, s, until):
        seen = []
        s.settimeout(60)
        while not any(until in x for x in seen):
            seen.append(s.recv(4096).decode())
        return seen

    def test_notify_and_activation(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s, socket.socket(socket.AF_UNIX) as listener:
            s.bind(str(self.dir / "notify"))
            self.socket.parent.mkdir()
            listener.bind(str(self.socket))
            listener.listen()
            args = [support.PROVCTL, "schedule", "--json"]
            # A client that comes before the daemon is served by it.
            early = subprocess.Popen(args, env=self.env(), stdout=subprocess.PIPE, text=True)
            self.config(SITE)
            d = subprocess.Popen(["sh", "-c", 'export LISTEN_PID=$$; exec "$@"', "sh", AGENTD, "--state", str(self.state),
                                  "--config", str(self.dir / "agentd.yml"), "--provctl", support.PROVCTL],
                                 env=self.env(NOTIFY_SOCKET=str(self.dir / "notify"), LISTEN_FDS="1",
                                              WATCHDOG_USEC="200000"),
                                 preexec_fn=lambda: os.dup2(listener.fileno(), 3), close_fds=False,
                                 stderr=subprocess.DEVNULL)
            self.addCleanup(d.kill)
            self.notified(s, "READY=1")
            self.assertEqual(json.loads(early.communicate(timeout=60)[0])[0]["site"], "shop")
            self.notified(s, "WATCHDOG=1")
            self.notified(s, "WATCHDOG=1")
            d.send_signal(signal.SIGHUP)
            self.assertTrue(any("MONOTONIC_USEC=" in x for x in self.notified(s, "RELOADING=1")))
            self.notified(s, "READY=1")
            d.terminate()
            self.notified(s, "STOPPING=1")
            self.assertEqual(d.wait(60), 0)
            # The socket is systemd's: it stays.
            self.assertTrue(self.socket.exists())

    def test_wrong_socket(self):
        with socket.socket(socket.AF_INET) as s:
            self.start(wait=False, env=self.env(LISTEN_FDS="2"))
            self.wait(lambda: " is ready: " in self.logged())	# not for us: another LISTEN_PID, or none
            self.stop()
            d = subprocess.Popen(["sh", "-c", 'export LISTEN_PID=$$; exec "$@"', "sh", AGENTD, "--state", str(self.state),
                                  "--provctl", support.PROVCTL], env=self.env(LISTEN_FDS="1"), stderr=subprocess.PIPE,
                                 preexec_fn=lambda: os.dup2(s.fileno(), 3), close_fds=False, text=True)
            err = d.communicate(timeout=60)[1]
            self.assertEqual(d.returncode, 1)
            self.assertIn("no listening Unix stream socket", err)

    def test_page(self):
        self.start("page: {listen: '127.0.0.1:0', token_file: token}\n")
        url = self.wait(lambda: re.search(r"page is at (http://\S+/),", self.logged()))[1]
        self.assertEqual(os.stat(self.dir / "token").st_mode & 0o777, 0o600)
        request = urllib.request.Request(url + "metrics", headers={
            "Authorization": "Bearer " + (self.dir / "token").read_text().strip()})
        self.assertEqual(urllib.request.urlopen(request, timeout=30).status, 200)
        # What it looks after is on it.
        self.config(SITE + "page: {listen: '%s', token_file: token}\n" % re.search("//(.*)/", url)[1])
        self.ok("schedule", "--reload", state=False)
        request.full_url = url + "sites"
        self.wait(lambda: b"nightly, 03:10" in urllib.request.urlopen(request, timeout=30).read())
        # One that cannot be: the rest works.
        self.config("page: {listen: '127.0.0.1:1x', token_file: token}\n")
        self.ok("schedule", "--reload", state=False)
        self.assertRaises(OSError, urllib.request.urlopen, request, timeout=30)
        self.assertIn("error:", self.logged())

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to mount")
    def test_full_disk(self):
        """It says so, serves on, and forgets nothing once there is room again."""
        self.state.parent.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", self.state.parent], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", self.state.parent], check=True)
        self.ok("apply", "site.yml", "-i", "h1,")
        self.start(SITE)
        with open(self.state.parent / "filler", "wb", buffering=0) as f, self.assertRaises(OSError):
            while f.write(b"x" * 4096):
                pass
        self.config(SITE + "".join(f"  - {{path: DIR/site.yml, name: s{i}, drift: never}}\n" for i in range(900)))
        self.ok("schedule", "--reload", state=False)	# remembers 900 sites: more than the free page of the log
        self.wait(lambda: "no space left" in self.logged(), 90)
        self.assertEqual(len(json.loads(self.ok("schedule", "--json", state=False))), 901)
        (self.state.parent / "filler").unlink()
        self.client().call("start", site="shop")
        self.wait(lambda: "ended with status 0" in self.logged())
        self.wait(lambda: self.sql("SELECT 1 FROM settings WHERE name = 'agentd' AND value LIKE '%s899%'"), 90)

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to mount")
    def test_read_only_database(self):
        """It does not begin; one that becomes so is told, nothing is done half, and the daemon serves on."""
        def mounted(*options):
            subprocess.run(["mount", *options, self.state.parent], check=True)
        self.ok("apply", "site.yml", "-i", "h1,")
        mounted("--bind", self.state.parent)
        self.addCleanup(subprocess.run, ["umount", "-l", self.state.parent], stderr=subprocess.DEVNULL)
        mounted("-o", "remount,bind,ro")
        self.start(SITE, wait=False)
        self.assertEqual(self.daemon.wait(60), 1)
        self.daemon = None
        self.assertIn("cannot be written", self.logged())
        subprocess.run(["umount", self.state.parent], check=True)
        self.start()
        mounted("--bind", self.state.parent)
        mounted("-o", "remount,bind,ro")
        self.assertIn("cannot be written", self.fails(1, "schedule", "set", "site.yml", "nightly", "--name", "x"))
        self.ok("schedule", "--now", "shop", state=False)
        self.wait(lambda: "ended with status 1" in self.logged())
        self.assertEqual(len(json.loads(self.ok("schedule", "--json", state=False))), 1)
        subprocess.run(["umount", "-l", self.state.parent], check=True)
        self.ok("schedule", "--now", "shop", state=False)
        self.wait(lambda: "ended with status 0" in self.logged())

    def test_database_is_damaged(self):
        """While the daemon runs: each error says what to do, and the daemon serves on with a backup in its place."""
        self.ok("apply", "site.yml", "-i", "h1,")
        self.ok("state", "backup", self.dir / "backup")
        self.start(SITE)
        with open(self.state, "r+b") as f:
            f.seek(4096)
            f.write(os.urandom(self.state.stat().st_size - 4096))
        c = self.client()
        answer = c.call("runs")
        self.assertIn("is damaged", answer["error"]["message"])
        self.assertIn("restore a backup", answer["error"]["hint"])
        self.assertEqual(c.call("start", site="shop")["result"]["site"], "shop")
        self.wait(lambda: "ended with status 1" in self.logged())
        for name in ("", "-wal", "-shm"):
            pathlib.Path(f"{self.state}{name}").unlink()
        (self.dir / "backup").rename(self.state)
        self.ok("schedule", "--now", "shop", state=False)
        self.wait(lambda: "ended with status 0" in self.logged())
        self.wait(lambda: "is opened anew" in self.logged())
        self.assertEqual([r["id"] for r in self.wait(lambda: c.call("runs").get("result"))], [2, 1])

    def test_broken_database(self):
        self.state.parent.mkdir()
        self.state.write_bytes(b"no database" * 1000)
        self.start(wait=False)
        self.assertEqual(self.daemon.wait(60), 1)
        self.daemon = None
        self.assertIn("error:", self.logged())



class Keeper(Case):
    """The process that keeps connections between runs."""

    def keepers(self):
        out = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/stat") as f:
                    parent = int(f.read().rsplit(")", 1)[1].split()[1])
                with open(f"/proc/{name}/cmdline") as f:
                    if parent == self.daemon.pid and f.read().split("\0")[1:2] == ["--keep"]:
                        out.append(int(name))
            except (FileNotFoundError, ProcessLookupError):
                pass
        return out

    def apply(self):
        p = self.run_("apply", "site.yml", "-i", "h1,", "--daemon")
        self.assertEqual(p.returncode, 0, p.stderr)
        return p

    def test_started_when_needed_and_again(self):
        self.start()
        self.assertEqual(self.keepers(), [])
        self.apply()
        first = self.keepers()
        self.assertEqual(len(first), 1)
        self.apply()
        self.assertEqual(self.keepers(), first)
        os.kill(first[0], signal.SIGKILL)
        self.wait(lambda: "the keeper of connections has ended" in self.logged())
        self.apply()
        second = self.keepers()
        self.assertEqual(len(second), 1)
        self.assertNotEqual(first, second)
        self.assertEqual(self.stop(), 0)
        self.assertFalse(os.path.exists(f"/proc/{second[0]}"))

    def test_ends_with_a_killed_agentd(self):
        self.start()
        self.apply()
        pid, = self.keepers()
        self.stop(signal.SIGKILL)
        self.wait(lambda: not os.path.exists(f"/proc/{pid}"))

    def test_turned_off(self):
        self.start(SITE + "keep_connections: 0\n")
        self.apply()
        self.assertEqual(self.keepers(), [])
        for text, good in (("90s", True), ("10m", True), ("24h", True), ("0", True), ("25h", False), ("-1", False),
                           ("m", False), ("1d", False), ("10 m", False), ("9999999999999h", False), ("yes", False)):
            self.config(SITE + f"keep_connections: {text}\n")
            p = self.run_("schedule", "--file", self.dir / "agentd.yml", state=False)
            self.assertEqual(p.returncode == 0, good, f"{text}: {p.stderr}")
            if not good:
                self.assertIn("'keep_connections' must be a time", p.stderr)

    def test_nobody_else_gets_its_socket(self):
        """What a run starts has neither the descriptor nor the variable."""
        look = "env; test -e /proc/$$/fd/5 || echo none-there"
        self.write("site.yml", QUICK + f"    - command: sh -c '{look}'\n      register: it\n      changed_when: false\n"
                   f"    - debug: {{var: it.stdout}}\n    - debug: {{msg: \"{{{{ lookup('pipe', '{look}') }}}}\"}}\n")
        self.start()
        p = self.apply()
        self.assertEqual(p.stdout.count("none-there"), 2, p.stdout)
        self.assertNotIn("PROVCTL_KEEPER_FD", p.stdout)


if __name__ == "__main__":
    main()

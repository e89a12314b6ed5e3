"""One run a host: processes that race, and hosts that a run comes to know only on its way.  test_leases.py PROVCTL"""
import signal
import sqlite3
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
import support  # noqa: E402


class Leases(support.Case):
    def start(self, site, limit, *args):
        return subprocess.Popen([support.PROVCTL, "apply", str(site), "-i", str(self.inv), "-l", limit, "--state", str(self.state), *args],
                                cwd=self.dir, env=self.env(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def setUp(self):
        super().setUp()
        self.inv = self.write("hosts.ini", "".join(f"h{i} ansible_connection=local\n" for i in range(1, 5)))

    def end(self, p, status):
        out = p.communicate(timeout=120)[0]
        self.assertEqual(p.returncode, status, out)
        self.assertNotIn("Sanitizer", out)
        return out

    def test_race(self):
        """Many at once want overlapping hosts: nobody is on a host where another one is."""
        site = self.write("site.yml", f"""
- hosts: all
  gather_facts: no
  tasks:
    - name: alone
      command: sh -c 'mkdir {self.dir}/on-{{{{ inventory_hostname }}}} && sleep 0.05 && rmdir {self.dir}/on-{{{{ inventory_hostname }}}}'
""")
        racers = [self.start(site, limit, "--wait") for limit in ("h1:h2", "h2:h3", "h3:h1", "h1", "all", "h2:h4", "h4:h1", "h3")]
        for p in racers:
            self.end(p, 0)
        # without --wait all but one that want the same host are told who has it
        racers = [self.start(site, "h1") for _ in range(6)]
        ends = [(p.communicate(timeout=120)[0], p.returncode) for p in racers]
        self.assertIn(0, [status for _, status in ends])
        for out, status in ends:
            self.assertIn(status, (0, 5), out)
            if status == 5:
                self.assertIn("'h1' is worked on by", out)

    def test_first_use_by_many(self):
        """A database that is being made by another process is not somebody else's."""
        site = self.write("nothing.yml", "- hosts: all\n  gather_facts: no\n  tasks:\n    - debug: {msg: x}\n")
        for i in range(15):
            self.state = self.dir / f"state{i}" / "state.db"
            for p in [self.start(site, f"h{n}") for n in range(1, 5)]:
                self.end(p, 0)

    def wait_for_lease(self, host, p):
        """Until it is on record which run works on the host: runs are written a moment after they have begun."""
        while True:
            db = sqlite3.connect(f"file:{self.state}?mode=ro", uri=True, timeout=30)
            run = db.execute("SELECT run_id FROM leases WHERE host = ?", (host,)).fetchone()
            db.close()
            if run is not None and run[0] is not None:
                return
            self.assertIsNone(p.poll())
            time.sleep(0.02)

    def until(self, there, p):
        while not there():
            self.assertIsNone(p.poll())
            time.sleep(0.02)

    def query(self, text):
        db = sqlite3.connect(f"file:{self.state}?mode=ro", uri=True, timeout=30)
        try:
            return db.execute(text).fetchall()
        finally:
            db.close()

    def holder(self):
        """A run that is on h1 until the file `go` is there."""
        site = self.write("holder.yml", f"""
- hosts: h1
  gather_facts: no
  tasks:
    - command: sh -c 'touch {self.dir}/here; until [ -e {self.dir}/go ] || [ ! -d {self.dir} ]; do sleep 0.05; done'
""")
        p = self.start(site, "h1")
        while not (self.dir / "here").exists():
            self.assertIsNone(p.poll())
            time.sleep(0.02)
        self.addCleanup((self.dir / "go").touch)       # whatever becomes of the test
        self.wait_for_lease("h1", p)
        return p

    def test_hosts_met_later(self):
        """A task is not delegated to a host that another run works on, nor is one added that another run has."""
        holder = self.holder()
        delegate = self.write("delegate.yml", f"""
- hosts: h2
  gather_facts: no
  tasks:
    - command: touch {self.dir}/own
    - command: touch {self.dir}/local
      delegate_to: localhost
    - command: touch {self.dir}/delegated
      delegate_to: h1
""")
        out = self.end(self.start(delegate, "h2"), 4)
        self.assertIn("'h1' is worked on by run 1", out)
        self.assertTrue((self.dir / "own").exists())
        self.assertTrue((self.dir / "local").exists())        # where we are is nobody's
        self.assertFalse((self.dir / "delegated").exists())
        add = self.write("add.yml", f"""
- hosts: h2
  gather_facts: no
  tasks:
    - add_host: {{name: new, groups: fresh, ansible_connection: local}}
- hosts: fresh
  gather_facts: no
  tasks:
    - command: sh -c 'touch {self.dir}/on-new; until [ -e {self.dir}/go2 ] || [ ! -d {self.dir} ]; do sleep 0.05; done'
""")
        first = self.start(add, "h2:new")
        while not (self.dir / "on-new").exists():
            self.assertIsNone(first.poll())
            time.sleep(0.02)
        self.wait_for_lease("new", first)
        held = self.run_("status", "--json")
        self.assertIn('"new"', held.stdout)
        out = self.end(self.start(self.write("add3.yml", add.read_text().replace("hosts: h2", "hosts: h3")), "h3:new"), 4)
        self.assertIn("'new' is worked on by run 3", out)
        (self.dir / "go").touch()
        (self.dir / "go2").touch()
        self.end(holder, 0)
        self.end(first, 0)
        # free again, and given back with the run's end
        self.end(self.start(delegate, "h2"), 0)
        self.assertTrue((self.dir / "delegated").exists())
        self.assertNotIn('"owner"', self.run_("status", "--json").stdout)

    def test_wait_on_the_way(self):
        """--wait also waits for hosts that are met on the way; ^C ends the wait, and other hosts go on meanwhile."""
        holder = self.holder()
        delegate = self.write("delegate.yml", f"""
- hosts: h2:h3
  strategy: free
  gather_facts: no
  tasks:
    - command: touch {self.dir}/delegated
      delegate_to: h1
      when: inventory_hostname == 'h2'
    - command: touch {self.dir}/on-{{{{ inventory_hostname }}}}
""")
        first = self.start(delegate, "h2:h3", "--wait")
        self.until(lambda: (self.dir / "on-h3").exists(), first)
        self.assertEqual(self.query("SELECT host FROM lease_waits"), [("h1",)])
        first.send_signal(signal.SIGINT)
        out = self.end(first, 130)
        self.assertIn("waiting for h1: run 1 of ", out)
        self.assertFalse((self.dir / "delegated").exists())
        self.assertEqual(self.query("SELECT host FROM lease_waits"), [])
        second = self.start(delegate, "h2", "--wait")
        self.until(lambda: self.query("SELECT host FROM lease_waits"), second)
        (self.dir / "go").touch()
        self.end(holder, 0)
        self.end(second, 0)
        self.assertTrue((self.dir / "delegated").exists())
        self.assertTrue((self.dir / "on-h2").exists())
        self.assertEqual(self.query("SELECT * FROM lease_waits"), [])

    def test_two_that_want_each_others_host(self):
        """One of them is told instead of both waiting for ever; the other gets what it wanted."""
        def site(own, other):
            return self.write(f"{own}.yml", f"""
- hosts: {own}
  gather_facts: no
  tasks:
    - command: sh -c 'touch {self.dir}/on-{own}; until [ -e {self.dir}/on-{other} ] || [ ! -d {self.dir} ]; do sleep 0.02; done'
    - command: touch {self.dir}/{own}-went-to-{other}
      delegate_to: {other}
""")
        runs = [self.start(site("h1", "h2"), "h1", "--wait"), self.start(site("h2", "h1"), "h2", "--wait")]
        ends = [(p.communicate(timeout=120)[0], p.returncode) for p in runs]
        self.assertEqual(sorted(status for _, status in ends), [0, 4], ends)
        told = next(out for out, status in ends if status == 4)
        self.assertRegex(told, r"'h[12]' is worked on by run [12] .*, which waits for a host of this run")
        self.assertEqual(len(list(self.dir.glob("h?-went-to-h?"))), 1)

    def test_locked_in_the_middle(self):
        """A database that somebody else has locked: nothing begins on a host that is not on record, but the loop turns."""
        site = self.write("locked.yml", f"""
- hosts: h1:h2
  strategy: free
  gather_facts: no
  tasks:
    - command: sh -c 'touch {self.dir}/begun-{{{{ inventory_hostname }}}}; until [ -e {self.dir}/go ] || [ ! -d {self.dir} ]; do sleep 0.02; done'
    - debug: {{msg: "{{{{ lookup('pipe', 'touch {self.dir}/turned-' + inventory_hostname) }}}}"}}
    - command: touch {self.dir}/delegated
      delegate_to: h3
      when: inventory_hostname == 'h1'
    - command: touch {self.dir}/after-{{{{ inventory_hostname }}}}
""")
        run = self.start(site, "h1:h2")
        self.until(lambda: (self.dir / "begun-h1").exists() and (self.dir / "begun-h2").exists(), run)
        db = sqlite3.connect(self.state, timeout=30, isolation_level=None)
        self.addCleanup(db.close)
        db.execute("BEGIN IMMEDIATE")
        (self.dir / "go").touch()
        # the answers of both come in, one by one
        self.until(lambda: (self.dir / "turned-h1").exists() and (self.dir / "turned-h2").exists(), run)
        time.sleep(0.3)
        self.assertEqual([n for n in ("delegated", "after-h1", "after-h2") if (self.dir / n).exists()], [])
        db.execute("COMMIT")
        self.end(run, 0)
        for name in ("delegated", "after-h1", "after-h2"):
            self.assertTrue((self.dir / name).exists(), name)


if __name__ == "__main__":
    support.PROVCTL = sys.argv.pop(1)
    unittest.main(verbosity=1)

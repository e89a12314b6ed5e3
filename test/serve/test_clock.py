"""A clock that jumps while provctl and agentd work: nothing is lost, nothing waits for years (test/tools/clock.c moves it)."""
import json
import signal
import sys
import time

CLOCK = sys.argv.pop(3)

from daemon import QUICK, Case, main, support  # noqa: E402

HOUR, DAY, YEAR = 3600, 86400, 365 * 86400
WAITS = """
- hosts: all
  connection: local
  gather_facts: false
  tasks:
    - name: waits
      command: sh -c 'touch DIR/begun; while test -d DIR && ! test -e DIR/go; do sleep 0.05; done'
      changed_when: false
"""


class Clock(Case):
    def setUp(self):
        super().setUp()
        self.move(0)

    def env(self, **more):
        return super().env(LD_PRELOAD=CLOCK, CLOCK=str(self.dir / "clock"), **more)

    def move(self, seconds):
        """From now on it is so much later, or earlier, than it is."""
        (self.dir / "clock.new").write_text(str(seconds))
        (self.dir / "clock.new").rename(self.dir / "clock")

    def test_preloaded(self):
        """The clock is really moved, in the program's own record."""
        for offset in (0, YEAR, -YEAR):
            self.move(offset)
            self.ok("apply", "site.yml", "-i", "h1,", "--no-daemon")
            started = self.sql("SELECT started_ms FROM runs ORDER BY id DESC LIMIT 1")[0][0]
            self.assertLess(abs(started / 1000 - time.time() - offset), 60)
        self.assertEqual([r["id"] for r in json.loads(self.ok("history", "--json"))], [3, 2, 1])
        self.ok("status")

    def test_lease(self):
        """Whoever lives keeps his hosts, wherever the clock goes; history and status can be read; the end sets them free."""
        self.write("waits.yml", WAITS.replace("DIR", str(self.dir)))
        run = support.subprocess.Popen([support.PROVCTL, "apply", "waits.yml", "-i", "h1,", "--no-daemon", "--state", str(self.state)],
                                       cwd=self.dir, env=self.env(), stdin=-3, stdout=-1, stderr=-2, text=True)
        self.addCleanup(lambda: run.poll() is None and run.kill())
        self.wait(lambda: (self.dir / "begun").exists())
        for offset in (HOUR, -HOUR, YEAR, -YEAR):
            self.move(offset)
            p = self.run_("apply", "site.yml", "-i", "h1,", "--no-daemon")
            self.assertEqual(p.returncode, 5, p.stdout + p.stderr)
            self.assertIn("'h1' is worked on by run 1", p.stderr)
            self.assertEqual(json.loads(self.ok("history", "--json"))[0]["state"], "running")
            self.assertIn("waits.yml", self.ok("status"))
        (self.dir / "go").touch()
        out = run.communicate(timeout=60)[0]
        self.assertEqual(run.returncode, 0, out)
        self.assertRegex(self.ok("history"), r"\n +1 .* 0\.0s +ok ")		# it ended before it began
        self.ok("apply", "site.yml", "-i", "h1,", "--no-daemon")

    def fail_then_mend(self):
        self.write("site.yml", QUICK + f"    - {{name: back, command: 'test -e {self.dir}/back', changed_when: false}}\n")
        self.assertEqual(self.run_("apply", "site.yml", "-i", "h1,", "--no-daemon").returncode, 3)
        (self.dir / "back").touch()

    def test_retry(self):
        """What failed while the clock was a year ahead is not owed for a year; a jump ahead makes it due."""
        self.move(YEAR)
        self.fail_then_mend()
        self.assertIn("nothing is pending", self.run_("retry", "--due", "--no-daemon").stderr)
        self.move(0)
        self.start()
        self.wait(lambda: not self.sql("SELECT * FROM pending"))
        (self.dir / "back").unlink()
        self.fail_then_mend()
        self.assertEqual(len(self.sql("SELECT * FROM pending")), 1)
        self.move(HOUR)
        self.daemon.send_signal(signal.SIGHUP)		# looks at once, not within the minute
        self.wait(lambda: not self.sql("SELECT * FROM pending"))
        self.move(-YEAR)
        self.client().call("status")

    def test_schedule(self):
        """Near, then missed by a jump: done once. Back again: not done again before its time, nor left out for a year."""
        self.ok("apply", "site.yml", "-i", "h1,")
        self.start("sites:\n  - {path: DIR/site.yml, name: shop, drift: hourly :15}\n")
        checks = lambda: self.sql("SELECT count(*) FROM runs WHERE check_only = 1")[0][0]  # noqa: E731
        self.assertEqual(checks(), 0)

        def look():
            self.daemon.send_signal(signal.SIGHUP)
            self.client().call("status")
        self.move(30 * DAY)
        look()
        self.wait(lambda: checks() == 1)
        self.wait(lambda: not self.sql("SELECT * FROM leases"))
        self.move(0)
        look()
        listed = self.client().call("schedule")["result"]
        self.assertLess(listed[0]["next_ms"] / 1000, time.time() + HOUR + 60, listed)
        self.assertEqual(checks(), 1)
        self.move(HOUR + 60)
        look()
        self.wait(lambda: checks() == 2)

    def test_history_is_not_taken_along(self):
        """A clock that is years ahead makes all runs old: they stay."""
        for i in range(3):
            self.ok("apply", "site.yml", "-i", "h1,", "--no-daemon")
        for years in (5, 5.01, 5.02):
            self.move(int(years * YEAR))
            self.ok("apply", "site.yml", "-i", "h1,", "--no-daemon")
        self.move(0)
        self.ok("apply", "site.yml", "-i", "h1,", "--no-daemon")
        self.assertEqual(len(json.loads(self.ok("history", "--json"))), 7)


if __name__ == "__main__":
    main()

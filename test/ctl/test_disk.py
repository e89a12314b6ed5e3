"""A disk that is full in the middle of a run: the run says so, what it reported before is kept, and later all goes on.  As root
(a file system of its own in a mount namespace of its own).  test_disk.py PROVCTL"""
import json
import os
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
import support  # noqa: E402

SCRIPT = r"""
set -u
cd "$1"; provctl=$2
mount --make-rprivate / && mkdir -p state && mount -t tmpfs -o size=1500k tmpfs state || exit 77
run() { "$provctl" "$@" --state state/state.db --json; }
run apply site.yml -i hosts.ini -e text=small >first.out 2>&1; echo $? >first
run apply fill.yml -i hosts.ini >mid.out 2>&1; echo $? >mid
run apply site.yml -i hosts.ini >full.out 2>&1; echo $? >full
run history >history.full 2>&1; echo $? >history.status
run apply site.yml -i hosts.ini -e text=small >still.out 2>&1; echo $? >still
rm state/ballast
run apply site.yml -i hosts.ini -e text=small >again.out 2>&1; echo $? >again
run history >history.out 2>&1
run show 1 >show.out 2>&1
run status >status.out 2>&1
"""


@unittest.skipIf(os.geteuid() != 0, "needs root")
class Disk(support.Case):
    def test_full(self):
        self.write("hosts.ini", "h1 ansible_connection=local\n")
        self.write("site.yml", """
- hosts: h1
  gather_facts: no
  vars: {text: "{{ 'x' * 20000 }}"}
  tasks:
    - command: "echo {{ item }} {{ text }}"
      loop: "{{ range(40) | list }}"
    - command: "echo {{ item }} {{ text }}"
      loop: "{{ range(40) | list }}"
    - command: "echo last"
""")
        # The host's own work fills the disk of the controller, which is the same here.
        self.write("fill.yml", """
- hosts: h1
  gather_facts: no
  vars: {text: "{{ 'x' * 20000 }}"}
  tasks:
    - command: sh -c 'cat /dev/zero > state/ballast || true'
    - command: "echo {{ item }} {{ text }}"
      loop: "{{ range(40) | list }}"
      register: said
    - command: touch through
""")
        p = subprocess.run(["unshare", "-m", "sh", "-c", SCRIPT, "sh", str(self.dir), support.PROVCTL], env=self.env(), capture_output=True,
                           text=True, timeout=200)
        if p.returncode == 77:
            self.skipTest("no mounts here")
        read = lambda name: (self.dir / name).read_text()
        lines = lambda name: [json.loads(x) for x in read(name).splitlines() if x.startswith("{")]
        for name in ("first", "mid", "full", "still", "again"):
            self.assertNotIn("Sanitizer", read(name + ".out"))
        self.assertEqual(read("first").strip(), "0", read("first.out")[-600:])
        # In the middle: the host's work goes on to its end, but it is no success.
        self.assertEqual(read("mid").strip(), "3", read("mid.out")[-600:])
        self.assertTrue((self.dir / "through").exists())
        self.assertIn("the run is not completely recorded", read("mid.out")[-600:])
        # The next ones find it out before they touch a host, or in the same way.
        for name in ("full", "still"):
            self.assertIn(read(name).strip(), ("1", "3"), read(name + ".out")[-600:])
            self.assertIn("no space left for the state database", read(name + ".out")[-600:])
        self.assertEqual(read("history.status").strip(), "0", read("history.full"))
        # What was reported is on record, before and after.
        self.assertEqual(read("again").strip(), "0", read("again.out")[-600:])
        show = json.loads(read("show.out"))
        self.assertEqual(len(show["results"]), 3)
        runs = json.loads(read("history.out"))
        self.assertEqual((runs[-1]["id"], runs[-1]["status"]), (1, 0))
        self.assertEqual(runs[0]["status"], 0)
        # Nobody holds the host any more.
        self.assertEqual(json.loads(read("status.out"))["held"], [])


if __name__ == "__main__":
    support.PROVCTL = sys.argv.pop(1)
    unittest.main(verbosity=1)

"""What the tests of the command line share: a folder of their own and provctl in it."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

PROVCTL = None


class Case(unittest.TestCase):
    """Each test has a fresh folder, self.dir, with state.db in it."""

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="provctl-ctl-"))
        self.state = self.dir / "state" / "state.db"
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def write(self, name, text):
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def env(self, **more):
        env = {k: v for k, v in os.environ.items() if not k.startswith("ANSIBLE_") and k != "NO_COLOR"}
        # No ansible.cfg, keys or state of the person who runs the tests.
        env.update(HOME=str(self.dir / "home"), XDG_STATE_HOME=str(self.dir / "xdg"), TERM="xterm", **more)
        return env

    def run_(self, *args, input=None, env=None, cwd=None, state=True, timeout=120):
        args = [PROVCTL, *map(str, args)]
        if state and args[1] not in ("doc", "schema", "vault", "__words"):
            args += ["--state", str(self.state)]
        p = subprocess.run(args, cwd=cwd or self.dir, env=env or self.env(), input=input,
                           stdin=subprocess.DEVNULL if input is None else None,
                           capture_output=True, text=True, timeout=timeout, errors="surrogateescape")
        self.assertNotIn("Sanitizer", p.stderr)
        return p

    def ok(self, *args, **kw):
        p = self.run_(*args, **kw)
        self.assertEqual(p.returncode, 0, p.stdout + p.stderr)
        return p.stdout

    def fails(self, status, *args, **kw):
        """The error's text; nothing may go to standard output."""
        p = self.run_(*args, **kw)
        self.assertEqual(p.returncode, status, p.stdout + p.stderr)
        return p.stderr

    def events(self, *args, status=0, **kw):
        p = self.run_(*args, "--json", **kw)
        self.assertEqual(p.returncode, status, p.stdout + p.stderr)
        return [json.loads(line) for line in p.stdout.splitlines()]


def main():
    global PROVCTL
    PROVCTL = os.path.abspath(sys.argv.pop(1))
    import support
    support.PROVCTL = PROVCTL
    unittest.main(verbosity=1)

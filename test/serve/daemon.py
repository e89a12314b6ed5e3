"""What the tests of agentd share: one in a folder of its own, and a client that says what it likes."""
import array
import json
import os
import pathlib
import signal
import socket
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "ctl"))
import support  # noqa: E402

AGENTD = sys.argv.pop(2)

QUICK = """
- hosts: all
  connection: local
  gather_facts: false
  tasks:
    - name: nothing
      command: "true"
      changed_when: false
"""


class Client:
    def __init__(self, path, hello=True):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(60)
        self.s.connect(str(path))
        self.f = self.s.makefile("r")
        if hello:
            self.call("hello", protocol=1)

    def send(self, data):
        self.s.sendall(data if isinstance(data, bytes) else data.encode())

    def line(self):
        text = self.f.readline()
        return json.loads(text) if text else None

    def call(self, method, fds=(), id=1, **params):
        data = json.dumps({"id": id, "method": method, "params": params}).encode() + b"\n"
        try:
            self.s.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
        except BrokenPipeError:
            pass		# put out already: there is a line that says why
        return self.line()

    def close(self):
        self.f.close()
        self.s.close()


class Case(support.Case):
    def setUp(self):
        super().setUp()
        self.socket = self.dir / "run" / "agentd.sock"
        self.daemon = None
        self.clients = []
        self.log = self.dir / "log"
        self.write("site.yml", QUICK)
        self.addCleanup(self.stop, signal.SIGKILL)

    def env(self, **more):
        return super().env(PROVCTL_SOCKET=str(self.socket), **more)

    def config(self, text):
        return self.write("agentd.yml", text.replace("DIR", str(self.dir)))

    def start(self, config=None, wait=True, env=None, **kw):
        if config is not None:
            self.config(config)
        args = [AGENTD, "--state", str(self.state), "--socket", str(self.socket), "--provctl", support.PROVCTL]
        if (self.dir / "agentd.yml").exists():
            args += ["--config", str(self.dir / "agentd.yml")]
        before = self.logged().count(" is ready: ")
        with self.log.open("ab") as log:
            self.daemon = subprocess.Popen(args, cwd=self.dir, env=env or self.env(), stdin=subprocess.DEVNULL,
                                           stderr=log, **kw)
        if wait:
            self.wait(lambda: self.logged().count(" is ready: ") > before)

    def stop(self, sig=signal.SIGTERM):
        for c in self.clients:
            c.close()
        self.clients = []
        if self.daemon is not None:
            self.daemon.send_signal(sig)
            status = self.daemon.wait(60)
            self.daemon = None
            self.assertNotIn("Sanitizer", self.logged())
            return status

    def logged(self):
        return self.log.read_text() if self.log.exists() else ""

    def client(self, **kw):
        c = Client(self.socket, **kw)
        self.clients.append(c)
        return c

    def wait(self, condition, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            time.sleep(0.02)
        self.fail("it does not happen; the log:\n" + self.logged())

    def sql(self, text, *args):
        db = sqlite3.connect(self.state, timeout=30)
        try:
            with db:
                return db.execute(text, args).fetchall()
        finally:
            db.close()

    def jobs(self):
        c = self.client()
        return c.call("status")["result"]["jobs"]


main = support.main

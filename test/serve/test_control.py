"""The control socket: what it says to nonsense, strangers, and those who have no time or too much."""
import grp
import json
import os
import pwd
import socket
import subprocess
import time
import unittest

from daemon import QUICK, Case, Client, main


class Control(Case):
    def error(self, c, data, code, message):
        c.send(data)
        answer = c.line()
        self.assertIn("error", answer or {}, answer)
        self.assertEqual(answer["error"]["code"], code, answer)
        self.assertIn(message, answer["error"]["message"])
        return answer

    def alive(self):
        self.assertEqual(self.client().call("status", id=7)["id"], 7)

    def test_methods(self):
        self.ok("apply", "site.yml", "-i", "h1,")
        self.start("sites:\n  - {path: DIR/site.yml, name: shop, drift: 'nightly, 03:10'}\n")
        c = self.client(hello=False)
        hello = c.call("hello", protocol=1)["result"]
        self.assertEqual((hello["protocol"], hello["pid"], hello["uid"]), (1, self.daemon.pid, os.geteuid()))
        st = os.stat(self.state)
        self.assertEqual(hello["database_id"], f"{st.st_dev}:{st.st_ino}")
        self.assertEqual(os.stat(self.socket).st_mode & 0o777, 0o600)
        self.assertEqual(os.stat(self.socket.parent).st_mode & 0o777, 0o700)
        self.assertEqual([x["id"] for x in c.call("runs")["result"]], [1])
        site = c.call("schedule")["result"][0]
        self.assertEqual((site["site"], site["correct"], site["job"]), ("shop", False, None))
        self.assertLess(time.time() * 1000, site["next_ms"])
        c.call("follow")
        job = c.call("start", site="shop")["result"]
        self.assertEqual(job["kind"], "drift")
        events = []
        while (e := c.line()).get("event") != "job_end":
            events.append(e)
        self.assertEqual((e["job"], e["status"], e["run"]), (job["job"], 0, 2))
        self.assertEqual([x["event"]["event"] for x in events if x["run"] == 2][0], "run_start")
        self.assertEqual(c.call("runs")["result"][0]["id"], 2)

    def test_nonsense(self):
        self.start()
        c = self.client()
        for data, code, message in [
                ("{\n", "syntax", "no JSON"), ("\n", "syntax", "no JSON"), ("[1]\n", "syntax", "an object"),
                (b"\xff\xfe{}\n", "syntax", "no JSON"), ("[" * 5000 + "\n", "syntax", "no JSON"),
                ("{}\n", "invalid", "without 'method'"), ('{"method": 3}\n', "invalid", "without 'method'"),
                ('{"method": "sta\\u0000tus"}\n', "invalid", "without 'method'"),
                ('{"id": "x", "method": "status"}\n', "invalid", "'id'"),
                ('{"method": "shutdown"}\n', "unsupported", "unknown method 'shutdown'"),
                ('{"method": "status", "params": 3}\n', "invalid", "'params'"),
                ('{"method": "status", "params": {"x": 1}}\n', "invalid", "no parameter 'x'"),
                ('{"method": "cancel", "params": {"run": "1"}}\n', "invalid", "'run'"),
                ('{"method": "cancel", "params": {"run": -1}}\n', "invalid", "'run'"),
                ('{"method": "cancel", "params": {"run": 99999999999999999999}}\n', "invalid", "'run'"),
                ('{"method": "cancel", "params": {"run": 5}}\n', "invalid", "no run 5"),
                ('{"method": "cancel"}\n', "invalid", "no run under way"),
                ('{"method": "follow", "params": {"job": 5}}\n', "invalid", "no job 5"),
                ('{"method": "runs", "params": {"limit": 1001}}\n', "limit", "1000"),
                ('{"method": "start"}\n', "invalid", "needs the parameter 'site'"),
                ('{"method": "start", "params": {"site": "x"}}\n', "invalid", "no site 'x'"),
                ('{"method": "hello", "params": {"protocol": 1, "protocol": "1"}}\n', "invalid", "'protocol'"),
        ]:
            with self.subTest(data=data[:60]):
                self.error(c, data, code, message)
        self.assertEqual(self.error(c, '{"id": 42, "method": "x"}\n', "unsupported", "unknown")["id"], 42)
        # Two in one piece, one in three pieces.
        c.send('{"id": 1, "method": "runs"}\n{"id": 2, "method": "runs"}\n{"id"')
        self.assertEqual([c.line()["id"], c.line()["id"]], [1, 2])
        c.send(': 3, "method":')
        time.sleep(0.05)
        c.send('"runs"}\n')
        self.assertEqual(c.line()["id"], 3)

    def test_run_is_checked(self):
        self.start()
        c = self.client()
        place = f"{os.stat(self.dir).st_dev}:{os.stat(self.dir).st_ino}"
        null = os.open(os.devnull, os.O_RDWR)
        self.addCleanup(os.close, null)
        good = {"argv": ["check", "site.yml"], "cwd": str(self.dir), "place": place}
        for change, fds, code, message in [
                ({}, [], "invalid", "descriptors"), ({}, [null], "invalid", "descriptors"),
                ({"argv": []}, [null] * 3, "invalid", "'argv'"), ({"argv": ["x"] * 1001}, [null] * 3, "invalid", "'argv'"),
                ({"argv": ["apply", 3]}, [null] * 3, "invalid", "'argv'"),
                ({"argv": ["apply", "a\0b"]}, [null] * 3, "invalid", "'argv'"),
                ({"argv": ["vault", "x"]}, [null] * 3, "unsupported", "'vault' is not run"),
                ({"argv": ["apply", "--state=/x", "s"]}, [null] * 3, "invalid", "--state"),
                ({"argv": ["apply", "--state", "/x", "s"]}, [null] * 3, "invalid", "--state"),
                ({"env": {"A=B": "x"}}, [null] * 3, "invalid", "'env'"), ({"env": {"A": 1}}, [null] * 3, "invalid", "'env'"),
                ({"cwd": "/nowhere"}, [null] * 3, "io", "/nowhere"), ({"place": "1:1"}, [null] * 3, "io", "does not see"),
        ]:
            with self.subTest(change=str(change)[:60], fds=len(fds)):
                answer = c.call("run", fds=fds, **{**good, **change})
                self.assertEqual(answer.get("error", {}).get("code"), code, answer)
                self.assertIn(message, answer["error"]["message"])
        # What came with a refused request is not kept.
        held = os.listdir(f"/proc/{self.daemon.pid}/fd")
        for _ in range(20):
            c.call("run", fds=[null] * 4, **{**good, "argv": []})
        self.assertLess(len(os.listdir(f"/proc/{self.daemon.pid}/fd")), len(held) + 5)

    def test_version(self):
        self.start()
        c = self.client(hello=False)
        self.error(c, '{"id": 1, "method": "hello", "params": {"protocol": 2}}\n', "unsupported", "version 2")
        self.assertIsNone(c.line())
        c = self.client(hello=False)
        self.error(c, '{"id": 1, "method": "status"}\n', "invalid", "must be 'hello'")
        self.assertIsNone(c.line())

    def test_too_large(self):
        self.start()
        c = self.client()
        try:
            c.send(b"x" * 400_000)
        except (BrokenPipeError, ConnectionResetError):
            pass
        self.assertEqual(c.line()["error"]["code"], "limit")
        self.alive()
        # Just below the limit is an ordinary error.
        self.error(self.client(), b'"' + b"x" * 260_000 + b'"\n', "syntax", "an object")

    def test_slow(self):
        self.start()
        silent, half = self.client(hello=False), self.client()
        half.send('{"id": 1, "meth')
        begin = time.monotonic()
        self.assertIsNone(silent.line())
        self.assertLess(time.monotonic() - begin, 15)
        half.send("od")		# a byte now and then does not help
        self.assertIsNone(half.line())
        self.assertLess(time.monotonic() - begin, 25)
        self.alive()

    def test_many(self):
        self.start()
        clients = [self.client() for _ in range(64)]
        refused = self.client(hello=False)
        self.assertEqual(refused.line()["error"]["code"], "busy")
        self.assertIsNone(refused.line())
        self.assertEqual(clients[0].call("runs")["result"], [])
        for c in clients[1:]:
            c.close()
        self.wait(lambda: "result" in (self.client(hello=False).call("hello", protocol=1) or {}))

    def test_hundreds_at_once(self):
        """Half of them silent: those who are in are served, the others told or put out, and then all is as before."""
        self.start()
        inside = self.client()
        crowd = []
        self.addCleanup(lambda: [s.close() for s in crowd])
        for i in range(500):
            s = socket.socket(socket.AF_UNIX, type=socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            crowd.append(s)
            try:
                s.connect(str(self.socket))
                if i % 2:
                    s.send(b'{"id": 1, "method": "hello", "params": {"protocol": 1}}\n')
            except (BlockingIOError, BrokenPipeError):
                pass
        self.assertEqual(inside.call("runs")["result"], [])
        self.assertIn("64 clients are connected", self.fails(1, "schedule", state=False))
        self.assertLess(len(os.listdir(f"/proc/{self.daemon.pid}/fd")), 200)
        while crowd:
            crowd.pop().close()
        self.wait(lambda: self.run_("schedule", state=False).returncode == 0)
        self.assertEqual(inside.call("runs")["result"], [])

    def test_follower_that_does_not_read(self):
        self.write("site.yml", QUICK + """
    - name: talk
      debug: {msg: "{{ 'x' * 1000000 }}"}
      loop: "{{ range(30) | list }}"
""")
        self.ok("apply", "site.yml", "-i", "h1,")
        self.start("sites:\n  - {path: DIR/site.yml, name: talker, drift: never}\n")
        slow, c = self.client(), self.client()
        slow.call("follow")
        c.call("start", site="talker")
        self.wait(lambda: not c.call("status")["result"]["jobs"], 120)
        self.assertEqual(c.call("runs")["result"][0]["status"], 0)
        while (line := slow.f.readline()).endswith("\n"):
            pass		# what was on the way, cut off in the middle
        self.assertNotIn("job_end", line)

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to be somebody else")
    def test_strangers(self):
        os.chmod(self.dir, 0o755)
        self.start()
        nobody, games = pwd.getpwnam("nobody"), grp.getgrnam("games").gr_gid
        requests = [("hello", {"protocol": 1}), ("status", {}), ("run", {"argv": ["apply", "x"], "cwd": "/", "place": "x"})]

        def ask(gid, groups):
            """The answers that user nobody gets; None: no connection."""
            r, w = os.pipe()
            if (pid := os.fork()) == 0:
                answers = []
                try:
                    os.setgroups(groups)
                    os.setgid(gid)
                    os.setuid(nobody.pw_uid)
                    c = Client(self.socket, hello=False)
                    for method, params in requests:
                        answers.append(c.call(method, **params))
                    c.close()
                except PermissionError:
                    answers = None
                except OSError:
                    pass
                os.write(w, json.dumps(answers).encode())
                os._exit(0)
            os.close(w)
            os.waitpid(pid, 0)
            with os.fdopen(r) as f:
                return json.load(f)
        self.assertIsNone(ask(nobody.pw_gid, []))
        # Even if the file lets them in.
        os.chmod(self.socket.parent, 0o755)
        os.chmod(self.socket, 0o666)
        answers = ask(nobody.pw_gid, [])
        self.assertEqual((answers[0]["error"]["code"], [x for x in answers[1:] if x]), ("denied", []))
        self.alive()
        # A group may look, but not run what it likes.
        self.stop()
        self.start("socket: {group: games}\n")
        self.assertEqual(os.stat(self.socket).st_mode & 0o777, 0o660)
        for gid, groups in ((games, []), (nobody.pw_gid, [games])):
            answers = ask(gid, groups)
            self.assertEqual(["result" in x for x in answers], [True, True, False], answers)
            self.assertEqual(answers[2]["error"]["code"], "denied")

    def test_socket_in_the_way(self):
        self.start()
        p = subprocess.run([*self.daemon.args[:2], str(self.dir / "other.db"), *self.daemon.args[3:]],
                           capture_output=True, text=True, env=self.env())
        self.assertEqual(p.returncode, 1)
        self.assertIn("listens at", p.stderr)
        p = subprocess.run([*self.daemon.args[:4], str(self.dir / "s2"), *self.daemon.args[5:]],
                           capture_output=True, text=True, env=self.env())
        self.assertEqual(p.returncode, 1)
        self.assertIn("another agentd works on the database", p.stderr)
        # What a killed one has left behind is no obstacle, a file is.
        self.stop(9)
        self.assertTrue(self.socket.exists())
        self.start()
        self.alive()
        self.stop()
        self.socket.unlink()
        self.socket.write_text("precious")
        self.start(wait=False)
        self.assertEqual(self.daemon.wait(30), 1)
        self.daemon = None
        self.assertIn("it is no socket", self.logged())
        self.assertEqual(self.socket.read_text(), "precious")


if __name__ == "__main__":
    main()

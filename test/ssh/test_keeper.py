#!/usr/bin/env python3
"""Sessions that are kept between runs: agentd's keeper, asked by connrun, with a real sshd on loopback.

usage: test_keeper.py CONNRUN CHURN AGENTD [unittest arguments]
"""
import array
import hashlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
import unittest

import test_ssh
from test_ssh import Sshd, keygen, read

AGENTD = None


def encode(v):
    """base/codec.h"""
    def varint(n):
        out = b""
        while n >= 0x80:
            out += bytes([n & 0x7f | 0x80])
            n >>= 7
        return out + bytes([n])
    if isinstance(v, bool):
        return bytes([3 if v else 2])
    if isinstance(v, int):
        return b"\x04" + varint(v << 1 if v >= 0 else -v * 2 - 1)
    if isinstance(v, str):
        return b"\x06" + varint(len(v.encode())) + v.encode()
    if isinstance(v, list):
        return b"\x07" + varint(len(v)) + b"".join(map(encode, v))
    return b"\x08" + varint(len(v)) + b"".join(encode(k) + encode(x) for k, x in v.items())


class Keeper:
    def __init__(self, keep_ms=60000):
        self.control, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.proc = subprocess.Popen([AGENTD, "--keep"], stdin=there, stderr=subprocess.PIPE, text=True)
        there.close()
        self.keep(keep_ms)

    def keep(self, ms, fds=()):
        self.control.sendmsg([encode({"keep_ms": ms})],
                             [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
        self.ms = ms

    def run(self):
        """A run's end of a socket."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.keep(self.ms, [theirs.fileno()])
        theirs.close()
        return ours

    def memory_kib(self):
        return int(re.search(r"VmHWM:\s+(\d+)", read("/proc/%d/status" % self.proc.pid))[1])

    def stop(self):
        """Its exit status once agentd has gone."""
        self.control.close()
        try:
            self.status = self.proc.wait(20)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.status = "killed"
        self.said = self.proc.stderr.read()
        self.proc.stderr.close()
        return self.status


class Case(test_ssh.Case):
    def setUp(self):
        super().setUp()
        self.keeper = Keeper()
        self.addCleanup(self.end)		# the last
        self.logins_before = self.logins()

    def end(self):
        if self.keeper.proc.returncode is None:
            self.assertEqual(self.keeper.stop(), 0, self.keeper.said)
            self.assertEqual(self.keeper.said, "")

    def logins(self, sshd=None):
        return read((sshd or self.sshd).log.name).count("Accepted publickey")

    def new_logins(self):
        return self.logins() - self.logins_before

    def run_it(self, options=(), *args, direct=False, **more):
        """As the base's, through the keeper."""
        with self.keeper.run() as s:
            os.set_inheritable(s.fileno(), True)
            more.setdefault("close_fds", False)
            return super().run_it([*options, *([] if direct else ["-W", str(s.fileno())])], *args, **more)

    def wait(self, condition, seconds=15):
        end = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), end, "it does not happen")
            time.sleep(0.02)


class Reuse(Case):
    def test_second_run_makes_no_login(self):
        for _ in range(3):
            self.works()
        self.assertEqual(self.new_logins(), 1)

    def test_an_executor_for_each_run(self):
        pids = [self.run_it(["-H"]).results[0]["pid"] for _ in range(2)]
        self.assertNotEqual(*pids)
        self.wait(lambda: not any(os.path.exists("/proc/%d" % p) for p in pids))

    def test_output_of_the_shell_before_the_executor(self):
        bad = Sshd(self.tmp, "ForceCommand echo no such luck >&2; exit 3", user_key=self.key)
        self.addCleanup(bad.stop)
        self.pin(bad)
        for _ in range(2):
            self.fails("no such luck", "exit status 3", port=bad.port)

    def test_other_identities_have_other_sessions(self):
        other = keygen(os.path.join(self.tmp, "other"))
        with open(os.path.join(self.sshd.folder, "authorized_keys"), "a") as f:
            f.write(read(other + ".pub"))
        self.works()
        self.works(key=other)
        self.assertEqual(self.new_logins(), 2)
        self.works(["-T", "5000"])		# not an identity
        self.works(key=other)
        self.assertEqual(self.new_logins(), 2)

    def test_a_wrong_key_does_not_get_in(self):
        self.works()
        self.fails("lets nobody in", key=keygen(os.path.join(self.tmp, "stranger")))
        self.fails("no such file", key=os.path.join(self.tmp, "nothing"))

    def test_a_key_file_that_was_replaced_is_another_identity(self):
        mine = os.path.join(self.tmp, "mine")
        for suffix in ("", ".pub"):
            with open(mine + suffix, "w", opener=lambda p, f: os.open(p, f, 0o600)) as f:
                f.write(read(self.key + suffix))
        self.works(key=mine)
        os.unlink(mine)
        keygen(mine)
        self.fails("lets nobody in", key=mine)
        self.assertEqual(self.new_logins(), 1)

    def test_keys_of_the_agent(self):
        """Those of the run's agent, not of the keeper's; another agent is another identity."""
        envs = []
        for name in ("one", "two"):
            path = os.path.join(self.tmp, name)
            agent = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
            self.addCleanup(agent.wait)
            self.addCleanup(agent.terminate)
            self.wait(lambda: os.path.exists(path))
            envs.append(dict(os.environ, SSH_AUTH_SOCK=path, HOME=self.tmp))
        subprocess.run(["ssh-add", "-q", self.key], env=envs[0], check=True)

        def run(env):
            with self.keeper.run() as s:
                os.set_inheritable(s.fileno(), True)
                return subprocess.run([test_ssh.CONNRUN, "-k", self.known, "-p", str(self.sshd.port), "-W", str(s.fileno()),
                                       "127.0.0.1", "shell", '{"cmd": "echo hello"}'], env=env, capture_output=True,
                                      text=True, close_fds=False, timeout=30)
        for _ in range(2):
            r = run(envs[0])
            self.assertEqual(r.returncode, 0, r.stderr)
        self.assertEqual(self.new_logins(), 1)
        self.assertIn("lets nobody in", run(envs[1]).stderr)
        self.assertEqual(run({"HOME": self.tmp, "PATH": os.environ["PATH"]}).returncode, 4)

    def test_relative_key_file(self):
        self.works(key=os.path.relpath(self.key))
        self.works()
        self.assertEqual(self.new_logins(), 1)

    def test_forgotten_is_logged_in_anew(self):
        self.works()
        self.works(["-R"])
        self.works()
        self.assertEqual(self.new_logins(), 2)

    def test_many_at_once_share_sessions(self):
        with self.keeper.run() as s:
            os.set_inheritable(s.fileno(), True)
            procs = [subprocess.Popen(self.command("-W", str(s.fileno()), ("shell", '{"cmd": "sleep 1; echo hello"}')),
                                      stdout=subprocess.PIPE, close_fds=False)]
            procs += [subprocess.Popen(self.command("-W", str(r.fileno()), ("shell", '{"cmd": "sleep 1; echo hello"}')),
                                       stdout=subprocess.PIPE, close_fds=False)
                      for r in self.inheritable(19)]
            for p in procs:
                self.assertIn(b"hello", p.communicate(timeout=60)[0])
        # Eight on one session.
        self.assertEqual(self.new_logins(), 3)

    def inheritable(self, n):
        for _ in range(n):
            s = self.keeper.run()
            os.set_inheritable(s.fileno(), True)
            self.addCleanup(s.close)
            yield s

    def test_fewer_channels_than_usual(self):
        narrow = Sshd(self.tmp, "MaxSessions 2", user_key=self.key)
        self.addCleanup(narrow.stop)
        self.pin(narrow)
        self.works(port=narrow.port)
        procs = [subprocess.Popen(self.command("-W", str(r.fileno()), ("shell", '{"cmd": "sleep 1; echo hello"}'),
                                               port=narrow.port), stdout=subprocess.PIPE, close_fds=False)
                 for r in self.inheritable(5)]
        for p in procs:
            self.assertIn(b"hello", p.communicate(timeout=60)[0])
        self.assertLessEqual(self.logins(narrow), 5)

    def test_through_a_jump_host(self):
        target = Sshd(self.tmp, user_key=self.key)
        self.addCleanup(target.stop)
        self.pin(target)
        jump = ["-J", "127.0.0.1:%d" % self.sshd.port]
        for _ in range(2):
            self.works(jump, port=target.port)
        self.works(port=target.port)		# directly: another way, another session
        self.assertEqual((self.new_logins(), self.logins(target)), (1, 2))

    def test_through_two_jump_hosts(self):
        target, second = Sshd(self.tmp, user_key=self.key), Sshd(self.tmp, user_key=self.key)
        for s in (target, second):
            self.addCleanup(s.stop)
            self.pin(s)
        jump = ["-J", "127.0.0.1:%d,127.0.0.1:%d" % (self.sshd.port, second.port)]
        for _ in range(3):
            self.works(jump, port=target.port)
        self.assertEqual((self.new_logins(), self.logins(second), self.logins(target)), (1, 1, 1))


class HostKeys(Case):
    def test_unknown_ones_are_for_the_run(self):
        os.unlink(self.known)
        self.fails("is not known")
        self.works(["-a"])			# pinned here
        self.assertIn(self.sshd.public(), read(self.known))
        self.works()
        self.works()
        self.assertEqual(self.new_logins(), 2)

    def test_forgotten_key(self):
        self.works()
        os.unlink(self.known)
        self.fails("is not known")

    def test_other_key_pinned_meanwhile(self):
        self.works()
        other = keygen(os.path.join(self.tmp, "other"))
        os.unlink(self.known)
        self.pin(self.sshd, " ".join(read(other + ".pub").split()[:2]))
        self.fails("has changed")
        os.unlink(self.known)
        self.pin(self.sshd)
        self.works()

    def test_forgotten_key_of_the_jump_host(self):
        target = Sshd(self.tmp, user_key=self.key)
        self.addCleanup(target.stop)
        self.pin(target)
        jump = ["-J", "127.0.0.1:%d" % self.sshd.port]
        self.works(jump, port=target.port)
        other = keygen(os.path.join(self.tmp, "other"))
        os.unlink(self.known)
        self.pin(target)
        self.pin(self.sshd, " ".join(read(other + ".pub").split()[:2]))
        self.fails("has changed", options=jump, port=target.port)

    def test_server_with_another_key(self):
        self.works()
        self.fails("has changed", port=self.replaced().port)

    def replaced(self):
        s = Sshd(self.tmp, user_key=self.key)
        self.addCleanup(s.stop)
        self.pin(s, self.sshd.public())
        return s


class Dead(Case):
    def test_session_that_was_closed(self):
        own = Sshd(self.tmp, user_key=self.key)
        self.addCleanup(own.stop)
        self.pin(own)
        self.works(port=own.port)
        for pid in own.family():
            os.kill(pid, signal.SIGKILL)
        self.works(port=own.port)
        self.assertEqual(self.logins(own), 2)

    def test_session_that_hangs(self):
        """A host that went away without a word: its end of the session does not answer."""
        own = Sshd(self.tmp, user_key=self.key)
        self.addCleanup(own.stop)
        self.pin(own)
        self.works(port=own.port)
        hung = own.family()
        for pid in hung:
            os.kill(pid, signal.SIGSTOP)
        start = time.monotonic()
        self.works(port=own.port)
        self.assertLess(time.monotonic() - start, 10)
        self.assertEqual(self.logins(own), 2)
        for pid in hung:
            os.kill(pid, signal.SIGKILL)

    def test_host_is_gone(self):
        own = Sshd(self.tmp, user_key=self.key)
        self.pin(own)
        self.works(port=own.port)
        own.stop()
        self.fails("Connection refused", port=own.port)

    def test_too_many_descriptors(self):
        """Who gets no room connects by himself."""
        self.works()
        pid = self.keeper.proc.pid
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        self.wait(lambda: self.files(pid) == self.files(pid, pause=0.1))	# the run's are closed
        # Its socket still fits, what it asks with does not.
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (self.files(pid) + 1, hard))
        self.works()
        self.assertEqual(self.new_logins(), 2)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        self.works()
        self.assertEqual(self.new_logins(), 2)

    def files(self, pid, pause=0):
        time.sleep(pause)
        return len(os.listdir("/proc/%d/fd" % pid))

    def test_keeper_killed_before(self):
        with self.keeper.run() as s:
            os.set_inheritable(s.fileno(), True)
            self.keeper.proc.kill()
            self.keeper.proc.wait()
            r = subprocess.run(self.command("-W", str(s.fileno()), ("shell", '{"cmd": "echo hello"}')),
                               capture_output=True, text=True, timeout=30, close_fds=False)
        self.assertEqual(json.loads(r.stdout)["stdout"], "hello", r.stderr)
        self.keeper.stop()

    def test_keeper_killed_while_connecting(self):
        """Its requests are done by the run itself."""
        own = Sshd(self.tmp, user_key=self.key)
        self.addCleanup(own.stop)
        self.pin(own)
        os.kill(own.proc.pid, signal.SIGSTOP)
        p, s = self.background(port=own.port)
        self.wait(lambda: "connecting" in read(self.errors))
        time.sleep(0.2)
        self.keeper.proc.kill()
        self.keeper.proc.wait()
        os.kill(own.proc.pid, signal.SIGCONT)
        self.assertIn("hello", p.communicate(timeout=30)[0])
        self.assertEqual(p.returncode, 0, read(self.errors))
        self.keeper.stop()

    def background(self, cmd="echo hello", **more):
        s = self.keeper.run()
        self.addCleanup(s.close)
        os.set_inheritable(s.fileno(), True)
        self.errors = os.path.join(self.tmp, "errors")
        with open(self.errors, "w") as f:
            p = subprocess.Popen(self.command("-v", "-W", str(s.fileno()), ("shell", json.dumps({"cmd": cmd})), **more),
                                 stdout=subprocess.PIPE, stderr=f, text=True, close_fds=False)
        return p, s

    def test_keeper_killed_in_the_middle(self):
        go = os.path.join(self.tmp, "go")
        p, _ = self.background("touch %s; sleep 30" % go)
        self.wait(lambda: os.path.exists(go))
        self.keeper.proc.kill()
        self.keeper.proc.wait()
        self.assertEqual(p.wait(20), 4)
        self.assertIn("keeper of connections has ended", read(self.errors))
        p.stdout.close()
        self.keeper.stop()

    def test_keeper_hangs(self):
        os.kill(self.keeper.proc.pid, signal.SIGSTOP)
        try:
            self.works()
        finally:
            os.kill(self.keeper.proc.pid, signal.SIGCONT)

    def under_way(self):
        """The run; the pids of its executor, the worker and the command."""
        path = os.path.join(self.tmp, "pid")
        p, _ = self.background("echo $$ > %s; sleep 60" % path)
        self.wait(lambda: os.path.exists(path) and read(path))
        pids = [int(read(path))]
        while len(pids) < 3:
            pids.insert(0, int(read("/proc/%d/stat" % pids[0]).rsplit(")")[1].split()[1]))
        return p, pids

    def test_executor_killed(self):
        p, pids = self.under_way()
        os.kill(pids[0], signal.SIGKILL)
        p.communicate(timeout=20)
        self.assertEqual(p.returncode, 4)
        self.assertIn("ended by signal KILL", read(self.errors))
        self.works()
        self.assertEqual(self.new_logins(), 1)

    def test_run_killed(self):
        """Nothing of it is left, here or there; and nobody knows what it has done to the login."""
        p, pids = self.under_way()
        p.kill()
        p.communicate()
        self.wait(lambda: not any(os.path.exists("/proc/%d" % pid) for pid in pids))
        self.works()
        self.assertEqual(self.new_logins(), 2)

    def test_agentd_gone_in_the_middle(self):
        go = os.path.join(self.tmp, "go")
        p, s = self.background("while ! test -e %s; do sleep 0.05; done; echo hello" % go)
        s.close()
        self.wait(lambda: "[ready]" in read(self.errors))
        self.keeper.control.close()
        time.sleep(0.2)
        self.assertIsNone(self.keeper.proc.poll())
        open(go, "w").close()
        self.assertIn("hello", p.communicate(timeout=30)[0])
        self.assertEqual(self.keeper.stop(), 0)


class Lifetime(Case):
    def sessions(self):
        return len(self.sshd.children())

    def test_idle_ones_are_closed(self):
        self.keeper.keep(300)
        self.works()
        self.wait(lambda: self.sessions() == 0)
        self.works()
        self.assertEqual(self.new_logins(), 2)

    def test_shorter_from_now_on(self):
        self.works()
        self.assertEqual(self.sessions(), 1)
        self.keeper.keep(0)
        self.wait(lambda: self.sessions() == 0)

    def test_agentd_stops(self):
        self.works()
        self.assertEqual(self.keeper.stop(), 0, self.keeper.said)
        self.wait(lambda: self.sessions() == 0)

    def test_agentd_stops_with_a_jump_host(self):
        target = Sshd(self.tmp, user_key=self.key)
        self.addCleanup(target.stop)
        self.pin(target)
        self.works(["-J", "127.0.0.1:%d" % self.sshd.port], port=target.port)
        self.assertEqual(self.keeper.stop(), 0, self.keeper.said)
        self.wait(lambda: self.sessions() == 0 and not target.children())

    def test_at_most_so_many(self):
        """Each key file is an identity: more of them than are kept."""
        for i in range(0, 136, 8):
            keys = []
            for k in range(i, i + 8):
                keys.append(os.path.join(self.tmp, "k%d" % k))
                with open(keys[-1], "w", opener=lambda p, f: os.open(p, f, 0o600)) as f:
                    f.write(read(self.key))
            socks = [self.keeper.run() for _ in keys]
            for s in socks:
                os.set_inheritable(s.fileno(), True)
            procs = [subprocess.Popen(self.command("-W", str(s.fileno()), ("shell", '{"cmd": "echo hello"}'), key=k),
                                      stdout=subprocess.PIPE, close_fds=False) for s, k in zip(socks, keys)]
            for p in procs:
                self.assertIn(b"hello", p.communicate(timeout=60)[0])
            for s in socks:
                s.close()
        self.assertEqual(self.new_logins(), 136)
        self.wait(lambda: self.sessions() == 128)
        self.works(key=keys[-1])
        self.assertEqual(self.new_logins(), 136)
        self.works(key=os.path.join(self.tmp, "k0"))
        self.assertEqual(self.new_logins(), 137)


class Bulk(Case):
    def bounded(self, before):
        """ASan holds back what is freed."""
        if "libasan" not in read("/proc/%d/maps" % self.keeper.proc.pid):
            self.assertLess(self.keeper.memory_kib() - before, 16 * 1024)

    def test_large_content(self):
        data = os.urandom(1 << 20) * 60
        src = os.path.join(self.tmp, "content")
        os.mkdir(src)
        with open(os.path.join(src, "f"), "wb") as f:
            f.write(data)
        dest = os.path.join(self.tmp, "copied")
        args = {"src": "f", "dest": dest, "_content": [
            {"path": "", "type": "file", "sha256": hashlib.sha256(data).hexdigest(),
             "size": len(data), "mode": 0o644}]}
        self.works()
        before = self.keeper.memory_kib()
        r = self.run_it(["--content", src], ("copy", json.dumps(args)))
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        with open(dest, "rb") as f:
            self.assertEqual(f.read(), data)
        self.bounded(before)

    def test_large_content_the_other_way(self):
        """Fetched by a run that does not read for a while."""
        path = os.path.join(self.tmp, "big")
        with open(path, "wb") as f:
            f.write(os.urandom(1 << 20) * 64)
        self.works()
        before = self.keeper.memory_kib()
        s = self.keeper.run()
        self.addCleanup(s.close)
        os.set_inheritable(s.fileno(), True)
        p = subprocess.Popen(self.command("-W", str(s.fileno()), ("fetch", json.dumps({"src": path, "dest": "x"}))),
                             stdout=subprocess.PIPE, close_fds=False)
        for _ in range(20):
            time.sleep(0.01)
            os.kill(p.pid, signal.SIGSTOP)
            time.sleep(0.04)
            if p.poll() is not None:
                break
            os.kill(p.pid, signal.SIGCONT)
        p.communicate(timeout=60)
        self.assertEqual(p.returncode, 0)
        self.bounded(before)

    def test_closed_at_random_moments(self):
        for seed in range(1, 5):
            with self.keeper.run() as s:
                os.set_inheritable(s.fileno(), True)
                r = subprocess.run([test_ssh.CHURN, str(self.sshd.port), self.key, self.sshd.public(), "24", str(seed),
                                    "--keeper", str(s.fileno())], capture_output=True, text=True, timeout=90,
                                   close_fds=False)
            self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        self.works()


class Nonsense(Case):
    """A run that does not speak as it should is dropped; the others do not notice."""

    def drops(self, data, fds=()):
        with self.keeper.run() as s:
            s.settimeout(10)
            s.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
            while True:
                try:
                    if s.recv(1 << 16) == b"":
                        break
                except ConnectionResetError:
                    break

    def answer(self, request, fds):
        with self.keeper.run() as s:
            s.settimeout(10)
            s.sendmsg([encode(request)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
            return s.recv(1 << 16)

    def test_it(self):
        login = {"host": "127.0.0.1", "port": self.sshd.port, "user": "root", "keys": []}
        pins = {"127.0.0.1:%d" % self.sshd.port: [self.sshd.public()]}
        good = {"do": "open", "id": 1, "login": login, "jumps": [], "pins": pins, "command": "true"}
        self.drops(b"\xff" * 100)
        self.drops(encode([]))
        self.drops(encode({"do": "dance", **{k: v for k, v in good.items() if k != "do"}}))
        for fds in ([], [0]):			# without descriptors: there was no room for them
            self.assertIn(b"refused", self.answer(good, fds))
        for wrong in ({"host": "-oProxyCommand=x"}, {"host": "a b"}, {"user": "-x"}, {"port": 0}, {"port": 65536},
                      {"keys": [["relative", "1"]]}, {"keys": "x"}, {"jump": 1}, {"agent": []}):
            self.drops(encode({**good, "login": {**login, **wrong}}), [0, 1])
        for wrong in ({"pins": []}, {"pins": {"x": []}}, {"jumps": [1] * 9}, {"jumps": [login]}, {"id": 0},
                      {"command": "x" * 20000}, {"timeout_ms": -1}):
            self.drops(encode({**good, **wrong}), [0, 1])
        self.works()
        # Jump hosts that the login goes through must have been told of.
        with self.keeper.run() as s, open(os.devnull, "w") as null:
            s.settimeout(10)
            s.sendmsg([encode({**good, "login": {**login, "jump": "elsewhere"}})],
                      [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [null.fileno(), null.fileno()]))])
            self.assertIn(b"taken", s.recv(1 << 16))
            self.assertIn(b"'elsewhere' was not told of", s.recv(1 << 16))


if __name__ == "__main__":
    test_ssh.CONNRUN = sys.argv.pop(1)
    test_ssh.CHURN = sys.argv.pop(1)
    AGENTD = sys.argv.pop(1)
    if test_ssh.SSHD is None:
        print("no sshd here (apt-get install openssh-server): skipped")
        sys.exit(77)
    unittest.main(verbosity=1)

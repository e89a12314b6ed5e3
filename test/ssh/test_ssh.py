#!/usr/bin/env python3
"""Connections through connrun: to a real sshd on loopback, started here with
keys and a configuration of its own, and to servers that misbehave.

usage: test_ssh.py CONNRUN CHURN SLOWPOLL [unittest arguments]

SLOWPOLL is a library to preload, or "-": the tests that need it are left out.

Runs as any user; what needs root (another user's login, sudo) is left out
without it, and said so.
"""
import getpass
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

CONNRUN = CHURN = SLOWPOLL = None
ROOT = os.geteuid() == 0
SSHD = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
USER = "provctl-test"
PASSWORD = "correct horse"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def read(path):
    with open(path) as f:
        return f.read()


def keygen(path, kind="ed25519", passphrase=""):
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", path],
                   check=True)
    return path


def children_of(pid):
    out = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and int(read("/proc/%s/stat" % name).rsplit(")", 1)[1].split()[1]) == pid:
                out.append(int(name))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return out


STRICT, LENIENT = b"kex-strict-s-v00@openssh.com", b"kex-no-such-v00@example.test"
assert len(STRICT) == len(LENIENT)


def old_sshd(folder):
    """This machine's sshd without strict key exchange: the name that it offers is another one. And what its
    configuration must say: since OpenSSH 9.8 and 10 parts of it are programs of their own."""
    options, programs = [], [(SSHD, None), ("/usr/lib/openssh/sshd-session", "SshdSessionPath"),
                             ("/usr/lib/openssh/sshd-auth", "SshdAuthPath")]
    changed = 0
    for path, option in programs:
        if not os.path.exists(path):
            continue
        with open(path, "rb") as f:
            data = f.read()
        changed += data.count(STRICT)
        copy = os.path.join(folder, os.path.basename(path))
        with open(copy, "wb") as f:
            f.write(data.replace(STRICT, LENIENT))
        os.chmod(copy, 0o755)
        if option:
            options.append("%s %s" % (option, copy))
    if not changed:
        raise RuntimeError("this sshd does not know strict key exchange")
    return os.path.join(folder, os.path.basename(SSHD)), tuple(options)


def relay_to(port, *edits):
    """Somebody on the way, who exchanges these pairs of bytes (of equal length) in the server's KEXINIT."""
    def down(server, c):
        try:
            f = server.makefile("rb")
            c.sendall(f.readline())
            head = f.read(4)
            packet = f.read(int.from_bytes(head, "big"))
            for old, new in edits:
                assert len(old) == len(new) and old in packet
                packet = packet.replace(old, new)
            c.sendall(head + packet)
            while data := f.read1(65536):
                c.sendall(data)
            c.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def serve(c):
        with socket.create_connection(("127.0.0.1", port)) as server:
            threading.Thread(target=down, args=(server, c), daemon=True).start()
            while data := c.recv(65536):
                server.sendall(data)
    return Stub(serve)


class Sshd:
    """An sshd of our own; options are lines of its configuration."""

    def __init__(self, folder, *options, user_key=None, port=None, old=False):
        self.folder = tempfile.mkdtemp(dir=folder, prefix="sshd-")
        os.chmod(self.folder, 0o755)
        program = SSHD
        if old:
            program, more = old_sshd(self.folder)
            options += more
        self.port = port or free_port()
        self.host_key = os.path.join(self.folder, "host")
        keygen(self.host_key)
        keys = os.path.join(self.folder, "authorized_keys")
        with open(keys, "w") as f:
            if user_key:
                f.write(read(user_key + ".pub"))
        os.chmod(keys, 0o644)
        self.config = os.path.join(self.folder, "config")
        with open(self.config, "w") as f:
            f.write("\n".join([
                *options,
                "Port %d" % self.port, "ListenAddress 127.0.0.1",
                "HostKey " + self.host_key, "AuthorizedKeysFile " + keys,
                "PidFile none", "StrictModes no", "UsePAM no",
                "PermitRootLogin yes", "PasswordAuthentication no",
                "KbdInteractiveAuthentication no", "MaxAuthTries 4",
                "LoginGraceTime 20", ""]))
        self.log = open(os.path.join(self.folder, "log"), "w")
        if ROOT:
            os.makedirs("/run/sshd", exist_ok=True)
        self.proc = subprocess.Popen([program, "-D", "-e", "-f", self.config],
                                     stderr=self.log, stdin=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            except OSError:
                if time.monotonic() > end or self.proc.poll() is not None:
                    raise RuntimeError(read(self.log.name))
                time.sleep(0.02)

    def public(self):
        return " ".join(read(self.host_key + ".pub").split()[:2])

    def children(self):
        return children_of(self.proc.pid)

    def family(self):
        """All processes below: since OpenSSH 9.8 a session has more than one."""
        found, below = [], self.children()
        while below:
            found += below
            below = [c for parent in below for c in children_of(parent)]
        return found

    def stop(self):
        for pid in self.family():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.proc.terminate()
        self.proc.wait(10)
        self.log.close()


class Stub:
    """A server that answers each connection with a function of ours."""

    def __init__(self, serve):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(16)
        self.port = self.listener.getsockname()[1]
        self.open = []
        self.count = 0
        self.serve = serve
        threading.Thread(target=self.loop, daemon=True).start()

    def loop(self):
        while True:
            try:
                c, _ = self.listener.accept()
            except OSError:
                return
            self.count += 1
            self.open.append(c)
            threading.Thread(target=self.one, args=(c,), daemon=True).start()

    def one(self, c):
        try:
            self.serve(c)
        except OSError:
            pass

    def stop(self):
        self.listener.close()
        for c in self.open:
            c.close()


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="provctl-ssh-")
        os.chmod(cls.dir, 0o755)
        cls.key = keygen(os.path.join(cls.dir, "user"))
        cls.sshd = Sshd(cls.dir, user_key=cls.key)

    @classmethod
    def tearDownClass(cls):
        cls.sshd.stop()
        shutil.rmtree(cls.dir)

    def setUp(self):
        self.tmp = tempfile.mkdtemp(dir=self.dir)
        self.known = os.path.join(self.tmp, "known")
        self.pin(self.sshd)

    def pin(self, sshd, key=None, host="127.0.0.1"):
        with open(self.known, "a") as f:
            f.write("%s:%d %s\n" % (host, sshd.port, key or sshd.public()))

    def command(self, *args, port=None, key=None, host="127.0.0.1"):
        return [CONNRUN, "-A", "-k", self.known, "-p", str(port or self.sshd.port),
                "-i", key or self.key, *args[:-1], host, *args[-1]]

    def run_it(self, options=(), requests=("shell", '{"cmd": "echo hello"}'), env=None,
               timeout=60, close_fds=True, **more):
        r = subprocess.run(self.command(*options, list(requests), **more),
                           capture_output=True, text=True, timeout=timeout,
                           stdin=subprocess.DEVNULL, env=env, close_fds=close_fds)
        r.results = [json.loads(line) for line in r.stdout.splitlines()]
        return r

    def works(self, *args, **more):
        r = self.run_it(*args, **more)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertEqual(r.results[-1]["stdout"], "hello")
        return r

    def fails(self, *texts, options=(), status=4, within=30, **more):
        start = time.monotonic()
        r = self.run_it(options, **more)
        self.assertEqual(r.returncode, status, r.stdout + r.stderr)
        for text in texts:
            self.assertIn(text, r.stderr)
        self.assertLess(time.monotonic() - start, within)
        return r


class Keys(Case):
    def test_works(self):
        self.works()

    def test_answers_that_come_together(self):
        """On a busy machine the channel is opened and the command running before libssh looks."""
        if SLOWPOLL == "-":
            self.skipTest("nothing can be preloaded under the sanitizers")
        for _ in range(5):
            self.works(env=dict(os.environ, LD_PRELOAD=SLOWPOLL))

    def test_end_that_comes_with_the_answers(self):
        """The command has said why it ends, and the channel is closed, before libssh looks."""
        if SLOWPOLL == "-":
            self.skipTest("nothing can be preloaded under the sanitizers")
        sshd = Sshd(self.tmp, "ForceCommand echo not available", user_key=self.key)
        self.addCleanup(sshd.stop)
        self.pin(sshd)
        self.fails("did not start", "not available", port=sshd.port, env=dict(os.environ, LD_PRELOAD=SLOWPOLL))

    def test_answer_read_while_writing(self):
        """The answer to a heartbeat is there before its writing is over; the host is not given up."""
        if SLOWPOLL == "-":
            self.skipTest("nothing can be preloaded under the sanitizers")
        self.works(["-I", "900"], requests=("shell", '{"cmd": "sleep 3; echo hello"}'), env=dict(os.environ, LD_PRELOAD=SLOWPOLL))

    def test_many_requests(self):
        n = 50
        r = self.run_it(requests=[x for i in range(n) for x in
                                  ("shell", json.dumps({"cmd": "echo %d" % i}))])
        self.assertEqual([x["stdout"] for x in r.results], [str(i) for i in range(n)])

    def test_unknown_host_key_is_refused(self):
        os.unlink(self.known)
        self.fails("is not known", "SHA256:", "--accept-new-host-keys")
        self.assertFalse(os.path.exists(self.known))

    def test_new_host_key_is_pinned(self):
        os.unlink(self.known)
        self.works(["-a"])
        self.assertIn(self.sshd.public(), read(self.known))
        self.works()

    def test_changed_host_key_is_refused_always(self):
        other = keygen(os.path.join(self.tmp, "other"))
        os.unlink(self.known)
        self.pin(self.sshd, " ".join(read(other + ".pub").split()[:2]))
        self.fails("has changed", "not the one pinned")
        self.fails("has changed", options=["-a"])

    def test_pinned_key_of_another_type(self):
        """A host whose pinned key is of a type it no longer shows has changed, too."""
        other = keygen(os.path.join(self.tmp, "other"), "rsa")
        os.unlink(self.known)
        self.pin(self.sshd, " ".join(read(other + ".pub").split()[:2]))
        self.fails("has changed", options=["-a"])

    def test_wrong_key(self):
        other = keygen(os.path.join(self.tmp, "other"))
        self.fails("lets nobody in", other, "refused", "authorized_keys", key=other)

    def test_second_key_fits(self):
        other = keygen(os.path.join(self.tmp, "other"))
        self.works(["-i", self.key], key=other)

    def test_rsa_and_ecdsa_keys(self):
        for kind in ("rsa", "ecdsa"):
            key = keygen(os.path.join(self.tmp, kind), kind)
            sshd = Sshd(self.tmp, user_key=key)
            try:
                self.pin(sshd)
                self.works(port=sshd.port, key=key)
            finally:
                sshd.stop()

    def test_missing_key(self):
        self.fails("lets nobody in", "no such file", key=os.path.join(self.tmp, "none"))

    def test_encrypted_key(self):
        key = keygen(os.path.join(self.tmp, "enc"), passphrase="secret")
        self.fails("encrypted", "ssh-add", key=key)

    def test_too_many_keys(self):
        keys = [keygen(os.path.join(self.tmp, "k%d" % i)) for i in range(6)]
        self.fails("lets nobody in", "too many attempts", key=keys[0],
                   options=[x for k in keys[1:] for x in ("-i", k)])

    def test_agent(self):
        sock = os.path.join(self.tmp, "agent")
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", sock], stdout=subprocess.DEVNULL)
        try:
            env = dict(os.environ, SSH_AUTH_SOCK=sock, HOME=self.tmp)
            while not os.path.exists(sock):
                time.sleep(0.02)
            enc = keygen(os.path.join(self.tmp, "enc"), passphrase="secret")
            command = [c for c in self.command(list(("shell", '{"cmd": "echo hello"}')),
                                               key=enc) if c != "-A"]
            r = subprocess.run(command, capture_output=True, text=True, env=env, timeout=30)
            self.assertEqual(r.returncode, 4)
            self.assertIn("agent (", r.stderr)
            subprocess.run(["ssh-add", "-q", self.key], env=env, check=True)
            r = subprocess.run(command, capture_output=True, text=True, env=env, timeout=30)
            self.assertEqual(r.returncode, 0, r.stderr)
            self.assertIn("hello", r.stdout)
        finally:
            agent.terminate()
            agent.wait(10)

    def test_silent_agent(self):
        """An agent that takes the question and never answers ends by the deadline."""
        sock = os.path.join(self.tmp, "agent")
        s = socket.socket(socket.AF_UNIX)
        s.bind(sock)
        s.listen(4)
        try:
            env = dict(os.environ, SSH_AUTH_SOCK=sock, HOME=self.tmp)
            other = keygen(os.path.join(self.tmp, "other"))
            command = [c for c in self.command("-T", "1000", ["debug", "{}"], key=other)
                       if c != "-A"]
            start = time.monotonic()
            r = subprocess.run(command, capture_output=True, text=True, env=env, timeout=30)
            self.assertEqual(r.returncode, 4)
            self.assertIn("agent did not sign", r.stderr)
            self.assertLess(time.monotonic() - start, 10)
        finally:
            s.close()


class Failures(Case):
    def test_refused(self):
        self.fails("Connection refused", "no sshd listens", port=free_port(), within=5)

    def test_name_not_resolved(self):
        self.fails("cannot resolve", "no-such-host.invalid", host="no-such-host.invalid")

    def test_name_like_an_option(self):
        self.fails("cannot be the name of a host", options=["--"], host="-oProxyCommand=x")

    def test_silent_server(self):
        stub = Stub(lambda c: c.recv(1 << 16) and time.sleep(60))
        self.fails("no key exchange", "within 1 s", options=["-T", "1000"], port=stub.port,
                   within=10)
        stub.stop()

    def test_dripping_banner(self):
        def drip(c):
            for b in b"SSH-2.0-drip" * 100:
                c.send(bytes([b]))
                time.sleep(0.05)
        stub = Stub(drip)
        self.fails("no key exchange", options=["-T", "1000"], port=stub.port, within=10)
        stub.stop()

    def test_web_server(self):
        stub = Stub(lambda c: (c.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), time.sleep(60)))
        self.fails("no key exchange", "is it an SSH server", options=["-T", "1000"],
                   port=stub.port, within=10)
        stub.stop()

    def test_junk(self):
        stub = Stub(lambda c: (c.sendall(os.urandom(100000)), time.sleep(60)))
        self.fails("", options=["-T", "2000"], port=stub.port, within=10)
        stub.stop()

    def test_server_that_hangs_up_is_tried_again(self):
        stub = Stub(lambda c: c.close())
        self.fails("ended during the key exchange", "tried 4 times", port=stub.port, within=20)
        self.assertEqual(stub.count, 4)
        stub.stop()

    def test_swamped_server_is_tried_again(self):
        """The first two connections are dropped as by MaxStartups, the third goes through."""
        def relay(c):
            if stub.count <= 2:
                c.close()
                return
            other = socket.create_connection(("127.0.0.1", self.sshd.port))

            def pump(a, b):
                try:
                    while data := a.recv(65536):
                        b.sendall(data)
                    b.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
            threading.Thread(target=pump, args=(other, c), daemon=True).start()
            pump(c, other)
        stub = Stub(relay)
        with open(self.known, "a") as f:
            f.write("127.0.0.1:%d %s\n" % (stub.port, self.sshd.public()))
        self.works(port=stub.port)
        stub.stop()

    def task_running(self, *options):
        pid_file = os.path.join(self.tmp, "pid")
        p = subprocess.Popen(self.command(*options, [
            "shell", json.dumps({"cmd": "echo $$ > %s; sleep 100" % pid_file})]),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + 20
        while not (os.path.exists(pid_file) and os.path.getsize(pid_file)):
            self.assertLess(time.monotonic(), end)
            self.assertIsNone(p.poll())
            time.sleep(0.02)
        return p, int(read(pid_file))

    def assertGone(self, pid):
        end = time.monotonic() + 15
        while os.path.exists("/proc/%d" % pid):
            if read("/proc/%d/stat" % pid).rsplit(")")[1].split()[0] == "Z":
                return
            self.assertLess(time.monotonic(), end, "still running: %d" % pid)
            time.sleep(0.05)

    def test_killed_sshd(self):
        p, pid = self.task_running()
        # A session is two processes, one below the other; the lower one holds the connection.
        sessions = []
        below = self.sshd.children()
        while below:
            sessions += below
            below = [c for parent in below for c in children_of(parent)
                     if read("/proc/%d/comm" % c).startswith("sshd")]
        for session in sessions:
            os.kill(session, signal.SIGKILL)
        out, err = p.communicate(timeout=15)
        self.assertEqual(p.returncode, 4)
        self.assertIn("was lost", err)
        self.assertGone(pid)

    def test_killed_executor(self):
        p, pid = self.task_running()
        worker = int(read("/proc/%d/stat" % pid).rsplit(")")[1].split()[1])
        server = int(read("/proc/%d/stat" % worker).rsplit(")")[1].split()[1])
        os.kill(server, signal.SIGKILL)
        out, err = p.communicate(timeout=15)
        self.assertEqual(p.returncode, 4)
        self.assertIn("ended by signal KILL", err)
        self.assertGone(pid)

    def test_stopped_server(self):
        """A host that hangs is noticed by the heartbeat."""
        p, pid = self.task_running("-I", "1500")
        worker = int(read("/proc/%d/stat" % pid).rsplit(")")[1].split()[1])
        server = int(read("/proc/%d/stat" % worker).rsplit(")")[1].split()[1])
        os.kill(server, signal.SIGSTOP)
        try:
            out, err = p.communicate(timeout=20)
            self.assertEqual(p.returncode, 4)
            self.assertIn("has not been heard of", err)
        finally:
            os.kill(server, signal.SIGCONT)
        self.assertGone(pid)

    def test_long_task_is_no_hang(self):
        self.works(["-I", "900"], requests=("shell", '{"cmd": "sleep 3; echo hello"}'))

    def test_login_shell_that_does_not_run_commands(self):
        sshd = Sshd(self.tmp, "ForceCommand echo This account is currently not available.",
                    user_key=self.key)
        self.pin(sshd)
        try:
            self.fails("did not start", "not available", port=sshd.port)
        finally:
            sshd.stop()

    def test_command_that_hangs(self):
        sshd = Sshd(self.tmp, "ForceCommand sleep 15", user_key=self.key)
        self.pin(sshd)
        try:
            self.fails("did not start on 127.0.0.1 within 3 s", options=["-T", "1000"],
                       port=sshd.port, within=15)
        finally:
            sshd.stop()

    def test_endless_noise(self):
        sshd = Sshd(self.tmp, "ForceCommand yes noise", user_key=self.key)
        self.pin(sshd)
        try:
            self.fails("prints without end", port=sshd.port)
        finally:
            sshd.stop()

    def test_noise_before_and_on_stderr(self):
        script = os.path.join(self.tmp, "shell")
        with open(script, "w") as f:
            f.write("#!/bin/sh\necho 'Welcome to this host'\nprintf 'no newline'\n"
                    "echo grumble >&2\neval \"$SSH_ORIGINAL_COMMAND\"\n")
        os.chmod(script, 0o755)
        sshd = Sshd(self.tmp, "ForceCommand " + script, user_key=self.key)
        self.pin(sshd)
        try:
            self.works(port=sshd.port)
        finally:
            sshd.stop()


class Strict(Case):
    """Strict key exchange is required (CVE-2023-48795)."""

    def old(self):
        sshd = Sshd(self.tmp, user_key=self.key, old=True)
        self.addCleanup(sshd.stop)
        self.pin(sshd)
        return sshd

    def relay(self, *edits):
        stub = relay_to(self.sshd.port, *edits)
        self.addCleanup(stub.stop)
        with open(self.known, "a") as f:
            f.write("127.0.0.1:%d %s\n" % (stub.port, self.sshd.public()))
        return stub

    def test_server_without_it(self):
        port = self.old().port
        self.fails("does not offer strict key exchange", "it is SSH-2.0-OpenSSH_", "CVE-2023-48795",
                   "provctl_ssh_strict_kex: false", port=port)
        self.works(["-x"], port=port)

    def test_offer_taken_away(self):
        stub = self.relay((STRICT, LENIENT))
        self.fails("has taken the offer away", port=stub.port, within=5)
        self.assertEqual(stub.count, 1)
        # Without the check it is the exchange's signature that shows it.
        self.fails("does not come from", options=["-x"], port=stub.port)

    def test_offer_that_is_not_the_servers(self):
        """Nobody on the way can make a server look as if it had it, nor change anything else."""
        old = self.old()
        stub = relay_to(old.port, (LENIENT, STRICT))
        self.addCleanup(stub.stop)
        with open(self.known, "a") as f:
            f.write("127.0.0.1:%d %s\n" % (stub.port, old.public()))
        self.fails("does not come from", port=stub.port)
        stub = self.relay((b"zlib@openssh.com", b"zlib@openssh.org"))
        self.fails("does not come from", port=stub.port)

    def test_relay_that_changes_nothing(self):
        self.works(port=self.relay().port)

    def test_name_in_another_place(self):
        """What only contains the name, or has it in another list, does not offer it."""
        def says(*lists):
            body = b"\x14" + bytes(16) + b"".join(len(x).to_bytes(4, "big") + x for x in lists) + bytes(5)
            packet = (len(body) + 5).to_bytes(4, "big") + b"\x04" + body + bytes(4)
            stub = Stub(lambda c: (c.sendall(b"SSH-2.0-x\r\n"), c.recv(100), c.sendall(packet), time.sleep(60)))
            self.addCleanup(stub.stop)
            return stub
        for lists in ((b"curve25519-sha256,x" + STRICT + b",y", b"ssh-ed25519"), (b"curve25519-sha256", STRICT), (b"", STRICT),
                      (STRICT[:-1] + b"," + STRICT + b"x", b"")):
            self.fails("does not offer strict", "it is SSH-2.0-x)", port=says(*lists).port, within=5)

    def test_no_key_exchange(self):
        for text in (b"SSH-2.0-x\r\n" + b"\0" * 64, b"SSH-2.0-x\r\n" + b"\xff" * 64, b"x" * 20000, b"x\n" * 20000,
                     b"SSH-2.0-x\n\0\0\0\x1c\x04\x02" + bytes(64), b"SSH-2.0-x\n\0\0\0\x1c\x04\x14" + bytes(16) + b"\0\0\1\0" + bytes(64)):
            stub = Stub(lambda c: (c.sendall(text), time.sleep(60)))
            self.fails("is no SSH server", port=stub.port, within=10)
            stub.stop()

    def test_in_pieces(self):
        """The version and the KEXINIT byte by byte."""
        def serve(c):
            with socket.create_connection(("127.0.0.1", self.sshd.port)) as server:
                c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

                def down():
                    try:
                        n = 0
                        while data := server.recv(1 if n < 1500 else 65536):
                            c.sendall(data)
                            n += len(data)
                    except OSError:
                        pass
                threading.Thread(target=down, daemon=True).start()
                while data := c.recv(65536):
                    server.sendall(data)
        stub = Stub(serve)
        self.addCleanup(stub.stop)
        with open(self.known, "a") as f:
            f.write("127.0.0.1:%d %s\n" % (stub.port, self.sshd.public()))
        self.works(port=stub.port)

    def test_each_jump_host(self):
        old, target = self.old(), Sshd(self.tmp, user_key=self.key)
        self.addCleanup(target.stop)
        self.pin(target)
        through = ["-J", "127.0.0.1:%d" % old.port]
        self.fails("the jump host 127.0.0.1:", "does not offer strict", options=through, port=target.port)
        self.fails("the jump host 127.0.0.1:", "does not offer strict", options=["-x", *through], port=target.port)
        self.works(["-X", *through], port=target.port)
        self.fails("does not offer strict", options=["-X", "-J", "127.0.0.1:%d" % self.sshd.port], port=old.port)
        self.works(["-x", "-J", "127.0.0.1:%d" % self.sshd.port], port=old.port)
        self.fails("the jump host 127.0.0.1:", "does not offer strict", port=target.port,
                   options=["-J", "127.0.0.1:%d,127.0.0.1:%d" % (old.port, self.sshd.port)])


class Jump(Case):
    def setUp(self):
        super().setUp()
        self.target = Sshd(self.tmp, user_key=self.key)
        self.pin(self.target)

    def tearDown(self):
        self.target.stop()

    def test_through_one(self):
        self.works(["-J", "127.0.0.1:%d" % self.sshd.port], port=self.target.port)

    def test_through_two(self):
        second = Sshd(self.tmp, user_key=self.key)
        self.pin(second)
        try:
            self.works(["-J", "127.0.0.1:%d,%s@127.0.0.1:%d" % (
                self.sshd.port, getpass.getuser(), second.port)], port=self.target.port)
        finally:
            second.stop()

    def test_large_content_through_the_tunnel(self):
        data = os.urandom(3 * 1024 * 1024)
        src = os.path.join(self.tmp, "content")
        os.mkdir(src)
        with open(os.path.join(src, "f"), "wb") as f:
            f.write(data)
        import hashlib
        dest = os.path.join(self.tmp, "copied")
        args = {"src": "f", "dest": dest, "_content": [
            {"path": "", "type": "file", "sha256": hashlib.sha256(data).hexdigest(),
             "size": len(data), "mode": 0o644}]}
        r = self.run_it(["-J", "127.0.0.1:%d" % self.sshd.port, "--content", src],
                        ("copy", json.dumps(args)), port=self.target.port)
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        with open(dest, "rb") as f:
            self.assertEqual(f.read(), data)

    def test_jump_host_refuses(self):
        self.fails("jump host 127.0.0.1", "Connection refused",
                   options=["-J", "127.0.0.1:%d" % free_port()], port=self.target.port)

    def test_unknown_jump_host(self):
        os.unlink(self.known)
        self.pin(self.target)
        self.fails("jump host", "is not known",
                   options=["-J", "127.0.0.1:%d" % self.sshd.port], port=self.target.port)

    def test_target_behind_the_jump_host_refuses(self):
        self.fails("jump host", "cannot reach",
                   options=["-J", "127.0.0.1:%d" % self.sshd.port], port=free_port())

    def test_no_forwarding(self):
        strict = Sshd(self.tmp, "AllowTcpForwarding no", user_key=self.key)
        self.pin(strict)
        try:
            self.fails("cannot reach", "AllowTcpForwarding",
                       options=["-J", "127.0.0.1:%d" % strict.port], port=self.target.port)
        finally:
            strict.stop()

    def test_changed_key_of_the_target(self):
        other = keygen(os.path.join(self.tmp, "other"))
        os.unlink(self.known)
        self.pin(self.sshd)
        self.pin(self.target, " ".join(read(other + ".pub").split()[:2]))
        self.fails("has changed", options=["-J", "127.0.0.1:%d" % self.sshd.port],
                   port=self.target.port)

    def test_malformed(self):
        for jump in ("a:99999", "@", "-x", "a:b"):
            self.fails("is no jump host", options=["-J", jump])


class Many(Case):
    def churn(self, sshd, seed, *jump):
        r = subprocess.run([CHURN, str(sshd.port), self.key, sshd.public(), "24", str(seed), *jump],
                           capture_output=True, text=True, timeout=90)
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)

    def test_closed_at_random_moments(self):
        for seed in (1, 2):
            self.churn(self.sshd, seed)

    def test_the_same_behind_a_jump_host(self):
        # churn knows one host key: the same sshd is both.
        for seed in (3, 4):
            self.churn(self.sshd, seed, "127.0.0.1:%d" % self.sshd.port)


class User(Case):
    """Another account, made for the test: caches, login shells, sudo."""

    @classmethod
    def setUpClass(cls):
        if not ROOT:
            raise unittest.SkipTest("making a user needs root")
        super().setUpClass()
        cls.made = False
        subprocess.run(["userdel", "-rf", USER], capture_output=True)
        subprocess.run(["useradd", "-m", "-s", "/bin/bash", USER], check=True,
                       capture_output=True)
        cls.home = pwd.getpwnam(USER).pw_dir
        cls.cache = os.path.join(cls.home, ".cache/provctl/executor")
        subprocess.run(["chpasswd"], input="%s:%s\n" % (USER, PASSWORD), text=True, check=True)
        cls.sudoers = "/etc/sudoers.d/provctl-test"

    @classmethod
    def tearDownClass(cls):
        if os.path.exists(cls.sudoers):
            os.unlink(cls.sudoers)
        subprocess.run(["userdel", "-rf", USER], capture_output=True)
        for d in ("/var/tmp", "/tmp", "/dev/shm"):
            shutil.rmtree("%s/provctl-%s" % (d, USER), ignore_errors=True)
        super().tearDownClass()

    def setUp(self):
        super().setUp()
        shutil.rmtree(os.path.join(self.home, ".cache"), ignore_errors=True)
        if os.path.exists(self.sudoers):
            os.unlink(self.sudoers)
        subprocess.run(["usermod", "-s", "/bin/bash", USER], check=True, capture_output=True)
        for d in ("/var/tmp", "/tmp", "/dev/shm"):
            shutil.rmtree("%s/provctl-%s" % (d, USER), ignore_errors=True)

    def tearDown(self):
        rc = os.path.join(self.home, ".bashrc")
        if os.path.exists(rc):
            os.unlink(rc)

    def as_user(self, *options):
        return ["-u", USER, *options]

    def cached(self):
        return [os.path.join(self.cache, f) for f in os.listdir(self.cache)]

    def sudo(self, rule):
        with open(self.sudoers, "w") as f:
            f.write("Defaults:%s timestamp_timeout=0\n%s %s\n" % (USER, USER, rule))
        os.chmod(self.sudoers, 0o440)

    # -- the cache

    def test_uploaded_once(self):
        r = self.works(self.as_user("-v"))
        self.assertIn("[uploading the executor]", r.stderr)
        (path,) = self.cached()
        st = os.stat(path)
        self.assertEqual(st.st_mode & 0o777, 0o700)
        self.assertEqual(os.stat(self.cache).st_mode & 0o777, 0o700)
        r = self.works(self.as_user("-v"))
        self.assertNotIn("[uploading the executor]", r.stderr)
        self.assertEqual(os.stat(path).st_ino, st.st_ino)

    def test_corrupted_cache_is_replaced(self):
        self.works(self.as_user())
        (path,) = self.cached()
        for damage in (lambda f: f.truncate(1000), lambda f: (f.seek(5000), f.write(b"X" * 64))):
            with open(path, "r+b") as f:
                damage(f)
            r = self.works(self.as_user("-v"))
            self.assertIn("[uploading the executor]", r.stderr)

    def test_old_versions_are_removed(self):
        os.makedirs(self.cache)
        old = os.path.join(self.cache, "x86_64-" + "0" * 64)
        open(old, "w").close()
        subprocess.run(["chown", "-R", USER + ":", os.path.join(self.home, ".cache")], check=True)
        os.chmod(self.cache, 0o700)
        self.works(self.as_user())
        self.assertFalse(os.path.exists(old))

    def test_cache_of_somebody_else_is_not_used(self):
        """A directory or file that another user made is passed over."""
        os.makedirs(self.cache)     # root's
        os.chmod(self.cache, 0o777)
        self.works(self.as_user())
        self.assertEqual(os.listdir(self.cache), [])
        self.assertEqual(len(os.listdir("/var/tmp/provctl-" + USER)), 1)

    def test_link_is_not_used(self):
        os.makedirs(os.path.dirname(self.cache))
        elsewhere = os.path.join(self.home, "elsewhere")
        os.makedirs(elsewhere, exist_ok=True)
        os.symlink(elsewhere, self.cache)
        subprocess.run(["chown", "-R", USER + ":", self.home], check=True)
        self.works(self.as_user())
        self.assertEqual(os.listdir(elsewhere), [])

    def test_no_place(self):
        """Nothing can be written or nothing may be executed: the message says where."""
        for d in ("/var/tmp", "/tmp", "/dev/shm"):
            os.makedirs("%s/provctl-%s" % (d, USER))    # root's
        os.makedirs(self.cache)
        r = self.fails("can hold the executor", "/dev/shm/provctl-" + USER, "is not ours",
                       options=self.as_user())
        self.assertNotIn("noexec", r.stderr.split("hint")[0])

    def mounted(self, options):
        os.makedirs(self.cache)
        subprocess.run(["chown", "-R", USER + ":", os.path.join(self.home, ".cache")], check=True)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", options + ",mode=700,uid=%d" %
                           pwd.getpwnam(USER).pw_uid, "none", self.cache],
                          capture_output=True).returncode != 0:
            self.skipTest("no mounts here")
        for d in ("/var/tmp", "/tmp", "/dev/shm"):
            os.makedirs("%s/provctl-%s" % (d, USER))    # root's: not ours

    def test_noexec_everywhere(self):
        self.mounted("noexec")
        try:
            self.fails("mounted noexec", options=self.as_user())
            self.assertEqual(os.listdir(self.cache), [])
        finally:
            subprocess.run(["umount", self.cache])

    def test_no_space(self):
        self.mounted("size=200k")
        try:
            self.fails("no space", options=self.as_user())
            self.assertEqual(os.listdir(self.cache), [])
        finally:
            subprocess.run(["umount", self.cache])

    def test_next_place_is_taken(self):
        self.mounted("noexec")
        os.rmdir("/var/tmp/provctl-" + USER)
        try:
            self.works(self.as_user())
        finally:
            subprocess.run(["umount", self.cache])

    # -- login shells

    def test_noise_of_bashrc(self):
        with open(os.path.join(self.home, ".bashrc"), "w") as f:
            f.write("echo 'hello from .bashrc'\nprintf 'x%.0s' $(seq 5000)\n")
        self.works(self.as_user())

    def test_login_shells(self):
        tried = 0
        for name in ("dash", "zsh", "fish", "csh", "tcsh", "ksh"):
            shell = shutil.which(name)
            if shell:
                subprocess.run(["usermod", "-s", shell, USER], check=True, capture_output=True)
                self.works(self.as_user())
                tried += 1
        self.assertGreater(tried, 0)

    def test_nologin(self):
        subprocess.run(["usermod", "-s", "/usr/sbin/nologin", USER], check=True)
        self.fails("did not start", "not available", options=self.as_user())

    def test_umask_of_the_login_stays(self):
        self.works(self.as_user())
        r = self.run_it(self.as_user(), ("shell", '{"cmd": "umask"}'))
        self.assertEqual(r.results[0]["stdout"], "0022")

    # -- sudo

    def become(self, *options, requests=("shell", '{"cmd": "id -un; echo $HOME"}')):
        r = self.run_it(self.as_user("-b", *options), requests)
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        self.assertEqual(r.results[0]["stdout"].split("\n")[0], "root")
        return r

    def need_sudo(self):
        if not shutil.which("sudo"):
            self.skipTest("no sudo here")

    def test_sudo_without_password(self):
        self.need_sudo()
        self.sudo("ALL=(ALL) NOPASSWD: ALL")
        r = self.become()
        self.assertEqual(r.results[0]["stdout"].split("\n")[1], "/root")
        # Nothing that root runs is in the user's reach.
        self.assertFalse(os.path.exists(self.cache))
        self.assertEqual(os.stat("/var/lib/provctl/executor").st_uid, 0)

    def test_sudo_and_become_user(self):
        self.need_sudo()
        self.sudo("ALL=(ALL) NOPASSWD: ALL")
        r = self.run_it(self.as_user("-b", "-U", "nobody"), ("shell", '{"cmd": "id -un"}'))
        self.assertEqual(r.results[0]["stdout"], "nobody")

    def test_sudo_with_password(self):
        self.need_sudo()
        self.sudo("ALL=(ALL) ALL")
        self.become("-K", PASSWORD)

    def test_sudo_with_password_that_is_not_needed(self):
        self.need_sudo()
        self.sudo("ALL=(ALL) NOPASSWD: ALL")
        self.become("-K", PASSWORD)

    def test_sudo_needs_a_password(self):
        self.need_sudo()
        self.sudo("ALL=(ALL) ALL")
        self.fails("wants the password", "-K", options=self.as_user("-b"))

    def test_sudo_wrong_password(self):
        self.need_sudo()
        self.sudo("ALL=(ALL) ALL")
        r = self.fails("does not take the password", options=self.as_user("-b", "-K", "wrong"))
        self.assertNotIn("wrong", r.stderr)

    def test_not_in_sudoers(self):
        self.need_sudo()
        self.fails("may not become root", "sudoers", options=self.as_user("-b", "-K", PASSWORD))

    def test_sudo_requiretty(self):
        self.need_sudo()
        with open(self.sudoers, "w") as f:
            f.write("Defaults:%s requiretty\n%s ALL=(ALL) NOPASSWD: ALL\n" % (USER, USER))
        self.fails("requiretty", options=self.as_user("-b"))

    def test_root_needs_no_sudo(self):
        r = self.run_it(["-b"], ("shell", '{"cmd": "id -un"}'))
        self.assertEqual(r.results[0]["stdout"], "root")

    def test_local_through_sudo(self):
        self.need_sudo()
        self.sudo("ALL=(ALL) NOPASSWD: ALL")
        copy = os.path.join(self.dir, "connrun")
        shutil.copy(CONNRUN, copy)
        os.chmod(copy, 0o755)
        for options, want in (([], USER), (["-b"], "root")):
            r = subprocess.run([copy, "-u", USER, *options, "local", "shell",
                                '{"cmd": "id -un"}'], user=USER, group=USER, extra_groups=[],
                               capture_output=True, text=True, timeout=30, cwd="/",
                               env={"HOME": self.home, "PATH": os.environ["PATH"]})
            self.assertEqual(r.returncode, 0, r.stderr)
            self.assertEqual(json.loads(r.stdout)["stdout"], want)


class Local(unittest.TestCase):
    def test_works(self):
        r = subprocess.run([CONNRUN, "-H", "local", "shell", '{"cmd": "id -un; umask"}'],
                           capture_output=True, text=True, timeout=30)
        self.assertEqual(r.returncode, 0, r.stderr)
        hello, result = map(json.loads, r.stdout.splitlines())
        self.assertEqual(hello["uid"], os.geteuid())
        self.assertEqual(result["stdout"].split("\n"), [getpass.getuser(), "0022"])


if __name__ == "__main__":
    CONNRUN = sys.argv.pop(1)
    CHURN = sys.argv.pop(1)
    SLOWPOLL = sys.argv.pop(1)
    if SSHD is None:
        print("no sshd here (apt-get install openssh-server): skipped")
        sys.exit(77)
    unittest.main(verbosity=1)

#!/usr/bin/env python3
"""The executor as the engine sees it: a stream of frames in and out.

usage: test_exec.py EXECUTOR [unittest arguments]
"""
import hashlib
import os
import pwd
import random
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from wire import *  # noqa: E402,F403

EXECUTOR = None
ROOT = os.geteuid() == 0



def shell(text):
    return {"cmd": text, "stdin_add_newline": True, "strip_empty_ends": True}


def wait(seconds):
    """A module that only lets time pass."""
    return {"host": "127.0.0.1", "state": "started", "timeout": seconds, "delay": 0,
            "connect_timeout": 5, "sleep": 1}


def gone(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_gone(pid, seconds=10):
    end = time.monotonic() + seconds
    while not gone(pid):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def wait_file(path, seconds=10):
    end = time.monotonic() + seconds
    while not (os.path.exists(path) and os.path.getsize(path) > 0):
        if time.monotonic() > end:
            raise TimeoutError(path)
        time.sleep(0.02)
    with open(path) as f:
        return f.read()


class Case(unittest.TestCase):
    def setUp(self):
        self.ex = Executor(EXECUTOR)
        self.dir = tempfile.mkdtemp(prefix="provctl-exec-")
        os.chmod(self.dir, 0o777)

    def tearDown(self):
        self.ex.close()
        subprocess.run(["rm", "-rf", self.dir], check=True)

    def path(self, name):
        return os.path.join(self.dir, name)


class Start(unittest.TestCase):
    def run_it(self, *args):
        return subprocess.run([EXECUTOR, *args], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=10)

    def test_version(self):
        r = self.run_it("--version")
        self.assertEqual(r.returncode, 0)
        self.assertIn(b"provctl executor", r.stdout)

    def test_bad_nonce(self):
        for nonce in ("", "abc", "X" * 32, "0123456789abcdef\n", "0" * 65):
            r = self.run_it(nonce)
            self.assertEqual((r.returncode, r.stdout), (2, b""), nonce)

    def test_end_of_input_at_once(self):
        r = self.run_it(NONCE)
        self.assertEqual(r.returncode, 1)
        self.assertTrue(r.stdout.startswith(NONCE.encode() + b" READY\n"))

    def test_is_static(self):
        if EXECUTOR.endswith("-native"):
            self.skipTest("the native build")
        with open(EXECUTOR, "rb") as f:
            data = f.read()
        self.assertNotIn(b"ld-linux", data)
        self.assertLess(len(data), 2 * 1024 * 1024)


class Requests(Case):
    def test_hello(self):
        h = self.ex.hello
        self.assertEqual(h["protocol"], 1)
        self.assertEqual(h["uid"], os.geteuid())
        self.assertEqual(h["arch"], os.uname().machine)
        self.assertEqual(h["user"], pwd.getpwuid(os.geteuid()).pw_name)

    def test_unknown_module(self):
        r = self.ex.run("nonsense", {})
        self.assertTrue(r["failed"])
        self.assertIn("nonsense", r["msg"])

    def test_malformed_requests(self):
        self.ex.send(frame(REQUEST, 1, b""), frame(REQUEST, 2, b"\xff\xff"),
                     frame(REQUEST, 3, encode([1])),
                     frame(REQUEST, 4, encode({"module": "stat", "args": 3})),
                     frame(REQUEST, 5, encode({"module": "stat"})),
                     frame(REQUEST, 6, b"\x08" * 60000))
        for i in range(6):
            f = self.ex.read()
            self.assertEqual(f.kind, RESULT)
            self.assertIn("malformed", f.value["msg"])

    def test_many_in_order(self):
        ids = [self.ex.request("shell", shell("echo %d" % i)) for i in range(100)]
        for i, ident in enumerate(ids):
            self.assertEqual(self.ex.result(ident)["stdout"], str(i))

    def test_one_byte_at_a_time(self):
        data = frame(REQUEST, 1, encode({"module": "shell", "args": shell("echo hi")}))
        for i in range(len(data)):
            self.ex.send(data[i:i + 1])
        self.assertEqual(self.ex.result(1)["stdout"], "hi")

    def test_ping_while_a_module_runs(self):
        ident = self.ex.request("wait_for", wait(2))
        start = time.monotonic()
        self.ex.send(frame(PING, 4711))
        f = self.ex.read(1)
        self.assertEqual((f.kind, f.id), (PONG, 4711))
        self.assertLess(time.monotonic() - start, 1)
        self.assertNotIn("failed", self.ex.result(ident))

    def test_children_cannot_reach_the_connection(self):
        r = self.ex.run("shell", shell(
            "echo noise >&2; cat; "
            "for fd in 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do "
            "[ -e /proc/$$/fd/$fd ] && echo leaked $fd; done; true"))
        self.assertEqual(r["stdout"], "")
        self.assertEqual(r["stderr"], "noise")
        self.ex.send(frame(PING, 1))
        self.assertEqual(self.ex.read().kind, PONG)

    def test_sigpipe_is_not_ignored_by_children(self):
        r = self.ex.run("shell", shell("sh -c 'kill -PIPE $$; echo survived'; true"))
        self.assertEqual(r["stdout"], "")

    def test_check_mode_and_diff(self):
        args = {"path": self.path("d"), "state": "directory", "follow": True,
                "force": False, "recurse": False}
        r = self.ex.run("file", args, check=True, diff=True)
        self.assertTrue(r["changed"])
        self.assertFalse(os.path.exists(self.path("d")))
        self.assertTrue(self.ex.run("file", args)["changed"])
        self.assertFalse(self.ex.run("file", args)["changed"])

    def test_environment(self):
        r = self.ex.run("shell", shell("echo $FOO"), env={"FOO": "bar"})
        self.assertEqual(r["stdout"], "bar")
        self.assertEqual(self.ex.run("shell", shell("echo $FOO"))["stdout"], "")

    def test_progress(self):
        ident = self.ex.request("shell", shell("echo one; sleep 0.5; echo two; sleep 0.2"))
        seen = []
        while True:
            f = self.ex.read()
            if f.kind == RESULT:
                break
            self.assertEqual((f.kind, f.id), (PROGRESS, ident))
            seen.append(f.payload)
        self.assertIn(b"one", seen)

    def test_crash_is_a_failed_result(self):
        r = self.ex.run("shell", shell("kill -ABRT $PPID; sleep 5"))
        self.assertTrue(r["failed"])
        self.assertIn("signal 6", r["msg"])
        self.assertEqual(self.ex.run("shell", shell("echo again"))["stdout"], "again")


class Ahead(Case):
    """Requests that are sent before their turn."""

    def directory(self, name, **more):
        return self.ex.request("file", {"path": self.path(name), "state": "directory", "follow": True,
                                        "force": False, "recurse": False}, **more)

    def held(self, ident):
        f = self.ex.read()
        self.assertEqual((f.kind, f.id), (HELD, ident))

    def test_what_changes_nothing_is_answered(self):
        os.mkdir(self.path("d"), 0o755)
        early = self.ex.result(self.directory("d", ahead=True))
        self.assertEqual(early, self.ex.result(self.directory("d")))
        self.assertFalse(early["changed"])

    def test_a_failure_without_effect_is_answered(self):
        self.assertTrue(self.ex.result(self.ex.request("file", {
            "path": self.path("no"), "state": "file", "follow": True, "force": False, "recurse": False},
            ahead=True))["failed"])

    def test_a_change_waits_for_its_turn(self):
        ident = self.directory("d", ahead=True)
        self.held(ident)
        self.assertFalse(os.path.exists(self.path("d")))
        self.ex.send(frame(GO, ident))
        self.assertTrue(self.ex.result(ident)["changed"])
        self.assertTrue(os.path.isdir(self.path("d")))

    def test_a_command_waits_for_its_turn(self):
        ident = self.ex.request("shell", shell("touch " + self.path("made")), ahead=True)
        self.held(ident)
        self.assertFalse(os.path.exists(self.path("made")))
        self.ex.send(frame(GO, ident))
        self.assertNotIn("failed", self.ex.result(ident))
        self.assertTrue(os.path.exists(self.path("made")))

    def test_what_cannot_be_predicted_waits_at_once(self):
        ident = self.ex.request("wait_for", wait(0), ahead=True)
        self.held(ident)
        self.ex.send(frame(GO, ident))
        self.ex.result(ident)

    def test_the_turn_may_come_before_the_request_is_reached(self):
        first = self.ex.request("shell", shell("sleep 0.2"))
        ident = self.directory("d", ahead=True)
        self.ex.send(frame(GO, ident))
        self.ex.result(first)
        self.assertTrue(self.ex.result(ident)["changed"])

    def test_cancelled_nothing_has_happened(self):
        ident = self.directory("d", ahead=True)
        behind = self.ex.request("shell", shell("touch " + self.path("made")), ahead=True)
        last = self.ex.request("shell", shell("echo last"))
        self.held(ident)
        self.ex.send(frame(CANCEL, behind), frame(CANCEL, ident))
        self.assertTrue(self.ex.result(ident)["cancelled"])
        self.assertTrue(self.ex.result(behind)["cancelled"])
        self.assertEqual(self.ex.result(last)["stdout"], "last")
        self.assertEqual(os.listdir(self.path("")), [])

    def test_held_it_answers_ping_and_keeps_the_order(self):
        ident = self.directory("d", ahead=True)
        behind = self.ex.request("shell", shell("ls " + self.path("")))
        self.held(ident)
        self.ex.send(frame(PING, 7))
        self.assertEqual(self.ex.read().kind, PONG)
        self.ex.send(frame(GO, ident))
        self.ex.result(ident)
        self.assertEqual(self.ex.result(behind)["stdout"], "d")

    def test_its_time_counts_from_its_turn(self):
        ident = self.ex.request("shell", shell("true"), ahead=True, timeout_ms=300)
        self.held(ident)
        time.sleep(0.5)
        self.ex.send(frame(GO, ident))
        self.assertNotIn("failed", self.ex.result(ident))

    def test_the_end_while_it_waits(self):
        self.held(self.directory("d", ahead=True))
        self.assertEqual(self.ex.bye(), 0)
        self.assertFalse(os.path.exists(self.path("d")))

    def test_a_turn_of_nobody(self):
        self.ex.send(frame(GO, 99))
        self.assertEqual(self.ex.run("shell", shell("echo on"))["stdout"], "on")


class Ending(Case):
    def start_sleep(self, **more):
        """A command whose own child sleeps; returns the request and the sleeper's pid."""
        ident = self.ex.request("shell", shell(
            "sleep 300 & echo $! > %s; wait" % self.path("pid")), **more)
        return ident, int(wait_file(self.path("pid")))

    def test_bye(self):
        self.assertEqual(self.ex.bye(), 0)

    def test_cancel_running(self):
        ident, pid = self.start_sleep()
        self.ex.send(frame(CANCEL, ident))
        r = self.ex.result(ident)
        self.assertTrue(r["failed"] and r["cancelled"])
        self.assertTrue(wait_gone(pid))
        self.assertEqual(self.ex.run("shell", shell("echo on"))["stdout"], "on")

    def test_cancel_queued(self):
        a = self.ex.request("wait_for", wait(1))
        b = self.ex.request("shell", shell("touch " + self.path("never")))
        self.ex.send(frame(CANCEL, b))
        self.assertNotIn("failed", self.ex.result(a))
        self.assertTrue(self.ex.result(b)["cancelled"])
        self.assertFalse(os.path.exists(self.path("never")))

    def test_cancel_of_what_is_over(self):
        self.ex.run("shell", shell("true"))
        self.ex.send(frame(CANCEL, 1), frame(CANCEL, 999), frame(BLOB, 1, b"x"))
        self.assertEqual(self.ex.run("shell", shell("echo on"))["stdout"], "on")

    def test_deadline(self):
        start = time.monotonic()
        ident, pid = self.start_sleep(timeout_ms=700)
        r = self.ex.result(ident)
        self.assertTrue(r["failed"])
        self.assertIn("timed out", r["msg"])
        self.assertLess(time.monotonic() - start, 5)
        self.assertTrue(wait_gone(pid))

    def test_module_that_ignores_everything_is_killed(self):
        # A stopped worker cannot notice anything.
        ident = self.ex.request("shell", shell("echo $PPID > %s; sleep 300"
                                                 % self.path("worker")), timeout_ms=500)
        os.kill(int(wait_file(self.path("worker"))), signal.SIGSTOP)
        r = self.ex.result(ident, 20)
        self.assertTrue(r["failed"] and r["timed_out"])
        self.assertEqual(self.ex.run("shell", shell("echo on"))["stdout"], "on")

    def test_lost_connection_ends_the_task(self):
        _, pid = self.start_sleep()
        self.ex.proc.stdin.close()
        self.assertEqual(self.ex.proc.wait(15), 1)
        self.assertTrue(wait_gone(pid))

    def test_nobody_reads_any_more(self):
        _, pid = self.start_sleep()
        self.ex.proc.stdout.close()
        self.ex.send(frame(PING, 1), frame(PING, 2))
        self.assertEqual(self.ex.proc.wait(15), 1)
        self.assertTrue(wait_gone(pid))

    def test_bye_while_running(self):
        _, pid = self.start_sleep()
        self.assertEqual(self.ex.bye(), 0)
        self.assertTrue(wait_gone(pid))


class Content(Case):
    BYTES = bytes(range(256)) * 1000

    def copy(self, sha, **more):
        return self.ex.request("copy", {
            "src": "f", "dest": self.path("f"), "backup": False, "force": True,
            "follow": False, "remote_src": False,
            "_content": [{"path": "", "type": "file", "sha256": sha,
                          "size": len(self.BYTES), "mode": 0o644}]}, **more)

    def test_content_arrives(self):
        sha = hashlib.sha256(self.BYTES).hexdigest()
        ident = self.copy(sha)
        need = self.ex.read()
        self.assertEqual((need.kind, need.id, need.payload.hex()), (NEED, ident, sha))
        for at in range(0, len(self.BYTES), 65536):
            self.ex.send(frame(BLOB, ident, self.BYTES[at:at + 65536]))
        self.ex.send(frame(BLOB, ident))
        self.assertTrue(self.ex.result(ident)["changed"])
        with open(self.path("f"), "rb") as f:
            self.assertEqual(f.read(), self.BYTES)
        # The same again is not asked for.
        self.assertFalse(self.ex.result(self.copy(sha))["changed"])

    def test_ahead_of_its_turn_content_is_not_asked_for(self):
        ident = self.copy(hashlib.sha256(self.BYTES).hexdigest(), ahead=True)
        self.assertEqual(self.ex.read().kind, HELD)
        self.ex.send(frame(GO, ident))
        self.assertEqual(self.ex.read().kind, NEED)
        self.ex.send(frame(CANCEL, ident))
        self.assertTrue(self.ex.result(ident)["cancelled"])

    def test_wrong_content_is_not_taken(self):
        ident = self.copy(hashlib.sha256(self.BYTES).hexdigest())
        self.assertEqual(self.ex.read().kind, NEED)
        self.ex.send(frame(BLOB, ident, b"something else"), frame(BLOB, ident))
        r = self.ex.result(ident)
        self.assertTrue(r["failed"])
        self.assertIn("SHA-256", r["msg"])
        self.assertEqual(os.listdir(self.dir), [])

    def test_content_that_cannot_be_had(self):
        ident = self.copy(hashlib.sha256(self.BYTES).hexdigest())
        self.assertEqual(self.ex.read().kind, NEED)
        self.ex.send(frame(BLOB, ident, b"it is gone", FAILED))
        r = self.ex.result(ident)
        self.assertIn("it is gone", r["msg"])
        self.assertEqual(os.listdir(self.dir), [])

    def test_cancel_while_waiting(self):
        ident = self.copy(hashlib.sha256(self.BYTES).hexdigest())
        self.assertEqual(self.ex.read().kind, NEED)
        self.ex.send(frame(PING, 5), frame(CANCEL, ident))
        self.assertEqual(self.ex.read().kind, PONG)
        self.assertTrue(self.ex.result(ident)["cancelled"])

    def test_data_to_the_controller(self):
        with open(self.path("big"), "wb") as f:
            f.write(self.BYTES)
        ident = self.ex.request("fetch", {
            "src": self.path("big"), "dest": "/tmp", "flat": False,
            "fail_on_missing": True, "validate_checksum": True})
        got = b""
        while True:
            f = self.ex.read()
            if f.kind == RESULT:
                break
            self.assertEqual((f.kind, f.id), (DATA, ident))
            got += f.payload
        self.assertEqual(got, self.BYTES)


class Hostile(Case):
    def ends(self, status, *data):
        for d in data:
            try:
                self.ex.send(d)
            except BrokenPipeError:
                break
        self.assertEqual(self.ex.proc.wait(15), status)

    def test_unknown_type(self):
        self.ends(2, frame(99, 1))

    def test_our_own_type(self):
        self.ends(2, frame(RESULT, 1, encode({})))

    def test_too_long(self):
        self.ends(2, struct.pack("<IBBHI", 33 * 1024 * 1024, REQUEST, 0, 0, 1))

    def test_reserved_bits(self):
        self.ends(2, struct.pack("<IBBHI", 0, PING, 0, 1, 1))

    def test_flags_of_a_request(self):
        self.ends(2, frame(REQUEST, 1, encode({}), FAILED))

    def test_id_zero(self):
        self.ends(2, frame(REQUEST, 0, encode({})))

    def test_id_twice(self):
        req = frame(REQUEST, 1, encode({"module": "wait_for", "args": wait(30)}))
        self.ends(2, req + req)

    def test_truncated(self):
        self.ex.send(frame(REQUEST, 1, b"x" * 100)[:50])
        self.ex.proc.stdin.close()
        self.assertEqual(self.ex.proc.wait(15), 1)

    def test_deep_value(self):
        self.ex.send(frame(REQUEST, 1, b"\x07\x01" * 5000 + b"\x01"))
        self.assertIn("malformed", self.ex.result(1)["msg"])

    def test_noise(self):
        rng = random.Random(4711)
        for _ in range(60):
            ex = Executor(EXECUTOR)
            try:
                ex.send(rng.randbytes(rng.randrange(1, 4000)))
                ex.proc.stdin.close()
            except BrokenPipeError:
                pass
            self.assertIn(ex.proc.wait(15), (1, 2))
            ex.close()

    def test_damaged_requests(self):
        """Single bytes of good requests changed: any answer, but no end by a signal."""
        rng = random.Random(42)
        good = encode({"module": "stat", "args": {"path": "/", "follow": False,
                                                  "get_checksum": False}})
        for i in range(300):
            bad = bytearray(good)
            bad[rng.randrange(len(bad))] = rng.randrange(256)
            self.ex.send(frame(REQUEST, i + 1, bytes(bad)))
            f = self.ex.read()
            self.assertEqual((f.kind, f.id), (RESULT, i + 1))
            self.assertNotIn("signal", str(f.value.get("msg")))


@unittest.skipUnless(ROOT, "becoming other users needs root")
class Users(Case):
    def sh(self, text, **more):
        return self.ex.run("shell", shell(text), **more)

    def test_becomes_the_user(self):
        me = pwd.getpwnam("nobody")
        r = self.sh("id -un; id -gn; echo $HOME $USER $LOGNAME; umask; pwd; id -G",
                    user="nobody")
        lines = r["stdout"].split("\n")
        self.assertEqual(lines[:2], ["nobody", "nogroup"])
        self.assertEqual(lines[2], "%s nobody nobody" % me.pw_dir)
        self.assertEqual(lines[3], "0022")
        self.assertEqual(lines[5], str(me.pw_gid))
        self.assertEqual(self.sh("id -un")["stdout"], "root")

    def test_environment_is_made_new(self):
        self.ex.close()
        self.ex = Executor(EXECUTOR, env=dict(os.environ, SECRET_OF_ROOT="x"))
        self.assertEqual(self.sh("echo $SECRET_OF_ROOT")["stdout"], "x")
        self.assertEqual(self.sh("echo $SECRET_OF_ROOT", user="nobody")["stdout"], "")

    def test_worker_is_kept(self):
        a, b = (self.sh("echo $PPID", user="nobody")["stdout"] for _ in range(2))
        self.assertEqual(a, b)
        self.assertNotEqual(a, self.sh("echo $PPID")["stdout"])

    def test_no_way_back(self):
        r = self.sh("cat /etc/shadow; kill -0 $(cat %s); touch /proc/$PPID/mem"
                    % self.path("x"), user="nobody")
        self.assertEqual(r["stdout"], "")
        self.assertIn("ermission denied", r["stderr"])

    def test_unknown_user(self):
        r = self.sh("id", user="no-such-user")
        self.assertTrue(r["failed"])
        self.assertIn("there is no such user", r["msg"])

    def test_name_like_an_option(self):
        self.assertIn("no such user", self.sh("id", user="--help")["msg"])

    def test_own_name_is_no_other_user(self):
        self.assertEqual(self.sh("echo $PPID", user="root")["stdout"],
                         self.sh("echo $PPID")["stdout"])

    def test_killed_worker_is_replaced(self):
        pid = int(self.sh("echo $PPID", user="nobody")["stdout"])
        os.kill(pid, signal.SIGKILL)
        self.assertTrue(wait_gone(pid))
        self.assertEqual(self.sh("id -un", user="nobody")["stdout"], "nobody")

    def test_only_root_can(self):
        self.ex.close()
        os.chmod(self.dir, 0o777)
        binary = self.path("executor")
        subprocess.run(["cp", EXECUTOR, binary], check=True)
        os.chmod(binary, 0o755)
        self.ex = Executor(binary, user="nobody", group="nogroup", extra_groups=[])
        r = self.sh("id", user="daemon")
        self.assertTrue(r["failed"])
        self.assertIn("not run as root", r["msg"])

    def test_user_that_a_task_made(self):
        name = "provctl-t%d" % os.getpid()
        try:
            self.assertIn("no such user", self.sh("id", user=name)["msg"])
            self.sh("useradd -M -N " + name)
            self.assertEqual(self.sh("id -un", user=name)["stdout"], name)
        finally:
            subprocess.run(["userdel", name], capture_output=True)


if __name__ == "__main__":
    EXECUTOR = sys.argv.pop(1)
    unittest.main(verbosity=1)

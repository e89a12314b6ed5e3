#!/usr/bin/env python3
"""Host keys by DNS: what `provctl onboard` does with SSHFP records, asked of a real resolver library.

The test runs itself again in a network of its own (ip netns: root only).  There an sshd that lets nobody in listens on
loopback, and a DNS server that answers as each test says; /etc/netns/NAME has the resolv.conf and the hosts of that network.
"""
import base64
import hashlib
import json
import os
import pathlib
import pty
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "ssh"))
from test_ssh import SSHD, Sshd, keygen       # noqa: E402

NAME = "web.example.test"
SSHFP = 44
RSA, ED25519, SHA1, SHA256 = 1, 4, 1, 2
AD, TC, NXDOMAIN = 0x20, 0x200, 3
TRUSTED, UNTRUSTED = "nameserver 127.0.0.1\noptions trust-ad\n", "nameserver 127.0.0.1\n"


class Dns(threading.Thread):
    """Answers every question for SSHFP with self.records, and with self.flags on."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))
        self.records, self.flags, self.asked, self.spoil = [], 0, [], None

    def run(self):
        while True:
            query, who = self.socket.recvfrom(4096)
            end = query.index(b"\0", 12) + 5
            kind, = struct.unpack("!H", query[end - 4:end - 2])
            labels, at = [], 12
            while query[at]:
                labels.append(query[at + 1:at + 1 + query[at]].decode())
                at += 1 + query[at]
            self.asked.append((".".join(labels), kind))
            found = self.records if kind == SSHFP else []
            reply = query[:2] + struct.pack("!5H", 0x8180 | self.flags, 1, len(found), 0, 0) + query[12:end]
            for data in found:
                reply += struct.pack("!3HIH", 0xc00c, SSHFP, 1, 60, len(data)) + data
            if self.spoil is not None and kind == SSHFP:
                reply = self.spoil(reply)
            if reply:
                self.socket.sendto(reply, who)


def record(key, algorithm=ED25519, kind=SHA256):
    blob = base64.b64decode(key.split()[1])
    return bytes((algorithm, kind)) + (hashlib.sha256 if kind == SHA256 else hashlib.sha1)(blob).digest()


class Sshfp(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = pathlib.Path(tempfile.mkdtemp(prefix="provctl-sshfp-"))
        os.chmod(cls.dir, 0o755)
        cls.sshd = Sshd(cls.dir)
        cls.dns = Dns()
        cls.dns.start()
        cls.stranger = keygen(str(cls.dir / "stranger"))
        cls.other = pathlib.Path(keygen(str(cls.dir / "other")) + ".pub").read_text()
        cls.key = cls.sshd.public()
        blob = base64.b64decode(cls.key.split()[1])
        cls.fingerprint = "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")

    @classmethod
    def tearDownClass(cls):
        cls.sshd.stop()
        shutil.rmtree(cls.dir)

    def setUp(self):
        self.tmp = pathlib.Path(tempfile.mkdtemp(dir=self.dir))
        self.resolver(TRUSTED)
        self.says()

    def resolver(self, text):
        pathlib.Path("/etc/resolv.conf").write_text(text)       # this network's: a mount

    def says(self, *records, flags=0, spoil=None):
        self.dns.records, self.dns.flags, self.dns.spoil = records, flags, spoil
        self.dns.asked.clear()

    def argv(self, *args):
        return [PROVCTL, *map(str, args), "--state", str(self.tmp / "state.db")]

    def call(self, *args):
        r = subprocess.run(self.argv(*args), capture_output=True, text=True, timeout=60, start_new_session=True, cwd=self.tmp,
                           stdin=subprocess.DEVNULL, env={"HOME": str(self.tmp), "PATH": os.environ["PATH"]})
        self.assertNotIn("Sanitizer", r.stderr)
        return r

    def onboard(self, *args, host=NAME):
        return self.call("onboard", host, "--port", self.sshd.port, "--key", self.stranger, *args)

    def keys(self):
        return [k["fingerprint"] for k in json.loads(self.call("keys", "--json").stdout)]

    def asked(self):
        return (NAME, SSHFP) in self.dns.asked

    def pins(self, *args):
        r = self.onboard(*args)
        # Whoever it is, he does not let us in: that is after the host key.
        self.assertEqual(self.keys(), [self.fingerprint], r.stdout + r.stderr)
        self.assertIn("lets nobody in", r.stdout + r.stderr)

    def does_not_pin(self, words, *args):
        r = self.onboard(*args)
        self.assertEqual(r.returncode, 1, r.stdout + r.stderr)
        self.assertIn(words, r.stderr)
        self.assertIn(self.fingerprint, r.stderr)
        self.assertEqual(self.keys(), [])

    def wants_to_ask(self, *args):
        self.does_not_pin("--accept-new-host-key", *args)
        self.assertTrue(self.asked())

    def is_refused(self):
        for args in ((), ("--accept-new-host-key",)):
            self.does_not_pin("is not the one that DNS has", *args)

    def test_vouched_for(self):
        self.says(record(self.key), flags=AD)
        self.pins()
        self.assertTrue(self.asked())

    def test_nobody_vouches(self):
        """The DNS server's answer is not validated."""
        self.says(record(self.key))
        self.wants_to_ask()
        self.pins("--accept-new-host-key")

    def test_way_to_the_resolver_is_not_trusted(self):
        self.resolver(UNTRUSTED)
        self.says(record(self.key), flags=AD)
        self.wants_to_ask()

    def test_contradiction(self):
        """Refused whoever vouches: a wrong answer costs a question, a wrong key the host."""
        for flags in (AD, 0):
            self.says(record(self.other), flags=flags)
            self.is_refused()
        self.assertTrue(self.asked())

    def test_one_of_several(self):
        self.says(record(self.other), record(self.other, RSA), record(self.key), flags=AD)
        self.pins()

    def test_records_that_say_nothing(self):
        """SHA-1, keys of another type, no digest at all: neither a yes nor a no."""
        for data in (record(self.key, kind=SHA1), record(self.other, RSA), b"", bytes((ED25519, SHA256)),
                     record(self.key)[:-1], record(self.key) + b"\0", bytes((ED25519, 3)) + b"x" * 32):
            with self.subTest(data):
                self.says(data, flags=AD)
                self.wants_to_ask()

    def test_no_record(self):
        for flags in (AD, AD | NXDOMAIN):
            self.says(flags=flags)
            self.wants_to_ask()

    def test_malformed(self):
        for what, spoil in (("a counter too high", lambda r: r[:6] + b"\xff\xff" + r[8:]),
                            ("cut in the record", lambda r: r[:-5]),
                            ("a name that points at itself", lambda r: r.replace(b"\xc0\x0c\0\x2c", struct.pack(
                                "!2H", 0xc000 | r.index(b"\xc0\x0c\0\x2c"), SSHFP)))):
            with self.subTest(what):
                self.says(record(self.key)[:-1], record(self.other, RSA), flags=AD, spoil=spoil)
                self.wants_to_ask()

    def test_longer_than_it_can_be(self):
        """The rest would be had by TCP, where nobody listens."""
        self.says(record(self.key), flags=AD | TC)
        self.wants_to_ask()

    def test_silence(self):
        self.says(record(self.key), flags=AD, spoil=lambda r: b"")
        start = time.monotonic()
        self.wants_to_ask()
        self.assertLess(time.monotonic() - start, 20)

    def test_address_has_no_records(self):
        self.says(record(self.key), flags=AD)
        r = self.onboard(host="127.0.0.1")
        self.assertEqual(r.returncode, 1, r.stderr)
        self.assertIn("--fingerprint", r.stderr)
        self.assertEqual(self.dns.asked, [])

    def test_what_was_given_comes_first(self):
        self.says(record(self.other), flags=AD)
        self.pins("--fingerprint", self.fingerprint)

    def test_what_is_no_fingerprint(self):
        for text in ("SHA256:abc", "MD5:" + ":".join(["ab"] * 16), self.fingerprint + "x", ""):
            r = self.onboard("--fingerprint", text)
            self.assertEqual(r.returncode, 1, r.stderr)
            self.assertIn("no SHA-256 fingerprint", r.stderr)

    def test_person_is_told(self):
        """On a terminal he hears what DNS says, and decides."""
        self.says(record(self.key))
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(PROVCTL, self.argv("onboard", NAME, "--port", self.sshd.port, "--key", self.stranger),
                      {"HOME": str(self.tmp), "PATH": os.environ["PATH"], "TERM": "dumb"})
        seen = b""
        try:
            while data := os.read(fd, 1000):
                seen += data
                if seen.endswith(b"fingerprint)? "):
                    os.write(fd, b"no\r")
        except OSError:
            pass
        os.close(fd)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 1)
        self.assertIn("nobody vouches", seen.decode())
        self.assertEqual(self.keys(), [])

    def test_rekey(self):
        old = Sshd(self.tmp)
        self.addCleanup(old.stop)
        self.says(record(old.public()), flags=AD)
        self.assertEqual(self.call("host", "set", NAME, f"ansible_port={old.port}").returncode, 0)
        r = self.call("host", "rekey", NAME)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertEqual(len(self.keys()), 1)
        self.assertEqual(self.call("host", "set", NAME, f"ansible_port={self.sshd.port}").returncode, 0)
        r = self.call("host", "rekey", NAME)
        self.assertEqual(r.returncode, 1, r.stdout + r.stderr)
        self.assertIn("is not the one that DNS has", r.stderr)
        self.assertNotIn(self.fingerprint, self.keys())


def outside():
    """Runs this file again in a network of its own."""
    if os.geteuid() != 0 or SSHD is None or shutil.which("ip") is None:
        print("needs root, ip (iproute2) and sshd (openssh-server): skipped")
        return 77
    ns = f"provctl-sshfp-{os.getpid()}"
    etc = pathlib.Path("/etc/netns") / ns
    subprocess.run(["ip", "netns", "add", ns], check=True)
    try:
        etc.mkdir(parents=True)
        (etc / "resolv.conf").write_text(TRUSTED)
        (etc / "hosts").write_text(f"127.0.0.1 localhost {NAME}\n")
        subprocess.run(["ip", "-n", ns, "link", "set", "lo", "up"], check=True)
        return subprocess.run(["ip", "netns", "exec", ns, sys.executable, "-B", __file__, PROVCTL, "--inside",
                               *sys.argv[1:]]).returncode
    finally:
        shutil.rmtree(etc, ignore_errors=True)
        try:
            etc.parent.rmdir()
        except OSError:
            pass        # others have networks, too
        subprocess.run(["ip", "netns", "del", ns], check=True)


if __name__ == "__main__":
    PROVCTL = os.path.abspath(sys.argv.pop(1))
    if sys.argv[1:2] != ["--inside"]:
        sys.exit(outside())
    sys.argv.pop(1)
    unittest.main()

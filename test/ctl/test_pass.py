#!/usr/bin/env python3
"""Secrets from the real `pass` (password-store): a store and a GnuPG key of the test's own."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from support import Case, main

ENTRY = "canary é 'q\" 7$x"
SITE = """- hosts: all
  gather_facts: false
  vars: {provctl_secrets: {token: {pass: NAME}}}
  tasks:
    - copy: {content: "{{ token }}", dest: "{{ dest }}"}
    - debug: {msg: "it is {{ token }}"}
"""


class Pass(Case):
    @classmethod
    def setUpClass(cls):
        # GnuPG's sockets are in it: their names may not be long.
        cls.home = pathlib.Path(tempfile.mkdtemp(prefix="pv-pass-", dir="/tmp"))
        cls.more = {"GNUPGHOME": str(cls.home), "PASSWORD_STORE_DIR": str(cls.home / "store")}
        cls.call(["gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", "canary@example.test", "rsa2048",
                  "encrypt,sign", "never"])
        cls.call(["pass", "init", "canary@example.test"])
        cls.insert("site/token", ENTRY + "\nuser: below the first line\n")
        cls.insert("plain", "plain\nnot-a-tree\n")

    @classmethod
    def tearDownClass(cls):
        cls.call(["gpgconf", "--kill", "all"])
        shutil.rmtree(cls.home, ignore_errors=True)

    @classmethod
    def call(cls, argv, input=None):
        subprocess.run(argv, env=dict(os.environ, **cls.more), input=input, text=True, check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    @classmethod
    def insert(cls, name, text):
        cls.call(["pass", "insert", "-m", name], text)

    def site(self, name):
        self.dest = self.dir / "dest"
        self.write("hosts.ini", "h1 ansible_connection=local\nh2 ansible_connection=local\n")
        self.write("site.yml", SITE.replace("NAME", json.dumps(name)))
        return ("apply", "site.yml", "-i", "hosts.ini", "-e", json.dumps({"dest": str(self.dest)}), "-vvv", "--diff")

    def refused(self, name, *words, **more):
        text = self.fails(1, *self.site(name), env=self.env(**dict(self.more, **more)))
        for w in words:
            self.assertIn(w, text)
        self.assertFalse(self.dest.exists())
        return text

    def test_first_line_is_the_secret(self):
        out = self.run_(*self.site("site/token"), env=self.env(**self.more))
        self.assertEqual(out.returncode, 0, out.stdout + out.stderr)
        self.assertEqual(self.dest.read_text(), ENTRY)
        self.assertNotIn("canary", out.stdout + out.stderr)
        self.assertIn("********", out.stdout)

    def test_what_only_looks_like_a_folder(self):
        self.ok(*self.site("plain"), env=self.env(**self.more))
        self.assertEqual(self.dest.read_text(), "plain")

    def test_no_such_entry(self):
        self.refused("site/other", "site.yml:3:", "'pass' failed", "site/other is not in the password store")

    def test_folder(self):
        """`pass show` lists it and is content: its name is no secret."""
        for name in ("site", "site/"):
            for locale in ("C", "C.UTF-8"):
                self.refused(name, "site.yml:3:", "is a folder", LC_ALL=locale)

    def test_name_like_an_option(self):
        self.refused("--clip", "is no name of an entry")

    def test_without_the_key(self):
        empty = self.dir / "empty"
        empty.mkdir(mode=0o700)
        self.addCleanup(subprocess.run, ["gpgconf", "--homedir", str(empty), "--kill", "all"])
        self.refused("site/token", "'pass' failed", "No secret key", GNUPGHOME=str(empty))

    def test_without_pass(self):
        self.refused("site/token", "there is no program 'pass'", PATH=str(self.dir))


if __name__ == "__main__":
    if not (shutil.which("pass") and shutil.which("gpg")):
        print("no pass here (apt-get install pass): skipped")
        sys.exit(77)
    main()

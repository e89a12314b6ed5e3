#!/usr/bin/env python3
"""provctl host: the inventory in the state database, without any host; and what onboard refuses at once."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

PROVCTL = sys.argv.pop(1)


class Host(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory(prefix="provctl-host-")
        self.addCleanup(self.dir.cleanup)
        self.path = pathlib.Path(self.dir.name)

    def call(self, *args):
        return subprocess.run([PROVCTL, args[0], "--state", str(self.path / "state.db"), *args[1:]], capture_output=True, text=True,
                              cwd=self.path, timeout=60, stdin=subprocess.DEVNULL, start_new_session=True,
                              env={"HOME": str(self.path), "PATH": "/usr/bin:/bin"})

    def ok(self, *args):
        r = self.call(*args)
        self.assertEqual(r.returncode, 0, r.stderr)
        return r.stdout

    def refused(self, words, *args):
        r = self.call(*args)
        self.assertEqual(r.returncode, 1, r.stdout + r.stderr)
        self.assertIn(words, r.stderr)

    def hosts(self):
        return {h["name"]: h for h in json.loads(self.ok("host", "list", "--json"))}

    def test_set(self):
        self.ok("host", "set", "web1", "ansible_host=192.0.2.1", "ansible_port=2222", "x=a b", "on=true",
                "--groups", "web,front")
        h = self.hosts()["web1"]
        self.assertEqual(h["groups"], ["web", "front"])
        self.assertEqual((h["vars"]["ansible_port"], h["vars"]["x"], h["vars"]["on"]), (2222, "a b", True))
        self.ok("host", "set", "web1", "x=")
        h = self.hosts()["web1"]
        self.assertNotIn("x", h["vars"])
        self.assertEqual(h["groups"], ["web", "front"])     # not said: kept
        self.ok("host", "set", "web1", "--groups", "none")
        self.assertEqual(self.hosts()["web1"]["groups"], [])

    def test_refused(self):
        self.refused("no templates", "host", "set", "web1", "x={{ y }}")
        self.refused("secret", "host", "set", "web1", "ansible_password=hunter2")
        self.refused("cannot be the name of a host", "host", "set", "we b1")
        self.refused("cannot be the name of a host", "host", "set", "--", "-oProxyCommand=x")
        self.refused("cannot be the name of a group", "host", "set", "web1", "--groups", "we-b")
        self.refused("no VARIABLE=VALUE", "host", "set", "web1", "1x=2")
        self.refused("did you mean 'rename'", "host", "renam", "a", "b")
        self.refused("needs a HOST and its NEW name", "host", "rename", "a")
        self.refused("for 'host rekey'", "host", "list", "--fingerprint", "SHA256:x")

    def test_rename_and_forget(self):
        self.ok("host", "set", "web1", "--groups", "web")
        self.ok("host", "set", "web2")
        self.refused("there is a host 'web2' already", "host", "rename", "web1", "web2")
        self.refused("did you mean", "host", "rename", "web3", "web4")
        self.ok("host", "rename", "web1", "front")
        self.assertEqual(sorted(self.hosts()), ["front", "web2"])
        self.assertEqual(self.hosts()["front"]["vars"]["ansible_host"], "web1")
        self.assertEqual(self.hosts()["front"]["groups"], ["web"])
        self.ok("host", "forget", "front")
        self.assertEqual(sorted(self.hosts()), ["web2"])
        self.refused("there is no host 'front'", "host", "show", "front")
        self.refused("was forgotten", "host", "rename", "web2", "front")
        self.ok("host", "set", "front")
        self.assertEqual(sorted(self.hosts()), ["front", "web2"])

    def test_inventory(self):
        """apply without -i works on these hosts; exported as YAML they are the same inventory."""
        self.ok("host", "set", "a", "ansible_connection=local", "n=1", "--groups", "web")
        self.ok("host", "set", "b", "ansible_connection=local", 'l=[1, {"x": "y: z"}]', "--groups", "web,db")
        site = self.path / "site" / "site.yml"
        site.parent.mkdir()
        (site.parent / "group_vars").mkdir()
        (site.parent / "group_vars" / "db.yml").write_text("from_group: '{{ l[0] + 1 }}'\n")
        site.write_text("- hosts: db\n  gather_facts: false\n  tasks:\n"
                        "    - debug: {msg: '{{ from_group }} {{ groups.web | join(\"+\") }}'}\n")
        self.assertIn("2 a+b", self.ok("apply", str(site)))
        (self.path / "exported.yml").write_text(self.ok("host", "export"))
        self.assertIn("2 a+b", self.ok("apply", str(site), "-i", "exported.yml"))
        for h in "ab":
            ours = json.loads(self.ok("inventory", "--host", h, "--json"))
            del ours["provctl_kept"]
            self.assertEqual(json.loads(self.ok("inventory", "--host", h, "--json", "-i", "exported.yml")), ours)

    def test_kept(self):
        """A run with another inventory does not change what was set."""
        self.ok("host", "set", "a", "ansible_connection=local", "n=1", "--groups", "web")
        (self.path / "i.ini").write_text("[other]\na ansible_connection=local\nc ansible_connection=local\n")
        (self.path / "s.yml").write_text("- hosts: all\n  gather_facts: false\n  tasks:\n    - command: 'true'\n")
        self.ok("apply", "s.yml", "-i", "i.ini")
        self.assertEqual((self.hosts()["a"]["groups"], self.hosts()["a"]["vars"]["n"]), (["web"], 1))
        self.assertEqual(self.hosts()["c"]["groups"], ["other"])

    def test_user_data(self):
        out = self.ok("onboard", "--user-data", "--name", "web1")
        self.assertTrue(out.startswith("#cloud-config\n"))
        self.assertEqual((self.path / "id_ed25519").stat().st_mode & 0o777, 0o600)
        ours = (self.path / "id_ed25519.pub").read_text().strip()
        self.assertIn(json.dumps(ours), out)
        # The private half is a key that OpenSSH reads, and it is that of the public one.
        private = out[out.index("    -----BEGIN"):]
        key = self.path / "host_key"
        key.touch(0o600)
        key.write_text("".join(line[4:] + "\n" for line in private.splitlines()))
        public = subprocess.run(["ssh-keygen", "-y", "-f", key], capture_output=True, text=True, check=True).stdout
        self.assertIn('ed25519_public: "' + " ".join(public.split()[:2]) + '"', out)
        # It waits in the state, and the private half is nowhere.
        keys = json.loads(self.ok("keys", "--json"))
        self.assertEqual([k["host"] for k in keys], ["user-data:web1"])
        for f in self.path.iterdir():
            if f.name != "host_key":
                self.assertNotIn(private.splitlines()[1].strip().encode(), f.read_bytes())
        self.assertNotEqual(self.ok("onboard", "--user-data", "--name", "web1"), out)

    def test_our_key(self):
        """A private key alone is ours as well; one with a passphrase, whose public half is not there, is passed over."""
        (self.path / ".ssh").mkdir()
        for name, passphrase in (("id_rsa", ""), ("id_ed25519", "secret")):
            path = self.path / ".ssh" / name
            subprocess.run(["ssh-keygen", "-q", "-t", name[3:], "-N", passphrase, "-f", path], check=True)
            public = path.with_suffix(".pub").read_text().split()[1]
            path.with_suffix(".pub").unlink()
            if not passphrase:
                ours = public
        self.assertIn(ours, self.ok("onboard", "--user-data", "--name", "web1"))

    def test_onboard_refused(self):
        self.refused("needs a HOST", "onboard")
        self.refused("needs --name", "onboard", "--user-data")
        self.refused("takes no HOST", "onboard", "--user-data", "h", "--name", "h")
        self.refused("is no [USER@]HOST", "onboard", "--", "-oProxyCommand=x")
        self.refused("is no port number", "onboard", "h:99999")
        self.refused("another user than root", "onboard", "h", "--deploy-user", "root")
        self.refused("cannot read the key", "onboard", "h", "--key", "nowhere")
        self.refused("cannot read the playbook", "onboard", "h", "--playbook", "nowhere.yml")
        self.refused("127.0.0.1:1", "onboard", "127.0.0.1:1")


unittest.main()

"""provctl vault: editing, new passwords, ids, comparing; what is left behind (nothing)."""
import os
import pathlib
import signal
import subprocess
import time

import support
from support import Case, main

PLAIN = "a: hunter2\nb: [1, 2]\n"


class Vault(Case):
    def setUp(self):
        super().setUp()
        self.write("pw", "sesame\n")
        self.args = ("--vault-password-file", "pw")
        self.tmp = self.dir / "run"
        self.tmp.mkdir()
        self.path = self.write("secret.yml", PLAIN)
        self.ok("vault", "encrypt", "secret.yml", *self.args)

    def env(self, **more):
        return super().env(XDG_RUNTIME_DIR=str(self.tmp), **more)

    def view(self, path="secret.yml", args=None):
        return self.ok("vault", "view", path, *(args or self.args))

    def editor(self, text):
        path = self.write("editor", "#!/bin/sh\n" + text)
        path.chmod(0o755)
        return self.env(EDITOR=f"{path} --wait")

    def nothing_left(self):
        self.assertEqual(list(self.tmp.iterdir()), [])
        self.assertEqual([p.name for p in self.dir.iterdir() if "provctl-" in p.name], [])

    def test_edit(self):
        # the argument of EDITOR, then the file: in a folder of its own, for nobody else to see
        env = self.editor('[ "$1" = --wait ] || exit 9\nstat -c "%a %n" "$2" "$(dirname "$2")" >seen\n'
                          'cp "$2" "$2~"; echo "c: 3" >>"$2"\n')
        self.ok("vault", "edit", "secret.yml", *self.args, env=env)
        self.assertEqual(self.view(), PLAIN + "c: 3\n")
        seen = (self.dir / "seen").read_text()
        self.assertRegex(seen, rf"^600 {self.tmp}/provctl.private-\w+/secret.yml\n700 {self.tmp}/provctl.private-\w+\n$")
        self.nothing_left()

    def test_edit_without_change(self):
        before = self.path.read_bytes()
        self.ok("vault", "edit", "secret.yml", *self.args, env=self.editor("exit 0\n"))
        self.assertEqual(self.path.read_bytes(), before)
        self.nothing_left()

    def test_edit_fails(self):
        before = self.path.read_bytes()
        for text, words in (('echo x >"$2"; exit 1\n', "did not end well"), ('rm "$2"\n', "cannot read what the editor"),
                            ("kill -9 $$\n", "did not end well")):
            self.assertIn(words, self.fails(1, "vault", "edit", "secret.yml", *self.args, env=self.editor(text)))
            self.assertEqual(self.path.read_bytes(), before)
            self.nothing_left()
        err = self.fails(1, "vault", "edit", "secret.yml", *self.args, env=self.env(EDITOR="/no/such/editor"))
        self.assertIn("there is no editor '/no/such/editor'", err)
        self.write("wrong", "open")
        err = self.fails(1, "vault", "edit", "secret.yml", "--vault-password-file", "wrong", env=self.editor("exit 0\n"))
        self.assertIn("the vault password is wrong", err)
        self.nothing_left()

    def test_killed_while_editing(self):
        before = self.path.read_bytes()
        for sig in (signal.SIGTERM, signal.SIGHUP):
            started = self.dir / "started"
            started.unlink(missing_ok=True)
            env = self.editor('touch started; exec sleep 60\n')
            p = subprocess.Popen([support.PROVCTL, "vault", "edit", "secret.yml", *self.args], cwd=self.dir, env=env,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            deadline = time.monotonic() + 30
            while not started.exists():
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)
            p.send_signal(sig)
            self.assertEqual(p.wait(30), 1)
            self.assertEqual(self.path.read_bytes(), before)
            self.nothing_left()

    def test_edit_makes_a_vault(self):
        self.ok("vault", "edit", "new.yml", *self.args, env=self.editor('echo "x: 1" >"$2"\n'))
        self.assertEqual(self.view("new.yml"), "x: 1\n")
        self.assertEqual((self.dir / "new.yml").stat().st_mode & 0o777, 0o600)
        # without a password: said before the person has written anything
        err = self.fails(1, "vault", "edit", "new2.yml", env=self.editor("touch seen\n"))
        self.assertIn("there is no vault password", err)
        self.assertFalse((self.dir / "seen").exists())

    def test_links_owner_and_mode(self):
        (self.dir / "link.yml").symlink_to("secret.yml")
        self.path.chmod(0o644)
        self.ok("vault", "decrypt", "link.yml", *self.args)
        self.assertTrue((self.dir / "link.yml").is_symlink())
        self.assertEqual(self.path.read_text(), PLAIN)
        # what was readable by all as a vault is not so in plain
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        if os.geteuid() == 0:
            os.chown(self.path, 12345, 23456)
            self.ok("vault", "encrypt", "secret.yml", *self.args)
            self.assertEqual((self.path.stat().st_uid, self.path.stat().st_gid), (12345, 23456))

    def test_rekey(self):
        other = self.write("other.yml", "z: 1\n")
        self.ok("vault", "encrypt", "other.yml", *self.args)
        self.write("new", "open\n")
        before = [self.path.read_bytes(), other.read_bytes()]
        plain = self.write("plain.yml", "x")
        # one that cannot be read: none is touched
        self.assertIn("is not encrypted", self.fails(1, "vault", "rekey", "secret.yml", plain, *self.args,
                                                     "--new-vault-password-file", "new"))
        self.assertEqual([self.path.read_bytes(), other.read_bytes()], before)
        self.ok("vault", "rekey", "secret.yml", "other.yml", *self.args, "--new-vault-id", "prod@new")
        self.assertTrue(self.path.read_text().startswith("$ANSIBLE_VAULT;1.2;AES256;prod\n"))
        self.assertEqual(self.view("other.yml", ("--vault-id", "prod@new")), "z: 1\n")
        self.assertIn("--vault-id prod@FILE", self.fails(1, "vault", "view", "secret.yml", *self.args))

    def test_ids(self):
        self.write("dev", "dev-pw")
        both = ("--vault-id", "dev@dev", *self.args)
        plain = self.write("x.yml", "x: 1\n")
        self.assertIn("several vault passwords", self.fails(1, "vault", "encrypt", "x.yml", *both))
        self.ok("vault", "encrypt", "x.yml", *both, "--encrypt-vault-id", "dev")
        self.assertTrue(plain.read_text().startswith("$ANSIBLE_VAULT;1.2;AES256;dev\n"))
        self.assertEqual(self.view("x.yml", both) + self.view("secret.yml", both), "x: 1\n" + PLAIN)
        # editing keeps the id
        self.ok("vault", "edit", "x.yml", *both, env=self.editor('echo "x: 2" >"$2"\n'))
        self.assertTrue(plain.read_text().startswith("$ANSIBLE_VAULT;1.2;AES256;dev\n"))
        self.assertEqual(self.view("x.yml", ("--vault-id", "dev@dev")), "x: 2\n")
        # the only id there is, is meant
        y = self.write("y.yml", "y")
        self.ok("vault", "encrypt", "y.yml", "--vault-id", "dev@dev")
        self.assertTrue(y.read_text().startswith("$ANSIBLE_VAULT;1.2;AES256;dev\n"))

    def test_passwords_from_around(self):
        script = self.write("script", "#!/bin/sh\necho sesame\n")
        script.chmod(0o755)
        for env in (dict(ANSIBLE_VAULT_PASSWORD_FILE="pw"), dict(ANSIBLE_VAULT_PASSWORD_FILE=str(script)),
                    dict(ANSIBLE_VAULT_IDENTITY_LIST="x@script, y@pw")):
            self.assertEqual(self.ok("vault", "view", "secret.yml", env=self.env(**env)), PLAIN)
        self.write("home/.pw", "sesame")
        self.write("ansible.cfg", "[defaults]\nvault_password_file = ~/.pw\n")
        self.assertEqual(self.ok("vault", "view", "secret.yml"), PLAIN)
        self.write("ansible.cfg", "[defaults]\nvault_identity_list = a@script,b@pw\n")
        self.assertEqual(self.ok("vault", "view", "secret.yml"), PLAIN)

    def test_diff(self):
        self.write("plain.yml", PLAIN.replace("hunter2", "hunter3"))
        p = self.run_("vault", "diff", "secret.yml", "plain.yml", *self.args)
        self.assertEqual(p.returncode, 2, p.stderr)
        self.assertIn("\n-a: hunter2\n+a: hunter3\n b: [1, 2]\n", p.stdout)
        self.assertEqual(self.ok("vault", "diff", "secret.yml", "-", *self.args, input=PLAIN), "")
        self.assertIn("two FILEs", self.fails(1, "vault", "diff", "secret.yml", *self.args))

    def test_pipes(self):
        sealed = self.ok("vault", "encrypt", "-", *self.args, input=PLAIN)
        self.assertTrue(sealed.startswith("$ANSIBLE_VAULT;1.1;AES256\n"))
        self.assertEqual(self.ok("vault", "decrypt", "-", *self.args, input=sealed), PLAIN)
        self.assertEqual(self.ok("vault", "decrypt", "secret.yml", "-o", "-", *self.args), PLAIN)
        self.ok("vault", "decrypt", "secret.yml", "-o", "out.yml", *self.args)
        self.assertEqual((self.dir / "out.yml").stat().st_mode & 0o777, 0o600)

    def test_asked(self):
        """rekey asks twice, on the terminal and without echo."""
        import pty
        pid, fd = pty.fork()
        if pid == 0:
            os.chdir(self.dir)
            os.execve(support.PROVCTL, [support.PROVCTL, "vault", "rekey", "secret.yml", *self.args], self.env())
        seen = b""
        for prompt, answer in ((b"new vault password: ", b"fresh\r"), (b"again: ", b"fresh\r")):
            while not seen.endswith(prompt):
                seen += os.read(fd, 1)
            os.write(fd, answer)
        try:
            while True:
                seen += os.read(fd, 1000) or exit
        except (OSError, TypeError):
            pass
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0, seen)
        self.assertNotIn(b"fresh", seen)
        self.write("new", "fresh")
        self.assertEqual(self.view(args=("--vault-password-file", "new")), PLAIN)


if __name__ == "__main__":
    main()

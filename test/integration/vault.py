"""provctl vault and the real ansible-vault read what the other wrote, and agree on what is an error."""
import subprocess

from support import PROVCTL, Lab, check, done, same

PLAIN = "user: bob\npassword: \"it's a 'secret' ü\"\n"

with Lab("vault") as lab:
    lab.up("h1")        # the control tree works in a lab's network
    work = lab.work
    work.chmod(0o755)
    lab.env["LAB_BIND"] = str(work)

    def ours(*args, **kw):
        return subprocess.run([PROVCTL, "vault", *map(str, args)], cwd=work, capture_output=True, text=True, **kw)

    def theirs(*args, **kw):
        return lab.lab("control", "sh", "-c", 'cd "$0" && exec ansible-vault "$@"', work, *args, must=False, **kw)

    lab.write("pw", "sesame\n")
    lab.write("dev", "dev password \n")
    lab.write("prod.sh", "#!/bin/sh\necho production\n").chmod(0o755)
    lab.write("keys-client.sh", '#!/bin/sh\n[ "$1" = --vault-id ] && echo "of $2"\n').chmod(0o755)
    ways = {"a file": (("--vault-password-file", "pw"), "1.1;AES256"),
            "a script": (("--vault-id", "prod@prod.sh"), "1.2;AES256;prod"),
            "a client": (("--vault-id", "x@keys-client.sh"), "1.2;AES256;x"),
            "several": (("--vault-id", "dev@dev", "--vault-id", "prod@prod.sh", "--encrypt-vault-id", "prod"), "1.2;AES256;prod")}
    for what, (args, head) in ways.items():
        read = [a for a in args if a not in ("--encrypt-vault-id",)] if "--encrypt-vault-id" not in args else args[:-2]
        for writer, reader, name in ((ours, theirs, "ansible-vault reads ours"), (theirs, ours, "we read ansible-vault's")):
            path = lab.write("f.yml", PLAIN)
            writer("encrypt", "f.yml", *args)
            same(f"{what}: encrypted under the same header", path.read_text().split("\n")[0], "$ANSIBLE_VAULT;" + head)
            same(f"… {name}", reader("view", "f.yml", *read).stdout.rstrip("\n"), PLAIN.rstrip("\n"))
            if reader == ours:
                ours("decrypt", "f.yml", *read)
                same("… and decrypt them", path.read_text(), PLAIN)
    for writer, name in ((ours, "our"), (theirs, "ansible-vault's")):
        path = lab.write("f.yml", PLAIN)
        writer("encrypt", "f.yml", "--vault-password-file", "pw")
        writer("rekey", "f.yml", "--vault-password-file", "pw", *(
            ("--new-vault-id", "prod@prod.sh")))
        same(f"{name} rekey: the new header", path.read_text().split("\n")[0], "$ANSIBLE_VAULT;1.2;AES256;prod")
        for reader in (ours, theirs):
            same("… the new password", reader("view", "f.yml", "--vault-id", "prod@prod.sh").stdout.rstrip("\n"), PLAIN.rstrip("\n"))
            check("… not the old one", reader("view", "f.yml", "--vault-password-file", "pw").returncode != 0)
    # What both refuse.
    lab.write("f.yml", PLAIN)
    for args in (("encrypt", "f.yml"), ("encrypt", "nosuch.yml", "--vault-password-file", "pw"),
                 ("decrypt", "f.yml", "--vault-password-file", "pw"), ("encrypt", "f.yml", "--vault-id", "a@dev", "--vault-id", "b@pw"),
                 ("encrypt", "f.yml", "--vault-id", "dev@dev", "--encrypt-vault-id", "other"),
                 ("view", "f.yml", "--vault-password-file", "nosuch")):
        same(f"{' '.join(args)}: an error for both", (ours(*args, stdin=subprocess.DEVNULL).returncode != 0,
                                                      theirs(*args).returncode != 0), (True, True))
    # A string in a file of variables, written by the one, used by the other's run.
    text = ours("encrypt-string", "mine", "--vault-password-file", "pw", input="value one").stdout
    text += theirs("encrypt_string", "--vault-password-file", "pw", "-n", "theirs", "value two").stdout
    lab.write("vars.yml", text)
    lab.write("site.yml", "- hosts: localhost\n  connection: local\n  gather_facts: false\n  vars_files: [vars.yml]\n  tasks:\n"
                          "    - assert: {that: [\"mine == 'value one'\", \"theirs == 'value two'\"]}\n")
    r = lab.provctl("apply", work / "site.yml", "-i", "localhost,", "--vault-password-file", work / "pw")
    same("both strings in our run", r.code, 0)
    r = lab.lab("ansible", work / "site.yml", "--vault-password-file", work / "pw", must=False)
    check("both strings in Ansible's run", r.returncode == 0, r.stdout + r.stderr)
done()

"""The same site by provctl and by real ansible-playbook on a twin host: the same files, packages, services and rows."""
from exams import PASSWORD, SITE, apply, inventory
from support import Lab, check, done, same, same_lines

# What differs by nature: logs, caches, keys and ids made at random, times, the tools' own traces.
IGNORE = ("/var/log", "/var/cache", "/var/tmp", "/tmp", "/run", "/root/.ansible", "/root/.cache", "/var/lib/provctl",
          "/var/lib/systemd", "/var/lib/apt", "/var/lib/dpkg", "/var/lib/postgresql", "/etc/ssl/private",
          "/etc/ssl/certs", "/var/lib/private", "/usr/lib/python3", "/usr/share/python3", "/etc/machine-id",
          "/etc/hostname", "/etc/hosts", "/etc/.pwd.lock", "/root/.ssh", "/etc/ssh", "/var/backups", "__pycache__",
          "/usr/lib/python3.13", "/etc/ld.so.cache", "/var/lib/ucf", "/etc/shadow")


def files(lab, host):
    out = {}
    for line in lab.lab("changes", host).stdout.splitlines():
        words = line.split()    # type and mode, owner, size, hash, path, of a link "-> target"
        path = words[4]
        if any(part in path for part in IGNORE):
            continue
        out[path] = words[:4] + words[5:]
    return out


with Lab("twin") as lab:
    lab.lab("twin", "ours", "theirs:trixie+python3")
    lab.up("ours", "theirs")
    inv = inventory(lab, "ours", "ours", "ours")
    r = apply(lab, inv)
    check("provctl applies the site", r.code == 0, r.text())
    theirs = inventory(lab, "theirs", "theirs", "theirs")
    theirs.rename(lab.work / "theirs.yml")
    lab.env["LAB_BIND"] = str(lab.work)
    a = lab.lab("ansible", SITE, "-i", lab.work / "theirs.yml", "-e", f"@{lab.work}/secrets.yml", must=False)
    check("ansible-playbook applies the site", a.returncode == 0, a.stdout[-3000:] + a.stderr[-2000:])
    mine, other = files(lab, "ours"), files(lab, "theirs")
    same("files only provctl made", sorted(set(mine) - set(other)), [])
    same("files only Ansible made", sorted(set(other) - set(mine)), [])
    differ = {p: (mine[p], other[p]) for p in mine if p in other and mine[p] != other[p]}
    same("files that differ in type, owner, mode, size or contents", differ, {})
    for what, command in (
            ("packages", "dpkg-query -W -f '${Package} ${Version} ${Status}\\n'"),
            ("users", "cut -d: -f1,3,4,6,7 /etc/passwd"),
            ("groups", "cat /etc/group"),
            ("enabled units", "systemctl list-unit-files --state=enabled --no-legend"),
            ("running services", "systemctl list-units --type=service --state=running --no-legend --plain | awk '{print $1}'"
                                 " | grep -v '^\\(ssh@\\|user@\\|session\\)'"),
            ("rows", "cd /; su postgres -c \"psql -At exams -c 'select * from exams order by 1'\""),
            ("roles", "cd /; su postgres -c \"psql -At -c 'select rolname, rolsuper, rolcanlogin from pg_roles order by 1'\""),
    ):
        same_lines(f"the same {what}", lab.sh("ours", command), lab.sh("theirs", command))
    check("the password is not in provctl's database",
          PASSWORD.encode() not in (lab.work / "state.db").read_bytes())
done()

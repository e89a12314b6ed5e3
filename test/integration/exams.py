"""The example site on lab hosts, for the tests that apply it."""
import json

from support import TOP, check, same

SITE = TOP / "playbooks/site.yml"
PASSWORD = "Canary-8271-password"


def inventory(lab, db, server, client, user="root"):
    names = dict.fromkeys([db, server, client])
    hosts = "\n".join(f"    {n}:\n      ansible_host: {lab.address(n)}\n      ansible_user: {user}" for n in names)
    groups = "\n".join(f"    {g}:\n      hosts:\n        {n}:" for g, n in
                       (("db", db), ("server", server), ("client", client)))
    lab.write("secrets.yml", f"exams_db_password: {PASSWORD}\n").chmod(0o600)
    return lab.inventory(f"all:\n  hosts:\n{hosts}\n  children:\n{groups}\n")


def apply(lab, inv, *args, **kw):
    return lab.provctl("apply", SITE, "-i", inv, "-e", f"@{lab.work}/secrets.yml", "--json", *args, **kw)


def page_answers(lab, client):
    address = lab.address(client)
    r = lab.controller("curl", "-sS", f"http://{address}/api/exams")
    try:
        rows = json.loads(r.stdout)
        rows = rows["exams"] if isinstance(rows, dict) else rows
    except (ValueError, KeyError):
        rows = None
    same("the page answers with the dump's rows through Nginx", rows and len(rows), 6)
    check("… and the client's page", "<html" in lab.controller("curl", "-sS", f"http://{address}/").stdout.lower(),
          r.stdout + r.stderr)


def changed(result):
    return sorted(result.outcomes("changed"))


def whole_cycle(lab, inv, client):
    """check, apply, check, apply: check predicts and changes nothing, the second apply is empty."""
    hosts = sorted({h for h in inv_hosts(inv)})
    before = {h: lab.lab("changes", h).stdout for h in hosts}
    predicted = apply(lab, inv, "--check")
    same("check on bare hosts says: changes pending", predicted.code, 2)
    after = {h: lab.lab("changes", h).stdout for h in hosts}
    for h in hosts:
        same(f"check changed nothing on {h}", interesting(after[h]) - interesting(before[h]), set())
    applied = apply(lab, inv)
    if not check("apply", applied.code == 0, applied.text()):
        return False
    same("check predicted exactly what apply changed", changed(predicted), changed(applied))
    page_answers(lab, client)
    again = apply(lab, inv)
    same("the second apply succeeds", again.code, 0)
    same("the second apply changes nothing", changed(again), [])
    same("check after apply finds nothing to do", apply(lab, inv, "--check").code, 0)
    same("the password is in no output", [r for r in (predicted, applied, again) if PASSWORD in r.out + r.err], [])
    return True


def inv_hosts(inv):
    import re
    return re.findall(r"^    (\S+):\n      ansible_host", inv.read_text(), re.M)


def interesting(changes):
    """Lines of `lab changes` but for what any login or the executor's cache leaves."""
    skip = ("/var/log", "/var/lib/provctl", "/var/cache", "/var/tmp", "/root/.cache", "/run", "/tmp", "/var/lib/systemd",
            "/home/deploy/.cache", "/var/lib/sudo")
    return {line for line in changes.splitlines() if not any(line.split()[4].startswith(s) for s in skip)
            and line.split()[4] not in ("/root", "/var/lib", "/var", "/home/deploy", "/etc")}

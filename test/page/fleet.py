"""A state database of a fleet for the tests of the status page: every state that a host can be in, a run under way, drift,
what is owed, and names and texts that try to become markup.  fleet(path, hosts=40) makes it."""
import json
import os
import pathlib
import sqlite3
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
APPLICATION_ID = 0x70726f76
HOSTILE = '<script>alert("x")</script>&\'"`'
EVIL_HOST = 'evil"><img src=x onerror=alert(1)>'
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
SITE, SHOP = "/srv/exams/site.yml", "/srv/shop/site.yml"
DIFF = ("--- /etc/nginx/sites-enabled/exams.conf\n+++ /etc/nginx/sites-enabled/exams.conf\n@@ -4,7 +4,7 @@\n server {\n"
        "     listen 443 ssl;\n     server_name exams.example.org;\n-    client_max_body_size 200m;\n"
        "+    client_max_body_size 20m;\n     root /srv/exams/static;\n }\n")


class Fleet:
    def __init__(self, path, now=None):
        self.now = now or int(time.time() * 1000)
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.executescript((TOP / "schema/state.sql").read_text())
        versions = (TOP / "schema/state.sql").read_text().count("\n-- migration ")
        self.db.execute(f"PRAGMA user_version = {versions}")
        self.db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self.db.execute("PRAGMA journal_mode = WAL")
        os.chmod(path, 0o600)
        self.tasks = {}

    def sql(self, text, *args):
        return self.db.execute(text, args).lastrowid

    def host(self, name, ago=HOUR):
        return self.sql("INSERT INTO hosts (name, vars, groups, added_ms, last_seen_ms, facts_ms) VALUES (?, '{}', '[]', 1, ?, 1)",
                        name, self.now - ago)

    def facts(self, host, **facts):
        for k, v in facts.items():
            self.sql("INSERT INTO facts VALUES (?, ?, ?, 1)", host, k, json.dumps(v))

    def task(self, name, module="template", role="nginx", handler=0, line=12):
        key = (name, module, role, handler, line)
        if key not in self.tasks:
            self.tasks[key] = self.sql("INSERT INTO tasks (file, line, name, module, role, play, handler) VALUES (?, ?, ?, ?, ?, ?, ?)",
                                       f"roles/{role}/tasks/main.yml", line, name, module, role, "Web servers", handler)
        return self.tasks[key]

    def run(self, site=SITE, ago=HOUR, took=42_000, status=0, check=0, pid=1, boot="", pid_start=0, user="deploy"):
        return self.sql("INSERT INTO runs (site, check_only, started_ms, ended_ms, status, user, pid, version, boot, pid_start)"
                        " VALUES (?, ?, ?, ?, ?, ?, ?, '0.1.0', ?, ?)", site, check, self.now - ago,
                        None if took is None else self.now - ago + took, None if took is None else status, user, pid, boot, pid_start)

    def todo(self, run, host):
        self.sql("INSERT INTO run_todo VALUES (?, ?)", run, host)

    def end(self, run, host, ok=30, changed=0, failed=0, skipped=2, unreachable=0):
        self.sql("INSERT INTO run_hosts VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0)", run, host, ok, changed, failed, skipped, unreachable)
        self.sql("INSERT OR IGNORE INTO run_todo VALUES (?, ?)", run, host)

    def result(self, run, host, task, outcome="ok", msg=None, diff=None, result=None, cls=None, ago=HOUR, took=35, delegated=None):
        r = self.sql("INSERT INTO results (run_id, host_id, task_id, outcome, started_ms, duration_ms, delegated, msg, class)"
                     " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", run, host, task, outcome, self.now - ago, took, delegated, msg, cls)
        if diff is not None or result is not None:
            self.sql("INSERT INTO details VALUES (?, ?, ?)", r, None if result is None else json.dumps(result), diff)
        return r

    def drift(self, host, task, run, diff=DIFF, item="", first=2 * DAY, last=HOUR, seen=3, site=SITE):
        self.sql("INSERT INTO drift (host_id, site, task, task_id, item, first_ms, first_run, last_ms, last_run, seen, diff)"
                 " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", host, site, abs(hash((host, task, item))) % 2**60, task, item,
                 self.now - first, run, self.now - last, run, seen, diff)

    def pending(self, host, run, reason, tries=3, next_in=12 * MINUTE, site=SITE, unanswered=None):
        self.sql("INSERT INTO pending VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?, ?)", host, site, run, reason, tries, self.now - DAY,
                 self.now - HOUR, None if next_in is None else self.now + next_in, unanswered)


def fleet(path, hosts=40, hostile=True, running=True):
    f = Fleet(path)
    conf, unit, pkgs = f.task("nginx : Site configuration"), f.task("exams : Service is running", "systemd", "exams", 0, 31), \
        f.task("base : Packages", "apt", "base", 0, 4)
    restart = f.task("nginx : Reload nginx", "service", "nginx", 1, 3)
    ids = [f.host(f"web{i + 1:02}.example.org") for i in range(hosts)]
    for i in range(6, 0, -1):       # nights before
        night = f.run(ago=i * DAY, took=38_000 + i * 1500, user="provctl")
        for k, h in enumerate(ids):
            f.end(night, h, changed=k % 5 == i, unreachable=k == 7 and i < 4, failed=k == 21 and i == 2)
    run = f.run(ago=3 * HOUR, took=95_000, status=3)
    for i, h in enumerate(ids):
        if i == 3:
            f.end(run, h, ok=11, failed=1)
            f.result(run, h, unit, "failed", "Unable to start service exams: Job for exams.service failed because the control process exited with error code",
                     result={"failed": True, "msg": "Unable to start service exams", "rc": 1, "stderr": "exams.service: Main process exited", "db_password": "********"}, took=5120)
            f.pending(h, run, "exams : Service is running: Unable to start service exams")
        elif i == 7:
            f.end(run, h, ok=0, unreachable=1)
            f.result(run, h, pkgs, "unreachable", "connect to web08.example.org port 22: No route to host")
            f.pending(h, run, "connect to web08.example.org port 22: No route to host", tries=12, next_in=None, unanswered="web08.example.org 22")
        elif i in (5, 12):
            f.end(run, h, changed=2)
            f.result(run, h, conf, "changed", diff=DIFF, result={"changed": True, "dest": "/etc/nginx/sites-enabled/exams.conf"}, cls="corrective")
            f.result(run, h, restart, "changed", result={"changed": True}, took=410)
        elif i % 9 == 1:
            f.end(run, h, changed=1)
            f.result(run, h, pkgs, "changed", msg="3 packages upgraded", diff="--- packages\n+++ packages\n@@ -1 +1 @@\n-openssl 3.0.14\n+openssl 3.0.15\n",
                     result={"changed": True}, cls="intentional", took=8300)
        else:
            f.end(run, h)
        for _ in range(2):
            f.result(run, h, pkgs)
    f.facts(ids[0], distribution="Debian", distribution_version="12.8", kernel="6.1.0-28-amd64", processor_vcpus=4, memtotal_mb=7941,
            default_ipv4={"address": "192.0.2.11"})
    check = f.run(ago=HOUR, took=21_000, status=2, check=1, user="provctl")
    if hosts > 16:
        f.drift(ids[16], conf, check)
        f.drift(ids[16], f.task("base : Users", "user", "base", 0, 9), check, diff=None, item="alice", first=5 * HOUR, seen=1)
        f.end(check, ids[16], changed=2)
    f.sql("INSERT INTO owed VALUES (?, 'nginx : Reload nginx', ?, ?, ?)", ids[min(3, hosts - 1)], SITE, run, f.now - 3 * HOUR)
    for h in ids:
        f.sql("INSERT INTO applied_sites VALUES (?, ?, ?)", h, SITE, run)
    f.sql("INSERT INTO settings VALUES ('agentd', ?)", json.dumps({"sites": [
        {"site": "exams", "path": SITE, "drift": "nightly, 03:10", "correct": True, "next_ms": f.now + 5 * HOUR},
        {"site": "shop", "path": SHOP, "drift": "mon-fri 06:00, 18:00", "correct": False, "next_ms": f.now - 3 * HOUR},
        {"site": HOSTILE if hostile else "x", "path": "/srv/x/site.yml", "drift": "never", "correct": False, "next_ms": None}]}))
    f.run(SHOP, ago=26 * HOUR, took=12_000, user="anna")
    f.run(SHOP, ago=25 * HOUR, took=2_000, status=130, user="anna")
    if hostile:
        bad = f.host(EVIL_HOST)
        r = f.run(site="/srv/" + HOSTILE, ago=2 * DAY, status=3, user=HOSTILE)
        t = f.task(HOSTILE, HOSTILE, HOSTILE)
        f.end(r, bad, failed=1)
        f.result(r, bad, t, "failed", HOSTILE, diff="--- a\n+++ b\n@@ -1 +1 @@\n-" + HOSTILE + "\n+\u202eevil\x1b[31m\n", result={HOSTILE: [HOSTILE]},
                 delegated=HOSTILE)
        f.drift(bad, t, r, diff="-" + HOSTILE + "\n", item=HOSTILE, site="/srv/" + HOSTILE)
        f.pending(bad, r, HOSTILE, site="/srv/" + HOSTILE)
        f.sql("INSERT INTO owed VALUES (?, ?, ?, ?, ?)", bad, HOSTILE, "/srv/" + HOSTILE, r, f.now - HOUR)
        f.sql("INSERT INTO warnings (run_id, host, text) VALUES (?, ?, ?)", r, EVIL_HOST, HOSTILE)
    if running:
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip() + " " + os.readlink("/proc/self/ns/pid")
        start = int(pathlib.Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
        live = f.run(ago=34_000, took=None, pid=os.getpid(), boot=boot, pid_start=start, user="anna")
        for i, h in enumerate(ids[:20]):
            f.todo(live, h)
            f.sql("INSERT INTO leases VALUES (?, 'anna@control', ?, ?, ?, 'token', ?, ?, ?, ?, ?)", f"web{i + 1:02}.example.org",
                  os.getpid(), start, boot, live, SITE, f.now - 34_000, f.now, f.now + 60_000)
            for n in range(6 if i < 12 else 2):
                f.result(live, h, conf if n == 1 else pkgs, "changed" if n == 1 and i % 4 == 0 else "ok",
                         diff=DIFF if n == 1 and i % 4 == 0 else None, cls="intentional" if n == 1 and i % 4 == 0 else None, ago=20_000)
    f.db.close()
    return f

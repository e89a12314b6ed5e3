"""agentd under a real systemd: installed on one host, it looks after another; killed, hung, stopped, timed."""
import json
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import time

from support import PROVCTL, Lab, check, done, same, wait_for

SITE = """
- hosts: all
  gather_facts: false
  tasks:
    - name: config
      copy: {content: "as it should be\\n", dest: /root/config, mode: "0600"}
    - name: waits
      command: sh -c 'until test -e /root/go; do sleep 0.1; done'
      changed_when: false
    - name: last
      copy: {content: "x", dest: /root/last}
"""
BUILD = pathlib.Path(PROVCTL).resolve().parents[1]


def install(lab, host):
    """What `cmake --install` puts onto a machine, and the libraries that packages would bring."""
    root = lab.state / "h" / host / "root"
    subprocess.run(["cmake", "--install", str(BUILD)], check=True, env={**os.environ, "DESTDIR": str(root)},
                   stdout=subprocess.DEVNULL)
    for program in (PROVCTL, BUILD / "agentd/serve/agentd"):
        for lib in re.findall(r"=> (/\S+)", subprocess.run(["ldd", program], capture_output=True, text=True).stdout):
            there = root / "usr/lib/x86_64-linux-gnu" / os.path.basename(lib)
            if not there.exists():
                shutil.copy(lib, there)
    lab.sh(host, "ldconfig; systemd-sysusers; systemd-tmpfiles --create provctl.conf; systemctl daemon-reload")


with Lab("daemon") as lab:
    lab.up("c", "h")
    install(lab, "c")
    root = lab.state / "h/c/root"

    def sh(command, must=True):
        return lab.sh("c", command, must)

    def on_h(command):
        return lab.sh("h", command)

    def schedule():
        return json.loads(sh("provctl schedule --json"))

    def history():
        return json.loads(sh("provctl history --json"))

    (root / "srv/site").mkdir(parents=True)
    (root / "srv/site/site.yml").write_text(SITE)
    (root / "srv/site/hosts").write_text(f"h ansible_host={lab.address('h')} ansible_user=root"
                                         " ansible_ssh_private_key_file=/var/lib/provctl/key\n")
    shutil.copy(lab.key, root / "var/lib/provctl/key")
    sh("chown provctl: /var/lib/provctl/key; chmod 600 /var/lib/provctl/key")
    (root / "etc/provctl").mkdir(exist_ok=True)
    (root / "etc/provctl/agentd.yml").write_text("sites: [{path: /srv/site/site.yml, drift: 'nightly, 03:10', correct: yes}]\n")
    on_h("touch /root/go")

    # The socket is there first, and starts the daemon.
    sh("systemctl start agentd.socket")
    same("nobody runs yet", sh("systemctl is-active agentd.service", must=False).strip(), "inactive")
    same("the first client starts it", [s["site"] for s in schedule()], ["site"])
    same("agentd is up", sh("systemctl is-active agentd.service").strip(), "active")
    same("… as its own user", sh("stat -c %U /proc/$(systemctl show -P MainPID agentd)/root/var/lib/provctl").strip(), "provctl")
    same("… the socket is for it alone", sh("stat -c '%U %a' /run/provctl/agentd.sock").strip(), "provctl 600")

    rating = sh("systemd-analyze security --no-pager agentd.service | tail -1")
    number = float(re.search(r"(\d+\.\d+)", rating)[1])
    print(rating.strip())
    check("systemd-analyze security says at most 2.0", number <= 2.0, sh("systemd-analyze security --no-pager agentd.service"))
    for unit in ("provctl-drift.service", "provctl-drift@srv-site-site.yml.service"):
        number = float(re.search(r"(\d+\.\d+)", sh(f"systemd-analyze security --no-pager {unit} | tail -1"))[1])
        check(f"… of {unit}, too", number <= 2.0, number)
    same("the units are right", sh("systemd-analyze verify --man=no agentd.service agentd.socket provctl-drift.service"
                                   " provctl-drift.timer provctl-drift@x.service provctl-drift@x.timer 2>&1", must=False), "")

    # Its user's provctl goes through it; root's does not.
    apply = "cd /srv/site && provctl apply site.yml -i hosts --accept-new-host-keys"
    out = sh(f"runuser -u provctl -- sh -c '{apply}' 2>&1", must=False)
    check("a site is applied through it", "run 1: done" in out, out)
    same("… on the host", on_h("cat /root/config"), "as it should be\n")
    check("… by agentd", "apply, asked for" in sh("journalctl -u agentd -o cat"), sh("journalctl -u agentd -o cat"))
    out = sh("provctl apply --daemon /srv/site/site.yml 2>&1", must=False)
    check("root cannot run as somebody else", "agentd is another user" in out, out)
    out = sh(f"{apply} 2>&1", must=False)
    check("root's own run works beside it, on the same database", "run 2: nothing to change" in out, out)
    same("… and leaves nothing that agentd cannot read",
         sh("find /var/lib/provctl ! -user provctl"), "")

    # Drift.
    def corrected(what):
        return wait_for(what, lambda: on_h("cat /root/config") == "as it should be\n" and not lab.sh("c", "provctl status --json | grep -o '\"pid\":' || true"), 40)
    on_h("echo by hand > /root/config")
    sh("provctl schedule --now site")
    corrected("drift is corrected by agentd")
    rows = [json.loads(x) for x in sh("journalctl -u agentd -o json").splitlines()]
    check("the journal has fields", any(r.get("PROVCTL_SITE") == "site" and r.get("PROVCTL_STATUS") == "0" for r in rows),
          sh("journalctl -u agentd -o cat"))

    # A site that is looked after without the file: root says so, the daemon does it.
    sh("provctl schedule set /srv/site/site.yml 'weekly, sun 04:00' --name weekly --correct")
    same("a second plan is in force at once", [(s["site"], s["set"]) for s in schedule()], [("site", False), ("weekly", True)])
    on_h("echo by hand > /root/config")
    sh("provctl schedule --now weekly")
    corrected("… and done")
    sh("provctl schedule remove weekly")
    same("… and taken away", [s["site"] for s in schedule()], ["site"])
    same("… with nothing left that agentd cannot read", sh("find /var/lib/provctl ! -user provctl"), "")

    # A host that was away is brought up to date when it is back, long before its next try is due.
    (root / "etc/provctl/agentd.yml").write_text("sites: [{path: /srv/site/site.yml, drift: 'nightly, 03:10', correct: yes}]\nprobe: 1\n")
    sh("systemctl reload agentd")
    on_h("rm /root/config")
    lab.lab("stop", "h")
    out = sh(f"runuser -u provctl -- sh -c '{apply} --timeout 2' 2>&1", must=False)
    check("a host that is off is owed", "unreachable" in out, out)
    sh("systemctl stop agentd")
    with sqlite3.connect(root / "var/lib/provctl/state.db") as db:
        db.execute("UPDATE pending SET next_ms = next_ms + 6 * 3600000")
    sh("chown provctl: /var/lib/provctl/*; systemctl start agentd")
    lab.up("h")
    since = time.monotonic()
    wait_for("it is brought up to date", lambda: lab.sh("h", "cat /root/config", must=False) == "as it should be\n", 40)
    print(f"{time.monotonic() - since:.1f} s after it was back")
    check("… since it answered", "an SSH server answers at" in sh("journalctl -u agentd -o cat"), sh("journalctl -u agentd -o cat"))
    wait_for("nothing is owed any more", lambda: not json.loads(sh("provctl status --json", must=False))["pending"])

    # Killed in the middle of a run: systemd starts it again, it goes on.
    on_h("rm /root/go /root/last; echo by hand > /root/config")
    sh("provctl schedule --now site")
    wait_for("the run is under way", lambda: on_h("cat /root/config") == "as it should be\n")
    before = max(r["id"] for r in history())
    sh("kill -9 $(systemctl show -P MainPID agentd)")
    wait_for("it is back", lambda: sh("systemctl show -P NRestarts -P ActiveState agentd").split() == ["1", "active"])
    on_h("touch /root/go")
    # A run that outlives the keeper of its connection for a moment has lost its host: then the look begins anew.
    check("its work goes on", wait_for("its work goes on", lambda: any(
        r["id"] > before and not r["check"] and r["status"] == 0 for r in history())))
    same("… to its end", on_h("cat /root/last"), "x")

    # Hung: the watchdog.
    (root / "etc/systemd/system/agentd.service.d").mkdir(parents=True)
    (root / "etc/systemd/system/agentd.service.d/w.conf").write_text("[Service]\nWatchdogSec=1\n")
    wait_for("no job is under way", lambda: not any(s["job"] for s in schedule()))
    sh("systemctl daemon-reload; systemctl restart agentd; kill -STOP $(systemctl show -P MainPID agentd)")
    wait_for("a hung one is replaced", lambda: "watchdog" in sh("journalctl -u agentd.service -o cat --no-pager").lower()
             and sh("systemctl is-active agentd", must=False).strip() == "active", 60)
    same("… and answers", len(schedule()), 1)

    # Reload; then wrong.
    (root / "etc/provctl/agentd.yml").write_text("sites: [{path: /srv/site/site.yml, name: shop, drift: never, correct: yes}]\n")
    sh("systemctl reload agentd")
    wait_for("reloaded", lambda: schedule()[0]["site"] == "shop")
    (root / "etc/provctl/agentd.yml").write_text("sites: [{path: /srv/site/site.yml, drift: 'nightly, 25:00'}]\n")
    sh("systemctl restart agentd", must=False)
    wait_for("a wrong file is not tried for ever", lambda: sh("systemctl is-failed agentd", must=False).strip() == "failed")
    log = sh("journalctl -u agentd.service -o cat --no-pager")
    check("… and the log says where", "agentd.yml:1:43: error: '25:00' is no time of the day" in log, log)

    # Without agentd: the timer's service, and the instance of one site.
    sh("systemctl stop agentd.socket agentd.service", must=False)
    for unit in ("provctl-drift.service", "provctl-drift@$(systemd-escape --path /srv/site/site.yml).service"):
        on_h("echo by hand > /root/config")
        sh(f"systemctl start {unit}")
        same(f"{unit} corrects", on_h("cat /root/config"), "as it should be\n")
    sh("systemctl enable --now provctl-drift.timer 2>&1")
    timer = sh("systemctl show provctl-drift.timer -P NextElapseUSecRealtime -P Persistent -P RandomizedDelayUSec")
    check("the timer is set: nightly, spread, persistent", "yes" in timer and "30min" in timer and re.search(r"03:[1-4]\d", timer), timer)

done()

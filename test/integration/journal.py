"""Hosts that are rebooted, lose power, or vanish in the middle of a run, and disks of hosts that are full: what was
reported stays, and the run that goes on ends where an uninterrupted one does."""
import json
import re

from support import Lab, check, done, same, wait_for

SITE = """
- hosts: all
  gather_facts: false
  tasks:
    - name: config
      copy: {content: "new\\n", dest: /root/config, mode: "0600"}
      notify: restart
    - name: late
      copy:
        content: "late\\n"
        dest: /root/late
        validate: sh -c 'touch /root/slow; until test -e /root/go; do sleep 0.1; done; test -s %s'
      notify: late
    - name: last
      copy: {content: "last\\n", dest: /root/last}
  handlers:
    - name: restart
      command: sh -c 'echo x >> /root/restarts'
    - name: late
      command: sh -c 'echo y >> /root/lates'
"""
SHAPE = "cd /root && head -n 99 config late last restarts lates && stat -c '%n %a %U %s' config late last"


def pending(lab):
    return {x["host"]: x["reason"] for x in json.loads(lab.provctl("status", "--json").out)["pending"]}


def interrupted(lab):
    hosts = ["calm", "boot", "power", "cable"]
    lab.up(*hosts)
    lab.sh("calm", "touch /root/go")
    inv = lab.hosts_inventory(*hosts)
    site = lab.write("site.yml", SITE)
    p = lab.start("apply", site, "-i", inv, "--json", "-f", "4")
    wait_for("all work", lambda: all("slow" in lab.sh(h, "ls /root") for h in hosts))
    lab.lab("cut", "cable")
    lab.sh("cable", "touch /root/go")      # it does its part, and nobody hears of it
    lab.sh("boot", "systemctl reboot", must=False)
    lab.lab("stop", "power")
    lab.lab("up", "power")
    out, err = p.communicate(timeout=120)
    lab.lab("heal", "cable")
    events = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    ends = sorted((e["host"], e["task"], e["outcome"]) for e in events if e["event"] == "task_end")
    same("hosts that go away in a run: exit code 4", p.returncode, 4)
    check("… the one that stays is through", ("calm", "last", "changed") in ends, out + err)
    for h in hosts[1:]:
        check(f"… {h} was not heard of again", (h, "last", "changed") not in ends and (h, "late", "changed") not in ends, out)
    why = pending(lab)
    same("… they are pending", sorted(why), sorted(hosts[1:]))
    check("… with the reason", all("connection" in why[h] or "answer" in why[h] or "heard" in why[h] for h in why), why)
    shown = lab.provctl("show", "1")
    for h in hosts:
        check(f"… what {h} reported is on record", lab.provctl("show", "1", "--host", h).out.count("config") > 0, shown.text())
    owed = sorted((o["host"], o["handler"]) for o in json.loads(lab.provctl("status", "--json").out)["owed"])
    same("… and their handlers are owed", [o for o in owed if o[1] == "restart"], [(h, "restart") for h in sorted(hosts[1:])])

    check("… a write was under way on the one without power",
          lab.sh("power", "cat /root/.provctl-*") == "late\n", lab.sh("power", "ls -A /root"))
    wait_for("boot is back", lambda: lab.lab("ssh", "boot", "true", must=False).returncode == 0)
    for h in ("boot", "power"):
        same(f"… nothing half-written on {h}", lab.sh(h, "ls /root/late 2>/dev/null || true"), "")
        lab.sh(h, "touch /root/go")
    r = lab.provctl("retry", "power", "--json")
    same("retry of the one without power: exit code 0 for it", sorted({e["host"] for e in r.ends()}), ["power"])
    same("… the change was made before", r.outcomes("ok"), [("power", "config")])
    r = lab.provctl("resume", "--json")
    same("resume: exit code 0", r.code, 0)
    same("… only the hosts that are left", sorted({e["host"] for e in r.ends()}), ["boot", "cable"])
    check("… what was done unheard finds nothing to do", ("cable", "late") in r.outcomes("ok"), r.text())
    calm = lab.sh("calm", SHAPE)
    check("… each handler ran once", "restarts <==\nx\n\n" in calm and "lates <==\ny\n" in calm, calm)
    for h in hosts[1:]:
        same(f"… {h} is where the uninterrupted one is", lab.sh(h, SHAPE), calm)
        same(f"… no half-written file is left on {h}", lab.sh(h, "find / -xdev -name '.provctl-*'"), "")
    same("… nothing is owed", lab.provctl("status").code, 0)
    lab.lab("stop", *hosts)


FULL = """
- hosts: all
  gather_facts: false
  tasks:
    - name: first
      copy: {content: "one\\n", dest: /srv/small/first}
      notify: restart
    - name: big
      copy: {content: "{{ 'x' * 200000 }}", dest: /srv/small/big}
      notify: restart
  handlers:
    - name: restart
      command: sh -c 'echo x >> /root/restarts'
"""


def full(lab):
    lab.up("full")
    lab.sh("full", "mkdir -p /srv/small /var/lib/provctl /usr/local/lib/provctl && echo old > /root/old && for d in /var/lib/provctl"
           " /usr/local/lib/provctl; do mount -t tmpfs -o size=64k,mode=700 tmpfs $d; done && mount -t tmpfs -o size=300k tmpfs /srv/small"
           " && mount -o remount,size=64k /dev/shm && echo old > /srv/small/big && head -c 200000 /dev/zero > /srv/small/ballast")
    inv = lab.hosts_inventory("full")
    site = lab.write("full.yml", FULL)
    r = lab.provctl("apply", site, "-i", inv, state="full.db")
    same("no room for the executor: exit code 4", r.code, 4)
    check("… says where there is none", all(d in r.text() for d in ("/var/lib/provctl", "/usr/local/lib/provctl", "/dev/shm", "no space")), r.text())
    same("… leaves nothing", lab.sh("full", "find /var/lib/provctl /usr/local/lib/provctl /dev/shm -type f"), "")

    # Room at first, and a write that fails in the middle all the same, as on file systems that copy on write.
    lab.sh("full", "mount -o remount,size=4m /dev/shm; printf '#!/bin/sh\\n[ \"$3\" ] && exec /usr/bin/head \"$@\"\\n/usr/bin/head -c 1000\\n"
           "echo \"head: error writing: No space left on device\" >&2\\nexit 1\\n' > /usr/local/bin/head; chmod 755 /usr/local/bin/head")
    r = lab.provctl("retry", state="full.db")
    same("the disk is full in the middle of the upload: exit code 4", r.code, 4)
    check("… says where and what", "/dev/shm/provctl-root" in r.text() and "No space left" in r.text(), r.text())
    same("… leaves nothing", lab.sh("full", "find /var/lib/provctl /usr/local/lib/provctl /dev/shm -type f; rm /usr/local/bin/head"), "")

    # Now there is, but not where its first choice is, nor where before-images go; and somebody takes the rest during the upload.
    lab.sh("full", "head -c 70000 /dev/zero > /var/lib/provctl/ballast 2>/dev/null || true; touch -d '2 hours ago' /dev/shm/provctl-root/.new-1;"
           "(cd /dev/shm/provctl-root; until find . -name '.new-*' -perm 0700 | grep -q .; do :; done;"
           " while find . -name '.new-*' | grep -q .; do cat /dev/zero >> /dev/shm/ballast; done) < /dev/null > /dev/null 2>&1 &")
    r = lab.provctl("retry", state="full.db")
    same("… the executor's space was its own", lab.sh("full", "ls -A /dev/shm/provctl-root | cut -c1-7; rm /dev/shm/ballast"), "x86_64-\n")
    same("a file that does not fit: exit code 3", r.code, 3)
    check("… says which file", "/srv/small/big" in r.text() and "no space" in r.text(), r.text())
    check("… and which file system, and how full it is", re.search("'/srv/small' \\([0-9]+ of 300 kB free\\)", r.text()), r.text())
    same("… the old one is whole, and nothing beside it", lab.sh("full", "cat /srv/small/big; ls -A /srv/small"), "old\nballast\nbig\nfirst\n")
    check("… the host is owed its handler", '"restart"' in lab.provctl("status", "--json", state="full.db").out)
    lab.sh("full", "rm /srv/small/ballast; mount -o remount,nr_inodes=3 /srv/small")
    r = lab.provctl("resume", state="full.db")
    same("no inode for one more file: exit code 3", r.code, 3)
    check("… says so", "no inode for one more file" in r.text() and "/srv/small/big" in r.text(), r.text())
    lab.sh("full", "mount -o remount,nr_inodes=100 /srv/small")
    r = lab.provctl("resume", state="full.db")
    same("with room: resume ends well", r.code, 0)
    same("… all is there", lab.sh("full", "stat -c %s /srv/small/big; cat /srv/small/first /root/restarts"), "200000\none\nx\n")
    same("… nothing is owed", lab.provctl("status", state="full.db").code, 0)
    r = lab.provctl("rollback", "5", "--check", state="full.db")
    check("… a rollback says what could not be kept", "/srv/small/big" in r.text() and "full" in r.text(), r.text())


with Lab("journal") as lab:
    interrupted(lab)
    full(lab)
done()

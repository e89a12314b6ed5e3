"""A controller that is killed and a connection that breaks, on real hosts: what is owed comes with the next run."""
import json
import os
import signal
import sys

from support import Lab, check, done, same, wait_for

SITE = """
- hosts: all
  gather_facts: false
  tasks:
    - name: config
      copy: {content: "new\\n", dest: /root/config, mode: "0600"}
      notify: restart
    - name: slow
      command: sh -c 'touch /root/slow; until test -e /root/go; do sleep 0.1; done'
      changed_when: false
  handlers:
    - name: restart
      command: sh -c 'echo x >> /root/restarts'
"""


def provctl_pid(state):
    """The controller's own process: the lab's wrapper is its parent."""
    held = state.provctl("status", "--json")
    rows = json.loads(held.out)["held"] if held.out.startswith("{") else []
    return rows[0]["pid"] if rows else None


with Lab("resume") as lab:
    lab.up("h1", "h2")
    inv = lab.hosts_inventory("h1", "h2")
    site = lab.write("site.yml", SITE)

    p = lab.start("apply", site, "-i", inv)
    wait_for("both work", lambda: all("slow" in lab.sh(h, "ls /root") for h in ("h1", "h2")))
    pid = wait_for("the lease says who", lambda: provctl_pid(lab))
    r = lab.provctl("apply", site, "-i", inv, "-l", "h2")
    same("a second run on the same host: exit code 5", r.code, 5)
    check("… says who works there", f"pid {pid}" in r.err, r.text())
    os.kill(pid, signal.SIGKILL)
    p.communicate(timeout=30)
    r = lab.provctl("status", "--json")
    same("killed: both hosts are owed the handler", sorted((o["host"], o["handler"]) for o in json.loads(r.out)["owed"]),
         [("h1", "restart"), ("h2", "restart")])
    same("… nobody holds them", json.loads(r.out)["held"], [])
    same("… the exit code says that something is owed", r.code, 2)
    for h in ("h1", "h2"):
        lab.sh(h, "touch /root/go")
    r = lab.provctl("resume", "--json")
    same("resume: exit code 0", r.code, 0)
    same("… the change was made before", [e["outcome"] for e in r.ends() if e["task"] == "config"], ["ok", "ok"])
    for h in ("h1", "h2"):
        same(f"… the handler ran once on {h}", lab.sh(h, "cat /root/restarts"), "x\n")
    same("… nothing is owed any more", lab.provctl("status").code, 0)

    # A host that cannot be reached is pending, and brought up to date when it is back.
    lab.sh("h2", "systemctl stop ssh ssh.socket 2>/dev/null; systemctl stop ssh; rm /root/config /root/restarts")
    r = lab.provctl("apply", site, "-i", inv)
    same("unreachable: exit code 4", r.code, 4)
    r = lab.provctl("status", "--json")
    same("… the host is pending", [(x["host"], x["tries"]) for x in json.loads(r.out)["pending"]], [("h2", 1)])
    lab.sh("h2", "systemctl start ssh")
    r = lab.provctl("retry", "--json")
    same("retry: exit code 0", r.code, 0)
    same("… only the host that is owed", sorted({e["host"] for e in r.ends()}), ["h2"])
    same("… it is up to date", lab.sh("h2", "cat /root/config /root/restarts"), "new\nx\n")
    same("… nothing is pending", lab.provctl("status").code, 0)
done()

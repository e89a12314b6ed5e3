"""provctl onboard, killed at one boundary of what it records after the other: each time somebody still gets in, the same
command goes on, and in the end the host is what an uninterrupted one is."""
import json
import pathlib

from support import PROVCTL, Lab, check, done, same

KILLAT = pathlib.Path(PROVCTL).parents[1] / "test/ctl/libctl-killat.so"
STEP = 3        # boundaries from one kill to the next
ROUNDS = 60

with Lab("onbkill") as lab:
    lab.up("h1", "h2")
    for h in ("h1", "h2"):
        lab.sh(h, "userdel -r deploy 2>/dev/null; rm -f /etc/sudoers.d/*deploy*; ! id deploy 2>/dev/null")
    # What shuts the first way in comes last, as in onboard.yml.
    book = lab.write("small.yml", """
- hosts: all
  become: true
  gather_facts: false
  vars: {provctl_confirm_connection: 60}
  tasks:
    - copy: {content: "by us\\n", dest: /etc/motd}
      notify: touched
    - copy: {content: "PermitRootLogin no\\nPasswordAuthentication no\\n", dest: /etc/ssh/sshd_config.d/00-test.conf}
      notify: reload
  handlers:
    - {name: touched, copy: {content: "x\\n", dest: /root/touched}}
    - {name: reload, service: {name: ssh, state: reloaded}}
""")

    def onboard(host, at):
        kill = [f"LD_PRELOAD={KILLAT}", f"KILL_AT={at}", f"KILL_WHEN={'before' if at // STEP % 2 else 'after'}"] if at else []
        key = lab.sh(host, "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
        return lab.controller("env", f"HOME={lab.work}", *kill, PROVCTL, "onboard", host, "--key", lab.key, "--fingerprint", key,
                              "--groups", "web", "--playbook", book, "--state", lab.work / f"{host}.db", timeout=120)

    def gets_in(host, user):
        return lab.lab("ssh", host, "-l", user, "sudo -n true" if user != "root" else "true", must=False).returncode == 0

    def shape(host):
        return lab.sh(host, "cat /etc/motd /root/touched /etc/ssh/sshd_config.d/*; id deploy; cat /etc/sudoers.d/*; stat -c '%A %U %n' ~deploy/.ssh ~deploy/.ssh/*;"
                      "find /etc/systemd/system -name 'provctl*'; sed 's/:[0-9]*:/:/' /etc/shadow | grep deploy")

    r = onboard("h2", 0)
    same("not interrupted", r.returncode, 0) or print(r.stdout + r.stderr)
    locked, odd = [], []
    for n in range(1, ROUNDS):
        r = onboard("h1", n * STEP)
        if r.returncode == 0:
            break
        if r.returncode not in (-9, 137):
            odd.append((n * STEP, r.returncode, r.stdout + r.stderr))
        if not (gets_in("h1", "root") or gets_in("h1", "deploy")):
            locked.append(n * STEP)
    check(f"killed {n - 1} times, it came to its end", r.returncode == 0 and n > 5, r.stdout + r.stderr)
    same("… each time by the kill alone", odd, [])
    same("… somebody always got in", locked, [])
    same("then our user gets in, and root does not", (gets_in("h1", "deploy"), gets_in("h1", "root")), (True, False))
    same("the host is as the one that was not interrupted", shape("h1"), shape("h2"))
    rows = {h: json.loads(lab.controller(PROVCTL, "host", "list", "--json", "--state", lab.work / f"{h}.db").stdout) for h in ("h1", "h2")}
    same("… and known as it is", [(x["groups"], x["vars"].get("ansible_user")) for x in rows["h1"]],
         [(x["groups"], x["vars"].get("ansible_user")) for x in rows["h2"]])
    r = onboard("h1", 0)
    check("once more changes nothing", r.returncode == 0 and r.stdout.count("nothing to change") == 2, r.stdout + r.stderr)
done()

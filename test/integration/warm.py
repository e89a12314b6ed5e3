"""Connections that agentd keeps between runs: on a host that is rebooted, cut off, changed."""
import os
import signal
import subprocess

from support import PROVCTL, TOP, Lab, check, done, same, wait_for

AGENTD = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(PROVCTL))), "agentd/serve/agentd")
SITE = """
- hosts: all
  gather_facts: false
  tasks:
    - copy: {content: "as it should be\\n", dest: /root/config}
"""


def play(*tasks):
    return "- hosts: all\n  gather_facts: false\n  tasks:\n" + "".join(f"    - {t}\n" for t in tasks)


with Lab("warm") as lab:
    lab.up("h")
    inv = lab.hosts_inventory("h")
    site = lab.write("site.yml", SITE)
    config = lab.write("agentd.yml", "sites: []\n")
    socket, log = lab.work / "run/agentd.sock", lab.work / "log"
    lab.env["PROVCTL_SOCKET"] = str(socket)
    with log.open("w") as f:
        daemon = subprocess.Popen([str(TOP / "test/lab/lab"), "run", AGENTD, "--config", str(config), "--socket", str(socket),
                                   "--state", str(lab.work / "state.db"), "--provctl", PROVCTL], env=lab.env, stderr=f, stdin=subprocess.DEVNULL,
                                  start_new_session=True)
    wait_for("agentd is ready", lambda: "is ready" in log.read_text())

    def logins():
        return lab.sh("h", "journalctl -b -o cat _COMM=sshd + _COMM=sshd-session").count("Accepted publickey")

    def sessions():
        return len(lab.sh("h", "ss -Htn state established '( sport = :22 )'").splitlines())

    def apply(what, book, expected, *args, code=0):
        before = logins()
        r = lab.provctl("apply", book, "-i", inv, "--daemon", "--json", *args)
        check(what, r.code == code and not r.outcomes("unreachable"), r.text())
        same(f"… logins: {expected}", logins() - before, expected)
        return r

    try:
        apply("the first run pins the key, and connects by itself", site, 1)
        same("… and nothing is kept", sessions(), 0)
        apply("a run that finds nothing to do", site, 1)
        same("… leaves a session", sessions(), 1)
        apply("the next one makes no login", site, 0)
        apply("nor do others", lab.write("look.yml", play('{command: id, changed_when: false}')), 0)
        apply("as another user it is another session", site, 1, "-e", "ansible_user=deploy", "-b")
        apply("… which is kept, too", site, 0, "-e", "ansible_user=deploy", "-b")
        same("… beside the first", sessions(), 2)

        # What a login has may have been changed: groups, here.
        groups = lab.write("groups.yml", play('{command: id -nG, changed_when: false, register: it}',
                                              '{debug: {var: it.stdout}}', "{group: {name: keepers}, become: true}",
                                              "{user: {name: deploy, groups: keepers, append: true}, become: true}",
                                              "{meta: reset_connection}",
                                              '{command: id -nG, changed_when: false, register: it}',
                                              "{assert: {that: \"'keepers' in it.stdout\"}}"))
        apply("reset_connection: the group is there in the same run", groups, 1, "-e", "ansible_user=deploy")
        apply("… and after a run that changed something the login is new", groups, 2, "-e", "ansible_user=deploy")

        # Gone without a word, and back.
        apply("kept again", site, 1)
        apply("… and used", site, 0)
        lab.lab("stop", "h")
        lab.lab("up", "h")
        apply("after a power failure it simply works", site, 1)
        book = lab.write("reboot.yml", play("{reboot: {reboot_timeout: 60}}", "{wait_for_connection: {timeout: 30}}"))
        r = lab.provctl("apply", book, "-i", inv, "--daemon")
        check("the module reboot", r.code == 0, r.text())
        apply("… and the next run", site, 1)
        lab.lab("cut", "h")
        r = lab.provctl("apply", site, "-i", inv, "--daemon", "--timeout", "3")
        check("a host that is cut off is not reached", r.code == 4 and "cannot connect" in r.out, r.text())
        lab.lab("heal", "h")
        apply("healed: it works", site, 1)

        # A new host key: the kept session is not used, whoever answers.
        lab.sh("h", "rm /etc/ssh/ssh_host_*; ssh-keygen -A; systemctl restart ssh")
        apply("a session outlives sshd's new keys", site, 0)

        config.write_text("sites: []\nkeep_connections: 0\n")
        os.killpg(daemon.pid, signal.SIGHUP)
        wait_for("turned off: sessions are closed", lambda: sessions() == 0)
    finally:
        os.killpg(daemon.pid, signal.SIGTERM)
        daemon.wait(60)
    check("agentd ends well", daemon.returncode == 0, log.read_text())
done()

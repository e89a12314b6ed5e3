"""provctl onboard on bare hosts: host keys, what a new server does at first, passwords, interruptions, lock-outs."""
import json
import os
import pty
import signal
import subprocess
import time

from support import PROVCTL, TOP, Lab, check, done, same, wait_for

# Holds dpkg's lock as apt does, for some seconds.
LOCK = r"""perl -MFcntl -e 'open F, "+>>", "/var/lib/dpkg/lock-frontend" or die;
$lock = pack("ssx4qql", F_WRLCK, 0, 0, 0, 0); fcntl(F, F_SETLK, $lock) or die; open M, ">", "/root/locked"; sleep SECONDS'"""
CLOUD_INIT = """#!/bin/sh
echo "$*" >>/root/cloud-init-asked
while [ -e /root/cloud-init-busy ]; do sleep 0.1; done
echo status: done
"""

with Lab("onb") as lab:
    lab.up("h1", "h2:trixie")
    for h in ("h1", "h2"):
        lab.sh(h, "userdel -r deploy 2>/dev/null; rm -f /etc/sudoers.d/*deploy*; ! id deploy 2>/dev/null")
    home = lab.work / "home"
    home.mkdir()
    mine = lab.work / "mine"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "mine", "-f", mine], check=True)

    def argv(*args):
        return ["env", f"HOME={home}", "setsid", "-w", PROVCTL, *map(str, args), "--state", str(lab.work / "state.db")]

    def provctl(*args, timeout=900):
        r = lab.controller(*argv(*args), timeout=timeout)
        return type("R", (), {"code": r.returncode, "out": r.stdout, "err": r.stderr, "text": r.stdout + r.stderr,
                              "events": [json.loads(x) for x in r.stdout.splitlines() if x.startswith('{"event"')]})

    def changed(r):
        return [e["task"] for e in r.events if e["event"] == "task_end" and e["outcome"] == "changed"]

    def fingerprint(host, kind="ed25519"):
        return lab.sh(host, f"ssh-keygen -lf /etc/ssh/ssh_host_{kind}_key.pub").split()[1]

    def ssh(host, user, key=None, password=None):
        """Whether this login works; with nothing but what is given."""
        args = ["ssh", "-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                "-o", "IdentitiesOnly=yes", "-o", "ConnectTimeout=10", "-o", "IdentityAgent=none"]
        if password is None:
            args += ["-o", "BatchMode=yes", "-i", str(key)]
        else:
            args = ["sshpass", "-p", password, *args, "-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1"]
        r = lab.controller(*args, f"{user}@{host}", "sudo -n id -un; echo in")
        return r.stdout.split()

    def kill_provctl(p):
        """As if the power failed: the program in the lab's network, not the tool around it."""
        for pid in os.listdir("/proc"):
            try:
                cmd = open(f"/proc/{pid}/cmdline").read() if pid.isdigit() else ""
            except OSError:
                continue
            if cmd.startswith(PROVCTL + "\0onboard") and str(lab.work) in cmd:
                os.kill(int(pid), signal.SIGKILL)
        p.communicate(timeout=30)

    def start(*args):
        return subprocess.Popen(["test/lab/lab", "run", *argv(*args)], env=lab.env, text=True, cwd=TOP,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    # ---- the host key -----------------------------------------------------------------
    r = provctl("onboard", "h1", "--key", lab.key)
    check("an unknown host key without a terminal is refused", r.code == 1 and fingerprint("h1") in r.text and
          "--fingerprint" in r.text, r.text)
    r = provctl("onboard", "h1", "--key", lab.key, "--fingerprint", fingerprint("h2"))
    check("… another one than the fingerprint says, too", r.code == 1 and "is not the one" in r.text, r.text)
    r = provctl("onboard", "h1", "--key", lab.key, "--fingerprint", fingerprint("h2"), "--accept-new-host-key")
    check("… also with --accept-new-host-key", r.code == 1, r.text)
    same("… and nothing was pinned", json.loads(provctl("keys", "--json").out), [])
    same("… nor anything done there", lab.sh("h1", "ls /root/cloud-init-asked 2>/dev/null; id deploy 2>/dev/null; true"), "")

    # On a terminal it is asked, once. A key that does not open the host ends it there.
    os.system(f"ssh-keygen -q -t ed25519 -N '' -f {lab.work}/stranger")

    def asked(answer):
        pid, fd = pty.fork()
        if pid == 0:
            os.chdir(TOP)
            os.execve("test/lab/lab", ["lab", "run", PROVCTL, "onboard", "h1", "--key", f"{lab.work}/stranger",
                                       "--state", f"{lab.work}/asked.db"], lab.env)
        seen = b""
        while not seen.endswith(b"fingerprint)? "):
            seen += os.read(fd, 1)
        os.write(fd, answer.encode() + b"\r")
        try:
            while data := os.read(fd, 1000):
                seen += data
        except OSError:
            pass
        keys = lab.controller(PROVCTL, "keys", "--json", "--state", f"{lab.work}/asked.db").stdout
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode(), [k["fingerprint"] for k in json.loads(keys)]

    for answer in ("no", "", fingerprint("h2")):
        code, text, keys = asked(answer)
        check(f"asked for the host key, {answer or 'nothing'!r} is no yes", code == 1 and keys == [] and fingerprint("h1") in text, text)
    for answer in (fingerprint("h1"), "yes"):
        code, text, keys = asked(answer)
        check(f"… {answer[:6]!r} pins it", keys == [fingerprint("h1")], text)
        os.unlink(lab.work / "asked.db")

    # ---- a busy new server, and interruptions ---------------------------------------------
    lab.sh("h1", f"cat >/usr/bin/cloud-init <<'X'\n{CLOUD_INIT}X\nchmod 755 /usr/bin/cloud-init; touch /root/cloud-init-busy")
    lab.sh("h1", "apt-get -q update && cd /root && apt-get -q download hello && dpkg --unpack hello_*.deb")
    check("dpkg is interrupted", "hello" in lab.sh("h1", "dpkg --audit"))
    go = ("onboard", "h1", "--key", lab.key, "--fingerprint", fingerprint("h1", "ecdsa"), "--groups", "web,db")
    p = start(*go)
    wait_for("cloud-init is asked", lambda: "--wait" in lab.sh("h1", "cat /root/cloud-init-asked 2>/dev/null", must=False))
    time.sleep(0.3)
    check("it waits for cloud-init", p.poll() is None and "hello" in lab.sh("h1", "dpkg --audit"))
    kill_provctl(p)
    keys = json.loads(provctl("keys", "--json").out)
    same("killed there, the key is pinned that has the fingerprint", [k["fingerprint"] for k in keys],
         [fingerprint("h1", "ecdsa")])
    same("… and the host is none of ours yet", json.loads(provctl("host", "list", "--json").out), [])

    lab.sh("h1", "rm -f /root/cloud-init-busy")
    holder = subprocess.Popen(["test/lab/lab", "exec", "h1", "sh", "-c", LOCK.replace("SECONDS", "6")], env=lab.env,
                              cwd=TOP, stdin=subprocess.DEVNULL)
    wait_for("dpkg's lock is held", lambda: "locked" in lab.sh("h1", "ls /root"))
    p = start(*go)
    wait_for("apt waits for dpkg's lock", lambda: lab.sh("h1", "pgrep -x apt-get", must=False).strip())
    check("it waits for dpkg's lock", holder.poll() is None and "hello" in lab.sh("h1", "dpkg --audit"))
    wait_for("our user is there", lambda: "deploy" in lab.sh("h1", "cat /etc/passwd"), 60)
    check("… until it is free", holder.wait() == 0)
    same("… and repaired dpkg", lab.sh("h1", "dpkg --audit"), "")
    wait_for("apt is at work as our user", lambda: lab.sh("h1", "pgrep -x 'apt-get|dpkg' | head -1", must=False).strip(), 120)
    kill_provctl(p)
    check("killed while apt is at work: root still gets in", "in" in ssh("h1", "root", lab.key))
    runs = json.loads(provctl("history", "--json").out)
    shown = [json.loads(provctl("show", str(x["id"]), "--json").out) for x in runs]
    check("the repair is on record", any("repaired" in json.dumps(t) and t["outcome"] == "changed"
                                         for x in shown for t in x["results"] if "dpkg" in t["task"]))

    r = provctl(*go, "--json")
    same("begun again, it goes on to its end", r.code, 0) or print(r.text[-3000:])
    check("… as the user who is there", "deploy_user : User" not in changed(r), changed(r))
    same("… dpkg is whole", lab.sh("h1", "dpkg --audit"), "")
    same("our user gets in by key, and is root by sudo", ssh("h1", "deploy", lab.key), ["root", "in"])
    same("root does not get in any more", ssh("h1", "root", lab.key), [])
    admin = (lab.state / "admin-password").read_text().strip()
    same("nobody gets in by password", ssh("h1", "admin", password=admin), [])
    rules = lab.sh("h1", "nft list ruleset")
    check("the firewall drops what is not open", "policy drop" in rules and "dport 22" in rules.replace("{ ", "").replace(" }", ""), rules)
    lab.sh("h1", "systemd-run -q --unit=listener perl -MSocket -e 'socket(S, PF_INET, SOCK_STREAM, 0); setsockopt(S, SOL_SOCKET, SO_REUSEADDR, 1);"
                 " bind(S, sockaddr_in(8080, INADDR_ANY)) or die; listen(S, 5); sleep 600'")
    r = lab.controller("curl", "-s", "--max-time", "2", f"http://{lab.address('h1')}:8080/")
    same("… a port nobody opened is silent", r.returncode, 28)
    check("updates come by themselves", "Unattended-Upgrade \"1\"" in lab.sh("h1", "apt-config dump APT::Periodic"))

    r = provctl(*go, "--json")
    same("once more", r.code, 0)
    same("… changes nothing", changed(r), [])

    # ---- the inventory that it made ------------------------------------------------------------
    site = lab.write("site/site.yml", "- hosts: web\n  tasks:\n    - command: id -un\n      become: true\n"
                                      "    - debug: {msg: \"{{ ansible_facts.distribution }} {{ groups.db }}\"}\n")
    r = provctl("apply", site, "--json")
    check("apply works without -i", r.code == 0 and "Debian ['h1']" in r.out, r.text)
    h1 = json.loads(provctl("host", "show", "h1", "--json").out)
    same("its groups are on record", h1["groups"], ["web", "db"])
    check("facts are known", "bookworm" in provctl("facts", "h1", "distribution_release").out)
    r = provctl("drift")
    check("nothing has drifted, with what onboarding said of our user", r.code == 0 and "nothing has drifted" in r.text, r.text)

    # ---- a password, and a login that cannot be proved ---------------------------------------------
    secret, become = lab.write("password", admin + "\n"), lab.write("become", admin + "\n")
    lab.sh("h2", "echo 'DenyUsers deploy' >/etc/ssh/sshd_config.d/10-deny.conf; systemctl reload ssh")
    go = ("onboard", "admin@h2", "--name", "two", "--key", mine, "--password-file", secret,
          "--become-password-file", become, "--accept-new-host-key")
    r = provctl(*go)
    check("a new login that does not work is an error", r.code == 4 and "new login as deploy does not work" in r.text, r.text)
    check("… nothing was turned off", "00-provctl" not in lab.sh("h2", "ls /etc/ssh/sshd_config.d") and
          "in" in ssh("h2", "admin", password=admin) and "in" in ssh("h2", "root", lab.key))
    same("… and the host is none of ours", [h["name"] for h in json.loads(provctl("host", "list", "--json").out)], ["h1"])
    check("the password is in no output", admin not in r.text)
    lab.sh("h2", "rm /etc/ssh/sshd_config.d/10-deny.conf; systemctl reload ssh")
    r = provctl(*go, "--json")
    same("once that is mended, the same command succeeds", r.code, 0) or print(r.text[-3000:])
    same("our user gets in", ssh("h2", "deploy", mine), ["root", "in"])
    same("the password does not any more", ssh("h2", "admin", password=admin), [])
    check("the password is in no output and not in the state", admin not in r.text and
          admin.encode() not in b"".join(f.read_bytes() for f in lab.work.glob("state.db*")))

    # ---- another host key --------------------------------------------------------------------------
    old = fingerprint("h2")
    lab.sh("h2", "rm /etc/ssh/ssh_host_*; ssh-keygen -A >/dev/null; systemctl restart ssh")
    r = provctl("apply", lab.write("site/two.yml", "- hosts: two\n  tasks: []\n"))
    check("a changed host key is refused", r.code == 4 and "has changed" in r.text, r.text)
    r = provctl(*go)
    check("… by onboard as well", r.code == 4 and "has changed" in r.text, r.text)
    r = provctl("host", "rekey", "two", "--fingerprint", old)
    check("rekey wants the new one's fingerprint", r.code == 1, r.text)
    r = provctl("host", "rekey", "two", "--fingerprint", fingerprint("h2"))
    same("… and pins it", r.code, 0)
    r = provctl("host", "rekey", "two")
    check("a key that has not changed needs no word of anybody", r.code == 0 and "is pinned" in r.text, r.text)
    r = provctl("apply", lab.work / "site/two.yml")
    same("then the host is reached again", r.code, 0)
    same("rename", provctl("host", "rename", "two", "zwei").code, 0)
    lab.write("site/two.yml", "- hosts: zwei\n  tasks: []\n")
    same("… and it is reached by the new name", provctl("apply", lab.work / "site/two.yml").code, 0)
    same("forget", provctl("host", "forget", "zwei").code, 0)
    check("… its key, too", not any(k["host"] == "h2" for k in json.loads(provctl("keys", "--json").out)))

    # ---- through another host ------------------------------------------------------------------------
    lab.up("h3", "h4:trixie")
    (home / ".ssh").mkdir(exist_ok=True)
    (home / ".ssh/config").write_text(f"Host inner\n  HostName {lab.address('h4')}\n  User root\n  ProxyJump root@h3\n"
                                      f"Host *\n  IdentityFile {lab.key}\n")
    small = lab.write("site/small.yml", "- hosts: all\n  gather_facts: false\n  tasks: [{command: hostname}]\n")
    go = ("onboard", "inner", "--key", lab.key, "--fingerprint", fingerprint("h4"), "--playbook", small)
    r = provctl(*go)
    check("a jump host that is not known is not gone through", r.code == 1 and "jump host h3:22 is not known" in r.text, r.text)
    same("… onboarded itself first", provctl("onboard", "h3", "--key", lab.key, "--fingerprint", fingerprint("h3"), "--playbook", small).code, 0)
    r = provctl(*go)
    check("… the one behind it follows", r.code == 0 and "inner is one of ours now" in r.text, r.text)
    r = provctl("apply", small, "-l", "inner", "--json")
    check("… and is reached so from then on", r.code == 0 and changed(r) == ["command"], r.text)
done()

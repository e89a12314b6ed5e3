"""What goes wrong: each kind of failure has its own message and exit code, and stops only its own host."""
import os
import signal
import time

from support import Lab, check, done, same, wait_for

with Lab("fail") as lab:
    lab.up("h1", "h2", "h3")
    inv = lab.hosts_inventory("h1", "h2", "h3")

    # A failing task stops that host only.
    site = lab.write("fail.yml", """
- hosts: all
  gather_facts: false
  tasks:
    - name: fails on h2
      command: /bin/false
      when: inventory_hostname == 'h2'
    - name: after
      copy: {content: "x\\n", dest: /root/after, mode: "0600"}
""")
    r = lab.provctl("apply", site, "-i", inv, "--json")
    same("a failing task: exit code 3", r.code, 3)
    same("… the others go on", sorted(h for h, t in r.outcomes("changed")), ["h1", "h3"])
    same("… the failed one does not", lab.sh("h2", "ls /root/after 2>/dev/null || true"), "")
    r = lab.provctl("apply", site, "-i", inv)
    check("… the message names file and line", "fail.yml:5" in r.out + r.err, r.text())

    # Refused: nobody listens.
    lab.sh("h3", "systemctl stop ssh ssh.socket 2>/dev/null; systemctl stop ssh")
    ok = lab.write("ok.yml", "- hosts: all\n  gather_facts: false\n  tasks:\n    - command: 'true'\n")
    r = lab.provctl("apply", ok, "-i", inv, "--json")
    same("a refused connection: exit code 4", r.code, 4)
    same("… the others are done", sorted(h for h, t in r.outcomes("changed")), ["h1", "h2"])
    gone = [e for e in r.events if e["event"] == "host_unreachable"]
    same("… one host is unreachable", [e["host"] for e in gone], ["h3"])
    check("… and says why", "refused" in gone[0]["text"].lower() if gone else False, r.text())
    lab.sh("h3", "systemctl start ssh")

    # A wrong key.
    os.system(f"ssh-keygen -q -t ed25519 -N '' -f {lab.work}/wrong")
    r = lab.provctl("apply", ok, "-i", inv, "-l", "h1", "--key", lab.work / "wrong", key=False)
    same("a wrong key: exit code 4", r.code, 4)
    check("… says that the login was refused and which key was tried", "wrong" in r.out + r.err and
          ("denied" in r.out + r.err or "refused" in r.out + r.err or "accept" in r.out + r.err), r.text())

    # An unknown host key without --accept-new-host-keys, then a changed one.
    r = lab.provctl("apply", ok, "-i", inv, "-l", "h1", pin=False, state="fresh.db")
    same("an unknown host key: exit code 4", r.code, 4)
    check("… says how to pin it", "--accept-new-host-keys" in r.out + r.err, r.text())
    lab.sh("h1", "rm /etc/ssh/ssh_host_*; ssh-keygen -A >/dev/null; systemctl restart ssh")
    r = lab.provctl("apply", ok, "-i", inv, "-l", "h1")
    same("a changed host key: exit code 4, even with --accept-new-host-keys", r.code, 4)
    check("… says that it changed", "changed" in (r.out + r.err).lower(), r.text())

    # The connection is killed in the middle of a task.
    slow = lab.write("slow.yml", """
- hosts: h2
  gather_facts: false
  tasks:
    - command: sh -c 'touch /root/started; exec sleep 300'
""")
    p = lab.start("apply", slow, "-i", inv)
    wait_for("the task runs", lambda: "started" in lab.sh("h2", "ls /root"))
    begin = time.monotonic()
    lab.sh("h2", "pkill -KILL -f '[s]shd: root' || pkill -KILL sshd-session")
    out, err = p.communicate(timeout=60)
    same("a killed sshd: exit code 4", p.returncode, 4)
    check("… soon", time.monotonic() - begin < 30)
    check("… says that the connection was lost", "connection" in (out + err).lower(), out + err)
    check("… and its command does not stay behind",
          wait_for("sleep is gone", lambda: lab.sh("h2", "pgrep -x sleep || echo none").strip() == "none"))

    # Interrupted: exit code 130, the host's command ended.
    lab.sh("h2", "rm /root/started")
    p = lab.start("apply", slow, "-i", inv)
    wait_for("the task runs", lambda: "started" in lab.sh("h2", "ls /root"))
    os.system(f"pkill -INT -f 'provctl apply {slow}'")
    time.sleep(0.2)     # two signals are two only when the first was taken
    os.system(f"pkill -INT -f 'provctl apply {slow}'")
    try:
        p.communicate(timeout=30)
    except Exception:
        p.send_signal(signal.SIGKILL)
        p.communicate()
    same("interrupted twice: exit code 130", p.returncode, 130)
    check("… and its command does not stay behind",
          wait_for("sleep is gone", lambda: lab.sh("h2", "pgrep -x sleep || echo none").strip() == "none"))
    history = lab.provctl("history")
    check("… and the run is on record", "slow.yml" in history.out, history.text())
done()

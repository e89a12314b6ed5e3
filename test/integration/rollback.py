"""Rollback: hosts keep what changes take away, and a run's files, links, owners and modes come back."""
import os
import pty
import select
import subprocess

from support import TOP, Lab, check, done, same

# Times of what is there for good; those of directories change with what is in them.
SHAPE = ("cd / && find etc/motd etc/issue etc/skel srv home/deploy/mine home/deploy/.ssh -printf '%p %y %m %u %g %l\\n'"
         " 2>/dev/null | sort; find etc/motd etc/issue etc/skel home/deploy/mine ! -type d -printf '%p %t\\n' 2>/dev/null | sort;"
         " getfacl -p etc/motd etc/skel 2>&1; getcap etc/motd; stat -c %y etc/skel 2>/dev/null; cd / && cat etc/motd etc/issue etc/skel/.profile etc/hosts home/deploy/mine 2>/dev/null | sha256sum")

with Lab("roll") as lab:
    lab.up("h1:bookworm+acl+libcap2-bin", "h2:trixie+acl+libcap2-bin")
    inv = lab.work / "inventory.ini"
    inv.write_text("".join(f"{h} ansible_host={lab.address(h)} ansible_user={u}\n"
                           for h, u in (("h1", "root"), ("h2", "deploy"))))

    def rollback(run, *args, **kw):
        return lab.provctl("rollback", run, *args, **kw)

    def ask(answer, *args):
        """Rollback on a terminal, answered."""
        here, there = pty.openpty()
        p = subprocess.Popen(["setsid", "-c", str(TOP / "test/lab/lab"), "run", *lab.argv("rollback", *args)], env=lab.env,
                             stdin=there, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        os.close(there)
        seen = b""
        while b"[y/N]" not in seen and select.select([here], [], [], 60)[0]:
            seen += os.read(here, 1000)
        os.write(here, answer)
        out, _ = p.communicate(timeout=60)
        os.close(here)
        return p.returncode, out.decode(errors="replace")

    lab.sh("h2", "echo old > /home/deploy/mine; chown deploy: /home/deploy/mine; chmod 640 /home/deploy/mine")
    for h in ("h1", "h2"):
        lab.sh(h, "setfacl -m u:deploy:rw /etc/motd && setcap cap_net_raw=ep /etc/motd && setfacl -d -m u:deploy:rx /etc/skel"
               " && touch -d '2001-02-03 04:05:06.789' /etc/motd /etc/issue /etc/skel/.profile /etc/skel")
        check(f"{h} has ACLs and capabilities", all(x in lab.sh(h, SHAPE) for x in ("user:deploy:rw-", "cap_net_raw", "04:05:06.789")),
              lab.sh(h, SHAPE))
    before = {h: lab.sh(h, SHAPE) for h in ("h1", "h2")}
    site = lab.write("site.yml", """
- hosts: all
  gather_facts: false
  become: true
  tasks:
    - copy: {content: "one\\n", dest: /etc/motd, mode: "0600", owner: deploy}
    - lineinfile: {path: /etc/motd, line: two}
    - file: {path: /srv/a/b, state: directory, mode: "0750"}
    - copy: {content: "three\\n", dest: "/srv/a/b/{{ '{{' }} 'x' {{ '}}' }}"}
    - file: {path: /etc/issue, state: absent}
    - file: {path: /etc/skel, state: absent}
    - file: {src: /etc/motd, dest: /srv/link, state: link}
    - copy: {content: "deploy's\\n", dest: /home/deploy/mine}
      become_user: deploy
      when: inventory_hostname == 'h2'
    - file: {path: /home/deploy/.ssh, mode: "0711"}
    - lineinfile: {path: /etc/hosts, line: "198.18.0.99 elsewhere"}
    - command: touch /root/command
""")
    r = lab.provctl("apply", site, "-i", inv)
    same("the site is applied", r.code, 0)
    after = {h: lab.sh(h, SHAPE) for h in ("h1", "h2")}
    for h in ("h1", "h2"):
        check(f"{h} has changed", before[h] != after[h])
        same(f"{h}: the store is root's alone", lab.sh(h, "stat -c '%a %U' /var/lib/provctl/before").strip(), "700 root")
        same(f"{h}: so are the contents in it",
             lab.sh(h, "find /var/lib/provctl/before -type f -perm /077; find /var/lib/provctl -type f -perm /077"), "")
    kept = lab.sh("h1", "ls /var/lib/provctl/before | wc -l; cd /var/lib/provctl/before; sha256sum * | awk '$1 != $2'")
    check("contents are kept under their hash, each once", kept.split() == [kept.split()[0]] and
          int(kept.split()[0]) >= 6, kept)
    check("another user's is kept with him", "/" in lab.sh("h2", "ls -d /home/deploy/.cache/provctl/before/*"))
    result = lab.provctl("show", "last", "-v", "--json")
    check("results say nothing of it", "_before" not in result.out, result.text())

    # The plan.
    r = rollback(1, "--check")
    same("the plan: exit code 2", r.code, 2)
    check("… names the paths", all(p in r.out for p in ("/etc/motd", "/etc/issue", "/srv/link", "/srv/a/b")), r.text())
    check("… names what is not undone", r.err.count("not undone") == 2 and "command" in r.err, r.text())
    same("… changes nothing", {h: lab.sh(h, SHAPE) for h in ("h1", "h2")}, after)
    r = rollback(1, "--check", "-D", "-l", "h1")
    check("… shows diffs, of hosts asked for", "+++ after: /etc/motd" in r.out and "h2" not in r.out, r.text())
    r = rollback(1)
    same("nobody to ask: exit code 1", r.code, 1)
    code, out = ask(b"n\n", 1)
    check("asked and answered no: nothing is changed", code == 2 and "nothing was changed" in out, f"{code} {out}")
    same("… indeed", {h: lab.sh(h, SHAPE) for h in ("h1", "h2")}, after)

    # What was changed since is left alone.
    lab.sh("h1", "echo mine >> /etc/motd; touch /srv/a/b/mine")
    r = rollback(1, "--yes", "-l", "h1")
    same("changed since: exit code 3", r.code, 3)
    check("… says which and why", "/etc/motd was changed since that run" in r.out and
          "/srv/a/b is not removed" in r.out, r.text())
    check("… the others are put back", lab.sh("h1", "test -e /etc/issue -a ! -e /srv/link && echo yes").strip() == "yes")
    check("… these are not", "mine" in lab.sh("h1", "cat /etc/motd; ls /srv/a/b"))
    check("… and nothing is pending", lab.provctl("status").code == 0)
    same("… h2 is untouched", lab.sh("h2", SHAPE), after["h2"])
    lab.sh("h1", "rm /srv/a/b/mine")
    r = rollback(1, "--yes", "--force", "-l", "h1")
    same("--force: exit code 0", r.code, 0)
    same("… h1 is as it was", lab.sh("h1", SHAPE), before["h1"])

    # Asked, and yes.
    code, out = ask(b"y\n", 1, "-l", "h2")
    same("asked and answered yes: exit code 0", code, 0)
    same("… h2 is as it was, also what another user kept", lab.sh("h2", SHAPE), before["h2"])
    r = rollback(1, "--yes")
    same("once more: nothing is left to do", (r.code, "nothing of run 1" in r.err), (0, True))

    # A rollback is a run.
    history = lab.provctl("history")
    check("it is in the history", "rollback of run 1" in history.out, history.text())
    runs = [int(line.split()[0]) for line in history.out.splitlines() if "rollback" in line and " apply " in line]
    for run in sorted(runs, reverse=True):
        r = rollback(run, "--yes", "--force")
        same(f"run {run}, a rollback, is rolled back: exit code 0", r.code, 0)
    same("… the site is applied again on h2", lab.sh("h2", SHAPE), after["h2"])
    r = lab.provctl("apply", site, "-i", inv, "-l", "h2", "--check")
    same("… as a check says", [t for h, t in r.outcomes("changed")], [])

    # The store's bounds; a task without a diff has none in its rollback.
    site2 = lab.write("bounds.yml", """
- hosts: h1
  gather_facts: false
  vars: {provctl_keep_bytes: 40K}
  tasks:
    - copy: {content: "x\\n", dest: "{{ item }}"}
      loop: [/root/large, /root/s1, /root/s2]
    - copy: {content: "secret-two\\n", dest: /root/secret}
      no_log: true
""")
    lab.sh("h1", "rm -rf /var/lib/provctl/before; head -c 11000 /dev/zero > /root/large;"
           "for i in 1 2; do head -c 9000 /dev/urandom > /root/s$i; done; echo secret-one > /root/secret")
    want = lab.sh("h1", "cat /root/s1 /root/s2 | sha256sum")
    same("bounds: the run is applied", lab.provctl("apply", site2, "-i", inv).code, 0)
    size = int(lab.sh("h1", "cat /var/lib/provctl/before/* | wc -c"))
    check("the store is bounded", 18000 <= size <= 40960, size)
    r = rollback("last", "--yes", "-D", "-vv")
    same("what was too large cannot be put back: exit code 3", r.code, 3)
    check("… and says so", "/root/large was not kept before it was changed: the file is too large" in r.out, r.text())
    same("… the others are", lab.sh("h1", "cat /root/s1 /root/s2 | sha256sum"), want)
    check("… without showing what no_log hides", "secret-one" not in r.out + r.err and "secret-two" not in r.out + r.err and
          lab.sh("h1", "cat /root/secret").strip() == "secret-one", r.text())
    lab.sh("h1", "for i in 1 2 3 4; do head -c 9000 /dev/urandom > /root/n$i; done")
    site3 = lab.write("more.yml", site2.read_text().replace("[/root/large, /root/s1, /root/s2]",
                                                           "[/root/n1, /root/n2, /root/n3, /root/n4]"))
    lab.provctl("apply", site3, "-i", inv)
    size = int(lab.sh("h1", "cat /var/lib/provctl/before/* | wc -c"))
    check("the oldest goes first", size <= 40960 and lab.sh("h1",
          "cat /var/lib/provctl/before/* | wc -c").strip() != "0", size)
    lab.sh("h1", "echo damage > /var/lib/provctl/before/$(sha256sum < /root/n4 | cut -c 1-64); "
           "cd /var/lib/provctl/before; for f in *; do echo damage > $f; done")
    r = rollback("last", "--yes")
    check("damaged contents are not put back", r.code == 3 and "damaged" in r.out, r.text())

    # An inventory that has forgotten a host: the state knows how to reach it.
    lab.write("last.yml", "- hosts: h1\n  gather_facts: false\n  tasks: [{copy: {content: x, dest: /root/last}}]\n")
    lab.provctl("apply", lab.work / "last.yml", "-i", inv)
    inv.write_text(inv.read_text().split("\n", 1)[1])
    r = rollback("last", "--yes")
    check("a host that is no longer in the inventory: is put back", r.code == 0 and
          "last" not in lab.sh("h1", "ls /root"), r.text())

    # Bad input.
    for args, code, text in ((["99"], 1, "99"), (["x"], 1, "no number of a run"), (["2"], 1, "was a check")):
        r = rollback(*args)
        check(f"rollback {args[0]}: exit code {code}, says why", r.code == code and text in r.err + r.out, r.text())
done()

"""Lock-outs: we lock ourselves out in every way there is, and each host comes back by itself."""
import os
import signal
import time

from support import TOP, Lab, check, done, same, wait_for

SECONDS = 5

with Lab("lock") as lab:
    lab.up("port", "users", "sudoers", "account", "rules:bookworm+iptables+nftables", "cut:bookworm+iptables+nftables", "tables:bookworm+iptables+nftables", "xt:bookworm+iptables+nftables",
           "broken", "network", "killed", "fine")
    inv = lab.work / "inventory.ini"
    inv.write_text("".join(f"{h} ansible_host={lab.address(h)} ansible_user={u}\n" for h, u in (
        ("port", "root"), ("users", "deploy"), ("sudoers", "deploy"), ("account", "deploy"), ("rules", "root"),
        ("cut", "root"), ("tables", "root"), ("xt", "root"), ("broken", "root"), ("network", "root"), ("killed", "root"), ("fine", "deploy"))))

    def reachable(host):
        """By a new connection of an ordinary client, as the test's user."""
        user = "root" if host in ("port", "rules", "cut", "tables", "xt", "broken", "network", "killed") else "deploy"
        return lab.lab("ssh", host, "-o", "ConnectTimeout=3", "-l", user, "true" if user == "root" else "sudo -n true", must=False).returncode == 0

    def watches(host):
        return lab.sh(host, "grep -lx provctl-guard /proc/[0-9]*/comm 2>/dev/null | wc -l").strip()

    SHAPE = ("cat /etc/passwd /etc/shadow; cat /etc/systemd/network/* 2>/dev/null; find /etc/ssh/sshd_config.d /etc/sudoers.d -printf '%p %m %u %l\\n' | sort;"
             "nft -s list ruleset 2>/dev/null; for i in iptables ip6tables; do $i-save 2>/dev/null | sed '/^#/d; s/\\[.*\\]//'; done; true")
    hosts = ["port", "users", "sudoers", "account", "rules", "cut", "tables", "xt", "broken", "network"]
    lab.sh("rules", "nft add table inet theirs; nft add chain inet theirs c")
    for host in ("tables", "xt"):
        lab.sh(host, "iptables -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT;"
               "iptables -A INPUT -p tcp --dport 22 -m comment --comment theirs -m limit --limit 1000/s -j ACCEPT;"
               "iptables-save | iptables-restore")
    lab.sh("tables", "mv /usr/sbin/nft /usr/sbin/nft.away")
    lab.sh("network", f"""printf '[Match]\\nName=eth0\\n[Network]\\nAddress={lab.address("network")}/16\\n' >/etc/systemd/network/eth0.network
           systemctl enable -q --now systemd-networkd""")
    before = {h: lab.sh(h, SHAPE) for h in hosts}
    site = lab.write("site.yml", f"""
- hosts: all:!killed
  strategy: free
  gather_facts: false
  become: true
  vars:
    provctl_confirm_connection: {SECONDS}
    provctl_confirm_restore: [[touch, /root/restored by a list], "cd /root && touch by-sh"]
  tasks:
    - name: port
      copy: {{content: "Port 2222\\n", dest: /etc/ssh/sshd_config.d/port.conf}}
      when: inventory_hostname == 'port'
      notify: restart
    - name: users
      copy: {{content: "AllowUsers nobody\\n", dest: /etc/ssh/sshd_config.d/users.conf}}
      when: inventory_hostname == 'users'
      notify: reload
    - name: sudoers
      copy: {{content: "deploy ALL=(ALL) !ALL\\n", dest: /etc/sudoers.d/zz-none, mode: "0440"}}
      when: inventory_hostname == 'sudoers'
    - name: account
      user: {{name: deploy, shell: /usr/sbin/nologin}}
      when: inventory_hostname == 'account'
    - name: rules
      command: nft -f -
      args:
        stdin: |
          table inet ours {{
            chain input {{
              type filter hook input priority 0; policy accept;
              ct state established accept
              tcp dport 22 drop
            }}
          }}
      when: inventory_hostname == 'rules'
    - name: cut
      shell: |
        echo 'table inet ours {{ chain input {{ type filter hook input priority 0; policy drop; }}; chain output {{ type filter hook output priority 0; policy drop; }}; }}' | nft -f -
      when: inventory_hostname == 'cut'
    - name: "{{{{ inventory_hostname }}}}"
      command: iptables -I INPUT 2 -p tcp --dport 22 -j DROP
      when: inventory_hostname in ['tables', 'xt']
    - name: before it breaks
      copy: {{content: "x\n", dest: /etc/ssh/sshd_config.d/broken.conf, validate: "true %s"}}
      when: inventory_hostname == 'broken'
    - name: broken
      shell: "pkill -KILL -f '[s]shd.*: root@notty'; sleep 60"
      when: inventory_hostname == 'broken'
    - name: a network that goes down
      copy: {{content: "[Match]\\nName=eth0\\n[Link]\\nActivationPolicy=always-down\\n", dest: /etc/systemd/network/eth0.network}}
      when: inventory_hostname == 'network'
    - name: network
      service: {{name: systemd-networkd, state: restarted}}
      when: inventory_hostname == 'network'
    - name: harmless
      copy: {{content: "x\\n", dest: /root/harmless}}
  handlers:
    - name: restart
      service: {{name: ssh, state: restarted}}
    - name: reload
      service: {{name: ssh, state: reloaded}}
""")
    # The controller is killed at once: that host has only itself.
    kill = lab.write("kill.yml", f"""
- hosts: killed
  gather_facts: false
  vars: {{provctl_confirm_connection: {SECONDS}}}
  tasks:
    - copy: {{content: "Port 2222\\n", dest: /etc/ssh/sshd_config.d/port.conf}}
    - name: sshd listens elsewhere now
      command: systemctl restart ssh
""")
    p = lab.start("apply", kill, "-i", inv, state="killed.db")
    wait_for("sshd listens elsewhere", lambda: ":2222" in lab.sh("killed", "ss -ltn"))
    os.system(f"pkill -KILL -f 'provctl apply {kill}'")
    p.communicate()
    locked = time.monotonic()
    check("killed: locked out", not reachable("killed"))

    r = lab.provctl("apply", site, "-i", inv, "--json", timeout=150)
    same("locked out: exit code 3", r.code, 3)
    ends = {(e["host"], e["task"]): e for e in r.ends()}
    for host, task in (("port", "restart"), ("users", "reload"), ("sudoers", "sudoers"), ("account", "account"),
                       ("rules", "rules"), ("cut", "cut"), ("tables", "tables"), ("xt", "xt"), ("broken", "broken"), ("network", "network")):
        e = ends.get((host, task), {})
        msg = e.get("result", {}).get("msg", "")
        same(f"{host}: the task has failed", e.get("outcome"), "failed")
        check(f"{host}: … and says what happened, and that all is as before",
              ("no new connection" in msg or "broke during this task" in msg) and "the host has put back" in msg and
              "answers again" in msg, r.text() if not e else msg)
        check(f"{host}: can be reached", reachable(host))
        same(f"{host}: is as it was", lab.sh(host, SHAPE), before[host])
        same(f"{host}: its own commands were run", lab.sh(host, "cd /root; ls by-sh 'restored by a list' 2>&1 || true"),
             "by-sh\nrestored by a list\n")
        same(f"{host}: no watch is left", watches(host), "0")
        same(f"{host}: what its other tasks did is taken back as well",
             lab.sh(host, "ls /root/harmless 2>/dev/null || true"), "")
    check("port: says which file and service", all(x in ends[("port", "restart")]["result"]["msg"]
          for x in ("/etc/ssh/sshd_config.d/port.conf", "ssh (restart)")), ends[("port", "restart")])
    check("broken: says so", "broke during" in ends[("broken", "broken")]["result"]["msg"])
    check("rules: a table of others is still there", "theirs" in lab.sh("rules", "nft list ruleset"))

    check("killed: came back by itself", wait_for("the host answers", lambda: reachable("killed"), SECONDS + 20))
    same("… with the file gone", lab.sh("killed", "ls /etc/ssh/sshd_config.d"), "")

    # What does no harm is confirmed, and stays.
    same("fine: changed", ("fine", "harmless") in r.outcomes("changed"), True)
    time.sleep(max(0.0, SECONDS + 1 - (time.monotonic() - locked)))
    same("fine: stays", lab.sh("fine", "cat /root/harmless"), "x\n")
    same("fine: no watch is left", watches("fine"), "0")
    # A run that changes nothing makes no second connection, and nothing on the host.
    count = "journalctl -u ssh -o cat | grep -c Accepted"
    was, tree = int(lab.sh("fine", count)), lab.sh("fine", "find /var/lib/provctl /root | sort")
    r = lab.provctl("apply", site, "-i", inv, "-l", "fine", "--json")
    same("fine: the second run changes nothing", (r.code, r.outcomes("changed")), (0, []))
    same("… by one connection", int(lab.sh("fine", count)) - was, 1)
    same("… and leaves nothing", lab.sh("fine", "find /var/lib/provctl /root | sort"), tree)

    # The role that onboarding uses, told a wrong port.
    (lab.work / "roles").symlink_to(TOP / "playbooks/roles")
    role = lab.write("role.yml", f"""
- hosts: rules
  gather_facts: false
  vars: {{firewall_ssh_port: 2222, provctl_confirm_connection: {SECONDS}}}
  roles: [firewall]
""")
    r = lab.provctl("apply", role, "-i", inv)
    check("the role firewall with a wrong port: the host puts it back", r.code == 3 and "the host has put back" in r.out and
          "/etc/nftables.conf" in r.out and "nftables (stop)" in r.out and "answers again" in r.out, r.text())
    same("… its rules and others' are as before", lab.sh("rules", SHAPE), before["rules"])
    same("… and it can be reached", reachable("rules"), True)

    # Without a place to keep things nothing is risked; nor with a number that makes no sense.
    lab.sh("fine", "rm -rf /var/lib/provctl; touch /var/lib/provctl")
    one = lab.write("one.yml", """
- hosts: fine
  gather_facts: false
  become: true
  tasks:
    - copy: {content: "y\\n", dest: /root/harmless}
      vars: {provctl_confirm_connection: "{{ seconds | default(9) }}"}
""")
    r = lab.provctl("apply", one, "-i", inv)
    check("no store: the task fails before it changes anything", r.code == 3 and "nothing was changed" in r.out and
          lab.sh("fine", "cat /root/harmless") == "x\n", r.text())
    lab.sh("fine", "rm /var/lib/provctl")
    r = lab.provctl("apply", one, "-i", inv, "-e", "seconds=soon")
    check("a malformed time: an error", r.code == 3 and "provctl_confirm_connection: 'soon'" in r.out, r.text())
    same("a check arms nothing", (lab.provctl("apply", one, "-i", inv, "--check").code,
                                   lab.sh("fine", "ls /var/lib/provctl 2>&1 | wc -l").strip()), (2, "1"))
    same("block and task variables do as well", lab.provctl("apply", one, "-i", inv).code, 0)
done()

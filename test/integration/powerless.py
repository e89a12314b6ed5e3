"""Lock-outs that a power failure comes into: what was not confirmed is put back at boot, before anything reads it."""
from support import Lab, check, done, same, wait_for

HOSTS = ("port", "masked", "rules", "waits", "fine")
LEFT = "find /etc/systemd/system /var/lib/provctl \\( -name '*provctl-guard*' -o -name 'boot-*' -o -name 'armed-*' -o -name 'restoring-*' \\)"

with Lab("power") as lab:
    lab.up("port", "masked", "rules:bookworm+nftables", "waits:trixie", "fine:bullseye")
    inv = lab.work / "inventory.ini"
    inv.write_text("".join(f"{h} ansible_host={lab.address(h)} ansible_user={u}\n" for h, u in (
        ("port", "root"), ("masked", "deploy"), ("rules", "root"), ("waits", "root"), ("fine", "deploy"))))

    def reachable(host):
        return lab.lab("ssh", host, "-o", "ConnectTimeout=2", "true", must=False).returncode == 0

    def shape(host):
        return lab.sh(host, "cat /etc/ssh/sshd_config.d/* /etc/nftables.conf /root/harmless 2>/dev/null; ls /etc/ssh/sshd_config.d;"
                      "systemctl is-enabled ssh nftables 2>/dev/null; systemctl is-active ssh; nft list ruleset 2>/dev/null; true")

    def play(host, tasks, seconds=300):
        return lab.write(f"{host}.yml", f"- hosts: {host}\n  gather_facts: false\n  become: true\n  vars:\n"
                         f"    provctl_confirm_connection: {seconds}\n    provctl_confirm_restore: [[touch, /root/by-command]]\n"
                         "  tasks:\n" + "".join(f"    - {t}\n" for t in tasks))

    lab.sh("rules", "systemctl disable -q --now nftables; printf 'flush ruleset\\n' >/etc/nftables.conf")
    before = {h: shape(h) for h in HOSTS}

    # The last task of each never ends by itself: its connection is cut off, and nobody has confirmed it.
    sites = {
        "port": (('copy: {content: "Port 2222\\n", dest: /etc/ssh/sshd_config.d/port.conf}', "command: systemctl restart ssh"),
                 lambda: ":2222" in lab.sh("port", "ss -ltn")),
        "masked": (("block: [{systemd: {name: ssh, enabled: false}}, {copy: {content: x, dest: /root/harmless}}]",
                    "systemd: {name: ssh, masked: true}", "command: systemctl stop ssh"),
                   lambda: "inactive" in lab.sh("masked", "systemctl is-active ssh; true")),
        "rules": (('copy: {content: "flush ruleset\\ntable inet x { chain i { type filter hook input priority 0; policy drop; }; }\\n",'
                   ' dest: /etc/nftables.conf}', "systemd: {name: nftables, enabled: true}", "systemd: {name: nftables, state: started}"),
                  lambda: "policy drop" in lab.sh("rules", "nft list ruleset")),
    }
    running = {h: lab.start("apply", play(h, tasks), "-i", inv, state=f"{h}.db") for h, (tasks, _) in sites.items()}
    for host, (_, locked) in sites.items():
        wait_for(f"{host} is locked", locked)
        # systemd learns of the unit, and starts whatever sysinit.target wants.
        lab.sh(host, "systemctl daemon-reload; systemctl restart systemd-journald")
        check(f"{host}: locked out, for as long as it may be confirmed", not reachable(host) and locked())
        same(f"{host}: … a unit waits for the next boot", len(lab.sh(host, LEFT).split()), 4)
    for p in running.values():
        p.kill()
        p.communicate()

    # This one's controller lives, and gets its answer when the host is back.
    waits = play("waits", ['copy: {content: "Port 2222\\n", dest: /etc/ssh/sshd_config.d/port.conf}', "{name: locked, command: systemctl restart ssh}"], 25)
    p = lab.start("apply", waits, "-i", inv, "--json")
    wait_for("waits is locked", lambda: ":2222" in lab.sh("waits", "ss -ltn"))
    lab.lab("stop", "port", "masked", "rules", "waits")
    lab.lab("up", "port", "masked", "rules:bookworm+nftables", "waits:trixie")
    out, err = p.communicate(timeout=120)
    check("waits: its task has failed, and says what was put back", p.returncode == 3 and "the host has put back" in out and
          "/etc/ssh/sshd_config.d/port.conf" in out, out + err)

    for host in ("port", "masked", "rules", "waits"):
        check(f"{host}: can be reached", wait_for("it answers", lambda: reachable(host)))
        wait_for("its own commands were run", lambda: lab.sh(host, "ls /root/by-command 2>/dev/null; true"))
        wait_for("all of it is gone", lambda: not lab.sh(host, LEFT))
        same(f"{host}: is as it was", shape(host), before[host])
        check(f"{host}: nothing failed on it", "0 loaded" in lab.sh(host, "systemctl --failed"), lab.sh(host, "systemctl --failed"))

    # Confirmed: it stays, through a power failure, and nothing of the guard is on the host.
    r = lab.provctl("apply", play("fine", ['copy: {content: "x\\n", dest: /root/harmless}']), "-i", inv)
    check("fine: confirmed", r.code == 0 and "warning" not in r.text().lower(), r.text())
    same("… and nothing is left", lab.sh("fine", LEFT + "; systemctl daemon-reload; systemctl list-units --all 'provctl*' --plain --no-legend"), "")
    lab.lab("stop", "fine")
    lab.lab("up", "fine:bullseye")
    same("… it is there after a power failure", lab.sh("fine", "cat /root/harmless"), "x\n")
    # Put back without a reboot: nothing is left, either.
    r = lab.provctl("apply", play("fine", ["systemd: {name: ssh, state: stopped}"], 5), "-i", inv)
    check("fine: put back by the watch", r.code == 3, r.text())
    wait_for("the watch is over", lambda: not lab.sh("fine", LEFT))
    same("… and nothing is left", lab.sh("fine", LEFT), "")

    # A host without systemd: it is said, and everything else is as elsewhere.
    lab.sh("fine", "mount -t tmpfs none /run/systemd")
    r = lab.provctl("apply", play("fine", ['copy: {content: "y\\n", dest: /root/harmless}']), "-i", inv)
    check("no systemd: a warning", r.code == 0 and "if the host is rebooted" in r.text() and "does not run systemd" in r.text(), r.text())
    same("… and nothing is left", (lab.sh("fine", LEFT), lab.sh("fine", "umount /run/systemd; cat /root/harmless")), ("", "y\n"))
done()

"""The modules reboot and wait_for_connection, on hosts that really go away and come back."""
import os
import signal
import time

from support import Lab, check, done, same, wait_for

SINCE = "cut -d' ' -f22 /proc/1/stat"


def play(tasks, hosts="all"):
    return f"- hosts: {hosts}\n  gather_facts: false\n  tasks:\n" + "".join(f"    - {t}\n" for t in tasks)


with Lab("reboot") as lab:
    lab.up("b1", "b2")
    inv = lab.inventory(f"[all]\nb1 ansible_host={lab.address('b1')} ansible_user=root\n"
                        f"b2 ansible_host={lab.address('b2')} ansible_user=deploy ansible_become=true\n", "hosts.ini")
    site = lab.write("site.yml", play((
        '{name: before, copy: {content: "x\\n", dest: /root/before}, notify: after}',
        '{name: reboot, reboot: {reboot_timeout: 60, msg: "it\'s $time"}, register: it}',
        "assert: {that: [it.rebooted, it.changed, it.elapsed < 60]}",
        "{name: since, command: sh -c 'tail -n +1 /root/before; touch /root/behind'}")) +
        "  handlers:\n    - {name: after, command: touch /root/handled}\n")
    since = {h: lab.sh(h, SINCE) for h in ("b1", "b2")}
    r = lab.provctl("apply", site, "-i", inv, "--json", "--check")
    same("check: a reboot is predicted", sorted(r.outcomes("changed")), [(h, t) for h in ("b1", "b2") for t in ("before", "reboot")])
    same("… and not done", {h: lab.sh(h, SINCE) for h in since}, since)
    r = lab.provctl("apply", site, "-i", inv, "--json")
    same("reboot: exit code 0", r.code, 0)
    for h in since:
        check(f"… {h} was rebooted", lab.sh(h, SINCE) != since[h], r.text())
        same(f"… what stands behind it was done on {h}, and the handler", lab.sh(h, "ls /root"), "before\nbehind\nhandled\n")
    since = lab.sh("b1", SINCE)
    r = lab.provctl("plan", site, "-i", inv, "--key", lab.key, "-v", "-l", "b1", "--out", lab.work / "plan")
    check("a plan lists it", "reboot" in r.out and r.code == 0, r.text())
    r = lab.provctl("apply", lab.work / "plan", key=False, pin=False)
    check("… and the plan's apply does it", r.code == 0 and lab.sh("b1", SINCE) != since, r.text())
    since = lab.sh("b1", SINCE)
    r = lab.provctl("drift")
    check("… it is no drift", r.code == 0, r.text())

    def one(text, *args, hosts="b1"):
        return lab.provctl("apply", lab.write("one.yml", play([text], hosts)), "-i", inv, *args)

    r = one("reboot: {reboot_command: 'true', reboot_timeout: 3}")
    check("a command that does not reboot: it has not gone down", r.code == 3 and "has not gone down yet" in r.text(), r.text())
    r = one("reboot: {reboot_command: 'echo no way >&2; exit 7'}")
    check("a command that fails: what it says", r.code == 3 and "the reboot command failed: no way" in r.text(), r.text())
    r = one("reboot: {search_paths: [/nowhere], boot_time_command: 'exit 1'}")
    check("a host that does not tell since when it is up", r.code == 3 and "cannot tell since when" in r.text(), r.text())
    same("… none of them rebooted it", lab.sh("b1", SINCE), since)
    r = one("reboot: {reboot_timeout: 8, test_command: 'echo not yet >&2; false', reboot_command: 'systemctl reboot'}", "-v")
    check("a test command that fails: back, but not ready", r.code == 3 and "not ready" in r.text() and "not yet" in r.text(), r.text())
    check("… it was rebooted", lab.sh("b1", SINCE) != since)
    lab.write("local.ini", "here ansible_connection=local\n")
    r = lab.provctl("apply", lab.write("one.yml", play(["reboot: {reboot_command: 'true'}"])), "-i", lab.work / "local.ini")
    check("this machine is not rebooted", r.code == 3 and "which is not rebooted" in r.text(), r.text())
    r = one("reboot: {reboot_timout: 3}")
    check("a wrong parameter is told before anything begins", "reboot_timeout" in r.text() and r.code == 1, r.text())

    # A host that is not there yet.
    lab.sh("b2", "systemctl stop ssh.socket 2>/dev/null; systemctl stop ssh")
    r = one("wait_for_connection: {timeout: 2}", hosts="b2")
    check("wait_for_connection: it ends", r.code == 3 and "could not be reached within 2 s" in r.text(), r.text())
    wait = lab.write("wait.yml", play(["{name: wait, wait_for_connection: {timeout: 60, connect_timeout: 2}}", "{name: up, command: 'true'}"], "b2"))
    p = lab.start("apply", wait, "-i", inv, "--json")
    wait_for("it waits", lambda: "wait.yml" in lab.provctl("status").out)
    time.sleep(1)
    check("… while nobody answers it waits", p.poll() is None)
    lab.sh("b2", "systemctl start ssh")
    out, err = p.communicate(timeout=60)
    check("… and goes on when the host is there", p.returncode == 0 and '"up"' in out, out + err)

    lab.sh("b2", "systemctl stop ssh")
    p = lab.start("apply", wait, "-i", inv)
    wait_for("it waits", lambda: "wait.yml" in lab.provctl("status").out)
    begin = time.monotonic()
    os.system(f"pkill -INT -f '^[^ ]*provctl apply {wait}'")
    p.communicate(timeout=60)
    check("interrupted while waiting: at once", p.returncode == 130 and time.monotonic() - begin < 5, f"{p.returncode} {time.monotonic() - begin}")
done()

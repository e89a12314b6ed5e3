"""What agentd/SECURITY.md promises: a host that lies, names that are options or code, sites that everybody can change,
weak algorithms, links and modes on a host.  The first part has an sshd of its own on loopback, the second a lab host."""
import json
import os
import pathlib
import pwd
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

from support import PROVCTL, Lab, check, done, same, wait_for

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "ssh"))
from test_ssh import Sshd, keygen       # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
TOP = pathlib.Path(tempfile.mkdtemp(prefix="provctl-threats-"))
TOP.chmod(0o755)        # sshd's user reads keys there
BAIT = TOP / "bait"
ENV = {k: v for k, v in os.environ.items() if not k.startswith("ANSIBLE_")}


def write(name, text, mode=0o644):
    path = TOP / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def provctl(*args, timeout=90, env=None, **kw):
    r = subprocess.run([PROVCTL, *map(str, args), "--state", str(TOP / "state.db")], capture_output=True, text=True,
                       stdin=subprocess.DEVNULL, timeout=timeout, env=env or ENV, errors="surrogateescape", **kw)
    check(f"… no crash (exit code {r.returncode})", r.returncode in range(0, 6) and "Sanitizer" not in r.stderr, r.stderr)
    return r


def play(tasks, name="play.yml", facts="false"):
    body = "\n".join("    " + line for line in tasks.strip("\n").splitlines())
    return write(name, f"- hosts: all\n  gather_facts: {facts}\n  tasks:\n{body}\n")


# ---- a host that lies ------------------------------------------------------------------------

KEY = keygen(str(TOP / "key"))


class Liar:
    def __init__(self, mode, *more):
        self.log = TOP / "liar.log"
        self.log.write_bytes(b"")
        command = f'{sys.executable} -B {HERE}/hostile.py "{mode}" {self.log} {BAIT} ' + " ".join(map(str, more))
        self.sshd = Sshd(str(TOP), "ForceCommand " + command, user_key=KEY)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.sshd.stop()

    def run(self, site, *args, **kw):
        (TOP / "state.db").unlink(missing_ok=True)
        inv = write("hosts.ini", f"liar ansible_host=127.0.0.1 ansible_port={self.sshd.port} ansible_user=root\n")
        return provctl("apply", site, "-i", inv, "--key", KEY, "--accept-new-host-keys", *args, **kw)


TEMPLATES = """
- command: echo x
  register: r
- debug: {msg: "{{ r.stdout }} {{ r.msg }} {{ r.stdout_lines | join(' ') }}"}
- debug: {var: r}
- set_fact: {kept: "{{ r.stdout }}", made: "{{ r.stdout ~ '' }}", listed: ["{{ r.stdout }}"], mapped: {a: "{{ r.stdout | upper | lower }}"}}
- debug: {msg: "{{ kept }} {{ made }} {{ listed }} {{ mapped }} {{ ansible_facts.evil }} {{ ansible_facts.deep[0].x }}"}
- debug: {msg: "{{ hostvars[inventory_hostname].kept }} {{ hostvars['liar'].r.stdout }}"}
- debug: {msg: "{{ item }}"}
  loop: "{{ r.stdout_lines + [r.stdout] }}"
- debug: {msg: "{{ lookup('vars', 'kept') }} {{ query('items', r.stdout_lines) }} {{ r.content | b64decode }} {{ r | to_json | from_json }}"}
- debug:
    msg: |
      several lines
      {{ r.stdout }}
- debug: {msg: x}
  when: r.stdout == 'never' or kept is search('lookup')
- debug: {msg: "{{ r.stdout }}"}
  vars: {again: "{{ r.stdout }}", more: "{{ again }}"}
  when: more | length > 0
- assert: {that: [r.stdout is search('pipe')], fail_msg: "{{ r.stdout }}", success_msg: "{{ r.stdout }}"}
- include_tasks: "{{ r.stdout }}"
  ignore_errors: true
- debug: {msg: x}
  when: "{{ r.stdout }}"
  ignore_errors: true
- fail: {msg: "{{ r.stdout }}"}
  ignore_errors: true
- command: "echo {{ r.stdout }}"
- template: {src: liar.j2, dest: /nowhere}
"""
write("templates/liar.j2", "{{ r.stdout }} {{ kept }} {% for x in r.stdout_lines %}{{ x }}{% endfor %}\n")
try:
    with Liar("templates") as liar:
        r = liar.run(play(TEMPLATES), "-vvv", "--diff")
        check("templates from a host stay text", "lookup('pipe'" in r.stdout and "1337" not in r.stdout and
              r.stdout.count("several lines") > 0, r.stdout + r.stderr)
        same("… all tasks were reached", liar.log.read_text().count("REQUEST"), 3)
        check("… and run nothing", not BAIT.exists())

    with Liar("facts") as liar:
        site = play("""
- command: "touch {0}"
- debug: {{msg: "{{{{ inventory_hostname }}}} {{{{ playbook_dir }}}} {{{{ groups.all }}}} {{{{ ansible_distribution }}}}"}}
- command: "touch {0}"
  become: true
  delegate_to: liar
""".format(BAIT), facts="true")
        r = liar.run(site, "-v")
        check("facts do not say how a host is reached", not BAIT.exists() and "liar " + str(TOP) in r.stdout, r.stdout + r.stderr)
        same("… everything went to the host", liar.log.read_text().split("\n")[:2], ["REQUEST setup", "REQUEST command"])
        # Facts that were kept are facts of a later run.
        r = liar.run(play(f'- command: "touch {BAIT}"'), "-v")
        check("… nor do kept ones", not BAIT.exists(), r.stdout)

    one = play('- command: "true"\n  register: r\n- debug: {msg: "{{ r.stdout | default(\'\') | length }}"}')
    for mode, codes in (("huge", (4,)), ("deep", (4,)), ("lying lengths", (4,)), ("no map", (4,)), ("junk", (4,)),
                        ("another's result", (4, 0)), ("twice", (4, 0)), ("half", (4,)), ("not text", (4, 0)), ("large", (0,))):
        with Liar(mode) as liar:
            start = time.monotonic()
            r = liar.run(one, "--json")
            check(f"a host that answers wrongly ({mode}): exit code {codes}", r.returncode in codes, r.stdout[-2000:] + r.stderr)
            check("… soon", time.monotonic() - start < 40)
    check("… the database keeps no more than a part", sum(p.stat().st_size for p in TOP.glob("state.db*")) < 4 << 20)
    same("… with bounded memory", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 900 << 10, True)

    timed = play('- command: "true"\n  timeout: 2')
    for mode in ("floods",):        # one that is silent: test_ssh.py, test_stopped_server
        with Liar(mode) as liar:
            start = time.monotonic()
            r = liar.run(timed, "-vv")
            check(f"a host that {mode}: an end within the deadline", r.returncode in (3, 4) and time.monotonic() - start < 60,
                  r.stdout[-1000:] + r.stderr[-1000:])
            check("… and nothing for the terminal to obey", "\x1b]" not in r.stdout and "\x1b[2J" not in r.stdout)
    with Liar("escapes") as liar:
        r = liar.run(play('- command: "true"'), "-vvv", "--color", "always")
        text = r.stdout + r.stderr + provctl("show", "last", "--color", "always").stdout
        check("control characters and direction marks are shown as what they are",
              not any(x in text for x in ("\x1b]", "\x1b[2J", "\u202e", "\x9b", "\x07")) and "owned" in text, ascii(text))

    secret = write("site-secret", "not for the host\n", 0o600)
    with Liar("wants", secret) as liar:
        r = liar.run(play('- copy: {content: offered, dest: /x}'), "-v")
        got = liar.log.read_text()
        check("a host gets no content that was not offered to it", "CONTENT" not in got and "not for" not in got, got + r.stdout)
    with Liar("data") as liar:
        r = liar.run(play(f'- command: "true"'), "-v")
        check("data that nobody asked for", r.returncode in (0, 4), r.stdout + r.stderr)
    victim = TOP / "victim"
    with Liar("fetch", victim) as liar:
        r = liar.run(play(f"- fetch: {{src: /etc/motd, dest: {TOP}/fetched}}"), "-v")
        same("fetch writes where the task says, whatever the host answers",
             sorted(str(p.relative_to(TOP)) for p in TOP.rglob("*") if p.is_file() and p.read_bytes() == b"contents\n"),
             ["fetched/liar/etc/motd"])
        for src in ("/../../x", "a/../../x", ".."):
            r = liar.run(play(f"- fetch: {{src: '{src}', dest: {TOP}/fetched2}}"), "-v")
            check(f"… never from {src}", r.returncode != 0 and not (TOP / "fetched2").exists(), r.stdout)

    # ---- names -----------------------------------------------------------------------------------

    ok = play('- command: "true"')
    for name in ("-oProxyCommand=touch${IFS}" + str(BAIT), "a;touch " + str(BAIT), "$(touch " + str(BAIT) + ")", "../../etc",
                 "`touch x`", "a\tb", "-l"):
        for key, text in (("name", {name: {}}), ("ansible_host", {"h": {"ansible_host": name}}),
                          ("ansible_user", {"h": {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_user": name}}),
                          ("become_user", {"h": {"ansible_connection": "local", "ansible_become": True, "ansible_become_user": name}}),
                          ("ProxyJump", {"h": {"ansible_host": "127.0.0.1", "ansible_ssh_common_args": f"-o ProxyJump={name}"}})):
            inv = write("names.yml", json.dumps({"all": {"hosts": text}}))
            r = subprocess.run([PROVCTL, "apply", ok, "-i", inv, "--state", TOP / "n.db", "--key", KEY], capture_output=True, text=True,
                               stdin=subprocess.DEVNULL, timeout=60, env=ENV, cwd=TOP)
            if r.returncode not in (1, 3, 4) or "Sanitizer" in r.stderr:
                check(f"{key} {name!r} is refused", False, r.stdout + r.stderr)
    check("names that are options, paths or code are refused, and run nothing", not BAIT.exists() and not (TOP / "x").exists())

    # ---- sites that everybody can change ---------------------------------------------------------

    site = TOP / "open"
    (site / "group_vars").mkdir(parents=True)
    (site / "roles/r/tasks").mkdir(parents=True)
    (site / "site.yml").write_text("- hosts: all\n  gather_facts: false\n  roles: [r]\n  tasks: [{debug: {msg: '{{ v }}'}}]\n")
    (site / "roles/r/tasks/main.yml").write_text(f"- template: {{src: t.j2, dest: {TOP}/out}}\n")
    (site / "roles/r/templates").mkdir()
    (site / "roles/r/templates/t.j2").write_text("x\n")
    (site / "group_vars/all.yml").write_text("v: 1\nansible_connection: local\n")
    (site / "inv.ini").write_text("h\n")

    def apply(**kw):
        return provctl("apply", site / "site.yml", "-i", site / "inv.ini", **kw)

    same("a site that is nobody else's: applied", apply().returncode, 0)
    for part in (".", "site.yml", "inv.ini", "group_vars", "group_vars/all.yml", "roles/r", "roles/r/tasks", "roles/r/tasks/main.yml",
                 "roles/r/templates/t.j2"):
        path = site / part
        mode = path.stat().st_mode
        path.chmod(mode | 0o002)
        r = apply()
        check(f"… {part} writable by everybody: refused", r.returncode in (1, 3) and "every user of this machine" in r.stdout + r.stderr, r.stdout + r.stderr)
        path.chmod(mode)
    (site / "site.yml").chmod(0o666)
    same("… unless one insists", apply(env=dict(ENV, PROVCTL_ALLOW_WRITABLE="1")).returncode, 0)
    (site / "site.yml").chmod(0o664)
    same("… groups may write", apply().returncode, 0)
    # In a directory like /tmp, another user puts variables beside our inventory.
    shared = TOP / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "inv.ini").write_text("h ansible_connection=local\n")
    (shared / "group_vars").mkdir()
    (shared / "group_vars/all.yml").write_text("v: planted\n")
    os.chown(shared / "group_vars", pwd.getpwnam("nobody").pw_uid, -1)
    os.chown(shared / "group_vars/all.yml", pwd.getpwnam("nobody").pw_uid, -1)
    r = provctl("apply", site / "site.yml", "-i", shared / "inv.ini")
    check("variables that another user put beside an inventory in /tmp: refused", r.returncode == 1 and "another user" in r.stderr, r.stderr)
    # What lies in the current directory counts for nothing but itself.
    (TOP / "cwd/group_vars").mkdir(parents=True)
    (TOP / "cwd/group_vars/all.yml").write_text("v: from-cwd\n")
    r = provctl("apply", site / "site.yml", "-i", site / "inv.ini", cwd=TOP / "cwd")
    check("variables of the current directory are not read", r.returncode == 0 and "from-cwd" not in r.stdout, r.stdout)
    (TOP / "cwd/ansible.cfg").write_text("[defaults]\nroles_path = /nowhere\nvault_password_file = /nowhere\n")
    (TOP / "cwd/ansible.cfg").chmod(0o666)
    same("… nor an ansible.cfg there that everybody can write", apply(cwd=TOP / "cwd").returncode, 0)

    # ---- weak algorithms -------------------------------------------------------------------------

    for option in ("KexAlgorithms diffie-hellman-group14-sha1", "KexAlgorithms diffie-hellman-group1-sha1",
                   "Ciphers chacha20-poly1305@openssh.com", "Ciphers aes128-cbc", "Ciphers aes128-ctr\nMACs hmac-sha1",
                   "Ciphers aes128-ctr\nMACs hmac-sha2-256-etm@openssh.com"):
        sshd = Sshd(str(TOP), option, user_key=KEY)
        inv = write("hosts.ini", f"weak ansible_host=127.0.0.1 ansible_port={sshd.port} ansible_user=root\n")
        r = provctl("apply", ok, "-i", inv, "--key", KEY, "--accept-new-host-keys")
        sshd.stop()
        check(f"{option.split(chr(10))[-1]}: refused, and said why", r.returncode == 4 and "no safe algorithm" in r.stdout + r.stderr,
              r.stdout + r.stderr)
    # ---- strict key exchange ---------------------------------------------------------------------

    sshd = Sshd(str(TOP), user_key=KEY, old=True)
    (TOP / "state.db").unlink(missing_ok=True)
    for value, code, text in (("", 4, "does not offer strict key exchange"), ("provctl_ssh_strict_kex=true", 4, "CVE-2023-48795"),
                              ("provctl_ssh_jump_strict_kex=false", 4, "provctl_ssh_strict_kex"),
                              ("provctl_ssh_strict_kex=perhaps", 4, "neither true nor false"), ("provctl_ssh_strict_kex=false", 0, "")):
        inv = write("hosts.ini", f"old ansible_host=127.0.0.1 ansible_port={sshd.port} ansible_user=root {value}\n")
        r = provctl("apply", ok, "-i", inv, "--key", KEY, "--accept-new-host-keys")
        check(f"an sshd without strict key exchange, {value or 'as it is'}: exit code {code}", r.returncode == code and
              text in r.stdout + r.stderr, r.stdout + r.stderr)
    for more in ((), ("--no-strict-kex",)):
        # Its key is taken with the option alone; what onboarding does then is for onboard.py.
        (TOP / "state.db").unlink(missing_ok=True)
        r = provctl("onboard", f"nobody@127.0.0.1:{sshd.port}", "--name", "old", "--accept-new-host-key", *more)
        check(f"onboard {' '.join(more)}: its key is {'taken' if more else 'not even looked at'}",
              ("pinned the host key" in r.stdout + r.stderr) == bool(more) and
              ("strict key exchange" in r.stdout + r.stderr) != bool(more), r.stdout + r.stderr)
    sshd.stop()
finally:
    shutil.rmtree(TOP, ignore_errors=True)

# ---- on a host ------------------------------------------------------------------------------------

with Lab("threat") as lab:
    lab.up("h1")
    inv = lab.hosts_inventory("h1", user="deploy")
    home = "/home/deploy"
    lab.sh("h1", "echo original >/etc/victim; chmod 600 /etc/victim; mkdir /srv/open; chmod 755 /srv/open")
    # A user who swaps what root works on for links, as fast as he can.
    racer = subprocess.Popen([str(HERE.parent / "lab/lab"), "exec", "h1", "su", "deploy", "-c", f"""
        mkdir -p {home}/t; cd {home}/t; while [ ! -e {home}/stop ]; do
        ln -sf /etc/victim f; ln -sf /etc/victim g; : >x; mv -f x f; mkdir d 2>/dev/null; rmdir d; ln -sfn /etc d; rm -f d; done"""],
                             env=lab.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # One who reads whatever he can while files are made.
    reader = subprocess.Popen([str(HERE.parent / "lab/lab"), "exec", "h1", "su", "deploy", "-c", f"""
        while [ ! -e {home}/stop ]; do for f in /srv/open/* /srv/open/.[!.]* /tmp/* /var/tmp/*; do
        [ -f $f ] && [ -r $f ] && case $(head -c 20 $f 2>/dev/null) in *only-for-root*) : >{home}/leak;; esac; done; done"""],
                              env=lab.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lab.write("big", "only-for-root " * 200000)
    site = lab.write("race.yml", f"""
- hosts: all
  gather_facts: false
  become: true
  tasks:
    - command: "true"
      loop: "{{{{ range(3) }}}}"
    - file: {{path: {home}/t, state: directory, recurse: true, owner: deploy, group: deploy, mode: "u=rwX,go=rX"}}
      loop: "{{{{ range(30) }}}}"
      ignore_errors: true
    - copy: {{content: "new {{{{ item }}}}\\n", dest: {home}/t/f, owner: deploy, mode: "0666"}}
      loop: "{{{{ range(30) }}}}"
      ignore_errors: true
    - copy: {{src: big, dest: "/srv/open/secret{{{{ item }}}}", mode: "0600"}}
      loop: "{{{{ range(20) }}}}"
    - command: {{cmd: id -un}}
      become_user: nobody
""")
    r = lab.provctl("apply", site, "-i", inv)
    lab.sh("h1", f"touch {home}/stop")
    for p in (racer, reader):
        p.wait(30)
    check("tasks in a user's directory went on", r.code in (0, 3), r.text())
    same("links that a user puts in root's way change nothing elsewhere",
         lab.sh("h1", "cat /etc/victim; stat -c %U:%G:%a /etc/victim; stat -c %U:%a /etc").split(),
         ["original", "root:root:600", "root:755"])
    same("a file of 0600 can at no time be read by others", lab.sh("h1", f"ls {home}/leak 2>/dev/null || echo none").strip(), "none")
    same("nothing is left in /tmp", lab.sh("h1", "find /tmp /var/tmp /srv/open -name '.*' -type f -o -path '*provctl*' -type f").strip(), "")
    check("what the executor keeps is not for others",
          lab.sh("h1", "find /var/lib/provctl /home/deploy/.cache/provctl -perm /077 ! -type l -print 2>/dev/null || true").strip() == "",
          lab.sh("h1", "find /var/lib/provctl /home/deploy/.cache/provctl -perm /077 ! -type l -ls 2>/dev/null", must=False))
    # Packages without a signature.
    lab.sh("h1", """mkdir -p /srv/repo/p/DEBIAN && cd /srv/repo &&
        printf 'Package: unsigned\\nVersion: 1\\nArchitecture: all\\nMaintainer: x <x@example.org>\\nDescription: x\\n' >p/DEBIAN/control &&
        dpkg-deb -b p unsigned_1_all.deb >/dev/null &&
        { cat p/DEBIAN/control; echo Filename: ./unsigned_1_all.deb; stat -c 'Size: %s' unsigned_1_all.deb;
          echo SHA256: $(sha256sum <unsigned_1_all.deb | cut -d' ' -f1); } >Packages &&
        echo 'deb file:/srv/repo ./' >/etc/apt/sources.list.d/unsigned.list""")
    site = lab.write("apt.yml", "- hosts: all\n  gather_facts: false\n  become: true\n  tasks:\n    - apt: {name: unsigned, update_cache: true}\n")
    r = lab.provctl("apply", site, "-i", inv)
    check("a package without a signature is not installed", r.code == 3 and
          "unsigned" not in lab.sh("h1", "dpkg-query -W -f '${Package}\\n'"), r.text())

    # The controller's own process and files.
    slow = lab.write("slow.yml", "- hosts: all\n  gather_facts: false\n  tasks:\n    - command: sh -c 'echo begun; env | grep -c SSH_AUTH_SOCK; sleep 3'\n      register: r\n      failed_when: false\n    - debug: {var: r.stdout_lines}\n")
    agent = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True).stdout
    sock = agent.split("SSH_AUTH_SOCK=")[1].split(";")[0]
    lab.env["SSH_AUTH_SOCK"] = sock
    p = lab.start("apply", slow, "-i", inv, "--json")
    pid = wait_for("provctl runs", lambda: subprocess.run(["pgrep", "-nf", f"^{PROVCTL} apply {slow}"], capture_output=True, text=True).stdout.strip())
    proc = pathlib.Path("/proc") / (pid or "self")
    check("no core dumps", wait_for("its limits are set", lambda: re.search(
        r"core file size +0 +0 ", (proc / "limits").read_text())))
    out, err = p.communicate(timeout=60)
    os.kill(int(agent.split("SSH_AGENT_PID=")[1].split(";")[0]), 15)
    check("the agent is not forwarded", '"0"' in out and "begun" in out, out + err)
    modes = {str(q.relative_to(lab.work)): oct(q.stat().st_mode & 0o777) for q in lab.work.glob("state.db*")}
    same("the database and what belongs to it are for its user alone", [m for m in modes.values() if m != "0o600"], [])
    # A host that was forgotten is unknown: its key must be confirmed again, and nothing of it is used.
    check("a forgotten host's key counts no more", lab.provctl("host", "forget", "h1").code == 0 and
          lab.provctl("apply", slow, "-i", inv, pin=False).code == 4)
done()

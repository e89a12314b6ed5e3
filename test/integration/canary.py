"""A site full of secrets, applied with every output, verbosity, diff and failure: none of them turns up where it should not.

Looked at: what was printed (text, JSON, a terminal), each page of the status page, the database with its log, every command line and environment on the
machine while it runs (the host's processes are among them), and every file of the host's disk and of the controller that is
not meant to hold a secret.  Each secret is looked for in all the forms that run/censor.c knows.
"""
import base64
import html
import json
import os
import pathlib
import pty
import re
import resource
import shlex
import signal
import subprocess
import threading
import urllib.parse
import urllib.request

from support import PROVCTL, Lab, check, done, same, wait_for

NAMES = ("vaulted", "vaultstring", "fromenv", "fromfile", "frompass", "fromprogram", "marked", "extra", "nolog", "nested", "prompted")
IN_SITE = NAMES[:-1]
# Every kind of quoting changes it, and no two have more in common than 4 bytes.
SECRETS = {n: f"{n[::-1]}{i}'q\"/ü+ &$x\\{n}" for i, n in enumerate(NAMES)}
KEY = "-----BEGIN CANARY KEY-----\n" + "\n".join(
    base64.b64encode(bytes((i * 7 + j * 13) % 256 for j in range(48))).decode() for i in range(20)) + "\n-----END CANARY KEY-----\n"


def forms(s):
    raw = s.encode()
    found = {raw, json.dumps(s)[1:-1].encode(), json.dumps(s, ensure_ascii=False)[1:-1].encode(), repr(s)[1:-1].encode(),
             urllib.parse.quote(s).encode(), urllib.parse.quote(s, "").encode(), urllib.parse.quote_plus(s).encode(),
             shlex.quote(s)[1:-1].encode(), raw.replace(b"'", b"'\\''"), s.upper().encode()}
    for before in range(3):
        b = base64.b64encode(b"\0" * before + raw)
        found.add(b[(before * 8 + 5) // 6:(before + len(raw)) * 8 // 6])
    return found


NEEDLES = [(n, f) for n, s in SECRETS.items() for f in forms(s)] + \
          [("key", f) for line in KEY.splitlines()[1:-1] for f in forms(line)]


def secrets_in(data):
    if isinstance(data, str):
        data = data.encode(errors="surrogateescape")
    return sorted({n for n, f in NEEDLES if f in data})


class Watch(threading.Thread):
    """Looks at all processes of the machine, over and over."""

    def __init__(self):
        super().__init__()
        self.over = threading.Event()
        self.found, self.rounds, self.seen = set(), 0, set()

    def run(self):
        while not self.over.is_set():
            for p in pathlib.Path("/proc").glob("[0-9]*"):
                if int(p.name) == os.getpid():
                    continue
                for part in ("cmdline", "environ"):
                    try:
                        data = (p / part).read_bytes()
                        who = (p / "comm").read_text().strip()
                    except OSError:
                        continue
                    self.seen.add(who)
                    for name in secrets_in(data):
                        # What the person put there for us to read.
                        if not (part == "environ" and name == "fromenv"):
                            self.found.add(f"{name} in {part} of {who}")
            self.rounds += 1


def files_with_secrets(top, allowed):
    bad = []
    for folder, dirs, names in os.walk(top):
        for n in names:
            path = os.path.join(folder, n)
            if any(path.startswith(str(a)) for a in allowed) or not os.path.isfile(path) or os.path.islink(path):
                continue
            with open(path, "rb") as f:
                hits = secrets_in(f.read())
            if hits:
                bad.append(f"{path}: {hits}")
    return bad


SITE = """
- name: secrets everywhere
  hosts: all
  gather_facts: true
  become: true
  vars:
    provctl_secrets:
      fromenv: {env: CANARY}
      fromfile: {file: plain/file}
      frompass: {pass: canary/entry}
      fromprogram: {command: [plain/program, get]}
    url: "postgres://u:{{ vaulted | urlencode }}@db/x"
    all_of_them: [FROMS]
  vars_files: [vars.yml]
  tasks:
    - file: {path: /root/meant, state: directory, mode: "0700"}
    - name: into files
      copy: {content: "a={{ item }}\\nplain line\\n", dest: "/root/meant/{{ index }}", mode: "0600"}
      loop: "{{ all_of_them }}"
      loop_control: {index_var: index}
    - name: a key
      copy: {content: "{{ key }}", dest: /root/meant/key, mode: "0600"}
    - name: a template
      template: {src: t.j2, dest: /root/meant/t, mode: "0600"}
    - name: lines
      lineinfile: {path: /root/meant/t, line: "password={{ vaultstring }}"}
    - name: a block
      blockinfile: {path: /root/meant/t, block: "x {{ nested.deep[0] }}\\ny {{ fromfile }}"}
    - name: replaced
      replace: {path: /root/meant/t, regexp: "plain", replace: "{{ frompass | regex_replace('\\\\\\\\', '\\\\\\\\\\\\\\\\') }}"}
    - name: through a program's input and back
      command: {cmd: cat, stdin: "{{ item }}"}
      loop: "{{ all_of_them + [key] }}"
      register: back
    - debug: {var: back}
    - name: in other forms
      command:
        cmd: cat
        stdin: |
          {{ vaulted | b64encode }} {{ ('x' ~ fromenv) | b64encode }} {{ ('xy' ~ frompass ~ 'z') | b64encode }}
          {{ vaultstring | urlencode }} {{ url }} {{ fromfile | quote }} {{ marked | to_json }} {{ extra | upper }}
          {{ key | b64encode }}
          {{ {'a': nested} | to_nice_yaml }} {{ vaulted | hash('sha256') }}
      register: other
    - debug: {msg: "{{ other.stdout_lines }}"}
    - debug: {msg: "{{ other.stdout | b64encode }} {{ other.stdout[::2] }}"}
    - set_fact: {derived: "{{ vaulted }} and {{ extra }}", cacheable: true}
    - debug: {var: derived}
    - debug: {msg: "{{ hostvars[inventory_hostname] | to_json | b64encode }}"}
    - name: a task that hides its result
      command: {cmd: cat, stdin: "SECRET_NOLOG"}
      no_log: true
      register: hidden
    - debug: {var: hidden.stdout}
    - name: a slow one
      command: {cmd: sh -c 'cat; sleep 1', stdin: "{{ fromprogram }}"}
    - name: a user
      user: {name: canary, password: "{{ vaulted | password_hash('sha512', 'saltsaltsalt') }}", comment: nobody}
    - debug: {msg: in plain sight}
    - setup: {}
    - name: "name with {{ vaulted }}"
      debug: {msg: x}
    - name: refused arguments
      file: {path: /root/x, state: "{{ vaulted }}"}
      ignore_errors: true
    - name: another type
      command: {cmd: "true", chdir: "/nowhere/{{ fromenv | hash('md5') }}", creates: "{{ [extra] }}"}
      ignore_errors: true
    - name: an error of a template
      debug: {msg: "{{ vaulted | int('x') | from_json }} {{ (fromfile ~ '{') | from_json }}"}
      ignore_errors: true
    - name: an assertion
      assert: {that: "vaulted == 'no'", fail_msg: "it is {{ vaulted }} and {{ frompass }}"}
      ignore_errors: true
    - name: a request with a password
      uri: {url: "http://127.0.0.1:1/?q={{ vaulted | urlencode }}", url_username: u, url_password: "{{ fromenv }}",
            headers: {X-Token: "{{ frompass | b64encode }}"}}
      ignore_errors: true
      when: not ansible_check_mode
    - name: it is said on the way
      shell: {cmd: 'while read -r x; do echo "$x"; sleep 0.2; done; exit 3', stdin: "{{ vaulted }}\\n{{ extra }}\\n"}
      ignore_errors: true
    - name: asked again
      command: {cmd: cat, stdin: "{{ frompass }}"}
      register: again
      until: again.stdout == ''
      retries: 1
      delay: 0
      ignore_errors: true
    - block:
        - name: rescued
          fail: {msg: "no {{ nested.deep[0] }}"}
      rescue:
        - debug: {msg: "{{ ansible_failed_result.msg }} of {{ ansible_failed_task.name }}"}
    - name: handlers
      command: "true"
      notify: "handle"
    - meta: flush_handlers
    - name: the end
      fail: {msg: "the end with {{ vaulted }} {{ key }}"}
  handlers:
    - name: handle
      command: {cmd: cat, stdin: "{{ marked }}"}
"""

PROMPT = """
- hosts: all
  become: true
  vars_prompt:
    - {name: prompted, prompt: "The word"}
  tasks:
    - copy: {content: "{{ prompted }}\\nplain line\\n", dest: /root/meant/prompted, mode: "0600"}
    - debug: {msg: "{{ prompted }}"}
    - command: {cmd: cat, stdin: "{{ prompted | b64encode }} {{ prompted | quote }} {{ prompted }}"}
      register: back
    - debug: {var: back}
    - fail: {msg: "no {{ prompted }}"}
"""


def on_terminal(argv, env, answers):
    """The status, and what was shown; each key of answers that is shown is answered."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe(argv[0], argv, env)
    seen = b""
    try:
        while data := os.read(fd, 65536):
            seen += data
            for prompt in [p for p in answers if p in seen]:
                os.write(fd, answers.pop(prompt) + b"\r")
    except OSError:
        pass            # how a terminal ends
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen


def pages(lab):
    """Each page of the status page that can be reached by links."""
    token_file = lab.work / "page.token"
    p = subprocess.Popen([PROVCTL, "page", "--listen", "127.0.0.1:0", "--token-file", token_file, "--state",
                          lab.work / "state.db"], stderr=subprocess.PIPE, text=True)
    try:
        top = re.search(r"http://127\.0\.0\.1:\d+", p.stderr.readline())[0]
        headers = {"Authorization": "Bearer " + token_file.read_text().strip()}
        seen, todo = {}, ["/", "/metrics"]
        while todo and len(seen) < 1000:
            path = todo.pop()
            with urllib.request.urlopen(urllib.request.Request(top + path, headers=headers), timeout=20) as r:
                seen[path] = r.read().decode()
            todo += {x for x in map(html.unescape, re.findall(r'(?:href|src)="(/[^"#]*)', seen[path]))} - {*seen, *todo}
        return seen
    finally:
        p.terminate()
        p.communicate(timeout=30)


def vault(lab, name, text):
    r = subprocess.run([PROVCTL, "vault", "encrypt-string", name, "--vault-password-file", lab.work / "vault-pw"],
                       input=text, capture_output=True, text=True, check=True)
    return r.stdout


def crash(pid):
    """SIGSEGV, with as large a core file allowed as can be."""
    most = resource.prlimit(pid, resource.RLIMIT_CORE)[1]
    resource.prlimit(pid, resource.RLIMIT_CORE, (most, most))
    os.kill(pid, signal.SIGSEGV)
    status = os.waitpid(pid, 0)[1]
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSEGV and not os.WCOREDUMP(status)


def crashes(lab, env, common):
    """Whatever holds secrets crashes: no core file, on either side. The kernel's core_pattern stays as it is."""
    crashed = subprocess.Popen(["sleep", "60"], cwd=lab.work)
    check("a program that is not ours leaves a core file here", not crash(crashed.pid))
    for f in lab.work.glob("core*"):
        f.unlink()
    # Crashed on the host, first as root, then as the user who logs in; then here.
    lab.sh("h1", """cat >/root/crash <<'END'
touch /root/since
for p in /proc/[0-9]*; do case $(readlink $p/exe) in */provctl/executor/*)
echo "$(stat -c %u $p) $(stat -c %U $p/environ)" $(grep -c . $p/maps); prlimit --pid ${p#/proc/} --core=unlimited:unlimited; victims="$victims ${p#/proc/}";; esac; done
kill -SEGV $victims
END
cd /root; sh -c 'ulimit -c unlimited; sleep 60 & kill -SEGV $!; wait $!'; ls /root/core*; rm /root/core*""")
    for become in ("true", "false"):
        site = lab.write("crash.yml", f"- hosts: all\n  gather_facts: false\n  become: {become}\n  vars_files: [vars.yml]\n  tasks:\n"
                         "    - command: {cmd: sleep 60, stdin: '{{ vaulted }}'}\n")
        argv = [str(pathlib.Path(__file__).parents[1] / "lab/lab"), "run", PROVCTL, "apply", site, *map(str, common), "--state", lab.work / "crash.db"]
        for here in (False, True):
            p = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=lab.work)
            wait_for("the task runs", lambda: "sleep" in lab.sh("h1", "cat /proc/[0-9]*/comm 2>/dev/null; true").split())
            if here:
                check("a provctl that crashes leaves no core file", crash(p.pid))
            else:
                seen = lab.sh("h1", ". /root/crash").split("\n")[:-1]
                check(f"executors that crash (become: {become}): they are root's to look into",
                      len(seen) >= 2 and all(x.split()[1] == "root" for x in seen), seen)
                same("… the run ends", p.wait(60), 4)
                same("… and no core file is left", lab.sh("h1", "find / -xdev -newer /root/since -name 'core*' -type f; rm -f /root/since"), "")
            lab.sh("h1", "for p in /proc/[0-9]*; do [ $(cat $p/comm) = sleep ] && kill ${p#/proc/}; done 2>/dev/null; true")
    agentd = subprocess.Popen([pathlib.Path(PROVCTL).parents[1] / "agentd/serve/agentd", "--provctl", PROVCTL, "--state",
                               lab.work / "agentd.db", "--socket",
                               lab.work / "agentd.sock"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=lab.work)
    wait_for("agentd listens", (lab.work / "agentd.sock").exists)
    check("an agentd that crashes leaves no core file", crash(agentd.pid))
    same("… nowhere", [str(f) for f in lab.work.glob("core*")], [])


with Lab("canary") as lab:
    lab.up("h1")
    lab.write("vault-pw", "the password of the vault").chmod(0o600)
    s = SECRETS
    lab.write("vars.yml", f"vaulted: {json.dumps(s['vaulted'])}\nnested: {{deep: [{json.dumps(s['nested'])}]}}\n"
                          f"key: {json.dumps(KEY)}\n")
    subprocess.run([PROVCTL, "vault", "encrypt", lab.work / "vars.yml", "--vault-password-file", lab.work / "vault-pw"], check=True)
    lab.write("group_vars/all.yml", vault(lab, "vaultstring", s["vaultstring"]) +
              f"marked: \"{{{{ lookup('file', 'plain/marked') }}}}\"\nprovctl_secrets: [marked, extra]\n")
    lab.write("plain/marked", s["marked"])
    lab.write("plain/file", s["fromfile"] + "\n")
    lab.write("plain/extra.yml", f"extra: {json.dumps(s['extra'])}\n")
    lab.write("plain/program.txt", s["fromprogram"])
    lab.write("plain/program", '#!/bin/sh\n[ "$1" = get ] && exec cat "$(dirname "$0")/program.txt"\n').chmod(0o755)
    lab.write("plain/pass.txt", s["frompass"] + "\nuser: me\n")
    lab.write("plain/bin/pass", '#!/bin/sh\n[ "$*" = "show canary/entry" ] && exec cat "$(dirname "$0")/../pass.txt"\n').chmod(0o755)
    lab.write("templates/t.j2", "plain\n{% for x in all_of_them %}\nv = {{ x }}\n{% endfor %}\n{{ key | b64encode }}\n")
    names = ", ".join(f'"{{{{ {n} }}}}"' for n in IN_SITE if n not in ("nolog", "nested"))
    text = SITE.replace("[FROMS]", f"[{names}]").replace('"SECRET_NOLOG"', json.dumps(s["nolog"]))
    site = lab.write("site.yml", text)

    become = lab.write("plain/become", (lab.state / "admin-password").read_text())
    NEEDLES += [("become", become.read_text().strip().encode())]
    inv = lab.hosts_inventory("h1", user="admin")
    env = dict(lab.env, CANARY=s["fromenv"], PATH=f"{lab.work}/plain/bin:{os.environ['PATH']}")
    common = ("-i", inv, "--vault-password-file", lab.work / "vault-pw", "-e", f"@{lab.work}/plain/extra.yml",
              "--become-password-file", become, "--key", lab.key, "--accept-new-host-keys")
    watch = Watch()
    watch.start()

    def run(what, *args, codes=(0,), tty=False, answers=None):
        argv = [str(pathlib.Path(__file__).parents[1] / "lab/lab"), "run", PROVCTL, *map(str, args), "--state",
                str(lab.work / "state.db")]
        if tty:
            code, out = on_terminal(argv, env, answers or {})
        else:
            r = subprocess.run(argv, env=env, capture_output=True, stdin=subprocess.DEVNULL, timeout=300)
            code, out = r.returncode, r.stdout + r.stderr
        check(f"{what}: ends with {codes}", code in codes, out.decode(errors="replace"))
        same(f"{what}: no secret in {len(out)} bytes of output", secrets_in(out), [])
        return out.decode(errors="replace")

    try:
        run("check", "check", site, *common, "-vvv", "--diff", codes=(3,))
        out = run("apply", "apply", site, *common, "-vvv", "--diff", "--json", codes=(3,))
        events = [json.loads(x) for x in out.splitlines() if x.startswith("{")]
        last = [e["task"] for e in events if e["event"] == "task_end" and e["outcome"] == "failed"]
        same("… it got to its end", last, ["the end"])
        check("… what is no secret is shown", "in plain sight" in out, out)
        holds = lab.sh("h1", "cat /root/meant/*")
        same("… and the files hold what they should", sorted(set(secrets_in(holds)) - {"become"}),
             sorted([*(n for n in IN_SITE if n != "nolog"), "key"]))
        run("apply on a terminal", "apply", site, *common, "-vv", "--diff", codes=(3,), tty=True)
        run("apply, plain", "apply", site, *common, codes=(3,))
        run("apply with a private prompt", "apply", lab.write("prompt.yml", PROMPT), *common, "-vvv", "--diff", codes=(3,),
            tty=True, answers={b"The word": s["prompted"].encode()})
        same("… whose answer came to the host", secrets_in(lab.sh("h1", "cat /root/meant/prompted")), ["prompted"])
        run("plan", "plan", site, *common, "--diff", "--out", lab.work / "saved.plan", codes=(2, 3))
        run("drift", "drift", codes=(0, 2, 3))
        for args in (("sites",), ("history",), ("history", "--json"), ("show", "last", "--diff"), ("show", "last", "--json"),
                     ("show", "1", "--diff"), ("show", "2", "--diff"), ("facts", "h1"), ("status",), ("status", "--json"),
                     ("host", "list"), ("host", "show", "h1"), ("show", "4", "--diff"), ("show", "5", "--diff")):
            run(" ".join(args), *args, codes=(2,) if args[0] == "status" else (0,))
        seen = pages(lab)
        same(f"no secret in {len(seen)} pages of the status page",
             {path: x for path, text in seen.items() if (x := secrets_in(text + html.unescape(text)))}, {})
        check("… results among them, with what is no secret", sum(path.startswith("/results/") for path in seen) > 20 and
              any("in plain sight" in text for text in seen.values()), sorted(seen))
    finally:
        watch.over.set()
        watch.join()
    same(f"none on a command line or in an environment ({watch.rounds} looks)", sorted(watch.found), [])
    check("… provctl, its executor, sudo and sleep were among the processes", {"provctl", "sudo", "sleep"} <= watch.seen,
          sorted(watch.seen))

    db = b"".join(p.read_bytes() for p in lab.work.glob("state.db*"))
    same(f"none in the database and its log ({len(db)} bytes)", secrets_in(db), [])
    strings = subprocess.run(["sqlite3", lab.work / "state.db", ".dump"], capture_output=True).stdout if \
        pathlib.Path("/usr/bin/sqlite3").exists() else b""
    same("none in its rows", secrets_in(strings), [])
    same("none in files of the controller", files_with_secrets(lab.work, [lab.work / "plain", site]), [])
    made = [f for pattern in ("state.db*", "saved.plan", "page.token", "id_*") for f in lab.work.glob(pattern)]
    same(f"what provctl made here ({len(made)} files) is for its user alone", [f.name for f in made if f.stat().st_mode & 0o077], [])
    root = lab.state / "h/h1/root"
    check("… the search does find those that are meant to be there", len(files_with_secrets(root / "root/meant", [])) > 8)
    # Before-images are as secret as the files they are of: root's alone.
    before = root / "var/lib/provctl/before"
    same("none in files of the host", files_with_secrets(root, [root / "root/meant", root / "proc", root / "sys",
                                                                root / "etc/shadow", before]), [])
    check("before-images are for root alone", not before.exists() or
          lab.sh("h1", "find /var/lib/provctl/before -perm /077").strip() == "")
    held = lab.sh("h1", "getent shadow canary")
    crashes(lab, env, common)
    check("the user has his password's hash", "$saltsaltsalt$" in held, held)
    same("… which is in no output either", held.split(":")[1].encode() in db, False)
done()

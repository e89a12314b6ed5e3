"""Drift on real hosts: what somebody changed is told from what is intended, corrected alone, from the site as it was
applied; plans are applied exactly or not at all; retry goes on with the site as it was."""
import json

from support import Lab, check, done, same

SECRET = "hunter2-correct-horse"
SITE = f"""
- hosts: all
  gather_facts: false
  vars: {{password: !unsafe "{SECRET}"}}
  roles: [app]
"""
TASKS = """
- name: config
  template: {src: app.conf.j2, dest: /etc/app.conf, mode: "0640"}
  notify: restart
- name: pages
  copy: {src: "{{ item }}", dest: "/srv/{{ item }}"}
  loop: [a.html, b.html]
- name: secret
  copy: {content: "{{ password }}\\n", dest: /etc/app.secret, mode: "0600"}
  no_log: true
- name: door
  stat: {path: /srv/shut}
  register: shut
- name: open
  fail: {msg: the door is shut}
  when: shut.stat.exists
- name: motd
  copy: {content: "welcome\\n", dest: /etc/motd}
"""


def rows(r):
    """(host, task, item, now) of `drift --list --json`."""
    return sorted((d["host"], d["task"], d["item"], d["how"]) for d in json.loads(r.out))


def changes(r):
    """(host, task, class) of `plan --json`."""
    return sorted((c["host"], c["task"], c["class"]) for c in json.loads(r.out)["changes"])


with Lab("drift") as lab:
    lab.up("h1", "h2")
    inv = lab.hosts_inventory("h1", "h2", extra=f"ansible_ssh_private_key_file={lab.key}")
    site = lab.write("site.yml", SITE)
    role = {"templates/app.conf.j2": "level = 1\nhost = {{ inventory_hostname }}\n", "tasks/main.yml": TASKS,
            "files/a.html": "a\n", "files/b.html": "b\n",
            "handlers/main.yml": "- name: restart\n  command: sh -c 'echo x >> /srv/restarts'\n"}
    for name, text in role.items():
        lab.write(f"roles/app/{name}", text)

    def both(command):
        return [lab.sh(h, command) for h in ("h1", "h2")]

    def plain(*args):
        return lab.provctl(*args, key=False, pin=False)

    r = plain("plan", site, "-i", inv, "--json")
    check("a host that was never met is not planned for", r.code == 4 and not json.loads(r.out)["changes"], r.text())
    r = lab.provctl("apply", site, "-i", inv)
    same("apply: exit code 0", r.code, 0)
    r = plain("drift")
    same("just applied: nothing has drifted", r.code, 0)

    # Somebody edits a file, another changes a mode, a third removes a page.
    lab.sh("h1", "sed -i s/1/7/ /etc/app.conf")
    lab.sh("h2", "chmod 644 /etc/app.conf; rm /srv/b.html")
    expected = [("h1", "app : config", "", None), ("h2", "app : config", "", None), ("h2", "app : pages", "b.html", None)]
    r = plain("drift", "-l", "h2")
    same("drift of one host: exit code 2", r.code, 2)
    same("… only that one is looked at", rows(plain("drift", "--list", "--json")), expected[1:])
    r = plain("drift", "--diff")
    same("drift: exit code 2", r.code, 2)
    check("… each line says why", "corrective" in r.out and "intentional" not in r.out, r.text())
    check("… with the difference", "-level = 7" in r.out and "+level = 1" in r.out, r.text())
    r = plain("drift", "--list", "--json")
    same("… it is on record", rows(r), expected)
    same("… since when, and how often it was seen", [d["seen"] for d in json.loads(r.out)], [1, 2, 2])
    same("drift changes nothing", both("cat /srv/restarts"), ["x\n", "x\n"])

    # Meanwhile the site is edited: that is no drift, and no correction.
    lab.write("roles/app/templates/app.conf.j2", "level = 2\nhost = {{ inventory_hostname }}\n")
    lab.write("roles/app/files/a.html", "new a\n")
    r = plain("plan", site, "-i", inv, "--json")
    same("plan: exit code 2", r.code, 2)
    same("… tells the classes", changes(r), [
        ("h1", "app : config", "intentional"), ("h1", "app : pages", "intentional"),
        ("h2", "app : config", "intentional"), ("h2", "app : pages", "corrective"),
        ("h2", "app : pages", "intentional")])
    r = plain("drift", "--correct", site)
    same("correct: exit code 0", r.code, 0)
    same("… the host is as it was applied, not as the site is now", both("cat /etc/app.conf /srv/a.html /srv/b.html"),
         ["level = 1\nhost = h1\na\nb\n", "level = 1\nhost = h2\na\nb\n"])
    same("… modes too", both("stat -c %a /etc/app.conf"), ["640\n", "640\n"])
    same("… handlers ran", both("cat /srv/restarts"), ["x\nx\n", "x\nx\n"])
    same("… the record says so", rows(plain("drift", "-v", "--list", "--json")), [x[:3] + ("corrected",) for x in expected])
    r = plain("drift", "--json")
    same("a second look finds nothing", (r.code, [e["outcome"] for e in r.events if e.get("class")]), (0, []))

    # A plan is applied exactly, or not at all.
    plan = lab.work / "p.plan"
    r = plain("plan", site, "-i", inv, "--out", plan)
    same("plan --out: exit code 2", r.code, 2)
    same("… for its owner alone", plan.stat().st_mode & 0o777, 0o600)
    lab.sh("h2", "echo level = 3 > /etc/app.conf")
    r = plain("apply", plan)
    same("a host has changed since: refused", r.code, 1)
    check("… says which and what", "'h2' has changed since the plan was made: 'app : config'" in r.err, r.text())
    same("… nothing was changed, not on the other host either", both("head -1 /etc/app.conf"), ["level = 1\n", "level = 3\n"])
    lab.sh("h2", "printf 'level = 1\\nhost = h2\\n' > /etc/app.conf")
    lab.write("roles/app/files/b.html", "new b\n")
    r = plain("apply", plan)
    check("the site has changed since: refused, naming the file", r.code == 1 and "files/b.html" in r.err, r.text())
    lab.write("roles/app/files/b.html", "b\n")
    r = plain("apply", plan, "--limit", "h1")
    same("other options do not go with a plan", r.code, 1)
    r = plain("apply", plan, "--json")
    same("applied: exit code 0", r.code, 0)
    same("… exactly that", sorted(r.outcomes("changed")),
         [(h, f"app : {task}") for h in ("h1", "h2") for task in ("config", "pages", "restart")])
    same("… it is there", both("cat /etc/app.conf /srv/a.html"), ["level = 2\nhost = h1\nnew a\n", "level = 2\nhost = h2\nnew a\n"])
    same("… and is what drift is told from", plain("drift").code, 0)
    same("… a plan finds nothing to do", plain("plan", site, "-i", inv).code, 0)
    same("… the old plan is refused", plain("apply", plan).code, 1)
    text = plan.read_text().replace("intentional", "corrective")
    plan.write_text(text)
    r = plain("apply", plan)
    check("a plan that was edited is refused", r.code == 1 and "no plan of this state database" in r.err, r.text())

    # What failed is tried again as it was, though the site's files are broken by now.
    lab.sh("h2", "touch /srv/shut; rm /etc/motd")
    same("a failure: exit code 3", lab.provctl("apply", site, "-i", inv).code, 3)
    lab.sh("h2", "rm /srv/shut")
    lab.write("roles/app/tasks/main.yml", "- name: [half edited\n")
    same("retry --current reads what is there", plain("retry", "--current").code, 1)
    r = plain("retry")
    same("retry: exit code 0", r.code, 0)
    same("… the site as it was", lab.sh("h2", "cat /etc/motd"), "welcome\n")
    (lab.work / "roles/app/tasks/main.yml").unlink()
    r = plain("drift")
    same("drift needs no files", r.code, 0)

    # What is kept can be looked at, and holds no secret in clear.
    r = plain("sites", "show", "1", "app.conf.j2")
    same("sites show: the file as it was", r.out, role["templates/app.conf.j2"])
    r = plain("sites", "export", "1", lab.work / "out")
    same("sites export", (lab.work / f"out{site.resolve()}").read_text(), SITE)
    raw = b"".join(p.read_bytes() for p in lab.work.glob("state.db*")) + plan.read_bytes()
    check("no secret in the database or the plan", SECRET.encode() not in raw)
    check("no content of the site either", b"level = {{" not in raw and b"host = {{ inventory" not in raw)
done()

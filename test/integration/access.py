"""Ways to a host: users, sudo with and without a password, become_user, jump hosts, ssh_config."""
from support import Lab, check, done, same

WHO = """
- hosts: all
  gather_facts: false
  tasks:
    - name: as the login user
      command: id -un
      register: me
      changed_when: false
    - name: as root
      command: id -un
      become: true
      register: root
      changed_when: false
    - name: as nobody
      command: sh -c 'id -un; echo $HOME; pwd'
      become: true
      become_user: nobody
      register: nobody
      changed_when: false
    - name: a file of nobody's
      copy: {content: "x\\n", dest: /tmp/nobodys, mode: "0600"}
      become: true
      become_user: nobody
    - debug:
        msg: "{{ me.stdout }} {{ root.stdout }} {{ nobody.stdout_lines[0] }}"
"""

with Lab("acc") as lab:
    lab.up("h1", "h2")
    site = lab.write("who.yml", WHO)

    def said(r):
        return [e["result"]["msg"] for e in r.ends() if e.get("module") == "debug"]

    r = lab.provctl("apply", site, "-i", lab.hosts_inventory("h1"), "--json")
    same("as root", said(r), ["root root nobody"])
    same("… a file made as another user is his", lab.sh("h1", "stat -c %U:%a /tmp/nobodys").strip(), "nobody:600")
    r = lab.provctl("apply", site, "-i", lab.hosts_inventory("h1", user="deploy"), "--json")
    same("as a user with sudo", said(r), ["deploy root nobody"])
    same("… the second time changes nothing", r.outcomes("changed"), [])

    password = (lab.state / "admin-password").read_text().strip()
    good = lab.write("become-password", password + "\n")
    good.chmod(0o600)
    admin = lab.hosts_inventory("h1", user="admin")
    r = lab.provctl("apply", site, "-i", admin, "--json", "--become-password-file", good)
    same("sudo with a password", said(r), ["admin root nobody"])
    check("… which is in no output", password not in r.out + r.err)
    r = lab.provctl("apply", site, "-i", admin)
    check("sudo without the password it needs is an error that says so", r.code in (3, 4) and
          "password" in (r.out + r.err).lower(), r.text())
    bad = lab.write("bad-password", "not-the-password\n")
    r = lab.provctl("apply", site, "-i", admin, "--become-password-file", bad)
    check("a wrong sudo password is an error that says so", r.code in (3, 4) and
          "password" in (r.out + r.err).lower(), r.text())

    inv = lab.inventory(f"""[all]
h2 ansible_host={lab.address('h2')} ansible_user=root ansible_ssh_common_args='-o ProxyJump=root@{lab.address('h1')}'
""", "jump.ini")
    r = lab.provctl("apply", site, "-i", inv, "--json")
    same("through a jump host", said(r), ["root root nobody"])

    # The executor is uploaded once; the next connection finds it.
    lab.sh("h1", "rm -rf /var/lib/provctl /root/.cache/provctl")
    ok = lab.write("ok.yml", "- hosts: all\n  gather_facts: false\n  tasks:\n    - command: 'true'\n")
    lab.provctl("apply", ok, "-i", lab.hosts_inventory("h1"))
    cached = lab.sh("h1", "find / -xdev -name '*x86_64-*' -path '*provctl*' -type f -printf '%p %T@\\n' 2>/dev/null")
    same("one executor is cached", len(cached.splitlines()), 1)
    lab.provctl("apply", ok, "-i", lab.hosts_inventory("h1"))
    same("… and used the next time", lab.sh("h1", "find / -xdev -name '*x86_64-*' -path '*provctl*' -type f "
                                            "-printf '%p %T@\\n' 2>/dev/null"), cached)
    path = cached.split()[0]
    lab.sh("h1", f"echo tampered >> {path}")
    r = lab.provctl("apply", ok, "-i", lab.hosts_inventory("h1"))
    check("a cache that was tampered with is not run", r.code == 0 and
          "tampered" not in lab.sh("h1", f"tail -c 20 {path} | tr -d '\\0'"), r.text())
done()

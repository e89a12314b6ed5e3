"""Tasks that are sent before their turn: few round trips on a slow line, and nothing else that could be seen of it."""
import subprocess

from support import TOP, Lab, check, done, same, wait_for

FILES = "".join(f"""
    - name: file {i}
      copy: {{content: "text {i}\\n", dest: /srv/f{i}, mode: "0644"}}
    - name: line {i}
      lineinfile: {{path: /srv/f{i}, line: "more {i}"}}
      when: false
    - name: links {i}
      file: {{src: /srv/f{i}, dest: "/srv/{{{{ item }}}}{i}", state: link}}
      loop: [a, b]
""" for i in range(20))
SITE = f"- hosts: all\n  tasks:{FILES}"
# One machine with two names that nobody can know to be one: what a command does to the one is seen at the other.
ORDER = """
- hosts: all
  gather_facts: false
  tasks:
    - file: {path: /srv, state: directory}
    - name: only here
      shell: sleep 0.5; touch /srv/made
      args: {creates: /srv/made}
      when: inventory_hostname == 'one'
    - stat: {path: /srv/made}
      register: made
    - assert: {that: made.stat.exists}
    - stat: {path: /srv}
    - stat: {path: /srv/made}
"""


def turns(lab, site, inv, *more):
    """(result, round trips) over a line of 20 ms."""
    at = "198.18.128.11:22"
    line = subprocess.Popen([str(TOP / "test/lab/lab"), "run", str(TOP / "test/lab/delay"), "20", f"{at}=h1:22"],
                            env=lab.env, text=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        line.stdout.readline()
        r = lab.provctl("apply", site, "-i", inv, "--json", *more)
        said = line.stdout.readline()
    finally:
        line.terminate()
        line.wait()
    return r, int(said.split()[1])


with Lab("ahead") as lab:
    lab.up("h1")
    site = lab.write("site.yml", SITE)
    far = lab.inventory("[all]\nh1 ansible_host=198.18.128.11 ansible_user=root\n", "far.ini")
    first, n = turns(lab, site, far)
    same("all is made", (first.code, len(first.outcomes("changed"))), (0, 40))
    second, n = turns(lab, site, far)
    same("nothing is left to do", (second.code, second.outcomes("changed")), (0, []))
    check(f"80 requests that change nothing wait for few round trips ({n})", n <= 20, second.text())
    lab.sh("h1", "echo drifted > /srv/f7; rm /srv/b12")
    third, n = turns(lab, site, far)
    same("what differs is mended, and nothing else", third.outcomes("changed"), [("h1", "file 7"), ("h1", "links 12")])
    check(f"… with little more ({n})", n <= 26, third.text())
    foreseen, n = turns(lab, site, far, "--check")
    check(f"a check, too ({n})", foreseen.code == 0 and n <= 20, foreseen.text())

    # The same machine by two ports.
    lab.sh("h1", "printf 'Port 22\\nPort 2222\\n' > /etc/ssh/sshd_config.d/two.conf; systemctl restart ssh; rm -rf /srv/*")
    wait_for("sshd listens twice", lambda: "2222" in lab.sh("h1", "ss -ltn"))
    address = lab.address("h1")
    both = lab.inventory("[all]\n" + "".join(f"{n} ansible_host={address} ansible_port={p} ansible_user=root\n"
                                             for n, p in (("one", 22), ("two", 2222))), "both.ini")
    r = lab.provctl("apply", lab.write("order.yml", ORDER), "-i", both, "--json")
    same("what a command of one host does is seen by the others' tasks behind it", r.code, 0) or print(r.text())
done()

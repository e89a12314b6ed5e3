"""Modules whose work is no file that can be compared: what provctl did finds real Ansible nothing to do, and the other way."""
from support import Lab, check, done, same

SITE = r"""
- hosts: all
  gather_facts: false
  tasks:
    - iptables: {chain: INPUT, ctstate: [ESTABLISHED, RELATED], jump: ACCEPT}
    - iptables: {chain: INPUT, protocol: tcp, destination_port: "22", jump: ACCEPT, comment: "ssh, for all", ip_version: both}
    - iptables: {chain: INPUT, protocol: tcp, destination_ports: ["80", "443", "8081:8083"], jump: ACCEPT, action: insert, rule_num: "2"}
    - iptables: {chain: INPUT, source: "!198.18.0.0/16", in_interface: eth9, log_prefix: "in: ", log_level: info, limit: 5/minute}
    - iptables: {chain: OUTPUT, protocol: tcp, tcp_flags: {flags: [ACK, SYN], flags_set: [SYN]}, uid_owner: nobody, reject_with: tcp-reset}
    - iptables: {table: nat, chain: PREROUTING, protocol: tcp, match: tcp, destination_port: "80", jump: REDIRECT, to_ports: "8080"}
    - iptables: {chain: MINE, chain_management: true}
    - iptables: {chain: FORWARD, jump: MINE, syn: ignore}
    - iptables: {chain: FORWARD, policy: DROP}
    - iptables: {chain: INPUT, protocol: udp, destination_port: "9", jump: ACCEPT, state: absent}
    - community.general.htpasswd: {path: /etc/web, name: jane, password: secret, mode: "0640"}
    - community.general.htpasswd: {path: /etc/web, name: tom, password: "other: x", crypt_scheme: ldap_sha1}
    - community.general.htpasswd: {path: /etc/web, name: eve, password: third, crypt_scheme: sha512_crypt}
    - community.general.htpasswd: {path: /etc/web, name: gone, state: absent}
    - community.general.git_config: {name: user.email, scope: system, value: root@example.org}
    - community.general.git_config: {name: alias.x, scope: global, value: "log --oneline -n 3"}
    - community.general.git_config: {name: core.pager, scope: global, state: absent}
    - copy: {dest: /srv/Makefile, content: "out:\n\techo $(WHO) > out\n"}
    - community.general.make: {chdir: /srv, target: out, params: {WHO: me}}
    - copy: {src: /bin/true, dest: /srv/prog, mode: "0755", remote_src: true}
    - community.general.pam_limits: {domain: "@dba", limit_type: "-", limit_item: memlock, value: unlimited}
    - community.general.pam_limits: {domain: joe, limit_type: soft, limit_item: nofile, value: "64000", comment: for joe}
    - community.general.pam_limits: {domain: joe, limit_type: soft, limit_item: nofile, value: "1000", use_max: true}
    - command: {cmd: truncate -s 16M /srv/disk, creates: /srv/disk}
    - community.general.filesystem: {dev: /srv/disk, fstype: ext4, opts: "-L data"}
    - community.general.capabilities: {path: /srv/prog, capability: cap_net_bind_service=ep}
"""
SHAPE = ("for t in filter nat; do iptables -t $t -S; ip6tables -t $t -S; done; cut -d: -f1 /etc/web; stat -c '%a %U' /etc/web;"
         " git config --system -l; git config --global -l; cat /srv/out; md5sum < /etc/security/limits.conf; blkid -o value -s TYPE -s LABEL /srv/disk; getcap /srv/prog")
TREE = "trixie+python3+iptables+git+make+python3-passlib+libcap2-bin+e2fsprogs"

with Lab("twinmod") as lab:
    lab.up(f"ours:{TREE}", f"theirs:{TREE}")
    lab.env["LAB_BIND"] = str(lab.work)
    site = lab.write("site.yml", SITE)
    inv = {h: lab.inventory(f"{h} ansible_host={lab.address(h)} ansible_user=root\n", h + ".ini") for h in ("ours", "theirs")}

    def ansible(host, *args):
        return lab.lab("ansible", site, "-i", inv[host], *args, must=False)

    r = lab.provctl("apply", site, "-i", inv["ours"], "--json")
    same("provctl applies all", (r.code, len(r.outcomes("changed"))), (0, 22))
    r = ansible("theirs")
    check("ansible-playbook applies all", r.returncode == 0 and " changed=22 " in r.stdout, r.stdout[-3000:] + r.stderr[-2000:])
    same("the same rules, users, options and capabilities", lab.sh("ours", SHAPE), lab.sh("theirs", SHAPE))
    r = ansible("ours", "--check")
    check("Ansible finds nothing to do where provctl was", r.returncode == 0 and " changed=0 " in r.stdout, r.stdout[-3000:])
    r = lab.provctl("apply", site, "-i", inv["theirs"], "--json")
    same("provctl finds nothing to do where Ansible was", (r.code, r.outcomes("changed")), (0, []))
done()

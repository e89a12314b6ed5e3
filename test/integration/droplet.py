"""provctl droplet create, up to a host of ours: a server plays the API, a lab host the machine, this test its cloud-init.

Also DNS: a host whose key is in an SSHFP record.
"""
import base64
import hashlib
import json
import struct
import subprocess
import sys

import yaml
from support import PROVCTL, TOP, Lab, check, done, same, wait_for

sys.path.insert(0, str(TOP / "test/tools"))
from digitalocean import TOKEN  # noqa: E402

# Answers SSHFP questions; whether it claims to have checked them (AD) is an argument.
DNS = r'''
import socket, struct, sys
name, record, ad = sys.argv[1], bytes.fromhex(sys.argv[2]), sys.argv[3] == "ad"
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 53))
print("ready", flush=True)
while True:
    q, peer = s.recvfrom(4096)
    end = q.index(b"\0", 12) + 5
    labels, i = [], 12
    while q[i]:
        labels.append(q[i + 1:i + 1 + q[i]].decode()); i += 1 + q[i]
    hit = ".".join(labels) == name and q[end - 4:end - 2] == b"\0\x2c"
    flags = 0x8180 | (0x20 if ad else 0) | (0 if hit else 3)
    a = q[:2] + struct.pack(">HHHHH", flags, 1, 1 if hit else 0, 0, 0) + q[12:end]
    if hit:
        a += b"\xc0\x0c" + struct.pack(">HHIH", 44, 1, 60, len(record)) + record
    s.sendto(a, peer)
'''

with Lab("drp") as lab:
    lab.up("h1", "h2")
    api = lab.work / "api"
    home = lab.work / "home"
    for d in (api, home):
        d.mkdir()
    token = lab.write("token", TOKEN + "\n")

    def argv(*args):
        return ["env", f"HOME={home}", "setsid", "-w", PROVCTL, *map(str, args), "--state", str(lab.work / "state.db")]

    def provctl(*args):
        r = lab.controller(*argv(*args), timeout=900)
        r.text = r.stdout + r.stderr
        return r

    def background(*args):
        return subprocess.Popen([str(TOP / "test/lab/lab"), "run", *args], env=lab.env, text=True, cwd=TOP,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    # ---- a droplet ---------------------------------------------------------------------
    server = background(sys.executable, "-B", str(TOP / "test/tools/digitalocean.py"), str(api))
    url = server.stdout.readline().strip()
    lab.sh("h1", "userdel -r deploy 2>/dev/null; rm -f /root/.ssh/authorized_keys; true")
    p = background(*argv("droplet", "create", "web1", "--api-url", url, "--token-file", token, "--groups", "web"))
    wait_for("the droplet is ordered", (api / "create.json").exists)
    # The machine is up, with host keys of its own, before cloud-init gets there.
    (api / "address").write_text(lab.address("h1"))
    asked = json.loads((api / "create.json").read_text())
    data = yaml.safe_load(asked["user_data"])
    check("user data is cloud-init's", asked["user_data"].startswith("#cloud-config\n") and
          data["ssh_deletekeys"] and data["disable_root"] and data["ssh_pwauth"] is False, data)
    try:
        p.wait(timeout=5)
    except subprocess.TimeoutExpired:
        pass
    check("it waits while the host shows another key", p.poll() is None)
    user = data["users"][0]
    lab.sh("h1", f"""useradd -m -s {user['shell']} {user['name']} && install -d -m 700 -o {user['name']} /home/{user['name']}/.ssh
cat >/home/{user['name']}/.ssh/authorized_keys <<'X'
{user['ssh_authorized_keys'][0]}
X
chown {user['name']} /home/{user['name']}/.ssh/authorized_keys
echo '{user['name']} {user['sudo']}' >/etc/sudoers.d/90-cloud-init-users
rm /etc/ssh/ssh_host_*
umask 077
cat >/etc/ssh/ssh_host_ed25519_key <<'X'
{data['ssh_keys']['ed25519_private'].rstrip()}
X
echo '{data['ssh_keys']['ed25519_public']}' >/etc/ssh/ssh_host_ed25519_key.pub
systemctl restart ssh""")
    out = p.communicate(timeout=600)[0]
    same("then the droplet becomes a host of ours", p.returncode, 0) or print(out[-3000:])
    host = json.loads(provctl("host", "show", "web1", "--json").stdout)
    same("… of its groups", host["groups"], ["web"])
    same("… with the address and the number", (host["vars"]["ansible_host"], host["vars"]["digitalocean_id"]),
         (lab.address("h1"), 3164495))
    check("… and the key that we made", host["host_keys"][0].split()[1] ==
          lab.sh("h1", "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1], host["host_keys"])
    same("… which waits no more", [k["host"] for k in json.loads(provctl("keys", "--json").stdout)], [lab.address("h1")])
    secret = data["ssh_keys"]["ed25519_private"].splitlines()[1].encode()
    check("the host's private key is in no file of ours", not any(secret in f.read_bytes() for f in lab.work.glob("*") if f.is_file()))
    check("nor the token in any output", TOKEN not in out)
    site = lab.write("site/site.yml", "- hosts: web\n  gather_facts: false\n  tasks:\n    - command: id -un\n      become: true\n")
    same("apply reaches it", provctl("apply", site).returncode, 0)
    r = provctl("droplet", "destroy", "web1", "--yes", "--api-url", url, "--token-file", token)
    check("destroyed, it is forgotten", r.returncode == 0 and json.loads(provctl("host", "list", "--json").stdout) == [], r.text)
    server.terminate()

    # ---- SSHFP --------------------------------------------------------------------------
    blob = base64.b64decode(lab.sh("h2", "cat /etc/ssh/ssh_host_ed25519_key.pub").split()[1])
    good = struct.pack("BB", 4, 2) + hashlib.sha256(blob).digest()
    resolv = lab.write("resolv.conf", "nameserver 127.0.0.1\noptions trust-ad\n")
    plain = lab.write("resolv-plain.conf", "nameserver 127.0.0.1\n")
    empty = lab.write("empty.yml", "- hosts: all\n  gather_facts: false\n  tasks: []\n")
    dns_py = lab.write("dns.py", DNS)

    def onboard(record, flag, conf, *more):
        script = ('mount --bind "$1" /etc/resolv.conf; python3 -B "$2" "$3" "$4" "$5" >"$6" & d=$!; '
                  'until grep -q ready "$6"; do sleep 0.05; done; shift 6; "$@"; s=$?; kill $d; exit $s')
        said = lab.write("dns.out", "")
        r = lab.controller("unshare", "-m", "sh", "-c", script, "sh", conf, dns_py, "h2", record.hex(), flag, said,
                           *argv("onboard", "h2", "--key", lab.key, "--playbook", empty, *more), timeout=300)
        r.text = r.stdout + r.stderr
        return r

    r = onboard(good[:-1] + bytes([good[-1] ^ 1]), "ad", resolv, "--accept-new-host-key")
    check("a key that DNS contradicts is refused", r.returncode == 1 and "SSHFP" in r.text, r.text)
    r = onboard(good, "no", resolv)
    check("the right one that nobody vouches for is not enough", r.returncode == 1 and "nobody vouches" in r.text, r.text)
    r = onboard(good, "ad", plain)
    check("… nor a resolver's word that resolv.conf does not trust", r.returncode == 1 and "not known" in r.text, r.text)
    same("nothing was pinned so far", json.loads(provctl("keys", "--json").stdout), [])
    r = onboard(good, "ad", resolv)
    check("with DNSSEC no question is asked", r.returncode == 0 and "pinned the host key of h2" in r.text, r.text)
done()

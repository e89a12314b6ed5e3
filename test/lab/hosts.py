"""A lab and its hosts: folders, keys, boot, reset, and the way back.

	STATE/LAB/
	  lock  key  key.pub  ssh_config  known_hosts  inventory.ini  inventory.yml  hosts  admin-password  mirror.log
	  h/HOST/
	    host.json       index, tree with its folders, machine id
	    keys/           its SSH host keys, which survive a reset
	    up/ work/ root/ its disk: overlay over the tree, mounted at root/
	    console.log     what systemd-nspawn and the boot said
	  control/          the same kind of disk for the control tree, without a boot

A host is systemd-nspawn in a control group of its own.  Hosts started from one control group would share nspawn's
"payload" group, two systemds managing the same groups; and cgroup.kill is the one sure way to end all that a host
has started.  nspawn is run in a loop, because with --keep-unit a reboot of the host
comes back as exit code 133.

The disk is mounted "volatile": fsync does nothing.  Installing packages is several times faster, and a lab's disk has
no use after a power failure.
"""
import contextlib
import glob
import json
import os
import shutil
import subprocess
import time
import uuid

import net
import trees
from common import (CACHE, HERE, STATE, LabError, check_name, is_mounted, locked, mounts, poll, read, run, say, start_time,
	tail, unmount, write)

BOOT_S = 90
_KEY_TYPES = ("ed25519", "ecdsa")

# $1: cgroup.procs files to join, separated by spaces; the rest: systemd-nspawn with its arguments.
_KEEPER = r"""for f in $1; do echo $$ >"$f" || exit 1; done
shift
while :; do
	"$@"
	[ $? -eq 133 ] || exit
done
"""


class Lab:
	def __init__(self, name):
		self.name = check_name("lab", name)
		self.dir = f"{STATE}/{name}"
		self.ns = net.lab_ns(name)
		self.key = f"{self.dir}/key"

	def locked(self):
		return locked(f"{STATE}/.{self.name}.lock")

	def is_up(self):
		return net.ns_exists(self.ns) and os.path.isdir(self.dir)

	def need_up(self):
		if not self.is_up():
			raise LabError(f"lab '{self.name}' is not up; `lab -l {self.name} up NAME:RELEASE` starts hosts in it")

	def host(self, name):
		return Host(self, check_name("host", name))

	def hosts(self):
		names = os.listdir(f"{self.dir}/h") if os.path.isdir(f"{self.dir}/h") else []
		return [self.host(n) for n in sorted(names) if os.path.exists(f"{self.dir}/h/{n}/host.json")]

	def start(self):
		"""The lab without any host: namespace, keys, mirror.  Does only what is missing."""
		os.makedirs(f"{self.dir}/h", exist_ok=True)
		os.chmod(self.dir, 0o711)
		if not os.path.exists(self.key):
			run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"lab-{self.name}", "-f", self.key)
			write(f"{self.dir}/admin-password", trees.ADMIN_PASSWORD + "\n", 0o600)
		net.make_lab(self.name)
		os.makedirs(f"/etc/netns/{self.ns}", exist_ok=True)
		if not self._mirror_pid():
			self._start_mirror()
		self.write_files()

	def _mirror_pid(self):
		"""The mirror's process id, if the process that was started is still that one."""
		pid, started = (read(f"{self.dir}/mirror.pid").split() + ["", ""])[:2]
		return int(pid) if pid and start_time(pid) == int(started) else None

	def _start_mirror(self):
		specs = [f"{s}:{h}:{p}" for s, h, p in sorted(trees.sites())]
		with open(f"{self.dir}/mirror.log", "ab") as log:
			p = subprocess.Popen([f"{HERE}/mirror", self.ns, net.BRIDGE, f"{CACHE}/apt", *specs], stdin=subprocess.DEVNULL,
				stdout=log, stderr=log, cwd="/", start_new_session=True)
		write(f"{self.dir}/mirror.pid", f"{p.pid} {start_time(p.pid)}\n")

		def listens():
			if p.poll() is not None:
				raise LabError("the mirror ended:\n" + tail(f"{self.dir}/mirror.log", 5))
			return all(net.answers(self.name, net.BRIDGE, port) for _, _, port in trees.sites())
		poll("the mirror to listen", 10, listens)

	def _stop_mirror(self):
		pid = self._mirror_pid()
		if pid:
			os.kill(pid, 15)
			with contextlib.suppress(ChildProcessError):
				os.waitpid(pid, 0)
			poll("the mirror's end", 10, lambda: not self._mirror_pid() or _is_zombie(pid))

	def mirror_hosts(self):
		"""Lines of /etc/hosts by which a host finds the mirror."""
		return "".join(f"{net.BRIDGE}\t{name}\n" for name in sorted({h for _, h, _ in trees.sites()}))

	def write_files(self):
		"""Inventory, ssh_config, known_hosts and the controller's /etc/hosts, from the hosts there are."""
		hosts = self.hosts()
		names = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n" + f"{net.BRIDGE}\tcontroller\n"
		names += "".join(f"{h.address}\t{h.name}\n" for h in hosts) + self.mirror_hosts()
		write(f"{self.dir}/hosts", names)
		write(f"/etc/netns/{self.ns}/hosts", names)
		write(f"{self.dir}/known_hosts", "".join(f"{h.name},{h.address} {k}\n" for h in hosts for k in h.public_keys()))
		write(f"{self.dir}/ssh_config", "".join(f"Host {h.name}\n\tHostName {h.address}\n" for h in hosts) + (
			"Host *\n\tUser root\n"
			f"\tIdentityFile {self.key}\n\tIdentitiesOnly yes\n"
			f"\tUserKnownHostsFile {self.dir}/known_hosts\n\tGlobalKnownHostsFile /dev/null\n"
			"\tStrictHostKeyChecking yes\n"))
		common = f"ansible_user=root ansible_ssh_private_key_file={self.key}"
		ini = "".join(f"{h.name} ansible_host={h.address} {common}\n" for h in hosts)
		groups = sorted({h.release for h in hosts})
		for g in groups:
			ini += f"\n[{g}]\n" + "".join(h.name + "\n" for h in hosts if h.release == g)
		write(f"{self.dir}/inventory.ini", ini)
		tree = {"all": {"vars": {"ansible_user": "root", "ansible_ssh_private_key_file": self.key},
			"hosts": {h.name: {"ansible_host": h.address} for h in hosts},
			"children": {g: {"hosts": {h.name: None for h in hosts if h.release == g}} for g in groups}}}
		write(f"{self.dir}/inventory.yml", json.dumps(tree, indent=2) + "\n")

	def up(self, wanted):
		"""Boots hosts, all at once; wanted is a list of (name, tree, machine id or None).  Those that run already
		are left alone."""
		for _, spec, _ in wanted:
			trees.lower_dirs(spec)
		with self.locked():
			self.start()
			starting = []
			for name, spec, machine_id in wanted:
				h = self.host(name)
				h.create(spec, machine_id)
				if not h.leader():
					h.boot()
					starting.append(h)
			self.write_files()
			for h in starting:
				h.wait()

	def control_root(self):
		"""The control tree's root, mounted."""
		disk = Disk(f"{self.dir}/control")
		if not is_mounted(disk.root):
			lower = trees.lower_dirs("control")
			with self.locked():
				disk.mount(lower)
				os.makedirs(f"{disk.root}/root/.ssh", exist_ok=True)
				os.chmod(f"{disk.root}/root/.ssh", 0o700)
				write(f"{disk.root}/root/.ssh/config", f"Include {self.dir}/ssh_config\n", 0o600)
		return disk.root

	def down(self):
		"""Takes everything away, also what a crashed run left: names say what belongs to this lab."""
		with self.locked():
			prefix = f"plab.{self.name}."
			names = {h.name for h in self.hosts()} | {n[len(prefix):] for n in net.namespaces(self.name) if n.startswith(prefix)}
			for root in cgroup_roots():
				names.update(os.path.basename(d) for d in glob.glob(f"{root}/provctl-lab/{self.name}/*") if os.path.isdir(d))
			names.update(os.path.basename(d) for d in glob.glob(f"{self.dir}/h/*"))
			for name in sorted(names):
				self.host(name).kill()
			for name in sorted(names):
				self.host(name).remove()
			self._stop_mirror()
			if net.ns_exists(self.ns):
				net.kill_in(self.ns)
			unmount(f"{self.dir}/control/root")
			net.delete(self.ns)
			shutil.rmtree(f"/etc/netns/{self.ns}", ignore_errors=True)
			_remove_empty("/etc/netns")
			for root in cgroup_roots():
				_remove_empty(f"{root}/provctl-lab/{self.name}")
				_remove_empty(f"{root}/provctl-lab")
			if os.path.isdir(self.dir):
				_remove_tree(self.dir)
			with contextlib.suppress(FileNotFoundError):
				os.unlink(f"{STATE}/.{self.name}.lock")


class Disk:
	"""An overlay: a tree that nobody writes to, and a folder for what one host changes."""

	def __init__(self, folder):
		self.folder, self.root = folder, f"{folder}/root"

	def mount(self, lower):
		if is_mounted(self.root):
			return
		shutil.rmtree(f"{self.folder}/work", ignore_errors=True)   # a volatile overlay refuses a used one
		for d in ("up", "work", "root"):
			os.makedirs(f"{self.folder}/{d}", exist_ok=True)
		os.chmod(f"{self.folder}/up", 0o755)
		run("mount", "-t", "overlay", "overlay", "-o",
			f"lowerdir={':'.join(lower)},upperdir={self.folder}/up,workdir={self.folder}/work,volatile", self.root)

	def wipe(self):
		unmount(self.root)
		for d in ("up", "work", "root"):
			_remove_tree(f"{self.folder}/{d}")


class Host:
	def __init__(self, lab, name):
		self.lab, self.name = lab, name
		self.dir = f"{lab.dir}/h/{name}"
		self.ns = net.host_ns(lab.name, name)
		self.machine = f"{lab.name}.{name}"
		self.group = f"provctl-lab/{lab.name}/{name}"
		self.about = json.loads(read(f"{self.dir}/host.json", "{}"))

	@property
	def address(self):
		return net.address(self.about["index"])

	@property
	def release(self):
		return self.about["tree"].partition("+")[0]

	def create(self, spec, machine_id=None):
		"""Gives the host an address and keys, unless it has them."""
		if self.about:
			if self.about["tree"] != spec:
				raise LabError(f"{self.name} is there already as {self.about['tree']}, not {spec}; "
					f"`lab down {self.name}` first")
			return
		used = {h.about["index"] for h in self.lab.hosts()}
		index = next((i for i in range(1, net.MAX_HOSTS) if i not in used), None)
		if index is None:
			raise LabError(f"a lab holds at most {net.MAX_HOSTS - 1} hosts")
		os.makedirs(f"{self.dir}/keys", exist_ok=True)
		for t in _KEY_TYPES:
			path = f"{self.dir}/keys/ssh_host_{t}_key"
			if not os.path.exists(path):
				run("ssh-keygen", "-q", "-t", t, "-N", "", "-C", f"root@{self.name}", "-f", path)
		self.about = {"index": index, "tree": spec, "machine_id": machine_id or uuid.uuid4().hex,
			"lower": trees.lower_dirs(spec)}
		write(f"{self.dir}/host.json", json.dumps(self.about) + "\n")

	def public_keys(self):
		keys = []
		for t in _KEY_TYPES:
			keys.append(" ".join(read(f"{self.dir}/keys/ssh_host_{t}_key.pub").split()[:2]))
		return [k for k in keys if k]

	def disk(self):
		return Disk(self.dir)

	def fresh_disk(self):
		"""Forgets all the host has changed; the tree is the current one."""
		self.disk().wipe()
		self.about["lower"] = trees.lower_dirs(self.about["tree"])
		write(f"{self.dir}/host.json", json.dumps(self.about) + "\n")

	def boot(self):
		"""Starts the host and returns at once; wait() waits."""
		disk = self.disk()
		fresh = not os.path.isdir(f"{self.dir}/up")
		disk.mount(self.about["lower"])
		if fresh:
			self._personalise(disk.root)
		net.make_host(self.lab.name, self.name, self.about["index"])
		procs = []
		for root in cgroup_roots():
			os.makedirs(f"{root}/{self.group}", exist_ok=True)
			procs.append(f"{root}/{self.group}/cgroup.procs")
		argv = ["systemd-nspawn", "--quiet", f"--directory={disk.root}", f"--machine={self.machine}",
			f"--hostname={self.name}", "--register=no", "--keep-unit", f"--network-namespace-path=/run/netns/{self.ns}",
			"--capability=CAP_NET_ADMIN", "--link-journal=no", "--resolv-conf=off", "--timezone=off",
			"--console=read-only", "--boot"]
		env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "SYSTEMD_LOG_COLOR": "0",
			"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1", "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"}
		with open(f"{self.dir}/console.log", "wb") as log:
			self.keeper = subprocess.Popen(["sh", "-c", _KEEPER, "keeper", " ".join(procs), *argv], env=env, cwd="/",
				stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

	def _personalise(self, root):
		"""What a new host has of its own: name, id, keys, and the way to the mirror."""
		write(f"{root}/etc/hostname", self.name + "\n")
		write(f"{root}/etc/hosts", f"127.0.0.1\tlocalhost\n127.0.1.1\t{self.name}\n"
			"::1\tlocalhost ip6-localhost ip6-loopback\n" + self.lab.mirror_hosts())
		write(f"{root}/etc/machine-id", self.about["machine_id"] + "\n", 0o444)
		for path in glob.glob(f"{self.dir}/keys/*"):
			shutil.copy(path, f"{root}/etc/ssh/")
		for home in ("root", "home/deploy", "home/admin"):
			owner = os.stat(f"{root}/{home}")
			path = f"{root}/{home}/.ssh/authorized_keys"
			write(path, read(f"{self.lab.key}.pub"), 0o600)
			os.chown(path, owner.st_uid, owner.st_gid)

	def wait(self):
		"""Until sshd answers and systemd says that the boot is over (before that, only root may log in)."""
		begun = time.monotonic()

		def alive():
			if self.keeper.poll() is not None:
				raise LabError(f"{self.name} did not boot:\n" + tail(f"{self.dir}/console.log", 20))
		try:
			net.wait_for_banner(self.lab.name, self.address, begun + BOOT_S, alive)
		except LabError as e:
			raise LabError(f"{e}\n" + tail(f"{self.dir}/console.log", 20)) from None
		leader = poll(f"{self.name}'s init", 10, self.leader)
		state = run(*enter(leader), "timeout", str(BOOT_S), "systemctl", "is-system-running", "--wait", quiet=True).strip()
		if state != "running":
			failed = run(*enter(leader), "systemctl", "--failed", "--no-legend", "--plain", quiet=True)
			say(f"{self.name} is {state or 'in an unknown state'}:\n{failed}")

	def leader(self):
		"""Process id, as we see it, of the host's init; None when it does not run."""
		for p in read(f"{unified_root()}/{self.group}/payload/init.scope/cgroup.procs").split():
			for line in read(f"/proc/{p}/status").splitlines():
				if line.startswith("NSpid:") and line.split()[1:] == [p, "1"]:
					return int(p)
		return None

	def need_leader(self):
		leader = self.leader()
		if not leader:
			known = ", ".join(h.name for h in self.lab.hosts()) or "none"
			raise LabError(f"host '{self.name}' does not run in lab '{self.lab.name}' (hosts: {known})")
		return leader

	def kill(self):
		"""Like pulling the plug.  Returns at once; settle() waits for the end."""
		with contextlib.suppress(OSError):
			with open(f"{unified_root()}/{self.group}/cgroup.freeze", "w") as f:
				f.write("0")
		with contextlib.suppress(FileNotFoundError):
			with open(f"{unified_root()}/{self.group}/cgroup.kill", "w") as f:
				f.write("1")

	def settle(self):
		"""Waits for the end of all processes and takes away what nspawn keeps in /run."""
		events = f"{unified_root()}/{self.group}/cgroup.events"
		poll(f"{self.name}'s end", 20, lambda: "populated 1" not in read(events))
		for root in cgroup_roots():
			def removed():
				for folder, _, _ in os.walk(f"{root}/{self.group}", topdown=False):
					with contextlib.suppress(OSError):
						os.rmdir(folder)
				return not os.path.exists(f"{root}/{self.group}")
			poll(f"control group {self.group}", 10, removed)
		with contextlib.suppress(FileNotFoundError):
			st = os.stat(f"{self.dir}/root")
			os.unlink(f"/run/systemd/nspawn/locks/inode-{st.st_dev}:{st.st_ino}")
		with contextlib.suppress(FileNotFoundError):
			os.unlink(f"{self.dir}/.#root.lck")
		for d in ("propagate", "unix-export"):
			path = f"/run/systemd/nspawn/{d}/{self.machine}"
			unmount(path)
			shutil.rmtree(path, ignore_errors=True)

	def stop(self):
		self.kill()
		self.settle()

	def remove(self):
		"""The host as if it had never been.  What lab and its files say about it is the caller's."""
		self.stop()
		unmount(f"{self.dir}/root")
		net.delete(self.ns)
		if os.path.isdir(self.dir):
			_remove_tree(self.dir)


def enter(leader):
	"""The command that runs another one as root inside the host whose init is leader."""
	return ("nsenter", "-t", str(leader), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "env", "-i",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "USER=root", "LOGNAME=root",
		"SHELL=/bin/bash", "LANG=C.UTF-8", "TERM=" + os.environ.get("TERM", "dumb"))


def cgroup_roots():
	"""Hierarchies that nspawn works in: version 2, and systemd's own of version 1 where there is one."""
	return [p for p, kind, options in mounts() if p.startswith("/sys/fs/cgroup")
		and (kind == "cgroup2" or kind == "cgroup" and "name=systemd" in options)]


def unified_root():
	for p, kind, _ in mounts():
		if kind == "cgroup2" and p.startswith("/sys/fs/cgroup"):
			return p
	raise LabError("no cgroup2 below /sys/fs/cgroup: the lab needs it (inside `lab run` it is not to be seen)")


def _is_zombie(pid):
	return read(f"/proc/{pid}/stat").rpartition(")")[2].split()[:1] == ["Z"]


def _remove_empty(path):
	with contextlib.suppress(OSError):
		os.rmdir(path)


def _remove_tree(path):
	"""rm -rf that never reaches into something mounted."""
	inside = [m[0] for m in mounts() if m[0] == path or m[0].startswith(path + "/")]
	if inside:
		raise LabError(f"still mounted: {', '.join(inside)}")
	if os.path.isdir(path):
		run("rm", "-rf", "--one-file-system", "--", path)

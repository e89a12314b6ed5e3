"""Root trees the hosts are made of, built once and kept in the cache.

	bookworm, trixie, bullseye   a bare server: what a hosting company hands out, without Python
	RELEASE+PACKAGE+...          the same with packages already installed, as a layer above it
	control                      trixie with Ansible and Mitogen: the reference to compare with

A tree's folder carries a hash of its recipe, so a changed recipe makes a new tree and never disturbs a running
lab; `lab prune` removes those that no mount uses.  Building holds a lock per tree: labs started together wait for
one build instead of each making their own.

The mirror is the one this machine's apt is configured for; its name is read there each time and kept nowhere.
"""
import contextlib
import functools
import glob
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import urllib.parse

from common import CACHE, STATE, LabError, apt_get_update, locked, mounts, read, run, say, tail

RELEASES = ("bookworm", "trixie", "bullseye")
ADMIN_PASSWORD = "lab-Admin-77"
CONTROL = ("trixie", ("ansible", "ansible-mitogen", "sshpass", "openssh-client", "git", "rsync", "procps",
	"python3-jmespath", "python3-passlib", "python3-netaddr", "python3-psycopg2", "ca-certificates"))
_PACKAGES = ("systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "iproute2", "netbase")
_PACKAGE_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]+\Z")

# What turns a minimal Debian into a server as we get it.  Run by mmdebstrap with the tree as $1.
#  - Nothing of this machine may stay (its resolver, its name), nor what must differ between hosts (keys, id).
#  - The .updated stamps say that ldconfig, sysusers and catalogs are fresh: they would run at each first boot.
#  - apt's own timers would hold the dpkg lock at random moments.
_CUSTOMIZE = r"""set -eu
in_tree() { chroot "$ROOT" "$@"; }
ROOT=$1
in_tree useradd -m -s /bin/bash -c 'Deployment' deploy
in_tree useradd -m -s /bin/bash -c 'Administrator' -G sudo admin
echo "admin:@PASSWORD@" | in_tree chpasswd
echo 'deploy ALL=(ALL:ALL) NOPASSWD: ALL' >"$ROOT/etc/sudoers.d/deploy"
chmod 0440 "$ROOT/etc/sudoers.d/deploy"
install -d -m 0700 "$ROOT/root/.ssh"
for u in deploy admin; do in_tree install -d -m 0700 -o $u -g $u /home/$u/.ssh; done
rm -f "$ROOT"/etc/ssh/ssh_host_* "$ROOT/etc/hostname" "$ROOT/etc/resolv.conf"
: >"$ROOT/etc/resolv.conf"
: >"$ROOT/etc/machine-id"
rm -f "$ROOT/var/lib/dbus/machine-id"
in_tree systemctl disable apt-daily.timer apt-daily-upgrade.timer
in_tree systemctl mask console-getty.service
touch "$ROOT/etc/.updated" "$ROOT/var/.updated"
"""

# Packages on top of a tree, in a mount namespace of its own: whatever happens, nothing stays mounted.
_LAYER = r"""set -eu
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$UPPER,workdir=$WORK,volatile" "$ROOT"
mount -t proc proc "$ROOT/proc"
mount --rbind /sys "$ROOT/sys"
mount --rbind /dev "$ROOT/dev"
mount --bind /etc/resolv.conf "$ROOT/etc/resolv.conf"
mount --bind /etc/hosts "$ROOT/etc/hosts"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin
printf '#!/bin/sh\nexit 101\n' >"$ROOT/usr/sbin/policy-rc.d"
chmod 755 "$ROOT/usr/sbin/policy-rc.d"
chroot "$ROOT" apt-get -q update
chroot "$ROOT" apt-get -q -y -o Dpkg::Use-Pty=0 --no-install-recommends install "$@"
chroot "$ROOT" apt-get clean
find "$ROOT/var/lib/apt/lists" -type f -delete
rm "$ROOT/usr/sbin/policy-rc.d"
touch "$ROOT/etc/.updated" "$ROOT/var/.updated"
"""


class Source:
	"""One line of apt's configuration: an archive, and a suite's name as it varies with the release."""

	def __init__(self, uri, suffix, components):
		self.uri, self.suffix, self.components = uri, suffix, components


@functools.lru_cache
def sources():
	"""What this machine's apt is configured for, as far as it is Debian's own archive."""
	fmt = "$(REPO_URI)\t$(CODENAME)\t$(COMPONENT)\t$(ORIGIN)"
	out = run("apt-get", "indextargets", "--format", fmt, "Created-By: Packages")
	if "\tDebian" not in out:
		apt_get_update(f"{CACHE}/setup.log")
		out = run("apt-get", "indextargets", "--format", fmt, "Created-By: Packages")
	found = {}
	for line in out.splitlines():
		uri, codename, component, origin = line.split("\t")
		if origin != "Debian" or codename.endswith("-backports"):
			continue
		suffix = codename[codename.find("-"):] if "-" in codename else ""
		source = found.setdefault((uri, suffix), Source(uri, suffix, []))
		if component not in source.components:
			source.components.append(component)
	if not any(s.suffix == "" for s in found.values()):
		raise LabError("apt knows no Debian archive on this machine: `apt-get indextargets` lists none")
	for key in ("Acquire::http::Proxy", "Acquire::https::Proxy"):
		if run("apt-config", "shell", "P", key).strip():
			raise LabError(f"apt is configured with {key}; the lab cannot use a proxy")
	return sorted(found.values(), key=lambda s: s.suffix)


def sites():
	"""The servers behind those archives: a set of (scheme, name, port)."""
	result = set()
	for s in sources():
		u = urllib.parse.urlsplit(s.uri)
		if u.scheme not in ("http", "https") or not u.hostname or re.fullmatch(r"[0-9.]+|.*:.*", u.hostname):
			raise LabError(f"apt's archive {u.scheme}: needs to be http or https with a server's name for the lab")
		result.add((u.scheme, u.hostname, u.port or (443 if u.scheme == "https" else 80)))
	return result


def _source_lines(release):
	return [f"deb {s.uri.rstrip('/')} {release}{s.suffix} {' '.join(s.components)}" for s in sources()]


def _apt_options():
	"""A mirror frozen in time needs these on the hosts, too."""
	keep = []
	for key in ("Acquire::Check-Valid-Until", "Acquire::Check-Date"):
		if "'false'" in run("apt-config", "shell", "V", key + "/b"):
			keep.append(f'{key} "false";')
	return keep


def _hash(*parts):
	return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def parse(spec):
	"""'trixie+python3' -> ('trixie', ('python3',)); 'control' stands for the control tree."""
	if spec == "control":
		return CONTROL
	release, *packages = spec.split("+")
	if release not in RELEASES:
		raise LabError(f"unknown release '{release}': there are {', '.join(RELEASES)}")
	for p in packages:
		if not _PACKAGE_NAME.match(p):
			raise LabError(f"'{p}' is no package's name")
	return release, tuple(sorted(set(packages)))


def lower_dirs(spec):
	"""The folders to put under a host's overlay, uppermost first; builds what is missing."""
	release, packages = parse(spec)
	base = _base(release)
	return [_layer(release, base, packages), base] if packages else [base]


def _build(name, make):
	"""Makes CACHE/trees/NAME by make(folder, log) unless it is there.  Only a finished tree gets its name."""
	path = f"{CACHE}/trees/{name}"
	if os.path.isdir(path):
		return path
	with locked(f"{CACHE}/trees/.{name}.lock"):
		if os.path.isdir(path):
			return path
		for stale in glob.glob(f"{CACHE}/trees/.{name}.[!l]*"):   # of builds that were killed; ours is the lock
			run("rm", "-rf", "--one-file-system", "--", stale)
		say(f"building tree {name} (once; log: {path}.log)")
		temp = tempfile.mkdtemp(prefix=f".{name}.b", dir=f"{CACHE}/trees")
		os.chmod(temp, 0o755)
		log = f"{path}.log"
		open(log, "w").close()
		try:
			make(temp, log)
			os.rename(temp, path)
		finally:
			shutil.rmtree(temp, ignore_errors=True)
	return path


def _base(release):
	lines, options = _source_lines(release), _apt_options()
	customize = _CUSTOMIZE.replace("@PASSWORD@", ADMIN_PASSWORD)
	packages = list(_PACKAGES)
	if any(scheme == "https" for scheme, _, _ in sites()):
		packages.append("ca-certificates")

	def make(folder, log):
		hook = f"{folder}.hook"
		with open(hook, "w") as f:
			f.write("#!/bin/sh\n" + customize)
		os.chmod(hook, 0o755)
		try:
			run("mmdebstrap", "--mode=root", "--variant=minbase", "--include=" + ",".join(packages),
				*[f"--aptopt={o}" for o in options], f"--customize-hook={hook} \"$1\"",
				release, folder, *lines, log=log)
		finally:
			os.unlink(hook)
		with open(f"{folder}/etc/apt/sources.list", "w") as f:
			f.write("\n".join(lines) + "\n")
		with open(f"{folder}/etc/apt/apt.conf.d/99lab", "w") as f:
			f.write("".join(o + "\n" for o in options))
	return _build(f"{release}-{_hash(customize, *packages, *lines, *options)}", make)


def _layer(release, base, packages):
	def make(folder, log):
		scratch = f"{folder}.scratch"
		os.mkdir(scratch)
		try:
			for d in ("work", "root"):
				os.mkdir(f"{scratch}/{d}")
			env = dict(os.environ, LOWER=base, UPPER=folder, WORK=f"{scratch}/work", ROOT=f"{scratch}/root")
			with open(log, "ab") as out:
				p = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", _LAYER, "layer",
					*packages], env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
			if p.returncode:
				raise LabError(f"installing {' '.join(packages)} on {release} failed; the log is {log}\n{tail(log, 5)}")
		finally:
			shutil.rmtree(scratch, ignore_errors=True)
	return _build(f"{release}+{len(packages)}-{_hash(_LAYER, os.path.basename(base), *packages)}", make)


def prune(everything=False):
	"""Removes what no lab uses: trees of old recipes and layers of packages; with everything, current trees too."""
	keep = set() if everything else {_base(r) for r in RELEASES if _is_built(r)}
	if keep and _is_built(CONTROL[0]):
		keep.update(lower_dirs("control"))
	in_use = [m[2] for m in mounts() if m[1] == "overlay"] + [read(p) for p in glob.glob(f"{STATE}/*/h/*/host.json")]
	for path in sorted(glob.glob(f"{CACHE}/trees/*")):
		if os.path.isdir(path) and path not in keep and not any(path in u for u in in_use):
			say(f"removing tree {os.path.basename(path)}")
			shutil.rmtree(path)
			with contextlib.suppress(FileNotFoundError):
				os.unlink(f"{path}.log")


def _is_built(release):
	return any(n.startswith(release + "-") for n in os.listdir(f"{CACHE}/trees"))

"""What every part of the lab needs: words for failure, commands, locks, names and places.

Places
	CACHE   trees and downloaded packages, shared by all labs       PROVCTL_LAB_CACHE, /var/cache/provctl-lab
	STATE   one folder for each lab: keys, inventory, hosts' disks   PROVCTL_LAB_STATE, /var/lib/provctl-lab

Names of labs and hosts are [a-z0-9-], so "lab.host" can be taken apart again: network namespaces are called
plab.LAB and plab.LAB.HOST, control groups provctl-lab/LAB/HOST.  That is how `lab down` finds what a crashed
run left behind, without trusting any file.
"""
import contextlib
import fcntl
import os
import re
import subprocess
import sys
import time

CACHE = os.environ.get("PROVCTL_LAB_CACHE", "/var/cache/provctl-lab")
STATE = os.environ.get("PROVCTL_LAB_STATE", "/var/lib/provctl-lab")
HERE = os.path.dirname(os.path.realpath(__file__))

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?\Z")


class LabError(Exception):
	"""Something the person at the keyboard should read; printed without a traceback."""


def say(text):
	print("lab: " + text, file=sys.stderr, flush=True)


def check_name(kind, name):
	if not _NAME.match(name):
		raise LabError(f"'{name}' is no name for a {kind}: lower-case letters, digits and '-', at most 30 characters")
	return name


def run(*argv, input=None, log=None, quiet=False):
	"""Runs a command to its end; returns its standard output.  What it said is part of the error when it fails.
	With log (a path) its output is appended there instead.  With quiet a failure is the caller's to ignore."""
	if log:
		with open(log, "ab") as out:
			p = subprocess.run(argv, input=input, stdout=out, stderr=out, text=True)
		p.stdout, p.stderr = "", tail(log, 15)
	else:
		p = subprocess.run(argv, input=input, capture_output=True, text=True)
	if p.returncode and not quiet:
		said = (p.stderr or p.stdout or "").strip()
		raise LabError(f"{' '.join(argv)[:300]}: exit {p.returncode}" + (f"\n{said}" if said else ""))
	return p.stdout


def tail(path, lines):
	"""The last lines of a text file, for error messages."""
	try:
		with open(path, errors="replace") as f:
			return "".join(f.readlines()[-lines:])
	except OSError:
		return ""


def write(path, text, mode=0o644):
	"""Writes in place, not by rename: /etc/hosts of the lab is bind-mounted into running processes."""
	fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
	with os.fdopen(fd, "w") as f:
		os.fchmod(f.fileno(), mode)
		f.write(text)


def read(path, default=""):
	try:
		with open(path) as f:
			return f.read()
	except OSError:
		return default


@contextlib.contextmanager
def locked(path):
	"""One process at a time.  The descriptor is close-on-exec: no daemon started meanwhile keeps the lock."""
	os.makedirs(os.path.dirname(path), exist_ok=True)
	while True:
		fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
		try:
			fcntl.flock(fd, fcntl.LOCK_EX)
			if not _is_file(fd, path):   # its last owner removed it while we waited
				continue
			yield
			return
		finally:
			os.close(fd)


def _is_file(fd, path):
	try:
		return os.path.samestat(os.fstat(fd), os.stat(path))
	except FileNotFoundError:
		return False


def apt_get_update(log):
	"""Someone else may hold the lock of the package lists; apt does not wait for that one."""
	def done():
		with open(log, "ab") as out:
			return subprocess.run(["apt-get", "-q", "update"], stdout=out, stderr=out).returncode == 0
	try:
		poll("apt-get update", 120, done, 2)
	except LabError as e:
		raise LabError(f"{e}; the log is {log}") from None


def poll(what, seconds, ready, interval=0.02):
	"""Asks ready() until it returns something true, which is returned.  After the deadline: an error naming what."""
	deadline = time.monotonic() + seconds
	while True:
		value = ready()
		if value:
			return value
		if time.monotonic() > deadline:
			raise LabError(f"{what}: not within {seconds} s")
		time.sleep(interval)


def mounts():
	"""All mount points of this mount namespace with their options, in order."""
	result = []
	for line in read("/proc/self/mounts").splitlines():
		f = line.split(" ")
		result.append((f[1].replace("\\040", " "), f[2], f[3]))
	return result


def is_mounted(path):
	return any(m[0] == path for m in mounts())


def unmount(path):
	"""Takes path and all below it away.  A busy mount gets a moment (its last process may still be exiting),
	then goes lazily, which never fails."""
	for point in reversed([m[0] for m in mounts() if m[0] == path or m[0].startswith(path + "/")]):
		try:
			poll("umount", 2, lambda: subprocess.run(["umount", point], capture_output=True).returncode == 0)
		except LabError:
			run("umount", "-l", point)


def start_time(pid):
	"""When a process started, in ticks since boot; None if there is none.  Tells a process from a later one that
	was given the same id."""
	stat = read(f"/proc/{pid}/stat")
	return int(stat.rpartition(")")[2].split()[19]) if stat else None

"""Networks of a lab: one namespace for the lab with a bridge, one for each host, joined by a veth pair.

	machine's own namespace          plab.LAB                          plab.LAB.HOST
	  lab, mirror (outgoing) ....     br0 198.18.0.1  -- v-N ======== eth0 198.18.0.10+N
	                                  mirror (listening)
	                                  controller: `lab run`, `lab ansible`

No route leads out of plab.LAB.  All labs use the same addresses (198.18.0.0/15 is set aside for tests by RFC 2544):
they are in namespaces of their own and cannot meet.  IPv6 likewise: fd77::/64.
The upper half, 198.18.128.0/17, belongs to the controller: a program may listen on any address there (`delay` does).
"""
import contextlib
import ctypes
import os
import socket
import time

from common import LabError, poll, run

BRIDGE = "198.18.0.1"
MAX_HOSTS = 240
_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000


def lab_ns(lab):
	return f"plab.{lab}"


def host_ns(lab, host):
	return f"plab.{lab}.{host}"


def ns_exists(ns):
	return os.path.exists(f"/run/netns/{ns}")


def namespaces(lab):
	"""Namespaces of this lab that exist, hosts' first."""
	try:
		names = os.listdir("/run/netns")
	except FileNotFoundError:
		return []
	return sorted(n for n in names if n.startswith(f"plab.{lab}.")) + [n for n in names if n == lab_ns(lab)]


@contextlib.contextmanager
def inside(ns):
	"""The calling thread works in the named network namespace.  A socket made here stays there for its whole life,
	so a program can listen inside the lab and connect outside it."""
	home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
	there = os.open(f"/run/netns/{ns}", os.O_RDONLY | os.O_CLOEXEC)
	try:
		_setns(there)
		try:
			yield
		finally:
			_setns(home)
	finally:
		os.close(there)
		os.close(home)


def _setns(fd):
	if _libc.setns(fd, _CLONE_NEWNET):
		raise LabError(f"setns: {os.strerror(ctypes.get_errno())}")


def address(index):
	return f"198.18.0.{10 + index}"


def make_lab(lab):
	ns = lab_ns(lab)
	if ns_exists(ns):
		return
	run("ip", "netns", "add", ns)
	run("ip", "-n", ns, "-batch", "-", input=(
		"link set lo up\n"
		"link add br0 type bridge\n"
		f"addr add {BRIDGE}/16 dev br0\n"
		"addr add fd77::1/64 dev br0 nodad\n"
		"link set br0 up\n"
		"route add local 198.18.128.0/17 dev lo\n"))
	# A router without a route says "unreachable" at once; one that does not forward lets hosts wait for minutes.
	with inside(ns):
		for path in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
			if os.path.exists(f"/proc/sys/net/{path}"):
				with open(f"/proc/sys/net/{path}", "w") as f:
					f.write("1")


def make_host(lab, host, index):
	"""A namespace with an eth0 on the lab's bridge.  Addresses are set from here, as a hosting company's DHCP would
	have done it: the host itself has no network manager."""
	ns = host_ns(lab, host)
	if ns_exists(ns):
		return
	run("ip", "netns", "add", ns)
	run("ip", "-n", lab_ns(lab), "-batch", "-", input=(
		f"link add v-{index} type veth peer name eth0 address 02:00:c6:12:00:{10 + index:02x} netns {ns}\n"
		f"link set v-{index} master br0\n"
		f"link set v-{index} up\n"))
	run("ip", "-n", ns, "-batch", "-", input=(
		"link set lo up\n"
		f"addr add {address(index)}/16 brd + dev eth0\n"
		f"addr add fd77::{10 + index}/64 dev eth0 nodad\n"
		"link set eth0 up\n"
		f"route add default via {BRIDGE}\n"
		"route add default via fd77::1\n"))


def pids(ns):
	return [int(p) for p in run("ip", "netns", "pids", ns, quiet=True).split()]


def kill_in(ns):
	"""Ends what still runs in a namespace, except us and who called us."""
	spare, pid = set(), os.getpid()
	while pid > 1:
		spare.add(pid)
		with open(f"/proc/{pid}/stat") as f:
			pid = int(f.read().rpartition(")")[2].split()[1])

	def gone():
		left = [p for p in pids(ns) if p not in spare]
		for p in left:
			with contextlib.suppress(ProcessLookupError):
				os.kill(p, 9)
		return not left
	poll(f"processes in {ns} ending", 10, gone)


def delete(ns):
	if ns_exists(ns):
		kill_in(ns)
		run("ip", "netns", "del", ns)


def answers(lab, address, port):
	"""Does anything accept a connection there, seen from the lab?"""
	with inside(lab_ns(lab)):
		s = socket.socket()
	with s:
		s.settimeout(1)
		return s.connect_ex((address, port)) == 0


def wait_for_banner(lab, address, deadline, alive):
	"""Waits until an SSH server greets at address; alive() raises when there is no hope left."""
	while True:
		alive()
		with inside(lab_ns(lab)):
			s = socket.socket()
		with s:
			s.settimeout(1)
			try:
				s.connect((address, 22))
				if s.recv(16).startswith(b"SSH-2.0-"):
					return
			except OSError:
				pass
		if time.monotonic() > deadline:
			raise LabError(f"{address}: no SSH server answered in time")
		time.sleep(0.02)

"""What the integration tests share: a lab of real hosts, provctl, and checks that say what went wrong.

A test is a script: it makes a Lab (torn down at the end, whatever happens), calls provctl() and check().  The last
line is "N passed, M failed", the status 1 when something failed.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
PROVCTL = os.environ.get("PROVCTL", str(TOP / "build/release/ctl/provctl"))

passed = 0
failed = 0


def check(what, ok, detail=""):
    """One assertion. The test goes on after a failure, to show all of them."""
    global passed, failed
    if ok:
        passed += 1
        print(f"ok      {what}", flush=True)
    else:
        failed += 1
        print(f"FAILED  {what}", flush=True)
        for line in str(detail)[-4000:].splitlines():
            print(f"        {line}", flush=True)
    return ok


def same(what, got, expected):
    return check(what, got == expected, f"expected {expected!r}\ngot      {got!r}")


def same_lines(what, got, expected):
    """Compares as sets of lines and shows only what differs."""
    got, expected = set(got.splitlines()), set(expected.splitlines())
    return check(what, got == expected, "\n".join([f"only here:  {x}" for x in sorted(got - expected)] +
                                                [f"only there: {x}" for x in sorted(expected - got)]))


def wait_for(what, condition, seconds=30):
    """Polls until the condition holds; fails the test when it never does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    check(f"within {seconds} s: {what}", False)
    return None


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err
        self.events = []
        for line in out.splitlines():
            if line.startswith("{"):
                self.events.append(json.loads(line))

    def ends(self):
        return [e for e in self.events if e["event"] == "task_end"]

    def outcomes(self, outcome, host=None):
        """(host, task) of all tasks that ended so."""
        return [(e["host"], e["task"]) for e in self.ends()
                if e["outcome"] == outcome and host in (None, e["host"])]

    def stats(self):
        return {e["host"]: e for e in self.events if e["event"] == "stats"}

    def text(self):
        return f"exit code {self.code}\n{self.out}\n{self.err}"


class Lab:
    def __init__(self, name):
        self.name = f"{name}{os.getpid()}"
        self.env = dict(os.environ, LAB=self.name)
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="provctl-test-"))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.lab("down", must=False)
        shutil.rmtree(self.work, ignore_errors=True)

    def lab(self, *args, must=True, **kw):
        r = subprocess.run([str(TOP / "test/lab/lab"), *map(str, args)], env=self.env, text=True, cwd=TOP,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, **kw)
        if must and r.returncode != 0:
            sys.exit(f"lab {args}: {r.returncode}\n{r.stdout}{r.stderr}")
        return r

    def up(self, *hosts):
        self.lab("up", *hosts)
        self.state = pathlib.Path(self.lab("state").stdout.strip())
        self.key = self.state / "key"

    def address(self, host):
        for line in (self.state / "hosts").read_text().splitlines():
            words = line.split()
            if host in words[1:] and ":" not in words[0]:
                return words[0]
        sys.exit(f"no address of {host}")

    def sh(self, host, command, must=True):
        """A shell command inside the host, not over the network; its output."""
        r = self.lab("exec", host, "sh", "-c", command, must=False)
        if must and r.returncode != 0:
            sys.exit(f"{host}: {command}: {r.returncode}\n{r.stdout}{r.stderr}")
        return r.stdout

    def controller(self, *args, **kw):
        """A command as the controller, inside the lab's network."""
        return self.lab("run", *args, must=False, **kw)

    def inventory(self, text, name="inventory.yml"):
        path = self.work / name
        path.write_text(text)
        return path

    def write(self, name, text):
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def hosts_inventory(self, *hosts, user="root", extra=""):
        rows = "\n".join(f"{h} ansible_host={self.address(h)} ansible_user={user} {extra}" for h in hosts)
        return self.inventory(f"[all]\n{rows}\n", "hosts.ini")

    def argv(self, *args, key=True, pin=True, state="state.db"):
        a = [PROVCTL, *map(str, args), "--state", str(self.work / state)]
        if args[0] == "apply":
            a += (["--key", str(self.key)] if key else []) + (["--accept-new-host-keys"] if pin else [])
        return a

    def provctl(self, *args, key=True, pin=True, state="state.db", timeout=600, **kw):
        r = self.controller(*self.argv(*args, key=key, pin=pin, state=state), timeout=timeout, **kw)
        return Result(r.returncode, r.stdout, r.stderr)

    def start(self, *args, **kw):
        """provctl in the background."""
        return subprocess.Popen([str(TOP / "test/lab/lab"), "run", *self.argv(*args, **kw)], env=self.env, text=True,
                                cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)


def done():
    print(f"{passed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed or not passed else 0)

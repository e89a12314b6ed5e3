#!/usr/bin/env python3
"""Runs playbooks that prove by themselves (assert) what the engine does, on local connections.

	cases.py PROVCTL FOLDER [NAME…]

The head of a case says more, one a line:
	# args: --tags x		further arguments
	# hosts: a b c			the inventory (default: h1); `{tmp}` is an empty folder, the variable `tmp` too
	# exit: 3			the expected exit code (default 0)
	# changed: h1 task name		must have changed (repeatable; with one such line, nothing else may)
	# out: text			must be in the output (repeatable)
	# not: text			must not be in the output
	# again: 0			runs a second time; the number of changes then
Files that a case needs are in the folder of its name.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

provctl, folder = sys.argv[1], pathlib.Path(sys.argv[2])
only = sys.argv[3:]
passed = failed = 0


def head(path):
    rules = {}
    for line in path.read_text().splitlines():
        if not line.startswith("# ") or ": " not in line + " ":
            if not line.startswith("#"):
                break
            continue
        key, _, value = line[2:].partition(":")
        rules.setdefault(key, []).append(value.strip())
    return rules


def apply(path, rules, tmp, state):
    hosts = " ".join(rules.get("hosts", ["h1"])).split()
    inv = tmp.parent / "hosts.ini"
    inv.write_text("".join(f"{h} ansible_connection=local\n" for h in hosts))
    args = " ".join(rules.get("args", [])).replace("{tmp}", str(tmp)).split()
    argv = [provctl, "apply", str(path), "-i", str(inv), "-e", json.dumps({"tmp": str(tmp)}), "--state", str(state),
            "--json", *args]
    r = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
                       text=True)
    return r, [json.loads(x) for x in r.stdout.splitlines() if x.startswith("{")]


def problems(path, rules, tmp, state):
    r, events = apply(path, rules, tmp, state)
    out = r.stdout + r.stderr
    wrong = []
    code = int(rules.get("exit", ["0"])[0])
    if r.returncode != code:
        wrong.append(f"exit code {r.returncode}, expected {code}")
    changed = sorted(f"{e['host']} {e['task']}" for e in events
                     if e["event"] == "task_end" and e["outcome"] == "changed")
    if "changed" in rules and changed != sorted(rules["changed"]):
        wrong.append(f"changed {changed}, expected {sorted(rules['changed'])}")
    wrong += [f"not in the output: {t!r}" for t in rules.get("out", []) if t not in out]
    wrong += [f"in the output: {t!r}" for t in rules.get("not", []) if t in out]
    if "again" in rules and not wrong:
        r, events = apply(path, rules, tmp, state)
        n = sum(e["event"] == "task_end" and e["outcome"] == "changed" for e in events)
        if r.returncode != code or n != int(rules["again"][0]):
            wrong.append(f"again: exit code {r.returncode}, {n} changes, expected {rules['again'][0]}")
            out = r.stdout + r.stderr
    return wrong, out


for path in sorted(folder.glob("*.yml")):
    if only and path.stem not in only:
        continue
    with tempfile.TemporaryDirectory(prefix="provctl-case-") as d:
        tmp = pathlib.Path(d) / "tmp"
        tmp.mkdir()
        try:
            wrong, out = problems(path, head(path), tmp, pathlib.Path(d) / "state.db")
        except subprocess.TimeoutExpired:
            wrong, out = ["does not end"], ""
    if wrong:
        failed += 1
        print(f"FAILED  {path.stem}")
        for w in wrong:
            print(f"        {w}")
        print("".join(f"        | {x}\n" for x in out.splitlines()[-25:]), end="")
    else:
        passed += 1
        print(f"ok      {path.stem}")
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed or not passed else 0)

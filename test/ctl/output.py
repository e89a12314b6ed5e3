#!/usr/bin/env python3
"""What outputs make of events: cases/NAME.events is fed to ctl-feed with the
options of its first line ("# OPTIONS"), the result compared with NAME.out.

    output.py CTL-FEED [--update]

Every case is also fed through the JSON output, and what that prints fed in
again: it must come out the same, so a program that reads events loses nothing.
"""
import difflib
import json
import pathlib
import subprocess
import sys

feed = sys.argv[1]
update = "--update" in sys.argv
cases = sorted((pathlib.Path(__file__).parent / "cases").glob("*.events"))
failed = 0


def run(args, data):
    p = subprocess.run([feed, *args], input=data, capture_output=True, timeout=60)
    if p.returncode != 0 or p.stderr:
        raise SystemExit(f"ctl-feed {args}: status {p.returncode}: {p.stderr.decode()}")
    return p.stdout


for case in cases:
    data = case.read_bytes()
    options = data.split(b"\n", 1)[0].decode().lstrip("# ").split()
    got = run(options, data)
    golden = case.with_suffix(".out")
    if update:
        golden.write_bytes(got)
    want = golden.read_bytes()
    if got != want:
        failed += 1
        print(f"{case.name}: differs from {golden.name}")
        sys.stdout.writelines(difflib.unified_diff(
            want.decode(errors="backslashreplace").splitlines(True),
            got.decode(errors="backslashreplace").splitlines(True), "expected", "got"))
    once = run(["--json"], data)
    for line in once.splitlines():
        json.loads(line)
    if b"hunter2" in got or b"hunter2" in once:
        failed += 1
        print(f"{case.name}: a secret is shown")
    # run_end's number comes from the state, the check flag of single events is not written
    if run(["--json"], once) != once:
        failed += 1
        print(f"{case.name}: JSON fed in again comes out differently")

print(f"{len(cases) - failed} passed, {failed} failed")
sys.exit(1 if failed or not cases else 0)

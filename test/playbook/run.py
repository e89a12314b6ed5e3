#!/usr/bin/env python3
"""Runs the sites below a folder through site-dump and compares what it prints.

A case is either a folder with a site.yml, or one text file NAME.case that
holds several files, each begun by a line `=== path` (smaller sites are easier
to read in one piece). What is expected is in the file `expect`; `args` holds
further arguments of site-dump, `env` lines NAME=VALUE. The exit code is 1
exactly when the output holds an error.

    run.py SITE-DUMP CASES [-u] [NAME...]      -u writes what is printed as expected
"""
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

TIMEOUT = 60


def read_case(path):
    """The files of a .case, by name."""
    files, name = {}, None
    with open(path, encoding="utf-8", errors="surrogateescape") as f:
        for line in f:
            m = re.match(r"=== (\S+)$", line)
            if m:
                name = m.group(1)
                files[name] = ""
            elif name is not None:
                files[name] += line
            elif line.strip() and not line.startswith("#"):
                raise SystemExit(f"{path}: text before the first ===")
    return files


def write_files(files, folder):
    for name, text in files.items():
        full = os.path.join(folder, name)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        # \x{HH}: bytes an editor would not keep
        data = text.encode("utf-8", "surrogateescape")
        data = re.sub(rb"\\x\{([0-9a-f]{2})\}", lambda m: bytes([int(m.group(1), 16)]), data)
        with open(full, "wb") as f:
            f.write(data)


def update_case(path, files, got):
    head = ""
    with open(path, encoding="utf-8", errors="surrogateescape") as f:
        for line in f:
            if line.startswith("=== "):
                break
            head += line
    files["expect"] = got
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as f:
        f.write(head)
        for name, text in files.items():
            f.write(f"=== {name}\n{text}")


def run(dump, folder, files):
    args = shlex.split(files.get("args", ""))
    env = {"PATH": os.environ["PATH"], "HOME": folder, "LC_ALL": "C.UTF-8",
           "ANSIBLE_CONFIG": ""}
    for key in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
        if key in os.environ:
            env[key] = os.environ[key]
    for line in files.get("env", "").splitlines():
        key, _, val = line.partition("=")
        env[key] = val
    p = subprocess.run([dump, *args, "site.yml"], cwd=folder, env=env, timeout=TIMEOUT,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out = p.stdout.decode("utf-8", "replace").replace(os.path.realpath(folder), "@TOP@")
    err = p.stderr.decode("utf-8", "replace")
    want = 1 if re.search(r"(^|: )error: ", out, re.M) else 0
    if p.returncode != want or err:
        out += f"[exit code {p.returncode}, expected {want}]\n{err}"
    return out


def diff(want, got):
    import difflib
    return "".join(difflib.unified_diff(want.splitlines(True), got.splitlines(True),
                                        "expected", "got"))


def main():
    args = [a for a in sys.argv[1:] if a != "-u"]
    update = len(args) != len(sys.argv) - 1
    dump, cases, only = os.path.abspath(args[0]), args[1], args[2:]
    passed = failed = 0
    for name in sorted(os.listdir(cases)):
        path = os.path.join(cases, name)
        short = name.removesuffix(".case")
        if only and short not in only:
            continue
        with tempfile.TemporaryDirectory(prefix="provctl-playbook-") as tmp:
            tmp = os.path.realpath(tmp)
            if os.path.isdir(path):
                folder = os.path.join(tmp, short)
                shutil.copytree(path, folder)
                files = {}
                for extra in ("args", "env", "expect"):
                    full = os.path.join(path, extra)
                    if os.path.exists(full):
                        with open(full, encoding="utf-8") as f:
                            files[extra] = f.read()
            elif name.endswith(".case"):
                folder = os.path.join(tmp, short)
                os.mkdir(folder)
                files = read_case(path)
                write_files({k: v for k, v in files.items()
                             if k not in ("args", "env", "expect")}, folder)
            else:
                continue
            try:
                got = run(dump, folder, files)
            except subprocess.TimeoutExpired:
                got = f"[no end within {TIMEOUT} s]\n"
        if got == files.get("expect", ""):
            passed += 1
        elif update and "[exit code" not in got and "[no end" not in got:
            passed += 1
            print(f"updated {short}")
            if os.path.isdir(path):
                with open(os.path.join(path, "expect"), "w", encoding="utf-8") as f:
                    f.write(got)
            else:
                update_case(path, files, got)
        else:
            failed += 1
            print(f"FAILED {short}\n{diff(files.get('expect', ''), got)}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())

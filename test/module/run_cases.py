#!/usr/bin/python3
"""Runs the cases of modules in cases/*.yml through modrun.

Each case runs four times in a fresh directory: check, apply, check, apply.
The harness proves, for every case, that
  - the first check leaves the directory as it is, byte and time stamp,
  - it predicts the apply: same `changed`, same diff,
  - after the apply a check and an apply report no change and change nothing;
  - sent ahead of its turn it changes nothing, and says what the second apply says.
Beyond that a case says what it expects.  {T} stands for the directory, {C} for
the one that plays the controller.

  name      what the case shows
  module    name
  args      parameters
  files     what is there before: path: text, or {text, hex, mode, link, dir,
            fifo, mtime, owner}, or an archive: {tar: members, compress} or
            {zip: members}; a member is {name, text, mode, dir, link, hard,
            type, uid, user, mtime}
  content   the same, on the controller
  expect    part of the result of the first apply
  expect_check  part of the first check's result, where it differs from expect
  fails     text that the message of the failed run contains; `check_fails: false`
            when the check cannot know
  after     as files: what is there afterwards; null: must be absent.
  again     "changes": the second apply changes as well (touch, tempfile)
  diff      texts that the diff must contain
  needs     root: only as root (or in a lab host), net, systemd, apt ...
  env       environment of commands
  needs_bytes  true: it takes files of the controller, or sends some, also when nothing changes
"""
import hashlib
import io
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import zipfile

import yaml


def read_tree(top):
    """Everything about the tree that a check run must not change."""
    tree = {}
    for root, dirs, files in os.walk(top):
        for name in sorted(dirs + files) + ["."]:
            path = os.path.join(root, name)
            st = os.lstat(path)
            what = [stat.S_IFMT(st.st_mode), stat.S_IMODE(st.st_mode),
                    st.st_uid, st.st_gid, st.st_mtime_ns]
            if stat.S_ISLNK(st.st_mode):
                what.append(os.readlink(path))
            elif stat.S_ISREG(st.st_mode):
                with open(path, "rb") as f:
                    what.append(hashlib.sha256(f.read()).hexdigest())
            tree[os.path.normpath(os.path.relpath(path, top))] = what
    return tree


def same_but_dir_times(a, b):
    """A temporary file that came and went leaves its trace on the directory."""
    def strip(tree):
        return {k: v[:4] if v[0] == stat.S_IFDIR else v for k, v in tree.items()}
    return strip(a) == strip(b)


def make_tar(spec):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:" + spec.get("compress", ""),
                      format=getattr(tarfile, spec.get("format", "GNU") + "_FORMAT")) as tar:
        for m in spec["tar"]:
            info = tarfile.TarInfo(m["name"])
            data = (str(m.get("text", "")) * m.get("times", 1)).encode()
            info.mode = int(str(m.get("mode", "0644" if "dir" not in m else "0755")), 8)
            info.uid, info.gid = m.get("uid", os.geteuid()), m.get("gid", os.getegid())
            info.uname, info.mtime = m.get("user", ""), m.get("mtime", 1700000000)
            if "dir" in m:
                info.type = tarfile.DIRTYPE
            elif "link" in m:
                info.type, info.linkname = tarfile.SYMTYPE, m["link"]
            elif "hard" in m:
                info.type, info.linkname = tarfile.LNKTYPE, m["hard"]
            elif "type" in m:
                info.type = m["type"].encode()
            else:
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data) if info.size else None)
    return out.getvalue()


def make_zip(spec):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED if spec.get("stored") else
                         zipfile.ZIP_DEFLATED) as z:
        for m in spec["zip"]:
            info = zipfile.ZipInfo(m["name"], (2023, 11, 14, 12, 0, 0))
            mode = int(str(m.get("mode", "0644")), 8)
            kind = stat.S_IFDIR if "dir" in m else stat.S_IFLNK if "link" in m else stat.S_IFREG
            info.external_attr = (kind | mode) << 16
            info.compress_type = z.compression
            z.writestr(info, m.get("link", str(m.get("text", "")) * m.get("times", 1)))
    return out.getvalue()


def archive(spec):
    data = make_tar(spec) if "tar" in spec else make_zip(spec)
    if "cut" in spec:
        data = data[:spec["cut"]]
    if "flip" in spec:
        data = data[:spec["flip"]] + bytes([data[spec["flip"]] ^ 0xff]) + data[spec["flip"] + 1:]
    return data


def make(top, files):
    for name, spec in (files or {}).items():
        path = os.path.join(top, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not isinstance(spec, dict):
            spec = {"text": spec}
        if "link" in spec:
            os.symlink(spec["link"], path)
            continue
        if "hard" in spec:
            os.link(os.path.join(top, spec["hard"]), path)
            continue
        if "fifo" in spec:
            os.mkfifo(path)
        elif "dir" in spec:
            os.makedirs(path, exist_ok=True)
        elif "tar" in spec or "zip" in spec:
            with open(path, "wb") as f:
                f.write(archive(spec))
        elif "hex" in spec:
            with open(path, "wb") as f:
                f.write(bytes.fromhex(spec["hex"]))
        elif "copy" in spec:
            shutil.copyfile(os.path.join(os.path.dirname(__file__), spec["copy"]), path)
        else:
            with open(path, "w", encoding="utf-8", newline="") as f:
                f.write(str(spec.get("text", "")) * spec.get("times", 1))
        if "mode" in spec:
            os.chmod(path, int(str(spec["mode"]), 8))
        if "owner" in spec:
            os.chown(path, spec["owner"], spec.get("group", -1))
        if "mtime" in spec:
            os.utime(path, (spec["mtime"], spec["mtime"]))


def subst(value, names):
    if isinstance(value, str):
        for key, text in names.items():
            value = value.replace(key, text)
        return value
    if isinstance(value, list):
        return [subst(v, names) for v in value]
    if isinstance(value, dict):
        return {subst(k, names): subst(v, names) for k, v in value.items()}
    return value


def steady(result):
    """A result without what the clock and the process say in it."""
    return {k: v for k, v in result.items() if k not in ("start", "end", "delta", "elapsed", "mtime", "atime", "status")}


def subset(want, got, where=""):
    """Problems: what is wanted and not there. "=~ x" is a pattern."""
    if isinstance(want, dict):
        if not isinstance(got, dict):
            return [f"{where}: want a map, got {got!r}"]
        out = []
        for key, value in want.items():
            if value == "<absent>":
                if key in got:
                    out.append(f"{where}.{key}: must be absent, is {got[key]!r}")
            elif key not in got:
                out.append(f"{where}.{key}: missing (keys: {', '.join(got)})")
            else:
                out += subset(value, got[key], f"{where}.{key}")
        return out
    if isinstance(want, list):
        if not isinstance(got, list) or len(want) != len(got):
            return [f"{where}: want {want!r}, got {got!r}"]
        return [p for i, w in enumerate(want) for p in subset(w, got[i], f"{where}[{i}]")]
    if isinstance(want, str) and want.startswith("=~ "):
        return [] if isinstance(got, str) and re.search(want[3:], got, re.S) else \
            [f"{where}: {got!r} does not match {want}"]
    if want != got or isinstance(want, bool) != isinstance(got, bool):
        return [f"{where}: want {want!r}, got {got!r}"]
    return []


def check_after(top, after):
    out = []
    for name, spec in (after or {}).items():
        path = os.path.join(top, name)
        if spec is None:
            if os.path.lexists(path):
                out.append(f"{name} must not be there")
            continue
        if not os.path.lexists(path):
            out.append(f"{name} is not there; there are: {sorted(read_tree(top))}")
            continue
        if not isinstance(spec, dict):
            spec = {"text": spec}
        st = os.lstat(path)
        if "link" in spec and (not stat.S_ISLNK(st.st_mode) or os.readlink(path) != spec["link"]):
            out.append(f"{name}: not a link to {spec['link']}")
        if "dir" in spec and not stat.S_ISDIR(st.st_mode):
            out.append(f"{name}: not a directory")
        if "mode" in spec and stat.S_IMODE(st.st_mode) != int(str(spec["mode"]), 8):
            out.append(f"{name}: mode {stat.S_IMODE(st.st_mode):04o}, want {spec['mode']}")
        if "owner" in spec and st.st_uid != spec["owner"]:
            out.append(f"{name}: owner {st.st_uid}, want {spec['owner']}")
        if "mtime" in spec and int(st.st_mtime) != spec["mtime"]:
            out.append(f"{name}: mtime {int(st.st_mtime)}, want {spec['mtime']}")
        if "text" in spec or "hex" in spec:
            with open(path, "rb") as f:
                got = f.read()
            want = bytes.fromhex(spec["hex"]) if "hex" in spec else \
                (spec["text"] * spec.get("times", 1)).encode()
            if got != want:
                out.append(f"{name}: content is\n{got[:4000]!r}, want\n{want[:4000]!r}")
    return out


class Runner:
    def __init__(self, modrun):
        self.modrun = modrun

    def run(self, case, check, ahead=False):
        request = {"module": case["module"], "args": case.get("args") or {},
                   "check": check, "diff": True, "env": case.get("env") or {},
                   "content_dir": self.ctl, "data_to": self.top + ".data",
                   "timeout_ms": 60000, "ahead": ahead}
        for key in ("no_log",):
            if key in case:
                request[key] = case[key]
        p = subprocess.run([self.modrun], input=json.dumps(request).encode(),
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
                           cwd=self.top, check=False)
        if p.returncode != 0 or p.stderr:
            raise RuntimeError(f"modrun: status {p.returncode}\n{p.stderr.decode(errors='replace')}")
        return json.loads(p.stdout)

    def case(self, case):
        base = tempfile.mkdtemp(prefix="modcase-")
        try:
            self.top = os.path.join(base, "t")
            self.ctl = os.path.join(base, "c")
            os.mkdir(self.top)
            os.mkdir(self.ctl)
            os.umask(0o022)
            case = subst(case, {"{T}": self.top, "{C}": self.ctl})
            make(self.top, case.get("files"))
            make(self.ctl, case.get("content"))
            return self.judge(case)
        finally:
            shutil.rmtree(base, ignore_errors=True)

    def judge(self, case):
        bad = []
        tree = read_tree(self.top)
        checked = self.run(case, True)
        if read_tree(self.top) != tree:
            bad.append("the check run changed something")
        ahead = self.run(case, False, ahead=True)
        if read_tree(self.top) != tree:
            bad.append("sent ahead of its turn it changed something")
        applied = self.run(case, False)
        if "fails" in case:
            if not applied.get("failed"):
                bad.append(f"did not fail: {applied}")
            elif case["fails"] not in str(applied.get("msg")) + str(applied.get("diags", "")):
                bad.append(f"failed with {applied.get('msg')!r}")
            if case.get("check_fails", True) != bool(checked.get("failed")):
                bad.append(f"the check run did not predict the failure: {checked}")
            bad += subset(case.get("expect", {}), applied, "result")
            if not case.get("after"):
                if not same_but_dir_times(read_tree(self.top), tree):
                    bad.append("the failed run changed something")
            return bad + check_after(self.top, case.get("after"))
        if applied.get("failed") or checked.get("failed"):
            return bad + [f"failed: check: {checked.get('msg')!r}, apply: {applied.get('msg')!r} "
                          f"{applied.get('diags', '')}"]
        expect = dict(case.get("expect", {}))
        bad += subset(expect, applied, "result")
        bad += subset(case.get("expect_check", {}), checked, "check")
        if not case.get("skips_check"):
            if checked["changed"] != applied["changed"]:
                bad.append(f"check said changed={checked['changed']}, apply {applied['changed']}")
            if checked.get("diff") != applied.get("diff") and not case.get("diff_varies"):
                bad.append(f"diff of check\n{checked.get('diff')}\nis not apply's\n{applied.get('diff')}")
        for text in case.get("diff", []):
            if text not in json.dumps(applied.get("diff"), ensure_ascii=False):
                bad.append(f"the diff lacks {text!r}: {applied.get('diff')}")
        bad += check_after(self.top, case.get("after"))
        if ahead.get("changed"):
            bad.append(f"sent ahead of its turn it says changed: {ahead}")
        elif not ahead.get("held") and steady(ahead) != steady(applied):
            bad.append(f"sent ahead of its turn it says {ahead}\nand then {applied}")
        if not applied["changed"] and read_tree(self.top) != tree:
            bad.append("something changed though the result says no")
        if case.get("again") == "changes":
            return bad
        tree = read_tree(self.top)
        for check in (True, False):
            again = self.run(case, check)
            word = "second check" if check else "second apply"
            if again.get("failed"):
                bad.append(f"{word} failed: {again.get('msg')}")
            elif again["changed"]:
                bad.append(f"{word} says changed: {again.get('diff')}")
            bad += subset(case.get("expect_again", {}), again, word)
            if read_tree(self.top) != tree:
                bad.append(f"{word} changed something")
        ahead = self.run(case, False, ahead=True)
        waits = case.get("skips_check") or case.get("needs_bytes")
        if bool(ahead.get("held")) != bool(waits) or not waits and steady(ahead) != steady(again):
            bad.append(f"sent ahead of its turn it says {ahead}\nand then {again}")
        if read_tree(self.top) != tree:
            bad.append("sent ahead of its turn it changed something")
        return bad


def load(path):
    with open(path, encoding="utf-8") as f:
        return yaml.safe_load(f) or []


def main():
    args = sys.argv[1:]
    pattern = None
    if "-k" in args:
        i = args.index("-k")
        pattern = args[i + 1]
        del args[i:i + 2]
    runner = Runner(os.path.abspath(args[0]))
    passed, failed, skipped = 0, 0, 0
    for path in args[1:]:
        for case in load(path):
            name = f"{os.path.basename(path)}: {case['name']}"
            if pattern and not re.search(pattern, name):
                continue
            needs = str(case.get("needs", "")).split(",")
            if "root" in needs and os.geteuid() != 0 or \
                    "user" in needs and os.geteuid() == 0 or \
                    set(needs) - {"", "root", "user"} - set(os.environ.get("MODCASES", "").split(",")):
                skipped += 1
                continue
            try:
                bad = runner.case(case)
            except (RuntimeError, ValueError, KeyError, OSError, subprocess.TimeoutExpired) as e:
                bad = [f"{type(e).__name__}: {e}"]
            if bad:
                failed += 1
                print(f"FAILED {name}")
                for line in bad:
                    print(f"  {line}")
            else:
                passed += 1
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed and not skipped else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""The tree is what the design says: layers include only what is below them, the top level is fixed, nobody uses what is
banned.  tree.py FOLDER"""
import pathlib
import re
import subprocess
import sys

top = pathlib.Path(sys.argv[1])
# What each layer may include besides itself; see agentd/*/CMakeLists.txt.
LAYERS = {
    "base": set(),
    "module": {"base"},
    "exec": {"base", "module"},
    "yaml": {"base"},
    "template": {"base", "yaml"},
    "inventory": {"base", "yaml", "template"},
    "playbook": {"base", "module", "yaml", "template", "inventory"},
    "ssh": {"base", "exec"},
    "state": {"base"},
    "run": {"base", "module", "yaml", "template", "inventory", "playbook", "ssh", "state"},
    "serve": {"base", "module", "yaml", "template", "inventory", "playbook", "ssh", "state", "run"},
}
TOP = {"agentd", "ctl", "playbooks", "schema", "test", "CMakeLists.txt", "CMakePresets.json", "LICENSE", "README.md"}
BANNED = re.compile(r"\b(gets|strcpy|strcat|sprintf|vsprintf|strtok|mktemp|tmpnam|tempnam|asctime|ctime|atoi|atol|atof|system"
                    r"|popen)\s*\(")
COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.S)
wrong = []

for layer, below in LAYERS.items():
    for f in sorted((top / "agentd" / layer).rglob("*.[ch]")):
        text = f.read_text()
        for n, line in enumerate(text.splitlines(), 1):
            m = re.match(r'\s*#\s*include\s+"([a-z]+)/', line)
            if m and m[1] != layer and m[1] not in below:
                wrong.append(f"{f.relative_to(top)}:{n}: {layer}/ may not include {m[1]}/")
        if layer in below:
            wrong.append(f"{layer} includes itself")
for f in sorted([*(top / "agentd").rglob("*.[ch]"), *(top / "ctl").rglob("*.[ch]")]):
    code = COMMENT.sub(lambda m: "\n" * m[0].count("\n"), f.read_text())
    for n, line in enumerate(code.splitlines(), 1):
        m = BANNED.search(line)
        if m:
            wrong.append(f"{f.relative_to(top)}:{n}: {m[1]}() is banned")
tracked = subprocess.run(["git", "-C", top, "ls-tree", "--name-only", "HEAD"], capture_output=True, text=True)
for name in tracked.stdout.splitlines():
    if name not in TOP and not name.startswith("."):
        wrong.append(f"'{name}' is not part of the top level")
if not (top / "agentd/base/value.h").exists():
    wrong.append(f"{top} is not the repository")
print("\n".join(wrong))
print(f"{'0 passed, 1' if wrong else '1 passed, 0'} failed")
sys.exit(bool(wrong))

#!/usr/bin/env python3
"""Makes vectors: runs templates through the real Ansible and writes what came out.

Reads a case a line from standard input: a template, or a JSON object with
template and any of vars, data and options.files; writes an array in the format
that template-conform reads.  Needs ansible-core 2.19 (Debian trixie), e.g. in
a tree made by mmdebstrap with ansible, python3-netaddr, python3-jmespath and
python3-passlib:

    chroot TREE python3 - < ...   or   chroot TREE python3 /oracle.py < cases > out.json
"""
import hashlib
import json
import math
import os
import re
import sys
import tempfile

os.environ.update(LANG="C.UTF-8", TZ="UTC", HOME="/root",
                  ANSIBLE_DEPRECATION_WARNINGS="0", ANSIBLE_SYSTEM_WARNINGS="0")
DIR = tempfile.mkdtemp()
os.chdir(DIR)
sys.stderr = open(os.devnull, "w")

import ansible.plugins.loader  # noqa: E402
from ansible.errors import AnsibleTemplateSyntaxError, AnsibleUndefinedVariable  # noqa: E402
from ansible.parsing.dataloader import DataLoader  # noqa: E402
from ansible.template import Templar, trust_as_template  # noqa: E402

UNORDERED = re.compile("union|intersect|difference|shuffle|random|fileglob")


class Skip(Exception):
    """A result that vectors do not hold: nan, huge integers, bytes, dates."""


def trust(v):
    if isinstance(v, str):
        return trust_as_template(v)
    if isinstance(v, list):
        return [trust(x) for x in v]
    if isinstance(v, dict):
        return {k: trust(x) for k, x in v.items()}
    return v


def check(o):
    if isinstance(o, str):
        o.encode()
    elif isinstance(o, bool) or o is None:
        pass
    elif isinstance(o, int):
        if not -2 ** 63 <= o < 2 ** 63:
            raise Skip
    elif isinstance(o, float):
        if not math.isfinite(o):
            raise Skip
    elif isinstance(o, (list, tuple)):
        for x in o:
            check(x)
    elif isinstance(o, dict) and all(isinstance(k, str) for k in o):
        for x in o.values():
            check(x)
    else:
        raise Skip


def run(case, loader):
    template = case["template"]
    variables = trust(case.get("vars", {}))
    variables.update(case.get("data", {}))
    for name, text in case.get("options", {}).get("files", {}).items():
        path = os.path.join(DIR, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
    out = {"id": "own." + hashlib.sha256(json.dumps(case, sort_keys=True).encode()).hexdigest()[:10]}
    out.update(case)
    out.setdefault("vars", {})
    if UNORDERED.search(str(template)):
        out["compare"] = "unordered"
    try:
        result = Templar(loader=loader, variables=variables).template(trust(template))
        check(result)
        out["expect"] = json.loads(json.dumps(result))
    except (Skip, UnicodeEncodeError):
        return None
    except AnsibleUndefinedVariable as e:
        out.update(error="undefined", message=str(e))
    except AnsibleTemplateSyntaxError:
        out.update(error="syntax")
    except Exception:
        out.update(error="other")
    return out


def main():
    ansible.plugins.loader.init_plugin_loader()
    loader = DataLoader()
    loader.set_basedir(DIR)
    cases = {}
    for line in sys.stdin:
        line = line.rstrip("\n")
        if line:
            case = json.loads(line) if line.startswith('{"') else {"template": line}
            cases.setdefault(json.dumps(case, sort_keys=True), case)
    out = [r for r in (run(c, loader) for c in cases.values()) if r is not None]
    print("[\n" + ",\n".join(json.dumps(r, ensure_ascii=False) for r in out) + "\n]")


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""Compares inventories with ansible-core on random input.

Not run by the tests; needs ansible-core.  `compare.py N PROGRAM [SEED]` makes N
random inventories (INI and YAML, group_vars and host_vars beside them and
beside a site), reads each by Ansible and by PROGRAM (inventory-cases), and
compares groups, group_names, variables and host patterns.

Not compared, because Ansible walks sets in no defined order: the order of
hosts of groups that are nested more than once.
"""
import json
import os
import random
import subprocess
import sys
import tempfile

from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.utils.display import Display
from ansible.vars.manager import VariableManager

Display.warning = lambda *a, **k: None

VALUES = """1 -1 0x1f 010 0o17 1.5 1. .5 -.5 1e3 1_000 1__0 True true yes None none
'a' "b" "it's" 'a' 'b' [1,2] [1,] [] () (1,) (1) (1,2) {} {'a':1} {1,2} {'a'}
['a',{'b':(1,2)}] 1+1 -'a' --1 +-1 r'\\d' "\\n\\x41\\u00e9" u'x' b'x' a=b a==b = 1,2
"a"#c 5#c 5 {{x}} "{{x}}" [a] 1 2 'a "a [1 {'a' 00 0 09 1.e5 1e 0x 1_ _1
-0 1.2.3 10.0.0.1 a;b ;x \\x a\\ "a\\"b" 'a\\'b' '' "" 'a\\qb' 12345678901 !x &x *x
(1 {1:2,} {1:[],'b':()} True,False [None,True] ... nan inf 1L 0b101 0B11 0XfF 1E5
1e400 -1.5e-3 'é' é '\\101' "\\t" '''x''' "a" "b" {'a':1}['a'] [1][0] 3*3""".split(" ")


def ini_value(rng):
    return rng.choice(VALUES).replace("\n", "")


def quote(value):
    for q in "'\"":
        if q not in value and "\\" not in value:
            return q + value + q
    return value.replace("'", "").replace('"', "").replace(" ", "").replace(
        "#", "").replace("\\", "") or "x"


def make_ini(rng, groups):
    out = []
    if rng.random() < .4:
        out += ["lone%d v=%s" % (i, quote(ini_value(rng)))
                for i in range(rng.randint(0, 3))]
    for i, group in enumerate(groups):
        if rng.random() < .8:
            out.append("[%s]%s" % (group, rng.choice(["", "  # x", " "])))
            for _ in range(rng.randint(0, 4)):
                host = rng.choice(["h%d" % rng.randint(1, 9), "w[1:3]", "x[01:04:2]",
                                   "n[a:c].e", "p%d:22%d" % (rng.randint(1, 3),
                                                            rng.randint(1, 9)),
                                   "[::%d]:99" % rng.randint(1, 3), "localhost"])
                out.append(host + "".join(
                    " %s=%s" % (rng.choice("abc"), quote(ini_value(rng)))
                    for _ in range(rng.randint(0, 2))))
        else:
            out.append("[%s]" % group)
        if rng.random() < .5:
            out.append("[%s:vars]" % group)
            for _ in range(rng.randint(1, 4)):
                out.append("%s%s%s" % (rng.choice("abcde"),
                                       rng.choice(["=", " = "]), ini_value(rng)))
            if rng.random() < .3:
                out.append("ansible_group_priority=%d" % rng.randint(0, 3))
        children = [g for g in groups[i + 1:] if rng.random() < .3]
        if children:
            out.append("[%s:children]" % group)
            out += children
    return "\n".join(out) + "\n"


def make_yaml(rng, groups):
    top = {}
    for i, group in enumerate(groups):
        data = {}
        if rng.random() < .8:
            data["hosts"] = {
                rng.choice(["h%d" % rng.randint(1, 9), "w[1:3]", "y%d" % rng.randint(1, 3)]):
                rng.choice([None, {"a": 1}, {"b": "x", "c": [1]}])
                for _ in range(rng.randint(0, 4))}
        if rng.random() < .5:
            data["vars"] = {rng.choice("abcde"): rng.choice([1, "s", None, {"k": 1}])}
        children = {g: None for g in groups[i + 1:] if rng.random() < .3}
        if children:
            data["children"] = children
        if group == "all" or rng.random() < .9:
            top[group] = data or None
    return json.dumps(top or {"all": None})


def make_vars(rng, root, names):
    for name in names:
        if rng.random() < .3:
            kind = rng.random()
            text = json.dumps({rng.choice("abcdefg"): rng.choice([root, 1, [1], {"x": root}])
                               for _ in range(rng.randint(1, 3))})
            if kind < .5:
                write(os.path.join(root, name + rng.choice(
                    ["", ".yml", ".yaml", ".json"])), text)
            else:
                for part in rng.sample(["a.yml", "b", "c.json", "d.txt", ".e.yml",
                                        "f.yml~", "sub/g.yml", "s.x/h.yml"], 3):
                    write(os.path.join(root, name, part), text)


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)


def patterns(rng, groups):
    atoms = groups + ["h1", "h2", "w*", "*", "all", "nothing", "h?", "h[12]", "~h[1-4]",
                      "~(w|x)", "ungrouped", "x0[!1]", "*.e", "lone1", "localhost",
                      "h*[0:1]", "w*[-1]", "x*[1:]", "~g[12]", "::1"]
    parts = [rng.choice(["", "", "&", "!"]) + rng.choice(atoms)
             for _ in range(rng.randint(1, 3))]
    return rng.choice([",", ":", " , "]).join(parts) if "::1" not in parts else ",".join(parts)


def plain(value):
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, set):
        return sorted(plain(v) for v in value)
    if isinstance(value, (bytes, complex)) or value is Ellipsis:
        return "UNSUPPORTED"
    return value


def by_ansible(sources, site, pats):
    loader = DataLoader()
    loader.set_basedir(site)
    inv = InventoryManager(loader, sources)
    manager = VariableManager(loader, inv)
    hosts = {}
    for name, host in inv.hosts.items():
        merged = manager.get_vars(host=host, include_hostvars=False,
                                  include_delegate_to=False)
        hosts[name] = {
            "vars": {k: plain(v) for k, v in merged.items() if len(k) == 1 or
                     k in ("ansible_port", "inventory_file", "inventory_dir")},
            "names": sorted(g.name for g in host.get_groups() if g.name != "all")}
    groups = {k: sorted(v) for k, v in inv.get_groups_dict().items()}
    found = {}
    for pat in pats:
        try:
            found[pat] = sorted(h.name for h in inv.get_hosts(pat))
        except Exception:
            found[pat] = "error"
    return hosts, groups, found


def by_us(program, sources, site, pats, where):
    lines = ["add " + s for s in sources] + ["site " + site, "finish", "json"] + \
        ["match " + p for p in pats]
    write(os.path.join(where, "commands"), "\n".join(lines) + "\n")
    run = subprocess.run([program, "--run", os.path.join(where, "commands")],
                         capture_output=True, text=True, cwd=where, check=False)
    out = run.stdout.splitlines()
    if run.returncode or not out or not out[0].startswith("{"):
        return None, run.stdout + run.stderr, None
    data = json.loads(out[0])
    hosts = {h: {"vars": {k: v for k, v in d["vars"].items() if len(k) == 1 or k in
                          ("ansible_port", "inventory_file", "inventory_dir")},
                 "names": d["names"]} for h, d in data["hosts"].items()}
    groups = {k: sorted(v) for k, v in data["groups"].items()}
    found, rest = {}, out[1:]
    for pat in pats:
        if rest[0].startswith("error:"):
            found[pat] = "error"
            rest.pop(0)
            while rest and rest[0].startswith(("hint:", "  ")):
                rest.pop(0)
            continue
        line = rest.pop(0)[len(pat) + 1:].split(" (nothing")[0]
        found[pat] = sorted(line.split())
    return hosts, groups, found


def same(a, b):
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    return a == "UNSUPPORTED" or (type(a) is type(b) and a == b) or \
        (a == b and isinstance(a, str)) or (a == float("inf") and b == a)


def one(seed, program):
    rng = random.Random(seed)
    groups = ["g%d" % i for i in range(1, rng.randint(2, 6))]
    with tempfile.TemporaryDirectory() as where:
        sources = []
        for n in range(rng.randint(1, 2)):
            kind = rng.choice(["ini", "yml"])
            path = os.path.join(where, "inv%d" % n, "hosts." + kind)
            write(path, make_ini(rng, groups) if kind == "ini" else
                  make_yaml(rng, groups))
            sources.append(path)
            make_vars(rng, os.path.join(where, "inv%d" % n, "group_vars"), groups + ["all"])
            make_vars(rng, os.path.join(where, "inv%d" % n, "host_vars"), ["h1", "h2", "w1"])
        site = os.path.join(where, "site")
        make_vars(rng, os.path.join(site, "group_vars"), groups + ["all"])
        make_vars(rng, os.path.join(site, "host_vars"), ["h1", "h3", "w1"])
        pats = [patterns(rng, groups) for _ in range(30)]
        want = by_ansible(sources, site, pats)
        got = by_us(program, sources, site, pats, where)
        if got[0] is None:
            print("seed %d: %s" % (seed, got[1]))
            return 1
        bad = 0
        for what, w, g in zip(("host", "group", "pattern"), want, got):
            for key in sorted(set(w) | set(g)):
                if key not in w or key not in g or not same(w[key], g[key]):
                    bad += 1
                    print("seed %d %s %r:\n  ansible %s\n  provctl %s" % (
                        seed, what, key, w.get(key), g.get(key)))
        return bad


start = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(10**6)
total = sum(one(start + i, sys.argv[2]) for i in range(int(sys.argv[1])))
print("%d inventories from seed %d, %d differences" % (int(sys.argv[1]), start, total))
sys.exit(total != 0)

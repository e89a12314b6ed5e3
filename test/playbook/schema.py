#!/usr/bin/env python3
"""The JSON schema of playbooks agrees with the loader.

Every playbook of the cases that load is valid by the schema, so are those in
playbooks/; small mistakes of each kind are not. The validator below knows the
part of JSON Schema that the schema uses.

    schema.py SITE-DUMP CASES PLAYBOOKS
"""
import json
import os
import re
import subprocess
import sys

import yaml

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
TYPES = {"string": str, "object": dict, "array": list, "null": type(None)}
BAD = {
    "misspelt keyword of a play": "- hosts: all\n  taskss: []\n",
    "no hosts": "- name: x\n  tasks: []\n",
    "misspelt keyword of a task": "- hosts: all\n  tasks:\n    - debug:\n      wehn: x\n",
    "misspelt module": "- hosts: all\n  tasks:\n    - debgu: x\n",
    "misspelt parameter": "- hosts: all\n  tasks:\n    - file:\n        path: /x\n        moed: x\n",
    "wrong choice": "- hosts: all\n  tasks:\n    - file:\n        path: /x\n        state: presnt\n",
    "wrong type": "- hosts: all\n  become: [1]\n",
    "misspelt keyword of a block": "- hosts: all\n  tasks:\n    - block: []\n      resuce: []\n",
    "misspelt loop_control": "- hosts: all\n  tasks:\n    - debug:\n      loop_control: {loopvar: x}\n",
    "listen outside of handlers": "- hosts: all\n  tasks:\n    - debug:\n      listen: x\n",
    "hosts in import": "- import_playbook: x.yml\n  hosts: all\n",
}


class Loader(yaml.SafeLoader):
    pass


Loader.add_multi_constructor("!", lambda loader, suffix, node: loader.construct_scalar(node))


def is_type(value, name):
    if name == "boolean":
        return isinstance(value, bool)
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if name == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def valid(root, schema, v):
    if "$ref" in schema:
        return valid(root, root["$defs"][schema["$ref"].rsplit("/", 1)[1]], v)
    if "anyOf" in schema and not any(valid(root, s, v) for s in schema["anyOf"]):
        return False
    if "enum" in schema and v not in schema["enum"]:
        return False
    if "type" in schema and not is_type(v, schema["type"]):
        return False
    if "pattern" in schema and isinstance(v, str) and not re.search(schema["pattern"], v):
        return False
    if isinstance(v, list) and "items" in schema:
        return all(valid(root, schema["items"], x) for x in v)
    if isinstance(v, dict):
        props = schema.get("properties", {})
        patterns = schema.get("patternProperties", {})
        for key in schema.get("required", []):
            if key not in v:
                return False
        for key, x in v.items():
            known = key in props
            if known and not valid(root, props[key], x):
                return False
            for p, s in patterns.items():
                if re.search(p, str(key)):
                    known = True
                    if not valid(root, s, x):
                        return False
            if not known and schema.get("additionalProperties") is False:
                return False
    return True


def refs(node, out):
    if isinstance(node, dict):
        for k, v in node.items():
            if k == "$ref":
                out.add(v.rsplit("/", 1)[1])
            refs(v, out)
    elif isinstance(node, list):
        for v in node:
            refs(v, out)


def playbooks(cases, folder):
    import run
    for name in sorted(os.listdir(cases)):
        if name.endswith(".case"):
            files = run.read_case(os.path.join(cases, name))
            # a module of the site's own is one that no schema can know
            if not re.search(r"(^|: )error: |Python module", files.get("expect", ""), re.M):
                yield name, files["site.yml"]
    for name in sorted(os.listdir(folder)):
        if name.endswith(".yml") and not name.startswith("inventory"):
            with open(os.path.join(folder, name), encoding="utf-8") as f:
                yield name, f.read()


def main():
    dump, cases, folder = sys.argv[1:4]
    text = subprocess.run([dump, "-s"], check=True, stdout=subprocess.PIPE, timeout=60).stdout
    root = json.loads(text)
    passed = failed = 0

    used = set()
    refs(root, used)
    for name in sorted(used - set(root["$defs"])):
        print(f"FAILED no definition of {name}")
        failed += 1
    for name, site in playbooks(cases, folder):
        if valid(root, root, yaml.load(site, Loader)):
            passed += 1
        else:
            print(f"FAILED {name} loads, but is not valid by the schema")
            failed += 1
    for what, site in BAD.items():
        if valid(root, root, yaml.load(site, Loader)):
            print(f"FAILED {what}: valid by the schema")
            failed += 1
        else:
            passed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


sys.exit(main())

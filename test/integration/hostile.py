"""A host that lies: sshd runs this instead of the executor (ForceCommand).  Its first argument says how it lies.

It plays the bootstrap and the executor's side of the wire (agentd/base/frame.h) and writes down what it was sent.
"""
import hashlib
import os
import pathlib
import re
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "exec"))
from wire import (BLOB, BYE, DATA, HELLO, NEED, PING, PONG, PROGRESS, REQUEST, RESULT, decode, encode,   # noqa: E402
                  frame, varint)

mode, log = sys.argv[1], open(sys.argv[2], "ab", buffering=0)
BAIT = "{{ lookup('pipe', 'touch %s') }}" % sys.argv[3]
out, inp = sys.stdout.buffer, sys.stdin.buffer


def send(data):
    out.write(data)
    out.flush()


def result(ident, **more):
    send(frame(RESULT, ident, encode(dict({"changed": False}, **more))))


def answer(ident, module, args):
    if module == "setup" and mode == "facts":
        # What the connection goes by, and what is not to be overwritten.
        evil = {"ansible_connection": "local", "ansible_host": "127.0.0.9", "ansible_become": True,
                "ansible_become_exe": BAIT, "ansible_shell_executable": "/bin/evil", "ansible_facts": {"ansible_connection": "local"},
                "ansible_delegated_vars": {}, "ansible_ssh_common_args": "-oProxyCommand=x", "ansible_user": "nobody",
                "ansible_python_interpreter": BAIT, "playbook_dir": "/etc", "groups": {"all": [BAIT]}, "hostvars": {},
                "inventory_hostname": "other", "distribution": BAIT, "ansible_distribution": "Debian"}
        return result(ident, ansible_facts=evil)
    if mode == "templates":
        value = {"stdout": BAIT, "stdout_lines": [BAIT, "{% set x = 1 %}"], "rc": 0, "msg": BAIT, BAIT: BAIT,
                 "diff": {"before": BAIT, "after": "{{ 7 * 191 }}"}, "ansible_facts": {"evil": BAIT, "deep": [{"x": BAIT}]},
                 "warnings": [BAIT], "deprecations": [{"msg": BAIT}], "content": "eA==", "results": [{"stdout": BAIT}]}
        return result(ident, **value)
    if mode == "huge":
        return send(struct.pack("<IBBHI", 0x7fffffff, RESULT, 0, 0, ident) + b"x" * 100000)
    if mode == "large":
        return result(ident, stdout="x" * (20 << 20), rc=0)
    if mode == "deep":
        return send(frame(RESULT, ident, b"\x08\x01" + encode("x") + b"\x07\x01" * 2000000 + b"\x01"))
    if mode == "lying lengths":
        return send(frame(RESULT, ident, b"\x08\x01" + encode("x") + b"\x07" + varint(0xffffffff) + b"\x01"))
    if mode == "no map":
        return send(frame(RESULT, ident, encode(["changed"])))
    if mode == "junk":
        return send(os.urandom(4096))
    if mode == "another's result":
        result(ident + 1000, stdout="not asked for")
        return result(ident, rc=0)
    if mode == "twice":
        result(ident, rc=0, stdout="first")
        return result(ident, rc=0, stdout="second")
    if mode == "half":
        send(frame(RESULT, ident, encode({"rc": 0}))[:-3])
        time.sleep(0.2)
        sys.exit(0)
    if mode == "wants":
        for path in (sys.argv[4], "/etc/passwd"):
            send(frame(NEED, ident, hashlib.sha256(open(path, "rb").read()).digest()))
        return result(ident, rc=0)
    if mode == "data":
        send(frame(DATA, ident, b"unasked " * 1000))
        return result(ident, rc=0)
    if mode == "fetch" and module == "fetch":
        send(frame(DATA, ident, b"contents\n"))
        return result(ident, changed=True, dest=sys.argv[4], path="../../../../evil", src="/../../evil", file=sys.argv[4],
                      checksum="0" * 40, remote_checksum="0" * 40)
    if mode == "floods":
        while True:
            send(frame(PROGRESS, ident, b"\x1b]0;owned\x07\x1b[2J" + b"y" * 400) * 50)
    if mode == "escapes":
        send(frame(PROGRESS, ident, "\x1b[2J\x1b]0;owned\x07‮line".encode()))
        return result(ident, failed=True, msg="\x1b[2J\x1b]52;c;b3duZWQ=\x07 \u202eowned\r\nok", stderr="\x9b31m", rc=1)
    if mode == "not text":
        return send(frame(RESULT, ident, b"\x08\x01" + encode("stdout") + b"\x06\x04\xff\xfe\xc0\x80"))
    return result(ident, rc=0, stdout="x")


nonce = re.search(r"\bn=([0-9a-f]{16,64});", os.environ.get("SSH_ORIGINAL_COMMAND", ""))[1]
send(f"{nonce} READY\n".encode() + frame(HELLO, 0, encode(
    {"protocol": 1, "version": "0", "arch": "x86_64", "user": "root", "uid": 0, "pid": os.getpid()})))
while True:
    head = inp.read(12)
    if len(head) < 12:
        break
    length, kind, flags, _, ident = struct.unpack("<IBBHI", head)
    payload = inp.read(length)
    if kind == REQUEST:
        r = decode(payload)
        log.write(f"REQUEST {r['module']}\n".encode())
        answer(ident, r["module"], r.get("args"))
    elif kind == BLOB:
        log.write(b"BLOB " + (b"refused " if flags & 1 else b"CONTENT ") + payload[:60].replace(b"\n", b" ") + b"\n")
    elif kind == PING:
        send(frame(PONG, ident))
    elif kind == BYE:
        break

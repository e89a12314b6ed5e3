#!/usr/bin/python3
"""Writes resolve.json: what PyYAML's SafeLoader takes plain scalars for.

Not run by the tests; needs python3-yaml.  `resolve.py --random N PROGRAM`
compares N random texts with what yaml-resolve says of them.

Where provctl differs on purpose (see agentd/yaml/resolve.c) the text stays a
string: timestamps, "=", integers beyond 64 bits, and what PyYAML cannot read.
"""
import json
import random
import struct
import subprocess
import sys

import yaml

HAND = """
yes Yes YES yEs no No NO nO true True TRUE tRUE false False FALSE on On ON oN
off Off OFF y Y n N t f ~ null Null NULL nULL none None nil
0 00 01 07 08 09 010 0777 0o14 0O14 -0 +0 -010 +010 1 -1 +1 12 1_000 1__0 _1 1_
0_ 0_7 -0_ 0x1F 0X1F 0x 0x_ 0xg 0b101 0B1 0b 0b_ 0b12 -0x10 +0b11 0xdead_beef
9223372036854775807 9223372036854775808 -9223372036854775808
-9223372036854775809 18446744073709551616 0x7fffffffffffffff 0x8000000000000000
1:30 1:60 1:59 01:30 190:20:30 -1:30 +1:00 1:2:3:4 1:30: 1:300 1:5 12:34:56
1:30.5 01:30.5 190:20:30.15 1:30. -1:30.25 1:60.5 1:5.
1. 1.0 1.5 .5 -.5 +.5 0.5 00.5 1.e5 1.e+5 1.0e5 1.0e+5 1.0E-5 1e5 1e+5 .5e+3 ._5
.5_0 1_0.5_0 1._ . .. ... -. +. 1.5.5 1.5e 1.5e+ e5 6.02e+23 1.0e+400 1.0e-400
.inf .Inf .INF .iNF -.inf +.inf .nan .NaN .NAN -.nan inf nan NaN -inf
685_230.15 0.1 123456789.123456789 1.7976931348623157 4.9e-324 4.9e+0 0x1.8
2001-12-14 2001-1-1 20011214 2001-12-14T21:59:43Z 1.2.3.4 10.0.0.0/8 1,5 1-2 --1
+-1 -+1 1+ 0644 0755 644 u=rwx 1a a1 0a - -- + = << < 12e03 1.2.3 v1.0 08.5 0.08
+1.5 -1.5 +0.0 -0.0 -0x 1:0:0 0:30 00:30 0:0 10:20:30.5 1_0:30 1:3_0 1_0:30.5_0
""".split()


def describe(text):
    try:
        value = yaml.safe_load(text) if text else None
    except Exception:
        return "str " + text
    if value is None:
        return "null "
    if isinstance(value, bool):
        return "bool %d" % value
    if isinstance(value, int):
        return "int %d" % value if -2**63 <= value < 2**63 else "str " + text
    if isinstance(value, float):
        if value != value:
            return "float nan"
        return "float " + struct.pack(">d", value).hex()
    return "str " + text


def compare(count, program):
    seed = random.randrange(2**32)
    print("seed", seed)
    random.seed(seed)
    texts = []
    while len(texts) < count:
        kind = random.random()
        alphabet = "01_.:" if kind < .3 else "0123456789_.:+-eE" if kind < .8 \
            else "0123456789abcdefxXobB_+-.:EinfNaNInfyYtrue"
        text = "".join(random.choice(alphabet) for _ in range(random.randint(1, 9)))
        # Only what YAML reads as one plain scalar.
        if text[0] in ":-" and len(text) == 1 or text.endswith(":") or \
                text.startswith(("---", "...")):
            continue
        texts.append(text)
    run = subprocess.run([program, "-"], input="\n".join(texts) + "\n",
                         capture_output=True, text=True, check=True)
    bad = 0
    for text, got in zip(texts, run.stdout.splitlines()):
        want = describe(text)
        if want != got:
            bad += 1
            print("%r: is %s, should be %s" % (text, got, want))
    print("%d compared, %d differ" % (len(texts), bad))
    return bad != 0


if len(sys.argv) == 4 and sys.argv[1] == "--random":
    sys.exit(compare(int(sys.argv[2]), sys.argv[3]))
rows = [json.dumps([text, describe(text)]) for text in [""] + sorted(set(HAND))]
with open(__file__.replace(".py", ".json"), "w") as out:
    out.write("[\n" + ",\n".join(rows) + "\n]\n")

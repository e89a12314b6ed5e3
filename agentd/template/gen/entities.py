#!/usr/bin/env python3
"""Writes the table of filter_entities.h: the named character references of HTML 4.

    python3 agentd/template/gen/entities.py > agentd/template/filter_entities.h
"""
from html.entities import name2codepoint

names = dict(name2codepoint, apos=0x27)
print("/* Made by gen/entities.py: names of HTML 4's character references, sorted. */")
print("static const struct {\n\tconst char\t*name;\n\tuint32_t\t c;\n} entities[] = {")
row = [f'{{ "{n}", 0x{c:x} }},' for n, c in sorted(names.items())]
for i in range(0, len(row), 4):
    print("\t" + " ".join(row[i:i + 4]))
print("};")

#!/usr/bin/env python3
"""Writes the tables of unidata_tables.h from this Python's own str methods.

Run by the Python whose behaviour is wanted (3.13):
    python3 agentd/template/gen/unidata.py > agentd/template/unidata_tables.h
"""
import sys
import unicodedata


def chars():
    for c in range(0x110000):
        if not 0xD800 <= c < 0xE000:
            yield c, chr(c)


def ranges(test):
    out, start, prev = [], None, None
    for c, s in chars():
        if test(s):
            if start is None:
                start = c
            prev = c
        elif start is not None:
            out.append((start, prev))
            start = None
    if start is not None:
        out.append((start, prev))
    return out


def put(lines, items, per):
    for i in range(0, len(items), per):
        lines.append("\t" + " ".join(items[i:i + per]))


def prop(name, test, out):
    r = ranges(test)
    out.append(f"static const struct uni_range {name}[] = {{")
    put(out, [f"{{0x{a:x},0x{b:x}}}," for a, b in r], 6)
    out.append("};\n")


def mapping(name, fn, out):
    """Simple mappings as runs (start, end, step, delta), the rest as strings."""
    pairs, full = [], []
    for c, s in chars():
        m = fn(s)
        if m == s:
            continue
        if len(m) == 1:
            pairs.append((c, ord(m) - c))
        else:
            full.append((c, m))
    runs = []
    for c, d in pairs:
        if runs:
            a, b, step, delta = runs[-1]
            if delta == d and c - b in (1, 2) and (step == 0 or step == c - b):
                runs[-1] = (a, c, c - b, d)
                continue
        runs.append((c, c, 0, d))
    out.append(f"static const struct uni_run {name}_runs[] = {{")
    put(out, [f"{{0x{a:x},0x{b:x},{max(s, 1)},{d}}}," for a, b, s, d in runs], 5)
    out.append("};\n")
    out.append(f"static const struct uni_full {name}_full[] = {{")
    put(out, ['{0x%x,"%s"},' % (c, "".join("\\%03o" % b for b in m.encode()))
              for c, m in full], 3)
    out.append("};\n")


def is_ignorable_only(s):
    # Ignorable: a cased letter before it still counts, nothing before it does not.
    return (s + "\u03a3").lower()[-1] == "\u03c3" and ("a" + s + "\u03a3").lower()[-1] == "\u03c2"


def cased(s):
    return (s + "\u03a3").lower()[-1] == "\u03c2"


def main():
    out = ["/* Made by gen/unidata.py from Python %d.%d, Unicode %s. */" %
           (*sys.version_info[:2], unicodedata.unidata_version), ""]
    prop("uni_alpha", str.isalpha, out)
    prop("uni_decimal_", str.isdecimal, out)
    prop("uni_digit", str.isdigit, out)
    prop("uni_numeric", str.isnumeric, out)
    prop("uni_lower_", str.islower, out)
    prop("uni_upper_", str.isupper, out)
    prop("uni_title_", lambda s: unicodedata.category(s) == "Lt", out)
    prop("uni_cased", cased, out)
    prop("uni_ignorable", is_ignorable_only, out)
    prop("uni_printable", str.isprintable, out)
    prop("uni_id_start", str.isidentifier, out)
    prop("uni_id_continue", lambda s: ("a" + s).isidentifier(), out)
    mapping("uni_to_upper", str.upper, out)
    mapping("uni_to_lower", str.lower, out)
    mapping("uni_to_title", str.title, out)
    mapping("uni_to_fold", str.casefold, out)
    print("\n".join(out))


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What libsluice shows, and what it keeps: the header, the symbol map, the shared and the static library
have the same functions and nothing else, and neither has writable state outside of its engines.

usage: test_symbols.py HEADER MAP SHARED STATIC [SANITIZED]
"""
import pathlib
import re
import subprocess
import sys

failures = []


def check(name, ok, detail=""):
    print(("ok" if ok else "not ok") + " - " + name)
    if not ok:
        print(detail)
        failures.append(name)


def nm(*args):
    out = subprocess.run(["nm", *args], capture_output=True, text=True, check=True).stdout
    return [line.split() for line in out.splitlines() if len(line.split()) == 3]


def difference(a, b):
    return f"only in the first: {sorted(a - b)}; only in the second: {sorted(b - a)}"


def main():
    header, symbol_map, shared, static = sys.argv[1:5]
    text = pathlib.Path(header).read_text(encoding="utf-8")
    declared = set(re.findall(r"^SLUICE_API [^;]*?\b(sluice_\w+)\(", text, re.MULTILINE))
    mapped = set(re.findall(r"^\t(sluice_\w+);", pathlib.Path(symbol_map).read_text(encoding="utf-8"), re.MULTILINE))
    exported = {f[2].split("@")[0] for f in nm("-D", "--defined-only", shared) if f[1] != "A"}
    visible = {f[2] for f in nm("-g", "--defined-only", static)}

    check("the header declares functions", len(declared) > 20)
    check("the map has what the header declares", declared == mapped, difference(declared, mapped))
    if sys.argv[5:] == ["SANITIZED"]:
        return
    check("the shared library exports exactly these", declared == exported, difference(declared, exported))
    check("the static library shows exactly these", declared == visible, difference(declared, visible))
    writable = [f[2] for f in nm("--defined-only", shared) if f[1] in "bBdDsSgG"]
    # Of the compiler and the linker.
    own = [n for n in writable if not re.match(r"(completed\.0|__dso_handle|_DYNAMIC|_GLOBAL_OFFSET_TABLE_|__TMC_END__|__do_global_dtors_aux_fini_array_entry|__frame_dummy_init_array_entry)", n)]
    relro = subprocess.run(["objdump", "-t", shared], capture_output=True, text=True, check=True).stdout
    own = [n for n in own if not re.search(r"\.data\.rel\.ro\s+\S+\s+" + re.escape(n) + r"$", relro, re.MULTILINE)]
    check("there is no writable state outside of engines", not own, str(own))


main()
sys.exit(1 if failures else 0)

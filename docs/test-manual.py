#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The manual says what the program knows: each verb has its page, with its options; each function of
each library has its entry, with its arguments, their defaults and its place in the synopsis; each call
of the headers is described in mapi(3), and each entry is one of a function or call that there is. Each
member of what verbs print as JSON is named on the verb's page.

usage: test-manual.py MAPI MAN-FOLDER INCLUDE-FOLDER CAPTURE
"""
import json
import re
import subprocess
import sys

mapi, man, include, capture = sys.argv[1:]
faults = []


def page(name, section=3):
    try:
        return open(f"{man}/{name}.{section}.scd", encoding="utf-8").read()
    except OSError:
        faults.append(f"there is no page {name}.{section}.scd")
        return ""


def part(text, heading):
    """What stands below a heading, up to the next of its level or above."""
    level = heading.split()[0]
    found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", text, re.M | re.S)
    return found[1] if found else None


def plain(text):
    return text.replace("\\_", "_")


def check_function(function, text):
    name, args = function["function"], function["args"]
    names = [arg["name"] for arg in args]
    where = f"mapi_{function['library']}.3.scd: {name}"
    heading = f"## {name}({', '.join(names)})"
    body = part(text, heading)
    if body is None:
        faults.append(f"{where}: no section '{heading}'")
        return
    synopsis = "".join(f", _{arg}_" for arg in names)
    if f'*mapi_apply_function*(_fd_, "{name}"{synopsis})' not in (part(text, "# SYNOPSIS") or ""):
        faults.append(f"{where}: not in the synopsis with its arguments")
    # A table's rows: "|  _name_", ":  type, default", ":  meaning"
    rows = dict(re.findall(r"^\|  _(\w+)_(?:, _\w+_)*\n:  (.*)$", body, re.M))
    for first, more in re.findall(r"^\|  _(\w+)_((?:, _\w+_)+)$", body, re.M):
        for also in re.findall(r"\w+", more):
            rows.setdefault(also.strip("_"), rows.get(first, ""))
    for arg in args:
        if arg["name"] not in rows:
            faults.append(f"{where}: no row of the argument _{arg['name']}_")
        elif (arg["default"] is not None) != ("default" in rows[arg["name"]]):
            faults.append(f"{where}: _{arg['name']}_: default is {arg['default']}, the page says "
                f"'{rows[arg['name']]}'")
    if len(body.split()) < 5:
        faults.append(f"{where}: says nothing")


functions = [json.loads(line) for line in
    subprocess.run([mapi, "functions", "--json"], check=True, stdout=subprocess.PIPE,
        text=True).stdout.splitlines()]
for library in {function["library"] for function in functions}:
    text = plain(page(f"mapi_{library}"))
    mine = {f["function"]: f for f in functions if f["library"] == library}
    for function in mine.values():
        check_function(function, text)
    for name in re.findall(r"^## ([A-Z][A-Z0-9_]*)\(", text, re.M):
        if name not in mine:
            faults.append(f"mapi_{library}.3.scd: there is no {name}")

# The verbs of the command line: a page each, with every option of the verb's help.
def output(arguments):
    return subprocess.run([mapi, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


overview = plain(page("mapi", 1))
verbs = re.findall(r"^  ([a-z]+) +\S", output(["help"]).split("verbs:")[1].split("\n\n")[0], re.M)
for verb in verbs:
    if verb == "help":
        continue
    if f"*mapi-{verb}*(1)" not in part(overview, "# DESCRIPTION"):
        faults.append(f"mapi.1.scd: the description does not name mapi-{verb}(1)")
    if f"*mapi-{verb}*(1)" not in part(overview, "# SEE ALSO"):
        faults.append(f"mapi.1.scd: does not name mapi-{verb}(1) at its end")
    text = plain(page(f"mapi-{verb}", 1))
    if text and f"*mapi {verb}*" not in part(text, "# SYNOPSIS"):
        faults.append(f"mapi-{verb}.1.scd: the synopsis is not that of the verb")
    for option in re.findall(r"^  (-[a-zA-Z#]|--[a-z-]+)(?: |$)", output(["help", verb]), re.M):
        if not re.search(rf"\*{re.escape(option)}\*", text):
            faults.append(f"mapi-{verb}.1.scd: there is no {option}")

# What is printed as JSON: each member is named on the verb's page. (Flows need a system daemon: flows.sh.)
def members(value):
    for one in value if isinstance(value, list) else []:
        yield from members(one)
    for name, one in value.items() if isinstance(value, dict) else []:
        yield name
        if name not in ("value", "choices", "loss"): # what is in them depends on function and cause
            yield from members(one)


for verb, arguments in {
    "run": ["-r", capture, "PKT_COUNTER @n | STATS(n)", "TOP(2, TOPX_IP, TOPX_IP_SRCIP)"],
    "dump": ["-r", capture],
    "top": ["-r", capture],
    "util": ["-r", capture, "--link-speed", "1G"],
    "explain": ["-r", capture, "SAMPLE(5, PROBABILISTIC) | PKT_COUNTER"],
    "functions": [],
    "devices": [],
    "doctor": [],
}.items():
    text = plain(page(f"mapi-{verb}", 1))
    printed = subprocess.run([mapi, verb, "--json", *arguments], stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True)
    if not printed.stdout or printed.returncode not in (0, 3, 4):
        faults.append(f"mapi {verb} --json {arguments}: ended with {printed.returncode}")
    for line in printed.stdout.splitlines():
        for name in members(json.loads(line)):
            if not re.search(rf"_{name}_|^[|:] +{name}$", text, re.M):
                faults.append(f"mapi-{verb}.1.scd: there is no member {name}")

calls = set()
for header in "mapi.h", "mapi/schema.h", "mapi/explain.h":
    source = re.sub(r"/\*.*?\*/", "", open(f"{include}/{header}", encoding="utf-8").read(), flags=re.S)
    declared = re.findall(r"^MAPI_API\s[^;]*?\b(mapi_\w+)\(|^const struct \w+ \*(mapi_\w+)\(", source, re.M)
    calls |= {name for pair in declared for name in pair if name}
# What macros of mapi.h call in place of the documented names.
calls -= {"mapi_apply_function_typed", "mapi_read_results_method"}
synopsis = set(re.findall(r"\b(mapi_\w+)\(", plain(part(page("mapi"), "# SYNOPSIS"))))
for name in sorted(calls - synopsis):
    faults.append(f"mapi.3.scd: {name}() is not in the synopsis")
for name in sorted(synopsis - calls):
    faults.append(f"mapi.3.scd: there is no {name}()")
description = plain(page("mapi").split("# DESCRIPTION")[1])
for name in sorted(calls & synopsis):
    if not re.search(rf"\*{name}\*\(", description):
        faults.append(f"mapi.3.scd: {name}() is not described")

faults = list(dict.fromkeys(faults))
print(*faults, sep="\n")
print(f"{len(functions)} functions, {len(calls)} calls, {len(verbs)} verbs, {len(faults)} faults")
sys.exit(len(faults) > 0 or len(functions) == 0 or len(calls) < 20 or len(verbs) < 10)

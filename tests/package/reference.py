#!/usr/bin/env python3
"""reference.py DOXYGEN DOXYFILE OUTPUT HEADER...: the API reference can be made without a warning.

Every public name (function, type, enum value, member of a struct, macro) has words in it, and every
header is on its first page."""
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as xml
from pathlib import Path


def public_names(path):
    """The names that a header declares; members as struct.member."""
    text = re.sub(r"/\*.*?\*/", "", Path(path).read_text(encoding="utf-8"), flags=re.S)
    yield from re.findall(r"^(?:BP_API|static inline)\b[^(;]*?(\w+)\(", text, re.M)
    yield from re.findall(r"\b(BP_[A-Z0-9_]+) = ", text)
    yield from re.findall(r"^#define (BP_\w*[A-Z0-9])\b", text, re.M)
    yield from re.findall(r"^typedef [^;{]*?\(\*(\w+)\)\(", text, re.M)
    yield from re.findall(r"^typedef [^;{(]*?(\w+);", text, re.M)
    for body, name in re.findall(r"^typedef struct \w+ \{(.*?)^\} (\w+);", text, re.M | re.S):
        yield name
        for member in re.findall(r"\(\*(\w+)\)\(|(\w+)(?:\[\w+\])?(?=[,;])", re.sub(
                r"\)\([^;]*\);", ")(", body)):
            yield f"{name}.{''.join(member)}"


def documented(folder):
    """The names in Doxygen's pages that have words."""
    found = set()
    for page in Path(folder).glob("*.xml"):
        for compound in xml.parse(page).getroot().iter("compounddef"):
            struct = compound.get("kind") == "struct"
            of = compound.findtext("compoundname") + "." if struct else ""
            for entry in [compound, *compound.iter("memberdef"), *compound.iter("enumvalue")]:
                said = [entry.find(part) for part in ("briefdescription", "detaileddescription")]
                if any("".join(part.itertext()).strip() for part in said if part is not None):
                    name = entry.findtext("name") or entry.findtext("compoundname")
                    found.add(name if entry is compound else of + name)
    return found


def main():
    doxygen, doxyfile, output, headers = *sys.argv[1:4], sys.argv[4:]
    if not doxygen:
        print("skipped: there is no doxygen")
        sys.exit(77)
    config = (Path(doxyfile).read_text(encoding="utf-8") + f"OUTPUT_DIRECTORY = {output}\n"
              "GENERATE_HTML = NO\nGENERATE_XML = YES\nGENERATE_TAGFILE =\n")
    shutil.rmtree(output, ignore_errors=True) # pages of an earlier run
    Path(output).mkdir(parents=True)
    run = subprocess.run([doxygen, "-"], input=config, text=True, capture_output=True, check=True)
    warnings = sorted(set(re.findall(r".*(?:warning|error):.*", run.stderr)))
    names = {name for path in headers for name in public_names(path)}
    silent = sorted(names - documented(Path(output) / "xml"))
    index = Path(re.search(r"^INPUT = (\S+)", config, re.M).group(1))
    topics = {Path(path).stem for path in headers} - {"bpcuda"}
    warnings += [f"{index.name}: no \\ref {topic}_h" for topic in sorted(topics) if not
                 re.search(rf"\\ref {topic}_h\b", index.read_text(encoding="utf-8"))]
    for line in warnings:
        print(line)
    for name in silent:
        print(f"{name}: no words in its header")
    print(f"{len(names)} names, {len(silent)} without words, {len(warnings)} warnings")
    sys.exit(bool(silent or warnings) or len(names) < 400)


main()

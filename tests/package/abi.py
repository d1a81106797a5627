#!/usr/bin/env python3
"""abi.py SOURCE WORK NM LIBRARY CC...: the promise of docs/abi.md, as abi.c has it, is kept.

The compiler holds the headers to abi.c: a prototype, a type, an enum value or the place of a member
that is another now does not compile. The library exports what abi.c declares and nothing else. What
the headers have and abi.c has not is printed as the lines to add to it."""
import re
import subprocess
import sys
from pathlib import Path

FIXED = ("bp_shape", "bp_view", "bp_window") # the others may grow at the end


def plain(path):
    """A header without comments, C++ and preprocessor lines."""
    text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.S)
    text = re.sub(r'extern "C\+\+" \{.*?^\}\n', "", text, flags=re.S | re.M)
    return re.sub(r"^#.*\n", "", text, flags=re.M)


def squeeze(text):
    return re.sub(r"\s+", " ", text).strip()


def structs(text):
    for body, name in re.findall(r"^typedef struct \w+ \{(.*?)^\} (\w+);", text, re.M | re.S):
        flat = re.sub(r"\)\([^;]*\);", ");", body) # arguments of pointers to functions
        yield name, re.findall(r"(\w+)\)?(?:\[\w+\])?(?=[,;])", flat)


def wanted(headers, run):
    """(how abi.c begins what it says of a name, the line it should have) for each in the headers."""
    lines, places = [], []
    for path in headers:
        text = plain(path)
        for prototype, name in re.findall(r"^(?:BP_API |(?=static))(.*?\b(\w+)\([^;{]*?\))"
                                          r"(?: BP_USE)?\s*[;{]", text, re.M | re.S):
            lines.append((f"{name}(", squeeze(prototype) + ";"))
        for declared in re.findall(r"^typedef [^{}]*?;", text, re.M):
            lines.append((re.search(r"\(\*\w+\)|\w+;", declared).group(0), squeeze(declared)))
        for body in re.findall(r"\benum (?:bp_\w+ )?\{(.*?)\}", text, re.S):
            for name, value in re.findall(r"(BP_\w+) = (\w+)", body):
                lines.append((f"IS({name},", f"IS({name}, {value});"))
        for name, members in structs(text):
            places += [f"AT({name}, {member}," for member in members]
            places += [f"SIZE({name},"] * (name in FIXED)
    asked = [p.replace("AT(", "offsetof(").replace("SIZE(", "sizeof(")[:-1] + ")" for p in places]
    return lines + [(place, f"{place} {n});") for place, n in zip(places, run(asked))]


def main():
    source, work, nm, library, *cc = sys.argv[1:]
    promise = Path(source) / "tests/package/abi.c"
    headers = sorted((Path(source) / "include/bpcuda").glob("*.h"))
    Path(work).mkdir(parents=True, exist_ok=True)
    cc = [*cc, "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{source}/include"]

    def run(asked):
        program = Path(work) / "places.c"
        program.write_text("#include <bpcuda/bpcuda.h>\n#include <stdio.h>\nint main(void)\n{\n" +
                           "".join(f'    printf("%zu\\n", {a});\n' for a in asked) +
                           "    return 0;\n}\n", encoding="utf-8")
        subprocess.run([*cc, program, "-o", program.with_suffix("")], check=True)
        return subprocess.run([program.with_suffix("")], check=True, text=True,
                              stdout=subprocess.PIPE).stdout.split()

    failed = subprocess.run([*cc, "-fsyntax-only", promise], check=False).returncode
    if failed:
        print("FAILED: something that was promised has changed (docs/abi.md): see above")
    told = squeeze(promise.read_text(encoding="utf-8"))
    has = wanted(headers, run)
    for begins, line in has:
        if not re.search(rf"(?<!\w){re.escape(begins)}", told):
            failed = 1
            print(f"not in tests/package/abi.c: {line}")
    functions = re.sub(r"(?:typedef|static)[^;]*;", "", told)
    declared = set(re.findall(r"\b(bp_\w+)\([^;]*\);", functions))
    listed = subprocess.run([nm, "-D", "--defined-only", library], check=True, text=True,
                            stdout=subprocess.PIPE).stdout
    exported = set(re.findall(r"\b(bp_\w+)$", listed, re.M))
    in_headers = {begins[:-1] for begins, _ in has}
    for what, names in (("exported and not in abi.c", exported - declared),
                        ("in abi.c and not exported", declared - exported),
                        ("in abi.c and in no header", declared - in_headers)):
        for name in sorted(names):
            failed = 1
            print(f"FAILED: {what}: {name}")
    print(f"{len(exported)} functions, {told.count('IS(')} values, {told.count('AT(')} members")
    sys.exit(failed)


main()

#!/usr/bin/env python3
"""headers.py HEADER: a public header with its plain comments as Doxygen wants them, to stdout.

A comment is about all declarations from it to an empty line or the next comment. Where the first of
them has words of its own behind it, as the ops of elementwise.h have, the comment holds for the
whole paragraph. The comment that opens a header is its topic's, and so is one that nothing follows;
a line of dashes begins a section. Lines that are set in are formulas and stay as they are. Names of
the library become links, and Doxygen warns of one that does not exist."""
import os
import re
import sys

TOKEN = re.compile(r"""(?P<gap>^\n)
    | ^/\*[ ]---[ ](?P<section>.*?)[ ]?-+(?P<more>\n.*?)?[ ]?\*/\n
    | ^/\*(?P<comment>.*?)\*/\n
    | ^(?P<macro>\#define[ ]BP_[^\n]*(?<!\*/))\n
    | ^(?P<code>(?:BP_API|typedef|enum|static[ ]inline)\b(?:[^;{}]|\{(?:/\*.*?\*/|[^{}])*\})*?
        (?:;|(?<=\n\})))(?:[ ]*/\*(?P<behind>.*?)\*/)?\n
    | (?P<other>[^\n]*\n)""", re.S | re.M | re.X)
NAME = re.compile(r"(?<![\w.-])(bp_\w*[a-z0-9]|BP_[A-Z0-9_]*[A-Z0-9])(?:\(\))?(?![\w*(]|&lt;)")
SENTENCE = re.compile(r"((?:[^.\n]|\.(?!\s|$)|(?<=[ .])\.|\n(?![\n\\]))*\.?)(.*)", re.S)


def prose(text):
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r'([\\@%#"])', r"\\\1", text)
    text = re.sub(r"`([^`]*)`", r"<tt>\1</tt>", text)
    return NAME.sub(r"#\1", text)


def words(comment):
    """The text of a comment for Doxygen: prose, and formulas between \\verbatim's."""
    out, formula = [], False
    for i, line in enumerate(comment.strip("\n ").split("\n")):
        line = re.sub(r"^ *\* ?", "", line) if i else line
        if line and formula != (re.match(r" {3,}\S", line) is not None):
            formula = not formula
            out.append("\\verbatim" if formula else "\\endverbatim")
        out.append(line if formula else prose(line.strip()))
    return "\n".join(out + ["\\endverbatim"] * formula)


def members(code, above):
    """A struct or an enum with the comments within; each of `a, b; /* ... */` has its own."""
    def comment(m):
        behind = code[:m.start()].rsplit("\n", 1)[-1].strip()
        return f"/**{'<' if behind else ''} {words(m.group(1))} */"

    def split(m):
        kind, names, said = m.groups()
        return "".join(f"{kind}{name}; {said}\n" for name in re.split(r",\s*", names))
    code = re.sub(r"/\*(.*?)\*/", comment, code, flags=re.S)
    if "enum" in code and above: # a value without words of its own has those of the enum
        code = re.sub(r"(BP_\w+ = \d+)\b(,?)(?! */\*)", r"\1\2 /**< as said above */", code)
    return re.sub(r"^( *\w+ )(\w+(?:, \w+)+); *(/\*.*?\*/|)\n", split, code, flags=re.S | re.M)


def name_of(code):
    return re.match(r"(?:BP_API|static inline)[^(]*?(\w+)\(|#define (\w+)", code)


def show(code, general, comment, behind, names):
    """A declaration, with all that is said of it."""
    own = [text for text in (comment, behind) if text]
    text = ([general] if general not in own else []) + own
    found = name_of(code)
    if found and own and (behind or len(names) < 2):
        head, rest = SENTENCE.match(own[-1]).groups()
        text = [f"\\brief {head}"] + text[:-1] + [rest.strip()]
    elif found and own:
        text.append("\\sa " + ", ".join("#" + n for n in names if n not in found.groups()))
    said = "\n\n".join(filter(None, text))
    return (f"/** {said} */\n" if said else "") + members(code, said) + "\n"


def paragraph(parts):
    """What stands between two empty lines: (kind, text, words behind it)."""
    blocks = [[""]]
    for part in parts:
        if part[0] == "comment":
            blocks.append([part[1]])
        else:
            blocks[-1].append(part)
    first = next((block for block in blocks if len(block) > 1), [""])
    general = first[0] if len(first) > 1 and first[1][2] and name_of(first[1][1]) else ""
    for comment, *codes in blocks:
        names = [n for _, code, behind in codes if not behind and (m := name_of(code))
                 for n in m.groups() if n and not n.endswith("_")]
        for kind, code, behind in codes:
            yield show(code, general, comment, behind, names) if kind == "code" else code


def main():
    path = sys.argv[1]
    text = open(path, encoding="utf-8").read()
    opening = re.match(r"/\*(.*?)\*/\n", text, re.S)
    of_topic, out, parts, section = [words(opening.group(1))], [], [], ""

    def end_paragraph():
        if all(part[0] == "comment" for part in parts):
            of_topic.extend(part[1] for part in parts)
        else:
            out.extend(paragraph(parts))
        parts.clear()

    for m in TOKEN.finditer(text, opening.end()):
        code, comment = m.group("macro") or m.group("code"), m.group("comment")
        if code:
            parts.append(("code", code, words(m.group("behind") or "")))
        elif comment is not None:
            parts.append(("comment", words(comment)))
        elif m.group("other") and not m.group("other").startswith("#ifdef __cplusplus"):
            parts.append(("other", m.group("other"), ""))
        else:
            end_paragraph()
            out.append(m.group("other") or "\n")
        if m.group("section") is not None:
            out += [section, f"/** \\name {prose(m.group('section'))}\n",
                    f"{words(m.group('more') or '')} */\n/** \\{{ */\n"]
            section = "/** \\} */\n"
    end_paragraph()
    title = re.match(r"[^.:;]*", of_topic[0].replace("\n", " ")).group(0)
    name = os.path.basename(path)[:-2] + "_h"
    said = "\n\n".join(of_topic)
    sys.stdout.write(f"/** \\file\n{title}. */\n/** \\defgroup {name} {title}\n{said} */\n"
                     "/** \\{ */\n" + "".join([*out, section, "/** \\} */\n"]))


main()

#!/usr/bin/env python3
"""What README.md and docs/*.md name exists: relative links, their anchors, files of the repository,
the flags of every `massact COMMAND …`; and docs/commands.md names every flag.
Usage: docs_test.py SOURCE PROGRAM"""
import pathlib
import re
import subprocess
import sys

SOURCE, PROGRAM = pathlib.Path(sys.argv[1]), sys.argv[2]
FLAG = r"(?<![\w-])--[a-z][\w-]*"
problems = []


def help_of(*command):
    # Wide enough that no flag is wrapped; descriptions and examples may name other flags.
    result = subprocess.run([PROGRAM, *command, "--help"], capture_output=True, text=True,
                            check=True, env={"COLUMNS": "1000", "LC_ALL": "C.UTF-8"})
    return result.stdout.split("\nExamples:")[0]


def flags_of(command):
    return set(re.findall(r"^  (?:-\w,)?(--[\w-]+)", help_of(command), re.MULTILINE))


commands = re.findall(r"^  ([a-z]+) ", help_of().split("Subcommands:")[1], re.MULTILINE)
flags = {command: flags_of(command) for command in commands}
assert len(flags) > 10 and "--seq-len" in flags["scan"], flags


def anchors_of(text):
    """GitHub's anchors of a document's headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    plain = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


def check_links(file, text):
    prose = re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (file.parent / path).resolve() if path else file
        if not there.exists():
            problems.append(f"{file}: no such file: {target}")
        elif anchor and there.suffix == ".md" and anchor not in anchors_of(there.read_text()):
            problems.append(f"{file}: no such heading: {target}")


def check_paths(file, text):
    """Of spans: files of the source, from the top or as `#include` names them."""
    for span in re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)):
        for path in re.findall(r"(?<![\w./-])((?:bench|cmake|docs|examples|src|tests|tools)/[\w./-]*\w"
                               r"|(?:[a-z]+/)+[\w-]+\.h)(?![\w/*{<…])", span):
            places = (SOURCE / path, SOURCE / "src/massact" / path, file.parent / path,
                      SOURCE / "src/report/web" / path, SOURCE / "src/massact/model" / path)
            if not any(place.exists() for place in places):
                problems.append(f"{file}: no such file: {path}")


def check_flags(file, text):
    """Of code: lines of blocks (with those they go on in) and spans."""
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.M | re.S)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    spans = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    for code in lines + spans:
        for command, rest in re.findall(r"(?<![\w./-])massact ([a-z]+)([^|;&#]*)", code):
            if command not in flags:
                continue  # prose, or massact-train's
            for flag in re.findall(FLAG, rest):
                if flag not in flags[command]:
                    problems.append(f"{file}: massact {command} has no flag {flag}")


documents = [SOURCE / "README.md", *sorted((SOURCE / "docs").rglob("*.md"))]
for document in documents:
    content = document.read_text()
    check_links(document, content)
    check_paths(document, content)
    check_flags(document, content)

reference = set(re.findall(FLAG, (SOURCE / "docs/commands.md").read_text()))
for name, own in flags.items():
    for flag in sorted(own - reference):
        problems.append(f"docs/commands.md: misses {flag} of massact {name}")

print("\n".join(problems) or f"{len(documents)} documents, {len(flags)} commands: all there")
sys.exit(1 if problems else 0)

#!/usr/bin/env python3
"""Runs the conformance guest under Pacifica and QEMU TCG, and writes docs/svm-conformance.md's table from their serial logs.

  compare.py run pacifica LOG [OPTION...]   runs it there (further options go to the command)
  compare.py run qemu LOG [OPTION...]
  compare.py table PACIFICA-LOG QEMU-LOG    prints the table
  compare.py document PACIFICA-LOG QEMU-LOG puts it into docs/svm-conformance.md

A test that ends the emulator, restarts it or lets it hang is noted as such, and the run goes on behind it.
"""
import collections
import contextlib
import io
import os
import re
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
IMAGE = os.path.join(HERE, "svm-conformance.elf")
DOCUMENT = os.path.join(HERE, "../../docs/svm-conformance.md")
MARK = "<!-- written by compare.py from here on -->"
SILENCE = 60  # seconds without a line: the machine hangs
VERDICT = re.compile(r"^(PASS|FAIL|SKIP)  (15\.\S+?)(?:: (.*))?$")


def command(which, line, options):
    if which == "qemu":
        return ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", "4", "-m", "64", "-display", "none", "-serial", "stdio",
                "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x4", "-kernel", IMAGE, "-append", line] + options
    return [os.path.join(HERE, "../../pacifica"), "run", "--memory", "64M", "--cpus", "4", "--kernel", IMAGE, "--append", line] + options


def one_run(which, line, options):
    """The lines of one run, and how it ended: "end", "hangs", "restarts the machine" or "ends the emulator"."""
    process = subprocess.Popen(command(which, line, options), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True, errors="replace")
    last, lines, ending = [time.monotonic()], [], ["ends the emulator"]

    def watch():
        while process.poll() is None:
            time.sleep(1)
            if time.monotonic() - last[0] > SILENCE:
                ending[0] = "hangs"
                process.kill()
    threading.Thread(target=watch, daemon=True).start()
    banners = 0
    for text in process.stdout:
        last[0] = time.monotonic()
        text = text.rstrip("\r\n")
        banners += text.startswith("Pacifica SVM conformance")
        if banners > 1:
            ending[0] = "restarts the machine"
            process.kill()
            break
        lines.append(text)
        if re.match(r"^\d+ tests", text):
            ending[0] = "end"
    process.wait()
    return lines, ending[0]


def run(which, log, options):
    names = [text for text in one_run(which, "list", options)[0] if text.startswith("15.")]
    with open(log, "w") as out:
        after = ""
        while True:
            lines, ending = one_run(which, after, options)
            out.write("\n".join(text for text in lines if not re.match(r"^\d+ tests", text)) + "\n")
            if ending == "end":
                break
            done = [VERDICT.match(text).group(2) for text in lines if VERDICT.match(text)]
            previous = done[-1] if done else after[6:]
            culprit = names[names.index(previous) + 1 if previous else 0]
            out.write("FAIL  %s: %s\n" % (culprit, ending))
            if culprit == names[-1]:
                break
            after = "after=" + culprit
    print("%s: %s" % (which, summary(read(log))))


def read(log):
    results = collections.OrderedDict()
    with open(log, errors="replace") as lines:
        for text in lines:
            match = VERDICT.match(text.rstrip())
            if match:
                results[match.group(2)] = (match.group(1), match.group(3) or "")
    return results


def summary(results):
    count = collections.Counter(verdict for verdict, _ in results.values())
    return "%d tests: %d passed, %d failed, %d skipped" % (len(results), count["PASS"], count["FAIL"], count["SKIP"])


def section_key(section):
    return [int(part) for part in section.split(".")]


def table(pacifica_log, qemu_log):
    pacifica, qemu = read(pacifica_log), read(qemu_log)
    names = list(pacifica) + [name for name in qemu if name not in pacifica]
    sections = collections.OrderedDict()
    for name in names:
        sections.setdefault(name.split("/")[0], []).append(name)
    print("| machine | tests | passed | failed | skipped |\n| --- | ---: | ---: | ---: | ---: |")
    for label, results in (("Pacifica", pacifica), ("QEMU TCG", qemu)):
        count = collections.Counter(verdict for verdict, _ in results.values())
        print("| %s | %d | %d | %d | %d |" % (label, len(results), count["PASS"], count["FAIL"], count["SKIP"]))
    print("\nA dash is a test that CPUID lets the machine skip.\n")
    for section in sorted(sections, key=section_key):
        print("### %s\n\n| test | Pacifica | QEMU TCG | what QEMU did |\n| --- | --- | --- | --- |" % section)
        for name in sections[section]:
            def cell(results):
                verdict = results.get(name, ("", ""))[0]
                return {"PASS": "pass", "FAIL": "**FAIL**", "SKIP": "–", "": "?"}[verdict]
            verdict, why = qemu.get(name, ("", ""))
            why = re.sub(r" \(exit .*", "", why) if verdict == "FAIL" else ""
            print("| %s | %s | %s | %s |" % (name.split("/", 1)[1], cell(pacifica), cell(qemu), why.replace("|", "\\|")))
        print()


if __name__ == "__main__":
    if len(sys.argv) >= 4 and sys.argv[1] == "run" and sys.argv[2] in ("pacifica", "qemu"):
        run(sys.argv[2], sys.argv[3], sys.argv[4:])
    elif len(sys.argv) == 4 and sys.argv[1] == "table":
        table(sys.argv[2], sys.argv[3])
    elif len(sys.argv) == 4 and sys.argv[1] == "document":
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            table(sys.argv[2], sys.argv[3])
        with open(DOCUMENT) as old:
            head = old.read().split(MARK)[0]
        with open(DOCUMENT, "w") as new:
            new.write(head + MARK + "\n\n" + text.getvalue().rstrip() + "\n")
    else:
        sys.exit(__doc__)

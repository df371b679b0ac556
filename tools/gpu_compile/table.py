"""Tables of what a driver's compiler says of the kernels: `table.py print|check|write RESULTS TABLE` reads what
`layer.c` and `examples/pipelines.rs` (its lines in `names`) wrote to RESULTS/FAMILY/ for a target, prints it, compares
it with TABLE or writes it there.

The inner loop of a kernel is its basic block with the most multiply-adds. The share is theirs of the instructions
there."""

import re
import sys
from collections import Counter
from pathlib import Path

ACO_SPILLS = ["Spilled VGPRs", "Spilled SGPRs"]
# What each compiler calls: registers, what it spills, bytes of workgroup memory, subgroups (of Apple: invocations) that
# fit at once on a core or a part of it (of Intel, where that is fixed: invocations of a subgroup, 8 to 32), instructions
# of the whole kernel, and its estimate of cycles (ACO's: from one subgroup's end to the next one's), which guesses how
# often a loop turns.
NAMES = [
    ("VGPRs", ACO_SPILLS, "LDS size", "Subgroups per SIMD", "Instructions", "Inverse Throughput"),
    ("Number of GPRs", ["Spills to memory"], None, "Max warps/SM", "Instruction count", "Static cycle count"),  # NAK
    ("Registers used", ["STP Count"], None, "Max Waves Per Core", "Instruction Count", None),  # ir3
    ("GPRs", ["Spills"], None, "Threads", "Instructions", None),  # Apple
    ("Max live registers", ["Spills"], "Workgroup Memory Size", "subgroup", "Instructions", "Cycles"),  # Intel
]
KINDS = [  # of instructions, the first that fits
    ("fma", r"v_(dual_)?(pk_)?(fma|fmac|fmamk|fmaak|dot2|wmma)|ffma|hfma2|hmma|mad\.f|sad\.f|mad$"),
    ("shared", r"ds_|(ld|st|ldsm|atom)\.shared|ldl|stl"),
    ("global", r"buffer_|global_|(ld|st|atom)\.global|ldg|stg|ldib|stib|isam|ldc|ldp|stp|scratch_|(ld|st)\.local"),
    ("wait", r"s_wait|s_delay|s_nop|s_clause|nop|bar|s_barrier|sync"),
]
COLUMNS = ["kernel", "registers", "spills", "shared B", "occupancy", "all", "cycles", "loop"]
COLUMNS += [kind for kind, _ in KINDS] + ["other", "share"]
FEWEST = 8  # multiply-adds of what is called an inner loop
LOSS = 0.05


def operation(line):
    """The operations on a line of machine code: name and number."""
    intel = re.match(r"(?:\([^)]*\) )?([a-z][\w.]*)\(\d+\) ", line)
    if intel:
        if not intel[1].startswith("send"):
            return [intel[1]]
        # A message: to workgroup memory (surface 254), a barrier, or to buffers.
        shared = re.search(r"\bslm MsgDesc|Surface = 254", line)
        return ["bar" if re.search(r"barrier|fence", line) else "ld.shared" if shared else "ld.global"]
    line = re.split(r" ;|//", line)[0].strip()
    line = re.sub(r"^@\S+\s+", "", line)  # NAK: a predicate
    line = line.split(" = ", 1)[-1].strip()  # NAK: the result
    if not line or line.endswith(":") or line[0] in "@;#}":
        return []
    repeats = re.search(r"\(rpt(\d)\)", line)  # ir3
    names = [part.split()[0] for part in re.sub(r"^(\([^)]*\))+", "", line).split(" :: ") if part.split()]  # RDNA3: two
    return names * (int(repeats[1]) + 1 if repeats else 1)


def blocks(text):
    """The basic blocks of machine code, each the names of its operations."""
    found = [[]]
    text = re.sub(r"\n\s+(.*MsgDesc)", r" \1", text)  # Intel: of a message the second line
    for line in text.splitlines():
        label = re.match(r"\s*(BB\d+:|block(\.u)? \d+ |l\d+:|LABEL\d+:)", line)
        if label:
            found.append([])
            line = "" if label[0].startswith("block") else line[label.end() :]
        found[-1] += operation(line)
        if re.match(r"\s*(\([^)]*\))*(\([^)]*\) )?(br|jump|bany|ball|s_cbranch\w*|s_branch|if|else|endif|while|break)\b", line):
            found.append([])
    return found


def kind(name):
    return next((kind for kind, pattern in KINDS if re.match(pattern, name)), "other")


def row(path, name):
    """A kernel's row."""
    numbers = dict(line.split(": ", 1) for line in path.read_text().splitlines())
    if name.split()[0].split(".")[1] != numbers["entry"]:
        sys.exit(f"{path}: of {name} the entry point is {numbers['entry']}: pipelines are compiled in another order")
    names = next(names for names in NAMES if names[0] in numbers and names[4] in numbers)
    registers, spills, shared, occupancy, instructions, cycles = names
    spilled = sum(int(numbers[name]) for name in spills if name in numbers)
    cells = [name, numbers[registers], str(spilled), numbers.get(shared, "-"), numbers[occupancy]]
    cells += [numbers[instructions], numbers.get(cycles, "-")]
    code = path.with_suffix(".asm")
    text = code.read_text(errors="replace") if code.exists() else ""
    counts = [Counter(map(kind, block)) for block in blocks(text)]
    loop = max(counts, key=lambda count: count["fma"])
    if loop["fma"] < FEWEST:
        return cells + ["-"] * (len(COLUMNS) - len(cells))
    names = [name for name, _ in KINDS] + ["other"]
    total = loop.total()
    return cells + [str(total), *[str(loop[name]) for name in names], f"{100 * loop['fma'] / total:.0f}%"]


def kernels(folder):
    """The rows of a family of kernels."""
    names = (folder / "names").read_text().splitlines()
    # wgpu has pipelines of its own, all called main.
    ours = [path for path in sorted(folder.glob("*.txt")) if not path.read_text().startswith("entry: main\n")]
    return sorted(row(path, name) for path, name in zip(ours, names, strict=True))


def markdown(target, families):
    lines = [f"# {target}"]
    for family, rows in families.items():
        lines += ["", f"## {family}", "", "| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
        lines += ["| " + " | ".join(cells) + " |" for cells in rows]
    return "\n".join(lines) + "\n"


def parse(text):
    """Rows of a table that was written, by family and kernel."""
    families, rows = {}, {}
    for line in text.splitlines():
        if line.startswith("## "):
            rows = families.setdefault(line[3:], {})
        elif line.startswith("| ") and not line.startswith("| kernel "):
            cells = line.strip("| ").split(" | ")
            rows[cells[0]] = dict(zip(COLUMNS, cells))
    return families


def losses(before, after):
    """What a kernel lost, in words."""
    def number(row, column):
        text = row[column].rstrip("%")
        return float(text) if text != "-" else None

    if number(after, "spills") > number(before, "spills"):
        yield f"spills {after['spills']}, before {before['spills']}"
    # Instructions say less than cycles: a loop that is unrolled has more of them.
    cost = "all" if before["cycles"] == "-" else "cycles"
    for column, sign in [(cost, 1), ("occupancy", -1), ("share", -1)]:
        was, now = number(before, column), number(after, column)
        if was and now is not None and sign * (now - was) > LOSS * was:
            yield f"{column} {after[column]}, before {before[column]}"


def main():
    mode, results, table = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    # A family's own kernels: most are those of tiles.
    families, known = {}, set()
    for path in sorted(results.glob("*/"), key=lambda path: (path.name not in ("tiles", "tiles-narrow"), path.name)):
        rows = kernels(path)
        families[path.name] = [cells for cells in rows if tuple(cells) not in known]
        known.update(map(tuple, rows))
    if not families:
        sys.exit(f"{results}: nothing was compiled")
    text = markdown(results.name, families)
    if mode == "write":
        table.write_text(text)
        return
    if mode == "print":
        print(text)
        return
    if not table.exists():
        sys.exit(f"{table} is missing; write it by --write")
    known, failed = parse(table.read_text()), False
    for family, rows in parse(text).items():
        for name, cells in rows.items():
            before = known.get(family, {}).get(name)
            # A kernel that is new has nothing to lose, but may not spill.
            lost = list(losses(before, cells)) if before else ["new and spills"] * (cells["spills"] != "0")
            for words in lost:
                print(f"{results.name}, {family}, {name}: {words}")
                failed = True
        gone = known.get(family, {}).keys() - rows.keys()
        for name in sorted(gone):
            print(f"{results.name}, {family}, {name}: is no more; write the table anew")
            failed = True
    print(f"{results.name}: {'LOST' if failed else 'nothing lost'}")
    sys.exit(failed)


main()

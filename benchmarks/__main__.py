"""Every benchmark in turn, in processes of their own, onto one page: ``python -m benchmarks [--quick] [--only NAME ...]``.

Each section is kept as JSON under ``build/benchmarks`` as soon as it is measured; the page is written from what is there, also
after Ctrl-C, and names what is missing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.page import write
from benchmarks.section import Section

SECTIONS = ("start_up", "solver_grid", "steps", "trajectories", "time_to_front", "quality")
ROOT = Path(__file__).parent.parent
KEPT = ROOT / "build" / "benchmarks"
PAGE = ROOT / "docs" / "results" / "benchmarks.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="about 5 minutes in place of 25")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="sections to measure again")
    arguments = parser.parse_args()
    begin, failed = time.monotonic(), []
    for name in arguments.only:
        print(f"{name} ...", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}", "--save", str(KEPT / f"{name}.json")]
        done = subprocess.run([*command, *["--quick"] * arguments.quick], cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
        if done.returncode:
            failed.append(name)
        print(
            f"{name}: {'failed' if done.returncode else 'done'}, {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True
        )
    found = {name: Section.load(KEPT / f"{name}.json") for name in SECTIONS if (KEPT / f"{name}.json").exists()}
    write(PAGE, found, missing=[name for name in SECTIONS if name not in found])
    print(PAGE)
    if failed:
        sys.exit(f"these sections failed: {', '.join(failed)}; run `python -m benchmarks.NAME` to see why")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("stopped; sections that were finished are kept, and `python -m benchmarks --only ...` measures the others")

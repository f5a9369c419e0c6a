"""The pages keep their word: a page is read from top to bottom in a folder of its own, and whatever it says to do is done.

- ``python``: run, in one namespace for the page; lines with ``>>>`` are checked against their answers.
- ``python`` or ``toml`` whose first line is ``# name.py`` or ``# name.toml``: also written to that file, for later blocks.
- ``console``: a line ``$ moo-mtl ...`` or ``$ torchrun ...`` is run; one whose comment says how many minutes it takes is
  not, but its options must exist.
- Pictures exist, and so does the command that draws each. Links lead somewhere.
"""

import doctest
import re
import shlex
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
import typer

from moo_mtl import cli, config, runs
from moo_mtl.rules import ZOO

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if page.exists() and "_build" not in page.parts]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
NAMED = re.compile(r"# ([\w-]+\.(?:py|toml))\n")
FOREIGN = ("pytorch_lightning", "transformers")  # blocks with trainers of others run where these are installed
ELSEWHERE = {"README.md"}  # has a test of its own


def name(page):
    return page.relative_to(ROOT).as_posix()


def blocks(page, *languages):
    return [(language, text) for language, text in FENCE.findall(page.read_text(encoding="utf-8")) if language in languages]


def lines(text):
    """The lines of a console block: the words, and whether they are cheap enough to be run."""
    for line in text.splitlines():
        if line.startswith("$ "):
            words, _, comment = line.removeprefix("$ ").partition(" #")
            yield shlex.split(words), "minute" not in comment


def commands(page):
    return [line for _, text in blocks(page, "console") for line in lines(text)]


RUNNABLE = [page for page in PAGES if name(page) not in ELSEWHERE and blocks(page, "python", "console", "toml")]
WITH_COMMANDS = [page for page in PAGES if any(words[0] == "moo-mtl" for words, _ in commands(page))]


@pytest.mark.parametrize("page", RUNNABLE, ids=name)
def test_what_a_page_says_works(page, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(runs, "_package_digest", lambda: "the package")
    namespace, zoo = {"__name__": "__main__"}, dict(ZOO)
    try:
        for language, text in blocks(page, "python", "toml", "console"):
            if language == "console":
                for words, cheap in lines(text):
                    if cheap:
                        _run(words, monkeypatch, capfd)
                continue
            named = NAMED.match(text)
            if named:
                Path(named[1]).write_text(text, encoding="utf-8")
            if language == "toml":
                config.read(Path(named[1]) if named else _written(text))
            elif ">>>" in text:
                _session(text, namespace, page)
            elif "init_process_group" not in text:  # such a program is torchrun's to start
                _program(text, namespace, page)
    finally:
        for file in tmp_path.glob("*.py"):
            sys.modules.pop(file.stem, None)
        ZOO.clear()  # of the page's own recipes
        ZOO.update(zoo)


def _run(words, monkeypatch, capfd):
    if words[0] == "torchrun":
        command = [sys.executable, "-m", "torch.distributed.run", *words[1:]]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert answer.returncode == 0, answer.stderr
    elif words[0] == "moo-mtl":
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert stopped.value.code == 0, capfd.readouterr().err
    else:
        assert words[0] in {"make", "pip", "python"}, f"nobody checks the command {words[0]!r}"


def _program(text, namespace, page):
    foreign = [module for module in FOREIGN if f"import {module}" in text or f"from {module} import" in text]
    if all(find_spec(module) for module in foreign):
        with warnings.catch_warnings():
            if foreign:
                warnings.simplefilter("default")  # theirs are not ours to mend
            exec(compile(text, name(page), "exec"), namespace)


def _written(text):
    file = Path("unnamed.toml")
    file.write_text(text, encoding="utf-8")
    return file


def _session(text, namespace, page):
    test = doctest.DocTestParser().get_doctest(text, namespace, name(page), name(page), 0)
    runner = doctest.DocTestRunner()
    runner.run(test, clear_globs=False)
    assert runner.failures == 0
    namespace.update(test.globs)


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name)
def test_options_of_every_command_exist(page):
    known = typer.main.get_command(cli.app)
    for words, _ in commands(page):
        if words[0] == "moo-mtl":
            with click.Context(known) as context:
                command = known.get_command(context, words[1])
                assert command is not None, words
                command.make_context(words[1], words[2:], parent=context)  # raises on an option it does not have


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_pictures_and_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{name(page)} links to {target}"


@pytest.mark.parametrize("page", [page for page in PAGES if "![" in page.read_text(encoding="utf-8")], ids=name)
def test_every_picture_has_its_command_beside_it(page):
    text = page.read_text(encoding="utf-8")
    command = r"moo-mtl (?:run|front|report|theory|figures|compare)|python paper_figs/|python -m benchmarks\."
    shown = re.findall(rf"(?:\$ |    )((?:{command})[^\n]*)", text)
    assert shown, f"{name(page)} shows a picture and no command that draws it"

"""The documentation keeps its word: examples load, commands exist, links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from fairlead.cli.ctl.app import ctl
from fairlead.cli.main import fairlead

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

# What an example may refer to without showing it.
BASE = {
    "server1": "type=server\naddress=10.0.0.1\n",
    "server2": "type=server\naddress=10.0.0.2\n",
    "server3": "type=server\naddress=10.0.0.3\n",
    "Monitor": "type=monitor\nmodule=mariadbmon\nservers=server1,server2,server3\nuser=u\npassword=p\n",
    "Split": "type=service\nrouter=readwritesplit\nservers=server1,server2,server3\nuser=u\npassword=p\n",
}


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """Fenced blocks of one language with the number of their first line."""
    text = page.read_text()
    found = re.finditer(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [(text.count("\n", 0, match.start()) + 2, match[1]) for match in found]


def examples(language: str) -> list[object]:
    return [
        pytest.param(text, id=f"{page.relative_to(ROOT)}:{line}")
        for page in PAGES
        for line, text in blocks(page, language)
    ]


def completed(example: str) -> str:
    """The example with the sections that it takes for granted."""
    names = set(re.findall(r"^\[(.+?)\]", example, re.MULTILINE))
    added = [f"[{name}]\n{body}" for name, body in BASE.items() if name not in names]
    if re.search(r"^type=monitor", example, re.MULTILINE):
        added = [part for part in added if not part.startswith("[Monitor]")]
    return "\n".join([example, *added])


@pytest.mark.parametrize("example", examples("ini"))
def test_configuration_examples_load(example: str, tmp_path: Path) -> None:
    store = pytest.importorskip("fairlead.config.store")
    file = tmp_path / "example.cnf"
    file.write_text(completed(example))
    loaded = store.ConfigStore.load(file, basedir=tmp_path / "base")
    assert loaded.snapshot().servers


def command_lines() -> list[object]:
    found = []
    for page in PAGES:
        for line, text in blocks(page, "sh"):
            for row in text.splitlines():
                if re.match(r"(\S*/)?(fairlead|fairctl) ", row) and "<<" not in row:
                    found.append(pytest.param(row, id=f"{page.relative_to(ROOT)}:{line}:{row}"))
    return found


@pytest.mark.parametrize("line", command_lines())
def test_commands_in_examples_exist(line: str) -> None:
    program, *words = shlex.split(line, comments=True)
    command: click.Command = ctl if program == "fairctl" else fairlead
    context = click.Context(command)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words.pop(0))
        assert found is not None, f"{line}: no such command"
        command = found
    if words and words[0].startswith("-"):
        known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
        assert words[0].split("=")[0] in known, f"{line}: no such option"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), f"{page.name}: {target} does not exist"
        if anchor and place.suffix == ".md":
            assert anchor in anchors(place), f"{page.name}: {target}: no such heading"


def anchors(page: Path) -> set[str]:
    """Anchors of the headings, as code hosts make them."""
    headings = re.findall(r"^#+ +(.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_every_page_is_reachable_from_the_readme() -> None:
    seen: set[Path] = set()
    queue = [ROOT / "README.md"]
    while queue:
        page = queue.pop()
        if page in seen or not page.exists():
            continue
        seen.add(page)
        for target in re.findall(r"\]\(([^)\s#]+\.md)", page.read_text()):
            queue.append((page.parent / target).resolve())
    assert set(PAGES) <= seen, f"not linked: {sorted(str(p.relative_to(ROOT)) for p in set(PAGES) - seen)}"


def test_make_targets_that_pages_name_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"(?:`|^|once )make ([a-z][a-z-]*)", page.read_text(), re.MULTILINE))
        assert named <= targets, f"{page.name}: {named - targets}"

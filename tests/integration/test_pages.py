"""README and site are true: code runs and prints what they say, commands, messages and links exist."""

from __future__ import annotations

import json
import re
import shlex
import tomllib

import pytest
import typer
from pages import ROOT, blocks, differences, executed, maker, near, run_page

import spex_mech as sm
from spex_mech.cli import app
from spex_mech.run.spec_file import read_spec

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
BY_NAME = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in PAGES}
_LINK = re.compile(r"(?:\]\(|srcset=\"|src=\")([^)\s\"]+)")
_INLINE = re.compile(r"`(spex-mech [^`]+)`")
_PLACE = re.compile(r"\b[A-Z][A-Z0-9_]+\b")  # as in NAME, MODEL, KEY=VALUE
_COMMANDS = typer.main.get_command(app)


def commands(text: str) -> list[str]:
    """All ``spex-mech`` lines of a page, of shell blocks and of running text."""
    lines = [line for b in blocks(text) if b.language == "sh" for line in b.code.splitlines()]
    shell = [line.split("  #")[0].strip() for line in lines]
    return [line for line in (*shell, *_INLINE.findall(text)) if line.startswith("spex-mech")]


def fault(line: str) -> str | None:
    """What is wrong with a command line: a command or option that there is not; None for nothing."""
    words = shlex.split(line)[1:]
    command = _COMMANDS
    while (
        words
        and getattr(command, "commands", None)
        and not words[0].startswith("-")
        and words[0] in command.commands
    ):
        command = command.commands[words.pop(0)]
    if getattr(command, "commands", None):
        return None if not words else f"there is no command {words[0]!r}"
    if words and words[-1] == "...":
        words = words[:-1]
    words = [word for word in words if word != "..."]
    try:
        context = command.context_class(command)
        left = command.make_parser(context).parse_args([*words])[1]
    except typer.BadParameter.__base__ as error:
        missing = "requires an argument" in str(error)  # running text may name an option alone
        return None if missing else str(error)
    return f"{left} is left over" if left else None


@pytest.mark.parametrize("name", [name for name, text in BY_NAME.items() if any(executed(text))])
def test_code_runs_and_prints_what_the_page_says(name):
    text = BY_NAME[name]
    pairs = list(executed(text))
    wrong = [
        line
        for (_, output), printed in zip(pairs, run_page(text, name), strict=True)
        for line in differences(output.code if output else "", printed)
    ]
    assert wrong == []


@pytest.mark.parametrize("name", BY_NAME)
def test_code_that_is_not_executed_is_python_with_public_names(name):
    for block in blocks(BY_NAME[name]):
        if block.language == "python":
            compile(block.code, name, "exec")
            for word in re.findall(r"\bsm\.(\w+)", block.code):
                assert hasattr(sm, word), f"{name} uses sm.{word}, which does not exist"


@pytest.mark.parametrize("name", BY_NAME)
def test_commands_exist_with_their_options(name):
    faults = {line: wrong for line in commands(BY_NAME[name]) if (wrong := fault(line))}
    assert faults == {}


@pytest.mark.parametrize("name", BY_NAME)
def test_links_to_files_of_the_repository_lead_somewhere(name):
    folder = (ROOT / name).parent
    links = [link.split("#")[0] for link in _LINK.findall(BY_NAME[name])]
    inside = [
        link for link in links if link and "://" not in link and not link.startswith("mailto:")
    ]
    made = ("api/", "contributing.md")  # pages that are written when the site is built
    missing = [x for x in inside if not (folder / x).exists() and not x.startswith(made)]
    assert missing == []


def test_messages_on_the_page_of_errors_are_messages_of_the_package():
    source = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "spex_mech").rglob("*.py"))
    quoted = re.findall(r"^\| `([^`]+)`", BY_NAME["docs/errors.md"], re.MULTILINE)
    assert len(quoted) > 8
    assert [message for message in quoted if message not in source] == []


def test_the_table_of_families_is_that_of_the_tests():
    families = maker("families")
    page = BY_NAME["docs/models.md"]
    assert families.written(page, families.table()) == page


def test_the_spec_page_shows_the_defaults(tmp_path):
    toml = next(b.code for b in blocks(BY_NAME["docs/spec.md"]) if b.language == "toml")
    (tmp_path / "all.toml").write_text(toml, encoding="utf-8")
    assert read_spec(tmp_path / "all.toml") == read_spec(None)


def test_the_spec_page_names_every_key_with_its_default():
    toml = next(b.code for b in blocks(BY_NAME["docs/spec.md"]) if b.language == "toml")
    shown, absent, section = {}, {}, ""
    for line in toml.splitlines():
        if head := re.match(r"\[(\w+)\]", line):
            section = f"{head[1]}."
        elif key := re.match(r"(# )?(\w+) = ", line):
            named = absent if key[1] else shown
            assert f"{section}{key[2]}" not in {**shown, **absent}
            value = tomllib.loads(line.removeprefix("# "))
            named[f"{section}{key[2]}"] = value[key[2]]
    defaults = {}
    for key, value in read_spec(None).model_dump().items():
        inner = (
            {f"{key}.{x}": y for x, y in value.items()} if isinstance(value, dict) else {key: value}
        )
        defaults.update(inner)
    assert shown == {key: value for key, value in defaults.items() if value is not None}
    assert set(absent) == {key for key, value in defaults.items() if value is None}
    for key, example in absent.items():
        read_spec(None, [f"{key}={json.dumps(example)}"])  # every example is of the right type


def test_commands_and_options_that_there_are_not_are_found():
    assert fault("spex-mech run my.toml --out x") is None
    assert "no command" in (fault("spex-mech fly") or "")
    assert "--wings" in (fault("spex-mech run my.toml --wings 2") or "")
    assert fault("spex-mech report one two") is not None


def test_near_compares_words_exactly_and_numbers_within_rounding():
    assert near("R² 0.95 of L0H3", "R² 0.94 of L0H3")
    assert not near("R² 0.95 of L0H3", "R² 0.85 of L0H3")
    assert not near("R² 0.95 of L0H3", "R² 0.95 of L0H4")
    assert not near("16 heads", "17 heads")
    assert differences("a\nb", "a") and not differences("+1.00 x\n", "+1.01 x")

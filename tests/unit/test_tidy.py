"""The rules of the house that a reviewer would otherwise have to remember (CONTRIBUTING.md)."""

import ast
import gc
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOTS = ("core", "agents", "projections", "tests")
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc"}
LEFTOVERS = re.compile(r"\b(" + "|".join(("FIX" + "ME", "TO" + "DO", "X" * 3)) + r")\b")
Function = ast.FunctionDef | ast.AsyncFunctionDef

# What the model may not touch. The clock, chance and the outside world reach it as arguments.
BANNED_IN_MODEL = {
    "asyncio", "concurrent", "docker", "http", "io", "nats", "os", "pathlib", "random", "secrets", "shutil",
    "socket", "sqlite3", "sqlite_utils", "subprocess", "tempfile", "threading", "time", "urllib", "uuid",
}  # fmt: skip
CLOCK_CALLS = {"now", "utcnow", "today"}
CLOCKS = {"datetime", "date"}
BANNED_BUILTINS = {"open", "input", "print"}


def _files(*roots: str) -> list[Path]:
    return sorted(path for root in roots for path in (ROOT / root).rglob("*.py"))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def _tree(path: Path) -> ast.Module:
    gc.disable()  # a tree has no garbage, and looking for it takes thrice as long as the parsing
    try:
        return ast.parse(_text(path), filename=str(path))
    finally:
        gc.enable()


def _functions(path: Path) -> Iterator[Function]:
    return (node for node in ast.walk(_tree(path)) if isinstance(node, Function))


def _none(complaints: list[str]) -> None:
    if complaints:
        pytest.fail("\n".join(complaints), pytrace=False)


def test_files_are_short():
    """A file longer than 400 lines holds two subjects: split it by subject."""
    long = ((path, len(_text(path).splitlines())) for path in _files(*ROOTS))
    _none(
        [
            f"{_name(path)}: {lines} lines, the limit is {FILE_LINES_MAX}; split it by subject"
            for path, lines in long
            if lines > FILE_LINES_MAX
        ]
    )


def test_functions_are_short():
    """A function longer than 70 lines is two: give the inner one a name."""
    _none(
        [
            f"{_name(path)}:{function.lineno}: {function.name} has {lines} lines, the limit is "
            f"{FUNCTION_LINES_MAX}; give its parts names"
            for path in _files(*ROOTS)
            for function in _functions(path)
            if (lines := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LINES_MAX
        ]
    )


def test_modules_are_named_for_what_they_hold():
    """A module called utils or manager says nothing and collects everything."""
    _none(
        [
            f"{_name(path)}: '{part}' says nothing; name it for what it holds"
            for path in _files(*ROOTS)
            for part in {path.stem, path.parent.name}
            if part.strip("_") in EMPTY_NAMES
        ]
    )


def test_nothing_is_left_for_later():
    """What is unfinished stands in an issue, where it is seen, and not in the code."""
    _none(
        [
            f"{_name(path)}:{number}: a leftover {found[1]}; finish it or open an issue"
            for path in _files(*ROOTS)
            for number, line in enumerate(_text(path).splitlines(), 1)
            if (found := LEFTOVERS.search(line))
        ]
    )


def test_every_folder_of_tests_is_looked_into(pytestconfig: pytest.Config):
    """Pytest passes over folders of some names, also by default: what is in them would never run."""
    passed_over = pytestconfig.getini("norecursedirs")
    folders = {name for path in _files("tests") for name in path.relative_to(ROOT).parts[:-1]}
    assert [each for each in sorted(folders) if any(fnmatch(each, one) for one in passed_over)] == []


def test_every_test_says_what_is_expected():
    """Each test has a docstring: one sentence with the behaviour it expects."""
    _none(
        [
            f"{_name(path)}:{function.lineno}: {function.name} has no docstring; say what is expected"
            for path in _files("tests")
            if path.name.startswith("test_")
            for function in _functions(path)
            if function.name.startswith("test_") and not ast.get_docstring(function)
        ]
    )


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything the file imports, wherever in it the import stands."""
    package = path.relative_to(ROOT / "core").parent.parts
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{module}.{alias.name}"


def test_model_does_no_io():
    """The model imports nothing that reaches outside the process, or that answers differently twice."""
    _none(
        [
            f"{_name(path)}:{line}: the model must not import {name}; take what it gives as an argument"
            for path in _files("core/muster/model")
            for line, name in _imports(path)
            if name.split(".")[0] in BANNED_IN_MODEL
        ]
    )


def test_model_is_the_ground_floor():
    """The model imports nothing of Muster but itself."""
    _none(
        [
            f"{_name(path)}:{line}: the model must not import {name}; it may import muster.model only"
            for path in _files("core/muster/model")
            for line, name in _imports(path)
            if re.match(r"muster(_\w+)?(\.|$)", name) and not name.startswith("muster.model")
        ]
    )


def test_model_asks_nobody_for_the_time():
    """The model calls no clock and opens no file: now is an argument, so a replay is exact."""
    complaints = []
    for path in _files("core/muster/model"):
        for node in ast.walk(_tree(path)):
            if not isinstance(node, ast.Call):
                continue
            match node.func:
                case ast.Attribute(attr=call, value=ast.Name(id=clock) | ast.Attribute(attr=clock)):
                    if call in CLOCK_CALLS and clock in CLOCKS:
                        complaints.append(
                            f"{_name(path)}:{node.lineno}: {clock}.{call}(): `now` is an argument"
                        )
                case ast.Name(id=name) if name in BANNED_BUILTINS:
                    complaints.append(f"{_name(path)}:{node.lineno}: the model must not call {name}()")
    _none(complaints)

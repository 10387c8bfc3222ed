from __future__ import annotations

from pathlib import Path

import pytest

from muster import documentation
from muster.model import errors
from muster.model.log import catalogue, transitions

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = documentation.pages(DOCS)


@pytest.mark.parametrize("name", PAGES)
def test_the_page_says_what_the_code_says(name: str):
    """Each generated page in docs/ is exactly what the code gives."""
    written = (DOCS / name).read_text(encoding="utf-8") if (DOCS / name).exists() else ""
    assert written == PAGES[name], f"docs/{name} is out of date: run python -m muster.documentation"


def test_every_error_kind_and_transition_is_documented():
    """No error, event kind or transition is left out."""
    for code in set(errors.by_code()) - {"muster"}:
        kind = errors.by_code()[code]
        if kind.__module__ == errors.__name__:
            assert f"| `{code}` |" in PAGES["errors.md"]
    for kind_ in catalogue.CATALOGUE:
        assert f"### `{kind_}`" in PAGES["events.md"]
    for row in transitions.TABLE:
        assert f"| {row.type} | `{row.kind}` |" in PAGES["states.md"]

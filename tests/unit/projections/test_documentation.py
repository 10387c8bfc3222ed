"""docs/view.md is what the code says, and its examples run."""

import re
from pathlib import Path

import pytest

from muster.model.definition.schedule import Schedule
from muster.model.definition.workflow import Workflow
from muster.model.errors import ExecutionError
from muster.model.log import catalogue as c
from muster.model.log.decisions import Parent
from muster_projections.documentation import EXAMPLES, page, schema
from muster_projections.registry import DEFAULTS
from tests.fixtures.histories import history
from tests.fixtures.views import ask, fold, rows

PAGE = Path(__file__).resolve().parents[3] / "docs" / "view.md"


def test_the_page_is_up_to_date():
    """If this fails: python -m muster_projections.documentation > docs/view.md."""
    assert PAGE.read_text(encoding="utf-8") == page(DEFAULTS)


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    """A view in which everything happened, but with an execution that still runs."""
    log = history(17, executions=30, mishaps=0.5)
    log.queue("yy", ["a"], parent=Parent(execution="xx", step="b"))
    log.decide(c.StepWaiting(reason="input", prompt="Publish?"), "yy", step="a")
    log.decide(c.StepFailed(error=ExecutionError().info()), "yy", step="each/3/b")
    log.queue("zz", ["a", "b"])
    log.schedule("zz", "a", 1, "gpu-1")
    list(log.prepare("zz", "a", 1, "gpu-1"))
    daily = Workflow(name="daily", steps=[], schedule=Schedule(cron="0 6 * * *"))
    log.decide(c.ScheduleSet(name="daily", workflow=daily, inputs={}, next_at=log.now))
    return fold(tmp_path_factory.mktemp("docs") / "view.db", log.events)


@pytest.mark.parametrize(
    "sql", re.findall(r"```sql\n(.*?)\n```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
)
def test_every_example_answers(view, sql):
    """Each query of the page runs and finds something."""
    assert ask(view, sql)


def test_no_example_is_missing():
    """All questions are on the page."""
    assert all(question in PAGE.read_text(encoding="utf-8") for question, _ in EXAMPLES)


def test_the_schema_is_the_file_s(view):
    """What is documented is what is there: tables, columns and their order by name."""
    documented = {each["table"]: {column["name"] for column in each["columns"]} for each in schema(DEFAULTS)}
    found = {
        each["name"]: set(rows(view, each["name"])[0])
        if rows(view, each["name"])
        else documented[each["name"]]
        for each in ask(view, "SELECT name FROM sqlite_master WHERE type = 'table'")
    }
    assert found == documented

"""What may be called what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.model.errors import NameInvalidError
from muster.model.log.names import check_execution, check_machine, check_name

LEGAL = ["a", "words", "gpu-1", "a_b", "7x", "x" * 63]
ILLEGAL = ["", "a.b", "A", "-a", "_a", "a b", "a/b", "é", "a\n", "x" * 64, "*", ">", "a:b"]


@pytest.mark.parametrize("name", LEGAL)
def test_legal_names_are_returned(name: str):
    """Machines, workflows and steps share one rule."""
    assert check_name("step id", name) == name
    assert check_machine(name) == name


@pytest.mark.parametrize("name", ILLEGAL)
def test_illegal_names_are_refused_with_the_rule(name: str):
    """The error says what the name was for, the name, and the rule."""
    with pytest.raises(NameInvalidError) as caught:
        check_name("step id", name)
    assert str(caught.value) == (
        f"The step id {name!r} is not a legal name. "
        "Use 1 to 63 of a-z, 0-9, _ and -, beginning with a letter or digit."
    )


def test_scheduler_is_no_machine():
    """The name of the writer of decisions is reserved, for machines only."""
    assert check_name("workflow", "scheduler") == "scheduler"
    with pytest.raises(NameInvalidError, match="reserved"):
        check_machine("scheduler")


@pytest.mark.parametrize("execution", ["01JD3X", "x1", "a" * 64, "0192-ab_C"])
def test_execution_ids_are_the_clients_choice(execution: str):
    """Letters, digits, dash and underscore, up to 64."""
    assert check_execution(execution) == execution


@given(st.text())
def test_no_accepted_name_can_break_a_subject(text: str):
    """What is accepted never contains a separator or wildcard of NATS, nor a space."""
    for check in (lambda name: check_name("x", name), check_machine, check_execution):
        try:
            assert not set(check(text)) & set(".*> \t\r\n\0")
        except NameInvalidError:
            continue

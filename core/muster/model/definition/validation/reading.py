"""Expressions that are read for their types, with what is wrong about them reported where they stand."""

from __future__ import annotations

from muster.model.definition.problems import Path, Report
from muster.model.definition.validation.origins import STRING, Declared
from muster.model.definition.validation.types import given
from muster.model.definition.workflow import Port
from muster.model.errors import ExpressionError
from muster.model.expressions.template import compile_template


def read(text: str, path: Path, declared: Declared, report: Report) -> tuple[Port, ...]:
    """What the text may give, one of these; empty where that is not known, or where it is wrong."""
    if report.known(path):
        return ()
    try:
        template = compile_template(text)
        found = [given(expression, declared) for expression in template.expressions]
    except ExpressionError as error:
        report.add(path, error.message, error.advice, type(error))
        return ()
    return found[0] if template.whole is not None else (STRING,)

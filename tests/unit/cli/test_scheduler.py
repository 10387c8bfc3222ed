"""Limits of the scheduler as they are given on the command line."""

from __future__ import annotations

import click
import pytest

from muster.cli.scheduler import Setting


def test_rules_are_a_json_object_of_lists():
    """The tags that functions require; all other limits are numbers or durations."""
    setting = Setting()
    assert setting.convert('function_tags={"app:*": ["gpu"]}', None, None) == (
        "function_tags",
        {"app:*": ["gpu"]},
    )
    assert setting.convert("lost_max=5", None, None) == ("lost_max", 5)
    assert setting.convert("placement_timeout_s=5m", None, None) == ("placement_timeout_s", 300.0)


@pytest.mark.parametrize("text", ["function_tags=gpu", 'function_tags={"app:*": "gpu"}', "function_tags=[]"])
def test_rules_of_another_shape_are_refused_with_an_example(text: str):
    """The message says how to write them."""
    with pytest.raises(click.BadParameter, match=r'a JSON object of lists, such as \{"app:\*": \["gpu"\]\}'):
        Setting().convert(text, None, None)

"""A workflow as the text of a file: YAML as people write it, which reads back as the same workflow."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
import yaml

from muster.model.definition.terms import encoded
from muster.model.definition.workflow import Workflow

WIDTH: Final = 110
# What Muster reads as a number or a word, and PyYAML would write bare: 1e5, 0o17, +7
# (muster.model.definition.document).
_PLAIN: Final = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z|0o[0-7]+\Z|0x[0-9a-fA-F]+\Z"
)


class _Dumper(yaml.SafeDumper):
    """Block style, literal blocks for text of many lines, lists indented under their key, no anchors."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        """Indent lists too: that is how all examples look."""
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """Anchors are refused by the reader."""
        return True


def _text(dumper: yaml.SafeDumper, data: str) -> yaml.ScalarNode:
    style = None
    lines = data.split("\n")
    if _PLAIN.match(data) or not all(line.isprintable() for line in lines):
        style = '"'
    elif len(lines) > 1 and not data.startswith((" ", "\n")) and all(line == line.rstrip() for line in lines):
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(workflow: Workflow) -> str:
    """The workflow as YAML. What has its default is left out."""
    return yaml.dump(
        msgspec.to_builtins(workflow, enc_hook=encoded),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=WIDTH,
        default_flow_style=None,
    )

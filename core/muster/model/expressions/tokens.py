"""The tokens of a CEL expression: enough to find its end, its references and its macros without evaluating it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, Literal, NamedTuple

Kind = Literal["name", "string", "number", "operator"]

_TOKEN: Final = re.compile(
    r"""
      (?P<space> \s+ | //[^\n]* )
    | (?P<string>
          (?:[bB]?[rR]|[rR][bB]) (?: \"{3}(?s:.*?)\"{3} | '{3}(?s:.*?)'{3} | "[^"\n\r]*" | '[^'\n\r]*' )
        | [bB]? (?: \"{3}(?s:\\.|[^\\])*?\"{3} | '{3}(?s:\\.|[^\\])*?'{3}
                  | "(?:\\.|[^"\\\n\r])*" | '(?:\\.|[^'\\\n\r])*' )
      )
    | (?P<name> [A-Za-z_][A-Za-z0-9_]* )
    | (?P<number> 0[xX][0-9a-fA-F]+[uU]? | (?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?[uU]? )
    | (?P<operator> && | \|\| | [=!<>]= | (?s:.) )
    """,
    re.VERBOSE,
)
_QUOTED: Final = re.compile(r"([a-zA-Z]*)(\"{3}|'{3}|\"|')(.*)\2\Z", re.DOTALL)
_ESCAPE: Final = re.compile(
    r"\\(?:([abfnrtv\\?\"'`])|[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2}))"
)
_ESCAPED: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_KEYWORDS: Final = frozenset(("true", "false", "null", "in"))
_OPERAND_ENDS: Final = frozenset((")", "]", "}"))


class Token(NamedTuple):
    """One token and where it stands in the source."""

    kind: Kind
    text: str
    start: int

    @property
    def value(self) -> str:
        """What a string literal stands for."""
        match = _QUOTED.match(self.text)
        if match is None:
            return self.text
        raw = "r" in match[1].lower()
        return match[3] if raw else _ESCAPE.sub(_unescape, match[3])


def _unescape(match: re.Match[str]) -> str:
    if simple := match[1]:
        return _ESCAPED.get(simple, simple)
    code = int(match[5], 8) if match[5] else int(match[2] or match[3] or match[4], 16)
    return chr(code) if code <= 0x10FFFF else match[0]


def scan(source: str, start: int = 0) -> Iterator[Token]:
    """The tokens from ``start`` on; spaces and comments are left out, what is no CEL comes as an operator."""
    for match in _TOKEN.finditer(source, start):
        if (kind := match.lastgroup) != "space":
            yield Token(kind, match[0], match.start())  # type: ignore[arg-type]


@lru_cache(maxsize=1_024)
def listed(source: str) -> tuple[Token, ...]:
    """All tokens of an expression."""
    return tuple(scan(source))


def is_field(tokens: Sequence[Token], index: int) -> bool:
    """Whether the name at ``index`` is a member of what stands before it (``x.name``), not a name of its own."""
    if index < 2 or tokens[index - 1].text != ".":
        return False
    before = tokens[index - 2]
    return before.kind != "operator" or before.text in _OPERAND_ENDS


def is_call(tokens: Sequence[Token], index: int) -> bool:
    """Whether the name at ``index`` is called."""
    return index + 1 < len(tokens) and tokens[index + 1].text == "("


def is_key(tokens: Sequence[Token], index: int) -> bool:
    """Whether the token at ``index`` is what an index bracket holds, alone: ``x["key"]``."""
    return index + 1 < len(tokens) and tokens[index - 1].text == "[" and tokens[index + 1].text == "]"


def names(tokens: Sequence[Token]) -> Iterator[tuple[int, Token]]:
    """Every name that is neither a member, nor called, nor a keyword: what the scope or a macro must provide."""
    for index, token in enumerate(tokens):
        if token.kind != "name" or token.text in _KEYWORDS:
            continue
        if not is_field(tokens, index) and not is_call(tokens, index):
            yield index, token


def path(tokens: Sequence[Token], index: int) -> tuple[tuple[str | int, ...], int]:
    """The literal selectors after the name at ``index``, and the index of the first token that is none of them.

    ``a.b["c"][0].size()`` gives ``("b", "c", 0)``: a called name is no selector.
    """
    found: list[str | int] = []
    at = index + 1
    while at + 1 < len(tokens):
        if tokens[at].text == "." and tokens[at + 1].kind == "name" and not is_call(tokens, at + 1):
            found.append(tokens[at + 1].text)
            at += 2
        elif (
            tokens[at].text == "["
            and is_key(tokens, at + 1)
            and (key := _literal(tokens[at + 1])) is not None
        ):
            found.append(key)
            at += 3
        else:
            break
    return tuple(found), at


def _literal(token: Token) -> str | int | None:
    if token.kind == "string" and token.text[0] not in "bB":
        return token.value
    return int(token.text) if token.kind == "number" and token.text.isdecimal() else None


def closing(tokens: Sequence[Token], index: int) -> int:
    """The index of the bracket that closes the one at ``index``, or the end."""
    depth = 0
    for at in range(index, len(tokens)):
        if tokens[at].kind == "operator":
            depth += (tokens[at].text in "([{") - (tokens[at].text in ")]}")
            if depth == 0:
                return at
    return len(tokens)

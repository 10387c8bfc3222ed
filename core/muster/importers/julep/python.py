"""Julep's expressions, which are Python, as CEL: what has the same meaning there, and nothing else."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

from muster.importers.draft import member, plain, truth
from muster.model.definition.terms import source

T = TypeVar("T")

_COMPARED: Final[Mapping[type[ast.cmpop], str]] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.In: "in",
    ast.Is: "==", ast.IsNot: "!=",
}  # fmt: skip
_JOINED: Final[Mapping[type[ast.operator], str]] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*"}
_CALLED: Final = {
    "len": "size", "str": "string", "int": "int", "float": "double", "sum": "sum", "max": "max", "min": "min",
    "abs": "math.abs",
}  # fmt: skip
_TESTS: Final = {"startswith": "startsWith", "endswith": "endsWith"}
# How many arguments it has where it means the same; Python's lower() knows more letters than CEL's.
_METHODS: Final = {"replace": ("replace", 2), "split": ("split", 1), "strip": ("trim", 0)}

Scope = Mapping[str, str]
"""What names are in CEL, and words such as ``steps[0].output``."""


class UntranslatableError(ValueError):
    """The expression says what CEL cannot, or what has no place here; the message says what."""


def translated(text: str, scope: Scope) -> str:
    """The CEL text of a Python expression. Raises UntranslatableError."""
    return _made(text, _Translator(scope).text)


def condition(text: str, scope: Scope) -> str:
    """As translated, for a place where Python would take the value for true or false."""
    return _made(text, _Translator(scope).truth)


def _made(text: str, maker: Callable[[ast.expr], str]) -> str:
    try:
        return maker(ast.parse(text.strip(), mode="eval").body)
    except (RecursionError, MemoryError):
        raise UntranslatableError("it is nested too deep") from None
    except SyntaxError:
        raise UntranslatableError("it is no Python expression") from None


class _Translator:
    """Walks the tree; ``bound`` are the names of comprehensions around."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.bound: list[str] = []

    def text(self, node: ast.expr) -> str:
        if isinstance(node, ast.Attribute | ast.Subscript) and (whole := ast.unparse(node)) in self.scope:
            return self.scope[whole]
        maker = getattr(self, f"of_{type(node).__name__.lower()}", None)
        if maker is None:
            raise UntranslatableError(f"CEL has nothing for {ast.unparse(node)!r}")
        found: str = maker(node)
        return found

    def held(self, node: ast.expr) -> str:
        """The text, in brackets where it is more than one word."""
        text = self.text(node)
        simple = isinstance(
            node, ast.Name | ast.Attribute | ast.Subscript | ast.Call | ast.Constant | ast.List
        )
        return text if simple and not text.startswith("-") else f"({text})"

    def truth(self, node: ast.expr) -> str:
        if isinstance(node, ast.BoolOp):
            sign = " && " if isinstance(node.op, ast.And) else " || "
            return sign.join(f"({self.truth(part)})" for part in node.values)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return f"!({self.truth(node.operand)})"
        text = self.text(node)
        called = node.func if isinstance(node, ast.Call) else None
        name = (
            called.id
            if isinstance(called, ast.Name)
            else called.attr
            if isinstance(called, ast.Attribute)
            else ""
        )
        if (
            isinstance(node, ast.Compare)
            or text in ("true", "false")
            or name in ("bool", "any", "all", *_TESTS)
        ):
            return text
        return truth(self.held(node))

    # ---- each kind of node

    def of_name(self, node: ast.Name) -> str:
        if node.id in self.bound:
            return node.id
        if node.id not in self.scope:
            raise UntranslatableError(f"there is no {node.id} here")
        return self.scope[node.id]

    def of_constant(self, node: ast.Constant) -> str:
        if isinstance(node.value, str | int | float | bool | None):
            return source(node.value)
        raise UntranslatableError(f"CEL has nothing for {ast.unparse(node)!r}")

    def of_attribute(self, node: ast.Attribute) -> str:
        return member(self.held(node.value), node.attr)

    def of_subscript(self, node: ast.Subscript) -> str:
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str | int):
            return member(self.held(node.value), node.slice.value)
        if isinstance(node.slice, ast.Slice | ast.UnaryOp):
            raise UntranslatableError(
                f"CEL has nothing for {ast.unparse(node)!r}: no parts of lists, no counting from the end"
            )
        return f"{self.held(node.value)}[{self.text(node.slice)}]"

    def of_compare(self, node: ast.Compare) -> str:
        parts = []
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(operator, ast.NotIn):
                parts.append(f"!({self.held(left)} in {self.held(right)})")
            else:
                parts.append(f"{self.held(left)} {_COMPARED[type(operator)]} {self.held(right)}")
            left = right
        return " && ".join(parts)

    def of_boolop(self, node: ast.BoolOp) -> str:
        """In Python these give one of the values: the same where all are conditions, else written out."""
        values = [self.text(value) for value in node.values]
        if all(self.truth(value) == text for value, text in zip(node.values, values, strict=True)):
            return self.truth(node)
        found = self.held(node.values[-1])
        for value in reversed(node.values[:-1]):
            text = self.held(value)
            taken, other = (found, text) if isinstance(node.op, ast.And) else (text, found)
            found = f"({self.truth(value)} ? {taken} : {other})"
        return found

    def of_unaryop(self, node: ast.UnaryOp) -> str:
        if isinstance(node.op, ast.Not):
            return self.truth(node)
        if isinstance(node.op, ast.USub):
            return f"-{self.held(node.operand)}"
        raise UntranslatableError(f"CEL has nothing for {ast.unparse(node)!r}")

    def of_binop(self, node: ast.BinOp) -> str:
        if type(node.op) not in _JOINED:
            raise UntranslatableError(f"in CEL {ast.unparse(node)!r} would give something else, or nothing")
        return f"{self.held(node.left)} {_JOINED[type(node.op)]} {self.held(node.right)}"

    def of_ifexp(self, node: ast.IfExp) -> str:
        return f"{self.truth(node.test)} ? {self.held(node.body)} : {self.held(node.orelse)}"

    def of_list(self, node: ast.List) -> str:
        return f"[{', '.join(map(self.text, node.elts))}]"

    of_tuple = of_list

    def of_dict(self, node: ast.Dict) -> str:
        if None in node.keys:
            raise UntranslatableError(f"CEL has nothing for {ast.unparse(node)!r}")
        pairs = zip([key for key in node.keys if key is not None], node.values, strict=True)
        return "{" + ", ".join(f"{self.text(key)}: {self.text(value)}" for key, value in pairs) + "}"

    def of_joinedstr(self, node: ast.JoinedStr) -> str:
        return " + ".join(self.pieces(node)) or '""'

    def pieces(self, node: ast.JoinedStr) -> Iterator[str]:
        for part in node.values:
            if isinstance(part, ast.Constant):
                yield self.text(part)
            elif isinstance(part, ast.FormattedValue) and part.conversion == -1 and part.format_spec is None:
                yield f"string({self.text(part.value)})"
            else:
                raise UntranslatableError("CEL does not format values")

    def of_call(self, node: ast.Call) -> str:
        if node.keywords:
            raise UntranslatableError(f"CEL has nothing for {ast.unparse(node)!r}")
        if isinstance(node.func, ast.Name) and len(node.args) == 1:
            return self.called(node, node.func.id, node.args[0])
        if isinstance(node.func, ast.Name) and node.func.id in ("max", "min"):
            return f"{node.func.id}({', '.join(map(self.text, node.args))})"
        if isinstance(node.func, ast.Attribute):
            return self.method(node, node.func)
        raise UntranslatableError(f"CEL has nothing for {ast.unparse(node)!r}")

    def called(self, node: ast.Call, name: str, argument: ast.expr) -> str:
        if name in _CALLED:
            return f"{_CALLED[name]}({self.text(argument)})"
        if name == "sorted":
            return f"{self.held(argument)}.sort()"
        if name == "bool":
            return self.truth(argument)
        if name in ("any", "all") and isinstance(argument, ast.GeneratorExp | ast.ListComp):
            over, variable, kept = self.loop(argument)
            held = self.inside(variable, lambda: self.truth(argument.elt))
            filtered = f".filter({variable}, {kept})" if kept else ""
            return f"{over}{filtered}.{'exists' if name == 'any' else 'all'}({variable}, {held})"
        raise UntranslatableError(f"CEL has nothing for {ast.unparse(node)!r}")

    def method(self, node: ast.Call, called: ast.Attribute) -> str:
        of, arguments = self.held(called.value), node.args
        if called.attr in _TESTS and len(arguments) == 1:
            return f"{of}.{_TESTS[called.attr]}({self.text(arguments[0])})"
        if called.attr == "join" and len(arguments) == 1:
            return f"{self.held(arguments[0])}.join({self.text(called.value)})"
        name, count = _METHODS.get(called.attr, ("", -1))
        if len(arguments) == count:
            return f"{of}.{name}({', '.join(map(self.text, arguments))})"
        key = arguments[0] if arguments else None
        if called.attr == "get" and isinstance(key, ast.Constant) and isinstance(key.value, str):
            otherwise = self.held(arguments[1]) if len(arguments) > 1 else "null"
            found = member(of, key.value)
            there = f"has({found})" if "[" not in found[len(of) :] else f"{source(key.value)} in {of}"
            return f"({there} ? {found} : {otherwise})"
        raise UntranslatableError(f"CEL has nothing for {ast.unparse(node)!r}")

    def of_listcomp(self, node: ast.ListComp) -> str:
        over, variable, kept = self.loop(node)
        filtered = f".filter({variable}, {kept})" if kept else ""
        made = self.inside(variable, lambda: self.text(node.elt))
        return f"{over}{filtered}" + ("" if made == variable else f".map({variable}, {made})")

    def loop(self, node: ast.ListComp | ast.GeneratorExp) -> tuple[str, str, str]:
        """What is gone over, by what name, and which members are kept."""
        first = node.generators[0]
        if len(node.generators) != 1 or not isinstance(first.target, ast.Name) or first.is_async:
            raise UntranslatableError(f"CEL has nothing for {ast.unparse(node)!r}")
        variable = first.target.id
        kept = self.inside(variable, lambda: [self.truth(test) for test in first.ifs])
        joined = " && ".join(f"({one})" for one in kept) if len(kept) > 1 else "".join(kept)
        return self.held(first.iter), variable, joined

    def inside(self, variable: str, made: Callable[[], T]) -> T:
        self.bound.append(variable)
        try:
            return made()
        finally:
            self.bound.pop()


def template(text: str, scope: Scope) -> str:
    """Text with ``{expression}`` or ``{{ expression }}`` in it as text with expressions. Raises UntranslatableError."""
    made, rest = "", text
    while "{" in rest:
        before, _, rest = rest.partition("{")
        doubled = rest.startswith("{")
        inner, closing, after = rest[doubled:].partition("}}" if doubled else "}")
        if not closing:
            raise UntranslatableError("a bracket is not closed")
        made += plain(before) + f"${{{{ {translated(inner, scope)} }}}}"
        rest = after
    return made + plain(rest)


def value(written: Any, scope: Scope, lost: Callable[[str, str], Any]) -> Any:
    """A value of a task with its expressions in CEL; ``lost`` is told of each that has none, and gives what stands."""
    if isinstance(written, dict):
        return {key: value(part, scope, lost) for key, part in written.items()}
    if isinstance(written, list):
        return [value(part, scope, lost) for part in written]
    if not isinstance(written, str):
        return written
    try:
        if written.startswith("$ "):
            return f"${{{{ {translated(written[2:], scope)} }}}}"
        return template(written, scope)
    except UntranslatableError as error:
        return lost(written, str(error))

# ruff: noqa: E501 - a sentence is compared as a whole
"""Port to port: what does not go together is refused before anything runs, with place, types and remedy."""

from __future__ import annotations

import time

import pytest

from muster.model.definition.validation import load, validate
from muster.model.errors import WorkflowInvalidError

PERSON = "{type: object, properties: {name: {type: string}, age: {type: integer, required: false}}}"
SOURCES = f"""\
name: w
inputs:
  n: {{type: integer}}
  share: {{type: number}}
  text: {{type: string}}
  note: {{type: string, required: false}}
  who: {PERSON}
  list: {{type: array, items: integer}}
  any: {{}}
steps:
  - id: a
    image: b
    outputs:
      sound: {{type: audio, path: a.wav}}
      photo: {{type: image}}
      raw: {{path: x.bin}}
      people: {{type: array, items: {PERSON}}}
  - id: each
    for_each: {{in: "${{{{ inputs.list }}}}", steps: [{{id: one, image: b, outputs: {{made: {{type: string}}}}}}]}}
  - id: call
    workflow: inner
    inputs: {{x: 1}}
"""
INNER = """\
workflows:
  inner:
    name: inner
    inputs: {x: {type: integer}}
    steps: [{id: i, image: b, outputs: {y: {type: pdf}}}]
    outputs: {y: "${{ steps.i.outputs.y }}", z: [1, 2]}
"""


def used(value: str, accepts: str) -> str:
    """A workflow whose step u is given the value for what it accepts as x; the value stands in line 25, column 14."""
    step = f"  - id: u\n    image: b\n    inputs: {{x: {value}}}\n    accepts: {{x: {accepts}}}\n"
    return f"{SOURCES}{step}{INNER}"


def is_(taken: str, what: str, remedy: str, way: str = "") -> str:
    return f"the input x{way} must be {taken}, and {what}. {remedy}"


CHANGE = "or change accepts of the step u."
REFUSED: dict[str, tuple[str, str, str]] = {
    "audio for an image": (
        "'${{ steps.a.outputs.sound }}'",
        "{type: image}",
        is_("an image", "'steps.a.outputs.sound' is an audio file", f"Give it an image, {CHANGE}"),
    ),
    "any file for a pdf": (
        "'${{ steps.a.outputs.raw }}'",
        "{type: pdf}",
        is_("a pdf file", "'steps.a.outputs.raw' is a file", f"Give it a pdf file, {CHANGE}"),
    ),
    "text for a file": (
        "clip.mp4",
        "{type: video}",
        is_("a video", "'clip.mp4' is a string", f"Give it a video, {CHANGE}"),
    ),
    "a number for a whole one": (
        "'${{ inputs.share }}'",
        "{type: integer}",
        is_("an integer", "'inputs.share' is a number", f"Write ${{{{ int(inputs.share) }}}}, {CHANGE}"),
    ),
    "a number for text": (
        "'${{ inputs.n + 1 }}'",
        "{type: string}",
        is_("a string", "'inputs.n + 1' is an integer", f"Write ${{{{ string(inputs.n + 1) }}}}, {CHANGE}"),
    ),
    "mixed text for a number": (
        "'no ${{ inputs.n }}'",
        "{type: number}",
        is_("a number", "'no ${{ inputs.n }}' is a string", f"Give it a number, {CHANGE}"),
    ),
    "what may be null": (
        "'${{ inputs.note }}'",
        "{type: string}",
        is_("a string", "'inputs.note' may be null", "Give it a default, or write required: false in accepts of the step u."),
    ),
    "null": (
        "null",
        "{type: string}",
        is_("a string", "is null", "Leave it out, or write required: false in accepts of the step u."),
    ),
    "members of another type": (
        "'${{ inputs.list }}'",
        "{type: array, items: string}",
        is_("a string", "'inputs.list' has an integer there", f"Give it a string, {CHANGE}", "[]"),
    ),
    "a property of another type": (
        "'${{ steps.a.outputs.people }}'",
        "{type: array, items: {type: object, properties: {name: {type: integer}}}}",
        is_("an integer", "'steps.a.outputs.people' has a string there", f"Give it an integer, {CHANGE}", "[].name"),
    ),
    "a property that is missing": (
        "'${{ inputs.who }}'",
        "{type: object, properties: {city: {type: string}}}",
        "the input x.city is required, and 'inputs.who' has none. Give it, or change accepts of the step u.",
    ),
    "a property that may be null": (
        "'${{ inputs.who }}'",
        "{type: object, properties: {age: {type: integer}}}",
        is_("an integer", "'inputs.who' may be null", "Give it a default, or write required: false in accepts of the step u.", ".age"),
    ),
    "a part of an input": (
        "'${{ inputs.who.name }}'",
        "{type: integer}",
        is_("an integer", "'inputs.who.name' is a string", f"Write ${{{{ int(inputs.who.name) }}}}, {CHANGE}"),
    ),
    "a member of an output": (
        "'${{ steps.a.outputs.people[0].name }}'",
        "{type: boolean}",
        is_("a boolean", "'steps.a.outputs.people[0].name' is a string", f"Give it a boolean, {CHANGE}"),
    ),
    "results of a loop": (
        "'${{ steps.each.outputs.items }}'",
        "{type: array, items: {type: object, properties: {made: {type: integer}}}}",
        is_("an integer", "'steps.each.outputs.items' has a string there", f"Give it an integer, {CHANGE}", "[].made"),
    ),
    "an output of a child": (
        "'${{ steps.call.outputs.y }}'",
        "{type: csv}",
        is_("a csv file", "'steps.call.outputs.y' is a pdf file", f"Give it a csv file, {CHANGE}"),
    ),
    "a list that a child gives": (
        "'${{ steps.call.outputs.z }}'",
        "{type: array, items: string}",
        is_("a string", "'steps.call.outputs.z' has an integer there", f"Give it a string, {CHANGE}", "[]"),
    ),
    "all outputs of a step": (
        "'${{ steps.a.outputs }}'",
        "{type: object, properties: {photo: {type: video}}}",
        is_("a video", "'steps.a.outputs' has an image there", f"Give it a video, {CHANGE}", ".photo"),
    ),
    "the size of a file": (
        "'${{ steps.a.outputs.photo.size }}'",
        "{type: string}",
        is_("a string", "'steps.a.outputs.photo.size' is an integer", f"Write ${{{{ string(steps.a.outputs.photo.size) }}}}, {CHANGE}"),
    ),
    "what is in a file": (
        "'${{ steps.a.outputs.photo.width }}'",
        "{}",
        "the expression 'steps.a.outputs.photo.width' asks for 'width' of an image. It has $artifact, size, media_type, name, execution; what is in a file only a step can read.",
    ),
    "a property nobody declared": (
        "'${{ inputs.who.nmae }}'",
        "{}",
        "the expression 'inputs.who.nmae' asks for 'nmae', which is no declared property of inputs.who. Did you mean name?",
    ),
    "types that never go together": (
        "'${{ inputs.list.map(one, one + inputs.text) }}'",
        "{}",
        "the types in the expression 'inputs.list.map(one, one + inputs.text)' do not go together: inputs.list is an array of integers and inputs.text is a string. CEL never converts: use int(), double() or string().",
    ),
}  # fmt: skip


def complaint(text: str) -> tuple[str, str]:
    """The one thing that is wrong, and the class of its error."""
    with pytest.raises(WorkflowInvalidError) as caught:
        load(text.encode(), name="w.yaml")
    [problem] = caught.value.problems
    return str(problem), problem.error


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_go_together_is_refused_in_one_sentence(case: str):
    """With the place, both types and what to do; nothing else is found wrong."""
    value, accepts, sentence = REFUSED[case]
    assert complaint(used(value, accepts))[0] == f"w.yaml:25:14: {sentence}"


INSIDE: dict[str, tuple[str, str, str, str]] = {
    "a member that is written out": (
        "[1, two]",
        "{type: array, items: integer}",
        "w.yaml:25:21: the input x[1] must be an integer, and 'two' is a string. Give it an integer, or change accepts of the step u.",
        "InvalidTypeError",
    ),
    "a member that is an expression": (
        "[1, '${{ inputs.text }}']",
        "{type: array, items: integer}",
        "w.yaml:25:21: the input x[1] must be an integer, and 'inputs.text' is a string. Write ${{ int(inputs.text) }}, or change accepts of the step u.",
        "InvalidTypeError",
    ),
    "a property far inside": (
        "[{name: '${{ inputs.n }}'}]",
        f"{{type: array, items: {PERSON}}}",
        "w.yaml:25:19: the input x[0].name must be a string, and 'inputs.n' is an integer. Write ${{ string(inputs.n) }}, or change accepts of the step u.",
        "InvalidTypeError",
    ),
    "an unknown property": (
        "{name: Ada, agee: 3}",
        PERSON,
        "w.yaml:25:29: the input x.agee is not declared in accepts of the step u. Did you mean age?",
        "InvalidTypeError",
    ),
    "a missing property": (
        "{age: 3}",
        PERSON,
        "w.yaml:25:14: the input x is not given its name. Add name: ... to it.",
        "InputMissingError",
    ),
}


@pytest.mark.parametrize("case", INSIDE)
def test_what_is_written_out_is_checked_part_by_part(case: str):
    """Each at its own place, also between expressions."""
    value, accepts, sentence, error = INSIDE[case]
    assert complaint(used(value, accepts)) == (sentence, error)


ACCEPTED = {
    "the same file": ("'${{ steps.a.outputs.sound }}'", "{type: audio}"),
    "any kind of file": ("'${{ steps.a.outputs.photo }}'", "{type: file}"),
    "a whole number": ("'${{ inputs.n }}'", "{type: number}"),
    "null where it may be": ("'${{ inputs.note }}'", "{type: string, required: false}"),
    "null that is replaced": ("'${{ inputs.note == null ? \"none\" : inputs.note }}'", "{type: string}"),
    "what may be anything": ("'${{ inputs.any }}'", "{type: csv}"),
    "a part of what may be anything": ("'${{ inputs.any.x[3].y }}'", "{type: csv}"),
    "fewer properties": ("'${{ inputs.who }}'", "{type: object, properties: {name: {type: string}}}"),
    "a property with a default": (
        "'${{ inputs.who }}'",
        "{type: object, properties: {city: {type: string, default: Ulm}}}",
    ),
    "parts that go together": ("{name: '${{ inputs.text }}', age: '${{ inputs.n }}'}", PERSON),
    "a hash": ("'${{ steps.a.outputs.sound[\"$artifact\"] }}'", "{type: string}"),
    "what depends on the value": ("'${{ inputs.n > 3 ? inputs.n : null }}'", "{type: integer}"),
    "results of a loop": (
        "'${{ steps.each.outputs.items }}'",
        "{type: array, items: {type: object, properties: {made: {type: string}}}}",
    ),
    "members computed": ("'${{ inputs.list.map(one, string(one)) }}'", "{type: array, items: string}"),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_may_go_together_is_not_refused(case: str):
    """Only what certainly fails is refused before the values are there."""
    assert load(used(*ACCEPTED[case]).encode(), name="w.yaml").name == "w"


def test_what_is_missing_and_what_is_unknown_is_named():
    """A step that says what it accepts is given that and nothing else."""
    text = "name: w\nsteps:\n  - id: u\n    image: b\n    inputs: {vidoe: 1}\n    accepts: {video: {type: any}, mode: {default: x}}\n"
    with pytest.raises(WorkflowInvalidError) as caught:
        load(text.encode(), name="w.yaml")
    assert [(str(one), one.error) for one in caught.value.problems] == [
        (
            "w.yaml:5:5: the step u is not given its input video. Add inputs: {video: ...}.",
            "InputMissingError",
        ),
        ("w.yaml:5:14: the step u has no input vidoe. Did you mean video?", "InvalidArgumentError"),
    ]


def test_a_source_that_is_not_there_is_said_first():
    """A step or an output that does not exist is that problem and no other."""
    text = used("'${{ steps.z.outputs.photo }}'", "{type: image}")
    assert complaint(text)[1] == "SourceNodeMissingError"


ITEMS: dict[str, tuple[str, str, str]] = {
    "members of a list": ("[1, 2]", "item", "an integer"),
    "members of an input": ("'${{ inputs.people }}'", "item.name", "a string"),
    "values of a mapping": ("{a: 1.5, b: 2.5}", "item.value", "a number"),
    "keys of a mapping": ("{a: 1, b: x}", "item.key", "a string"),
    "computed members": ("['${{ inputs.people[0].name }}', b]", "item", "a string"),
}


@pytest.mark.parametrize("case", ITEMS)
def test_the_item_of_a_loop_has_the_type_of_the_members(case: str):
    """As far as that is known, also in blocks within the loop."""
    members, expression, kind = ITEMS[case]
    text = f"""\
name: w
inputs: {{people: {{type: array, items: {PERSON}}}}}
steps:
  - id: each
    for_each:
      in: {members}
      steps:
        - id: pick
          if: "true"
          then:
            - id: u
              image: b
              inputs: {{x: "${{{{ {expression} }}}}"}}
              accepts: {{x: {{type: boolean}}}}
"""
    assert complaint(text)[0] == (
        f"w.yaml:13:24: the input x must be a boolean, and '{expression}' is {kind}. Give it a boolean, or change accepts of the step u."
    )


UNKNOWN = {
    "members of several types": "[1, a]",
    "members that may be anything": "'${{ inputs.any }}'",
    "a list of nothing": "[]",
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_an_item_that_may_be_anything_goes_everywhere(case: str):
    """Nothing is said of members of which nothing is known; a reduction has another item than the steps."""
    text = f"""\
name: w
inputs: {{any: {{}}}}
steps:
  - id: each
    for_each:
      in: {UNKNOWN[case]}
      steps:
        - {{id: u, image: b, inputs: {{x: "${{{{ item.value }}}}"}}, accepts: {{x: {{type: boolean}}}}}}
        - id: m
          map:
            over: [1]
            steps: [{{id: r, image: b, outputs: {{k: {{}}}}}}]
            initial: 0
            reduce: ${{{{ item.result + item.value.k }}}}
"""
    assert load(text.encode(), name="w.yaml").name == "w"


def test_thousands_of_expressions_about_a_large_input_are_checked_in_seconds():
    """No value of its size is made up for each of them."""
    properties = {f"p{at}": {"type": "string"} for at in range(10_000)}
    steps = [{"id": f"s{at}", "log": "${{ inputs.x.p1 + 'a' }}"} for at in range(2_000)]
    definition = {"name": "w", "inputs": {"x": {"type": "object", "properties": properties}}, "steps": steps}
    begin = time.perf_counter()
    assert validate(definition) == []
    assert time.perf_counter() - begin < 20

"""Artifacts as values: what stands for a file, and what the file is called in a container."""

import time

import pytest

from muster.artifacts.content import described
from muster.model.definition import explanation, validation
from muster.model.definition.workflow import Output
from muster.model.errors import OutputError, ValueMissingError, WorkflowInvalidError
from muster.model.log.commands import AttemptOrder
from muster.model.plan import artifacts, calls, outputs
from muster.model.plan import tree as plan
from muster.model.plan.artifacts import Artifact, Staging
from muster.model.plan.lowering import lower

DIGEST = "ab" * 32


def artifact(name: str = "take-1.wav", digest: str = DIGEST) -> Artifact:
    return described(name, digest, 7, "x1")


def test_a_value_and_back():
    """The JSON value says hash, size, type, name and execution, and is recognised again."""
    value = artifact().value()
    assert value == {
        "$artifact": f"sha256:{DIGEST}",
        "size": 7,
        "media_type": "audio/wav",
        "name": "take-1.wav",
        "execution": "x1",
    }
    assert artifacts.of(value) == artifact()


@pytest.mark.parametrize(
    "value",
    [
        *(None, "sha256:1", {}, {"$artifact": "sha256:1"}, [artifact().value()]),
        artifact().value() | {"size": -1},
        artifact().value() | {"$artifact": DIGEST},
        artifact().value() | {"$artifact": "sha256:" + "g" * 64},
    ],
)
def test_what_is_no_artifact(value: object):
    """A value that only looks like one is a value like any other."""
    assert artifacts.of(value) is None


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        ("a.wav", ".wav"),
        ("a.tar.gz", ".tar.gz"),
        ("a", ""),
        (".hidden", ""),
        ("a.b c", ""),
        ("x.JPEG", ".JPEG"),
    ],
)
def test_extensions(name: str, extension: str):
    """The end of a name is taken where it can be one, dots and all."""
    assert artifacts.extension_of(name) == extension


def test_files_are_called_as_the_inputs():
    """An input's file has the input's name and its own extension; inner ones the way to them; all stay apart."""
    one, two, three = artifact(), artifact("b.png", "cd" * 32), artifact("c", "ef" * 32)
    staging = Staging()
    found = staging.inputs(
        {
            "clips": [one.value(), {"cover": two.value(), "n": 1}],
            "clips-0": one.value(),
            "inputs": described("x.json", DIGEST, 1, "x1").value(),
            "notes": three.value(),
            "text": "plain",
        }
    )
    assert found == {
        "clips": ["/muster/in/clips-0-2.wav", {"cover": "/muster/in/clips-1-cover.png", "n": 1}],
        "clips-0": "/muster/in/clips-0.wav",
        "inputs": "/muster/in/inputs-2.json",
        "notes": "/muster/in/notes",
        "text": "plain",
    }
    assert set(staging.files) == {
        "clips-0.wav",
        "clips-0-2.wav",
        "clips-1-cover.png",
        "inputs-2.json",
        "notes",
    }


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a b;rm -rf .wav", "..", "", "ä" * 300 + ".mp3", "x\0y.gz"]
)
def test_names_cannot_leave_the_folder(name: str):
    """Whatever a file was called, what it is called in the container is one safe name."""
    staging = Staging()
    path = staging.placed(artifact(name).value())
    [file] = staging.files
    assert path == f"/muster/in/{file}"
    assert "/" not in file
    assert file.isascii()
    assert file not in (".", "..", "")
    assert len(file) <= 140


def order_of(step: str, scope: dict) -> AttemptOrder:
    text = f"name: w\nsteps:\n  - {{id: a, image: b, outputs: {{f: {{path: f.wav}}}}}}\n  - {{id: s, image: b, {step}}}"
    whole = lower(validation.load(text.encode(), name="w.yaml"))
    return plan.order(whole.steps["s"], execution="x1", attempt=1, workflow="w", scope=scope)


SCOPE = {"steps": {"a": {"outputs": {"f": artifact("f.wav").value()}}}, "inputs": {}}


def test_an_input_becomes_a_file():
    """What an attempt is ordered to run speaks of a file by its path, in inputs, command and environment alike."""
    order = order_of(
        'inputs: {audio: "${{ steps.a.outputs.f }}"}, environment: {F: "${{ steps.a.outputs.f }}"}, '
        'command: [play, "-i=${{ steps.a.outputs.f }}", "${{ steps.a.outputs.f.size }}"]',
        SCOPE,
    )
    assert order.inputs == {"audio": "/muster/in/audio.wav"}
    assert order.container.environment == {"F": "/muster/in/audio.wav"}
    assert order.container.command == ["play", "-i=/muster/in/audio.wav", "7"]
    assert order.files == {"audio.wav": artifact("f.wav")}


def test_thousands_of_files_of_one_name_are_told_apart_in_no_time():
    """Each has a number of its own, and none is looked for from the first on: the leader waits for it."""
    staging, start = Staging(), time.process_time()
    contents = [artifact("out.txt", f"{at:064x}") for at in range(5_000)]
    assert len(staging.placed([each.value() for each in contents])) == 5_000
    assert list(staging.files)[::4_999] == ["out.txt", "out-5000.txt"]
    assert time.process_time() - start < 20


def test_a_file_that_only_the_command_names_comes_along():
    """A file needs not be among the inputs to be used: it is brought under its own name."""
    order = order_of('command: "play ${{ steps.a.outputs.f }}"', SCOPE)
    assert order.container.command == ["/bin/sh", "-c", "play /muster/in/f.wav"]
    assert order.files == {"f.wav": artifact("f.wav")}


def test_orders_without_files_are_as_before():
    """A step without files is ordered with the same bytes as ever."""
    order = order_of('inputs: {a: 1}, command: "true"', SCOPE)
    assert order.files == {}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("a.FLAC", "audio/flac"), ("a.mkv", "video/x-matroska"), ("a.webp", "image/webp")),
        *(("a.tar.gz", "application/gzip"), ("a.csv", "text/csv"), ("a.pdf", "application/pdf")),
        *(("wav", "application/octet-stream"), ("a.", "application/octet-stream")),
    ],
)
def test_media_types_go_by_names(name: str, kind: str):
    """The end of a name says what is in a file, the same on every machine and with every Python."""
    assert described(name, DIGEST, 1, "x1").media_type == kind


# ---- outputs


def test_the_file_is_the_output():
    """An output with a path takes the file found there; the JSON file cannot claim it."""
    declared = {"f": Output(path="f.wav"), "n": Output()}
    assert outputs.collect(declared, b'{"n": 1}', None, {"f": artifact()}) == {
        "f": artifact().value(),
        "n": 1,
    }
    with pytest.raises(OutputError, match="declares with a path"):
        outputs.collect(declared, b'{"n": 1, "f": "mine"}', None, {"f": artifact()})


def test_a_file_that_is_not_there():
    """Without the file the attempt fails and says where it was looked for, or the output is null if it may be."""
    with pytest.raises(ValueMissingError, match=r"the file /muster/out/a/f\.wav, and the step made none"):
        outputs.collect({"f": Output(path="a/f.wav")}, None, None)
    assert outputs.collect({"f": Output(path="a/f.wav", required=False)}, None, None) == {"f": None}


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("{path: ../x}", "no . and no .."),
        ("{path: /etc/passwd}", "a path below /muster/out"),
        ("{path: 'a//b'}", "no empty part"),
        ("{path: '*.wav'}", "patterns are not read"),
        ("{path: ''}", "a path below /muster/out"),
        ("{path: outputs.json}", "Muster's own"),
        ("{path: a, type: string}", "is the file a, and of the type string"),
        ("{path: a, source: stdout}", "is what the step prints"),
        ("{path: a, default: x}", "a file has no default"),
        ("{path: a.txt, type: image}", "an image, and its file a.txt going by its end is text/plain"),
        ("{path: b/a, type: pdf}", "a pdf file, and its file b/a has no end that says what it is"),
        ("{path: a.unheard, type: audio}", "has no end that says what it is. End it with .wav"),
    ],
)
def test_paths_that_are_refused(output: str, message: str):
    """A place that cannot be below /muster/out, or is no single file, is a problem of the workflow with its line."""
    text = f"name: w\nsteps:\n- id: a\n  image: b\n  outputs:\n    f: {output}\n"
    with pytest.raises(WorkflowInvalidError) as raised:
        validation.load(text.encode(), name="w.yaml")
    assert message in str(raised.value)
    assert "w.yaml:6" in str(raised.value)


# ---- functions


def test_files_of_a_function():
    """A function's files are beside what it returns: one other output is the value; with files alone there is none."""
    files = {"f": artifact()}
    one = {"f": Output(path="f.wav"), "n": Output(type="integer")}
    assert calls.shaped(1, "m:f", one, files) == {"f": artifact().value(), "n": 1}
    assert calls.shaped({"n": 1}, "m:f", one, files) == {"f": artifact().value(), "n": 1}
    alone = {"f": Output(path="f.wav")}
    assert calls.shaped(None, "m:f", alone, files) == {"f": artifact().value()}
    with pytest.raises(
        OutputError, match="it gave an integer, and the step declares no outputs beside files"
    ):
        calls.shaped(1, "m:f", alone, files)


def test_explained():
    """Explaining a workflow says which file an output is."""
    text = "name: w\nsteps:\n- id: a\n  image: b\n  outputs: {f: {type: audio, path: deep/f.wav}}\n"
    lines = explanation.written(explanation.explain(lower(validation.load(text.encode(), name="w.yaml"))))
    assert any("gives f (audio) from /muster/out/deep/f.wav" in line for line in lines)


def test_paths_are_those_of_the_call():
    """Wherever a file stands among the values, and nothing else."""
    value = {"a": ["/muster/in/x.txt", "/muster/in/x.txt.bak"], "b": "see /muster/in/x.txt", "c": 1}
    assert artifacts.moved(value, ["x.txt"], "/there/call") == {
        "a": ["/there/call/x.txt", "/muster/in/x.txt.bak"],
        "b": "see /muster/in/x.txt",
        "c": 1,
    }

"""Files from the command line: sent with a run, handed from step to step, listed, fetched, and gone when cleared."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from hashlib import sha256

import nats
import pytest

from tests.acceptance.cli import COMMAND, PATIENCE_S, Muster, muster

__all__ = ["muster"]
pytestmark = [pytest.mark.broker, pytest.mark.slow]

TRANSCRIBE = """\
name: transcribe
inputs:
  video: {type: video}
  cover: {type: image, required: false}
steps:
  - id: audio
    image: ffmpeg:7
    command: [cp, "${{ inputs.video }}", /muster/out/audio.wav]
    outputs: {audio: {type: audio, path: audio.wav}}
  - id: words
    image: whisper:3
    inputs: {audio: "${{ steps.audio.outputs.audio }}"}
    environment: {SIZE: "${{ steps.audio.outputs.audio.size }}"}
    command: |
      test "$(wc -c < "$MUSTER_IN/audio.wav")" -eq "$SIZE"
      sha256sum < "$MUSTER_IN/audio.wav" | cut -c 1-64 | tee /muster/out/sum.txt
    outputs:
      sum: {type: string, source: stdout}
      file: {type: file, path: sum.txt}
outputs:
  sum: "${{ steps.words.outputs.sum }}"
  audio: "${{ steps.audio.outputs.audio }}"
"""


@pytest.fixture(scope="module")
def data(muster: Muster) -> bytes:
    """What is in clip.mp4."""
    muster.write("transcribe.yaml", TRANSCRIBE)
    content = os.urandom(5 << 20)
    (muster.folder / "clip.mp4").write_bytes(content)
    return content


@pytest.fixture(scope="module")
def execution(muster: Muster, data: bytes) -> str:
    """A run of it."""
    run = muster.json("run", "transcribe.yaml", "--input", "video=@clip.mp4")
    assert run["outputs"]["sum"] == sha256(data).hexdigest()
    assert run["outputs"]["audio"]["name"] == "audio.wav"
    return str(run["execution"])


def test_files_are_listed(muster: Muster, execution: str, data: bytes):
    """Every file of inputs and outputs is listed by the name it is fetched with."""
    found = {row["name"]: row["artifact"] for row in muster.json_lines("artifacts", "list", execution)}
    assert set(found) == {"inputs.video", "outputs.audio", "audio.audio", "words.file"}
    assert found["inputs.video"]["media_type"] == "video/mp4"
    assert found["audio.audio"]["$artifact"] == f"sha256:{sha256(data).hexdigest()}"
    shown = muster("artifacts", "list", execution).stdout
    assert "5.2 MB" in shown
    assert "audio.wav (5.2 MB, audio/wav)" in muster("show", execution).stdout
    assert "clip.mp4" in shown


def test_files_are_fetched(muster: Muster, execution: str, data: bytes):
    """A file is fetched by its full name, by its last part where that is clear, to a file, a folder, or stdout."""
    assert "take.wav" in muster("artifacts", "get", execution, "audio.audio", "-o", "take.wav").stdout
    assert (muster.folder / "take.wav").read_bytes() == data
    got = muster.json("artifacts", "get", execution, "file")
    assert (muster.folder / got["path"]).read_text().strip() == sha256(data).hexdigest()
    piped = subprocess.run(
        [*COMMAND, "artifacts", "get", execution, "clip.mp4", "-o", "-"],
        env=muster.environment, capture_output=True, check=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert piped.stdout == data


def test_names_that_are_not_there(muster: Muster, execution: str):
    """An unknown name exits with 2 and says which there are; so does an execution without files."""
    refused = muster("artifacts", "get", execution, "picture", code=2).stderr
    assert "has no file picture" in refused
    assert "words.file" in refused
    hello = muster.json("run", "hello.yaml", "-i", "name=you")["execution"]
    assert "has no files" in muster("artifacts", "list", hello).stdout
    assert muster.json_lines("artifacts", "list", hello) == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("video=clip.mp4", "video=@FILE"),
        ("video=@nothing.mp4", "There is no file nothing.mp4"),
        ("video=@transcribe.yaml", "must be a video"),
        ("video=[1]", "names none"),
    ],
)
def test_inputs_that_are_no_files(muster: Muster, data: bytes, given: str, message: str):
    """What is no file, or another kind of file, is refused before anything is sent."""
    assert message in muster("run", "transcribe.yaml", "--input", given, code=2).stderr


def test_an_artifact_of_another_execution_is_an_input(muster: Muster, execution: str, data: bytes):
    """What one execution gave another takes: as JSON, without sending it again."""
    muster.write("play.yaml", PLAY)
    artifact = muster.json("show", execution)["outputs"]["audio"]
    muster.write("given.json", '{"audio": ' + json.dumps(artifact) + "}")
    run = muster.json("run", "play.yaml", "--inputs", "given.json")
    assert run["outputs"]["sum"] == sha256(data).hexdigest()


PLAY = """\
name: play
inputs: {audio: {type: audio}}
steps:
  - id: play
    image: none
    command: sha256sum < "${{ inputs.audio }}" | cut -c 1-64
    outputs: {sum: {type: string, source: stdout}}
outputs: {sum: "${{ steps.play.outputs.sum }}"}
"""


def test_clear_takes_the_files(muster: Muster, data: bytes):
    """After a clear the broker's bucket holds nothing of the execution, and who still wants its files is told so."""
    muster.write("play.yaml", PLAY)
    before = asyncio.run(messages(muster.url))
    run = muster.json("run", "transcribe.yaml", "--input", "video=@clip.mp4")
    execution, artifact = run["execution"], run["outputs"]["audio"]
    assert asyncio.run(messages(muster.url)) > before
    muster("clear", execution)
    assert asyncio.run(messages(muster.url)) == before
    muster.write("given.json", '{"audio": ' + json.dumps(artifact) + "}")
    failed = muster("run", "play.yaml", "--inputs", "given.json", code=1)
    assert "ArtifactMissingError" in failed.stdout + failed.stderr


async def messages(url: str) -> int:
    client = await nats.connect(url)
    try:
        return int((await client.jetstream().stream_info("OBJ_muster_artifacts")).state.messages)
    finally:
        await client.close()


FUNCTION = """\
import hashlib
import os


def copied(video, parts):
    with open(video, "rb") as given:
        data = given.read()
    for part in parts:
        with open(part, "rb") as same:
            assert same.read() == data
    with open(os.path.join(os.environ["MUSTER_OUT"], "copy.mp4"), "wb") as made:
        made.write(data)
    return {"sum": hashlib.sha256(data).hexdigest()}
"""


def test_a_function_takes_and_makes_files(muster: Muster, data: bytes):
    """A function is given paths of files, in lists too; a file it leaves at a path is an output beside its value."""
    muster.write("files_app.py", FUNCTION)
    step = {
        "id": "it",
        "image": "none",
        "working_dir": str(muster.folder),
        "function": "files_app:copied",
        "inputs": {"video": "${{ inputs.video }}", "parts": ["${{ inputs.video }}", "${{ inputs.video }}"]},
        "outputs": {"sum": {"type": "string"}, "copy": {"type": "video", "path": "copy.mp4"}},
    }
    workflow = {"name": "called", "inputs": {"video": {"type": "video"}}, "steps": [step]}
    workflow["outputs"] = {"sum": "${{ steps.it.outputs.sum }}", "copy": "${{ steps.it.outputs.copy }}"}
    muster.write("called.json", json.dumps(workflow))
    run = muster.json("run", "called.json", "--input", "video=@clip.mp4")
    assert run["outputs"]["sum"] == sha256(data).hexdigest()
    assert run["outputs"]["copy"]["$artifact"] == f"sha256:{sha256(data).hexdigest()}"


LOOP = """\
name: parts
steps:
  - id: each
    for_each:
      in: [a, b, c]
      steps:
        - id: make
          image: none
          environment: {PART: "${{ item }}"}
          command: printf "$PART" > /muster/out/part.txt
          outputs: {part: {type: file, path: part.txt}}
  - id: join
    image: none
    inputs: {parts: "${{ steps.each.outputs.items.map(one, one.part) }}"}
    command: cat /muster/in/parts-0.txt /muster/in/parts-1.txt /muster/in/parts-2.txt > /muster/out/all.txt
    outputs: {all: {type: file, path: all.txt}}
  - id: inside
    workflow: child
    inputs: {text: "${{ steps.join.outputs.all }}"}
workflows:
  child:
    name: child
    inputs: {text: {type: file}}
    steps:
      - id: read
        image: none
        command: cat "${{ inputs.text }}"
        outputs: {said: {type: string, source: stdout}}
    outputs: {said: "${{ steps.read.outputs.said }}"}
outputs: {said: "${{ steps.inside.outputs.said }}"}
"""


def test_files_of_a_loop_go_into_one_step_and_a_child(muster: Muster):
    """Files that members of a loop make are gathered in one step in their order, and given to another workflow."""
    muster.write("parts.yaml", LOOP)
    run = muster.json("run", "parts.yaml")
    assert run["outputs"] == {"said": "abc"}
    names = {row["name"] for row in muster.json_lines("artifacts", "list", run["execution"])}
    assert {"each/0/make.part", "each/2/make.part", "join.all"} <= names

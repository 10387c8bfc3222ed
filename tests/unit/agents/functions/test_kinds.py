"""What tells containers apart, and where the files of a call are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from muster.artifacts.content import described
from muster.model.log.commands import AttemptOrder
from muster_agents.functions import kinds
from muster_agents.functions.ledger import Entry, Ledger
from muster_agents.functions.loaded import Loaded
from muster_agents.functions.memory import available_share
from muster_agents.runtimes.environment import folder_name
from muster_agents.runtimes.interface import Launch
from tests.unit.agents.scene import order


def with_files(digest: str, **rest: Any) -> AttemptOrder:
    """An order with a file among its params and one among its inputs."""
    files = {"weights": described("w", digest * 64, 1, "e1"), "text": described("t", "b" * 64, 1, "e1")}
    spec: dict[str, Any] = {"function": "app:f", "params": {"at": ["/muster/in/weights"]}}
    made = order(inputs={"it": {"text": "/muster/in/text"}}, **spec | rest)
    return msgspec.structs.replace(made, files=files)


def test_the_files_it_is_loaded_with_tell_containers_apart():
    """Under the same name another content is another container; the files of the call are not of it."""
    assert kinds.kind(with_files("a")) == kinds.kind(with_files("a", execution="e2"))
    assert kinds.kind(with_files("a")) != kinds.kind(with_files("c"))
    assert list(kinds.loading(with_files("a"))) == ["weights"]
    assert list(kinds.given(with_files("a"))) == ["text"]


def test_the_order_of_params_is_none():
    """Mappings that are equal make the same container, however they are written."""
    one, other = order(function="f", params={"a": 1, "b": 2}), order(function="f", params={"b": 2, "a": 1})
    assert kinds.kind(one) == kinds.kind(other)
    assert kinds.short(one.container) == kinds.short(other.container)


def test_names_of_a_call():
    """Its id has the path of the step in it, its folder none."""
    wanted = order("each/17/convert", execution="e1", attempt=2)
    assert kinds.call_id(wanted) == "e1/each/17/convert/2"
    assert folder_name(wanted) == "e1.each.17.convert.2"


def test_the_folder_of_a_step_with_a_long_address_has_a_name_that_fits():
    """Two of them that only differ at their ends differ as folders too."""
    names = {folder_name(order("a" * 198 + f"/{end}", execution="e" * 64, attempt=10)) for end in "bc"}
    assert len(names) == 2
    assert all(len(name) <= 200 for name in names)


async def test_the_ledger_gives_back_what_was_written(tmp_path: Path):
    """What cannot be read, and what a crash left half written, is dropped."""
    ledger = Ledger(tmp_path / "functions")
    assert await ledger.read() == {}
    launch = Launch(instance="i1", container=order(function="app:f", params={"n": 1}).container)
    entry = Entry(launch=launch, key=("d", "k"), loaded=Loaded(protocol=1, concurrency=2), load_s=4.5)
    await ledger.write(entry)
    (tmp_path / "functions" / "i2.json").write_text("{")
    (tmp_path / "functions" / "i3.new").write_text("{}")
    assert await ledger.read() == {"i1": entry}
    await ledger.strike("i1")
    await ledger.strike("i1")
    assert list((tmp_path / "functions").iterdir()) == []


def test_the_memory_that_is_left(tmp_path: Path):
    """As the kernel says it; all of it where the kernel says nothing."""
    place = tmp_path / "meminfo"
    place.write_text("MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:  250 kB\n")
    assert available_share(place) == 0.25
    place.write_text("what\n")
    assert available_share(place) == available_share(tmp_path / "nowhere") == 1.0

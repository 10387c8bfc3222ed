"""Commands, beats, lines and events between structs and bytes."""

import msgspec
import pytest

from muster.broker import admission, codec
from muster.broker.interface import Fence, Refused
from muster.broker.nats.append import _ack, _outcome, _read
from muster.broker.nats.reader import consumed
from muster.broker.nats.replies import Answer
from muster.model.errors import CommandInvalidError
from muster.model.log import subjects
from muster.model.log.catalogue import Unknown
from muster.model.log.commands import Cancel, Heartbeat, LogLine
from tests.fixtures.site import NOW, decision, elected


def test_commands_make_the_round_trip():
    """A command comes back as it was sent."""
    command = Cancel(id="c1", execution="x1", reason="enough")
    assert codec.decode_command("cancel", codec.encode(command)) == command


@pytest.mark.parametrize(
    ("verb", "payload"),
    [
        ("dance", b"{}"),
        ("cancel", b"{}"),
        ("cancel", b"rubbish"),
        ("cancel", b"\xff"),
        ("start", b'{"id":7}'),
    ],
)
def test_a_bad_command_is_an_error_with_its_verb(verb: str, payload: bytes):
    """An unknown verb and a body that does not fit are errors that name the verb."""
    with pytest.raises(CommandInvalidError, match=verb):
        codec.decode_command(verb, payload)


def test_beats_and_lines_make_the_round_trip():
    """A beat and a list of lines come back as they were sent."""
    beat = Heartbeat(name="gpu-1", sequence=3, session=7, interval_s=2.0, time=NOW, load=0.5)
    lines = [LogLine(time=NOW, stream="stderr", text="naïve\u2028")]
    assert codec.decode_heartbeat(codec.encode(beat)) == beat
    assert codec.decode_lines(codec.encode(lines)) == lines


def test_a_readable_line_is_the_event():
    """A line that can be read is the event of the line and nothing of where it stood."""
    [(subject, _, line)] = admission.messages([decision("d")], None)
    event = codec.decode_event(line, sequence=5, subject=subject, time=NOW)
    assert (event.id, event.line) == ("d", line)


@pytest.mark.parametrize("subject", ["muster.events.gpu-1.x1.a.b", "muster.events.gpu-1", "odd"])
def test_an_unreadable_line_is_an_event_all_the_same(subject: str):
    """Whatever the subject is, an unreadable line becomes an event with the text in its data."""
    event = codec.decode_event(b"\x00{", sequence=5, subject=subject, time=NOW)
    assert isinstance(event.data, Unknown)
    assert (event.id, event.kind, event.time) == ("unreadable:5", "unreadable.event", NOW)
    assert msgspec.json.decode(event.data.raw) == "\x00{"


def test_a_large_event_refuses_its_whole_call():
    """Nothing of a call with an event that is too large is sent, and the outcome says which event it is."""
    found = admission.messages([decision("a"), decision("b", reason="x" * 2000)], None)
    refused = admission.too_large(found, 1000)
    assert refused is not None
    first, second = refused
    assert isinstance(first, Refused)
    assert isinstance(second, Refused)
    assert "another event" in first.reason
    assert "1000" in second.reason
    assert admission.too_large(found, 10_000) is None


def test_the_fences_own_subject_stands_alone():
    """An event on the fence's subject may be appended alone and not with others."""
    fence = Fence(subjects.LEADER, 0)
    admission.messages([elected("a")], fence)
    with pytest.raises(ValueError, match="alone"):
        admission.messages([decision("d"), elected("a")], fence)


@pytest.mark.parametrize(
    "reply",
    [
        "$JS.ACK.MUSTER_EVENTS.abc.2.17.5.1700000000123456789.9",
        "$JS.ACK._.hash.MUSTER_EVENTS.abc.2.17.5.1700000000123456789.9",
        "$JS.ACK.hub.hash.MUSTER_EVENTS.abc.2.17.5.1700000000123456789.9.token",
    ],
)
def test_both_forms_of_the_ack_subject_are_read(reply: str):
    """Sequence, number, time, rest and deliveries are found in the old form and in the new one."""
    at = consumed(reply)
    assert (at.sequence, at.number, at.stamp, at.pending, at.deliveries) == (
        17,
        5,
        "1700000000123456789",
        9,
        2,
    )


def answer(code: int, text: str = "something") -> Answer:
    return Answer(msgspec.json.encode({"error": {"code": 400, "err_code": code, "description": text}}))


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (None, "Unknown(the connection to the broker broke before it answered)"),
        (Answer(b"", "503"), "Unknown(nobody stores events at the broker (status 503))"),
        (Answer(b"rubbish"), "Unknown(the broker's answer cannot be read"),
        (Answer(b'{"stream":"MUSTER_EVENTS","seq":7}'), "Appended(7, False)"),
        (Answer(b'{"stream":"MUSTER_EVENTS","seq":7,"duplicate":true}'), "Appended(7, True)"),
        (answer(10071), "Refused(10071, replaced=True, full=False)"),
        (answer(10077, "maximum bytes exceeded"), "Refused(10077, replaced=False, full=True)"),
        (answer(10077, "message size exceeds maximum allowed, too large"), "Refused(10077, replaced=False"),
        (answer(10077, "store is closed"), "Unknown(the broker failed to store it"),
        (answer(10023, "insufficient resources"), "Refused(10023, replaced=False, full=True)"),
        (answer(10047), "Refused(10047, replaced=False, full=True)"),
        (answer(10054), "Refused(10054, replaced=False, full=False)"),
        (answer(10164), "Unknown(the broker could not take it"),
        (answer(10008), "Unknown(the broker could not take it"),
    ],
)
def test_every_answer_has_its_outcome(got: Answer | None, expected: str):
    """Replaced, full, refused and unknown are told apart by the broker's codes."""
    outcome = _outcome(_read(got))
    said = {
        "Appended": lambda o: f"Appended({o.sequence}, {o.duplicate})",
        "Refused": lambda o: f"Refused({o.code}, replaced={o.replaced}, full={o.full})",
        "Unknown": lambda o: f"Unknown({o.reason})",
    }[type(outcome).__name__](outcome)
    assert said.startswith(expected)


def test_a_batch_is_answered_with_its_last_sequence():
    """The commit's answer carries the last sequence and the number of messages."""
    ack = _ack.decode(b'{"stream":"MUSTER_EVENTS","seq":256,"batch":"b","count":256}')
    assert (ack.seq, ack.count, ack.error) == (256, 256, None)

"""What is nobody's business stays on the machine."""

from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.model.errors import ErrorInfo
from muster.model.log.catalogue import AttemptFailed, AttemptFinished, AttemptProgress, AttemptRef
from muster.model.plan.results import Result
from muster_agents import secrecy
from muster_agents.logs import LogStream
from muster_agents.options import AgentOptions
from muster_agents.runtimes.interface import Exit
from muster_agents.secrecy import OTHERS_MAX, Company, Secrets, discreet, is_secret
from tests.unit.agents.fake import FakeRun, FakeRuntime
from tests.unit.agents.functions.pretending import Pretender, keeps
from tests.unit.agents.scene import Scene, order

STARS = "***"
TOKEN = "sk-4f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c"
KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nEFAASCBKcwggSjAgEAAoIBAQ\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("token", True),
        ("GITHUB_TOKEN", True),
        ("githubToken", True),
        ("db-password", True),
        ("PASSWD", True),
        ("client_secret", True),
        ("secrets", True),
        ("api_key", True),
        ("openaiApiKey", True),
        ("OPENAI_APIKEY", True),
        ("APIKey", True),
        ("private key", True),
        ("aws.credentials", True),
        ("tokens", False),
        ("max_tokens", False),
        ("tokenizer", False),
        ("key", False),
        ("keyboard", False),
        ("PWD", False),
        ("secretary", False),
        ("api", False),
    ],
)
def test_a_name_says_it_by_whole_words(name: str, secret: bool):
    """Words count however they are joined, and parts of words do not."""
    assert is_secret(name) is secret


def test_everything_below_the_name_is_secret():
    """Variables, parameters and inputs are looked through to any depth; short texts and numbers are left."""
    found = Secrets.of(
        order(
            environment={"A_TOKEN": "environment-token", "PATH": "/usr/local/bin"},
            params={"hub": {"password": "parameter-pass"}},
            inputs={
                "credentials": {"user": "somebody", "pin": ["123456", "12345", 1234567]},
                "text": "hello world",
            },
        )
    )
    said = "environment-token /usr/local/bin parameter-pass somebody 123456 12345 1234567 hello world"
    assert found.text(said) == f"{STARS} /usr/local/bin {STARS} {STARS} {STARS} 12345 {STARS}7 hello world"


def test_what_names_nothing_costs_nothing():
    """Without secrets a line is the very same object."""
    line = b"a line"
    assert not Secrets.of(order(inputs={"text": "hello world"}))
    assert Secrets().line(line) is line


@pytest.mark.parametrize(
    "written",
    [
        "pa\"ss'wo\\rd/ü?",
        '"pa\\"ss\'wo\\\\rd/\\u00fc?"',
        '"pa\\"ss\'wo\\\\rd/ü?"',
        repr("pa\"ss'wo\\rd/ü?"),
        "https://me:pa%22ss%27wo%5Crd%2F%C3%BC%3F@host",
        "https://host/pa%22ss%27wo%5Crd/%C3%BC%3F",
    ],
)
def test_it_is_known_however_it_is_written(written: str):
    """As it is, in Python, in JSON and in an address."""
    secrets = Secrets(["pa\"ss'wo\\rd/ü?"])
    assert "rd" not in secrets.text(written)
    assert b"rd" not in secrets.line(written.encode())


def test_a_key_of_several_lines_is_known_by_each():
    """Line by line, as it is printed, and in one, as JSON writes it."""
    secrets = Secrets([KEY])
    for line in KEY.splitlines():
        assert secrets.line(f"  {line}\r".encode()) == f"  {STARS}\r".encode()
    assert secrets.text(repr(KEY)) in (f"'{STARS}'", f"'{STARS}{STARS}'")


def test_a_secret_that_is_in_another_does_not_give_it_away():
    """The longer one is looked for first."""
    assert Secrets(["secret", "secret-and-more"]).text("a secret-and-more b") == f"a {STARS} b"


def test_secrets_that_begin_alike_do_not_leave_each_others_rest():
    """Two tokens of one issuer begin alike for long; neither is taken for the cut beginning of the other."""
    head = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
    first, second = f"{head}first-payload", f"{head}second-and-longer-payload"
    assert Secrets([first, second]).text(f"{first} {second} {first[:-4]}!") == f"{STARS} {STARS} {STARS}!"


@pytest.mark.parametrize(
    "cut",
    [
        f"not str: '{TOKEN[:30]}.",
        f"not str: '{TOKEN[:24]}...",
        f"... {TOKEN[-25:]}' is it",
        f"{TOKEN[:24]} ... {TOKEN[-24:]}",
    ],
)
def test_an_error_that_was_cut_short_does_not_show_the_rest(cut: str):
    """Whoever shows a value may cut it: long ends of a secret are as good as the secret."""
    assert TOKEN[4:10] not in (shown := Secrets([TOKEN]).text(cut))
    assert TOKEN[-10:-4] not in shown


def test_an_error_is_looked_through():
    """Message, remedy, details to any depth, and causes."""
    cause = ErrorInfo(code="c", name="C", message=f"from {TOKEN}")
    error = ErrorInfo(
        code="c",
        name="C",
        message=f"bad {TOKEN}",
        remedy=f"change {TOKEN}",
        details={"tail": [f"got {TOKEN}"], "value": {"k": TOKEN}, "exit_code": 3},
        cause=cause,
    )
    body = AttemptFailed(error=error, phase="run")
    told = discreet(body, order(environment={"TOKEN": TOKEN}))
    assert TOKEN not in str(told)
    assert told.error.details["exit_code"] == 3
    assert discreet(body, order()) == body


def test_outputs_and_contexts_are_values():
    """What a step gives goes on to other steps: it is not touched; what it says besides is."""
    asked = order(inputs={"token": TOKEN})
    finished = AttemptFinished(outputs={"token": TOKEN})
    assert discreet(finished, asked) is finished
    later = AttemptFinished(result=Result(kind="check_later", context={"t": TOKEN}, reason=f"for {TOKEN}"))
    assert discreet(later, asked).result == Result(
        kind="check_later", context={"t": TOKEN}, reason=f"for {STARS}"
    )
    progress = AttemptProgress(phase="run", current=1, message=f"with {TOKEN}")
    assert discreet(progress, asked).message == f"with {STARS}"


def stream(secrets: list[str], **options) -> LogStream:
    return LogStream(
        AttemptRef("e1", "work", 1), AgentOptions(name="m1", **options), lambda _: None, Secrets(secrets)
    )


def printed(lines: LogStream) -> list[str]:
    lines.close()
    found = []
    while lines.pending:
        found += [line.text for line in lines.take()]
    return found


@given(st.lists(st.integers(1, 9), min_size=1), st.integers(8, 40), st.integers(0, 30))
def test_no_border_lets_a_secret_through(sizes: list[int], limit: int, before: int):
    """Whatever the chunks it comes in, and wherever an overlong line is cut, no part of a secret is sent."""
    secret = "ABCDEFGHIJKLMNOP"
    text = ("x" * before + secret + "yz" + secret + "x" * 50 + secret[:5]).encode()
    lines = stream([secret], log_line_bytes=limit)
    at = 0
    for size in sizes * (len(text) // sum(sizes) + 1):
        lines.print("stdout", text[at : at + size])
        at += size
    found = "".join(printed(lines))
    assert found == f"{'x' * before}{STARS}yz{STARS}{'x' * 50}{secret[:5]}"
    assert secret not in "".join(lines.tail)


def test_the_last_lines_of_a_flood_have_stars():
    """Where lines come faster than they can be taken, those kept for the end are looked through, too."""
    lines = stream([TOKEN], log_lines_per_s=2, tail_lines=5)
    lines.print(
        "stdout", b"".join(b"%d %s\n" % (number, TOKEN.encode()) for number in range(100)) + TOKEN.encode()
    )
    assert TOKEN[:8] not in "".join(printed(lines))
    assert TOKEN[:8] not in "".join(lines.tail)


@given(st.lists(st.text("ab", min_size=6, max_size=9), max_size=9), st.text("abc"))
def test_many_are_found_as_few_are(texts: list[str], line: str):
    """However many secrets there are, none of them is left in a line, and nothing else is taken from it."""
    few = Secrets(texts).line(line.encode())
    with mock.patch.object(secrecy, "FEW", 0):
        assert Secrets(texts).line(line.encode()) == few
    assert not [text for text in texts if text.encode() in few]
    assert few.count(b"c") == line.count("c")


async def test_what_leaves_the_agent_has_stars(scene: Scene, fake: FakeRuntime):
    """Lines, the error and its tail, as the broker has them."""

    async def fails(run: FakeRun) -> Exit:
        run.ears.print("stdout", f"my token is {TOKEN[:9]}".encode())
        run.ears.print("stdout", f"{TOKEN[9:]}!\n".encode())
        return Exit(container="c", exit_code=3)

    fake.script = fails
    async with scene.agent():
        await scene.start(order(environment={"API_TOKEN": TOKEN}))
        failed = await scene.until("attempt.failed")
        assert await scene.lines() == [f"my token is {STARS}!"]
    assert failed.error.details["tail"] == [f"my token is {STARS}!"]


async def test_calls_that_share_a_container_do_not_tell_each_others(scene: Scene, fake: FakeRuntime):
    """What is printed goes to every call under way, and may come late: the secrets of all of them are kept."""
    other = TOKEN[::-1]
    fake.calling, fake.concurrency = keeps, 2

    async def begin(execution: str, **inputs: str) -> Pretender:
        await scene.start(order(function="app:f", execution=execution, inputs=inputs))
        await scene.until("attempt.started", execution=execution)
        [serving] = fake.made
        return serving

    async def end(serving: Pretender, execution: str) -> list[str]:
        serving.say(id=f"{execution}/work/1", result={"$returned": 1})
        await scene.until("attempt.finished", execution=execution)
        return await scene.lines(execution=execution)

    async with scene.agent():
        serving = await begin("e1", token=TOKEN)
        await begin("e2", token=other)
        serving.ears.print("stderr", f"with {TOKEN} and {other}\n".encode())
        for execution in ("e1", "e2"):
            assert await end(serving, execution) == [f"with {STARS} and {STARS}"]
        await begin("e3", text="nothing secret")
        serving.ears.print("stderr", f"late {TOKEN}\n".encode())
        assert await end(serving, "e3") == [f"late {STARS}"]


def test_of_many_who_share_the_first_are_forgotten():
    """What is remembered of others is bounded, however many calls a container has."""
    company = Company()
    for number in range(3 * OTHERS_MAX):
        company.enter(Secrets([f"secret-{number:06}"]))
        assert company.secrets.text(f"secret-{number:06}") == STARS
    assert len(company.secrets) <= OTHERS_MAX + 1

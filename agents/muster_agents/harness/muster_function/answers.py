"""What a function may return or raise instead of a value, and yield on the way."""

from __future__ import annotations

UNSET = object()


class Answer(Exception):
    """The base of them."""

    def said(self, context):
        """It as ``$result``; ``context`` is what was carried into this call."""
        raise NotImplementedError


class Success(Answer):
    """The value, for who likes to say so."""

    def __init__(self, value=None):
        super().__init__(value)
        self.value = value

    def said(self, context):
        return {"$returned": self.value}


class Retry(Answer):
    """Call me again after a while between the two waits (seconds, or text such as 10s), at most so often."""

    def __init__(self, wait_min=None, wait_max=None, max_retries=None, reason=""):
        super().__init__(reason)
        self.wait_min, self.wait_max, self.max_retries, self.reason = wait_min, wait_max, max_retries, reason

    def said(self, context):
        return _result("retry", self, ("wait_min", "wait_max", "max_retries", "reason"))


class CheckLater(Answer):
    """Call me again after this wait, which is no retry. Without a context the one of this call is kept."""

    def __init__(self, wait_for=None, context=UNSET, reason=""):
        super().__init__(reason)
        self.wait_for, self.context, self.reason = wait_for, context, reason

    def said(self, context):
        found = _result("check_later", self, ("wait_for", "reason"))
        kept = context if self.context is UNSET else self.context
        return found if kept is None else dict(found, context=kept)


class Skip(Answer):
    """There was nothing to do: the step is skipped, which is no failure."""

    def __init__(self, reason=""):
        super().__init__(reason)
        self.reason = reason

    def said(self, context):
        return _result("skip", self, ("reason",))


class Failure(Answer):
    """It failed, and this is kept of it; it is not tried again."""

    def __init__(self, value=None, reason=""):
        super().__init__(value, reason)
        self.value, self.reason = value, reason

    def said(self, context):
        return _result("failure", self, ("value", "reason"))


def _result(kind, answer, names):
    given = {name: getattr(answer, name) for name in names}
    return dict(
        {"$result": kind}, **{name: value for name, value in given.items() if value not in (None, "")}
    )


class Progress:
    """What a generator may yield to say how far it is."""

    def __init__(self, current, total=None, message="", unit=""):
        self.current, self.total, self.message, self.unit = current, total, message, unit

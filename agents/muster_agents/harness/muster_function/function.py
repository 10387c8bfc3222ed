"""The function itself: found, loaded, called, shut down."""

from __future__ import annotations

import importlib
import inspect
import sys

from . import hymir, ports
from .answers import UNSET, Answer, Progress
from .arguments import Takes, bind, meant, settings
from .loops import Loop
from .raising import Stopped, Wrong, complain, raised


CONCURRENCY_MAX = 1024  # each call waits in a thread


class Function:
    """``module:callable``: a function of any kind, or a class with ``execute``, and ``load`` and ``shutdown`` if it likes.

    ``settles(awaitable, call)`` runs coroutines to their end.
    """

    def __init__(self, target):
        self.module, _, self.name = target.partition(":")
        self.settles = Loop().run
        self._found = None
        self._made = None
        self._called = None
        self._takes = None
        self._params = {}
        self._more = {}

    def find(self):
        """Import it."""
        if not self.module or not self.name:
            raise Wrong("find", "a function is named as module:callable.")
        self._found = self._looked_up(self._imported())

    @property
    def concurrency(self):
        """How many calls at once it says that it can take."""
        said = getattr(self._found, "concurrency", 1)
        if callable(said):
            return 1
        if type(said) is not int or not 1 <= said <= CONCURRENCY_MAX:
            text = "its concurrency must be a whole number from 1 to %d, not %r." % (CONCURRENCY_MAX, said)
            raise Wrong("load", text)
        return said

    def load(self, params=None):
        """Load what is to be loaded once. ``params`` are for it; where there is nothing to load, for every call."""
        params = params or {}
        if self._found is None:
            self.find()
        found = self._found
        try:
            if not inspect.isclass(found):
                self._called, self._params = hymir.bare(found), params
                self._takes = Takes(self._called)
                self._more = settings(self._takes, params)
                return
            if not callable(getattr(found, "execute", None)):
                raise Wrong("find", "the class %s has no execute to call." % self.name)
            loads = callable(getattr(found, "load", None))
            self._made = self._given(found, {} if loads else params)
            if loads:
                self.settled(self._given(self._made.load, params))
            self._called = self._made.execute
            self._takes = Takes(self._called)
        except (Stopped, Wrong):
            raise
        except BaseException as error:
            raise raised("load", error) from error

    def _given(self, function, params):
        args, keywords = bind(Takes(function), params, {})
        return function(*args, **keywords)

    def ports(self):
        """What its type hints say of inputs and outputs."""
        hints = self._takes.hints
        given = {"muster", "context", *self._params}
        found = {"inputs": ports.inputs_of(self._called, given, hints), "outputs": ports.outputs_of(hints)}
        return {name: of for name, of in found.items() if of}

    def _imported(self):
        try:
            return importlib.import_module(self.module)
        except ModuleNotFoundError as error:
            if error.name is not None and (self.module + ".").startswith(error.name + "."):
                text = "there is no module %s in %s." % (error.name, ", ".join(sys.path[:1]))
                raise Wrong("find", text) from error
            raise raised("load", error) from error
        except Stopped:
            raise
        except BaseException as error:
            raise raised("load", error) from error

    def _looked_up(self, module):
        found = module
        for part in self.name.split("."):
            if not hasattr(found, part):
                text = "%s has no %s.%s" % (
                    getattr(found, "__name__", self.module),
                    part,
                    meant(part, dir(found)),
                )
                raise Wrong("find", text)
            found = getattr(found, part)
        if not callable(found):
            raise Wrong(
                "find", "%s:%s is a %s, nothing to call." % (self.module, self.name, type(found).__name__)
            )
        return found

    def answer(self, call):
        """What is to be said of a call: ``$returned``, or ``$result``."""
        try:
            found = self.call(call.inputs, {"context": call.context, "muster": call})
        except Answer as answer:
            found = answer
        try:
            if isinstance(found, Answer):
                return found.said(call.context)
        except (Stopped, Wrong):
            raise
        except BaseException as error:
            raise raised("call", error) from error
        return found if isinstance(found, dict) and "$result" in found else {"$returned": found}

    def call(self, inputs, offered):
        """What it gives; what it raises is a Wrong, or an Answer."""
        called, takes, job = self._called, self._takes, inputs.get(hymir.KEY)
        if job is not None:
            called, inputs, offered = hymir.prepared(called, inputs, offered)
            takes = Takes(called)
        if self._params:
            inputs, offered = dict(self._more, **inputs), dict(offered, **self._params)
        args, keywords = bind(takes, inputs, offered, checked=job is None)
        try:
            found = self.settled(called(*args, **keywords), offered["muster"])
            if job is not None:
                return hymir.answer(found, job.get("output"))
            return hymir.answer(found, UNSET) if hymir.is_result(found) else found
        except (Stopped, Answer):
            raise
        except BaseException as error:
            raise raised("call", error) from error

    def shutdown(self):
        """Whatever it does: the outcome stands already."""
        if callable(getattr(self._made, "shutdown", None)):
            try:
                self.settled(self._made.shutdown())
            except BaseException:
                complain()

    def settled(self, found, call=None):
        """The value behind a coroutine or a generator."""
        if inspect.isgenerator(found):
            return _last(found, call)
        if inspect.isasyncgen(found):
            found = _alast(found, call)
        return self.settles(found, call) if inspect.isawaitable(found) else found


def _last(generator, call):
    """What a generator returns, or where that is nothing what it yielded last."""
    last = None
    while True:
        try:
            last = _yielded(next(generator), last, call)
        except StopIteration as end:
            return last if end.value is None else end.value


async def _alast(generator, call):
    last = None
    async for one in generator:
        last = _yielded(one, last, call)
    return last


def _yielded(one, last, call):
    if not isinstance(one, Progress):
        return one
    if call is not None:
        call.progress(one.current, one.total, one.message, one.unit)
    return last

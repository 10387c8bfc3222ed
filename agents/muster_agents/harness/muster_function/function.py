"""The function itself: found, loaded, called, shut down."""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback

from . import hymir
from .answers import UNSET, Answer, Progress
from .arguments import bind, meant
from .raising import Stopped, Wrong, raised


class Function:
    """``module:callable``: a function of any kind, or a class with ``execute``, and ``load`` and ``shutdown`` if it likes."""

    def __init__(self, target):
        self.module, _, self.name = target.partition(":")
        self._loop = None
        self._made = None
        self._called = None

    def load(self):
        """Import it, and load what is to be loaded once."""
        found = self._found(self._imported())
        try:
            if not inspect.isclass(found):
                self._called = hymir.bare(found)
                return
            if not callable(getattr(found, "execute", None)):
                raise Wrong("find", "the class %s has no execute to call." % self.name)
            self._made = found()
            if callable(getattr(self._made, "load", None)):
                self._settled(self._made.load())
            self._called = self._made.execute
        except (Stopped, Wrong):
            raise
        except BaseException as error:
            raise raised("load", error) from error

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

    def _found(self, module):
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

    def call(self, inputs, offered):
        """What it gives; what it raises is a Wrong, or an Answer."""
        called, job = self._called, inputs.get(hymir.KEY)
        if job is not None:
            called, inputs, offered = hymir.prepared(called, inputs, offered)
        args, keywords = bind(called, inputs, offered, checked=job is None)
        try:
            found = self._settled(called(*args, **keywords), offered["muster"])
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
                self._settled(self._made.shutdown())
            except Exception:
                traceback.print_exc()

    def _settled(self, found, call=None):
        """The value behind a coroutine or a generator."""
        if inspect.isgenerator(found):
            return _last(found, call)
        if inspect.isasyncgen(found):
            found = _alast(found, call)
        if inspect.isawaitable(found):
            import asyncio  # late: it takes longer to import than all else here together

            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                asyncio.set_event_loop(self._loop)
            return self._loop.run_until_complete(_awaited(found))
        return found


async def _awaited(found):
    return await found


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

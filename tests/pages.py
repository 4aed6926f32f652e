"""Building the Gradio pages without what is thrown away at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from unittest.mock import patch


class _WhenAsked:
    """Gradio's app of one Blocks, made when somebody asks for it."""

    def __init__(self, make: Callable[[], object]) -> None:
        self._make = make

    @cached_property
    def _made(self) -> object:
        return self._make()

    def __getattr__(self, name: str) -> object:
        return getattr(self._made, name)


@contextmanager
def pages_built_once() -> Iterator[None]:
    """Gradio makes an app when a Blocks begins, when it ends and when it is mounted.

    The mounted one answers. Of the others, the first is never asked and the second only by events;
    they are put off here, which takes two thirds off the time a server takes to start.
    """
    from gradio import blocks

    class Later:
        @staticmethod
        def create_app(*args: object, **named: object) -> _WhenAsked:
            return _WhenAsked(lambda: made.create_app(*args, **named))

    made = blocks.App
    with patch.object(blocks, "App", Later):
        yield

"""What everything rests on: types, errors, paths, variables, processes. Knows neither cargo nor a workspace."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
    from typing import NamedTuple as NamedTuple
else:

    class _Maker(type):
        """Makes named tuples without compiling each annotation: typing's own takes 0.2 ms a class, of every run."""

        def __new__(cls, name: str, _: tuple[Any, ...], body: dict[str, Any]) -> Any:
            from collections import namedtuple

            fields = list(body.get("__annotations__", ()))
            defaults = [body.pop(field) for field in fields if field in body]
            made = namedtuple(name, fields, defaults=defaults, module=body["__module__"])
            for key, value in body.items():
                if key not in ("__module__", "__qualname__", "__orig_bases__"):
                    setattr(made, key, value)
            return made

    class NamedTuple:
        """What to derive from: a class of named fields, as typing's."""

        @staticmethod
        def __mro_entries__(bases: tuple[Any, ...]) -> tuple[Any, ...]:
            return (type.__new__(_Maker, "NamedTuple", (), {}),)

    NamedTuple = NamedTuple()

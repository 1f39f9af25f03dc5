"""Names of types, for annotations only: the type checker reads this file, no interpreter ever loads it.

What runs in the user's interpreter comes before `site` and may import no module written in Python; so it imports
these names, and those of `typing`, under `if TYPE_CHECKING` with a TYPE_CHECKING of its own, and quotes them.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

Core = Any  # the native core; `_core.pyi` has only what is used outside the user's interpreter
Config = dict[str, Any]  # docs/architecture.md, "The configuration"
Facts = dict[str, Any]  # the START record
Program = tuple[str, bytes] | tuple[str, None, str] | None  # what machine.read_program returns

Args = tuple[Any, ...]
Kwargs = dict[str, Any] | None

Encode = Callable[[Any, Any, Args, Kwargs], Any]  # (result, self, args, kwargs) -> plain value
Decode = Callable[[Any, Any, Args, Kwargs], Any]  # (value, self, args, kwargs) -> result
When = Callable[[Any, Args, Kwargs], Any]  # (self, args, kwargs) -> true: this call crosses
Rewrite = Callable[[Any, Args, Kwargs], "Args | None"]  # (self, args, kwargs) -> other positional arguments
Wrap = Callable[[Any, Any, Args, Kwargs], Any]  # (call, self, args, kwargs) -> result
Handle = tuple[Callable[[Any], Any], Callable[[type, Any, Any], Any]]  # encode(object), decode(type, value, self)
FindType = Callable[[ModuleType], type]

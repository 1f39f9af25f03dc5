"""The package `cryptography`: the random numbers that it draws are recorded at the C library; the rest it computes."""

from retroscope.recorder.boundary.declare import PASS, Module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from retroscope.recorder.annotations import Core

def _say_if_not_exact(core: "Core", module: "ModuleType") -> None:
    """The core replaces the generator of the OpenSSL inside, which it finds by its name (foreign_randomness.h)."""
    if not core.foreign_randomness(str(module.__file__)):
        core.note("keys, signatures and handshakes of this build of cryptography are not exact: the random numbers of "
                   "the OpenSSL that it uses are not recorded")


MODULES = [Module("cryptography.hazmat.bindings._rust", functions=PASS, ready=_say_if_not_exact)]

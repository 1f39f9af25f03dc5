"""What can be wrong with a trace: each error is one sentence that names the file and the way out."""

from __future__ import annotations


class RetroscopeError(Exception):
    """Base of every error that Retroscope tells its users: one `sentence`, and the exit `status` of a command."""

    status = 1

    @property
    def sentence(self) -> str:
        return str(self)


class TraceError(RetroscopeError):
    """Base of all that is wrong with a trace; `path` is the file as the user named it."""

    status = 4

    def __init__(self, path: str, sentence: str) -> None:
        super().__init__(sentence)
        self.path = path


class NoTrace(TraceError):
    """There is no such file, or it may not be read."""

    status = 1

    def __init__(self, path: str, why: str) -> None:
        super().__init__(path, f"{path}: {why}; name a trace that `scope record` has made")


class RefusedPath(TraceError):
    """A new trace cannot be written there."""

    status = 1

    def __init__(self, path: str, why: str) -> None:
        super().__init__(path, f"{path}: {why}; name another file with -o")
        self.why = why


class BusyTrace(RefusedPath):
    """Another recording is writing this file now."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "another recording is writing this trace")


class NotATrace(TraceError):
    def __init__(self, path: str, why: str) -> None:
        super().__init__(path, f"{path} is not a trace of Retroscope ({why}); name a file that `scope record` has made")


class DamagedTrace(TraceError):
    def __init__(self, path: str, why: str) -> None:
        super().__init__(path, f"{path} is damaged ({why}); copy it again from where it was recorded, or record again")


class FutureTrace(TraceError):
    def __init__(self, path: str, version: int, ours: int) -> None:
        super().__init__(
            path,
            f"{path} has trace version {version}, this Retroscope reads up to {ours}; "
            "open it with the Retroscope that recorded it, or a newer one",
        )


class OldTrace(TraceError):
    def __init__(self, path: str, version: int, ours: int) -> None:
        super().__init__(
            path,
            f"{path} has trace version {version}, this Retroscope reads from {ours} on; "
            "open it with the Retroscope that recorded it, or record again",
        )


class WrongPython(TraceError):
    def __init__(self, path: str, recorded: str, here: str) -> None:
        super().__init__(
            path,
            f"{path} was recorded by Python {recorded} and can only be replayed by that version, this is {here}; "
            f"install Retroscope under Python {recorded} and run its `scope`",
        )

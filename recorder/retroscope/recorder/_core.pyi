"""The native core (recorder/native-core). One section a topic, in the order of the sources."""

from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, NoReturn

# --- builds (build.h) ---

sources: str
"""A hash of the C sources of this core."""

def interpreter_build() -> str:
    """The linker's build ids of this Python's program and library; empty: they have none."""

# --- ticks, search, control: replay processes only (ticks.h, search.h, control.h, look.h) ---

def ticks_now() -> int:
    """Line events of this process so far."""

def ticks_start() -> None:
    """Count line events from here on; `replay_begin` does it by itself."""

def ticks_stop() -> None: ...
def ticks_hide() -> None:
    """From here on nothing counts, but for what `ticks_counted` calls."""

def watch_generator(frame: FrameType, /) -> tuple[int, ...]: ...
def watch_local(frame: FrameType, name: str, /) -> int:
    """The address where a local variable, or the content of its cell, is kept; 0: there is none."""

def watch_attribute(object: Any, name: str, /) -> int:
    """The address where the object itself keeps the attribute; 0: it does not."""

def watch_item(container: Any, key: Any, /) -> int:
    """The address where a dict or list keeps the item; 0: it does not."""

def watch_contents(object: Any, /) -> list[tuple[int, int]]:
    """(address, size) of what changes with the items of a list, dict, set or bytearray; else empty."""

def watch_load(address: int, /) -> Any:
    """The object that is kept at the address of a slot; LookupError when there is none."""

def watch_object(address: int, type_address: int, /) -> Any:
    """The object at the address; LookupError when none of that type lives there. For lookers only: may crash."""

def threads() -> list[tuple[int, int, str, FrameType | None, str | None, Any]]:
    """(number, ident, state, innermost frame, callable that it waits in, its self) of each thread of a replay that was
    started by now. Only a thread that stands has a frame here; state: running, waiting, ready, starting or finished."""

def set_probe(make: Callable[[list[tuple[int, str]]], Any], judge: Callable[[Any, int, FrameType], bool], /) -> None:
    """Who judges conditions in a scout: `make([(breakpoint, condition), …])` prepares them, and
    `judge(prepared, breakpoint, frame)` is False only when the condition certainly does not hold."""

def raising() -> BaseException | None:
    """The exception at whose raise this process is stopped."""

def ticks_counted(function: Callable[..., Any], args: tuple[Any, ...], /) -> Any:
    """Calls it as the program: its lines count."""

def set_library_prefixes(folders: tuple[str, ...], /) -> None:
    """Code of files below these folders is not the user's own, nor is that of installed packages, nor what has a name
    in angle brackets (frozen, or text that a library made)."""

def show_code(code: CodeType, /) -> None:
    """This code, and what is nested in it, is the user's own, whatever its file is called: the text of -c."""

def is_visible(code: CodeType, /) -> bool: ...
def replay_announce(control_fd: int, /) -> None:
    """Who is told when the record ends, or differs, before `replay_begin`."""

def replay_begin(control_fd: int, inspector: Callable[[int, Any, FrameType | None], object], /) -> None:
    """Seals this process and puts it under control: says READY on the socket and returns at the first RUN.

    Called while hidden. `inspector(stream_fd, core_module, frame)` is what a LOOK calls in its fork. Descriptors 0 to 2
    become /dev/null (with SCOPE_DEBUG=1 only 0), signals are blocked, `control_fd` moves to a high number.
    """

def limit_memory(most: int, recorded: int, /) -> None:
    """A replay process that would use more than `most` MiB of its own stops and says so; behind the end of the record,
    much more than `recorded` is too much already. 0: no limit."""

def set_look_limits(seconds: float, bytes: int, /) -> None:
    """Processor time and additional memory that one look may take; at first 10 s and 1 GiB."""

def write_locals(frame: FrameType, /) -> None:
    """Makes what was put into `frame.f_locals` the frame's own variables."""

def control_end(status: int, uncaught: str | None, exception: BaseException | None, /) -> NoReturn:
    """The program is over; -1: the recording does not say with which status."""

def control_diverged(text: str, /) -> NoReturn:
    """The replay cannot go on; the text is shown as it is."""

# --- blocks of observations: no replay is needed (block_query.c; docs/observations.md) ---

Block = bytes | bytearray | memoryview

ObservedValue = tuple[str, int, str, int] | None
"""Type, address, text, flags; None: not bound."""

ObservedFrame = tuple[int, int, int, int, int, dict[int, ObservedValue] | None]
"""Frame, address, code, line, tick of its last line, variables by slot."""

def block_head(block: Block, /) -> tuple[int, int, int]:
    """First tick, number of ticks, `what`. This and all below: ValueError when the block is damaged."""

def block_codes(block: Block, /) -> list[tuple[str, str, int, tuple[str, ...], int]]:
    """File, qualified name, first line, names by slot, flags."""

def block_shared(block: Block, /) -> list[tuple[int, ...]]:
    """By code: the slots that are shared with other functions, which may store to them."""

def block_keys(block: Block, /) -> bytes:
    """The u32 keys of what occurs in it, sorted."""

def block_key(kind: int, a: str | int | None, b: str | int | None, /) -> int: ...
def block_hits(
    block: Block, first: int, last: int, kind: int, a: str | int | None, b: str | int | None, /
) -> list[int]:
    """Ticks of the facts that this key is of, in order."""

def block_events(block: Block, first: int, last: int, kinds: int, /) -> list[tuple[Any, ...]]:
    """The facts of these kinds at these ticks, in the order in which they happened."""

def block_state(block: Block, tick: int, /) -> list[tuple[int, list[ObservedFrame]]]:
    """The stacks of all threads, the running one first, at a tick of the block; LookupError for another tick."""

def block_frames(block: Block, /) -> list[tuple[int, int, int, int]]:
    """Frame, address, code and last tick of those that began before the block."""

def block_end(block: Block, /) -> list[tuple[int, int, int]]:
    """Frame, address and last tick of those that are alive where the process stopped."""

def block_line(block: Block, tick: int, /) -> tuple[int, int, int, int, int, int]:
    """The LINE fact of the tick; LookupError for a tick that is not in the block."""

def block_inputs(block: Block, tick: int, /) -> int:
    """How many inputs are used up when the process stops at this tick of the block; LookupError for another tick."""

# --- the drain's end of the ring: the launcher's process only (consumer.c, scan.c) ---

class RingConsumer:
    """The reading end of a ring; from now on the producer knows this process as its consumer."""

    head: int
    """Bytes published so far."""
    commit: int
    """Bytes up to the end of the last complete record."""
    tail: int
    """Bytes taken so far."""
    exit_status: int
    """1 + the status with which the process said that it exits; 0: it did not."""
    replaced: int
    """Not 0: the last that was seen of the process is that it called exec."""
    producer_state: int
    """0 not started, 1 recording, 2 closed, 3 gave up."""

    def __init__(self, fd: int) -> None: ...
    def take(self, most: int, /) -> bytes:
        """Up to `most` bytes (-1: all), taken out of the ring."""

    def refuse(self) -> None:
        """Tells the producer to stop recording: nothing more can be stored."""

class RecordScanner:
    """Finds the records of a stream fed to it piece by piece; see `retroscope.trace.stream.RecordScanner`."""

    records: int
    """Complete records seen."""
    complete: int
    """Offset in the stream behind the last complete record."""

    def feed(self, data: bytes, /) -> tuple[list[tuple[int, int, int, int, bytes]], bytes, bytes, int, int]: ...

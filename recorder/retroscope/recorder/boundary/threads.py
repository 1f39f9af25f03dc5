"""Threads: how they start, end and wait for each other. See recorder/native-core/threads.h."""

from retroscope.recorder.boundary.declare import PASS, RESULT, Module, Type, thread

_LOCK = {
    "acquire": thread("LOCK_ACQUIRE"),
    "acquire_lock": thread("LOCK_ACQUIRE"),
    "release": thread("LOCK_RELEASE"),
    "release_lock": thread("LOCK_RELEASE"),
    "__enter__": thread("LOCK_ENTER"),
    "__exit__": thread("LOCK_EXIT"),
}

_RLOCK = {
    "acquire": thread("RLOCK_ACQUIRE"),
    "release": thread("RLOCK_RELEASE"),
    "__enter__": thread("RLOCK_ENTER"),
    "__exit__": thread("RLOCK_EXIT"),
    "_is_owned": thread("RLOCK_OWNED"),
    "_release_save": thread("RLOCK_SAVE"),
    "_acquire_restore": thread("RLOCK_RESTORE"),
    "_recursion_count": thread("RLOCK_COUNT"),
}

_HANDLE = {
    "join": thread("HANDLE_JOIN"),
    "is_done": thread("HANDLE_IS_DONE"),
    "ident": thread("HANDLE_IDENT"),
    "_set_done": thread("HANDLE_SET_DONE"),
}

MODULES = [
    Module(
        "_thread",
        functions=PASS,
        special={
            "get_ident": RESULT,
            "get_native_id": RESULT,
            "_get_main_thread_ident": RESULT,
            "start_new_thread": thread("THREAD_START"),
            "start_new": thread("THREAD_START"),
            "start_joinable_thread": thread("THREAD_START_JOINABLE"),
            "_set_sentinel": thread("THREAD_SENTINEL"),
            "_count": thread("THREAD_COUNT"),
            "_shutdown": thread("HANDLE_SHUTDOWN"),
            "interrupt_main": thread("SIGNAL_INTERRUPT_MAIN"),
            "_excepthook": thread("THREAD_EXCEPTHOOK"),
        },
        types=[
            Type("LockType", methods=PASS, special=_LOCK),
            Type("RLock", methods=PASS, special=_RLOCK),
            Type("_ThreadHandle", methods=PASS, special=_HANDLE),
        ],
    ),
    Module(
        "_queue",
        functions=PASS,
        types=[Type("SimpleQueue", methods=PASS, special={"get": thread("QUEUE_GET"), "put": thread("QUEUE_PUT"),
                                                          "put_nowait": thread("QUEUE_PUT")})],
    ),
    Module(
        "_imp",
        functions=PASS,
        special={
            "acquire_lock": thread("IMPORT_ACQUIRE"),
            "release_lock": thread("IMPORT_RELEASE"),
            "lock_held": thread("IMPORT_HELD"),
        },
    ),
]

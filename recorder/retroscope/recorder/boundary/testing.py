"""What CPython's own test extensions do outside Python."""

from retroscope.recorder.boundary.declare import PASS, RESULT, Module, thread

_FILES = """
    pymarshal_write_long_to_file pymarshal_write_object_to_file pymarshal_read_short_from_file
    pymarshal_read_long_from_file pymarshal_read_last_object_from_file pymarshal_read_object_from_file
"""

_MEMORY = "tracemalloc_track tracemalloc_untrack tracemalloc_get_traceback"

_INTERNAL = ("write_perf_map_entry", "perf_map_state_teardown", "_PyTraceMalloc_GetTraceback")

MODULES = [
    Module("_testexternalinspection"),
    Module(
        "_testcapi",
        functions=PASS,
        special={
            **dict.fromkeys((_FILES + _MEMORY).split(), RESULT),
            "call_in_temporary_c_thread": thread("THREAD_TEMPORARY"),
            "join_temporary_c_thread": thread("THREAD_TEMPORARY_JOIN"),
        },
    ),
    Module("_testinternalcapi", functions=PASS, special=dict.fromkeys(_INTERNAL, RESULT)),
]

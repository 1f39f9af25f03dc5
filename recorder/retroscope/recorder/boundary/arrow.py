"""pyarrow: what its own threads read and compute is an input; tables are kept in Arrow's stream format."""

import sys

from retroscope.recorder.boundary.declare import PASS, RESULT, Module, Policy, Type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from retroscope.recorder.annotations import Args, Core, Kwargs


def _encode_table(table: "Any") -> bytes:
    arrow = sys.modules["pyarrow"]
    sink = arrow.BufferOutputStream()
    with arrow.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _decode_table(kind: type, value: "Any", self: "Any") -> "Any":
    ipc = sys.modules["pyarrow"].ipc
    return ipc.open_stream(value, options=ipc.IpcReadOptions(use_threads=False)).read_all()


def _in_one_thread(self: "Any", args: "Args", kwargs: "Kwargs") -> bool:
    """Columns become blocks of pandas' in the thread that asks."""
    if args and isinstance(args[0], dict):
        args[0]["use_threads"] = False
    return True


def _begin(core: "Core", module: "Any") -> None:
    """What Arrow asks the machine once, it asks now, and not in a call that only one side makes."""
    core.loading_begins()
    core.visible(module.default_memory_pool, ())
    core.loading_ends()
    core.visible(module.cpu_count, ())
    core.visible(module.io_thread_count, ())


def _results(names: str) -> "dict[str, Any]":
    return dict.fromkeys(names.split(), RESULT)


def _nothing(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> None:
    return None


MODULES = [
    Module(
        "pyarrow.lib",
        functions=PASS,
        special={"table_to_blocks": Policy("HOOK", when=_in_one_thread, encode=_nothing)},
        types=[Type("Table", methods=PASS, handle=(_encode_table, _decode_table))],
        ready=_begin,
    ),
    Module("pyarrow._csv", functions=PASS, special=_results("read_csv")),
    Module("pyarrow._json", functions=PASS, special=_results("read_json")),
    Module("pyarrow._acero", functions=PASS,
           types=[Type("Declaration", methods=PASS, special=_results("to_table"))]),
    Module("pyarrow._feather", functions=PASS,
           types=[Type("FeatherReader", methods=PASS, special=_results("read read_indices read_names"))]),
    Module("pyarrow._parquet", functions=PASS,
           types=[Type("ParquetReader", methods=PASS,
                       special=_results("read_all read_row_group read_row_groups"))]),
    Module("pyarrow._dataset", functions=PASS,
           types=[Type(name, methods=PASS, special=_results("to_table head count_rows take"))
                  for name in ("Dataset", "Scanner", "Fragment")]),
]  # fmt: skip

"""The trace file: one LMDB database that holds everything recorded of a run.

In: bytes of input streams, sources and facts about processes, from the drain. Out: the same, checked and decoded,
to whoever views or replays the trace. It must never unpickle, never trust a size or an offset that it read from the
file, and never import another room.
"""

"""Puts the recorder (or the replay) in place in a fresh interpreter and starts the program.

In: the stream's descriptor and the configuration (docs/architecture.md, "The configuration"). Runs hidden,
before `site`; afterwards the program finds what plain Python would have given it: `__main__`, sys.argv,
sys.path, sys.flags, the environment, the standard streams. Both modes take the same steps in the same
order, so that the stream means the same on both sides.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from retroscope.recorder.annotations import Config, Core
    from retroscope.recorder.importer import Importer


def start(core: "Core", importer: "Importer", stream: int, config: "Config") -> None:
    """Never returns: the process ends as the program ends."""
    replaying = config["mode"] == "replay"
    (core.replay_open if replaying else core.record_open)(stream)
    if replaying:
        _leave_perf_out()
        core.replay_announce(config["control_fd"])  # the record of a process killed while it started ends before READY
        core.limit_memory(*config["memory"])
    machine = importer.load("machine")
    if not replaying:
        machine.close(stream)
        machine.pin_environment(config)
    main = None if replaying else machine.read_program(config)
    facts = core.start(None if replaying else machine.facts(config, main))
    if facts["main"]["form"] == "file" and not facts["main"]["error"]:
        main = core.own_source(main)
    registry = importer.load("registry")
    if not replaying:
        processes = importer.load("boundary.processes")
        processes.know(facts["seed"], config.get("chaos"), importer.folder + "/startup.py", config["core"])
    registry.take_over(core, importer, config["core"])
    core.set_main_ident(facts["ident"])
    if config.get("secrets"):
        core.keep_out(config["secrets"])
    if config.get("chaos") is not None:
        core.set_chaos(config["chaos"])
    machine.restore(core, facts, replaying)
    if replaying:
        _begin_replay(core, importer, config, machine)
    program = importer.load("program").prepare(core, facts, main)
    importer.load("boundary.classes").begin(core, importer.classes_before)
    core.collector_begin()
    core.run(program, not facts["no_site"])


def _leave_perf_out() -> None:
    """With -X perf the interpreter writes a file for each process, which the seal of a replay would not let it."""
    if hasattr(sys, "deactivate_stack_trampoline"):
        sys.deactivate_stack_trampoline()


def _begin_replay(core: "Core", importer: "Importer", config: "Config", machine: "ModuleType") -> None:
    looker: dict[str, Any] = {"__name__": "retroscope.replay.inspector", "_core": core}
    paths = config["inspector"]
    for path in [paths] if isinstance(paths, str) else paths:
        looker["__builtins__"] = importer.builtins  # the files may set their own for later
        exec(importer.loader("retroscope.replay.inspector", path).get_code("retroscope.replay.inspector"), looker)
    core.set_library_prefixes(machine.library_prefixes())
    core.set_probe(looker["prepare_conditions"], looker["judge_condition"])
    core.replay_begin(config["control_fd"], looker["serve"])

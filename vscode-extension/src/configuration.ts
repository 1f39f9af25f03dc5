// What the extension decides, without VS Code: which interpreter, which command, what a configuration lacks.

import * as path from "node:path";

/** A launch configuration as VS Code hands it over; unknown attributes are the adapter's to judge. */
export interface Configuration {
  type?: string;
  request?: string;
  name?: string;
  program?: string;
  module?: string;
  code?: string | string[];
  cwd?: string;
  trace?: string;
  [attribute: string]: unknown;
}

/** Where the user stands when a debug session begins. */
export interface Place {
  /** The file in the active editor, and its language; absent when there is none on disk. */
  file?: string;
  language?: string;
  /** The folder that launch.json belongs to, or the only one that is open. */
  folder?: string;
}

/** What VS Code hands to a command of the Variables view. */
export interface ShownVariable {
  variable?: { name: string; evaluateName?: string };
}

/** The arguments of the `evaluate` request that goes back to the line which last changed a value. */
export function askWhy(expression: string, frameId?: number): { expression: string; context: string; frameId?: number } {
  return { expression: `.why ${expression.trim()}`, context: "repl", ...(frameId === undefined ? {} : { frameId }) };
}

/** A process to start. */
export interface Command {
  command: string;
  args: string[];
}

export const FALLBACK_PYTHON = "python3";

/**
 * The interpreter that runs the adapter: the setting `retroscope.python`, else the one selected in the Python
 * extension, else `python3`.
 */
export function chooseInterpreter(setting: string | undefined, selected: string | undefined, folder?: string): string {
  const named = (setting ?? "").trim();
  if (named === "") {
    return selected || FALLBACK_PYTHON;
  }
  const substituted = folder === undefined ? named : named.split("${workspaceFolder}").join(folder);
  const isBareName = !substituted.includes("/") && !substituted.includes("\\");
  return isBareName || folder === undefined ? substituted : path.resolve(folder, substituted);
}

/** How the adapter is started. */
export function adapterCommand(python: string): Command {
  return { command: python, args: ["-m", "retroscope.cli", "dap"] };
}

/** Asks an interpreter, by its exit status and output, whether it can run the adapter. */
export function probeCommand(python: string): Command {
  return { command: python, args: ["-c", "import retroscope.cli"] };
}

/** What to tell the user when the probe failed; `detail` is what it printed, or why it could not be started. */
export function explainProbe(python: string, detail: string): string {
  const settingHint = "or choose another interpreter with the setting retroscope.python";
  if (detail.includes("ENOENT")) {
    return `There is no Python interpreter at ${python}: select one in the Python extension, ${settingHint}.`;
  }
  if (/No module named '?retroscope/.test(detail)) {
    return `${python} has no retroscope: install it with "${python} -m pip install retroscope", ${settingHint}.`;
  }
  const lastLine = detail.trim().split("\n").pop() ?? "";
  return `${python} cannot run retroscope (${lastLine}); ${settingHint}.`;
}

/**
 * Completes a configuration. Undefined: there is nothing to debug, and VS Code should offer to write a launch.json.
 * An attach configuration comes back without `trace` when the user has to be asked for it.
 */
export function complete(configuration: Configuration, place: Place): Configuration | undefined {
  const isEmpty = !configuration.type && !configuration.request && !configuration.name;
  if (isEmpty) {
    return place.file !== undefined && place.language === "python" ? launchFile(place.file, place.folder) : undefined;
  }
  if (configuration.request !== "launch" || configuration.cwd) {
    return configuration;
  }
  const cwd = place.folder ?? (configuration.program?.includes("$") ? undefined : parentOf(configuration.program));
  return cwd === undefined ? configuration : { ...configuration, cwd };
}

/** The configuration that records one file. */
export function launchFile(file: string, folder?: string): Configuration {
  const name = `Reverse debug: ${path.basename(file)}`;
  return { type: "retroscope", request: "launch", name, program: file, cwd: folder ?? path.dirname(file) };
}

/** The configuration that opens a recording. */
export function attachTo(trace: string): Configuration {
  return { type: "retroscope", request: "attach", name: `Reverse debug: ${path.basename(trace)}`, trace };
}

function parentOf(program: string | undefined): string | undefined {
  return program !== undefined && path.isAbsolute(program) ? path.dirname(program) : undefined;
}

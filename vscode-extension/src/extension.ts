// The VS Code side: registers the debug type and starts `scope dap`. Decisions are in configuration.ts.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import * as vscode from "vscode";
import {
  adapterCommand,
  askWhy,
  attachTo,
  chooseInterpreter,
  complete,
  type Configuration,
  explainProbe,
  launchFile,
  type Place,
  probeCommand,
  type ShownVariable,
} from "./configuration";

const DEBUG_TYPE = "retroscope";
const PROBE_TIMEOUT_MS = 20_000;

/** The part of the Python extension's API that we use. */
interface PythonApi {
  environments: {
    getActiveEnvironmentPath(resource?: vscode.Uri): { path: string };
    resolveEnvironment(environment: { path: string }): Promise<{ executable: { uri?: vscode.Uri } } | undefined>;
  };
}

export function activate(context: vscode.ExtensionContext): void {
  context.subscriptions.push(
    vscode.debug.registerDebugConfigurationProvider(DEBUG_TYPE, { resolveDebugConfiguration }),
    vscode.debug.registerDebugAdapterDescriptorFactory(DEBUG_TYPE, {
      createDebugAdapterDescriptor: (session) => startAdapter(session, context.extensionPath),
    }),
    vscode.commands.registerCommand("retroscope.debugFile", debugFile),
    vscode.commands.registerCommand("retroscope.openRecording", openRecording),
    vscode.commands.registerCommand("retroscope.lastWrite", goToLastWrite),
  );
}

async function resolveDebugConfiguration(
  folder: vscode.WorkspaceFolder | undefined,
  configuration: vscode.DebugConfiguration,
): Promise<vscode.DebugConfiguration | undefined | null> {
  const completed = complete(configuration, whereTheUserIs(folder));
  if (completed?.request === "attach" && !completed.trace) {
    const trace = await pickRecording();
    return trace === undefined ? undefined : asDebugConfiguration({ ...completed, trace });
  }
  return completed === undefined ? null : asDebugConfiguration(completed);
}

async function startAdapter(
  session: vscode.DebugSession,
  extensionPath: string,
): Promise<vscode.DebugAdapterDescriptor> {
  const folder = session.workspaceFolder;
  const setting = vscode.workspace.getConfiguration("retroscope", folder).get<string>("python");
  const python = chooseInterpreter(setting, await selectedInterpreter(folder?.uri), folder?.uri.fsPath);
  await probe(python, extensionPath);
  const { command, args } = adapterCommand(python);
  // Not the workspace: Python would import a module that lies there instead of ours.
  return new vscode.DebugAdapterExecutable(command, args, { cwd: extensionPath });
}

/** Throws with a sentence for the user when the interpreter cannot run the adapter. */
async function probe(python: string, cwd: string): Promise<void> {
  const { command, args } = probeCommand(python);
  try {
    await promisify(execFile)(command, args, { cwd, timeout: PROBE_TIMEOUT_MS });
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    throw new Error(explainProbe(python, stderr || message));
  }
}

/** The interpreter selected in the Python extension; undefined without that extension. */
async function selectedInterpreter(resource: vscode.Uri | undefined): Promise<string | undefined> {
  const extension = vscode.extensions.getExtension<PythonApi>("ms-python.python");
  if (extension === undefined) {
    return undefined;
  }
  const { environments } = await extension.activate();
  const active = environments.getActiveEnvironmentPath(resource);
  const resolved = await environments.resolveEnvironment(active);
  return resolved?.executable.uri?.fsPath ?? active.path;
}

function whereTheUserIs(folder: vscode.WorkspaceFolder | undefined): Place {
  const document = vscode.window.activeTextEditor?.document;
  const onDisk = document?.uri.scheme === "file" ? document : undefined;
  const home = folder ?? vscode.workspace.workspaceFolders?.[0];
  return { file: onDisk?.fileName, language: onDisk?.languageId, folder: home?.uri.fsPath };
}

async function debugFile(resource?: vscode.Uri): Promise<void> {
  const place = whereTheUserIs(undefined);
  const file = resource?.fsPath ?? place.file;
  if (file === undefined) {
    void vscode.window.showErrorMessage("Open a Python file to record it.");
    return;
  }
  await vscode.workspace.saveAll(false);
  await vscode.debug.startDebugging(undefined, asDebugConfiguration(launchFile(file, place.folder)));
}

async function openRecording(): Promise<void> {
  const trace = await pickRecording();
  if (trace !== undefined) {
    await vscode.debug.startDebugging(undefined, asDebugConfiguration(attachTo(trace)));
  }
}

/** From the Variables view with the variable that was clicked; from the editor and the palette without. */
async function goToLastWrite(shown?: ShownVariable): Promise<void> {
  const session = vscode.debug.activeDebugSession;
  if (session?.type !== DEBUG_TYPE) {
    void vscode.window.showErrorMessage("No recording is open: start a Retroscope session first.");
    return;
  }
  const expression = shown?.variable === undefined ? expressionInEditor() : shown.variable.evaluateName;
  if (!expression) {
    void vscode.window.showErrorMessage("Select an expression, or a variable that has a name of its own.");
    return;
  }
  const place = vscode.debug.activeStackItem;
  const frame = place instanceof vscode.DebugStackFrame ? place.frameId : undefined;
  try {
    await session.customRequest("evaluate", askWhy(expression, frame));
  } catch (error) {
    void vscode.window.showErrorMessage((error as Error).message);
  }
}

/** What is selected, else the dotted name under the cursor. */
function expressionInEditor(): string | undefined {
  const editor = vscode.window.activeTextEditor;
  if (editor === undefined) {
    return undefined;
  }
  const { document, selection } = editor;
  const name = document.getWordRangeAtPosition(selection.active, /[A-Za-z_]\w*(\.[A-Za-z_]\w*)*/);
  return selection.isEmpty ? name && document.getText(name) : document.getText(selection);
}

async function pickRecording(): Promise<string | undefined> {
  const chosen = await vscode.window.showOpenDialog({
    title: "Open a recording made by scope record",
    canSelectMany: false,
    filters: { Recordings: ["db"], "All files": ["*"] },
  });
  return chosen?.[0]?.fsPath;
}

function asDebugConfiguration(configuration: Configuration): vscode.DebugConfiguration {
  return { ...configuration, type: DEBUG_TYPE, request: configuration.request ?? "launch", name: configuration.name ?? "" };
}

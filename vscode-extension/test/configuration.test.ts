import * as assert from "node:assert";
import {
  adapterCommand,
  askWhy,
  attachTo,
  chooseInterpreter,
  complete,
  explainProbe,
  launchFile,
  probeCommand,
} from "../src/configuration";

describe("the interpreter", () => {
  it("is the setting's, first of all", () => {
    assert.strictEqual(chooseInterpreter("/opt/python", "/selected/python", "/work"), "/opt/python");
  });

  it("may be given relative to the workspace", () => {
    assert.strictEqual(chooseInterpreter("venv/bin/python", undefined, "/work"), "/work/venv/bin/python");
    assert.strictEqual(chooseInterpreter("${workspaceFolder}/v/python", undefined, "/work"), "/work/v/python");
  });

  it("may be a name to look for on PATH", () => {
    assert.strictEqual(chooseInterpreter(" python3.12 ", "/selected/python", "/work"), "python3.12");
  });

  it("is the selected one when there is no setting", () => {
    assert.strictEqual(chooseInterpreter("", "/selected/python"), "/selected/python");
    assert.strictEqual(chooseInterpreter(undefined, "/selected/python"), "/selected/python");
  });

  it("is python3 when nothing is known", () => {
    assert.strictEqual(chooseInterpreter("  ", undefined), "python3");
  });

  it("runs the adapter as a module", () => {
    assert.deepStrictEqual(adapterCommand("p"), { command: "p", args: ["-m", "retroscope.cli", "dap"] });
    assert.deepStrictEqual(probeCommand("p").args, ["-c", "import retroscope.cli"]);
  });
});

describe("an interpreter that cannot run the adapter", () => {
  const ending = "or choose another interpreter with the setting retroscope.python.";

  for (const [detail, sentence] of [
    ["spawn /p ENOENT", "There is no Python interpreter at /p"],
    ["Traceback:\nModuleNotFoundError: No module named 'retroscope'\n", '"/p -m pip install retroscope"'],
    ["Traceback:\nModuleNotFoundError: No module named 'retroscope.cli'\n", '"/p -m pip install retroscope"'],
    ["Traceback:\nImportError: libzstd is missing\n", "(ImportError: libzstd is missing)"],
  ] as const) {
    it(`is explained: ${detail.trim().split("\n").pop()}`, () => {
      const explained = explainProbe("/p", detail);
      assert.ok(explained.includes(sentence), explained);
      assert.ok(explained.endsWith(ending), explained);
    });
  }
});

describe("a configuration", () => {
  it("is made for the active Python file when there is none", () => {
    const made = complete({}, { file: "/work/app.py", language: "python", folder: "/work" });
    assert.deepStrictEqual(made, launchFile("/work/app.py", "/work"));
    assert.strictEqual(made?.name, "Reverse debug: app.py");
  });

  it("is not made for another language", () => {
    assert.strictEqual(complete({}, { file: "/work/app.js", language: "javascript" }), undefined);
    assert.strictEqual(complete({}, {}), undefined);
  });

  it("runs in the workspace folder, else beside the program", () => {
    const launch = { type: "retroscope", request: "launch", name: "n", program: "/src/app.py" };
    assert.strictEqual(complete(launch, { folder: "/work" })?.cwd, "/work");
    assert.strictEqual(complete(launch, {})?.cwd, "/src");
    assert.strictEqual(complete({ ...launch, program: "${file}" }, {})?.cwd, undefined);
    assert.strictEqual(complete({ ...launch, cwd: "/own" }, { folder: "/work" })?.cwd, "/own");
  });

  it("keeps every attribute that the user wrote", () => {
    const launch = { type: "retroscope", request: "launch", name: "n", module: "m", args: ["1"], stopAt: "end" };
    assert.deepStrictEqual(complete(launch, { folder: "/work" }), { ...launch, cwd: "/work" });
  });

  it("that attaches is left alone", () => {
    const attach = attachTo("/work/trace.db");
    assert.deepStrictEqual(complete(attach, { folder: "/elsewhere" }), attach);
    assert.deepStrictEqual([attach.request, attach.trace], ["attach", "/work/trace.db"]);
  });
});

describe("going back to the last write", () => {
  it("is a command of the console, in the frame that is shown", () => {
    assert.deepStrictEqual(askWhy(" self.total\n", 3), { expression: ".why self.total", context: "repl", frameId: 3 });
    assert.deepStrictEqual(askWhy("total"), { expression: ".why total", context: "repl" });
  });
});

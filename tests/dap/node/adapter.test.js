// The adapter as a client written by others sees it: Microsoft's DebugClient, which editors' own tests use.
//
// From the environment: ADAPTER_PYTHON and ADAPTER, what to start; PROGRAMS, a folder with orders.py and fine.py.

"use strict";

const assert = require("node:assert");
const fs = require("node:fs");
const path = require("node:path");
const { spawn } = require("node:child_process");
const { DebugClient } = require("@vscode/debugadapter-testsupport");

const { ADAPTER_PYTHON, ADAPTER, PROGRAMS } = process.env;
const ORDERS = path.join(PROGRAMS, "orders.py");
const FINE = path.join(PROGRAMS, "fine.py");

/** The number of the line that ends in `# @marker`. */
function lineOf(program, marker) {
  const lines = fs.readFileSync(program, "utf8").split("\n");
  const index = lines.findIndex((line) => line.endsWith(`# @${marker}`));
  assert.notStrictEqual(index, -1, `${program} has no line marked @${marker}`);
  return index + 1;
}

describe("the adapter on standard streams", () => {
  let client;

  beforeEach(async () => {
    client = new DebugClient(ADAPTER_PYTHON, ADAPTER, "retroscope", { env: process.env }, true);
    client.defaultTimeout = 15000;
    await client.start();
  });

  afterEach(() => client.stop());

  /** Sends a motion's request and waits for its stop; the `stopped` body. */
  async function go(verb) {
    const [stopped] = await Promise.all([client.waitForEvent("stopped"), client[`${verb}Request`]({ threadId: 1 })]);
    return stopped.body;
  }

  async function start(configuration) {
    const [, , stopped] = await Promise.all([
      client.configurationSequence(),
      client.launch(configuration),
      client.waitForEvent("stopped"),
    ]);
    return stopped.body;
  }

  async function valueOf(expression) {
    return (await client.evaluateRequest({ expression, context: "watch" })).body.result;
  }

  it("says that it can go back", async () => {
    const { body } = await client.initializeRequest();
    assert.strictEqual(body.supportsStepBack, true);
    assert.strictEqual(body.supportsGotoTargetsRequest, true);
    assert.strictEqual(body.supportsSetVariable, undefined);
  });

  it("answers an unknown request with an error, not with silence", async () => {
    await client.initializeRequest();
    await assert.rejects(client.customRequest("illegalRequest"), /does not serve the request 'illegalRequest'/);
  });

  it("stops where the program failed", () =>
    Promise.all([
      client.configurationSequence(),
      client.launch({ program: ORDERS }),
      client.assertStoppedLocation("exception", { path: ORDERS, line: lineOf(ORDERS, "multiply") }),
    ]));

  it("walks back from the failure to the cause", async () => {
    const stopped = await start({ program: ORDERS });
    assert.match(stopped.description, /^tick \d+ of \d+ \(in the past\)$/);
    assert.strictEqual(await valueOf("amount"), "None");
    const lines = [{ line: lineOf(ORDERS, "call") }];
    await client.setBreakpointsRequest({ source: { path: ORDERS }, breakpoints: lines });
    const seen = [];
    for (let hit = 0; hit < 3; hit += 1) {
      assert.strictEqual((await go("reverseContinue")).reason, "breakpoint");
      seen.push(await valueOf("item['name']"));
    }
    assert.deepStrictEqual(seen, ["'gear'", "'bolt'", "'nut'"]);
  });

  it("verifies a breakpoint before the first stop and hits it on the way back", async () => {
    const line = lineOf(FINE, "done");
    const initialized = client.waitForEvent("initialized").then(async () => {
      const { body } = await client.setBreakpointsRequest({ source: { path: FINE }, breakpoints: [{ line }] });
      assert.deepStrictEqual([body.breakpoints[0].verified, body.breakpoints[0].line], [true, line]);
      await client.configurationDoneRequest();
    });
    const first = client.waitForEvent("stopped");
    await Promise.all([initialized, client.launch({ program: FINE, stopAt: "end" }), first]);
    const hit = client.assertStoppedLocation("breakpoint", { path: FINE, line });
    await Promise.all([hit, client.reverseContinueRequest({ threadId: 1 })]);
  });

  it("steps and steps back to the same state", async () => {
    await start({ program: FINE, stopAt: "entry" });
    await client.setBreakpointsRequest({ source: { path: FINE }, breakpoints: [{ line: lineOf(FINE, "print") }] });
    await go("continue");
    await go("continue");
    assert.strictEqual(await valueOf("value"), "1");
    const before = await client.stackTraceRequest({ threadId: 1 });
    await go("next");
    await go("stepBack");
    const after = await client.stackTraceRequest({ threadId: 1 });
    assert.strictEqual(after.body.stackFrames[0].line, before.body.stackFrames[0].line);
    assert.strictEqual(await valueOf("value"), "1");
  });

  it("streams what the program writes", () =>
    Promise.all([
      client.configurationSequence(),
      client.launch({ program: FINE }),
      client.assertOutput("stdout", "square 0\nsquare 1\nsquare 4\nsquare 9\ndone\n"),
    ]));

  it("moves on a word in the debug console", async () => {
    await start({ program: FINE, stopAt: "end" });
    const [stopped] = await Promise.all([
      client.waitForEvent("stopped"),
      client.evaluateRequest({ expression: ".goto 3", context: "repl" }),
    ]);
    assert.match(stopped.body.description, /^tick 3 of/);
    assert.strictEqual(stopped.body.reason, "goto");
  });

  it("refuses a program that is not there with a sentence", async () => {
    await assert.rejects(client.launch({ program: "/nowhere.py" }), /there is no program at \/nowhere\.py/);
  });
});

// The fake adapter has no objects whose attributes could be watched.
if (ADAPTER.endsWith("real_adapter.py")) {
  describe("a data breakpoint on an attribute", () => {
    it("stops behind each write, and before it on the way back", async () => {
      const program = path.join(PROGRAMS, "attribute.py");
      const text = ["class Box:", "    size = 0", "box = Box()", "box.size = 1", "alias = box", "alias.size = 2", "end = 1"];
      fs.writeFileSync(program, `${text.join("\n")}\n`);
      const client = new DebugClient(ADAPTER_PYTHON, ADAPTER, "retroscope", { env: process.env }, true);
      client.defaultTimeout = 15000;
      await client.start();
      const stop = async (verb) => {
        const [stopped] = await Promise.all([client.waitForEvent("stopped"), client[`${verb}Request`]({ threadId: 1 })]);
        const { stackFrames } = (await client.stackTraceRequest({ threadId: 1 })).body;
        return [stopped.body.reason, stackFrames.length ? stackFrames[0].line : 0];
      };
      try {
        const first = client.waitForEvent("stopped");
        await Promise.all([client.configurationSequence(), client.launch({ program, stopAt: "entry" }), first]);
        await client.setBreakpointsRequest({ source: { path: program }, breakpoints: [{ line: 5 }] });
        await stop("continue");
        const frameId = (await client.stackTraceRequest({ threadId: 1 })).body.stackFrames[0].id;
        const scope = (await client.scopesRequest({ frameId })).body.scopes[0].variablesReference;
        const rows = (await client.variablesRequest({ variablesReference: scope })).body.variables;
        const { variablesReference } = rows.find((row) => row.name === "box");
        const inside = (await client.variablesRequest({ variablesReference })).body.variables;
        assert.deepStrictEqual(inside.map((row) => [row.name, row.value]), [["size", "1"]]);
        const info = (await client.dataBreakpointInfoRequest({ variablesReference, name: "size" })).body;
        assert.match(info.description, /^box\.size, here 1$/);
        const breakpoints = [{ dataId: info.dataId, accessType: "write" }];
        assert.strictEqual((await client.setDataBreakpointsRequest({ breakpoints })).body.breakpoints[0].verified, true);
        assert.deepStrictEqual(await stop("continue"), ["data breakpoint", 7]);
        assert.deepStrictEqual(await stop("reverseContinue"), ["data breakpoint", 6]);
        assert.deepStrictEqual(await stop("reverseContinue"), ["breakpoint", 5]);
        assert.deepStrictEqual(await stop("reverseContinue"), ["data breakpoint", 4]);
      } finally {
        await client.stop();
      }
    });
  });
}

describe("the adapter on a port", () => {
  it("serves one session after another", async () => {
    const server = spawn(ADAPTER_PYTHON, [ADAPTER, "--port", "0"]);
    try {
      const port = await new Promise((resolve) => {
        server.stdout.on("data", (data) => resolve(Number(/^listening on (\d+)\n$/.exec(data.toString())[1])));
      });
      for (let session = 0; session < 2; session += 1) {
        const client = new DebugClient("", "", "retroscope");
        await client.start(port);
        await Promise.all([
          client.configurationSequence(),
          client.launch({ program: ORDERS }),
          client.assertStoppedLocation("exception", { path: ORDERS, line: lineOf(ORDERS, "multiply") }),
        ]);
        await client.stop();
      }
    } finally {
      server.kill();
    }
  });
});

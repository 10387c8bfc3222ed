// The same function for Node. It takes four calls at once, answers ping while they run, and can be cancelled.
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

const calls = new Map(); // what is under way: id -> AbortController
let loaded = false;
let bytesMax = 1 << 20;

const send = (message) => process.stdout.write(JSON.stringify({ jsonrpc: "2.0", ...message }) + "\n");

class Refused extends Error {
  constructor(code, message, data) {
    super(message);
    Object.assign(this, { code, data });
  }
}

function load({ protocol, params = {}, limits = {} }) {
  if (protocol !== 1) throw new Refused(-32012, "this function speaks version 1", { supported: [1] });
  bytesMax = limits.message_bytes ?? bytesMax;
  console.error("loaded with", params);
  loaded = true;
  return { protocol: 1, concurrency: 4, name: "count" };
}

async function count({ text, wait_s = 0 }, id, signal) {
  if (typeof text !== "string") {
    const data = { where: "bind", argument: "text", expected: "string", found: typeof text };
    throw new Refused(-32602, "the argument text must be a string", data);
  }
  for (let at = 1; at <= wait_s; at++) {
    send({ method: "progress", params: { id, current: at, total: wait_s, unit: "s" } });
    await sleep(1000, undefined, { signal });
  }
  send({ method: "log", params: { id, level: "info", logger: "count", text: "counting" } });
  const words = text.split(/\s+/).filter(Boolean);
  return { words: words.length, longest: words.reduce((a, b) => (b.length > a.length ? b : a), "") };
}

async function execute(params, id) {
  if (!loaded) throw new Refused(-32600, "nothing is loaded");
  const stop = new AbortController();
  calls.set(id, stop);
  try {
    return { $returned: await count(params.inputs ?? {}, id, stop.signal) };
  } catch (error) {
    if (stop.signal.aborted) throw new Refused(-32800, "cancelled");
    if (error instanceof Refused) throw error;
    const bases = [error.name, "Exception"];
    throw new Refused(-32000, `${error.name}: ${error.message}`, { where: "call", class: error.name, bases, traceback: error.stack });
  } finally {
    calls.delete(id);
  }
}

const methods = {
  load,
  execute,
  ping: () => ({ calls: [...calls.keys()] }),
  shutdown: () => null,
};

async function hear(line) {
  if (!line.trim()) return;
  let message;
  try {
    message = JSON.parse(line);
  } catch {
    return send({ id: null, error: { code: -32700, message: "a line is no JSON" } });
  }
  const { id, method, params = {} } = message ?? {};
  if (method === "cancel") return calls.get(params.id)?.abort();
  if (id === undefined || id === null || calls.has(id)) return; // a notification, or an order that came twice
  try {
    if (!Object.hasOwn(methods, method)) throw new Refused(-32601, "there is no such method");
    const result = await methods[method](params, id);
    if (Buffer.byteLength(JSON.stringify(result)) > bytesMax) throw new Refused(-32002, "the answer is too large");
    send({ id, result });
  } catch (error) {
    send({ id, error: { code: error.code ?? -32000, message: error.message, data: error.data } });
  }
  if (method === "shutdown") process.exit(0);
}

const lines = createInterface({ input: process.stdin });
lines.on("line", hear);
lines.on("close", () => process.exit(0));

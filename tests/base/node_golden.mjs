// Prints what Node makes of node_values.js and node_console.js, as JSON: see test_node_golden.py. With
// --calls, what the calls print that standard input has as a JSON array: see test_node_random.py.
import { readFileSync } from 'node:fs';
import { Console } from 'node:console';
import { Writable } from 'node:stream';
import { inspect } from 'node:util';
import { runInThisContext } from 'node:vm';

process.env.TZ = 'UTC';
process.on('unhandledRejection', () => {});
Error.stackTraceLimit = 1; // the frame in exec.js, and none of Node's own

const read = (name) =>
  readFileSync(new URL(name, import.meta.url), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('//'));

const run = (code) => runInThisContext(code, { filename: 'exec.js' });

const record = (code) => {
  const lines = [];
  const stream = (name) =>
    new Writable({
      decodeStrings: false,
      write(chunk, encoding, done) {
        lines.push([name, chunk.slice(0, -1)]);
        done();
      },
    });
  process.emitWarning = (text) => lines.push(['err', `Warning: ${text}`]);
  globalThis.console = new Console({ stdout: stream('out'), stderr: stream('err') });
  run(`{ ${code} }`);
  return lines;
};

const golden = () => {
  const values = Object.fromEntries(read('node_values.js').map((code) => [code, inspect(run(`{ ${code} }`))]));
  const lines = Object.fromEntries(read('node_console.js').map((code) => [code, record(code)]));
  return { node: process.version, values, console: lines };
};

const write = process.stdout.write.bind(process.stdout);
const isAsked = process.argv.includes('--calls');
const answers = isAsked ? JSON.parse(readFileSync(0, 'utf8')).map(record) : golden();
write(`${JSON.stringify(answers, null, 1)}\n`);

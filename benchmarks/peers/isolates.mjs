// An isolate of `isolated-vm` for each session, all in one process: `node --no-node-snapshot isolates.mjs PORT`.
import ivm from 'isolated-vm';
import { serve } from './served.mjs';

const sessions = new Map();

serve((code, name) => {
  if (!sessions.has(name)) {
    // One after another: of isolates that are made at the same time, some end the process with a SIGSEGV.
    const isolate = new ivm.Isolate({ memoryLimit: 128 });
    sessions.set(name, { isolate, context: isolate.createContextSync() });
  }
  return sessions.get(name).context.eval(code, { timeout: 30_000, copy: true }).then(JSON.stringify);
});

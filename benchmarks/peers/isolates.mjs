// An isolate of `isolated-vm` for each session, all in one process: `node --no-node-snapshot isolates.mjs PORT`.
import ivm from 'isolated-vm';
import { serve } from './served.mjs';

const contexts = new Map();

serve(async (code, session) => {
  if (!contexts.has(session)) contexts.set(session, await new ivm.Isolate({ memoryLimit: 128 }).createContext());
  return JSON.stringify(await contexts.get(session).eval(code, { timeout: 30_000, copy: true }));
});

// A context of Node.js's own `vm` for each session, all in one process: `node contexts.mjs PORT`.
import vm from 'node:vm';
import { serve } from './served.mjs';

const contexts = new Map();

serve((code, session) => {
  if (!contexts.has(session)) contexts.set(session, vm.createContext({}));
  return JSON.stringify(vm.runInContext(code, contexts.get(session), { timeout: 30_000 }));
});

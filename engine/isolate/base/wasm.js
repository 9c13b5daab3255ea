// WebAssembly as sessions have it: all of it but what suspends a stack (JSPI). V8 would switch to
// another stack there, whose end the stack guard does not know, and which no snapshot can hold; in
// an isolate like ours it ends the process.
(base) => {
  'use strict';
  for (const name of ['Suspending', 'promising', 'SuspendError']) delete WebAssembly[name];
}

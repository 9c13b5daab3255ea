"""All that touches V8 or a process: binding, isolate, base image, wire, worker, zygote, sandbox."""

#!/bin/sh
# Flags are those of the server; anything else is a program, such as mcp-v8 or bash, and is run as it is.
set -eu
case "${1:-}" in
"" | -*) exec mcp-v8 "$@" ;;
*) exec "$@" ;;
esac

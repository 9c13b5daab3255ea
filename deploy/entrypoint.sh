#!/bin/sh
# Flags are those of the server; anything else is a program, such as mcp-v8 or bash, and is run as it is.
set -eu
case ${1:--} in
-*) exec mcp-v8 "$@" ;;
esac
if ! command -v -- "$1" >/dev/null; then
  echo "mcp-v8: there is no program '$1' in this image; a command of mcp-v8 follows its name: mcp-v8 $*" >&2
  exit 127
fi
exec "$@"

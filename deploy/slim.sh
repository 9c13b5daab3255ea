#!/bin/sh
# Leave out of /usr/local what a server never uses, then compile all that is left. Run once, in the Dockerfile.
set -eu
python=$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
packages=$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

# What builds and installs: pip, headers, static libraries, and the commands that come with dependencies.
python3 -m pip uninstall --quiet --yes --root-user-action=ignore pip
rm -rf /usr/local/include /usr/local/share/man /usr/local/lib/pkgconfig "$python"/config-* "$python"/ensurepip
find /usr/local/bin -mindepth 1 ! -name 'python3*' ! -name mcp-v8 -delete
rm -f /usr/local/bin/*-config
find /usr/local \( -name '*.a' -o -name '*.h' \) -delete

# Python's own: its tests, its editor, windows (there is no Tk), what only modules in C for tests need.
for name in test idlelib tkinter turtledemo turtle.py pydoc_data; do
  rm -rf "${python:?}/$name"
done
rm -f "$python"/lib-dynload/_test*.so "$python"/lib-dynload/_xxtest*.so "$python"/lib-dynload/_ctypes_test*.so \
  "$python"/lib-dynload/xx*.so "$python"/lib-dynload/_tkinter*.so

# AWS: of 400 services only S3, and those that credentials come from (roles, single sign-on).
find "$packages/botocore/data" -mindepth 1 -maxdepth 1 -type d \
  ! -name s3 ! -name sts ! -name sso ! -name sso-oidc ! -name signin -exec rm -r {} +
find "$packages/boto3/data" -mindepth 1 -maxdepth 1 -type d ! -name s3 -exec rm -r {} +
rm -rf "$packages/boto3/examples"

# Colours are for JavaScript alone, of 500 languages.
find "$packages/pygments/lexers" -name '*.py' ! -name __init__.py ! -name _mapping.py ! -name javascript.py -delete

# Tests and type stubs of packages, symbols for debuggers; V8's library stays byte for byte, its hash names the engine.
find "$packages" -depth -type d \( -name tests -o -name test -o -name _tests \) -exec rm -r {} +
find "$packages" -name '*.pyi' -delete
find /usr/local -name '*.so*' -type f ! -name libmini_racer.so -exec strip --strip-unneeded {} +

# Nobody can write bytecode at run time, and no source changes there: what is compiled here is right for good, so
# that Python need not look at the source's time (and the layer is the same whenever it is made).
find /usr/local -depth -type d -name __pycache__ -exec rm -r {} +
python3 -B -m compileall -q -j 0 --invalidation-mode unchecked-hash "$python"

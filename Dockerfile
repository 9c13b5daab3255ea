# The image of mcp-v8: Debian, Python and the program; nothing to build or to install with.
ARG PYTHON=python:3.13-slim-bookworm
ARG DEBIAN=debian:bookworm-slim

# Python with the program and what it depends on, all of it in /usr/local.
FROM ${PYTHON} AS build
WORKDIR /src
# The newest of the release, here and below: with Debian's security fixes, and a pinned version is soon not to be had.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends binutils
COPY deploy/requirements.lock deploy/
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --root-user-action=ignore --no-compile --require-hashes -r deploy/requirements.lock
COPY . .
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --root-user-action=ignore --no-compile --no-deps . && pip check
RUN deploy/slim.sh

FROM ${DEBIAN}
# The libraries that Python is linked to.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
    ca-certificates libbz2-1.0 libexpat1 libffi8 liblzma5 libncursesw6 libreadline8 libsqlite3-0 libssl3 libuuid1 zlib1g \
 && apt-get clean && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log

# Folders that a volume takes its owner from: the store, what can be made again, what was read from S3. The group is
# that of a user whom a platform picks at random (OpenShift).
RUN useradd --uid 1000 --create-home mcpuser \
 && install -d -o mcpuser -g root -m 775 /tmp/mcp-v8-heaps /tmp/mcp-v8-cache /var/cache/mcp-v8

COPY --from=build /usr/local /usr/local
COPY deploy/entrypoint.sh /usr/local/bin/entrypoint
RUN ldconfig

# Whoever publishes the port decides who can reach it; a port that is chosen by a flag wins over PORT. The folders are
# those of a service of systemd: defaults, so that a variable is enough to choose another store.
ENV STATE_DIRECTORY=/tmp/mcp-v8-heaps \
    CACHE_DIRECTORY=/var/cache/mcp-v8 \
    MCP_V8_BIND_HOST=0.0.0.0 \
    MCP_V8_ALLOWED_HOSTS=* \
    PORT=8080 \
    LANG=C.UTF-8
# By number, so that a platform that allows no root sees that this is not root.
USER 1000
# V8 with the program's own JavaScript in it, made once and not at each start, and that V8 is as it should be. What the
# builder cannot check, as in an emulator, it says; then the first start checks it.
RUN mcp-v8 selftest --sandbox off || echo "the self-test is left to the first start"
EXPOSE 8080 8081
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["mcp-v8", "healthcheck"]
ENTRYPOINT ["entrypoint"]

ARG VERSION=0.1.0
ARG REVISION
ARG CREATED
LABEL org.opencontainers.image.title="mcp-v8" \
      org.opencontainers.image.description="Durable JavaScript sessions for AI agents: sandboxed V8 that remembers, survives crashes and can be replayed" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"

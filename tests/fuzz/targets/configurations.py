"""Settings: flags, variables and a file."""

from __future__ import annotations

import tempfile
from typing import Final

import click

from cli.choices import ConfigError, choose
from cli.config import settings
from cli.options import SETTINGS, SettingsCommand
from fuzz import jsons
from fuzz.data import Data
from persistence.place import Directory

_COMMAND: Final = SettingsCommand("serve")
_VALUES: Final = (
    "1",
    "0",
    "-1",
    "64",
    "1.5",
    "true",
    "false",
    '"info"',
    '"json"',
    '"dir"',
    '"none"',
    '"localhost"',
    '"~/x"',
    '""',
    "nan",
    "inf",
    "1e400",
    "9" * 5_000,
    '"\\u0000"',
    '"~nobody/x"',
    "1979-05-27",
    "[]",
    "{}",
    "0x10",
    "1_000",
    "2021-02-30",
)


def configurations(raw: bytes) -> None:
    """What an operator wrote is settings, or one sentence that says what is wrong."""
    data = Data(raw)
    arguments: list[str] = []
    with tempfile.NamedTemporaryFile(suffix=data.choose((".toml", ".json", ".conf")), dir="/dev/shm") as file:
        if data.byte() % 8:
            file.write(_file(data, json=file.name.endswith(".json")))
            file.flush()
            arguments += ["--config", file.name]
        for _ in range(data.byte() % 3):
            name = data.choose(tuple(SETTINGS.values())).opts[0] if data.byte() % 8 else data.text()[:50]
            arguments += [name, data.choose(_VALUES).strip('"') if data.byte() % 2 else data.text()[:50]]
        environ = {"PORT": data.text()[:50], "RUST_LOG": data.text()[:50]} if data.byte() % 4 == 0 else {}
        try:
            with _COMMAND.make_context("mcp-v8", arguments) as ctx:
                choices, _ = choose(ctx, environ)
                chosen = settings(choices)
        except (click.ClickException, ConfigError, click.exceptions.Exit):
            return
    assert chosen.policy.default.time_ms >= 1
    assert not isinstance(chosen.store, Directory) or chosen.store.path.is_absolute()
    assert "\0" not in str(chosen.store)


def _file(data: Data, *, json: bool) -> bytes:
    if data.rarely():
        return data.octets()
    lines = []
    for _ in range(data.byte() % 6):
        name = data.choose(tuple(SETTINGS)) if data.byte() % 8 else data.text()[:50]
        match data.byte() % 4:
            case 0 | 1:
                text = data.choose(_VALUES)
            case 2:
                text = str(data.integer())
            case _:
                text = jsons.text(data)[:20_000]
        lines.append(f'"{name}":{text}' if json else f"{name} = {text}")
    return ("{" + ",".join(lines) + "}" if json else "\n".join(lines)).encode(errors="replace")

"""Settings: who goes before whom, what is refused and how, and what ``mcp-v8 config`` tells of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli import environment, rustlog
from cli.main import main
from cli.options import GROUPS, SETTINGS, variable
from engine.limits import LimitPolicy, Limits


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PORT", "RUST_LOG", "STATE_DIRECTORY", *map(variable, SETTINGS)):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


def invoke(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(main, ["config", *arguments], env=environ)


def settings(*arguments: str, **environ: str) -> dict[str, tuple[Any, str]]:
    """Value and origin of every setting."""
    ended = invoke("--json", *arguments, **environ)
    assert ended.exit_code == 0, ended.output
    return {name: (told["value"], told["from"]) for name, told in json.loads(ended.stdout).items()}


def refusal(*arguments: str, **environ: str) -> str:
    """The sentence that refuses, after the usage; it is on stderr and the status is 2."""
    ended = invoke(*arguments, **environ)
    assert (ended.exit_code, ended.stdout) == (2, "")
    return ended.stderr.split("Error: ", 1)[1].strip()


def test_a_flag_goes_before_a_variable_before_a_file_before_a_default() -> None:
    Path("c.toml").write_text("max-queue = 1\nmax_timers = 2\nmax-executions = 3\n")
    found = settings("--config", "c.toml", "--max-queue", "10", MCP_V8_MAX_QUEUE="20", MCP_V8_MAX_TIMERS="30")
    assert found["max_queue"] == (10, "--max-queue")
    assert found["max_timers"] == (30, "MCP_V8_MAX_TIMERS")
    assert found["max_executions"] == (3, "max_executions in c.toml")
    assert found["max_code_bytes"] == (1 << 20, "default")


def test_the_file_can_be_json_and_be_named_by_a_variable() -> None:
    Path("c.json").write_text('{"execution_timeout": 2.5, "exec-async": true, "log-level": "debug"}')
    found = settings(MCP_V8_CONFIG="c.json")
    assert found["execution_timeout"] == (2.5, "execution_timeout in c.json")
    assert found["exec_async"] == (True, "exec_async in c.json")
    assert found["log_level"] == ("debug", "log_level in c.json")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("max-queu = 1", "c.toml: there is no setting 'max-queu'; did you mean 'max_queue'?"),
        ("config = 'd.toml'", "c.toml: there is no setting 'config'"),
        ("max-queue = '1'", "c.toml: 'max-queue' must be a whole number, not '1'"),
        ("max-queue = true", "c.toml: 'max-queue' must be a whole number, not True"),
        ("max-queue = 1.5", "c.toml: 'max-queue' must be a whole number, not 1.5"),
        ("max-queue = 0", "c.toml: 'max-queue': 0 is not in the range 1<=x<=10000."),
        ("execution-timeout = '5'", "c.toml: 'execution-timeout' must be a number, not '5'"),
        ("execution-timeout = nan", "c.toml: 'execution-timeout': nan is no number of seconds"),
        ("stateless = 'yes'", "c.toml: 'stateless' must be true or false, not 'yes'"),
        ("pin-cpus = 1", "c.toml: 'pin-cpus' must be true or false, not 1"),
        ("bind-host = 1", "c.toml: 'bind-host' must be a text, not 1"),
        ("directory-path = ''", "c.toml: 'directory-path': the path is empty"),
        ('directory-path = "a\\u0000b"', "c.toml: 'directory-path': the path holds a NUL character"),
        ("log-level = 'loud'", "c.toml: 'log-level': 'loud' is not one of"),
        ("max-queue = 1\nmax_queue = 2", "c.toml: 'max_queue' is there twice"),
        ("max-queue = ", "c.toml is not TOML: "),
        (f"max-queue = {'9' * 5_000}", "c.toml is not TOML: "),
        (f"idle-seconds = {'9' * 400}", "c.toml: 'idle-seconds' is too large a number"),
        (f"max-queue = 0x{'f' * 5_000}", "c.toml: 'max-queue' is too large a number"),
        (f"bind-host = [0x{'f' * 5_000}]", "c.toml: 'bind-host' is too large a number"),
        ("[serve]\nmax-queue = 1", "c.toml: there is no setting 'serve'"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_file_and_key(text: str, told: str) -> None:
    Path("c.toml").write_text(text)
    assert refusal("--config", "c.toml").startswith(told)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"[1]", "c.json: settings are an object of names and values"),
        (b"{", "c.json is not JSON: "),
        (b'{"bind-host": "\xff"}', "c.json is not JSON: "),
        (b"[" * 100_000, "c.json is not JSON: "),
        (b" " * 2_000_000, "c.json has more than 1048576 bytes"),
    ],
)
def test_a_file_that_is_none_is_told(data: bytes, told: str) -> None:
    Path("c.json").write_bytes(data)
    assert refusal("--config", "c.json").startswith(told)


def test_a_file_that_is_not_there_is_told() -> None:
    assert "'none.toml' does not exist" in refusal("--config", "none.toml")


@pytest.mark.parametrize(
    "arguments", [("--stateless",), ("--heap-store", "none"), ("--stateless", "--heap-store", "none")]
)
def test_a_server_without_store_can_be_asked_for_by_two_names(arguments: tuple[str, ...]) -> None:
    found = settings(*arguments)
    assert found["stateless"] == (True, found["stateless"][1])
    assert found["stateless"][1] in arguments
    assert found["directory_path"][0] is None


@pytest.mark.parametrize("flag", ["--directory-path", "--heap-dir"])
def test_a_directory_can_be_given_by_two_names(flag: str, tmp_path: Path) -> None:
    assert settings(flag, "kept")["directory_path"] == (str(tmp_path / "kept"), flag)
    both = settings("--directory-path", "kept", "--heap-dir", "kept", "--heap-store", "dir")
    assert both["directory_path"][0] == str(tmp_path / "kept")


def test_how_executions_without_sessions_are_kept_apart_is_a_setting_like_others() -> None:
    variable = {"MCP_V8_STATELESS_ISOLATION": "context"}
    Path("c.toml").write_text("stateless = true\nstateless-isolation = 'context'")
    assert settings("--stateless")["stateless_isolation"] == ("process", "default")
    chosen = settings("--stateless", "--stateless-isolation", "context")
    assert chosen["stateless_isolation"] == ("context", "--stateless-isolation")
    by_variable = settings("--stateless", **variable)["stateless_isolation"]
    assert by_variable == ("context", "MCP_V8_STATELESS_ISOLATION")
    assert settings("--config", "c.toml")["stateless_isolation"][0] == "context"
    # what a later place says of an execution without sessions is passed over together with these
    assert settings("--heap-dir", "d", **variable)["stateless_isolation"] == ("process", "default")
    assert "MCP_V8_STATELESS_ISOLATION is for executions without sessions" in refusal(**variable)


def test_what_is_said_about_the_store_at_the_first_place_decides(tmp_path: Path) -> None:
    Path("c.toml").write_text("stateless = true")
    variable = {"MCP_V8_HEAP_DIR": "from-variable"}
    assert settings("--stateless", **variable)["directory_path"] == (None, "--stateless")
    directory = (str(tmp_path / "from-variable"), "MCP_V8_HEAP_DIR")
    assert settings("--config", "c.toml", **variable)["directory_path"] == directory
    assert settings("--heap-dir", "d", MCP_V8_DIRECTORY_PATH="e")["directory_path"][1] == "--heap-dir"
    default = (str(tmp_path / "state" / "mcp-v8"), "default")
    assert settings("--heap-store", "dir", MCP_V8_STATELESS="1")["directory_path"] == default


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("--stateless", "--directory-path", "d"),
            "--stateless keeps nothing, so --directory-path cannot be given with it",
        ),
        (
            ("--stateless", "--heap-dir", "d"),
            "--stateless keeps nothing, so --heap-dir cannot be given with it",
        ),
        (
            ("--stateless", "--heap-store", "dir"),
            "--stateless keeps nothing, so --heap-store cannot be given with it",
        ),
        (
            ("--heap-store", "none", "--heap-dir", "d"),
            "--heap-store keeps nothing, so --heap-dir cannot be given with it",
        ),
        (
            ("--heap-dir", "d", "--directory-path", "e"),
            "--directory-path and --heap-dir are two names of one setting: give one, not e and d",
        ),
        (
            ("--max-workers", "2", "--max-concurrent-executions", "3"),
            "--max-workers and --max-concurrent-executions are two names of one setting: give one, not 2 and 3",
        ),
        (
            ("--s3-bucket", "sessions", "--directory-path", "d"),
            "--s3-bucket keeps sessions in a bucket, so --directory-path cannot be given with it",
        ),
        (
            ("--heap-store", "s3", "--heap-dir", "d"),
            "--heap-store keeps sessions in a bucket, so --heap-dir cannot be given with it",
        ),
        (
            ("--s3-bucket", "sessions", "--heap-store", "dir"),
            "--s3-bucket keeps sessions in a bucket, so --heap-store cannot be given with it",
        ),
        (
            ("--stateless", "--s3-bucket", "sessions"),
            "--stateless keeps nothing, so --s3-bucket cannot be given with it",
        ),
        (("--heap-store", "s3"), "--heap-store s3 needs a bucket: give --s3-bucket"),
        (("--cache-dir", "d"), "--cache-dir is for a store in S3: give --s3-bucket, too"),
        (("--s3-prefix", "p"), "--s3-prefix is for a store in S3: give --s3-bucket, too"),
        (
            ("--stateless", "--s3-encryption", "AES256"),
            "--s3-encryption is for a store in S3: give --s3-bucket, too",
        ),
        *(
            (
                ("--stateless-isolation", isolation),
                "--stateless-isolation is for executions without sessions: give --stateless, too",
            )
            for isolation in ("process", "context")
        ),
        (
            ("--s3-bucket", "s3://b/p"),
            "'s3://b/p' is no name of a bucket: give the name alone, without s3:// or a path",
        ),
        (
            ("--s3-bucket", "sessions", "--s3-kms-key", "k"),
            "a KMS key is for the encryption aws:kms: choose that too",
        ),
        (
            ("--execution-timeout", "400"),
            "--execution-timeout 400 is over --max-execution-timeout 300",
        ),
        (
            ("--heap-memory", "200", "--heap-memory-max", "100"),
            "--heap-memory 200 is over --heap-memory-max 100",
        ),
    ],
)
def test_contradictions_are_one_sentence_that_names_both(arguments: tuple[str, ...], told: str) -> None:
    assert refusal(*arguments) == told


def test_contradictions_of_variables_name_the_variables() -> None:
    told = refusal(MCP_V8_STATELESS="1", MCP_V8_HEAP_DIR="d")
    assert told == "MCP_V8_STATELESS keeps nothing, so MCP_V8_HEAP_DIR cannot be given with it"


def test_a_wrong_value_of_a_variable_names_the_variable() -> None:
    told = refusal(MCP_V8_MAX_QUEUE="0")
    assert told == "Invalid value for the variable MCP_V8_MAX_QUEUE: 0 is not in the range 1<=x<=10000."


def test_a_word_that_is_no_number_is_told_in_plain_words() -> None:
    told = refusal("--max-queue", "many")
    assert told == "Invalid value for '--max-queue': 'many' is not a valid whole number."
    told = refusal("--drain-seconds", "soon")
    assert told == "Invalid value for '--drain-seconds': 'soon' is not a valid number of seconds."


def test_a_directory_may_be_below_the_home(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('directory-path = "~/store"')
    assert settings("--config", str(file))["directory_path"][0] == str(Path.home() / "store")


def test_a_word_that_is_no_command_is_named() -> None:
    ended = CliRunner().invoke(main, ["cofnig"])
    assert ended.exit_code == 2
    assert "No such command 'cofnig'" in ended.stderr


def test_peers_are_led_to_etcd() -> None:
    told = refusal("--peers", "a:1,b:1")
    assert "no --peers" in told
    assert "--cluster-etcd" in told
    assert "--peers" not in CliRunner().invoke(main, ["--help"]).output


def test_names_of_other_versions_mean_the_same() -> None:
    assert settings("--max-concurrent-executions", "7")["max_workers"] == (7, "--max-concurrent-executions")


def test_a_lower_maximum_lowers_a_default_that_nobody_chose() -> None:
    found = settings("--heap-memory-max", "64", "--max-execution-timeout", "5")
    assert found["heap_memory"] == (64, "--heap-memory-max")
    assert found["execution_timeout"] == (5, "--max-execution-timeout")


def test_port_is_asked_last() -> None:
    Path("c.toml").write_text("http-port = 1")
    assert settings(PORT="2")["http_port"] == (2, "PORT")
    assert settings("--config", "c.toml", PORT="2")["http_port"][0] == 1


@pytest.mark.parametrize(
    ("filters", "level", "unknown"),
    [
        ("", None, []),
        ("info", "info", []),
        ("TRACE", "debug", []),
        ("warn", "warning", []),
        ("off", "error", []),
        ("mcp_v8=debug,hyper=info", "debug", ["hyper=info"]),
        ("mcp_v8=error,debug", "error", []),
        ("mcp_v8", "debug", []),
        ("hyper=info", None, ["hyper=info"]),
        ("mcp_v8=loud", None, ["mcp_v8=loud"]),
        ("mcp_v8[span{x=1}]=info , error", "error", ["mcp_v8[span{x=1}]=info"]),
    ],
)
def test_rust_log_is_read_as_far_as_it_is_about_this_program(
    filters: str, level: str | None, unknown: list[str]
) -> None:
    assert rustlog.level(filters) == (level, unknown)


def test_rust_log_sets_the_level_unless_a_flag_or_variable_does() -> None:
    Path("c.toml").write_text("log-level = 'error'")
    assert settings("--config", "c.toml", RUST_LOG="warn")["log_level"] == ("warning", "RUST_LOG")
    assert settings(RUST_LOG="debug", MCP_V8_LOG_LEVEL="info")["log_level"][0] == "info"
    assert settings("--log-level", "error", RUST_LOG="debug")["log_level"][0] == "error"
    ended = invoke(RUST_LOG="mcp_v8=debug,hyper=info")
    assert ended.stderr == "mcp-v8: RUST_LOG: 'hyper=info' means nothing to this program\n"


def test_the_table_has_a_line_for_each_setting_and_no_control_characters() -> None:
    ended = invoke("--bind-host", "evil\x1b[2J\nmax_queue  1  forged")
    lines = ended.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["setting", *settings()]
    assert all(line.isprintable() for line in lines)
    assert "--bind-host" in next(line for line in lines if line.startswith("bind_host"))


def test_the_defaults_of_the_limits_are_the_engine_s() -> None:
    found = {name: value for name, (value, _) in settings().items()}
    policy = LimitPolicy()
    assert (
        Limits(
            time_ms=round(found["execution_timeout"] * 1000),
            heap_mb=found["heap_memory"],
            offheap_mb=found["max_offheap_memory"],
            console_bytes=found["max_console_bytes"],
            result_chars=found["max_result_chars"],
            timers=found["max_timers"],
            clock_reads=found["max_clock_reads"],
            cpu_ms=round(found["max_cpu_seconds"] * 1000),
        )
        == policy.default
    )
    assert (found["max_code_bytes"], found["max_input_chars"], found["max_queue"]) == (
        policy.max_code_bytes,
        policy.max_input_bytes,
        policy.max_queue,
    )
    assert (found["heap_memory_max"], found["max_session_events"]) == (
        policy.max_heap_mb,
        policy.max_session_events,
    )


def test_help_fits_80_columns_and_shows_each_setting_once() -> None:
    told = CliRunner().invoke(main, ["--help"], env={"COLUMNS": "200"}).output
    assert max(map(len, told.splitlines())) <= 80
    for title, options in GROUPS.items():
        assert f"\n{title}:\n" in told
        for option in options:
            assert told.count(f"\n  {option.opts[0]} ") == (0 if option.hidden else 1), option.opts[0]
    assert "Examples:" in told


def test_a_bucket_that_a_flag_names_goes_before_a_directory_that_a_variable_names() -> None:
    found = settings("--s3-bucket", "sessions", MCP_V8_DIRECTORY_PATH="d", MCP_V8_CACHE_DIR="c")
    assert found["s3_bucket"] == ("sessions", "--s3-bucket")
    assert found["directory_path"] == (None, "--s3-bucket")
    assert found["cache_dir"] == (str(Path.cwd() / "c"), "MCP_V8_CACHE_DIR")


def test_what_variables_say_of_a_bucket_is_passed_over_with_it() -> None:
    bucket = {"MCP_V8_S3_BUCKET": "sessions", "MCP_V8_S3_PREFIX": "p", "MCP_V8_CACHE_DIR": "c"}
    assert settings("--directory-path", "d", **bucket)["s3_bucket"] == (None, "--directory-path")
    assert settings("--stateless", **bucket)["directory_path"] == (None, "--stateless")
    Path("c.toml").write_text("cache-dir = 'c'")
    assert refusal("--config", "c.toml") == "cache_dir in c.toml is for a store in S3: give --s3-bucket, too"
    assert settings("--config", "c.toml", "--stateless")["stateless"] == (True, "--stateless")


def test_a_key_may_be_given_for_each_encryption_that_has_one() -> None:
    for encryption in ("aws:kms", "aws:kms:dsse"):
        found = settings(
            "--s3-bucket", "sessions", "--s3-encryption", encryption, "--s3-kms-key", "alias/mine"
        )
        assert found["s3_kms_key"] == ("alias/mine", "--s3-kms-key")


def test_credentials_are_no_settings_and_are_not_shown() -> None:
    secret = "Secret/that/nobody/may/ever/see"
    ended = invoke(
        "--s3-bucket",
        "sessions",
        AWS_ACCESS_KEY_ID="AKIATESTS",
        AWS_SECRET_ACCESS_KEY=secret,
        MCP_V8_S3_PREFIX="p",
    )
    assert ended.exit_code == 0
    assert "s3_bucket" in ended.stdout
    assert secret not in ended.output
    assert "AKIATESTS" not in ended.output


def test_a_service_of_systemd_has_its_store_where_that_says() -> None:
    def default(directory: str) -> tuple[str, str]:
        found: tuple[str, str] = settings(STATE_DIRECTORY=directory)["directory_path"]
        return found

    assert default("/var/lib/mcp-v8") == ("/var/lib/mcp-v8", "default")
    assert default("/var/lib/one:/var/lib/two") == ("/var/lib/one", "default")
    assert default("relative") == default("") == settings()["directory_path"]
    assert environment.cache_directory({"CACHE_DIRECTORY": "/var/cache/a"}) == Path("/var/cache/a")
    assert environment.cache_directory({"XDG_CACHE_HOME": "/var/cache"}) == Path("/var/cache/mcp-v8")


def test_in_the_image_one_variable_chooses_another_store() -> None:
    image = {"STATE_DIRECTORY": "/tmp/mcp-v8-heaps", "PORT": "8080"}
    assert settings(**image)["directory_path"] == ("/tmp/mcp-v8-heaps", "default")
    assert settings(**image, MCP_V8_STATELESS="1")["directory_path"] == (None, "MCP_V8_STATELESS")
    assert settings(**image, MCP_V8_S3_BUCKET="sessions")["directory_path"] == (None, "MCP_V8_S3_BUCKET")


def test_a_flag_goes_before_what_a_container_sets() -> None:
    image = {"MCP_V8_DIRECTORY_PATH": "/tmp/mcp-v8-heaps", "PORT": "8080"}
    assert settings("--stateless", **image)["directory_path"] == (None, "--stateless")
    assert settings("--stateless", **image)["http_port"] == (8080, "PORT")
    sse = settings("--sse-port", "8081", **image)
    assert (sse["sse_port"], sse["http_port"][0]) == ((8081, "--sse-port"), None)
    stdio = settings("--stdio", **image)
    assert (stdio["stdio"], stdio["http_port"][0]) == ((True, "--stdio"), None)
    assert settings(**{**image, "PORT": ""})["http_port"] == (None, "default")


def test_the_number_of_workers_is_told_with_the_memory_that_it_is_from() -> None:
    workers, origin = settings()["max_workers"]
    assert workers >= 4
    assert re.fullmatch(r"default, by memory of [0-9]+ MB", origin)

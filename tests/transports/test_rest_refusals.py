"""What bad requests get: 4xx with ``{error, code, field}``, and nothing has run."""

from __future__ import annotations

import json

import httpx2
import pytest
import trio
from in_process import UPGRADE, response
from server_process import ServerProcess

JSON = {"content-type": "application/json"}


def refused(response: httpx2.Response, status: int, code: str, field: str | None = None) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert list(body) == ["error", "code", "field"]
    assert (body["code"], body["field"]) == (code, field)
    assert len(body["error"]) < 500
    sentence = body["error"]
    assert isinstance(sentence, str)
    return sentence


@pytest.mark.parametrize("number", ["1e999", "-1E+400", '[1, {"a": 1e309}]', "1" + "0" * 309])
def test_an_input_that_javascript_would_read_as_infinity_is_a_400(client: httpx2.Client, number: str) -> None:
    body = b'{"code": "1", "input": %s}' % number.encode()
    response = client.post("/api/exec", content=body, headers=JSON)
    assert "which JavaScript cannot hold: send it as a string" in refused(
        response, 400, "invalid_field", "input"
    )


@pytest.mark.parametrize("text", ['"1e999"', "1e308", "0.1e-999", '{"1e999": [1e+100]}'])
def test_what_only_looks_like_such_a_number_is_taken(client: httpx2.Client, text: str) -> None:
    body = b'{"code": "JSON.stringify(input)", "input": %s}' % text.encode()
    assert client.post("/api/exec", content=body, headers=JSON).status_code == 200


MALFORMED = {
    "empty": b"",
    "cut off": b'{"code": "1',
    "trailing": b'{"code": "1"} x',
    "NaN": b'{"code": "1", "input": NaN}',
    "Infinity": b'{"code": "1", "input": -Infinity}',
    "not UTF-8": b'{"code": "\xff"}',
    "a lone surrogate in code": rb'{"code": "\ud800"}',
    "a lone surrogate in input": rb'{"code": "1", "input": ["\udfff"]}',
    "a raw control character": b'{"code": "\x01"}',
    "an array": b'[{"code": "1"}]',
    "a string": b'"1 + 2"',
    "null": b"null",
    "nested 100,000 deep": b'{"code": "1", "input": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "input that is not UTF-8": b'{"code": "1", "input": ["\xff"]}',
    "input that is no JSON": b'{"code": "1", "input": [01]}',
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_body_that_is_no_json_object_is_a_400(client: httpx2.Client, body: bytes) -> None:
    response = client.post("/api/exec", content=body, headers=JSON)
    refused(response, 400, "invalid_field", response.json()["field"])


WRONG_FIELDS: list[tuple[dict[str, object], str]] = [
    ({}, "code"),
    ({"code": None}, "code"),
    ({"code": 1}, "code"),
    ({"code": ["1"]}, "code"),
    ({"code": True}, "code"),
    ({"code": "1", "session": 7}, "session"),
    ({"code": "1", "session": ""}, "session"),
    ({"code": "1", "session": "a b"}, "session"),
    ({"code": "1", "session": "a/../b"}, "session"),
    ({"code": "1", "session": "é"}, "session"),
    ({"code": "1", "session": "a\n"}, "session"),
    ({"code": "1", "session": "a" * 129}, "session"),
    ({"code": "1", "session": "a@"}, "session"),
    ({"code": "1", "session": "a@-1"}, "session"),
    ({"code": "1", "session": "a@1.5"}, "session"),
    ({"code": "1", "session": "a@" + "9" * 30}, "session"),
    ({"code": "1", "session": "a@\u0661"}, "session"),
    ({"code": "1", "heap": "0" * 63}, "heap"),
    ({"code": "1", "heap": "g" * 64}, "heap"),
    ({"code": "1", "heap": "../" + "0" * 61}, "heap"),
    ({"code": "1", "heap": 0}, "heap"),
    ({"code": "1", "execution_timeout_secs": True}, "execution_timeout_secs"),
    ({"code": "1", "execution_timeout_secs": "5"}, "execution_timeout_secs"),
    ({"code": "1", "execution_timeout_secs": 0}, "execution_timeout_secs"),
    ({"code": "1", "execution_timeout_secs": -1}, "execution_timeout_secs"),
    ({"code": "1", "heap_memory_max_mb": False}, "heap_memory_max_mb"),
    ({"code": "1", "heap_memory_max_mb": 64.5}, "heap_memory_max_mb"),
    ({"code": "1", "heap_memory_max_mb": 0}, "heap_memory_max_mb"),
    ({"code": "1", "heap_memory_max_mb": {}}, "heap_memory_max_mb"),
    ({"code": "1", "idempotency_key": ""}, "idempotency_key"),
    ({"code": "1", "idempotency_key": "k" * 256}, "idempotency_key"),
    ({"code": "1", "idempotency_key": "é"}, "idempotency_key"),
    ({"code": "1", "sesion": "a"}, "sesion"),
    ({"code": "1", "x" * 1000: 1}, "x" * 64),
]


@pytest.mark.parametrize(("fields", "field"), WRONG_FIELDS)
def test_a_wrong_field_is_a_400_that_names_it(
    client: httpx2.Client, fields: dict[str, object], field: str
) -> None:
    refused(client.post("/api/exec", json=fields), 400, "invalid_field", field)


def test_numbers_above_the_maximum_are_clamped_and_not_refused(client: httpx2.Client) -> None:
    for huge in (10**30, 1e300, 4_000_000_000):
        fields = {"code": "1", "execution_timeout_secs": huge, "heap_memory_max_mb": huge}
        assert client.post("/api/exec", json=fields).json()["status"] == "completed"


def test_an_unknown_field_is_answered_with_the_known_ones(client: httpx2.Client) -> None:
    sentence = refused(
        client.post("/api/exec", json={"code": "1", "timeout": 5}), 400, "invalid_field", "timeout"
    )
    assert "execution_timeout_secs" in sentence


def test_an_unknown_query_parameter_is_a_400(client: httpx2.Client) -> None:
    response = client.post("/api/exec?sesion=a", content="1", headers={"content-type": "text/plain"})
    refused(response, 400, "invalid_field", "sesion")


@pytest.mark.parametrize("query", ["session=a&session=b", "session=a&session=a"])
def test_a_query_parameter_that_is_repeated_is_a_400(client: httpx2.Client, query: str) -> None:
    response = client.post(f"/api/exec?{query}", content="1", headers={"content-type": "text/plain"})
    refused(response, 400, "invalid_field", "session")


@pytest.mark.parametrize("text", ["x", "true", "nan", "inf", "1e999", "[1]", "", "-1"])
def test_a_query_parameter_that_is_no_number_is_a_400(client: httpx2.Client, text: str) -> None:
    response = client.post("/api/exec", params={"execution_timeout_secs": text}, content="1")
    refused(response, 400, "invalid_field", "execution_timeout_secs")


def test_raw_code_must_be_utf_8_and_not_empty(client: httpx2.Client) -> None:
    plain = {"content-type": "text/plain"}
    refused(client.post("/api/exec", content=b"'\xff'", headers=plain), 400, "invalid_field", "code")
    refused(client.post("/api/exec", content=b"", headers=plain), 400, "invalid_field", "code")


def test_two_different_keys_in_header_and_body_are_a_400(client: httpx2.Client) -> None:
    response = client.post(
        "/api/exec", json={"code": "1", "idempotency_key": "a"}, headers={"idempotency-key": "b"}
    )
    refused(response, 400, "invalid_field", "idempotency_key")


def test_code_over_its_limit_is_a_413_that_names_it(client: httpx2.Client) -> None:
    code = "/*" + "é" * (1 << 19) + "*/1"
    refused(client.post("/api/exec", json={"code": code}), 413, "too_large", "code")


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
def test_a_body_over_its_limit_is_a_413_that_arrives(client: httpx2.Client, chunked: bool) -> None:
    body = b"x" * (5 << 20)
    pieces = (body[i : i + 65_536] for i in range(0, len(body), 65_536))
    response = client.post("/api/exec", content=pieces if chunked else body, headers=JSON)
    refused(response, 413, "too_large")


def test_unknown_sessions_states_and_executions_are_404(client: httpx2.Client) -> None:
    unknown = {"code": "1", "session": "s_" + "0" * 16}
    refused(client.post("/api/exec", json=unknown), 404, "not_found", "session")
    refused(client.post("/api/exec", json={"code": "1", "heap": "0" * 64}), 404, "not_found", "heap")
    for path in ("e_" + "0" * 16, "e_1", "x", "e_" + "0" * 15 + "%00", "..%2f..%2fetc"):
        response = client.get(f"/api/executions/{path}")
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
    refused(client.post("/api/executions/e_" + "0" * 16 + "/cancel"), 404, "not_found", "execution_id")


@pytest.mark.parametrize("wait", ["x", "-1", "nan", "true"])
def test_a_wait_that_is_no_number_is_a_400(client: httpx2.Client, wait: str) -> None:
    answer = client.post("/api/exec", json={"code": "1"}).json()
    response = client.get(f"/api/executions/{answer['execution_id']}", params={"wait": wait})
    refused(response, 400, "invalid_field", "wait")


def test_an_unknown_route_is_a_404_in_json(client: httpx2.Client) -> None:
    for path in ("/api", "/api/exec/more", "/docs/", "/static/x", "/%ff"):
        refused(client.get(path), 404, "not_found")


def test_a_path_with_an_empty_part_is_a_404_and_no_redirect(client: httpx2.Client) -> None:
    refused(client.get("/api//sessions"), 404, "not_found")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/api/exec", "POST"), ("/api/sessions", "GET, HEAD"), ("/api/sessions/a", "DELETE, GET, HEAD")],
)
def test_options_is_a_405_at_every_door(client: httpx2.Client, path: str, allowed: str) -> None:
    response = client.options(path)
    refused(response, 405, "method_not_allowed")
    assert response.headers["allow"] == allowed


def test_a_path_beside_the_mcp_endpoint_is_told_where_that_is(client: httpx2.Client) -> None:
    assert "/mcp" in refused(client.post("/mcp/tools", json={}), 404, "not_found").partition(";")[2]


@pytest.mark.parametrize(
    ("name", "value"),
    [("Content-Encoding", "gzip"), ("Content-Type", "multipart/form-data; boundary=x")],
)
def test_a_body_that_would_have_to_be_unpacked_is_a_415(client: httpx2.Client, name: str, value: str) -> None:
    response = client.post("/api/exec", content=b'{"code": "1"}', headers={**JSON, name.lower(): value})
    refused(response, 415, "unsupported_media_type", name)


def test_a_byte_order_mark_is_named(client: httpx2.Client) -> None:
    response = client.post("/api/exec", content=b'\xef\xbb\xbf{"code": "1"}', headers=JSON)
    assert "byte order mark" in refused(response, 400, "invalid_field")


def test_a_wrong_method_is_a_405_in_json_that_says_which_is_right(client: httpx2.Client) -> None:
    response = client.get("/api/exec")
    refused(response, 405, "method_not_allowed")
    assert "POST" in response.headers["allow"]


DISGUISED = ("[::1].evil.example", "[localhost]evil.example:80", "localhost@evil.example", "[localhost]")


def test_a_name_of_somebody_else_is_refused_as_dns_rebinding(client: httpx2.Client) -> None:
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "[::2]:80", *DISGUISED):
        response = client.post("/api/exec", json={"code": "1"}, headers={"host": host})
        refused(response, 421, "host_not_allowed", "Host")
        assert client.post("/mcp", json={}, headers={"host": host}).status_code == 421


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:80", "[::1]:80", "[::1]", "localhost."]
)
def test_loopback_names_are_served_under_any_port(client: httpx2.Client, host: str) -> None:
    assert client.get("/healthz", headers={"host": host}).status_code == 200


def test_a_page_of_another_site_may_not_call(client: httpx2.Client) -> None:
    others = ("http://evil.example", "null", "https://localhost.evil.example", "file://localhost")
    for origin in (*others, *(f"http://{host}" for host in DISGUISED)):
        response = client.post("/api/exec", json={"code": "1"}, headers={"origin": origin})
        refused(response, 403, "origin_not_allowed", "Origin")
    response = client.post("/api/exec", json={"code": "1"}, headers={"origin": "http://localhost:3000"})
    assert response.status_code == 200


def test_of_several_origins_all_must_be_allowed(client: httpx2.Client) -> None:
    ours, other = ("origin", "http://localhost"), ("origin", "http://evil.example")
    for pair in ([ours, other], [other, ours]):
        refused(client.get("/healthz", headers=pair), 403, "origin_not_allowed", "Origin")
    assert client.get("/healthz", headers=[ours, ours]).status_code == 200


@pytest.mark.parametrize("path", ["/", "/healthz", "/api/exec", "/api/executions/e_0000000000000000", "/mcp"])
async def test_a_websocket_is_refused_where_there_is_none(server: ServerProcess, path: str) -> None:
    with trio.fail_after(10):
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
            await stream.send_all(UPGRADE.replace(b"/", path.encode(), 1))
            head, _, body = (await response(stream)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404 ")
    assert json.loads(body)["code"] == "not_found"
    assert "Traceback" not in server.log


def test_the_answer_to_a_request_at_fault_repeats_nothing_at_length(client: httpx2.Client) -> None:
    response = client.post("/api/exec", content=json.dumps({"code": "1", "y" * 100_000: 1}), headers=JSON)
    assert len(response.content) < 1_000


@pytest.mark.parametrize(
    ("method", "path", "sentence"),
    [
        ("GET", "executions?status=done", "`status` must be one of cancelled, completed, crashed, failed, "),
        ("GET", "executions?after=2", "`after` must be `next` of the page before"),
        ("GET", "sessions?after=2", "`after` must be `next` of the page before"),
        ("GET", "executions?session=a%20b", "`session` must be a session's name: 1 to 128 of the characters"),
        ("POST", "sessions/a/fork", "`name` must be a session's name: 1 to 128 of the characters"),
    ],
)
def test_a_value_of_the_wrong_form_is_told_what_it_could_be(
    client: httpx2.Client, method: str, path: str, sentence: str
) -> None:
    answer = client.request(method, f"/api/{path}", json={"name": "a b"} if method == "POST" else None)
    field = sentence.split("`")[1]
    assert refused(answer, 400, "invalid_field", field).startswith(sentence)

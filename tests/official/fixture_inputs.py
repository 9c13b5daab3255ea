"""Tools that need something of the client before they answer, as the revision 2026-07-28 has it.

They answer with the questions; the client calls again with the answers.
"""

from __future__ import annotations

import json
from typing import Any

import mcp_types as types
from fixture_tools import Answer, Context, text, tool

Asked = types.CallToolRequestParams | types.GetPromptRequestParams


def form(message: str, name: str, kind: str = "string") -> types.ElicitRequest:
    """A question to the user with one field."""
    schema: dict[str, Any] = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
    return types.ElicitRequest(params=types.ElicitRequestFormParams(message=message, requested_schema=schema))


def _sample(prompt: str, max_tokens: int) -> types.CreateMessageRequest:
    message = types.SamplingMessage(role="user", content=types.TextContent(text=prompt))
    return types.CreateMessageRequest(
        params=types.CreateMessageRequestParams(messages=[message], max_tokens=max_tokens)
    )


_NAME = form("What is your name?", "name")
_ROOTS = types.ListRootsRequest()


def answered(asked: Asked, name: str, field: str) -> Any:
    """What the user entered; None if that has not come, or is of another form."""
    response = (asked.input_responses or {}).get(name)
    return (response.content or {}).get(field) if isinstance(response, types.ElicitResult) else None


def ask(state: str | None = None, **requests: types.InputRequest) -> types.InputRequiredResult:
    """The answer that asks."""
    return types.InputRequiredResult(input_requests=requests, request_state=state)


@tool("test_input_required_result_elicitation", "Asks for a name.")
async def input_required_result_elicitation(_ctx: Context, params: types.CallToolRequestParams) -> Answer:
    name = answered(params, "user_name", "name")
    return ask(user_name=_NAME) if name is None else text(f"Hello, {name}!")


@tool("test_streaming_elicitation", "Asks for a name, where the client can ask its user.")
async def streaming_elicitation(ctx: Context, params: types.CallToolRequestParams) -> Answer:
    await ctx.session.report_progress(1)
    return await input_required_result_elicitation(ctx, params)


@tool("test_input_required_result_sampling", "Asks the client's model.")
async def input_required_result_sampling(_ctx: Context, params: types.CallToolRequestParams) -> Answer:
    said = (params.input_responses or {}).get("capital_question")
    if not isinstance(said, types.CreateMessageResult) or not isinstance(said.content, types.TextContent):
        return ask(capital_question=_sample("What is the capital of France?", 100))
    return text(said.content.text)


@tool("test_input_required_result_list_roots", "Asks for the client's roots.")
async def input_required_result_list_roots(_ctx: Context, params: types.CallToolRequestParams) -> Answer:
    roots = (params.input_responses or {}).get("client_roots")
    if not isinstance(roots, types.ListRootsResult):
        return ask(client_roots=_ROOTS)
    return text(f"The roots are {', '.join(str(root.uri) for root in roots.roots)}")


async def _confirmed(params: types.CallToolRequestParams) -> Answer:
    """The server seals the state that it gives, and refuses one that was changed."""
    if params.request_state != "first" or answered(params, "confirm", "ok") is None:
        return ask("first", confirm=form("Please confirm", "ok", "boolean"))
    return text("state-ok")


@tool("test_input_required_result_request_state", "Asks, and wants its state back.")
async def input_required_result_request_state(_ctx: Context, params: types.CallToolRequestParams) -> Answer:
    return await _confirmed(params)


@tool("test_input_required_result_tampered_state", "Asks, and wants its state back unchanged.")
async def input_required_result_tampered_state(_ctx: Context, params: types.CallToolRequestParams) -> Answer:
    return await _confirmed(params)


@tool("test_input_required_result_multiple_inputs", "Asks three things at once.")
async def input_required_result_multiple_inputs(_ctx: Context, params: types.CallToolRequestParams) -> Answer:
    wanted: types.InputRequests = {
        "user_name": _NAME,
        "greeting": _sample("Generate a greeting", 50),
        "client_roots": _ROOTS,
    }
    if params.request_state is None or not wanted.keys() <= (params.input_responses or {}).keys():
        return ask("all three", **wanted)
    return text("All three came.")


@tool("test_input_required_result_multi_round", "Asks twice.")
async def input_required_result_multi_round(_ctx: Context, params: types.CallToolRequestParams) -> Answer:
    state = json.loads(params.request_state or "{}")
    if "name" not in state:
        name = answered(params, "step1", "name")
        if name is None:
            return ask("{}", step1=form("Step 1: What is your name?", "name"))
        state["name"] = name
    color = answered(params, "step2", "color")
    if color is None:
        return ask(json.dumps(state), step2=form("Step 2: What is your favorite color?", "color"))
    return text(f"{state['name']} likes {color}.")


@tool("test_input_required_result_capabilities", "Asks for as much as the client can do.")
async def input_required_result_capabilities(ctx: Context, params: types.CallToolRequestParams) -> Answer:
    capabilities = ctx.session.client_capabilities or types.ClientCapabilities()
    wanted: types.InputRequests = {}
    if capabilities.elicitation is not None:
        wanted["user_name"] = _NAME
    if capabilities.sampling is not None:
        wanted["greeting"] = _sample("Generate a greeting", 50)
    if capabilities.roots is not None:
        wanted["client_roots"] = _ROOTS
    if wanted and not wanted.keys() <= (params.input_responses or {}).keys():
        return ask(**wanted)
    return text(f"{len(wanted)} came.")

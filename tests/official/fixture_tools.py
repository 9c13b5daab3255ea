"""Tools that the conformance suite calls: what they answer is what its scenarios look for."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import mcp_types as types
import trio
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import InMemorySubscriptionBus
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import PromptsListChanged, ToolsListChanged

Context = ServerRequestContext[Any, Any]
Answer = types.CallToolResult | types.InputRequiredResult
Handler = Callable[[Context, types.CallToolRequestParams], Awaitable[Answer | dict[str, Any]]]

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
"""One pixel."""
WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQIAAACAgA=="
"""Two samples."""
STEP_SECONDS = 0.05
"""The suite wants to see that notifications come while a tool runs."""

TOOLS: dict[str, tuple[types.Tool, Handler]] = {}
BUS = InMemorySubscriptionBus()


def text(told: str, *, is_error: bool = False) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=told)], is_error=is_error)


def tool(name: str, description: str, schema: dict[str, Any] | None = None) -> Callable[[Handler], Handler]:
    """Make a handler a tool."""

    def register(handler: Handler) -> Handler:
        definition = types.Tool(
            name=name, description=description, input_schema=schema or {"type": "object", "properties": {}}
        )
        TOOLS[name] = (definition, handler)
        return handler

    return register


def _strings(*names: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: {"type": "string"} for name in names},
        "required": [*names],
    }


# Kinds of content


@tool("test_simple_text", "Answers with a text.")
async def simple_text(_ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    return text("This is a simple text response for testing.")


@tool("test_image_content", "Answers with a picture.")
async def image_content(_ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    return types.CallToolResult(content=[types.ImageContent(data=PNG, mime_type="image/png")])


@tool("test_audio_content", "Answers with a sound.")
async def audio_content(_ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    return types.CallToolResult(content=[types.AudioContent(data=WAV, mime_type="audio/wav")])


def _embedded(uri: str, mime_type: str, told: str) -> types.EmbeddedResource:
    return types.EmbeddedResource(
        resource=types.TextResourceContents(uri=uri, mime_type=mime_type, text=told)
    )


@tool("test_embedded_resource", "Answers with a resource.")
async def embedded_resource(_ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    told = "This is an embedded resource content."
    return types.CallToolResult(content=[_embedded("test://embedded-resource", "text/plain", told)])


@tool("test_multiple_content_types", "Answers with a text, a picture and a resource.")
async def multiple_content_types(_ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    told = '{"test":"data","value":123}'
    return types.CallToolResult(
        content=[
            types.TextContent(text="Multiple content types test:"),
            types.ImageContent(data=PNG, mime_type="image/png"),
            _embedded("test://mixed-content-resource", "application/json", told),
        ]
    )


@tool("test_error_handling", "Always fails.")
async def error_handling(_ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    return text("This tool intentionally returns an error for testing", is_error=True)


# What is told while a tool runs


async def _log(ctx: Context, told: str) -> None:
    await ctx.session.send_log_message("info", told, related_request_id=ctx.request_id)


@tool("test_tool_with_logging", "Logs three messages.")
async def tool_with_logging(ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    await _log(ctx, "Tool execution started")
    await trio.sleep(STEP_SECONDS)
    await _log(ctx, "Tool processing data")
    await trio.sleep(STEP_SECONDS)
    await _log(ctx, "Tool execution completed")
    return text("logged")


@tool("test_logging_tool", "Logs one message.")
async def logging_tool(ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    await _log(ctx, "a message")
    return text("logged")


@tool("test_tool_with_progress", "Reports progress three times.")
async def tool_with_progress(ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    for done in (0, 50, 100):
        await ctx.session.report_progress(done, 100, f"{done} of 100")
        await trio.sleep(STEP_SECONDS)
    return text("done")


@tool("test_reconnection", "Ends its stream before its answer, which a client fetches with Last-Event-ID.")
async def reconnection(ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    if ctx.close_sse_stream is not None:
        await trio.sleep(4 * STEP_SECONDS)  # what the SDK has not sent by then is lost
        await ctx.close_sse_stream()
        await trio.sleep(STEP_SECONDS)
    return text("answered after the stream was closed")


@tool("test_trigger_tool_change", "Tells that the list of tools changed.")
async def trigger_tool_change(_ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    await BUS.publish(ToolsListChanged())
    return text("told")


@tool("test_trigger_prompt_change", "Tells that the list of prompts changed.")
async def trigger_prompt_change(_ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    await BUS.publish(PromptsListChanged())
    return text("told")


# What the server asks of the client, before 2026 with requests of its own


@tool("test_sampling", "Asks the client's model.", _strings("prompt"))
async def sampling(ctx: Context, params: types.CallToolRequestParams) -> Answer:
    message = types.SamplingMessage(
        role="user", content=types.TextContent(text=(params.arguments or {})["prompt"])
    )
    said = await ctx.session.create_message([message], max_tokens=100, related_request_id=ctx.request_id)
    assert isinstance(said.content, types.TextContent)
    return text(f"LLM response: {said.content.text}")


async def _ask(ctx: Context, message: str, properties: dict[str, Any], required: list[str]) -> str:
    schema = {"type": "object", "properties": properties, "required": required}
    answer = await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)
    return f"action={answer.action}, content={json.dumps(answer.content)}"


@tool("test_elicitation", "Asks the user.", _strings("message"))
async def elicitation(ctx: Context, params: types.CallToolRequestParams) -> Answer:
    fields = {
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    }
    return text(f"User response: {await _ask(ctx, (params.arguments or {})['message'], fields, [*fields])}")


@tool("test_elicitation_sep1034_defaults", "Asks the user, with defaults.")
async def elicitation_sep1034_defaults(ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    fields = {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    }
    return text(f"Elicitation completed: {await _ask(ctx, 'Who are you?', fields, [])}")


@tool("test_elicitation_sep1330_enums", "Asks the user to choose, in five ways.")
async def elicitation_sep1330_enums(ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    plain = ["option1", "option2", "option3"]
    titled = [
        {"const": f"value{number}", "title": f"{word} Option"}
        for number, word in enumerate(("First", "Second", "Third"), 1)
    ]
    fields = {
        "untitledSingle": {"type": "string", "enum": plain},
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": plain}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled}},
    }
    return text(f"Elicitation completed: {await _ask(ctx, 'Which?', fields, [])}")


@tool("test_missing_capability", "Needs a client that samples.")
async def missing_capability(ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    capabilities = ctx.session.client_capabilities
    if capabilities is None or capabilities.sampling is None:
        missing = types.MissingRequiredClientCapabilityErrorData(
            required_capabilities=types.ClientCapabilities(sampling=types.SamplingCapability())
        )
        raise MCPError(
            types.MISSING_REQUIRED_CLIENT_CAPABILITY,
            "the client must be able to sample",
            missing.model_dump(by_alias=True, exclude_none=True),
        )
    return text("the client samples")


# What is never a task


@tool("greet", "Greets.", _strings("name"))
async def greet(_ctx: Context, params: types.CallToolRequestParams) -> Answer:
    return text(f"Hello, {(params.arguments or {})['name']}!")


# Schemas


@tool(
    "json_schema_2020_12_tool",
    "Has a schema with the vocabulary of JSON Schema 2020-12.",
    {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
            }
        },
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": False,
    },
)
async def json_schema_2020_12_tool(_ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    return text("called")


@tool(
    "test_headers",
    "Has arguments that clients repeat in headers.",
    {
        "type": "object",
        "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "priority": {"type": "integer", "x-mcp-header": "Priority"},
        },
    },
)
async def headers(_ctx: Context, params: types.CallToolRequestParams) -> Answer:
    return text(json.dumps(params.arguments))

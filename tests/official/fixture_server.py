"""The product's command with another MCP server behind its doors: one with what the conformance suite asks for.

    python tests/official/fixture_server.py --http-port 0 …

Every flag is the product's own. So are guard, connections, sessions and streams: only the tools, prompts
and resources are not.
"""

from __future__ import annotations

import json
import re
import warnings
from typing import TYPE_CHECKING, Any

import fixture_inputs
import mcp_types as types
from fixture_tasks import tasks_of
from fixture_tools import BUS, PNG, TOOLS, Answer, Context
from mcp.server.lowlevel import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.subscriptions import ListenHandler
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError

from cli.main import main
from transports.mcp import doors
from transports.settings import HttpSettings

if TYPE_CHECKING:
    from engine.supervisor import Supervisor

NAME = "conformance fixtures"

_TEMPLATE = re.compile(r"test://template/([^/]+)/data")


async def list_tools(_ctx: Context, _params: Any) -> types.ListToolsResult:
    return types.ListToolsResult(tools=[definition for definition, _ in TOOLS.values()])


async def call_tool(ctx: Context, params: types.CallToolRequestParams) -> Answer | dict[str, Any]:
    if params.name not in TOOLS:
        raise MCPError(types.INVALID_PARAMS, f"there is no tool {params.name}")
    return await TOOLS[params.name][1](ctx, params)


# Resources


async def list_resources(_ctx: Context, _params: Any) -> types.ListResourcesResult:
    return types.ListResourcesResult(
        resources=[
            types.Resource(uri=uri, name=name, description=f"It is {name}.", mime_type=mime_type)
            for uri, name, mime_type in (
                ("test://static-text", "a text", "text/plain"),
                ("test://static-binary", "a picture", "image/png"),
                ("test://watched-resource", "a resource to subscribe to", "text/plain"),
            )
        ]
    )


async def list_templates(_ctx: Context, _params: Any) -> types.ListResourceTemplatesResult:
    template = types.ResourceTemplate(
        uri_template="test://template/{id}/data",
        name="a template",
        description="It has its id in it.",
        mime_type="application/json",
    )
    return types.ListResourceTemplatesResult(resource_templates=[template])


async def read_resource(_ctx: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
    uri = params.uri
    content: types.TextResourceContents | types.BlobResourceContents
    if uri == "test://static-text":
        told = "This is the content of the static text resource."
        content = types.TextResourceContents(uri=uri, mime_type="text/plain", text=told)
    elif uri == "test://static-binary":
        content = types.BlobResourceContents(uri=uri, mime_type="image/png", blob=PNG)
    elif uri == "test://watched-resource":
        content = types.TextResourceContents(uri=uri, mime_type="text/plain", text="It never changes.")
    elif match := _TEMPLATE.fullmatch(uri):
        told = json.dumps({"id": match[1], "templateTest": True, "data": f"Data for ID: {match[1]}"})
        content = types.TextResourceContents(uri=uri, mime_type="application/json", text=told)
    else:
        raise MCPError(types.INVALID_PARAMS, "there is no such resource", {"uri": uri})
    return types.ReadResourceResult(contents=[content])


async def accept_subscription(_ctx: Context, _params: Any) -> types.EmptyResult:
    return types.EmptyResult()


# Prompts


def _argument(name: str) -> types.PromptArgument:
    return types.PromptArgument(name=name, description=f"the {name}", required=True)


_PROMPTS = [
    types.Prompt(name="test_simple_prompt", description="A prompt without arguments."),
    types.Prompt(
        name="test_prompt_with_arguments",
        description="A prompt with two arguments.",
        arguments=[_argument("arg1"), _argument("arg2")],
    ),
    types.Prompt(
        name="test_prompt_with_embedded_resource",
        description="A prompt with a resource.",
        arguments=[_argument("resourceUri")],
    ),
    types.Prompt(name="test_prompt_with_image", description="A prompt with a picture."),
    types.Prompt(name="test_input_required_result_prompt", description="A prompt that asks first."),
]


async def list_prompts(_ctx: Context, _params: Any) -> types.ListPromptsResult:
    return types.ListPromptsResult(prompts=_PROMPTS)


async def get_prompt(
    _ctx: Context, params: types.GetPromptRequestParams
) -> types.GetPromptResult | types.InputRequiredResult:
    given = params.arguments or {}
    if params.name == "test_simple_prompt":
        return _prompt("This is a simple prompt for testing.")
    if params.name == "test_prompt_with_arguments":
        return _prompt(f"Prompt with arguments: arg1='{given['arg1']}', arg2='{given['arg2']}'")
    if params.name == "test_prompt_with_embedded_resource":
        resource = types.TextResourceContents(
            uri=given["resourceUri"], mime_type="text/plain", text="Embedded resource content for testing."
        )
        return _prompt(
            types.EmbeddedResource(resource=resource), "Please process the embedded resource above."
        )
    if params.name == "test_prompt_with_image":
        return _prompt(types.ImageContent(data=PNG, mime_type="image/png"), "Please analyze the image above.")
    if params.name == "test_input_required_result_prompt":
        context = fixture_inputs.answered(params, "user_context", "context")
        if context is None:
            question = fixture_inputs.form("What context should the prompt use?", "context")
            return types.InputRequiredResult(input_requests={"user_context": question})
        return _prompt(f"The context is {context}.")
    raise MCPError(types.INVALID_PARAMS, f"there is no prompt {params.name}")


def _prompt(*contents: str | types.ContentBlock) -> types.GetPromptResult:
    blocks = (types.TextContent(text=told) if isinstance(told, str) else told for told in contents)
    return types.GetPromptResult(
        messages=[types.PromptMessage(role="user", content=block) for block in blocks]
    )


async def complete(_ctx: Context, params: types.CompleteRequestParams) -> types.CompleteResult:
    known = [word for word in ("paris", "park", "party") if word.startswith(params.argument.value)]
    return types.CompleteResult(completion=types.Completion(values=known, total=len(known), has_more=False))


async def set_level(_ctx: Context, _params: types.SetLevelRequestParams) -> types.EmptyResult:
    return types.EmptyResult()


def create_server(engine: Supervisor, settings: HttpSettings, _documents: object) -> Server[Any]:
    """The server with everything above, and the product's tasks."""
    server: Server[Any] = Server(
        NAME,
        version="1",
        on_list_tools=list_tools,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
        on_subscribe_resource=accept_subscription,
        on_unsubscribe_resource=accept_subscription,
        on_subscriptions_listen=ListenHandler(BUS),
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
        on_completion=complete,
    )
    # not by its argument, whose type leaves out an extension's results
    server.add_request_handler("tools/call", types.CallToolRequestParams, call_tool)
    server.add_request_handler("logging/setLevel", types.SetLevelRequestParams, set_level)
    server.middleware.append(RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience=NAME))
    tasks_of(engine, settings).add_to(server)
    return server


if __name__ == "__main__":
    # what only earlier revisions have is served to them
    warnings.simplefilter("ignore", MCPDeprecationWarning)
    doors.create_server = create_server
    main()

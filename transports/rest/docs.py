"""What the server tells about itself: the OpenAPI document, a page made from it, and a text for models."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import msgspec
from markupsafe import Markup, escape
from quart import Response

from transports.asgi import JsonAnswer
from transports.mcp.document import Document
from transports.rest import openapi
from transports.rest.routes import Asked, Content, NoQuery, Route, View

if TYPE_CHECKING:
    from engine.supervisor import Supervisor

_PAGES = Path(__file__).with_name("pages")
_CODE = re.compile(r"`([^`]+)`")


class Docs:
    """The views; each document is made when it is first asked for."""

    def __init__(self, engine: Supervisor) -> None:
        self._engine = engine
        self.routes: Sequence[Route] = ()
        """All routes, the ones of this class included."""

    @cached_property
    def _document(self) -> openapi.Document:
        return openapi.document(self.routes)

    @cached_property
    def openapi_json(self) -> bytes:
        """The OpenAPI document."""
        return msgspec.json.encode(self._document)

    @cached_property
    def _page(self) -> tuple[bytes, str]:
        """The page, and its Content-Security-Policy: nothing but the page's own style."""
        style = (_PAGES / "docs.css").read_text()
        page = _templates().get_template("docs.html").render(api=self._document, style=Markup(style))  # noqa: S704 (ours)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        policy = (
            f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        )
        return page.encode(), policy

    @cached_property
    def llms_text(self) -> bytes:
        """What a model needs to know."""
        return _templates().get_template("llms.txt").render(stateless=self._engine.stateless).encode()

    async def openapi(self, asked: Asked[NoQuery, None]) -> JsonAnswer:  # noqa: ARG002
        """The OpenAPI document."""
        return JsonAnswer(200, self.openapi_json)

    async def docs(self, asked: Asked[NoQuery, None]) -> Response:  # noqa: ARG002
        """The page."""
        page, policy = self._page
        headers = {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"}
        return Response(page, content_type="text/html; charset=utf-8", headers=headers)

    async def llms(self, asked: Asked[NoQuery, None]) -> Response:  # noqa: ARG002
        """The text for models."""
        return Response(self.llms_text, content_type="text/plain; charset=utf-8")


def documents(engine: Supervisor, routes: Sequence[Route]) -> list[Document]:
    """The documents that are of use to a model, as MCP's resources; they tell of ``routes``."""
    views = Docs(engine)
    views.routes = routes
    return [
        Document(
            name="llms.txt",
            title="The HTTP API in short",
            description="What a model needs to know to use the server over HTTP",
            media="text/plain",
            text=lambda: views.llms_text.decode(),
        ),
        Document(
            name="openapi.json",
            title="The HTTP API",
            description="Every route and shape of it, as an OpenAPI 3.1 document",
            media="application/json",
            text=lambda: views.openapi_json.decode(),
        ),
    ]


def routes(engine: Supervisor, others: Sequence[Route]) -> list[Route]:
    """The routes of the documents, which tell of ``others`` and of themselves."""
    views = Docs(engine)

    def get(name: str, path: str, summary: str, content: Content, view: View) -> Route:
        return Route(
            name=name,
            method="GET",
            path=path,
            group="documents",
            summary=summary,
            view=view,
            answers={200: content},
        )

    document = Content("The document", schema={"type": "object"})
    page, text = Content("HTML", media="text/html"), Content("Text", media="text/plain")
    own = [
        get("openapi", "/openapi.json", "This API as an OpenAPI 3.1 document", document, views.openapi),
        get("openapi_upstream", "/api-doc/openapi.json", "The same", document, views.openapi),
        get("docs", "/docs", "This page", page, views.docs),
        get("llms", "/llms.txt", "What a model needs to know to use the server", text, views.llms),
    ]
    views.routes = [*others, *own]
    return own


def _templates() -> jinja2.Environment:
    """The pages; what is put into HTML is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_PAGES),
        autoescape=jinja2.select_autoescape(["html"], default=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["marked"] = _marked
    environment.filters["shape"] = _shape
    return environment


def _marked(text: str) -> Markup:
    """Text with code between backquotes, as HTML."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 (escaped)


def _shape(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_shape(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    kind = str(schema.get("type", "any JSON"))
    if kind == "array":
        return f"array of {_shape(schema.get('items') or {})}"
    values = schema.get("additionalProperties")
    if isinstance(values, dict):
        return f"object of {_shape(values)}"
    return str(schema["format"]) if "format" in schema else kind

"""``mcp-v8 completion``: the script by which a shell completes the command line."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class


@click.command
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what lets a shell complete commands, options and names of sessions.

    \b
    eval "$(mcp-v8 completion bash)"                                 in ~/.bashrc
    eval "$(mcp-v8 completion zsh)"                                  in ~/.zshrc
    mcp-v8 completion fish > ~/.config/fish/completions/mcp-v8.fish  once
    """
    kind = get_completion_class(shell)
    assert kind is not None
    made = kind(context.find_root().command, {}, "mcp-v8", "_MCP_V8_COMPLETE")
    click.echo(ShellComplete.source(made))  # bash's own would run bash, to see how old it is

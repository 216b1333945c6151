"""`keys` and `passwd`: make the encryption key, encrypt and decrypt passwords of configuration files."""

from __future__ import annotations

import sys
from pathlib import Path

import click

DEFAULT_DIRECTORY = "/var/lib/maxscale"
DEFAULT_OWNER = "maxscale"


def default_owner() -> str | None:
    """The usual owner of the key, if there is such a user and the file can be given to it."""
    import os
    import pwd

    try:
        pwd.getpwnam(DEFAULT_OWNER)
    except KeyError:
        return None
    return DEFAULT_OWNER if os.geteuid() == 0 else None


@click.command(
    "keys",
    help=f"Make DIR/.secrets, the key that passwords are encrypted with (default {DEFAULT_DIRECTORY}).",
)
@click.option(
    "-u",
    "--user",
    metavar="USER",
    help=f"Owner of the file (default: {DEFAULT_OWNER} if there is such a user).",
)
@click.argument("directory", metavar="[DIR]", default=DEFAULT_DIRECTORY)
@click.pass_context
def keys(ctx: click.Context, user: str | None, directory: str) -> None:
    from fairlead.config.secrets import SecretsError, create_key

    try:
        path = create_key(Path(directory), user or default_owner())
    except SecretsError as error:
        click.echo(f"Error: {error}", err=True)
        ctx.exit(1)
    click.echo(f"Made {path}. Keep a copy: what is encrypted with it cannot be read without it.")


@click.command("passwd", help="Encrypt a password for use in a configuration file: [DIR] TEXT.")
@click.option("-d", "--decrypt", "backwards", is_flag=True, help="Decrypt instead.")
@click.option("-i", "--interactive", is_flag=True, help="Ask for the text, or read it from a pipe.")
@click.argument("words", metavar="[DIR] [TEXT]", nargs=-1)
@click.pass_context
def passwd(ctx: click.Context, backwards: bool, interactive: bool, words: tuple[str, ...]) -> None:
    from fairlead.config.secrets import SecretsError, decrypt, encrypt

    directory, text = split_words(ctx, interactive, words)
    if text is None:
        text = ask(backwards)
    try:
        click.echo(decrypt(Path(directory), text) if backwards else encrypt(Path(directory), text))
    except SecretsError as error:
        click.echo(f"Error: {error}", err=True)
        ctx.exit(1)


def split_words(ctx: click.Context, interactive: bool, words: tuple[str, ...]) -> tuple[str, str | None]:
    """Directory and text; with -i there is no text on the command line."""
    most = 1 if interactive else 2
    least = 0 if interactive else 1
    if not least <= len(words) <= most:
        raise click.UsageError("write [DIR] TEXT, or -i [DIR]", ctx)
    if interactive:
        return (words[0] if words else DEFAULT_DIRECTORY), None
    return (words[0] if len(words) == 2 else DEFAULT_DIRECTORY), words[-1]


def ask(backwards: bool) -> str:
    """From the terminal, twice and unseen when it is a new password; from a pipe its first line."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    if backwards:
        return str(click.prompt("Encrypted password", err=True))
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))

"""`keys` and `passwd`: make the encryption key, encrypt and decrypt passwords of configuration files (a3)."""

from __future__ import annotations

import sys
from pathlib import Path

import click

DEFAULT_DIRECTORY = "/var/lib/maxscale"
DEFAULT_OWNER = "maxscale"


def fail(text: str) -> None:
    click.echo(f"Error: {text}", err=True)
    sys.exit(1)


@click.command(
    "keys",
    help=f"Make DIR/.secrets, the key that passwords are encrypted with (default {DEFAULT_DIRECTORY}).",
)
@click.option(
    "-u",
    "--user",
    default=None,
    metavar="USER",
    help=f"Owner of the file (default: {DEFAULT_OWNER} if there is such a user, else you).",
)
@click.argument("directory", metavar="[DIR]", default=DEFAULT_DIRECTORY)
def keys(user: str | None, directory: str) -> None:
    from fairlead.config.secrets import SecretsError, create_secrets

    try:
        path = create_secrets(Path(directory), owner=user)
    except SecretsError as error:
        fail(str(error))
    click.echo(f"Made {path}. Keep a copy: passwords that were encrypted with it cannot be read without it.")


@click.command("passwd", help="Encrypt a password for use in a configuration file: [DIR] TEXT.")
@click.option("-d", "--decrypt", is_flag=True, help="Decrypt instead.")
@click.option("-i", "--interactive", is_flag=True, help="Ask for the text, or read it from a pipe.")
@click.argument("words", metavar="[DIR] [TEXT]", nargs=-1)
@click.pass_context
def passwd(ctx: click.Context, decrypt: bool, interactive: bool, words: tuple[str, ...]) -> None:
    from fairlead.config.secrets import SecretsError, decrypt_text, encrypt_text, load_key

    directory, text = split_words(ctx, interactive, words)
    if text is None:
        text = ask(decrypt)
    try:
        key = load_key(Path(directory))
        if key is None:
            raise SecretsError(
                f"{directory}/.secrets does not exist; make it with: fairlead keys {directory}"
            )
        click.echo(decrypt_text(key, text) if decrypt else encrypt_text(key, text))
    except SecretsError as error:
        fail(str(error))


def split_words(ctx: click.Context, interactive: bool, words: tuple[str, ...]) -> tuple[str, str | None]:
    """Directory and text; with -i there is no text on the command line."""
    most = 1 if interactive else 2
    least = 0 if interactive else 1
    if not least <= len(words) <= most:
        raise click.UsageError("write [DIR] TEXT, or -i [DIR]", ctx)
    if interactive:
        return (words[0] if words else DEFAULT_DIRECTORY), None
    return (words[0] if len(words) == 2 else DEFAULT_DIRECTORY), words[-1]


def ask(decrypt: bool) -> str:
    """From the terminal without showing it, twice when it is a new password; from a pipe its first line."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    if decrypt:
        return str(click.prompt("Encrypted password", err=True))
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))

"""Names and texts from elsewhere, before a terminal sees them."""

import unicodedata

_DIRECTIONS = ("LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI")


def visible(text: str) -> str:
    r"""The text with control characters written out: an escape as `\x1b`, a line's end as `\n`.

    A group's or a topic's name may hold any, and a terminal would obey them: move the cursor, hide
    what follows, change its title. Those that turn the direction of text are among them, and halves
    of characters, which a file's name may have and no terminal can be sent.
    """
    if text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def visible_lines(text: str) -> str:
    """The same of each line of a text that has several."""
    return "\n".join(visible(line) for line in text.split("\n"))


def say(text: str, *, err: bool = False) -> None:
    """Write lines for people to standard output or error, whatever names are in them."""
    import typer

    typer.echo(visible_lines(text), err=err)


def _shown(character: str) -> str:
    controls = unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
    if controls or unicodedata.bidirectional(character) in _DIRECTIONS:
        return character.encode("unicode_escape").decode()
    return character

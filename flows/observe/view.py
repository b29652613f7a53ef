"""What of the live table is looked at, as keys say."""

from dataclasses import dataclass, field

from flows.observe.picture import Picture

HELP = ("tab part", "s sort", "/ filter", "p pause", "↑↓ scroll")


@dataclass(slots=True)
class View:
    """The part that is looked at, its order, how far it is scrolled, and what names must contain.

    `press` is called by one thread; another one reads.
    """

    part: int | None = None
    """A number of the parts that there are, counted round; None before one was chosen."""
    words: str = ""
    """What names must contain."""
    typing: bool = False
    """Whether keys are letters of `words`."""
    paused: Picture | None = None
    """The picture that is shown in place of the newest one."""
    orders: dict[str, int] = field(default_factory=dict)
    """By part, which of its orders."""
    scrolled: dict[str, int] = field(default_factory=dict)
    """By part, its rows that are above the first one shown."""
    keys: bool = False
    """Whether there is a keyboard."""
    shown: str = ""
    """The part that keys are about, as it was drawn last."""
    page: int = 5
    """Rows of it that were drawn."""

    def press(self, key: str, newest: Picture) -> None:
        """Do what a key says; `newest` is how things stand. Others do nothing."""
        if self.typing:
            self._type(key)
            return
        match key:
            case "tab":
                self.part = 0 if self.part is None else self.part + 1
            case "s":
                self.orders[self.shown] = self.orders.get(self.shown, 0) + 1
                self.scrolled.pop(self.shown, None)
            case "/":
                self.words, self.typing = "", True
                self.scrolled.clear()
            case "p" | " ":
                self.paused = newest if self.paused is None else None
            case "escape":
                self.words, self.paused = "", None
                self.scrolled.clear()
            case "down" | "j":
                self._scroll(1)
            case "up" | "k":
                self._scroll(-1)
            case "page down":
                self._scroll(self.page)
            case "page up":
                self._scroll(-self.page)
            case "home" | "g":
                self.scrolled.pop(self.shown, None)
            case "end" | "G":
                self._scroll(10**9)

    def reset(self) -> None:
        """All is shown as it is, as if no key had been pressed."""
        self.part, self.paused, self.words, self.typing = None, None, "", False
        self.orders.clear()
        self.scrolled.clear()

    def matches(self, name: str) -> bool:
        """Whether a name is looked for; in any case of letters."""
        return self.words.lower() in name.lower()

    def _type(self, key: str) -> None:
        match key:
            case "enter":
                self.typing = False
            case "escape":
                self.words, self.typing = "", False
            case "erase":
                self.words = self.words[:-1]
            case _ if len(key) == 1 and key.isprintable():
                self.words += key

    def _scroll(self, rows: int) -> None:
        self.scrolled[self.shown] = max(0, self.scrolled.get(self.shown, 0) + rows)

"""A headless Chromium for tests of pages. It is given colours and sizes, and reports errors."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from selenium import webdriver

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)

Theme = Literal["light", "dark"]


def missing() -> str | None:
    """What of a browser is not there."""
    for command in ("chromium", "chromedriver"):
        if shutil.which(command) is None:
            return f"no {command}: apt-get install chromium chromium-driver"
    return None


class Browser:
    """One page at a time, at a width and in a theme."""

    def __init__(self, driver: "webdriver.Chrome") -> None:
        self._driver = driver

    def open(self, page: Path, width: int, theme: Theme) -> None:
        """Show a file, `width` pixels wide."""
        self.turn(theme)
        self.resize(width)
        self._driver.get(page.as_uri())

    def turn(self, theme: Theme) -> None:
        """Turn the system light or dark."""
        media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
        self._driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)

    def resize(self, width: int, height: int = 900) -> None:
        """Set the size of the window's inside, in pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        return self._driver.execute_script(f"return {expression}")

    def run(self, script: str) -> None:
        """Run JavaScript."""
        self._driver.execute_script(script)

    def wait_for(self, expression: str, seconds: float = 60) -> None:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + seconds
        while not self.ask(f"Boolean({expression})"):
            assert time.monotonic() < end, f"not within {seconds} s: {expression}"
            time.sleep(0.05)

    def picture(self) -> bytes:
        """What the window shows, as PNG."""
        image: bytes = self._driver.get_screenshot_as_png()
        return image

    def errors(self) -> list[str]:
        """What the page wrote to the console since the last call, warnings too."""
        log: list[dict[str, Any]] = self._driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [f"{entry['level']}: {entry['message']}" for entry in log]


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A Chromium with a profile of its own."""
    # Imported by the few workers that show a page, not by each that collects tests.
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = str(shutil.which("chromium"))
    for argument in (*ARGUMENTS, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = Service(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield Browser(driver)
    finally:
        driver.quit()

"""A headless Chromium, driven through chromedriver, for tests of the page."""

import base64
import shutil
import tempfile

import pytest

from harness import SCALE, wait_for

CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")

try:
    from selenium import webdriver
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.chrome.service import Service
except ImportError:
    webdriver = None


def missing():
    """What a test in a browser needs and this machine lacks, or None."""
    if CHROMIUM is None or DRIVER is None or webdriver is None:
        return "needs chromium, chromium-driver and python3-selenium (tools/packages install browser)"
    return None


needs_browser = pytest.mark.skipif(missing() is not None, reason=missing() or "")


class Browser:
    """One window. Nothing of it outlives close()."""

    def __init__(self, width=1280, height=900, dark=False, density=1):
        self.profile = tempfile.TemporaryDirectory(prefix="lockstep-browser-", ignore_cleanup_errors=True)
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for argument in (
            "--headless=new",
            "--no-sandbox",  # tests may run as root
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--hide-scrollbars",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            f"--user-data-dir={self.profile.name}",
            f"--window-size={width},{height}",
        ):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service(DRIVER), options=options)
        self.driver.set_page_load_timeout(30 * SCALE)
        self.resize(width, height, density)
        self.prefer("dark" if dark else "light")

    def close(self):
        self.driver.quit()
        self.profile.cleanup()

    def resize(self, width, height, density=1):
        metrics = {"width": width, "height": height, "deviceScaleFactor": density, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def prefer(self, scheme):
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)

    def open(self, url):
        self.driver.get(url)

    def js(self, script, *args):
        return self.driver.execute_script(script, *args)

    def text(self, selector):
        """The text of the first element that fits, as it is shown; "" if none does."""
        try:
            found = self.driver.find_elements("css selector", selector)
            return found[0].text if found else ""
        except StaleElementReferenceException:
            return ""

    def texts(self, selector):
        return self.js("return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)", selector)

    def wait_text(self, selector, part, timeout=30.0):
        wait_for(lambda: part in self.text(selector), timeout, lambda: f"{part!r} in {selector}: {self.text(selector)!r}")

    def complaints(self):
        """Errors and warnings on the console since the last call, violations of the content policy among them."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    def screenshot(self, path, height=None):
        """The page as PNG from its top, the whole of it or so many pixels: also what is outside of the window."""
        width, whole = self.js("return [innerWidth, document.documentElement.scrollHeight]")
        height = height or whole
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        answer = self.driver.execute_cdp_cmd(
            "Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True, "clip": clip}
        )
        path.write_bytes(base64.b64decode(answer["data"]))


@pytest.fixture(scope="module")
def chromium():
    """One browser for the tests of a module: it takes longer to start than a test takes."""
    made = Browser()
    yield made
    made.close()


@pytest.fixture
def browser(chromium):
    chromium.open("about:blank")
    chromium.resize(1280, 900)
    chromium.prefer("light")
    chromium.complaints()
    yield chromium
    chromium.open("about:blank")  # the page asks a server that is about to end

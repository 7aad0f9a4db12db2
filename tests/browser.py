"""A headless Chromium that is moved by keys, through ChromeDriver's own protocol (WebDriver)."""

import json
import shutil
import subprocess
import urllib.request
from contextlib import contextmanager

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1000,1200",
]
# The names that WebDriver gives to keys.
LEFT, RIGHT, END, HOME, TAB = "\ue012", "\ue014", "\ue010", "\ue011", "\ue004"
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
SECONDS = 60


class Browser:
    """One window."""

    def __init__(self, address):
        self.address = address

    def ask(self, method, path, body=None):
        """Send a command and return its value."""
        request = urllib.request.Request(
            f"{self.address}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return json.loads(answer.read())["value"]

    def open(self, url):
        """Load a page."""
        self.ask("POST", "/url", {"url": url})

    def press(self, selector, keys):
        """Press keys on an element, which has the focus then."""
        query = {"using": "css selector", "value": selector}
        element = self.ask("POST", "/element", query)[ELEMENT]
        self.ask("POST", f"/element/{element}/value", {"text": keys})

    def run(self, script):
        """Return what a script returns."""
        return self.ask("POST", "/execute/sync", {"script": script, "args": []})


@contextmanager
def chromium(profile):
    """Give a browser with its profile in a folder, and end it."""
    driver = subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, text=True)
    try:
        # "ChromeDriver was started successfully on port 12345."
        line = next(line for line in driver.stdout if "on port" in line and "success" in line)
        port = line.split()[-1].rstrip(".")
        address = f"http://127.0.0.1:{port}/session"
        options = {"binary": CHROMIUM, "args": [*ARGUMENTS, f"--user-data-dir={profile}"]}
        capabilities = {"alwaysMatch": {"goog:chromeOptions": options}}
        session = Browser(address).ask("POST", "", {"capabilities": capabilities})["sessionId"]
        browser = Browser(f"{address}/{session}")
        try:
            yield browser
        finally:
            browser.ask("DELETE", "")
    finally:
        driver.terminate()
        driver.wait(SECONDS)
        driver.stdout.close()

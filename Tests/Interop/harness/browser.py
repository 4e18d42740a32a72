"""A headless Chromium, driven over its debugging pipe (Chrome DevTools Protocol), and its pictures as pixels."""
import base64
import itertools
import json
import os
import queue
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from functools import cached_property
from pathlib import Path

import pytest

# The browser reads commands from descriptor 3 and writes to 4; whatever stands there before has to give way.
PIPES = """import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execvp(sys.argv[3], sys.argv[3:])"""

FLAGS = [
    "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    # Pictures are drawn by the processor: there is no other device where tests run.
    "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist", "--hide-scrollbars",
    # A page that wants something from the network gets it from this machine or not at all.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--window-size=1400,900",
]


class Browser:
    """One page in a browser of its own. What goes wrong in the page is kept in `errors`."""

    def __init__(self, folder):
        program = shutil.which("chromium")
        if program is None:
            pytest.skip("chromium is not installed (package chromium)")
        self.folder = Path(folder)
        to_browser, from_browser = os.pipe(), os.pipe()
        # Numbers above 4, so that neither pipe stands in the other's place.
        theirs = [_above(4, to_browser[0]), _above(4, from_browser[1])]
        self.process = subprocess.Popen(
            [sys.executable, "-c", PIPES, *map(str, theirs), program, *FLAGS,
             f"--user-data-dir={self.folder / 'profile'}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=theirs,
            start_new_session=True, env={**os.environ, "HOME": str(self.folder)})
        for descriptor in theirs:
            os.close(descriptor)
        self.commands, self.messages = os.fdopen(to_browser[1], "wb", 0), os.fdopen(from_browser[0], "rb", 0)
        self.numbers = itertools.count(1)
        self.answers = {}
        self.session = None
        self.errors = []
        self.requests = {}
        threading.Thread(target=self._read, daemon=True).start()
        target = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self):
        try:
            self.session = None
            self.call("Browser.close", seconds=10)
            self.process.wait(10)
        except (AssertionError, OSError, subprocess.TimeoutExpired):
            pass
        finally:
            try:
                # Its helpers are in its session.
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # Protocol

    def call(self, method, seconds=30, **parameters):
        number = next(self.numbers)
        answer = self.answers[number] = queue.Queue()
        message = {"id": number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.commands.write(json.dumps(message).encode() + b"\0")
        try:
            said = answer.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError(f"the browser has not answered {method} within {seconds} s") from None
        finally:
            del self.answers[number]
        assert "error" not in said, f"{method}: {said['error']}"
        return said["result"]

    def _read(self):
        rest = b""
        while piece := self.messages.read(1 << 20):
            *whole, rest = (rest + piece).split(b"\0")
            for text in whole:
                message = json.loads(text)
                if "id" in message:
                    if waiting := self.answers.get(message["id"]):
                        waiting.put(message)
                else:
                    self._note(message["method"], message["params"])

    def _note(self, method, event):
        if method == "Runtime.exceptionThrown":
            details = event["exceptionDetails"]
            said = details.get("exception", {}).get("description") or details["text"]
            self.errors.append(f"exception: {said}")
        elif method == "Log.entryAdded" and event["entry"]["level"] == "error":
            self.errors.append(f"log: {event['entry']['text']} {event['entry'].get('url', '')}")
        elif method == "Runtime.consoleAPICalled" and event["type"] == "error":
            said = " ".join(str(a.get("value", a.get("description", ""))) for a in event["args"])
            self.errors.append(f"console: {said}")
        elif method == "Network.requestWillBeSent":
            self.requests[event["requestId"]] = {"url": event["request"]["url"], "method": event["request"]["method"]}
        elif method == "Network.responseReceived":
            self.requests.setdefault(event["requestId"], {"url": event["response"]["url"], "method": "GET"})[
                "status"] = event["response"]["status"]
        elif method == "Network.loadingFailed":
            self.requests.setdefault(event["requestId"], {"url": "", "method": ""})["failed"] = event["errorText"]

    # The page

    def open(self, address):
        self.call("Page.navigate", url=address)

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, f"{expression}: {result['exceptionDetails']}"
        return result["result"].get("value")

    def wait(self, expression, seconds=60):
        """Waits until an expression is true in the page, and returns it."""
        deadline = time.monotonic() + seconds
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < deadline, (
                f"not so after {seconds} s: {expression}\n" + "\n".join(self.errors[-10:])
                + f"\nThe page says: {' '.join(self.evaluate('document.body?.innerText ?? String()').split())[:1000]}")
            time.sleep(0.1)
        return value

    def wait_for_text(self, text, seconds=60):
        return self.wait(f"(document.body?.innerText ?? '').includes({json.dumps(text)})", seconds)

    def box(self, selector):
        """Left, top, width and height of an element."""
        return self.wait(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); if (!e) return null;"
            " const r = e.getBoundingClientRect(); return r.width ? [r.x, r.y, r.width, r.height] : null })()")

    def middle(self, selector):
        left, top, width, height = self.box(selector)
        return left + width / 2, top + height / 2

    def click(self, x, y, clicks=1):
        for count in range(1, clicks + 1):
            self.mouse("mousePressed", x, y, clickCount=count)
            self.mouse("mouseReleased", x, y, clickCount=count)

    def mouse(self, kind, x, y, button="left", buttons=None, **more):
        pressed = {"left": 1, "right": 2, "middle": 4}[button]
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button,
                  buttons=0 if kind == "mouseReleased" else pressed, **more)

    def drag(self, start, end, button="left", steps=8):
        self.mouse("mousePressed", *start, button, clickCount=1)
        for step in range(1, steps + 1):
            self.mouse("mouseMoved", *(a + (b - a) * step / steps for a, b in zip(start, end)), button)
        self.mouse("mouseReleased", *end, button, clickCount=1)

    def wheel(self, x, y, notches):
        for _ in range(abs(notches)):
            self.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0,
                      deltaY=120 if notches > 0 else -120)

    def screenshot(self, selector=None):
        """What is seen, of the page or of one element."""
        options = {}
        if selector:
            left, top, width, height = self.box(selector)
            options["clip"] = {"x": left, "y": top, "width": width, "height": height, "scale": 1}
            # Without filters, which take long to undo.
            options["optimizeForSpeed"] = True
        return Picture(base64.b64decode(self.call("Page.captureScreenshot", format="png", **options)["data"]))

    def failed_requests(self, prefix):
        """Those to addresses that begin so and were answered badly or not at all. The page itself may give one up."""
        return [request for request in list(self.requests.values()) if request["url"].startswith(prefix)
                and (request.get("status", 0) >= 400 or request.get("failed") not in (None, "net::ERR_ABORTED"))]


def _above(least, descriptor):
    kept = []
    while descriptor <= least:
        kept.append(descriptor)
        descriptor = os.dup(descriptor)
    for low in kept:
        os.close(low)
    return descriptor


class Picture:
    """A PNG as the browser writes it: 8 bits, RGB or RGBA, not interlaced."""

    def __init__(self, png):
        self.png = png
        width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", png[16:29])
        assert (depth, interlaced) == (8, 0) and kind in (2, 6), "not the kind of PNG that browsers write"
        self.size = width, height
        self.channels = 3 if kind == 2 else 4

    @cached_property
    def rows(self):
        return self._unfiltered(zlib.decompress(b"".join(self._chunks(b"IDAT"))))

    def _chunks(self, wanted):
        place = 8
        while place < len(self.png):
            length, kind = struct.unpack(">I4s", self.png[place:place + 8])
            if kind == wanted:
                yield self.png[place + 8:place + 8 + length]
            place += length + 12

    def _unfiltered(self, data):
        """Rows without their filters (PNG specification, section 9)."""
        step, length = self.channels, self.size[0] * self.channels
        rows, above = [], bytearray(length)
        for start in range(0, len(data), length + 1):
            kind, row = data[start], bytearray(data[start + 1:start + 1 + length])
            if kind == 2:
                row = bytearray((a + b) & 255 for a, b in zip(row, above))
            elif kind:
                for i in range(length):
                    left = row[i - step] if i >= step else 0
                    if kind == 1:
                        row[i] = (row[i] + left) & 255
                    elif kind == 3:
                        row[i] = (row[i] + (left + above[i]) // 2) & 255
                    else:
                        up, corner = above[i], above[i - step] if i >= step else 0
                        estimate = left + up - corner
                        nearest = min((left, up, corner), key=lambda value: abs(estimate - value))
                        row[i] = (row[i] + nearest) & 255
            rows.append(row)
            above = row
        return rows

    def pixels(self, every=3):
        """Some of the pixels, as (red, green, blue)."""
        step = self.channels
        return [tuple(row[x:x + 3]) for row in self.rows[::every] for x in range(0, len(row), step * every)]

    def shades(self):
        """How many different colours there are: a blank picture has few."""
        return len(set(self.pixels()))

    def colourful(self):
        """The share of pixels that are not grey."""
        pixels = self.pixels()
        return sum(max(p) - min(p) > 24 for p in pixels) / len(pixels)

    def brightness(self):
        pixels = self.pixels()
        return sum(map(sum, pixels)) / (3 * len(pixels))

    def save(self, path):
        Path(path).write_bytes(self.png)

    def difference(self, other, tolerance=8):
        """The share of pixels that differ visibly."""
        assert self.size == other.size, "pictures of different sizes"
        mine, theirs = self.pixels(), other.pixels()
        return sum(max(abs(a - b) for a, b in zip(p, q)) > tolerance for p, q in zip(mine, theirs)) / len(mine)

"""Draws on docs/demo/index.html in Chromium, with the mouse, as a hand would.

python -m tests.demo_browser [PICTURE] draws a digit, says what the page reads, and keeps what is to
be seen: docs/demo.png. It needs selenium, and Debian's chromium and chromium-driver.
"""

import math
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "demo" / "index.html"


def arc(x, y, a, b, first, last, n=14):
    """Give points of an ellipse around (x, y), from one angle to another; 0 is right, 90 below."""
    angles = [math.radians(first + (last - first) * i / n) for i in range(n + 1)]
    return [(x + a * math.cos(t), y + b * math.sin(t)) for t in angles]


# Strokes of each digit, in a box from 0 to 1 each way, y downward
DIGITS = {
    "0": [arc(0.5, 0.5, 0.33, 0.5, -100, 262, 24)],
    "1": [[(0.56, 0.0), (0.52, 0.34), (0.48, 0.7), (0.45, 1.0)]],
    "2": [[*arc(0.48, 0.27, 0.36, 0.27, 190, 390), (0.5, 0.72), (0.1, 1.0), (0.5, 0.96),
           (0.95, 0.97)]],
    "3": [[*arc(0.42, 0.25, 0.38, 0.25, 205, 440), *arc(0.42, 0.74, 0.43, 0.27, 280, 510)]],
    "4": [[(0.3, 0.0), (0.2, 0.3), (0.12, 0.58), (0.5, 0.6), (0.95, 0.56)],
          [(0.72, 0.05), (0.68, 0.5), (0.66, 1.0)]],
    "5": [[(0.82, 0.02), (0.5, 0.02), (0.25, 0.03), (0.22, 0.25), (0.2, 0.45),
           *arc(0.4, 0.69, 0.42, 0.3, 250, 500)]],
    "6": [[(0.7, 0.0), (0.4, 0.2), (0.2, 0.5), *arc(0.45, 0.73, 0.31, 0.27, 180, -170, 20)]],
    "7": [[(0.08, 0.03), (0.5, 0.04), (0.9, 0.02), (0.72, 0.35), (0.52, 0.7), (0.4, 1.0)]],
    "8": [[*arc(0.5, 0.25, 0.3, 0.25, -60, -270, 14), *arc(0.5, 0.75, 0.36, 0.25, -90, 270, 20),
           *arc(0.5, 0.25, 0.3, 0.25, 90, -60, 10)]],
    "9": [[*arc(0.47, 0.28, 0.33, 0.28, -20, -350, 18), (0.8, 0.3), (0.74, 0.6), (0.66, 1.0)]],
}  # fmt: skip


def tools():
    """Give Chromium's and its driver's path, or None where one is missing."""
    found = [
        next(filter(None, map(shutil.which, names)), None)
        for names in (("chromium", "chromium-browser", "google-chrome"), ("chromedriver",))
    ]
    return found if all(found) else None


class Page:
    """The page in a browser without a window."""

    def __init__(self, path=PAGE, size=(1040, 900)):
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        browser, driver = tools()
        options = webdriver.ChromeOptions()
        options.binary_location = browser
        for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage",
                     "hide-scrollbars", f"window-size={size[0]},{size[1]}"):  # fmt: skip
            options.add_argument(f"--{flag}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(driver))
        self.driver.get(path.as_uri())
        self.wait("core !== null")

    def wait(self, condition):
        """Wait until a condition in the page's script holds and it has drawn; give its value."""
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, 20).until(
            lambda driver: driver.execute_script(f"return asked === 0 && ({condition})")
        )

    def click(self, name):
        self.driver.find_element("id", name).click()

    def stroke(self, points, kind="mouse"):
        """Draw one stroke through points of the sheet's own pixels."""
        from selenium.webdriver.common.action_chains import ActionBuilder
        from selenium.webdriver.common.actions.pointer_input import PointerInput

        pad = self.driver.find_element("id", "pad")
        middle = [self.driver.execute_script(f"return pad.client{side} / 2")
                  for side in ("Width", "Height")]  # fmt: skip
        actions = ActionBuilder(self.driver, mouse=PointerInput(kind, kind), duration=4)
        for i, (x, y) in enumerate(points):
            actions.pointer_action.move_to(pad, round(x - middle[0]), round(y - middle[1]))
            if i == 0:
                actions.pointer_action.pointer_down()
        actions.pointer_action.pointer_up()
        actions.perform()

    def draw(self, text, left, top, width, height, gap=0.0, kind="mouse"):
        """Draw digits from (left, top) on, each in a box, in pixels of the sheet."""
        for i, digit in enumerate(text):
            x = left + i * (width + gap)
            for points in DIGITS[digit]:
                self.stroke([(x + a * width, top + b * height) for a, b in points], kind)

    def reading(self):
        """Give what the page reads now."""
        return self.wait("reading")

    def sheet(self):
        """Give the sheet as bytes of a PNG, of ink on white."""
        import base64

        text = self.driver.execute_script(
            "const c = document.createElement('canvas'), to = c.getContext('2d');"
            "c.width = ink.width; c.height = ink.height;"
            "to.fillStyle = '#fff'; to.fillRect(0, 0, c.width, c.height);"
            "to.drawImage(ink, 0, 0); return c.toDataURL().split(',')[1];"
        )
        return base64.b64decode(text)

    def errors(self):
        """Give what the browser complained about."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def close(self):
        self.driver.quit()


def main():
    """Draw, and keep the picture."""
    target = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "docs" / "demo.png")
    if tools() is None:
        raise SystemExit("error: needs a browser: apt-get install chromium chromium-driver")
    page = Page()
    try:
        page.draw("8", 80, 45, 140, 205)
        print("reads", page.reading()["text"])
        page.driver.save_screenshot(str(target))
    finally:
        page.close()
    from PIL import Image

    picture = Image.open(target).convert("RGB")
    picture.quantize(48).save(target, optimize=True)
    print(f"{target}: {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()

"""Reports in a real browser: headless Chromium, driven by selenium.

Skipped where one of the two is missing; SKBQ_BROWSER=1, as .ci/run sets, makes that a
failure.
"""

import base64
import os
import shutil

import numpy as np
import pytest

from skbq import QuantizationAdvisor
from skbq.datasets import make_gaussian

pytestmark = [
    pytest.mark.browser,
    # selenium leaves its pipes to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

PHONE, SCREEN = 390, 1400
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--no-first-run", "--disable-background-networking", "--disable-sync"),
    *("--disable-component-update", "--disable-quic"),
)


@pytest.fixture(scope="module")
def browser():
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
    except ImportError:
        webdriver = None
    if webdriver is None or chromium is None or driver is None:
        if os.environ.get("SKBQ_BROWSER"):
            pytest.fail("selenium, chromium or chromedriver is missing")
        pytest.skip("needs selenium, chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=Service(driver))
    yield opened
    opened.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The address of each page."""
    folder = tmp_path_factory.mktemp("pages")
    X = make_gaussian(600, 24, spectrum=0.7, random_state=0).astype(np.float32)
    advisor = QuantizationAdvisor(target_recall=0.8, random_state=0)
    advisor.fit(X[50:], queries=X[:50])
    written = {
        "advice": advisor._report_page("Advice <for> 'these'", "pgvector"),
        "profile": advisor.profile_.report("html"),
    }
    for name, page in written.items():
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return {name: (folder / f"{name}.html").as_uri() for name in written}


def show(browser, address, width=SCREEN, scheme="light", media="screen"):
    command = browser.execute_cdp_cmd
    size = {"width": width, "height": 900, "deviceScaleFactor": 1}
    command("Emulation.setDeviceMetricsOverride", {**size, "mobile": width == PHONE})
    feature = {"name": "prefers-color-scheme", "value": scheme}
    command("Emulation.setEmulatedMedia", {"media": media, "features": [feature]})
    browser.get(address)


@pytest.mark.parametrize("name", ["advice", "profile"])
@pytest.mark.parametrize("width", [PHONE, SCREEN])
def test_nothing_is_wider_than_the_screen(browser, pages, name, width):
    show(browser, pages[name], width)
    unfold(browser)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= (
        width
    )
    cut = browser.execute_script(
        "return [...document.querySelectorAll('main *')].filter(e =>"
        "  e.getBoundingClientRect().right > innerWidth + 1"
        "  && !e.closest('.skbq-scroll, pre')).map(e => e.outerHTML.slice(0, 80))"
    )
    assert cut == []


@pytest.mark.parametrize("name", ["advice", "profile"])
def test_no_error_and_no_request(browser, pages, name):
    show(browser, pages[name])
    assert browser.get_log("browser") == []
    requests = browser.execute_script(
        "return performance.getEntriesByType('resource').map(e => e.name)"
    )
    assert [address for address in requests if not address.startswith("data:")] == []


# Colors are read back from a canvas, which knows every way to write one. What is
# translucent is laid over what is behind it.
CONTRAST = """
const pen = document.createElement("canvas").getContext("2d",
                                                        {willReadFrequently: true});
function rgba(color) {
  pen.clearRect(0, 0, 1, 1); pen.fillStyle = color; pen.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
}
const over = (c, d) => [0, 1, 2].map(i => c[i] * c[3] + d[i] * (1 - c[3]));
function behind(element) {
  if (!element) return [255, 255, 255];
  return over(rgba(getComputedStyle(element).backgroundColor),
              behind(element.parentElement));
}
function luminance(color) {
  const [r, g, b] = color.map(v => (v /= 255) <= .04045 ? v / 12.92
                                                         : ((v + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b;
}
function ratio(element, property) {
  const back = behind(element);
  const pair = [over(rgba(getComputedStyle(element)[property]), back), back]
    .map(luminance).sort((a, b) => b - a);
  return (pair[0] + .05) / (pair[1] + .05);
}
const texts = [...document.querySelectorAll("body *")].filter(e =>
  !e.closest("style, script") && e.checkVisibility()
  && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()));
const shapes = [...document.querySelectorAll(".skbq-line, .skbq-bar, .skbq-dot")];
const rows = [...texts.map(e => [e, e.matches("svg text") ? "fill" : "color", 4.5]),
              ...shapes.map(e => [e, "stroke", 3])];
return [texts.length, rows.filter(([e, p, needed]) => ratio(e, p) < needed)
  .map(([e, p]) => [ratio(e, p).toFixed(2), e.outerHTML.slice(0, 90)])];
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(browser, pages, scheme):
    """4.5 for text, 3 for what charts draw (WCAG 2.2, 1.4.3 and 1.4.11)."""
    show(browser, pages["advice"], scheme=scheme)
    unfold(browser)
    count, faint = browser.execute_script(CONTRAST)
    assert count > 100
    assert faint == []


def test_dark_is_dark(browser, pages):
    background = "return getComputedStyle(document.body).backgroundColor"
    show(browser, pages["advice"], scheme="dark")
    assert browser.execute_script(background) == "rgb(22, 25, 29)"
    show(browser, pages["advice"], scheme="dark", media="print")
    assert browser.execute_script(background) == "rgb(255, 255, 255)"


def test_copy(browser, pages):
    show(browser, pages["advice"])
    buttons = browser.find_elements("css selector", ".skbq-code .skbq-copy")
    codes = browser.find_elements("css selector", ".skbq-code code")
    assert len(buttons) == len(codes) > 15
    expected = codes[0].get_attribute("textContent")
    buttons[0].click()
    assert label_of(browser, buttons[0]) == "Copied"
    assert pasted(browser) == expected


def test_copy_where_the_clipboard_is_closed(browser, pages):
    show(browser, pages["advice"])
    browser.execute_script(
        "navigator.clipboard.writeText = () => Promise.reject(Error('closed'))"
    )
    code = browser.find_elements("css selector", ".skbq-code code")[0]
    button = browser.find_elements("css selector", ".skbq-copy")[0]
    button.click()
    assert label_of(browser, button) == "Copied"
    assert pasted(browser).strip() == code.get_attribute("textContent")


def label_of(browser, button):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 5).until(
        lambda _: button.text != "Copy" and button.text
    )


def pasted(browser):
    """What a user gets who pastes."""
    from selenium.webdriver.common.keys import Keys

    browser.execute_script(
        "document.body.append(Object.assign(document.createElement('textarea'),"
        "                                   {id: 'paste'}))"
    )
    field = browser.find_element("id", "paste")
    field.send_keys(Keys.CONTROL, "v")
    return field.get_attribute("value")


def test_keyboard_reaches_all_that_moves(browser, pages):
    """Tab stops at summaries, buttons, and what scrolls; Enter unfolds."""
    from selenium.webdriver.common.keys import Keys

    show(browser, pages["advice"], PHONE)
    stops = []
    for _ in range(12):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        here = browser.switch_to.active_element
        stops.append(here.get_attribute("class") or here.tag_name)
        if here.tag_name == "summary" and "All strategies" not in stops:
            stops.append(here.text)
            here.send_keys(Keys.ENTER)
            assert browser.find_elements("css selector", "details[open] table")
    assert {"skbq-scroll", "skbq-copy", "pre", "All strategies"} <= set(stops)


def test_text_stands_for_each_picture(browser, pages):
    show(browser, pages["advice"])
    labels = [
        picture.get_attribute("aria-label")
        for picture in browser.find_elements("css selector", "svg[role=img]")
    ]
    assert len(labels) == 4
    assert all(any(c.isdigit() for c in label) for label in labels)


def test_print(browser, pages):
    show(browser, pages["advice"])
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert base64.b64decode(printed["data"]).startswith(b"%PDF")
    show(browser, pages["advice"], 700, media="print")
    assert not browser.find_element("css selector", ".skbq-copy").is_displayed()
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 700


def unfold(browser):
    browser.execute_script(
        "for (const e of document.querySelectorAll('details')) e.open = true"
    )

"""The report in a real browser: a Chromium of this machine, where there is one."""

import shutil

import pytest

from tests.cases.fake_runs import make_run
from transfer.__main__ import main
from transfer.demo import digits
from transfer.records.record import Tide

# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
BROWSER = next((path for name in BROWSERS if (path := shutil.which(name))), None)

TIDE = Tide(50.0, 5.0, 12.0, 1.0, 0.5, 3.0, 20.0, 9.0, 30.0)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    """A report with everything in it: starts, seeds, label fractions, curves, TIDE, pretraining, published rows."""
    folder = tmp_path_factory.mktemp("report")
    digits.write(folder / "data", digits.Settings(size=48, train=1, val=6, unlabeled=1))
    names = []
    for init, shift in (("random", 3), ("metamask", 1), ("a start with a name that is rather long", 2)):
        for seed in range(3):
            for fraction in (1.0, 0.1):
                run = folder / f"{init}-{seed}-{fraction}"
                tide = {"bbox": TIDE, "segm": None}
                make_run(run, folder / "data", init, seed, shift, fraction, label_fraction=fraction, tide=tide)
                (run / "metrics.json").write_text(
                    '{"iteration": 1, "total_loss": 2.0}\n{"iteration": 2, "total_loss": 1.0, "segm/AP": 3.0}\n'
                    '{"iteration": 3, "segm/AP": 4.0}\n'
                )
                names.append(str(run))
    pretrain = folder / "pretrain"
    pretrain.mkdir()
    (pretrain / "metrics.jsonl").write_text(
        '{"iteration": 1, "contrastive": 9.0}\n{"iteration": 2, "contrastive": 8.0}\n'
    )
    flags = ["--published", "--pretrain", str(pretrain), "--resamples", "100", "--images", "2"]
    assert main(["report", *names, "--out", str(folder / "out"), *flags]) == 0
    return folder / "out/report.html"


@pytest.fixture(scope="module")
def browser():
    if BROWSER is None:
        pytest.skip(f"no browser: expected one of {', '.join(BROWSERS)}, found none (Debian: chromium-headless-shell)")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def opened(browser, page_file):
    contexts = []

    def open_page(width=1280, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
        contexts.append(context)
        page = context.new_page()
        page.said = []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else page.said.append(r.url))
        page.goto(page_file.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_and_says_no_error(opened, width, scheme):
    page = opened(width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # Nothing reaches out of the page either, but for what scrolls in a frame of its own.
    out = page.evaluate(
        """width => [...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll, svg, .store")
            && e.getBoundingClientRect().right > width + 1).map(e => e.outerHTML.slice(0, 80))""",
        width,
    )
    assert out == []
    assert page.said == []


def test_every_image_loads(opened):
    page = opened()
    sizes = page.evaluate(
        """() => Promise.all([...document.querySelectorAll("image, img")].map(async element => {
            const image = new Image();
            image.src = element.getAttribute("href") ?? element.src;
            await image.decode();
            return image.naturalWidth;
        }))"""
    )
    assert len(sizes) >= 2
    assert set(sizes) == {48}
    uses = page.evaluate("[...document.querySelectorAll('use')].map(u => !!document.querySelector(u.href.baseVal))")
    assert uses
    assert all(uses)
    assert page.evaluate("[...document.querySelectorAll('.photo')].every(p => p.getBoundingClientRect().width > 80)")


def column(page, name):
    return page.evaluate(
        """name => {
            const table = document.getElementById("results"), heads = [...table.tHead.rows[1].cells];
            const at = heads.findIndex(h => h.textContent.trim().startsWith(name));
            return [...table.tBodies[0].rows].map(r => r.cells[at].dataset.sort ?? "");
        }""",
        name,
    )


def test_the_table_sorts_both_ways_and_keeps_what_is_missing_last(opened):
    page = opened()
    before = column(page, "AP")
    page.click("#results thead tr:nth-child(2) th:has-text('AP') button")
    falling = [float(v) for v in column(page, "AP")]
    assert falling == sorted(falling, reverse=True)
    assert sorted(before) == sorted(column(page, "AP"))
    page.click("#results thead tr:nth-child(2) th:has-text('AP') button")
    assert [float(v) for v in column(page, "AP")] == falling[::-1]
    for _ in range(2):
        page.click("#results thead tr:nth-child(2) th:has-text('Δ AP') button")
        assert column(page, "Δ AP")[-2:] == ["", ""]  # the baselines
    page.click("#results thead tr:nth-child(2) th:has-text('start') button")
    assert column(page, "start") == sorted(column(page, "start"))
    assert page.get_attribute("#results thead tr:nth-child(2) th", "aria-sort") == "ascending"
    assert page.said == []


def test_colours_can_be_chosen_and_overlays_hidden(opened):
    page = opened()

    def ground():
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    light = ground()
    page.click("#theme")
    assert ground() == light
    page.click("#theme")
    assert ground() != light
    assert page.is_visible(".photo .labels text")
    page.uncheck("[data-part=labels]")
    assert not page.is_visible(".photo .labels text")
    assert page.is_visible(".photo .shapes .box")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(opened, scheme):
    """WCAG's contrast of at least 4.5 for text, 3 for marks of charts."""
    page = opened(1280, scheme)
    contrast = """selector => {
        const rgb = text => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
        const light = c => { const [r, g, b] = c.map(v => { v /= 255;
            return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const element = document.querySelector(selector);
        const style = getComputedStyle(element);
        let ground = element;
        while (getComputedStyle(ground).backgroundColor === "rgba(0, 0, 0, 0)") ground = ground.parentElement;
        const ink = light(rgb(element.closest("svg") && style.fill !== "none" ? style.fill : style.color));
        const below = light(rgb(getComputedStyle(ground).backgroundColor));
        return (Math.max(ink, below) + 0.05) / (Math.min(ink, below) + 0.05);
    }"""
    for selector in ("h1", ".caveat", ".note", ".limits", ".verdict", "nav a", ".panel figcaption", ".chart .tick"):
        assert page.evaluate(contrast, selector) >= 4.5, selector
    for series in range(3):
        assert page.evaluate(contrast, f".panel .mark.s{series}") >= 3, series

"""The report in a real Chromium without a screen: it loads without complaint and without network, filters, sorts, rotates."""

import os
import re
import shutil
import time

import numpy as np
import pytest
import torch

from moo_mtl import report, runs, storage
from moo_mtl.config import TraceRun
from moo_mtl.tracing import Trace

pytest.importorskip("plotly", reason="the extra [report] is not installed")
webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed; .ci/run installs it")
CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
if not (CHROMIUM and DRIVER):
    pytest.skip("there is no chromium with its chromedriver on this machine", allow_module_level=True)

# fmt: off
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--enable-unsafe-swiftshader", "--window-size=1280,900",
)
# fmt: on
RULES = ("equal", "mgda", "db-mtl")


def sweep(folder, *, problem, tasks, seeds, records, starts):
    """Finished runs of random trajectories: what is tested here is the page, not what it shows."""
    generator = torch.Generator().manual_seed(0)

    def walk(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64).cumsum(0)

    for rule in RULES:
        for seed in range(seeds):
            keys = {"kind": "trace", "problem": problem, "rule": rule, "seed": seed, "lr": 0.1, "steps": records}
            run = runs.locate(folder, "sweep", TraceRun.model_validate(keys).resolved())
            steps, upper = torch.arange(records), walk(records, starts).exp()
            converged = torch.ones(records, starts, dtype=torch.bool)
            losses, weights, x = (walk(records, starts, tasks) for _ in range(3))  # as many variables as losses
            status = torch.zeros(starts, dtype=torch.int64)
            trace = Trace(x, losses, weights, upper / 2, upper, steps, steps, converged, status)
            with run.writing():
                run.begin()
                storage.write(run.result, trace.save)
                run.finish({"loss 1": float(losses[-1, :, 0].mean()), "upper bound": float(upper[-1].max())}, {"seconds": 1.0})


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Reports of a 50 MB sweep with two losses, and of a small one with three."""
    folder = tmp_path_factory.mktemp("browser")
    sizes = {"two-task-toy": (2, 10, 2000, 15), "vlmop1": (3, 2, 50, 6)}
    found = {}
    for problem, (tasks, seeds, records, starts) in sizes.items():
        if tasks == 3:
            problem = {"name": "dtlz2", "n_tasks": 3, "n_dim": 3}
        where = folder / str(tasks)
        sweep(where, problem=problem, tasks=tasks, seeds=seeds, records=records, starts=starts)
        found[tasks] = report.write(where, where / "report.html"), sum(file.stat().st_size for file in where.rglob("*.npz"))
    return found


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_script_timeout(60)
    yield driver
    driver.quit()


class Page:
    """One report in the browser, its first figure drawn."""

    def __init__(self, driver, file, *, width=1280, dark=False):
        self.driver = driver
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
        for kind in ("browser", "performance"):
            driver.get_log(kind)  # what earlier pages said
        driver.get(f"file://{file}")
        self.wait("return document.documentElement.dataset.firstFigure")

    def __call__(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def wait(self, script, *arguments):
        deadline = time.monotonic() + 60
        while not (answer := self(script, *arguments)):
            assert time.monotonic() < deadline, script
            time.sleep(0.05)
        return answer

    def complaints(self):
        return [line for line in self.driver.get_log("browser") if line["level"] == "SEVERE"]

    def requests(self):
        messages = [line["message"] for line in self.driver.get_log("performance")]
        urls = [
            url
            for message in messages
            if "Network.requestWillBeSent" in message
            for url in re.findall(r'"url":"([^"]+)"', message)
        ]
        return [url for url in urls if not url.startswith(("file:", "data:", "blob:"))]

    def shot(self, name):
        """A picture to look at, where ``REPORT_SHOTS`` names a folder."""
        if "REPORT_SHOTS" in os.environ:
            self.driver.save_screenshot(os.path.join(os.environ["REPORT_SHOTS"], f"{name}.png"))

    def visible(self, figure=0):
        return self(
            f"const data = document.getElementById('figure-{figure}').data;"
            "return [...new Set(data.filter(t => t.visible !== false).map(t => t.meta.rule))].filter(r => r)"
        )


def test_a_sweep_of_50_megabytes_is_a_page_of_10_that_draws_at_once(browser, pages):
    written, size = pages[2]
    assert size > 40e6
    assert written.bytes <= 10e6
    assert any(note.startswith("Thinned: ") for note in written.notes)
    page = Page(browser, written.file)
    metrics = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    seconds = {metric["name"]: metric["value"] for metric in metrics}["ThreadTime"]
    assert seconds < 3.0, "of the page's own thread until its first figure stood, however busy the machine"
    page.shot("sweep")
    for figure in range(page("return document.querySelectorAll('.plot').length")):
        page(f"document.getElementById('figure-{figure}').scrollIntoView()")
        page.wait(f"return !!document.getElementById('figure-{figure}').data")
    assert page.complaints() == []
    assert page.requests() == []


def test_rules_are_hidden_and_shown_in_every_figure_and_table(browser, pages):
    page = Page(browser, pages[2][0].file)
    page.wait("return !!document.getElementById('figure-1').data")
    assert set(page.visible()) == set(RULES)
    page("document.querySelector('.chip[data-rule=mgda]').click()")
    assert set(page.visible(0)) == set(page.visible(1)) == {"equal", "db-mtl"}
    rows = "return [...document.querySelectorAll('tbody tr')].filter(r => r.offsetHeight).map(r => r.dataset.rule)"
    assert set(page(rows)) == {"equal", "db-mtl"}
    page("document.querySelector('.none').click()")
    assert page.visible() == []
    page("document.querySelector('.all').click()")
    assert set(page.visible()) == set(RULES)
    assert page.complaints() == []


def test_one_task_is_chosen_of_several(browser, pages):
    page = Page(browser, pages[2][0].file)
    page.wait("return !!document.getElementById('figure-2').data")
    parts = (
        "return [...new Set(document.getElementById('figure-2').data.filter(t => t.visible !== false).map(t => t.meta.part))]"
    )
    assert page(parts) == ["loss 1"]
    page(
        "const s = document.querySelector('select[data-figure=\"2\"]');s.value = 'loss 2'; s.dispatchEvent(new Event('change'))"
    )
    assert page(parts) == ["loss 2"]


def test_tables_sort_by_number(browser, pages):
    page = Page(browser, pages[2][0].file)
    column = (
        "const t = [...document.querySelectorAll('table')].at(-1);"
        "const n = [...t.tHead.rows[0].cells].findIndex(c => c.textContent === 'upper bound');"
    )
    read = column + "return [...t.tBodies[0].rows].map(r => Number(r.cells[n].dataset.v))"
    page(column + "t.tHead.rows[0].cells[n].click()")
    rising = page(read)
    page(column + "t.tHead.rows[0].cells[n].click()")
    assert len(rising) == 30
    assert rising == sorted(rising)
    assert page(read) == rising[::-1]


def test_three_losses_rotate(browser, pages):
    from selenium.webdriver import ActionChains

    page = Page(browser, pages[3][0].file)
    camera = "return JSON.stringify(document.getElementById('figure-0')._fullLayout.scene._scene.getCamera().eye)"
    page.wait("return !!document.getElementById('figure-0')._fullLayout.scene._scene")
    before = page(camera)
    scene = browser.find_element("css selector", "#figure-0")
    ActionChains(browser).move_to_element(scene).click_and_hold().move_by_offset(120, 60).release().perform()
    page.wait(f"return (() => {{ {camera} }})() !== arguments[0]", before)
    page.shot("three")
    assert page.complaints() == []


@pytest.mark.parametrize("dark", [False, True])
def test_phone_width_and_dark_mode(browser, pages, dark):
    page = Page(browser, pages[2][0].file, width=390, dark=dark)
    assert page("return document.documentElement.scrollWidth") <= 390
    assert page("return document.getElementById('figure-0').offsetWidth") <= 390
    ink, paper = (
        np.mean([int(part) for part in re.findall(r"\d+", page(f"return getComputedStyle(document.body).{what}"))[:3]])
        for what in ("color", "backgroundColor")
    )
    assert (ink > 200 and paper < 50) if dark else (ink < 50 and paper > 200)
    font = page("return document.getElementById('figure-0')._fullLayout.font.color")
    page("document.getElementById('theme').click()")
    assert page("return document.getElementById('figure-0')._fullLayout.font.color") != font
    page.shot(f"phone-{'dark' if dark else 'light'}")
    assert page.complaints() == []


def test_hovering_tells_rule_seed_losses_and_certificate(browser, pages):
    page = Page(browser, pages[2][0].file)
    page(
        "const plot = document.getElementById('figure-0');"
        "const n = plot.data.findIndex(t => t.mode === 'markers' && t.meta.rule === 'mgda');"
        "Plotly.Fx.hover(plot, [{curveNumber: n, pointNumber: 0}])"
    )
    text = page.wait("return document.querySelector('#figure-0 .hoverlayer')?.textContent")
    for word in ("mgda", "seed 0", "trajectory 0", "loss 1", "loss 2", "certificate", "between"):
        assert word in text

"""The report and the explorer open from disk in a browser: every result is drawn, and nothing complains."""

import json
import re
import shutil
import zipfile
from pathlib import Path

import pytest
from browser import open_browser, severe
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait
from workflow import snakemake

pytestmark = pytest.mark.slow
PATIENCE = 120  # s, on a busy machine
CATEGORIES = {
    *("1. Tables", "2. Protocols", "3. Confusion", "4. Calibration", "5. Training"),
    *("6. States", "7. Corpus", "8. Costs", "9. Utterances"),
}


@pytest.fixture(scope="module")
def browser():
    found = open_browser()
    yield found
    found.quit()


@pytest.fixture(scope="module")
def report(browser, road, tmp_path_factory) -> Path:
    """The unzipped report of the small run; the browser is asked for first, so a skip costs nothing."""
    folder = tmp_path_factory.mktemp("report")
    shutil.copytree(road, folder / "project", symlinks=True)
    small = ("--configfile", "small.json")
    snakemake(folder / "project", "--report", "report.zip", *small)
    with zipfile.ZipFile(folder / "project" / "report.zip") as packed:
        packed.extractall(folder)
    return folder / "report"


def drawn(browser, path: str = "") -> bool:
    """Whether every picture of the page has a size, and there is one: the named one, or any, or a table."""
    return browser.execute_script(
        """
        const images = [...document.images];
        const sized = images.every(one => one.complete && one.naturalWidth > 0 && one.naturalHeight > 0);
        const charts = [...document.querySelectorAll("svg.marks, canvas.marks")];
        const wide = charts.every(chart => chart.getBoundingClientRect().width > 50);
        // the report's own page always holds a logo and a table of its results
        const named = images.some(one => one.getAttribute("src") === arguments[0]);
        const any = images.length + charts.length + document.querySelectorAll("td").length > 0;
        return sized && wide && (arguments[0] ? named : any);
        """,
        path,
    )


def test_the_report_shows_every_result(browser, report):
    browser.get((report / "report.html").as_uri())
    wait = WebDriverWait(browser, PATIENCE)
    wait.until(lambda page: "CoRe-KD" in page.find_element(By.TAG_NAME, "body").text)
    page = (report / "report.html").read_text(encoding="utf-8")
    results = json.loads(re.search(r"var results = (\{.*?\});\n", page)[1])
    assert not severe(browser)
    assert set(browser.execute_script("return Object.keys(categories)")) == CATEGORIES
    seen = set()
    for category in sorted(CATEGORIES):
        browser.execute_script("app.setView({navbarMode: 'menu'})")
        link = f"//a[.//span[text()='{category}']]"
        wait.until(lambda page, link=link: page.find_elements(By.XPATH, link))[0].click()
        rows = wait.until(lambda page: page.find_elements(By.CSS_SELECTOR, "tbody tr"))
        for place in range(len(rows)):
            eye = browser.find_elements(By.CSS_SELECTOR, "tbody tr")[place].find_element(By.TAG_NAME, "a")
            eye.click()
            path = wait.until(lambda page: page.execute_script("return app.state.resultPath"))
            assert results[path]["caption"], f"{path} has no caption"
            frames = browser.find_elements(By.TAG_NAME, "iframe")
            if frames:
                browser.switch_to.frame(frames[0])
            picture = "" if frames else browser.execute_script("return app.state.contentPath")
            assert frames or picture, f"{path} is neither a page nor a picture"
            wait.until(lambda page, picture=picture: drawn(page, picture), f"{path} is not drawn")
            browser.switch_to.default_content()
            seen.add(path)
    assert seen == set(results)
    assert not severe(browser)


def test_a_result_tells_what_it_is_and_how_it_was_made(browser, report):
    browser.get((report / "report.html").as_uri())
    wait = WebDriverWait(browser, PATIENCE)
    wait.until(lambda page: page.execute_script("return typeof app !== 'undefined'"))
    path = browser.execute_script("return Object.keys(results).find(name => name.endsWith('donor_bias.svg'))")
    browser.execute_script("app.showResultInfo(arguments[0])", path)
    wait.until(lambda page: "the donor's label is predicted" in page.find_element(By.TAG_NAME, "body").text)
    assert "figures" in browser.find_element(By.TAG_NAME, "body").text
    assert not severe(browser)


def test_the_explorer_reads_dialogues_under_every_condition(browser, report):
    (page,) = report.rglob("explorer.html")
    browser.get(page.as_uri())
    wait = WebDriverWait(browser, PATIENCE)
    wait.until(lambda page: len(page.find_elements(By.CSS_SELECTOR, "#utterances tr")) == 3)

    def rows() -> list[str]:
        return [row.text for row in browser.find_elements(By.CSS_SELECTOR, "#utterances tr")]

    def options(name: str) -> list[str]:
        return [option.text for option in Select(browser.find_element(By.ID, name)).options]

    assert len(options("dialogue")) == 4
    assert options("variant") == ["CoRe-KD", "modality dropout"]
    conditions = options("condition")
    assert {name[:2] for name in conditions} == {"P1", "P2", "P3", "P4"} and len(conditions) == 1 + 6 + 7 + 9
    complete = rows()
    for name in conditions:
        Select(browser.find_element(By.ID, "condition")).select_by_visible_text(name)
        assert len(rows()) == 3 and drawn(browser)
        hidden = browser.find_elements(By.CSS_SELECTOR, "#utterances .slot.masked")
        assert name != "P2: text only" or len(hidden) >= 3
        assert not name.startswith("P1") or (not hidden and rows() == complete)
    for chart in ("overview", "detail"):
        marks = browser.find_elements(
            By.CSS_SELECTOR, f"#{chart} svg .mark-symbol path, #{chart} svg .mark-rect path"
        )
        assert marks, f"the chart {chart} is empty"
    browser.find_element(By.ID, "after").click()
    assert rows() != complete
    browser.find_elements(By.CSS_SELECTOR, "#utterances tr")[2].click()
    chosen = [
        row.get_attribute("aria-selected") for row in browser.find_elements(By.CSS_SELECTOR, "#utterances tr")
    ]
    assert chosen == ["false", "false", "true"]
    assert not severe(browser)

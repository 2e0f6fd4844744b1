"""A real browser: Chromium drives JupyterLab, opens notebooks 08 and 09, runs all cells, moves a
slider by keyboard, and the picture changes.

ROBULT_SCREENSHOTS=figures/screenshots keeps the two screenshots in that folder of the repository.
The tests are skipped where there is no Chromium or Chrome.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

NOTEBOOKS = {
    "08_latent_inspection": "model",
    "09_rbf_weights": "temperature",
}  # and the slider that is moved
NO_QUESTIONS = {  # settings of JupyterLab, which else asks in front of the page
    "apputils-extension/notification": {"fetchNews": "false"},
    "notebook-extension/tracker": {"autoStartDefaultKernel": True},
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.serial, pytest.mark.xdist_group("browser"), pytest.mark.timeout(1500)]


def find_browser() -> str:
    """Path of a Chromium; ROBULT_BROWSER names another one. Skips the test where there is none."""
    found = [os.environ.get("ROBULT_BROWSER"), *map(shutil.which, BROWSERS)]
    if not any(found):
        pytest.skip(
            "no browser found: install Debian's package chromium, or name one in ROBULT_BROWSER"
        )
    return next(filter(None, found))


def wait_until(condition, seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.3)


def answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as reply:
        return reply.status == 200
    return False


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[str]:
    """Address of a JupyterLab on loopback that sees a copy of the notebooks, with settings and
    workspaces of its own."""
    find_browser()  # without one there is nothing to serve
    pytest.importorskip("jupyterlab")
    home = tmp_path_factory.mktemp("lab")
    (home / "work").mkdir()
    for name, settings in NO_QUESTIONS.items():
        file = home / f"user/@jupyterlab/{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(settings))
    for name in NOTEBOOKS:
        shutil.copy(ROOT / f"notebooks/{name}.ipynb", home / "work")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folders = {
        name: str(home / name.lower())
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")
    }
    folders |= {
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "spaces"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "user"),
    }
    ours = {
        "ROBULT_PROFILE": "smoke",
        # next to notebooks/, whose smoke runs are the same ones
        "ROBULT_OUT": os.environ.get("ROBULT_SMOKE_OUT", str(home / "out")),
        "ROBULT_DATA": "",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    token = secrets.token_hex(8)
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--ip=127.0.0.1",
        f"--port={port}",
        "--ServerApp.port_retries=0",
        "--allow-root",
        f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={home / 'work'}",
        "--ContentsManager.allow_hidden=True",
    ]
    with open(home / "lab.log", "w") as log:
        server = subprocess.Popen(
            command, env={**os.environ, **folders, **ours}, stdout=log, stderr=log
        )
    try:
        url = f"http://127.0.0.1:{port}/lab"
        wait_until(
            lambda: server.poll() is not None or answers(f"{url}?token={token}"),
            60,
            "JupyterLab to answer",
        )
        assert server.poll() is None, (home / "lab.log").read_text()
        yield f"{url}/tree/{{}}.ipynb?token={token}"
    finally:
        server.terminate()
        server.wait(20)


def keep_screenshot(page, name: str) -> None:
    folder = os.environ.get("ROBULT_SCREENSHOTS")
    if folder:
        (ROOT / folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=ROOT / folder / f"{name}.png")


def close_dialog(page) -> None:
    """Accept what JupyterLab asks, such as which kernel, when the machine is slow to start one."""
    dialog = page.locator("dialog.jp-Dialog")
    if dialog.count():
        print(dialog.first.inner_text())  # pytest shows it where the test fails
        dialog.first.locator("button.jp-mod-accept").click()


def choose_run_all(page) -> None:
    """Click through the menu; a dialog that comes up meanwhile is met at the next try."""
    from playwright.sync_api import TimeoutError as TooLong

    with contextlib.suppress(TooLong):
        page.get_by_role("menuitem", name="Run", exact=True).click(timeout=5000)
        page.get_by_text("Run All Cells", exact=True).click(timeout=5000)


def run_all_cells(page) -> None:
    """Through the menu, as a person does; ends when the last cell has its number or a cell has
    failed."""
    prompts = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell .jp-InputPrompt")
    for _ in range(20):  # a click before the kernel is connected is lost without a word
        close_dialog(page)
        page.keyboard.press("Escape")  # a menu that is open would be closed by the click
        choose_run_all(page)
        page.wait_for_timeout(1500)
        if any(mark in text for text in prompts.all_text_contents() for mark in ("[*]", "[1]")):
            break
    panel = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    failed = panel.locator(
        '[data-mime-type="application/vnd.jupyter.error"], '
        '[data-mime-type="application/vnd.jupyter.stderr"]'
    )
    script = """() => {
        const panel = document.querySelector('.jp-NotebookPanel:not(.lm-mod-hidden)');
        const cells = panel.querySelectorAll('.jp-CodeCell .jp-InputPrompt');
        return cells.length > 0 && [...cells].every(cell => /\\[\\d+\\]/.test(cell.textContent));
    }"""
    wait_until(lambda: failed.count() > 0 or page.evaluate(script), 240, "all cells to finish")
    assert failed.count() == 0, failed.first.inner_text()


def move_slider(page, label: str) -> tuple[str, str]:
    """Focus the handle of the slider, press an arrow key; the source of the widget's picture before
    and after."""
    box = page.locator(".widget-vbox").filter(has_text=label)
    box.scroll_into_view_if_needed()
    picture = box.locator("img").last
    before = picture.get_attribute("src")
    handle = box.locator(".widget-inline-hbox").filter(has_text=label).locator(".noUi-handle").first
    handle.focus()
    handle.press("ArrowLeft")
    wait_until(
        lambda: box.locator("img").last.get_attribute("src") != before, 10, "the picture to change"
    )
    return before, box.locator("img").last.get_attribute("src")


def opened_and_run(browser, address: str):
    """A page whose cells have all run. Where JupyterLab does not come so far, a machine under load
    having lost a connection, the page is opened once more with a fresh kernel; a cell that fails is
    not tried again."""
    from playwright.sync_api import TimeoutError as TooLong

    try:
        return open_and_run(browser, address)
    except (TooLong, pytest.fail.Exception) as error:
        print(f"opened once more, because: {error}; kernels: {end_kernels(address)}")
        return open_and_run(browser, address)


def end_kernels(address: str) -> list[str]:
    """Shut all kernels down, since a page that is opened again finds the one it had; the states
    that they were in."""
    server, token = address.partition("/lab/")[0], address.partition("token=")[2]
    states = []
    for kernel in json.load(ask(f"{server}/api/kernels", token)):
        states.append(kernel["execution_state"])
        ask(f"{server}/api/kernels/{kernel['id']}", token, "DELETE").close()
    return states


def ask(url: str, token: str, method: str = "GET"):
    headers = {"Authorization": f"token {token}"}
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers, method=method))


def open_and_run(browser, address: str):
    page = browser.new_page(viewport={"width": 1300, "height": 1100})
    page.goto(address, wait_until="domcontentloaded")
    cells = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell")
    cells.first.wait_for(timeout=60_000)
    status = page.locator(".jp-StatusBar-Widget, #jp-main-statusbar")
    status.get_by_text("| Idle").first.wait_for(timeout=60_000)
    run_all_cells(page)
    return page


def test_keyboard_moves_the_sliders_of_both_notebooks(lab):
    playwright = pytest.importorskip("playwright.sync_api")
    path = find_browser()
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        for name, label in NOTEBOOKS.items():
            page = opened_and_run(browser, lab.format(name))
            before, after = move_slider(page, label)
            assert before.startswith("data:image/png;base64,")
            assert after.startswith("data:image/png;base64,")
            assert before != after
            assert page.locator(".widget-vbox img").last.get_attribute("alt")
            keep_screenshot(page, name)
        browser.close()

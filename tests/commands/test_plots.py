"""DVC's plots on one offline page: of the workspace, and of two commits overlaid."""

import argparse
import subprocess
from pathlib import Path

import pytest

from pipeline.commands import plots
from pipeline.errors import InputError
from tests.support.browser import chromium

# Share of a chart's pixels that differ from the background.
DRAWN_SHARE = """() => {
  const canvas = document.querySelector("canvas");
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let inked = 0;
  for (let place = 0; place < pixels.length; place += 4) inked += pixels[place + 3] > 0 && pixels[place + 1] < 200;
  return inked / (canvas.width * canvas.height);
}"""


def git(*arguments: str) -> None:
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments], check=True)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one plot of losses."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    analytics = false\n    check_update = false\n")
    (tmp_path / ".dvc" / ".gitignore").write_text("/tmp\n/cache\n")
    (tmp_path / "dvc.yaml").write_text("plots:\n- losses:\n    x: images\n    y:\n      history.csv: loss\n")
    (tmp_path / "history.csv").write_text("images,loss\n0,3\n64,2\n128,1.5\n")
    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message", "first")
    return tmp_path


def plots_page(*revisions: str) -> str:
    page = Path("reports/plots.html")
    plots.run(argparse.Namespace(revisions=list(revisions), page=page))
    return page.read_text(encoding="utf-8")


def test_page_draws_offline(project: Path) -> None:
    html = plots_page()
    assert 'src="http' not in html
    assert html.count("<script>") == html.count("</script>") - html.count('<script type = "text/javascript">')
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 390, "height": 800})
        messages: list[str] = []
        page.on("console", lambda message: messages.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("request", lambda request: messages.append(request.url) if request.url.startswith("http") else None)
        page.goto((project / "reports" / "plots.html").as_uri())
        page.wait_for_selector("canvas")
        assert page.evaluate(DRAWN_SHARE) > 0.001
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert messages == []


def test_commits_are_overlaid(project: Path) -> None:
    (project / "history.csv").write_text("images,loss\n0,7.25\n64,2\n128,1.5\n")
    git("commit", "--quiet", "--all", "--message", "second")
    html = plots_page("HEAD~1", "HEAD")
    assert '"7.25"' in html
    assert '"HEAD~1"' in html


def test_project_without_plots_raises_input_error(project: Path) -> None:
    (project / "history.csv").unlink()
    with pytest.raises(InputError, match=r"dvc plots show: "):
        plots_page()
    assert not (project / "reports").exists()

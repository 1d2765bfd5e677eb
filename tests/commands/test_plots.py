"""DVC's plots as one page without a network: of the workspace, and of two commits laid over each other."""

import argparse
import subprocess
from pathlib import Path

import pytest

from pipeline.commands import plots
from pipeline.errors import InputError
from tests.support.browser import chromium

# The share of a chart's pixels that are not of its background.
DRAWN = """() => {
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


def made(*revisions: str) -> str:
    page = Path("reports/plots.html")
    plots.run(argparse.Namespace(revisions=list(revisions), page=page))
    return page.read_text(encoding="utf-8")


def test_the_page_draws_without_a_network(project: Path) -> None:
    html = made()
    assert 'src="http' not in html
    assert html.count("<script>") == html.count("</script>") - html.count('<script type = "text/javascript">')
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 390, "height": 800})
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url) if request.url.startswith("http") else None)
        page.goto((project / "reports" / "plots.html").as_uri())
        page.wait_for_selector("canvas")
        assert page.evaluate(DRAWN) > 0.001
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert complaints == []


def test_commits_are_laid_over_each_other(project: Path) -> None:
    (project / "history.csv").write_text("images,loss\n0,7.25\n64,2\n128,1.5\n")
    git("commit", "--quiet", "--all", "--message", "second")
    html = made("HEAD~1", "HEAD")
    assert '"7.25"' in html
    assert '"HEAD~1"' in html


def test_nothing_to_draw_is_one_line(project: Path) -> None:
    (project / "history.csv").unlink()
    with pytest.raises(InputError, match=r"dvc plots show: .*snakemake"):
        made()
    assert not (project / "reports").exists()

"""Draw DVC's plots of this run, or of several revisions, on one page that needs no network."""

import argparse
import logging
import subprocess
import sys
import tempfile
from pathlib import Path

from snakemake.assets import Assets

from pipeline.errors import InputError
from pipeline.storage.files import output_file, refuse_output, write_text

log = logging.getLogger(__name__)

TEMPLATE = Path(__file__).parent / "templates" / "plots.html"
DEFAULT_PAGE = Path("reports/plots.html")
# DVC's own page loads these from the web; Snakemake's wheel brings them for its report.
SCRIPTS = ("vega/vega.js", "vega-lite/vega-lite.js", "vega-embed/vega-embed.js")


def configure(command: argparse.ArgumentParser) -> None:
    """Add the options of `python -m pipeline plots`."""
    command.add_argument(
        "revisions", nargs="*", metavar="REVISION", help="commits to lay over each other, as `dvc plots diff` does"
    )
    command.add_argument("--page", type=Path, default=DEFAULT_PAGE, help=f"file to write (default: {DEFAULT_PAGE})")


def template_with_scripts() -> str:
    """A template for DVC's plots that holds what draws them. Raises InputError."""
    try:
        scripts = [(Assets.base_path() / name).read_text(encoding="utf-8") for name in SCRIPTS]
    except OSError as error:
        raise InputError(
            f"{error.filename}: not in this snakemake; `dvc plots show` draws with scripts from the web"
        ) from error
    # Within a script an end tag would end it, even in a string.
    inside = "\n".join("<script>" + script.replace("</script", "<\\/script") + "</script>" for script in scripts)
    return TEMPLATE.read_text(encoding="utf-8").replace("<!-- scripts -->", inside)


def run(options: argparse.Namespace) -> None:
    """Write the page. Raises InputError when DVC has nothing to draw, or the page cannot be written."""
    for revision in options.revisions:
        if not revision or revision.startswith("-"):  # DVC would take it for an option
            raise InputError(f"{revision!r}: not a commit; name commits, tags or branches")
    refuse_output(options.page)
    with tempfile.TemporaryDirectory() as folder:
        template, drawn = Path(folder) / "template.html", Path(folder) / "drawn"
        write_text(template, template_with_scripts())
        which = ["diff", *options.revisions] if options.revisions else ["show"]
        command = [sys.executable, "-m", "dvc", "plots", *which, "--html-template", str(template), "--out", str(drawn)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        complaint = (done.stderr.strip() or "no plots").splitlines()[-1]
        page = (drawn / "index.html").read_text(encoding="utf-8") if (drawn / "index.html").is_file() else ""
    # DVC gives a plot without data an empty place.
    if '"$schema"' not in page.rpartition("<main>")[2]:
        raise InputError(
            f"dvc plots {' '.join(which)}: {complaint.rstrip('.')}; run `snakemake` first, or name commits that ran"
        )
    if done.stderr:
        log.warning("%s", complaint)
    with output_file(options.page) as partial:
        partial.write_text(page, encoding="utf-8")
    sys.stdout.write(f"{options.page}\n")

"""Draw DVC's plots of this run, or of several revisions, on one page that works offline."""

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
# DVC's own page loads these from the web. Snakemake ships them for its report.
SCRIPTS = ("vega/vega.js", "vega-lite/vega-lite.js", "vega-embed/vega-embed.js")


def configure(command: argparse.ArgumentParser) -> None:
    """Add the options of `python -m pipeline plots`."""
    command.add_argument("revisions", nargs="*", metavar="REVISION", help="commits to overlay, as in `dvc plots diff`")
    command.add_argument("--page", type=Path, default=DEFAULT_PAGE, help=f"file to write (default: {DEFAULT_PAGE})")


def template_with_scripts() -> str:
    """A template for DVC's plots with Vega's scripts inlined. Raises InputError."""
    try:
        scripts = [(Assets.base_path() / name).read_text(encoding="utf-8") for name in SCRIPTS]
    except OSError as error:
        raise InputError(
            f"{error.filename}: missing from this snakemake; `dvc plots show` works with scripts from the web"
        ) from error
    # An end tag inside a script would end it, even in a string.
    inside = "\n".join("<script>" + script.replace("</script", "<\\/script") + "</script>" for script in scripts)
    return TEMPLATE.read_text(encoding="utf-8").replace("<!-- scripts -->", inside)


def run(options: argparse.Namespace) -> None:
    """Write the page. Raises InputError if DVC has nothing to draw, or the page cannot be written."""
    for revision in options.revisions:
        if not revision or revision.startswith("-"):  # DVC would parse it as an option
            raise InputError(f"{revision!r}: not a commit; give commits, tags or branches")
    refuse_output(options.page)
    with tempfile.TemporaryDirectory() as folder:
        template, drawn = Path(folder) / "template.html", Path(folder) / "drawn"
        write_text(template, template_with_scripts())
        arguments = ["diff", *options.revisions] if options.revisions else ["show"]
        command = [sys.executable, "-m", "dvc", "plots", *arguments, "--html-template", str(template), "--out", str(drawn)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        last_line = (done.stderr.strip() or "no plots").splitlines()[-1]
        page = (drawn / "index.html").read_text(encoding="utf-8") if (drawn / "index.html").is_file() else ""
    # DVC leaves an empty placeholder for a plot without data.
    if '"$schema"' not in page.rpartition("<main>")[2]:
        raise InputError(
            f"dvc plots {' '.join(arguments)}: {last_line.rstrip('.')}; run `snakemake` first, or give commits with results"
        )
    if done.stderr:
        log.warning("%s", last_line)
    with output_file(options.page) as partial:
        partial.write_text(page, encoding="utf-8")
    sys.stdout.write(f"{options.page}\n")

"""The designers' studio: a local web app on an exported generator.

The modules of `studio/`: a `recipe` determines a picture and is its address; `model` draws recipes. `directions`, `projection`
and `suggestions` find latents, the last by `profile` and votes; `patterns`, `fabric` and `style_transfer` dress a garment in a
style; `trends` draws what is in fashion next; `sheets` makes downloads. `database` stores collections, `jobs` runs long work,
`service` combines all this, `routes` and `app` are its HTTP API, `http_limits` protects it, and `serve` starts the server.
"""

import argparse
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.tracking.model_registry import SCHEME, bring_registered

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
DEFAULT_TRENDS = Path("reports/trends.json")


def configure(command: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    command.add_argument(
        "--model",
        default="models/export",
        help="folder of an exported model, or one of MLflow's registry: models:/NAME, models:/NAME/VERSION, models:/NAME@ALIAS",
    )
    command.add_argument("--host", default=LOOPBACK, help=f"address to listen on; any but {LOOPBACK} needs a token")
    command.add_argument("--port", type=int, default=8420, help="port to listen on, 0 for any that is free (default: 8420)")
    command.add_argument("--token", help="secret of the browsers, at least 16 letters or digits; `new` generates one")
    command.add_argument(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another host name, NAME or NAME:PORT, under which browsers reach the studio",
    )
    command.add_argument(
        "--root-path", default="", metavar="PATH", help="prefix under which a reverse proxy serves the studio, such as /atelier"
    )
    command.add_argument("--state", type=Path, help="SQLite file with collections, names and votes")
    command.add_argument("--style-weights", type=Path, help="folder of a compressed VGG-19, for whitening and colouring")
    command.add_argument(
        "--person-models", type=Path, help="folder of the networks that find people, for try-on (python -m pipeline tryon)"
    )
    command.add_argument(
        "--trends", type=Path, help=f"what the stage trends forecast (default: {DEFAULT_TRENDS}, if it is there)"
    )


def run(options: argparse.Namespace) -> None:
    """Serve until interrupted. Raises InputError."""
    from studio.serve import serve  # fastapi and onnxruntime, which no other command needs

    with opened_folder(options.model) as folder:
        serve(
            folder,
            host=options.host,
            port=options.port,
            token=options.token,
            allowed_hosts=options.allowed_host,
            state=options.state,
            style_weights=options.style_weights,
            person_models=options.person_models,
            trends=options.trends or (DEFAULT_TRENDS if DEFAULT_TRENDS.exists() else None),
            root_path=options.root_path,
        )


@contextmanager
def opened_folder(model: str) -> Iterator[Path]:
    """The folder of an exported `model`; a registered one is copied to a temporary folder. Raises InputError."""
    if not model.startswith(SCHEME):
        yield Path(model)
        return
    with tempfile.TemporaryDirectory() as folder:
        log.info("opening %s", bring_registered(model, Path(folder)))
        yield Path(folder)

"""nginx in front of a server, as it comes: it takes bodies of at most 1 MB."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.processes import started
from tests.support.mlflow_server import free_port, wait_for_answer

# One process, which needs no other user; what it keeps is in the test's folder. Its limit of bodies is its own default, 1 MB.
CONFIG = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {server};
            proxy_set_header Host $http_host;
        }}
    }}
}}
"""


@contextmanager
def proxy(server: str, folder: Path) -> Iterator[str]:
    """Run a proxy of `server`, with its files in `folder`, and yield its URL."""
    port, log = free_port(), folder / "nginx.log"
    (folder / "nginx.conf").write_text(CONFIG.format(folder=folder, port=port, server=server))
    command = ["/usr/sbin/nginx", "-p", str(folder), "-e", str(log), "-c", str(folder / "nginx.conf")]
    with started(command, log) as process:
        wait_for_answer(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}"

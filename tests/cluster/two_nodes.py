"""Two nodes on this machine: network namespaces, joined by a link that can be cut. Needs root."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

NODES = ("atelier0", "atelier1")
ADDRESSES = ("10.77.0.1", "10.77.0.2")
WIRE = "wire"  # the interface of each node


def ip(*arguments: str) -> None:
    """Run `ip` with these arguments. Raises RuntimeError with what it says when it fails."""
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def on_node(node: int, *command: str) -> list[str]:
    """`command` as it runs on a node, 0 or 1."""
    return ["ip", "netns", "exec", NODES[node], *command]


def cut_the_link() -> None:
    """Take the link between the nodes down."""
    ip("-netns", NODES[0], "link", "set", WIRE, "down")


def restore_the_link() -> None:
    """Bring the link between the nodes up."""
    ip("-netns", NODES[0], "link", "set", WIRE, "up")


def give_up_after(retransmissions: int) -> None:
    """Have both kernels end a connection whose data were sent so many times again without an answer."""
    for node in range(len(NODES)):
        subprocess.run(on_node(node, "sysctl", "-q", "-w", f"net.ipv4.tcp_retries2={retransmissions}"), check=True)


def _remove() -> None:
    for node in NODES:
        subprocess.run(["ip", "netns", "delete", node], capture_output=True, check=False)


@contextmanager
def two_nodes() -> Iterator[None]:
    """Make both nodes, each with WIRE, its address and a loopback, and remove them at the end. Raises RuntimeError."""
    _remove()  # of a test that was killed
    try:
        for node in NODES:
            ip("netns", "add", node)
        ip("link", "add", WIRE, "netns", NODES[0], "type", "veth", "peer", "name", WIRE, "netns", NODES[1])
        for node, address in zip(NODES, ADDRESSES, strict=True):
            ip("-netns", node, "address", "add", f"{address}/24", "dev", WIRE)
            for interface in ("lo", WIRE):
                ip("-netns", node, "link", "set", interface, "up")
        yield
    finally:
        _remove()

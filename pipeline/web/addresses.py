"""Where a socket may connect: to public addresses, judged on the address itself as it is connected to.

A name is no protection: it may resolve to anything, and to something else a second later. So the judge stands where aiohttp
makes the socket for one address, after resolving and before connecting.
"""

import errno
import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

# IANA's special-purpose registry, written out: `is_global` of Python's ipaddress differs between patch releases.
NOT_PUBLIC_IPV4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # multicast, reserved and broadcast
        "168.63.129.16/32",  # Azure's platform service, private in all but number
    )
)
GLOBAL_UNICAST = IPv6Network("2000::/3")
NOT_PUBLIC_IPV6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments; Teredo is among them
        "2001:db8::/32",
        "2002::/16",  # 6to4: leads to whatever IPv4 address it carries
        "3fff::/20",
    )
)
NAT64 = IPv6Network("64:ff9b::/96")  # how a network without IPv4 reaches the IPv4 web
ISATAP = (0x0000_5EFE, 0x0200_5EFE)  # bits 64 to 95; an IPv4 address follows


class ForbiddenAddressError(OSError):
    """A connection to an address that is not public was about to be made."""

    def __init__(self) -> None:
        # One text for all: aiohttp keeps the class of several errors only when they read alike.
        super().__init__(errno.EACCES, "not a public address")


def _carried_ipv4(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


def is_public(text: str) -> bool:
    """Whether the IP address in `text` belongs to the public internet, whatever way it is written or wrapped."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        carried = _carried_ipv4(address)
        if carried is None:
            isatap = (int(address) >> 32) & 0xFFFF_FFFF in ISATAP
            return address in GLOBAL_UNICAST and not isatap and not any(address in network for network in NOT_PUBLIC_IPV6)
        address = carried
    return not any(address in network for network in NOT_PUBLIC_IPV4)


def is_loopback(text: str) -> bool:
    """Whether the IP address in `text` is this machine's own, written plainly."""
    try:
        return ip_address(text).is_loopback
    except ValueError:
        return False


def guarded_sockets(allow_loopback: bool) -> Callable[[Any], socket.socket]:
    """A socket factory for aiohttp that raises ForbiddenAddressError instead of making a socket for an address not allowed."""

    def make(address_info: Any) -> socket.socket:
        family, kind, protocol, _, (address, *_) = address_info
        if not (is_public(address) or (allow_loopback and is_loopback(address))):
            raise ForbiddenAddressError
        return socket.socket(family, kind, protocol)

    return make

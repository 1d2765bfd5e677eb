"""Protection against server-side request forgery (SSRF): sockets connect only to public addresses.

A host name may resolve to any address, and to another one a second later. The check therefore runs where aiohttp creates the
socket for one address, after resolving and before connecting.
"""

import errno
import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

# IANA's special-purpose registries; Python's own `is_global` differs between patch releases.
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
        "168.63.129.16/32",  # Azure's platform service, private despite its number
    )
)
GLOBAL_UNICAST = IPv6Network("2000::/3")
NOT_PUBLIC_IPV6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, including Teredo
        "2001:db8::/32",
        "2002::/16",  # 6to4, which leads to the IPv4 address embedded in it
        "3fff::/20",
    )
)
NAT64 = IPv6Network("64:ff9b::/96")  # for networks without IPv4
ISATAP = (0x0000_5EFE, 0x0200_5EFE)  # bits 64 to 95; an IPv4 address follows


class ForbiddenAddressError(OSError):
    """The address to connect to is not public."""

    def __init__(self) -> None:
        # aiohttp keeps the class of several errors only if their texts are equal.
        super().__init__(errno.EACCES, "not a public address")


def _embedded_ipv4(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


def is_public(text: str) -> bool:
    """Whether `text` is a public IP address: IPv4, IPv6, or IPv4 embedded in IPv6."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        embedded = _embedded_ipv4(address)
        if embedded is None:
            isatap = (int(address) >> 32) & 0xFFFF_FFFF in ISATAP
            return address in GLOBAL_UNICAST and not isatap and not any(address in network for network in NOT_PUBLIC_IPV6)
        address = embedded
    return not any(address in network for network in NOT_PUBLIC_IPV4)


def is_loopback(text: str) -> bool:
    """Whether `text` is a loopback address."""
    try:
        return ip_address(text).is_loopback
    except ValueError:
        return False


def public_only_socket_factory(allow_loopback: bool) -> Callable[[Any], socket.socket]:
    """A socket factory for aiohttp that raises ForbiddenAddressError for addresses that are not allowed."""

    def create(address_info: Any) -> socket.socket:
        family, kind, protocol, _, (address, *_) = address_info
        if not (is_public(address) or (allow_loopback and is_loopback(address))):
            raise ForbiddenAddressError
        return socket.socket(family, kind, protocol)

    return create

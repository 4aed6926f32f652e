"""Who is at the other end, and over what, where a proxy stands between: its headers are believed
only if the connection comes from an address that pairloop.toml trusts. Pure.

Anybody can send X-Forwarded-For; each proxy appends the address it was called from. So the last
address in it that is no trusted proxy's is the caller's, and whatever stands before was made up or
can't be known.
"""

import ipaddress
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _network(written: str) -> str:
    try:
        found = ipaddress.ip_network(written)
    except ValueError as error:
        raise ValueError(
            "no address and no network; write it as 10.0.0.7 or 10.0.0.0/24"
        ) from error
    if found.prefixlen == 0:
        raise ValueError("this trusts everybody; name the proxy's own address")
    return written


Proxy = Annotated[str, AfterValidator(_network)]


def caller(peer: str, forwarded_for: Sequence[str], trusted: Sequence[str]) -> str:
    """The caller's address: the connection's, or what trusted proxies say of it.

    forwarded_for: the values of X-Forwarded-For, one per header line.
    """
    networks = [ipaddress.ip_network(one) for one in trusted]
    found = _address(peer)
    if found is None or not _within(found, networks):
        return peer
    for part in reversed(",".join(forwarded_for).split(",")):
        said = _address(part.strip())
        if said is None:
            break
        found = said
        if not _within(said, networks):
            break
    return str(found)


def counted_as(address: str) -> str:
    """What attempts are counted by: an IPv6 caller has a whole /64 of addresses to choose from."""
    found = _address(address)
    if not isinstance(found, ipaddress.IPv6Address):
        return address
    return str(ipaddress.ip_network((found, 64), strict=False))


def is_trusted(peer: str, trusted: Sequence[str]) -> bool:
    """Whether the connection comes from one of these addresses."""
    found = _address(peer)
    return found is not None and _within(found, [ipaddress.ip_network(one) for one in trusted])


def is_https(
    peer: str, scheme: str, forwarded_proto: Sequence[str], trusted: Sequence[str]
) -> bool:
    """Whether the browser's connection is encrypted: here, or at a trusted proxy."""
    if not is_trusted(peer, trusted):
        return scheme == "https"
    said = ",".join(forwarded_proto).rsplit(",", 1)[-1].strip().lower()
    return (said or scheme) == "https"


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _address(written: str) -> Address | None:
    """An address, also as "1.2.3.4:80" or "[::1]:80"; None for anything else."""
    if written.startswith("["):
        written = written[1:].partition("]")[0]
    elif written.count(":") == 1:
        written = written.partition(":")[0]
    try:
        found = ipaddress.ip_address(written)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found

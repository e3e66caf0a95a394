"""Trusted proxies: whose X-Forwarded-For is believed, and which address it names."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

_REMEMBERED: Final = 4096  # addresses whose verdict is cached; a check costs 2 us without the cache


class TrustedProxies:
    """The networks whose connections may name the client they forward for.

    Behind a load balancer every connection comes from the same address. ``client`` then tells the clients apart by the
    rightmost address of X-Forwarded-For that is not itself a trusted proxy: everything to its left was written by
    a party that is not trusted, and can be forged.
    """

    __slots__ = ("_networks", "_trusted")

    def __init__(self, networks: Sequence[str] = ()) -> None:
        """``networks`` in CIDR notation, or single addresses. Raises ValueError, naming the one that is neither."""
        self._networks: list[IPv4Network | IPv6Network] = [ip_network(network) for network in networks]
        self._trusted: dict[str, bool] = {}

    def trusts(self, address: str) -> bool:
        """Whether ``address`` is in one of the networks."""
        if not self._networks:
            return False
        known = self._trusted.get(address)
        if known is None:
            known = self._lookup(address)
            if len(self._trusted) >= _REMEMBERED:
                self._trusted.clear()
            self._trusted[address] = known
        return known

    def client(self, peer: str, headers: dict[bytes, bytes]) -> str:
        """The address of the client that a request from ``peer`` is made for, as text; ``peer`` if it is unknown."""
        if not self._networks or not self.trusts(peer):
            return peer
        client = peer
        for hop in reversed(headers.get(b"x-forwarded-for", b"").split(b",")):
            address = _plain_address(hop)
            if address is None:  # "unknown", an obfuscated name, or nothing: the last known hop is all there is
                return client
            client = address
            if not self.trusts(address):
                return client
        return client

    def private(self, peer: str, client: str, headers: dict[bytes, bytes], tls: bool) -> bool:
        """Whether no one could read a request of ``client`` on its way through ``peer``; ``tls``: the last hop had TLS.

        A trusted proxy says in X-Forwarded-Proto how it was reached; if several do, all must have been by https.
        Otherwise it is a request over TLS, or one that never left this machine.
        """
        said = headers.get(b"x-forwarded-proto")
        if said is None or not self.trusts(peer):
            return tls or _is_loopback(client)
        return all(scheme.strip().lower() == b"https" for scheme in said.split(b","))

    def _lookup(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks if network.version == parsed.version)


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _plain_address(hop: bytes) -> str | None:
    """The address of one hop without brackets, port or zone, in its canonical form; None if it is no address."""
    text = hop.strip().decode("ascii", "replace")
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:  # Azure's gateways write IPv4:port
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)

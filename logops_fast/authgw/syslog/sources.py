"""Who a syslog sender is: whether its address may send, and which emitter it is by network or certificate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

_REMEMBERED: Final = 4096  # addresses whose verdict is cached; a look-up costs some microseconds

Network = IPv4Network | IPv6Network


class Sources:
    """The allow list, and the names of emitters.

    ``allow`` has networks in CIDR notation. ``emitters`` maps networks and names of certificates (a DNS name, a URI or
    an e-mail address of the SAN) to emitters: the smallest network that holds an address wins, a name over any
    network. ``default`` is the emitter of all others.

    Raises ValueError for a network with bits outside its mask, which its text names.
    """

    __slots__ = ("_allow", "_default", "_known", "_names", "_networks")

    def __init__(self, allow: Sequence[str], emitters: Mapping[str, str], default: str) -> None:
        self._allow: list[Network] = [ip_network(network) for network in allow]
        self._default = default
        self._names: dict[str, str] = {}
        networks: list[tuple[Network, str]] = []
        for source, emitter in emitters.items():
            if is_network(source):
                networks.append((ip_network(source), emitter))
            else:
                self._names[source.lower()] = emitter
        networks.sort(key=_width)
        self._networks = networks
        self._known: dict[str, str | None] = {}

    def emitter(self, address: str) -> str | None:
        """Return the emitter of an address, None if it may not send."""
        try:
            return self._known[address]
        except KeyError:
            found = self._look_up(address)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[address] = found
            return found

    def emitter_of_certificate(self, certificate: Mapping[str, Any] | None, by_address: str) -> str:
        """Return the emitter of a verified client certificate (as of ``SSLObject.getpeercert``), else the address's."""
        for kind, name in (certificate or {}).get("subjectAltName", ()):
            if kind in ("DNS", "URI", "email") and (emitter := self._names.get(name.lower())) is not None:
                return emitter
        return by_address

    def _look_up(self, text: str) -> str | None:
        try:
            address = ip_address(text.partition("%")[0])
        except ValueError:
            return None
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if not any(_holds(network, address) for network in self._allow):
            return None
        return next((emitter for network, emitter in self._networks if _holds(network, address)), self._default)


def is_network(text: str) -> bool:
    """Whether a text is an address or a network, however wrong its mask is; else it is a name."""
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _width(entry: tuple[Network, str]) -> int:
    network = entry[0]
    return network.max_prefixlen - network.prefixlen


def _holds(network: Network, address: IPv4Address | IPv6Address) -> bool:
    return network.version == address.version and address in network

"""What a host's name or address says of where it is."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Names are not resolved, but for `localhost`: what DNS answers today it may not answer tomorrow."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_network(text: str) -> bool:
    """An address is a network of one."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True

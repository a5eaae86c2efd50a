"""Which hosts only this machine can reach."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Names are not resolved, but for `localhost`: what DNS answers today it may not answer tomorrow."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

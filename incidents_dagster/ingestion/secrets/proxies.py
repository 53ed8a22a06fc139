"""The passwords of proxies, which HTTP_PROXY and its like hold as `http://user:password@host`.

requests sends them; here they are only made known, as some errors show the whole address.
"""

from urllib.parse import unquote
from urllib.request import getproxies

from incidents_dagster.ingestion.secrets.redaction import remember


def remember_proxy_passwords() -> None:
    """Registers them as secrets, however malformed the address is."""
    for address in getproxies().values():
        credentials = address.rpartition("@")[0].rpartition("//")[2]
        user, _, password = credentials.partition(":")
        # Without a colon, the user is a token.
        for secret in (credentials, password or user):
            remember(secret, unquote(secret), in_records=False)

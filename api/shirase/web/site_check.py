"""Which site a request comes from, by the headers that browsers send and pages cannot forge (WHATWG Fetch)."""

from shirase.errors import Forbidden
from shirase.settings import Settings


def refuse_other_sites(origin: str | None, site: str | None, host: str, settings: Settings) -> None:
    """Browsers name the page's site, or in older ones its origin; what names neither is no browser.

    Args:
        origin: the header of that name.
        site: the header ``Sec-Fetch-Site``.
        host: what the request was sent to.
        settings: the listed origins.

    Raises:
        Forbidden: if a page of another site asks, whose origin is not listed.
    """
    if origin in settings.cors_origins:
        return
    elsewhere = origin is not None and origin.partition("://")[2] != host
    if site == "cross-site" or (site is None and elsewhere):
        raise Forbidden("this is not for pages of other sites, unless their Origin is listed")

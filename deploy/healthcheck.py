"""HEALTHCHECK of the container, whichever part it runs: whether its process answers."""

import os
import sys
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

SECONDS = 4

try:
    url = f"http://127.0.0.1:{os.environ['ETL_HTTP__PORT']}/health/live"
    build_opener(ProxyHandler({})).open(url, timeout=SECONDS).close()
except (URLError, OSError) as error:
    sys.exit(f"not live: {error}")

"""The page in the browser, and the calls that it makes.

They need the extra ``web``; without it, importing this room raises ModuleNotFoundError.
"""

try:
    import fastapi  # noqa: F401
    import python_multipart  # noqa: F401
    import uvicorn  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "the page needs fastapi, uvicorn and python-multipart: pip install 's2svr[web]' brings them"
    ) from error

from .app import create_app
from .serving import serve
from .settings import LOCAL, ServeSettings

__all__ = ["LOCAL", "ServeSettings", "create_app", "serve"]

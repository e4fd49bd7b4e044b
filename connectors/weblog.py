"""What aiohttp logs to in our servers: its own log would hold what came in."""

import logging


def web_log(service: str) -> logging.Logger:
    """Return a log that names the classes of exceptions and not their texts, which quote input."""
    log = logging.getLogger(f"homeport.{service}.http")
    if _without_traceback not in log.filters:
        log.addFilter(_without_traceback)
    return log


def _without_traceback(record: logging.LogRecord) -> bool:
    if record.exc_info and record.exc_info[0]:
        record.msg, record.args = "a request failed: %s", (record.exc_info[0].__name__,)
        record.exc_info = None
    return True

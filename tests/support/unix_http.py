"""Plain HTTP over a Unix socket, with nothing of ours in between."""

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from inference.config import InferenceConfig


class Unix(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(str(self._path))
        except OSError:
            self.sock.close()
            raise


def post(config: InferenceConfig, path: str, body: Any) -> tuple[int, Any]:
    """Return status and decoded body of the answer to a JSON request.

    Raises:
        OSError: No connection, or it broke.
        http.client.HTTPException: The answer broke off.

    """
    assert config.uds is not None
    connection = Unix(config.uds)
    try:
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        connection.close()

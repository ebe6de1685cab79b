"""HTTP servers on this machine that answer programs and requests as products do."""

import gzip
import json
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HEADERS = {"Content-Type": "application/json", "X-Elastic-Product": "Elasticsearch"}


@contextmanager
def serve(answer):
    """Serve on a free port, which is given.

    ``answer(method, path, body)`` returns what is sent back as JSON: the body, or a
    body and its status. ``body`` is what came: bytes.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body go in one piece
        disable_nagle_algorithm = True

        def _reply(self):
            length = int(self.headers.get("Content-Length") or 0)
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = self._chunks()
            else:
                body = self.rfile.read(length)
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            try:
                found = answer(self.command, self.path, body)
            except Exception as error:
                found = {"status": {"error": repr(error)}}, 500
            found, status = found if isinstance(found, tuple) else (found, 200)
            content = json.dumps(found).encode()
            self.send_response(status)
            for name, value in HEADERS.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)
            self.wfile.flush()

        def _chunks(self):
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _reply

        def log_message(self, *parts):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def curl_to(port, printed):
    """Write a function of the shell: requests for ``printed``, a port, go to ours."""
    there = f"localhost:{printed}:127.0.0.1:{port}"
    return f'curl() {{ command curl --noproxy "*" --connect-to {there} "$@"; }}'


def shell(text, folder, function):
    """Paste text into a shell that has one more function; return what it prints."""
    done = subprocess.run(
        ["bash", "-e", "-c", f"{function}\n{text}\n"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout

"""A Hugging Face hub of two kinds: its cache on disk, and a small server that speaks as much as a download needs."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def write_cache(cache, repository, files, revision="main", commit=COMMIT):
    """Lay ``files`` (name -> bytes) into a cache folder, as a download of that revision would have done."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True, exist_ok=True)
    (folder / "refs" / revision).write_text(commit)
    (folder / "blobs").mkdir(exist_ok=True)
    for name, content in files.items():
        blob = folder / "blobs" / hashlib.sha256(content).hexdigest()
        blob.write_bytes(content)
        link = folder / "snapshots" / commit / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)


@contextmanager
def serve(repositories):
    """A hub at the address that is given; ``repositories`` is repository -> (name -> bytes)."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self, status, content, **headers):
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def do_GET(self):
            parts = self.path.partition("?")[0].strip("/").split("/")
            if parts[:2] == ["api", "models"]:
                return self.about("/".join(parts[2:4]), parts[5:6])
            files = repositories.get("/".join(parts[:2]), {})
            content = files.get("/".join(parts[4:]))
            if content is None:
                return self.answer(404, b"", X_Error_Code="EntryNotFound")
            return self.answer(200, content, ETag=f'"{hashlib.sha256(content).hexdigest()}"', X_Repo_Commit=COMMIT)

        do_HEAD = do_GET

        def about(self, repository, revision):
            if repository not in repositories:
                return self.answer(404, b"{}", X_Error_Code="RepoNotFound")
            if revision and revision[0] not in ("main", COMMIT):
                return self.answer(404, b"{}", X_Error_Code="RevisionNotFound")
            files = [{"rfilename": name} for name in repositories[repository]]
            content = json.dumps({"id": repository, "sha": COMMIT, "siblings": files, "tags": [], "private": False})
            return self.answer(200, content.encode(), Content_Type="application/json")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

"""Holds Offkey's webhooks, in and out, against the Standard Webhooks library.

Usage: webhooks.py OFFKEY FOLDER SIMULATOR_URL API_KEY

OFFKEY is the program; FOLDER, which has to be empty, gets its configuration and log. Ends with 0
when the service takes what the library signs, and the library takes what the service signs.
"""

import base64
import datetime
import http.server
import json
import pathlib
import queue
import secrets
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

from standardwebhooks import Webhook, WebhookVerificationError

PATIENCE = 30


def require(what: str, holds: bool) -> None:
    if not holds:
        sys.exit(f"standardwebhooks: does not hold: {what}")


def new_secret(path: pathlib.Path) -> str:
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    path.write_text(secret)
    path.chmod(0o600)
    return secret


def start_receiver() -> tuple[int, queue.Queue]:
    """A port, and the headers and bodies of what comes there."""
    got: queue.Queue = queue.Queue()

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.put(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1], got


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def configure(folder: pathlib.Path, listen: int, receiver: int, simulator: str) -> pathlib.Path:
    file = folder / "offkey.toml"
    file.write_text(f"""
[http]
listen = "127.0.0.1:{listen}"
[log]
path = "{folder}/data"
[telemetry]
filter = "error"
[[source]]
name = "hr"
kind = "standard-webhooks"
secrets = [{{ file = "{folder}/hr.secret" }}]
[[provider]]
name = "deepgram"
kind = "deepgram"
base_url = "{simulator}"
api_key = {{ file = "{folder}/deepgram.key" }}
poll = "5s"
[[sink]]
name = "rotation"
kind = "webhook"
url = "http://127.0.0.1:{receiver}/"
secrets = [{{ file = "{folder}/rotation.secret" }}]
allow_networks = ["127.0.0.0/8"]
""")
    return file


def post(url: str, signer: Webhook, event: str, change: dict, spoil: bool = False) -> int:
    now = datetime.datetime.now(datetime.timezone.utc)
    body = json.dumps({"type": "membership.changed", "timestamp": now.isoformat(), "data": change})
    headers = {
        "content-type": "application/json",
        "webhook-id": event,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signer.sign(event, now, body),
    }
    sent = body + " " if spoil else body
    request = urllib.request.Request(url, data=sent.encode(), headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status
    except urllib.error.HTTPError as refusal:
        return refusal.code


def wait_for_inventory(offkey: str, config: pathlib.Path, service: subprocess.Popen) -> None:
    end = time.monotonic() + PATIENCE
    command = [offkey, "--config", config, "--json", "tail", "inventory"]
    while time.monotonic() < end:
        require("the service runs", service.poll() is None)
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        if "offkey.snapshot.v1" in said:
            return
        time.sleep(0.1)
    require("the service reads the inventory", False)


def check(url: str, inbound: str, outbound: str, got: queue.Queue) -> None:
    leaver = {"change": "removed", "person": {"email": "ada@example.com"}}
    spoilt = post(url, Webhook(inbound), "msg_spoilt", leaver, spoil=True)
    require(f"a body that was not signed is refused with 401, not {spoilt}", spoilt == 401)
    status = post(url, Webhook(inbound), "msg_verify", leaver)
    require(f"what the library signs is taken with 202, not {status}", status == 202)
    # Quarantined: authentic, and about nobody.
    status = post(url, Webhook(inbound), "msg_nobody", {"change": "removed", "person": {}})
    require(f"what is about nobody is put aside with 202, not {status}", status == 202)
    try:
        headers, body = got.get(timeout=PATIENCE)
    except queue.Empty:
        sys.exit("standardwebhooks: does not hold: a webhook comes")
    message = Webhook(outbound).verify(body, headers)
    require("the webhook is an impact", message["type"] == "offkey.impact.v1")
    try:
        Webhook(outbound).verify(body + b" ", headers)
    except WebhookVerificationError:
        pass
    else:
        require("the library refuses a changed body", False)
    print("standardwebhooks: what it signs is taken, and what is sent it verifies")


def main() -> None:
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    offkey, folder, simulator, api_key = sys.argv[1:]
    place = pathlib.Path(folder).resolve()
    inbound, outbound = (new_secret(place / f"{name}.secret") for name in ("hr", "rotation"))
    (place / "deepgram.key").write_text(api_key)
    receiver, got = start_receiver()
    listen = free_port()
    config = configure(place, listen, receiver, simulator)
    service = subprocess.Popen([offkey, "--config", config, "serve"])
    try:
        wait_for_inventory(offkey, config, service)
        check(f"http://127.0.0.1:{listen}/in/hr", inbound, outbound, got)
    finally:
        service.terminate()
        try:
            service.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            service.kill()


if __name__ == "__main__":
    main()

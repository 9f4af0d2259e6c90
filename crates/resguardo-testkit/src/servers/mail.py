"""A mail server for tests: aiosmtpd, every message one file, its envelope and content as JSON.

Usage: mail.py FOLDER PORT none|starttls|tls [CERTIFICATE KEY] [USER PASSWORD]
"""

import asyncio
import json
import ssl
import sys
from pathlib import Path

from aiosmtpd.controller import UnthreadedController
from aiosmtpd.smtp import SMTP, AuthResult

folder, port, security = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
rest = sys.argv[4:]
context = None
if security != "none":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(rest[0], rest[1])
    rest = rest[2:]
login = tuple(word.encode() for word in rest) if rest else None


class Handler:
    def __init__(self):
        self.number = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 5.1.1 no such user"
        if address.startswith("later@"):
            return "450 4.2.1 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.number += 1
        message = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "content": envelope.content.decode("utf-8", "replace"),
            "encrypted": security == "tls" or session.ssl is not None,
            "user": session.auth_data.login.decode() if session.auth_data else None,
        }
        part = folder / f"{self.number:04}.part"
        part.write_text(json.dumps(message))
        part.rename(folder / f"{self.number:04}.json")
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    known = (data.login, data.password) == login
    return AuthResult(success=known, handled=False, auth_data=data if known else None)


class Server(UnthreadedController):
    def factory(self):
        words = {"auth_required": login is not None, "authenticator": authenticate}
        if security == "starttls":
            words |= {"tls_context": context, "require_starttls": True}
        else:
            words["auth_require_tls"] = False
        return SMTP(self.handler, **words)


loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
server = Server(
    Handler(),
    hostname="127.0.0.1",
    port=port,
    loop=loop,
    ssl_context=context if security == "tls" else None,
)
server.begin()
loop.run_forever()
